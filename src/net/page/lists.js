// The lists of rooms and people, and what stands where nothing has been said.

import { isFramed, tellUnread } from './frame.js';
import { avatar, button, closeDrawer, flash, fold, isolated, list, make, page, quoted } from './page.js';
import { isIgnored, settings } from './settings.js';
import { rooms as allowed } from './token.js';

/** More names than this make no list. */
const MOST_NAMES = 500;
/** Longer lists have a field to find something in them. */
const LONG = 10;
/** More names than this are not put into a sentence. */
const MOST_IN_SENTENCE = 100;

// The fields for a room offer those that the token names.
page['token-rooms'].append(...allowed.map((room) => new Option(room)));

/** Lists the rooms and the private conversations; `acts` are enter(room) and leave(room). */
export function showRooms({ rooms, places, current, faces }, acts) {
  const all = [...rooms.values()];
  const talks = all.filter((room) => room.isPrivate);
  const draw = (room) => {
    const badge = make('span', 'badge', '', make('span', 'unseen', ' unread'));
    const label = make('span', 'label', isolated(room.label));
    const enter = button('', () => acts.enter(room), ...(room.isPrivate ? [''] : []), label, badge);
    const exit = button('icon', () => acts.leave(room), '×');
    exit.setAttribute('aria-label', room.isPrivate ? `Close the conversation with ${room.to}` : `Leave ${room.name}`);
    return make('li', '', enter, exit);
  };
  const update = (item, room) => {
    const { firstChild: enter, lastChild: exit } = item;
    if (room === current) enter.setAttribute('aria-current', 'true');
    else enter.removeAttribute('aria-current');
    enter.lastChild.hidden = !room.unread;
    enter.lastChild.firstChild.data = room.unread;
    exit.hidden = !room.isPrivate && places.length === 1;
    if (room.isPrivate) showFace(item, room.to, faces);
  };
  const matches = finder(page['find-room'], all.length);
  fill(page['room-list'], places.filter(({ label }) => matches(label)), draw, update);
  fill(page['talk-list'], talks.filter(({ label }) => matches(label)), draw, update);
  page['talks-title'].hidden = !talks.length;
  // A frame has lists as soon as there is more than its room.
  const isAlone = isFramed && all.length === 1;
  document.documentElement.classList.toggle('alone', isAlone);
  if (isAlone) closeDrawer();
  const unread = all.reduce((sum, room) => sum + room.unread, 0);
  const elsewhere = unread - current.unread;
  page.elsewhere.hidden = !elsewhere;
  page.elsewhere.textContent = elsewhere > 99 ? '99+' : elsewhere;
  page['show-rooms'].setAttribute('aria-label', elsewhere ? `Rooms, ${elsewhere} unread` : 'Rooms');
  tellUnread(unread);
  document.title = `${unread ? `(${unread}) ` : ''}${quoted(current.label)} · natterjack`;
}

/** What a field above a list finds in it, everything if nothing is written there. */
function finder(field, count) {
  const wanted = fold(field.value.trim());
  field.hidden = count <= LONG && !wanted;
  return (name) => fold(name).includes(wanted);
}

/** Puts somebody's picture first in a row, if it is not there. */
function showFace(item, name, faces) {
  const face = faces.get(name) ?? '';
  if (item.dataset.face === face) return;
  item.dataset.face = face;
  (item.querySelector('button') ?? item).firstChild.replaceWith(avatar(name, face));
}

/** Lists who is in a room, ourselves first; `acts` are write(name) in private, and more(opener, name). */
export function showPeople(room, me, faces, acts) {
  const others = [...room.people].filter((name) => name !== me).sort((a, b) => a.localeCompare(b));
  // Who is ignored is found again, also when away.
  const away = room.isPrivate ? [] : settings.ignored.filter((name) => !others.some((other) => fold(other) === fold(name)));
  const found = others.filter(finder(page['find-person'], others.length));
  const listed = found.slice(0, MOST_NAMES);
  // No name has a colon.
  fill(page['people-list'], [`me:${me}`, ...listed, ...away], (key) => {
    const label = (name) => make('span', 'label', isolated(name));
    if (key.includes(':')) return make('li', 'self', '', label(me), make('span', 'soft', 'you'));
    const choice = button('', () => acts.write(key), '', label(key));
    choice.title = 'Write privately';
    const more = button('icon more', () => acts.more(more, key));
    Object.assign(more, { ariaLabel: `More about ${key}`, ariaHasPopup: 'menu' });
    return make('li', '', choice, more);
  }, (item, key) => {
    item.classList.toggle('ignored', isIgnored(key));
    showFace(item, key.includes(':') ? me : key, faces);
  });
  const isWhole = found.length === others.length;
  const unlisted = (isWhole ? room.count - 1 : found.length) - listed.length;
  page['people-note'].textContent =
    unlisted > 0 ? `and ${unlisted.toLocaleString('en')} more`
    : !isWhole ? (found.length ? '' : 'Nobody here is called that.')
    : others.length && !room.isPrivate ? 'Choose somebody to write to them privately.' : '';
  page.subtitle.textContent =
    room.isPrivate ? 'only the two of you see this'
    : !room.count ? 'entering …' : room.count === 1 ? 'only you' : `${room.count.toLocaleString('en')} people`;
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
  const here = room.isPrivate ? ['Only ', isolated(room.to), ' and you will see what you write here.']
    : others.length ? [...list(others), ` ${others.length > 1 ? 'are' : 'is'} here.`] : ['It is quiet here.'];
  page['empty-text'].replaceChildren(
    ...(alone ? ['Nobody else is here yet.', isFramed ? '' : ' Share this address:'] : [...here, ' Say hello!']));
  page.share.hidden = !alone || isFramed;
  page.address.href = page.address.textContent = invitation();
}

/** The address of the room, without a name that was given in it. */
const invitation = () => location.origin + location.pathname + location.hash;

for (const button of [page.copy, page.invite]) {
  button.addEventListener('click', async () => {
    try {
      await navigator.clipboard.writeText(invitation());
      flash('The address of this room is copied.');
    } catch {
      // Browsers lend the clipboard only to pages that came over HTTPS, or from this machine.
      prompt('The address of this room:', invitation());
    }
  });
}
