// What we know of the chat: the rooms we are in, our private conversations, and what is said in them.

import { connect } from './client.js';
import { isSeen } from './frame.js';
import { banned, told } from './order.js';
import { fold, quoted } from './page.js';
import { Pending } from './pending.js';
import { whyNotIn } from './refusal.js';
import { AT, Room } from './room.js';
import { isIgnored } from './settings.js';
import { bearer, token } from './token.js';

/** Names of rooms are compared in this form; people's, nearly as the server compares them. */
const key = (name) => (name.startsWith(AT) ? fold(name) : name.normalize('NFC'));

/** The close code that says: another window has taken this name over. */
const REPLACED = 4001;

export class Chat {
  /** The room or conversation that is shown. */
  current = null;
  /** By their keys, conversations among them. */
  rooms = new Map();
  /** The Gravatar of everybody we have heard something from. */
  faces = new Map();
  /** Whether there is a conversation to come back to. */
  entered = false;
  /** Whether another window has taken the name over. */
  replaced = false;
  /** Why the server lets nobody in without another token. */
  barred = '';
  /** What the server says instead of opening a WebSocket, for as long as that is so. */
  hint = '';
  /** Attempts since the last connection. */
  #attempts = 0;
  pending = new Pending((message) => this.#send(message));
  #client = null;
  #me;
  #on;

  /**
   * `me` is { name, email, key, seen }. `on` are the hooks of a log, and welcome(), lost(), status(),
   * entered(), people(), unread(), heard(room, message), takenBack(room, id), said(text), refused(field, text), barred(text),
   * and closed(room).
   */
  constructor(me, on) {
    this.#me = me;
    this.#on = on;
  }

  /** 'online', 'waiting' while the server can't reach what it keeps messages in, or 'offline'. */
  get state() {
    return this.#client?.state ?? 'offline';
  }

  /** The rooms among them. */
  get places() {
    return [...this.rooms.values()].filter((room) => !room.isPrivate);
  }

  /** The room of this name, or the conversation, if it is there. */
  find(name) {
    return this.rooms.get(key(name));
  }

  /** The same, new if need be. */
  room(name) {
    if (!this.find(name)) {
      const room = new Room(name.normalize('NFC'), {
        ...this.#on,
        me: () => this.#me.name,
        again: (message) => this.pending.again(message),
        message: (frame) => this.#message(frame),
        settled: (room) => {
          if (room !== this.current) return;
          room.log.filled();
          this.#on.people();
        },
      });
      room.seen = this.#me.seen[key(name)];
      this.rooms.set(key(name), room);
      if (this.#client) this.#join(room);
    }
    return this.find(name);
  }

  /** The conversation with somebody, under the name as it is written where they are seen. */
  talk(name) {
    const seen = [...this.rooms.values()].flatMap(({ people }) => [...people]);
    return this.room(AT + (seen.find((other) => fold(other) === fold(name)) ?? name));
  }

  show(room) {
    this.current = room;
    if (room.isPrivate && this.#client) room.converse(this.#link(room.to));
  }

  /** Whether somebody looks at the end of a room. */
  sees(room) {
    return room === this.current && isSeen() && room.log.hasAll;
  }

  /** What is said with one person, in the same way as in a room. */
  #link(to) {
    return {
      people: new Set([this.#me.name, to]),
      say: (text, ref) => this.#client.tell(to, text, ref),
      history: (what) => this.#client.history(to, what),
    };
  }

  /** What has been seen of private conversations, so that it is not new again. */
  get seen() {
    const here = [...this.rooms].filter(([, { isPrivate, seen }]) => isPrivate && seen);
    return { ...this.#me.seen, ...Object.fromEntries(here.map(([key, { seen }]) => [key, seen])) };
  }

  leave(room) {
    for (const message of this.pending.in(room)) this.pending.discard(message);
    this.#me.seen = this.seen;
    this.rooms.delete(key(room.name));
    if (!room.isPrivate) this.#client?.leave(room.name);
  }

  write(text) {
    this.current.see();
    this.pending.write(text, this.current, this.#me.name);
  }

  /** Asks something of the server about the room or conversation that is shown. */
  ask(frame) {
    const { to, name } = this.current;
    const where = to === undefined ? { room: name } : { to };
    if (!this.#client?.send({ ...frame, ...where })) this.#on.said('There is no connection.');
  }

  /** Connects under our name. */
  start() {
    this.stop();
    this.replaced = false;
    this.#attempts = 0;
    const { name: user, email, key: session } = this.#me;
    const seen = Object.entries(this.seen).map(([key, id]) => [key.slice(AT.length), id]);
    const options = { user: bearer || user, session, email, token, private: Object.fromEntries(seen) };
    const client = (this.#client = connect(new URL('ws', location.href), options));
    const on = (type, act) => client.on(type, (event) => client === this.#client && act(event));
    on('welcome', ({ userId, session }) => {
      Object.assign(this.#me, { name: userId, key: session });
      this.#on.welcome();
    });
    on('state', (state) => {
      if (state !== 'offline') Object.assign(this, { hint: '' }).#attempts = -1;
      this.#on.status();
    });
    on('lost', ({ code }) => this.#lost(code));
    on('private', (frame) => {
      // Who is ignored opens no conversation.
      if (this.find(AT + frame.with) || !isIgnored(frame.with)) this.#heard(frame, this.room(AT + frame.with));
    });
    on('deleted', (frame) => {
      const { to, by } = frame;
      this.#takeBack(this.find(AT + (fold(by) === fold(this.#me.name) ? to : by)), frame);
    });
    on('gap', ({ to }) => this.find(AT + to)?.log.gap());
    on('error', (error) => this.#refused(null, error));
    for (const room of new Set([this.current, ...this.rooms.values()])) this.#join(room);
    this.pending.open(user);
  }

  stop() {
    const client = this.#client;
    this.#client = null;
    client?.close();
  }

  /** Tries at once to connect, here again if another window has the name. */
  retry() {
    this.replaced = false;
    this.#attempts = 0;
    this.#client?.retry();
    this.#on.status();
  }

  async #send({ text, ref, room }) {
    // The next connection sends it.
    if (!this.#client) throw { code: 'closed' };
    return (await room.link).say(text, ref);
  }

  /** Asks to be let in, and for what was said before. */
  async #join(room) {
    if (room.isPrivate) {
      room.link = this.#link(room.to);
      return room === this.current && room.converse(room.link);
    }
    const client = this.#client;
    room.link = client.join(room.name, room.past);
    try {
      this.#listen(room, await room.link, client);
    } catch (error) {
      if (client === this.#client) this.#refused(room, error);
    }
  }

  #listen(room, link, client) {
    const on = (type, act) => link.on(type, (event) => client === this.#client && act(event));
    const people = () => room === this.current && this.#on.people();
    on('joined', (frame) => {
      room.enter(link, frame);
      this.entered = true;
      this.#on.entered();
      people();
    });
    on('who', people);
    on('moderation', (deed) => room.log.remark(...told(deed)));
    on('banned', ({ entries }) => room.log.answer(...banned(entries)));
    on('presence', ({ userId, status }) => {
      room.log.notice(userId, status === 'online');
      people();
    });
    on('chat', (frame) => this.#heard(frame, room));
    on('deleted', (frame) => {
      // In what is said again it stands for a message.
      room.hear(frame);
      this.#takeBack(room, frame);
    });
    on('left', (error) => this.#refused(room, error));
  }

  #lost(code) {
    this.replaced = code === REPLACED;
    this.pending.lost();
    for (const room of this.rooms.values()) room.lost();
    this.#on.lost();
    this.#on.status();
    // The end of a connection is no attempt. After 1, 2, 4, 8 … attempts the answer may be another one.
    const attempts = ++this.#attempts;
    if (!this.replaced && attempts && !(attempts & (attempts - 1))) this.#ask();
  }

  /** Why there is no connection. If it is the token, there is nothing to be tried again. */
  async #ask() {
    const { barred = '', hint = '' } = await whyNotIn();
    if (this.state !== 'offline') return;
    Object.assign(this, { barred, hint });
    if (!barred) return this.#on.status();
    this.stop();
    this.#on.barred(barred);
  }

  #heard(frame, room) {
    const { id, ts, userId: from, avatar: face } = frame;
    const how = room.hear(frame);
    const changed = room.log.isEmpty || (face && this.faces.get(from) !== face);
    if (face) this.faces.set(from, face);
    const message = this.#message(frame);
    const { mine } = message;
    // The same words from before we came are others: the acknowledgement will tell.
    const own = mine && how !== 'known' && this.pending.heard(frame, room);
    if (own) return own.room.log.place(own, { id, ts, avatar: face });
    // An acknowledgement has given it its place.
    if (mine && room.log.has(message)) return;
    // Who writes has read what was said before.
    if (mine || (how === 'live' && this.sees(room))) room.see();
    else if (room.isNews(frame, how) && !isIgnored(from)) {
      room.news();
      this.#on.heard(room, message);
    }
    room.log.add(message);
    this.#on.unread();
    if (changed) this.#on.people();
  }

  #takeBack(room, frame) {
    room?.log.takeBack(frame);
    if (room) this.#on.takenBack(room, frame.id);
  }

  #message({ id, ts, userId: from, text, avatar }) {
    // A message without an id was published by a script, under any name.
    const mine = from === this.#me.name && id !== undefined;
    return { id, ts: ts ?? Date.now(), from, text, avatar, mine, state: 'sent' };
  }

  /** The server refuses a room, or our name. */
  #refused(room, { code, message: reason }) {
    const rule = reason.replace(/^bad (user|room) name: it /, '');
    if (code === 'closed') return;
    // The server has said no more than that.
    if (reason === 'banned') reason = 'you were removed from this room';
    if (code === 'name_taken' || code === 'bad_name') {
      this.stop();
      this.#on.refused('name', code === 'bad_name' ? `This can’t be a name: it ${rule}.`
        : `Somebody is called ${quoted(this.#me.name)} already. Please choose another name.`);
    } else if (!room) {
      this.#on.said(reason);
    } else if (code === 'bad_room' && this.state === 'offline') {
      this.#on.refused('room', `This can’t be a room: it ${rule}.`);
    } else {
      this.#on.closed(room, reason);
    }
  }
}
