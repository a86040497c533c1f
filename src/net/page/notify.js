// Notifications: who does not look at the page is told of messages, as chosen for each room. Nothing is
// asked of the browser before somebody switches them on.

import { isSeen } from './frame.js';
import { calls } from './mention.js';
import { isolated, page } from './page.js';
import { set, settings } from './settings.js';
import { render } from './text.js';
import { worker } from './worker.js';

/** Between two sounds, or two notifications that a phone moves for, in milliseconds. */
const PAUSE = 3_000;
const MOST_CHARACTERS = 200;

/** The modes are those that were chosen, by the names of rooms. */
const chosen = { isOn: false, hasSound: false, modes: {}, ...settings.notify };

const usual = (room) => (room.isPrivate ? 'all' : 'mentions');
/** 'all', 'mentions' or 'none'. */
const modeOf = (room) => chosen.modes[room.name] ?? usual(room);
const isOn = () => chosen.isOn && globalThis.Notification?.permission === 'granted';

// Settings

let shown = null;

/** Shows the settings of this room. */
export function showNotify(room) {
  shown = room;
  const mode = modeOf(room);
  page['notify-where'].replaceChildren(room.isPrivate ? 'From ' : 'In ', isolated(room.label));
  page['notify-names'].hidden = room.isPrivate;
  for (const choice of page.notify.elements.mode) choice.checked = choice.value === mode;
  page['notify-on'].checked = isOn();
  page['notify-sound'].checked = chosen.hasSound;
  const isSilent = mode === 'none' || !(isOn() || chosen.hasSound);
  page.bell.classList.toggle('off', isSilent);
  page.bell.setAttribute('aria-label', `Notifications, ${isSilent ? 'off' : 'on'}`);
  noticed();
}

/** Why there can be none, or nothing. */
async function whyNot() {
  if (!globalThis.Notification || !navigator.serviceWorker) {
    return 'Your browser shows none for this page. It may over HTTPS, or once the page is installed.';
  }
  const answer = await Notification.requestPermission();
  return answer === 'granted' ? '' : 'Your browser allows none for this page. Its settings can change that.';
}

page.notify.addEventListener('change', async ({ target }) => {
  if (target === page['notify-on']) {
    const fault = target.checked ? await whyNot() : '';
    page['notify-error'].textContent = fault;
    chosen.isOn = target.checked && !fault;
  } else if (target === page['notify-sound']) {
    chosen.hasSound = target.checked;
    if (chosen.hasSound) chime();
  } else if (target.value === usual(shown)) {
    delete chosen.modes[shown.name];
  } else {
    chosen.modes[shown.name] = target.value;
  }
  set({ notify: chosen });
  showNotify(shown);
});

// Messages

let loudAt = 0;

/** Tells of a message of somebody else, unless we see it, or do not want to be told. */
export async function notify(room, { id, from, text }, me) {
  const mode = modeOf(room);
  if (isSeen() || mode === 'none' || (mode === 'mentions' && !calls(text, me))) return;
  const isLoud = Date.now() - loudAt > PAUSE;
  if (isLoud) loudAt = Date.now();
  if (isLoud && chosen.hasSound) chime();
  if (!isOn()) return;
  const body = [...render(text).textContent].slice(0, MOST_CHARACTERS).join('');
  // One for each room, the last one. Android has them only from a service worker.
  (await worker())?.showNotification(room.isPrivate ? from : `${from} in ${room.label}`, {
    body, tag: room.name, data: { room: room.name, id }, icon: 'icon-192.png', renotify: isLoud, silent: !isLoud || chosen.hasSound,
  });
}

/** Takes away the notification of a room; with an id, if it is of this message. */
export async function withdraw(room, id) {
  if (!isOn()) return;
  const all = await (await worker())?.getNotifications({ tag: room.name });
  for (const notification of all ?? []) if (id === undefined || notification.data.id === id) notification.close();
}

/** What the room that is shown was notified of has been seen. */
function noticed() {
  if (shown && isSeen()) withdraw(shown);
}

for (const type of ['focus', 'visibilitychange']) addEventListener(type, noticed);

/** Calls `act` with the name of a room whose notification was clicked. */
export function onChosen(act) {
  navigator.serviceWorker?.addEventListener('message', ({ data }) => act(data.room));
}

let audio = null;

/** Two notes, if the browser lets the page be heard. */
async function chime() {
  const asked = Date.now();
  audio ??= new AudioContext();
  await audio.resume();
  // It may wait for a click until the sound is about nothing any more.
  if (Date.now() - asked > PAUSE) return;
  for (const [after, frequency] of [[0, 660], [0.14, 880]]) {
    const begin = audio.currentTime + after;
    const note = new OscillatorNode(audio, { frequency });
    const volume = new GainNode(audio, { gain: 0 });
    volume.gain.setValueAtTime(0.15, begin);
    volume.gain.exponentialRampToValueAtTime(0.001, begin + 0.4);
    note.connect(volume).connect(audio.destination);
    note.start(begin);
    note.stop(begin + 0.4);
  }
}
