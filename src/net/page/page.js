// The page around the conversation: how people look, the lists of rooms and people, the drawers that
// hold them on a small screen, and the line that says how the connection is.

import { isFramed, tellUnread } from './frame.js';

/** Everything with an id. Looked up once, while both views are in the document. */
export const page = Object.fromEntries(
  [...document.querySelectorAll('[id]')].map((element) => [element.id, element]));

/** More names than this make no list. */
const MOST_NAMES = 500;
/** More names than this are not put into a sentence. */
const MOST_IN_SENTENCE = 100;
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

/** "ann", "ann and bob", "ann, bob and 3 others". */
export function list(people) {
  const [first, second, ...others] = people.map(isolated);
  if (!second) return people.length ? [first] : [];
  if (!others.length) return [first, ' and ', second];
  return [first, ', ', second, ' and ', others.length === 1 ? others[0] : `${others.length} others`];
}

// Views and lists

/** Shows one of the two views. The other one leaves the document, so that nothing finds it there. */
export function show(view) {
  for (const other of [page.login, page.chat]) if (other !== view) other.remove();
  view.hidden = false;
  if (!view.isConnected) document.body.prepend(view);
}

/** Lists the rooms; `acts` are enter(room) and leave(room). */
export function showRooms(rooms, current, acts) {
  fill(page['room-list'], rooms.values(), (room) => {
    const badge = make('span', 'badge', '', make('span', 'unseen', ' unread'));
    const enter = button('', () => acts.enter(room), make('span', 'label', isolated(room.name)), badge);
    const exit = button('icon', () => acts.leave(room), '×');
    exit.setAttribute('aria-label', `Leave ${room.name}`);
    return make('li', '', enter, exit);
  }, ({ firstChild: enter, lastChild: exit }, room) => {
    if (room === current) enter.setAttribute('aria-current', 'true');
    else enter.removeAttribute('aria-current');
    enter.lastChild.hidden = !room.unread;
    enter.lastChild.firstChild.data = room.unread;
    exit.hidden = rooms.size === 1;
  });
  const unread = [...rooms.values()].reduce((sum, room) => sum + room.unread, 0);
  const elsewhere = unread - current.unread;
  page.elsewhere.hidden = !elsewhere;
  page.elsewhere.textContent = elsewhere > 99 ? '99+' : elsewhere;
  page['show-rooms'].setAttribute('aria-label', elsewhere ? `Rooms, ${elsewhere} unread` : 'Rooms');
  tellUnread(unread);
  document.title = `${unread ? `(${unread}) ` : ''}${quoted(current.name)} · natterjack`;
}

/** Lists who is in a room, ourselves first; `write(name)` begins a private message. */
export function showPeople(room, me, faces, write) {
  const others = [...room.people].filter((name) => name !== me).sort((a, b) => a.localeCompare(b));
  // No name has a colon.
  fill(page['people-list'], [`me:${me}`, ...others.slice(0, MOST_NAMES)], (key) => {
    const label = (name) => make('span', 'label', isolated(name));
    if (key.includes(':')) return make('li', 'self', '', label(me), make('span', 'soft', 'you'));
    const choice = button('', () => write(key), '', label(key));
    choice.title = 'Write privately';
    return make('li', '', choice);
  }, (item, key) => {
    const name = key.includes(':') ? me : key;
    const face = faces.get(name) ?? '';
    if (item.dataset.face === face) return;
    item.dataset.face = face;
    (item.querySelector('button') ?? item).firstChild.replaceWith(avatar(name, face));
  });
  const unlisted = room.count - 1 - Math.min(others.length, MOST_NAMES);
  page['people-note'].textContent =
    unlisted > 0 ? `and ${unlisted.toLocaleString('en')} more`
    : others.length ? 'Choose somebody to write to them privately.' : '';
  page.subtitle.textContent =
    !room.count ? 'entering …' : room.count === 1 ? 'only you' : `${room.count.toLocaleString('en')} people`;
  page['people-title'].textContent = room.count > 1 ? `People · ${room.count.toLocaleString('en')}` : 'People';
  showEmpty(room, others);
}

/** Who is in a room, as a sentence. */
export function who({ name, people, count }) {
  const named = [...people].sort((a, b) => a.localeCompare(b)).slice(0, MOST_IN_SENTENCE);
  const more = count - named.length;
  if (more > 0) named.push(`${more.toLocaleString('en')} more`);
  return ['In ', isolated(name), ': ', ...named.flatMap((person) => [isolated(person), ', ']).slice(0, -1)];
}

/** For each list, the element that shows each thing. */
const drawn = new WeakMap();

/**
 * Makes a list show these things, and draws only what has changed: an element that is there stays, since
 * a press and its release must meet the same one, and the keyboard's focus, too.
 */
function fill(list, things, draw, update) {
  const before = drawn.get(list) ?? new Map();
  const now = new Map([...things].map((thing) => [thing, before.get(thing) ?? draw(thing)]));
  for (const [thing, element] of before) if (!now.has(thing)) element.remove();
  let next = list.firstChild;
  for (const [thing, element] of now) {
    if (element === next) next = next.nextSibling;
    else list.insertBefore(element, next);
    update(element, thing);
  }
  drawn.set(list, now);
}

/** What stands where no message is yet. */
function showEmpty(room, others) {
  page.empty.hidden = !room.log.isEmpty || !room.count || room.isReplaying;
  if (page.empty.hidden) return;
  const alone = room.count === 1;
  const here = others.length ? [...list(others), ` ${others.length > 1 ? 'are' : 'is'} here.`] : ['It is quiet here.'];
  page['empty-text'].replaceChildren(
    ...(alone ? ['Nobody else is here yet.', isFramed ? '' : ' Share this address:'] : [...here, ' Say hello!']));
  page.share.hidden = !alone || isFramed;
  page.address.href = page.address.textContent = invitation();
  // Browsers lend the clipboard only to pages that came over HTTPS, or from this machine.
  page.copy.hidden = !navigator.clipboard;
  page.copy.textContent = 'Copy';
}

/** The address of the room, without a name that was given in it. */
const invitation = () => location.origin + location.pathname + location.hash;

page.copy.addEventListener('click', async () => {
  await navigator.clipboard.writeText(invitation());
  page.copy.textContent = 'Copied';
});

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
addEventListener('keydown', (event) => event.key === 'Escape' && closeDrawer());

// iOS puts its keyboard over the page instead of making the page smaller.
visualViewport?.addEventListener('resize', () => {
  const { width, height } = visualViewport;
  // Two fingers make it smaller as well, and then it is a window that is moved over the page. Not every
  // browser tells the scale.
  const scale = document.documentElement.clientWidth / width;
  const isZoomed = scale > 1.01;
  document.body.style.height = `${isZoomed ? height * scale : height}px`;
  if (!isZoomed) scrollTo(0, 0);
});

// A file that is dropped would be opened instead of the chat.
for (const type of ['dragover', 'drop']) {
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
  document.body.style.setProperty('--status', `${page.status.offsetHeight}px`);
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
