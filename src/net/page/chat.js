// What we know of the chat: the rooms we are in, and what the server says about them.
// It speaks the typed dialect: one JSON object per frame, many rooms on one connection.

import { Connection, REPLACED } from './connection.js';
import { Outbox } from './outbox.js';
import { Room } from './room.js';
import { bearer, protocols, whyNotIn } from './token.js';

/** After this long we ask again for what the server could not do. */
const AGAIN = 2_000;

// Each request has a ref, which a refusal of it repeats. Those of messages have no colon.
const JOIN = 'join:';
const PAST = 'past:';

export class Chat {
  /** The room that is shown. */
  current = null;
  rooms = new Map();
  /** The Gravatar of everybody we have heard something from. */
  faces = new Map();
  /** Whether this connection has a name. */
  welcomed = false;
  /** Whether there is a conversation to come back to. */
  entered = false;
  /** Whether another window has taken the name over. */
  replaced = false;
  /** Whether the server can't reach what it keeps messages in. */
  busWaits = false;
  /** Why the server lets nobody in without another token. */
  barred = '';
  #me;
  #on;
  #retry = 0;

  /**
   * `me` is { name, email, key }. `on` are the hooks of a log, and welcome(), lost(), status(),
   * entered(), people(), unread(), said(text), refused(field, text), barred(text),
   * and closed(room).
   */
  constructor(me, on) {
    this.#me = me;
    this.#on = on;
    const url = new URL('ws', location.href.replace(/^http/, 'ws').replace(/[?#].*/, ''));
    // Whose token it is, the connection is: no room is entered by default, which it may not be for.
    if (bearer) url.searchParams.set('user', bearer);
    this.connection = new Connection(url, protocols, {
      open: () => this.#open(),
      frame: (frame) => Object.hasOwn(this.#answers, frame?.type) && this.#answers[frame.type](frame),
      lost: (code) => this.#lost(code),
    });
    this.outbox = new Outbox(this.connection);
  }

  /** The room of this name, new if need be. */
  room(written) {
    // The form in which the server compares the names of rooms.
    const name = written.normalize('NFC');
    if (!this.rooms.has(name)) {
      this.rooms.set(name, new Room(name, {
        ...this.#on,
        again: (message) => this.#again(message),
        older: (room) => this.#older(room),
        settled: (room) => room === this.current && this.#on.people(),
      }));
      if (this.welcomed) this.join(this.rooms.get(name));
    }
    return this.rooms.get(name);
  }

  show(room) {
    this.current = room;
    this.connection.probe = room.name;
    room.unread = 0;
  }

  /** Asks to be let in, and for what was said before. */
  join(room) {
    const { name: user, email, key } = this.#me;
    const first = this.welcomed ? {} : { user, email: email || undefined, session: key || undefined };
    this.connection.send({ type: 'join', room: room.name, ...first, ...room.past, ref: JOIN + room.name });
  }

  leave(room) {
    for (const message of this.outbox.in(room)) this.outbox.discard(message);
    this.rooms.delete(room.name);
    if (this.welcomed && room.joined) this.connection.send({ type: 'leave', room: room.name });
  }

  write(text, to) {
    this.outbox.write(text, to, this.current, this.#me.name);
  }

  #again(message) {
    if (this.welcomed && !message.room.joined) this.join(message.room);
    this.outbox.again(message);
  }

  #older(room) {
    const wanted = room.older();
    if (wanted) this.connection.send({ type: 'history', ...wanted, ref: PAST + room.name });
  }

  #open() {
    this.replaced = false;
    this.join(this.current);
  }

  #lost(code) {
    clearTimeout(this.#retry);
    this.welcomed = false;
    this.busWaits = false;
    this.replaced = code === REPLACED;
    this.outbox.lost(this.rooms.values());
    for (const room of this.rooms.values()) room.lost();
    this.#on.lost();
    this.#on.status();
    if (!this.replaced) this.#ask();
  }

  /** Whether it was the token. If so, there is nothing to be tried again. */
  async #ask() {
    this.barred = await whyNotIn('ws');
    if (!this.barred || this.connection.isOpen) return;
    this.connection.stop();
    this.#on.barred(this.barred);
  }

  #answers = {
    welcome: ({ userId, session }) => {
      Object.assign(this.#me, { name: userId, key: session });
      this.welcomed = true;
      this.connection.settled();
      this.#on.welcome();
      for (const room of this.rooms.values()) if (room !== this.current) this.join(room);
      this.outbox.open(userId);
      this.#on.status();
    },

    joined: (frame) => {
      const room = this.rooms.get(frame.room);
      if (!room) return this.connection.send({ type: 'leave', room: frame.room });
      room.enter(frame);
      this.entered = true;
      this.#on.entered();
      this.#answers.who(frame);
      this.outbox.flush();
    },

    who: ({ room: name, users, count }) => {
      const room = this.rooms.get(name);
      if (!room) return;
      room.people = new Set(users);
      room.count = Math.max(count, room.people.size);
      if (room === this.current) this.#on.people();
    },

    presence: ({ room: name, userId, status }) => {
      const room = this.rooms.get(name);
      const isHere = status === 'online';
      if (!room || userId === this.#me.name || room.people.has(userId) === isHere) return;
      room.people[isHere ? 'add' : 'delete'](userId);
      room.count += isHere ? 1 : -1;
      room.log.notice(userId, isHere);
      if (room === this.current) this.#on.people();
    },

    chat: (frame) => {
      const { id, ts, to, userId: from, avatar: face } = frame;
      const room = to === undefined ? this.rooms.get(frame.room) : this.current;
      if (!room) return;
      const how = to === undefined ? room.hear(frame) : this.outbox.privates.isNew(id) && 'live';
      if (!how) return;
      const changed = room.log.isEmpty || (face && this.faces.get(from) !== face);
      if (face) this.faces.set(from, face);
      // A message without an id was published by a script, under any name.
      const mine = from === this.#me.name && id !== undefined;
      // The same words from before we came are others: the acknowledgement will tell.
      const own = mine && how !== 'known' && this.outbox.heard(frame, room);
      if (own) return own.room.log.place(own, { id, ts, avatar: face });
      if (how === 'missed' && !mine) room.log.away();
      room.log.add(this.#message(frame));
      if (how !== 'known' && !mine && (room !== this.current || document.hidden)) room.unread++;
      this.#on.unread();
      if (changed) this.#on.people();
    },

    history: ({ room: name, messages }) => {
      this.rooms.get(name)?.found(messages.map((frame) => this.#message(frame)));
    },

    ack: (frame) => this.outbox.acked(frame),

    status: ({ bus }) => {
      this.busWaits = bus === 'waiting';
      this.#on.status();
    },

    error: (frame) => {
      if (!this.outbox.refused(frame)) this.#refused(frame);
    },
  };

  #message({ id, ts, to, userId: from, text, avatar }) {
    const mine = from === this.#me.name && id !== undefined;
    return { id, ts: ts ?? Date.now(), from, to, text, avatar, mine, state: 'sent' };
  }

  /** A request of ours is refused. */
  #refused({ code, message: reason, ref = '' }) {
    if (ref.startsWith(PAST)) return this.rooms.get(ref.slice(PAST.length))?.endRequest();
    const rule = reason.replace(/^bad (user|room) name: it /, '');
    if (code === 'name_taken') {
      this.#on.refused('name', `Somebody is called ${this.#me.name} already. Please choose another name.`);
    } else if (code === 'bad_name') {
      this.#on.refused('name', `This can’t be a name: it ${rule}.`);
    } else if (code === 'bad_room' && !this.welcomed) {
      this.#on.refused('room', `This can’t be a room: it ${rule}.`);
    } else if ((code === 'forbidden' || code === 'bad_room') && ref.startsWith(JOIN)) {
      const room = this.rooms.get(ref.slice(JOIN.length));
      if (room) this.#on.closed(room, reason);
    } else if (code === 'unavailable' || code === 'rate_limited') {
      // A room that tells only half of its past has let us out again.
      if (ref.startsWith(JOIN)) this.rooms.get(ref.slice(JOIN.length))?.lost();
      clearTimeout(this.#retry);
      this.#retry = setTimeout(() => this.#enterAll(), AGAIN);
    } else if (this.welcomed) {
      this.#on.said(reason);
    }
  }

  #enterAll() {
    if (!this.connection.isOpen) return;
    for (const room of this.rooms.values()) if (!room.joined) this.join(room);
  }
}
