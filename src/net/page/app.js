// The page: who we are, what is shown, and what is remembered.

import { Chat } from './chat.js';
import { HELP } from './commands.js';
import { Composer } from './composer.js';
import { asked, isFramed, mayTakeFocus, onSight, tellUnread } from './frame.js';
import { showPeople, showRooms, who } from './lists.js';
import { become, me, tab } from './me.js';
import { openMenu } from './menu.js';
import { notify, onChosen, showNotify, withdraw } from './notify.js';
import {
  allowGravatar, atMidnight, avatar, closeDrawer, flash, isolated, make, page, putInAddress, quoted, read, roomInAddress, say, show,
  whyNot, write,
} from './page.js';
import { AT } from './room.js';
import { ignore, isIgnored } from './settings.js';
import { loadEmoji } from './text.js';
import { bearer, inAddress, rooms as allowed } from './token.js';
import { startWorker } from './worker.js';

const LOBBY = allowed[0] ?? 'lobby';
/** How long the lists and the title may be behind what comes, in milliseconds. A tab out of sight draws no frames. */
const BEAT = 100;
const touch = matchMedia('(pointer: coarse)');

function save() {
  const { current, rooms, pending } = chat;
  me.seen = chat.seen;
  if (chat.entered) me.talks = [...rooms.values()].flatMap(({ to }) => to ?? []);
  write('localStorage', { ...read('localStorage'), me });
  if (current && !leaving) current.draft = composer.draft;
  write('sessionStorage', leaving ? {} : {
    me,
    phase: chat.entered ? 'in' : phase,
    current: current?.name,
    rooms: [...rooms.values()].map(({ name, draft, seen }) => ({ name, draft, seen })),
    outbox: pending.kept,
  });
}

/** 'login': the form is shown; 'joining': no answer has come yet; 'in': we are in a room. */
let phase = 'login';
let leaving = false;

const composer = new Composer({
  send(text) {
    chat.write(text);
    people();
  },
  names: () => [...chat.current.people].filter((name) => name !== me.name),
  obey,
});

/** Does what a command says, or a menu. */
function obey({ to, text, show, frame, takeBack, ignore: name }) {
  const { log, isPrivate } = chat.current;
  if (to) {
    writeTo(to);
    if (text) chat.write(text);
  } else if (name) {
    ignore(name);
    chat.rooms.forEach((room) => room.log.veil());
    people();
    flash(...(isIgnored(name) ? ['You no longer see what ', isolated(name), ' writes.'] : ['You see what ', isolated(name), ' writes.']));
  } else if (isPrivate && (frame || show === '/who')) {
    flash('That can be asked in a room.');
  } else if (show) {
    log.answer(...(show === '/who' ? who(chat.current) : [HELP]));
  } else if (frame) {
    chat.ask(frame);
  } else {
    const id = /^\d+-\d+$/.test(takeBack) ? takeBack : log.lastOf(takeBack || me.name);
    if (id) chat.ask({ type: 'delete', id });
    else flash('There is nothing to take back.');
  }
}

function more(opener, name, message) {
  openMenu(opener, { name, message, room: chat.current }, obey);
}

const chat = new Chat(me, {
  discard(message) {
    chat.pending.discard(message);
    people();
    composer.focus();
  },
  answer: writeTo,
  more: (opener, message) => more(opener, message.from, message),
  moved: look,
  welcome() {
    phase = 'in';
    allowGravatar(!!me.email);
    showChat();
    save();
    startWorker();
    loadEmoji().then((loaded) => loaded && chat.rooms.forEach((room) => room.log.redraw()));
  },
  lost() {
    // Nobody is waiting to be let in: the next try comes with another name.
    if (phase === 'login') chat.stop();
  },
  status: showStatus,
  entered() {
    page['other-error'].textContent = '';
    // Another room than the first one that was requested, which the token is not for.
    if (phase !== 'joining') return;
    phase = 'in';
    showChat();
  },
  people,
  unread: () => (listing ||= setTimeout(list, BEAT)),
  heard: (room, message) => notify(room, message, me.name),
  takenBack: withdraw,
  said: flash,
  refused: refuse,
  barred: requireToken,
  closed,
});

function writeTo(name) {
  closeDrawer();
  open(AT + name);
  composer.focus();
}

// Rooms

/** Whether a name, of a room or in the address, is that of a private conversation. */
function isTalk(name) {
  return name.startsWith(AT) && !whyNot(name.slice(AT.length));
}

function open(name) {
  const room = isTalk(name) ? chat.talk(name.slice(AT.length)) : chat.room(name);
  const { current } = chat;
  if (room !== current) {
    if (current) current.draft = composer.draft;
    current?.log.hide();
    page.stage.prepend(room.log.element);
    composer.open(room);
  }
  chat.show(room);
  page.title.replaceChildren(isolated(room.label));
  page.chat.classList.toggle('private', room.isPrivate);
  putInAddress(room.name);
  if (room !== current) room.log.shown();
  showNotify(room);
  list();
  people();
}

function leave(room, asks = true) {
  const draft = room === chat.current ? composer.draft : room.draft;
  const waits = chat.pending.in(room).length || draft?.text.trim();
  if (asks && waits && !confirm(`Some of what you wrote in ${quoted(room.label)} has not been sent. Leave all the same?`)) return;
  chat.leave(room);
  if (room === chat.current) open(chat.places[0].name);
  else list();
  save();
}

// What is shown

let drawing = 0;

/** Draws the people soon: a hundred who come at once are drawn once. */
function people() {
  drawing ||= requestAnimationFrame(() => {
    drawing = 0;
    showPeople(chat.current, me.name, chat.faces, { write: writeTo, more });
  });
}

let listing = 0;

function list() {
  clearTimeout(listing);
  listing = 0;
  showRooms(chat, {
    enter(room) {
      open(room.name);
      closeDrawer();
      // Focus in the field would bring up the keyboard of a phone, and hide what is to be read.
      (touch.matches ? room.log.element : composer).focus();
    },
    leave,
  });
}

function showChat() {
  page.me.replaceChildren(avatar(me.name, chat.faces.get(me.name)), make('b', '', isolated(me.name)));
  if (page.chat.isConnected && !page.chat.hidden) return;
  show(page.chat);
  composer.fit();
  chat.current.log.shown();
  if (!touch.matches && mayTakeFocus()) composer.focus();
}

/** What is in view now is no longer unread, once all that was said before is there. */
function look() {
  const { current } = chat;
  if (!current) return;
  const { unread, log } = current;
  if (chat.sees(current) && !current.isReplaying) {
    current.see();
    if (unread) list();
  }
  const count = current.unread;
  page.newer.hidden = log.hasAll;
  page.newer.classList.toggle('fresh', !!count);
  const label = !count ? 'To the end' : count === 1 ? '1 new message' : `${count} new messages`;
  // It is asked with every frame: what changes is drawn again.
  if (page.newer.textContent.trim() !== label) page.newer.lastElementChild.textContent = label;
}

function showStatus() {
  const { state, replaced, barred, hint } = chat;
  if (replaced) {
    say('You are in this chat in another window now.', 'Use it here', () => chat.retry());
  } else if (barred && state === 'offline') {
    say(phase === 'in' ? barred : '');
  } else if (phase !== 'login' && state === 'offline') {
    const outage = navigator.onLine ? hint || 'No connection, trying again.' : 'You are offline.';
    const kept = phase === 'in' ? ' What you write is kept.' : '';
    say(outage + kept, 'Try now', () => chat.retry());
  } else {
    say(state === 'waiting' ? 'Waiting for the server’s memory. What you write is kept.' : '');
  }
}

// The login form

function refuse(field, ...content) {
  if (phase !== 'login') {
    // The server has refused it, and with it the key.
    if (field === 'name') me.key = '';
    page.name.value = me.name;
  }
  phase = 'login';
  show(page.login);
  page.room.closest('details').open ||= field === 'room';
  page[`${field}-error`].replaceChildren(...content);
  page[field].setAttribute('aria-invalid', 'true');
  page[field].focus();
  say('');
}

/** The server wants a token, or another one. */
function requireToken(text) {
  // What was said stays to be read, and what was written can still be copied.
  if (phase === 'in') return showStatus();
  phase = 'login';
  show(page.login);
  page['token-error'].textContent = text;
  say('');
}

/** The token is not for this room, or a moderator wants us out of it. */
function closed(room, reason) {
  if (chat.entered && chat.places.length > 1) {
    flash(isolated(room.name), `: ${reason}`);
    return leave(room, false);
  }
  // Joined again if the user asks for it again.
  chat.leave(room);
  refuse('room', isolated(room.name), `: ${reason}.`);
}

function submitLogin(event) {
  event.preventDefault();
  page['token-error'].textContent = '';
  const name = page.name.value.trim();
  const room = page.room.value.trim().normalize() || LOBBY;
  for (const field of ['name', 'room']) {
    page[`${field}-error`].textContent = '';
    page[field].removeAttribute('aria-invalid');
  }
  if (!name) return refuse('name', 'Please choose a name.');
  if (whyNot(room)) return refuse('room', `This can’t be a room: ${whyNot(room)}.`);
  // Another one has other conversations.
  if (name !== me.name) chat.rooms.forEach((room) => room.isPrivate && chat.leave(room));
  become(name);
  me.email = page.email.value.trim();
  if (whyNot(name)) return refuse('name', `This can’t be a name: ${whyNot(name)}.`);
  // A room that was refused before is no longer wanted.
  if (!chat.entered) chat.rooms.clear();
  me.talks.forEach((name) => chat.room(AT + name));
  open(room);
  enter();
  if (isTalk(requested)) open(requested);
}

function enter() {
  phase = 'joining';
  leaving = false;
  showStatus();
  if (chat.state === 'offline') chat.start();
}

page.join.addEventListener('submit', submitLogin);

page.room.addEventListener('input', showWhere);

function showWhere() {
  page.where.textContent = page.room.value.trim() || LOBBY;
}

page.enter.addEventListener('submit', (event) => {
  event.preventDefault();
  const name = page.other.value.trim().normalize();
  const fault = !isTalk(name) && whyNot(name);
  page['other-error'].textContent = fault ? `This can’t be a room: ${fault}.` : '';
  if (!name || fault) return;
  page.other.value = '';
  open(name);
  closeDrawer();
  composer.focus();
});

page['find-room'].addEventListener('input', list);
page['find-person'].addEventListener('input', people);

page.quit.addEventListener('click', () => {
  if (!chat.pending.isEmpty && !confirm('Some of what you wrote has not been sent. Leave all the same?')) return;
  leaving = true;
  save();
  chat.stop();
  tellUnread(0);
  location.reload();
});

page.newer.addEventListener('click', () => {
  chat.current.log.toEnd();
  composer.focus();
});

onChosen((name) => {
  if (phase !== 'in' || !(chat.find(name) || isTalk(name))) return;
  open(name);
  closeDrawer();
});

addEventListener('hashchange', () => {
  // Another token, perhaps of somebody else: as if the page were opened with it.
  if (inAddress()) return location.reload();
  const name = roomInAddress();
  if (!name || (!isTalk(name) && whyNot(name))) return;
  if (phase === 'in') open(name);
  else page.room.value = name;
  showWhere();
});

/** What was "Today" is so no more after midnight. */
function redate() {
  for (const { log } of chat.rooms.values()) log.redate();
}

atMidnight(redate);

addEventListener('beforeunload', (event) => {
  const { current, rooms, pending } = chat;
  const drafts = [...rooms.values()].map((room) => (room === current ? composer.draft : room.draft));
  // A reload keeps it all, but no page can tell that from the end.
  if (!leaving && (!pending.isEmpty || drafts.some((draft) => draft?.text.trim()))) event.preventDefault();
});
addEventListener('pagehide', save);
onSight(() => {
  if (document.hidden) return save();
  // While a device sleeps, its timers do, too.
  redate();
  look();
});
addEventListener('offline', showStatus);

page.name.value = me.name;
page.name.readOnly = !!bearer;
page['name-hint'].hidden = !bearer;
page.email.value = me.email;
const requested = roomInAddress() || asked('room');
page.room.value = (!isTalk(requested) && requested) || tab.current || LOBBY;
showWhere();
page.email.closest('details').open = !!me.email;

if (tab.phase === 'in' && me.name) {
  // A reload: back to where we were, with what was written and not sent yet.
  chat.entered = true;
  for (const { name, ...kept } of tab.rooms) Object.assign(chat.room(name), kept);
  open(requested && (isTalk(requested) || !whyNot(requested)) ? requested : tab.current);
  chat.pending.restore(tab.outbox, (name) => chat.find(name) ?? (isTalk(name) && chat.room(name)), me.name);
  enter();
  phase = 'in';
  showChat();
} else if (isFramed && asked('name') && !whyNot(me.name) && !whyNot(page.room.value)) {
  open(page.room.value);
  enter();
} else {
  show(page.login);
  if (mayTakeFocus()) (me.name ? page.join.querySelector('[type=submit]') : page.name).focus();
}
