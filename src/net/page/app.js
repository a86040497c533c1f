// The page: who we are, the rooms we are in, and what the server says about them.
// It speaks the typed dialect: one JSON object per frame, many rooms on one connection.

import { Connection, REPLACED } from './connection.js';
import { Book, Room } from './log.js';
import {
  allowGravatar, avatar, closeDrawer, flash, make, page, read, roomInAddress, say, show, showPeople, showRooms, whyNot,
  write,
} from './page.js';
import { Composer, loadEmoji } from './text.js';

const LOBBY = 'lobby';
const touch = matchMedia('(pointer: coarse)');
/** A message that is not acknowledged after this long: is the other side still there? */
const OVERDUE = 10_000;

// What is remembered: in this tab everything, so that a reload changes nothing; beyond it the name.

const tab = read('sessionStorage');
const known = tab.me ? tab : read('localStorage');
const me = { name: '', email: '', key: '', ...known.me };

function save() {
  write('localStorage', { me });
  if (current && !leaving) current.draft = composer.draft;
  write('sessionStorage', leaving ? {} : {
    me,
    phase: entered ? 'in' : phase,
    current: current?.name,
    rooms: [...rooms.values()].map(({ name, draft }) => ({ name, draft })),
    outbox: [...outbox.values()].map(({ ref, ts, to, text, room }) => ({ ref, ts, to, text, room: room.name })),
  });
}

// State

/** 'door': we ask for a name; 'joining': we ask the server; 'in': we were let in. */
let phase = 'door';
/** Whether this connection has a name. */
let welcomed = false;
let replaced = false;
let busWaits = false;
let leaving = false;
/** Whether there is a conversation to come back to. */
let entered = false;
let current = null;
const rooms = new Map();
/** What was written and not acknowledged, by its ref, in the order it was written. */
const outbox = new Map();
/** The Gravatar of everybody we have heard something from. */
const faces = new Map();

const privates = new Book();
const hooks = { again, discard, answer: writeTo, moved: (room) => room === current && newer() };

const composer = new Composer(compose);
const connection = new Connection(new URL('ws', location.href.replace(/^http/, 'ws').replace(/#.*/, '')), {
  open: () => {
    replaced = false;
    connection.probe = current.name;
    join(current);
  },
  frame: (frame) => Object.hasOwn(answers, frame?.type) && answers[frame.type](frame),
  lost,
});

function join(room) {
  const first = welcomed ? {} : { user: me.name, email: me.email || undefined, session: me.key || undefined };
  connection.send({ type: 'join', room: room.name, ...first });
}

const answers = {
  welcome({ userId, session }) {
    Object.assign(me, { name: userId, key: session });
    for (const message of outbox.values()) message.from = userId;
    welcomed = true;
    phase = 'in';
    connection.settled();
    allowGravatar(!!me.email);
    showChat();
    for (const room of rooms.values()) if (room !== current) join(room);
    save();
    flush();
    showStatus();
    loadEmoji().then((loaded) => loaded && rooms.forEach((room) => room.log.redraw()));
  },

  joined({ room: name, users, count, last }) {
    const room = rooms.get(name);
    if (!room) return connection.send({ type: 'leave', room: name });
    room.joined = true;
    entered = true;
    room.last ??= last;
    page['other-error'].textContent = '';
    answers.who({ room: name, users, count });
    flush();
  },

  who({ room: name, users, count }) {
    const room = rooms.get(name);
    if (!room) return;
    room.people = new Set(users);
    room.count = Math.max(count, room.people.size);
    if (room === current) people();
  },

  presence({ room: name, userId, status }) {
    const room = rooms.get(name);
    const isHere = status === 'online';
    if (!room || userId === me.name || room.people.has(userId) === isHere) return;
    room.people[isHere ? 'add' : 'delete'](userId);
    room.count += isHere ? 1 : -1;
    room.log.notice(userId, isHere);
    if (room === current) people();
  },

  chat(frame) {
    const { id, ts, to, userId: from, text, avatar: face } = frame;
    const room = to === undefined ? rooms.get(frame.room) : current;
    if (!room) return;
    const book = to === undefined ? room.book : privates;
    if (id !== undefined && !book.isNew(id)) return;
    if (to === undefined && id !== undefined) room.last = id;
    const changed = room.log.isEmpty || (face && faces.get(from) !== face);
    if (face) faces.set(from, face);
    // What has no id was published by a script, whatever name it gives.
    const mine = from === me.name && id !== undefined;
    // The acknowledgement may have been faster, or may still come, or may have been lost.
    const own = mine && (book.acked.get(id) ?? [...outbox.values()].find((message) =>
      message.sent && message.text === text && message.to === to && (to !== undefined || message.room === room)));
    if (own) {
      book.acked.delete(id);
      outbox.delete(own.ref);
      return own.room.log.place(own, { ts, avatar: face });
    }
    room.log.add({ id, ts: ts ?? Date.now(), from, to, text, avatar: face, mine, state: 'sent' });
    if (!mine && (room !== current || document.hidden)) room.unread++;
    list();
    if (changed) people();
  },

  ack({ ref, id }) {
    const message = outbox.get(ref);
    if (!message) return;
    outbox.delete(ref);
    const book = message.to === undefined ? message.room.book : privates;
    // Heard already, but it did not look like the one we sent.
    if (book.seen.has(id)) return message.room.log.remove(message);
    message.id = id;
    book.acked.set(id, message);
    message.room.log.settle(message);
  },

  status({ bus }) {
    busWaits = bus === 'waiting';
    showStatus();
  },

  error({ code, message: reason, ref }) {
    const message = outbox.get(ref);
    if (message) {
      if (code === 'not_in_room') message.room.joined = false;
      message.sent = false;
      return message.room.log.fail(message, TROUBLES[code]?.(message) ?? reason);
    }
    const rule = reason.replace(/^bad (user|room) name: it /, '');
    if (code === 'name_taken') refuse('name', `Somebody is called ${me.name} already. Please choose another name.`);
    else if (code === 'bad_name') refuse('name', `This can’t be a name: it ${rule}.`);
    else if (code === 'bad_room' && !welcomed) refuse('room', `This can’t be a room: it ${rule}.`);
    else if (code === 'unavailable' || code === 'rate_limited') {
      // Perhaps some rooms could not be entered. Those that were say so again, and nothing else.
      clearTimeout(retry);
      retry = setTimeout(() => connection.isOpen && [...rooms.values()].filter(({ joined }) => !joined).forEach(join), 2000);
    } else if (welcomed) flash(reason);
  },
};

let retry = 0;

const TROUBLES = {
  no_such_user: ({ to }) => `${to} isn’t here any more.`,
  rate_limited: () => 'That was too fast for the server.',
  unavailable: () => 'The server can’t take messages right now.',
  too_long: () => 'This is too long for one message.',
  not_in_room: () => 'You were not in the room any more.',
};

function lost(code) {
  // Nobody is waiting to be let in: the next try comes with another name.
  if (phase === 'door') connection.stop();
  welcomed = false;
  busWaits = false;
  replaced = code === REPLACED;
  for (const room of rooms.values()) room.joined = false;
  for (const message of outbox.values()) message.sent = false;
  // Acknowledged, but not heard: it has no better place than the one it has.
  for (const book of [privates, ...[...rooms.values()].map((room) => room.book)]) {
    for (const [id, message] of book.acked) {
      book.isNew(id);
      message.room.log.place(message, message);
    }
    book.acked.clear();
  }
  showStatus();
}

// Writing

function compose(text, to) {
  const message = {
    ref: `${Date.now().toString(36)}-${Math.random().toString(36).slice(2, 10)}`,
    ts: Date.now(), from: me.name, to: to ?? undefined, text, mine: true, state: 'pending', room: current,
  };
  outbox.set(message.ref, message);
  current.log.add(message);
  people();
  flush();
}

/** Sends what has not been sent on this connection, as far as the server will take it. */
function flush() {
  if (!welcomed) return;
  for (const message of outbox.values()) {
    const { ref, text, to, room, sent, state } = message;
    if (sent || state === 'failed' || (to === undefined && !room.joined)) continue;
    message.sent = true;
    connection.send({ type: 'chat', ...(to === undefined ? { room: room.name } : { to }), text, ref });
    setTimeout(() => outbox.get(ref)?.sent && connection.check(), OVERDUE);
  }
}

function again(message) {
  message.room.log.retry(message);
  if (welcomed && !message.room.joined) join(message.room);
  flush();
}

function discard(message) {
  outbox.delete(message.ref);
  message.room.log.remove(message);
  people();
  composer.focus();
}

function writeTo(name) {
  closeDrawer();
  composer.writeTo(name);
  composer.focus();
}

// Rooms

function open(name) {
  if (!rooms.has(name)) {
    rooms.set(name, new Room(name, hooks));
    if (welcomed) join(rooms.get(name));
  }
  const room = rooms.get(name);
  if (room !== current) {
    if (current) current.draft = composer.draft;
    current?.log.element.remove();
    current = room;
    page.stage.prepend(room.log.element);
    composer.open(room.name, room.draft);
    room.log.shown();
  }
  room.unread = 0;
  connection.probe = name;
  page.title.textContent = name;
  history.replaceState(null, '', `#${encodeURIComponent(name)}`);
  list();
  people();
}

function leave(room) {
  const waiting = [...outbox.values()].filter((message) => message.room === room);
  if (waiting.length && !confirm(`Some of what you wrote in ${room.name} has not been sent. Leave all the same?`)) return;
  for (const { ref } of waiting) outbox.delete(ref);
  rooms.delete(room.name);
  if (welcomed) connection.send({ type: 'leave', room: room.name });
  if (room === current) open(rooms.keys().next().value);
  else list();
  save();
}

// What is shown

let drawing = 0;

/** Draws the people soon: a hundred who come at once are drawn once. */
function people() {
  drawing ||= requestAnimationFrame(() => {
    drawing = 0;
    showPeople(current, me.name, faces, writeTo);
  });
}

const list = () => showRooms(rooms, current, {
  enter(room) {
    open(room.name);
    closeDrawer();
    // Focus in the field would bring up the keyboard of a phone, and hide what is to be read.
    (touch.matches ? room.log.element : composer).focus();
  },
  leave,
});

function showChat() {
  page.me.replaceChildren(avatar(me.name, faces.get(me.name)), make('b', '', me.name));
  if (page.chat.isConnected && !page.chat.hidden) return;
  show(page.chat);
  composer.fit();
  current.log.shown();
  if (!touch.matches) composer.focus();
}

function newer() {
  const { unseen } = current.log;
  page.newer.hidden = !unseen;
  page.newer.textContent = unseen > 1 ? `${unseen} new messages` : 'New messages';
}

function showStatus() {
  if (replaced) {
    say('You are in this chat in another window now.', 'Use it here', () => connection.start());
  } else if (phase !== 'door' && !welcomed) {
    const outage = navigator.onLine ? 'No connection, trying again.' : 'You are offline.';
    const kept = phase === 'in' ? ' What you write is kept.' : '';
    say(outage + kept, 'Try now', () => connection.retryNow());
  } else {
    say(busWaits ? 'The server is waiting for its store. Messages may take a while.' : '');
  }
}

// The door

function refuse(field, text) {
  if (phase !== 'door') {
    // The server has refused it, and with it the key.
    if (field === 'name') me.key = '';
    page.name.value = me.name;
  }
  phase = 'door';
  show(page.door);
  page[`${field}-error`].textContent = text;
  page[field].setAttribute('aria-invalid', 'true');
  page[field].focus();
  say('');
}

function knock(event) {
  event.preventDefault();
  const name = page.name.value.trim();
  const room = page.room.value.trim() || LOBBY;
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
  // A room that was asked for and refused before is not what is meant now.
  if (!entered) rooms.clear();
  open(room);
  enter();
}

function enter() {
  phase = 'joining';
  leaving = false;
  showStatus();
  if (connection.isOpen) join(current);
  else {
    connection.start();
    connection.retryNow();
  }
}

page.join.addEventListener('submit', knock);

page.enter.addEventListener('submit', (event) => {
  event.preventDefault();
  const name = page.other.value.trim();
  const fault = whyNot(name);
  page['other-error'].textContent = fault && `This can’t be a room: ${fault}.`;
  if (!name || fault) return;
  page.other.value = '';
  open(name);
  closeDrawer();
  composer.focus();
});

page.quit.addEventListener('click', () => {
  if (outbox.size && !confirm('Some of what you wrote has not been sent. Leave all the same?')) return;
  leaving = true;
  save();
  connection.stop();
  location.reload();
});

page.newer.addEventListener('click', () => {
  current.log.toEnd();
  composer.focus();
});

addEventListener('hashchange', () => {
  const name = roomInAddress();
  if (!name || whyNot(name)) return;
  if (phase === 'in') open(name);
  else page.room.value = name;
});

addEventListener('pagehide', save);
document.addEventListener('visibilitychange', () => {
  if (document.hidden) return save();
  if (current?.unread) {
    current.unread = 0;
    list();
  }
});
addEventListener('offline', showStatus);

page.name.value = me.name;
page.email.value = me.email;
page.room.value = roomInAddress() || tab.current || LOBBY;

if (tab.phase === 'in' && me.name) {
  // A reload: back to where we were, with what was written and not sent yet.
  entered = true;
  for (const { name, draft } of tab.rooms) rooms.set(name, Object.assign(new Room(name, hooks), { draft }));
  const asked = roomInAddress();
  open(asked && !whyNot(asked) ? asked : tab.current);
  for (const { room, ...message } of tab.outbox) {
    if (!rooms.has(room)) continue;
    outbox.set(message.ref, { ...message, from: me.name, mine: true, state: 'pending', room: rooms.get(room) });
    rooms.get(room).log.add(outbox.get(message.ref));
  }
  enter();
  phase = 'in';
  showChat();
} else {
  show(page.door);
  (me.name ? page.join.querySelector('[type=submit]') : page.name).focus();
}
