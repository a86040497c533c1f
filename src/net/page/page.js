// The page around the conversation: how people look, the drawers on a small screen, and the line that
// says how the connection is.

import { isFramed } from './frame.js';

/** Everything with an id. Looked up once, while both views are in the document. */
export const page = Object.fromEntries(
  [...document.querySelectorAll('[id]')].map((element) => [element.id, element]));

/** An outage is mentioned after this long: most of them are over in a moment. */
const MOMENT = 600;

/** Makes an element: a tag, a class, and what is in it. */
export function make(tag, className = '', ...content) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  element.append(...content);
  return element;
}

export function button(className, act, ...content) {
  const made = make('button', className, ...content);
  made.type = 'button';
  made.addEventListener('click', act);
  return made;
}

/** A name in a sentence: it may be written from right to left, the sentence goes on as it is. */
export const isolated = (name) => make('bdi', '', name);

/** A name in a sentence without markup, such as a title. Invisible characters isolate it. */
export const quoted = (name) => `\u2068${name}\u2069`;

/** Nearly as the server compares names. */
export const fold = (name) => name.normalize('NFKC').toLowerCase();

const segmenter = globalThis.Intl?.Segmenter && new Intl.Segmenter();

/** What a reader would call characters. */
export function segments(text) {
  return segmenter ? Array.from(segmenter.segment(text), (part) => part.segment) : [...text];
}

// People

/** A colour for a name, always the same; the style sheet makes it dark or light enough. */
export function paint(element, name) {
  let hash = 2166136261;
  for (const character of name) hash = Math.imul(hash ^ character.codePointAt(0), 16777619);
  // The low bits of similar names are similar.
  element.style.setProperty('--hue', ((hash ^ (hash >>> 15)) >>> 0) % 360);
  return element;
}

function initials(name) {
  const words = name.split(/[\s._-]+/).filter(Boolean);
  return (words.length ? words : [name]).slice(0, 2).map((word) => segments(word)[0]).join('').toUpperCase();
}

/** Which Gravatars exist: each is requested once. */
const pictures = new Map();
let mayAsk = false;

/** Asking Gravatar tells it who is here, so only those do who have given an address themselves. */
export function allowGravatar(allowed) {
  mayAsk = allowed;
}

function gravatar(hash) {
  const image = new Image(40, 40);
  image.alt = '';
  image.referrerPolicy = 'no-referrer';
  image.src = `https://gravatar.com/avatar/${hash}?s=80&d=404`;
  return image;
}

/** A person's picture: the initials, and over them the Gravatar as soon as it is there, if ever. */
export function avatar(name, hash) {
  const face = paint(make('span', 'avatar', initials(name)), name);
  face.setAttribute('aria-hidden', 'true');
  if (mayAsk && navigator.onLine && /^[0-9a-f]{64}$/.test(hash ?? '')) {
    if (!pictures.has(hash)) {
      pictures.set(hash, gravatar(hash).decode().then(() => true, () => false));
    }
    pictures.get(hash).then((exists) => exists && face.append(gravatar(hash)));
  }
  return face;
}

// Times

const clock = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit' });
const date = new Intl.DateTimeFormat('en', { weekday: 'long', day: 'numeric', month: 'long' });

const moment = new Intl.DateTimeFormat('en', { dateStyle: 'medium', timeStyle: 'medium' });

/** The day and the time, to the second. */
export const inFull = (ts) => moment.format(ts);

export function time(ts) {
  const element = make('time', '', clock.format(ts));
  element.dateTime = new Date(ts).toISOString();
  return element;
}

export function day(ts) {
  const of = (time) => new Date(time).toDateString();
  const yesterday = new Date();
  yesterday.setDate(yesterday.getDate() - 1);
  if (of(ts) === of(Date.now())) return 'Today';
  return of(ts) === of(yesterday) ? 'Yesterday' : date.format(ts);
}

/** Calls `act` whenever a day begins. */
export function atMidnight(act) {
  const midnight = new Date().setHours(24, 0, 0, 0);
  setTimeout(() => {
    act();
    atMidnight(act);
  }, midnight - Date.now());
}

/** "ann", "ann and bob", "ann, bob and 3 others". */
export function list(people) {
  const [first, second, ...others] = people.map(isolated);
  if (!second) return people.length ? [first] : [];
  if (!others.length) return [first, ' and ', second];
  return [first, ', ', second, ' and ', others.length === 1 ? others[0] : `${others.length} others`];
}

// Views

/** Shows one of the two views. The other one leaves the document, so that nothing finds it there. */
export function show(view) {
  for (const other of [page.login, page.chat]) if (other !== view) other.remove();
  view.hidden = false;
  if (!view.isConnected) document.body.prepend(view);
}

// Drawers

const talk = page.composer.closest('main');
let drawer = null;
/** Whether the drawer has a place in the history of the tab, so that Back closes it. */
let isInHistory = false;

export function closeDrawer() {
  if (!drawer) return;
  const { side, opener } = drawer;
  drawer = null;
  side.classList.remove('open');
  opener.setAttribute('aria-expanded', 'false');
  page.shade.hidden = true;
  talk.inert = false;
  opener.focus();
  if (isInHistory) history.back();
}

addEventListener('popstate', () => {
  if (!isInHistory) return;
  isInHistory = false;
  // Another room may have been opened from the drawer; the address keeps it.
  putInAddress(shownRoom);
  closeDrawer();
});

for (const [side, opener] of [[page.rooms, page['show-rooms']], [page.people, page['show-people']]]) {
  opener.addEventListener('click', () => {
    drawer = { side, opener };
    if (!isInHistory) history.pushState(null, '');
    isInHistory = true;
    side.classList.add('open');
    opener.setAttribute('aria-expanded', 'true');
    page.shade.hidden = false;
    talk.inert = true;
    side.querySelector('.close').focus();
  });
  side.querySelector('.close').addEventListener('click', closeDrawer);
}
page.shade.addEventListener('click', closeDrawer);
matchMedia('(min-width: 56rem)').addEventListener('change', closeDrawer);
addEventListener('keydown', (event) => event.key === 'Escape' && !page.menu.open && closeDrawer());

// iOS puts its keyboard over the page instead of making the page smaller.
visualViewport?.addEventListener('resize', () => {
  const { width, height } = visualViewport;
  // Two fingers make it smaller as well, and then it is a window that is moved over the page. Not every
  // browser tells the scale, and scroll bars may take a little of the window.
  const { clientWidth, clientHeight } = document.documentElement;
  const scale = clientWidth / width;
  const isZoomed = scale > 1.01;
  document.body.style.height = `${isZoomed ? Math.min(height * scale, clientHeight) : height}px`;
  if (!isZoomed) scrollTo(0, 0);
});

// A file that is dropped would be opened instead of the chat, also on what has just appeared under it.
for (const type of ['dragenter', 'dragover', 'drop']) {
  addEventListener(type, (event) => {
    if (!event.dataTransfer.types.includes('Files')) return;
    event.preventDefault();
    if (type === 'drop') flash('Files can’t be sent here.');
  });
}

// Status

const statusText = page.status.querySelector('p');
const statusButton = page.status.querySelector('button');
let statusTimer = 0;

/** Says how things are, in a moment, and offers something to do about it. Nothing, if all is well. */
export function say(text, label = '', act = null) {
  clearTimeout(statusTimer);
  const isShown = !!statusText.textContent;
  if (!text && isShown && !statusButton.hidden) return flash('Connected again.');
  statusTimer = setTimeout(() => put([text], label, act), text && !isShown ? MOMENT : 0);
}

/** Says something that is soon forgotten. */
export function flash(...content) {
  clearTimeout(statusTimer);
  put(content);
  statusTimer = setTimeout(() => put([]), 4000);
}

function put(content, label = '', act = null) {
  const { childNodes, textContent } = make('p', '', ...content);
  if (statusText.textContent !== textContent) statusText.replaceChildren(...childNodes);
  page.status.classList.toggle('shown', !!textContent);
  statusButton.hidden = !label;
  statusButton.textContent = label;
  statusButton.onclick = act;
  // So much of the conversation is behind it.
  page.stage.classList.toggle('behind', !!textContent);
  page.stage.style.setProperty('--status', `${page.status.offsetHeight}px`);
}

// What is remembered, and what is in the address

/** Frames of one page may share their storage. */
const KEY = isFramed ? `natterjack${location.search}` : 'natterjack';

export const read = (storage) => {
  try {
    return JSON.parse(globalThis[storage].getItem(KEY)) ?? {};
  } catch {
    return {};
  }
};
export const write = (storage, value) => {
  try {
    globalThis[storage].setItem(KEY, JSON.stringify(value));
  } catch { /* A browser without storage: nothing is remembered. */ }
};

let shownRoom = '';

export function putInAddress(room) {
  shownRoom = room;
  history.replaceState(null, '', `#${encodeURIComponent(room)}`);
}

export function roomInAddress() {
  try {
    return decodeURIComponent(location.hash.slice(1)).trim().normalize();
  } catch {
    return '';
  }
}

/** What is wrong with a name; the server's rules, to say it at once and at the right field. */
export function whyNot(name) {
  if ([...name].length > 32) return 'it is longer than 32 characters';
  const bytes = new TextEncoder().encode(name).length;
  if (bytes > 64) return `it is too long: it has ${bytes} bytes of at most 64`;
  if (/[:/@#]/.test(name)) return 'it contains one of : / @ #';
  if (/\p{Cc}/u.test(name)) return 'it contains a control character';
  // The server also looks whether joiners and the styles of emoji are where they belong.
  const unseen = /(?![\u200c\u200d\ufe0e\ufe0f])[\p{Default_Ignorable_Code_Point}\u2028\u2029\u2800]/u;
  return unseen.test(name) ? 'it contains an invisible character' : '';
}
