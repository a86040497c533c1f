// The page: who we are, what is shown, and what is remembered.

import { Chat } from './chat.js';
import { HELP } from './commands.js';
import { Composer } from './composer.js';
import { asked, isFramed, isSeen, mayTakeFocus, onSight } from './frame.js';
import { showPeople, showRooms, who } from './lists.js';
import {
  allowGravatar, avatar, closeDrawer, flash, isolated, make, page, putInAddress, quoted, read, roomInAddress, say, show,
  whyNot, write,
} from './page.js';
import { loadEmoji } from './text.js';
import { bearer, inAddress } from './token.js';
import { startWorker } from './worker.js';

const LOBBY = 'lobby';
const touch = matchMedia('(pointer: coarse)');

// What is remembered: in this tab everything, so that a reload changes nothing; beyond it the name.
// What was said is not: the server says it again.

const tab = read('sessionStorage');
const known = tab.me ? tab : read('localStorage');
const me = { name: '', email: '', key: '', ...known.me };
// The key belongs to the name it was given for.
if (!tab.me && asked('name') && asked('name') !== me.name) Object.assign(me, { name: asked('name'), key: '' });
// Who has a token is called as it says.
if (bearer) Object.assign(me, { name: bearer, key: '' });

function save() {
  const { current, rooms, pending } = chat;
  write('localStorage', { me });
  if (current && !leaving) current.draft = composer.draft;
  write('sessionStorage', leaving ? {} : {
    me,
    phase: chat.entered ? 'in' : phase,
    current: current?.name,
    rooms: [...rooms.values()].map(({ name, draft }) => ({ name, draft })),
    outbox: pending.kept,
  });
}

/** 'login': the form is shown; 'joining': no answer has come yet; 'in': we are in a room. */
let phase = 'login';
let leaving = false;

const composer = new Composer({
  send(text, to) {
    chat.write(text, to);
    people();
  },
  obey({ show, frame, takeBack }) {
    const { log } = chat.current;
    if (show) return log.answer(...(show === '/who' ? who(chat.current) : [HELP]));
    if (frame) return chat.ask(frame);
    const id = /^\d+-\d+$/.test(takeBack) ? takeBack : log.lastOf(takeBack || me.name);
    if (id) chat.ask({ type: 'delete', id });
    else flash('There is nothing to take back.');
  },
});

const chat = new Chat(me, {
  discard(message) {
    chat.pending.discard(message);
    people();
    composer.focus();
  },
  answer: writeTo,
  moved: (room) => room === chat.current && newer(),
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
  unread: list,
  said: flash,
  refused: refuse,
  barred: requireToken,
  closed,
});

function writeTo(name) {
  closeDrawer();
  composer.writeTo(name);
  composer.focus();
}

// Rooms

function open(name) {
  const room = chat.room(name);
  const { current } = chat;
  if (room !== current) {
    if (current) current.draft = composer.draft;
    current?.log.element.remove();
    page.stage.prepend(room.log.element);
    composer.open(room.name, room.draft);
  }
  chat.show(room);
  if (room !== current) room.log.shown();
  page.title.replaceChildren(isolated(room.name));
  putInAddress(room.name);
  list();
  people();
}

function leave(room) {
  const waits = chat.pending.in(room).length;
  if (waits && !confirm(`Some of what you wrote in ${quoted(room.name)} has not been sent. Leave all the same?`)) return;
  chat.leave(room);
  if (room === chat.current) open(chat.rooms.keys().next().value);
  else list();
  save();
}

// What is shown

let drawing = 0;

/** Draws the people soon: a hundred who come at once are drawn once. */
function people() {
  drawing ||= requestAnimationFrame(() => {
    drawing = 0;
    showPeople(chat.current, me.name, chat.faces, writeTo);
  });
}

function list() {
  showRooms(chat.rooms, chat.current, {
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

function newer() {
  const { unseen } = chat.current.log;
  page.newer.hidden = !unseen;
  page.newer.textContent = unseen > 1 ? `${unseen} new messages` : 'New messages';
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
  if (chat.entered && chat.rooms.size > 1) {
    flash(isolated(room.name), `: ${reason}`);
    return leave(room);
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
  // The key belongs to the name it was given for.
  if (name !== me.name) me.key = '';
  Object.assign(me, { name, email: page.email.value.trim() });
  if (whyNot(name)) return refuse('name', `This can’t be a name: ${whyNot(name)}.`);
  // A room that was refused before is no longer wanted.
  if (!chat.entered) chat.rooms.clear();
  open(room);
  enter();
}

function enter() {
  phase = 'joining';
  leaving = false;
  showStatus();
  if (chat.state === 'offline') chat.start();
}

page.join.addEventListener('submit', submitLogin);

page.enter.addEventListener('submit', (event) => {
  event.preventDefault();
  const name = page.other.value.trim().normalize();
  const fault = whyNot(name);
  page['other-error'].textContent = fault && `This can’t be a room: ${fault}.`;
  if (!name || fault) return;
  page.other.value = '';
  open(name);
  closeDrawer();
  composer.focus();
});

page.quit.addEventListener('click', () => {
  if (!chat.pending.isEmpty && !confirm('Some of what you wrote has not been sent. Leave all the same?')) return;
  leaving = true;
  save();
  chat.stop();
  location.reload();
});

page.newer.addEventListener('click', () => {
  chat.current.log.toEnd();
  composer.focus();
});

addEventListener('hashchange', () => {
  // Another token, perhaps of somebody else: as if the page were opened with it.
  if (inAddress()) return location.reload();
  const name = roomInAddress();
  if (!name || whyNot(name)) return;
  if (phase === 'in') open(name);
  else page.room.value = name;
});

/** What was "Today" is so no more after midnight. */
function redate() {
  for (const { log } of chat.rooms.values()) log.redate();
}

function redateAtMidnight() {
  const midnight = new Date().setHours(24, 0, 0, 0);
  setTimeout(() => {
    redate();
    redateAtMidnight();
  }, midnight - Date.now());
}
redateAtMidnight();

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
  if (isSeen() && chat.current?.unread) {
    chat.current.unread = 0;
    list();
  }
});
addEventListener('offline', showStatus);

page.name.value = me.name;
page.name.readOnly = !!bearer;
page['name-hint'].hidden = !bearer;
page.email.value = me.email;
const requested = roomInAddress() || asked('room');
page.room.value = requested || tab.current || LOBBY;

if (tab.phase === 'in' && me.name) {
  // A reload: back to where we were, with what was written and not sent yet.
  chat.entered = true;
  for (const { name, draft } of tab.rooms) chat.room(name).draft = draft;
  open(requested && !whyNot(requested) ? requested : tab.current);
  chat.pending.restore(tab.outbox, chat.rooms, me.name);
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
