// The service worker: it keeps the page, so that it opens without a connection, and answers when a
// notification is clicked.
//
// The build puts FILES in front, each file of the page with its tag, and VERSION, which stands for all of
// them and is in the document, too. The document comes from the server where that answers in time, so that
// a new version is there at once, and nothing else is hidden that has its address later. The other files
// come from the cache. They are of one version with the document, or the cache is thrown away.

/** One server may be several chats, each with a path of its own. */
const SCOPE = registration.scope;
const CACHE = `${SCOPE} ${VERSION}`;
/** After this long without an answer, in milliseconds, the page opens from the cache. */
const PATIENCE = 1_500;

const kept = (path) => caches.match(path, { cacheName: CACHE }).catch(() => undefined);

/** A proxy may have taken it out. */
const tagOf = (answer) => answer?.headers.get('ETag');

async function keep() {
  const cache = await caches.open(CACHE);
  await Promise.all(Object.keys(FILES).map(async (path) => {
    const answer = await fetch(path, { cache: 'no-cache' });
    // The next attempt finds them all, once each instance behind a proxy is of one version.
    const isOurs = tagOf(answer)?.includes(FILES[path]) ?? true;
    if (!answer.ok || !isOurs) throw new Error(`${path} is not of this version`);
    await cache.put(path, answer);
  }));
  await skipWaiting();
}

async function forgetOthers() {
  const names = await caches.keys();
  const others = names.filter((name) => name.startsWith(`${SCOPE} `) && name !== CACHE);
  await Promise.all(others.map((name) => caches.delete(name)));
}

async function open(request) {
  const asked = fetch(request);
  const late = new Promise((give) => setTimeout(give, PATIENCE));
  const answer = await Promise.race([asked, late]).catch(() => null);
  const known = await kept('./');
  // A proxy answers for a server that is down.
  if (!answer || answer.status >= 500) return known ?? asked;
  if (tagOf(answer) !== tagOf(known)) await caches.delete(CACHE);
  return answer;
}

addEventListener('install', (event) => event.waitUntil(keep()));
addEventListener('activate', (event) => event.waitUntil(forgetOthers()));
addEventListener('fetch', (event) => {
  const { request } = event;
  const path = request.url.replace(/[?#].*/, '').replace(SCOPE, './');
  if (request.method !== 'GET' || !Object.hasOwn(FILES, path)) return;
  if (request.mode !== 'navigate') event.respondWith(kept(path).then((answer) => answer ?? fetch(request)));
  // Who may show it in a frame, only the server says.
  else if (path === './' && request.destination === 'document') event.respondWith(open(request));
});

/** Goes to a page that is open and lets it show the room, or opens one. */
async function show({ room }) {
  const pages = await clients.matchAll({ type: 'window', includeUncontrolled: true });
  const page = pages.find(({ url, frameType }) => frameType === 'top-level' && url.replace(/[?#].*/, '') === SCOPE);
  if (!page) return clients.openWindow(`./#${encodeURIComponent(room)}`);
  page.postMessage({ room });
  return page.focus();
}

addEventListener('notificationclick', (event) => {
  event.notification.close();
  event.waitUntil(show(event.notification.data));
});
