// The page in a frame of another page: smaller, without lists. All that the other page is told is how
// much is unread. The address may say the room and the name: ?room=attic&name=ann.

export const isFramed = parent !== self;
document.documentElement.classList.toggle('framed', isFramed);

const address = new URLSearchParams(location.search);

/** What the address asks for: 'room' or 'name'. */
export const asked = (key) => (address.get(key) ?? '').trim();

let isOnScreen = true;

/** Whether the page is in sight: a frame may be scrolled or folded away. */
export const isVisible = () => !document.hidden && isOnScreen && innerHeight > 0;

/** Waits for the next frame. A page that is not in sight has none. */
export const drawn = () => isVisible() && new Promise(requestAnimationFrame);

/** A phone has one window in sight, and may not say that it has the focus. */
const touch = matchMedia('(pointer: coarse)');

/** Whether somebody looks at it. In a frame, the page around it may have the focus meanwhile. */
export const isSeen = () => isVisible() && (isFramed || touch.matches || document.hasFocus());

/** Calls `act` whenever that may have changed. */
export function onSight(act) {
  document.addEventListener('visibilitychange', act);
  for (const type of ['focus', 'blur']) addEventListener(type, act);
  if (!isFramed) return;
  addEventListener('resize', act);
  new IntersectionObserver((changes) => {
    isOnScreen = changes.at(-1).isIntersecting;
    act();
  }).observe(document.documentElement);
}

/** Whether the keyboard is ours: a frame does not take it away from the page around it. */
export const mayTakeFocus = () => !isFramed || document.hasFocus();

let told = 0;

/** Tells the page around this one how much is unread, or shows it at the app's icon. */
export function tellUnread(unread) {
  if (unread === told) return;
  told = unread;
  // Whose page may be around this one, the server has said.
  if (isFramed) parent.postMessage({ natterjack: { unread } }, '*');
  else navigator.setAppBadge?.(unread).catch(() => {});
}
