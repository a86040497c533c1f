// What we know of the chat: the rooms we are in, and what is said in them.

import { connect } from './client.js';
import { isSeen } from './frame.js';
import { banned, told } from './order.js';
import { quoted } from './page.js';
import { Pending } from './pending.js';
import { whyNotIn } from './refusal.js';
import { Room } from './room.js';
import { bearer, token } from './token.js';

/** The close code that says: another window has taken this name over. */
const REPLACED = 4001;

export class Chat {
  /** The room that is shown. */
  current = null;
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
   * `me` is { name, email, key }. `on` are the hooks of a log, and welcome(), lost(), status(),
   * entered(), people(), unread(), said(text), refused(field, text), barred(text),
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

  /** The room of this name, new if need be. */
  room(written) {
    // The form in which the server compares the names of rooms.
    const name = written.normalize('NFC');
    if (!this.rooms.has(name)) {
      const room = new Room(name, {
        ...this.#on,
        again: (message) => this.pending.again(message),
        message: (frame) => this.#message(frame),
        settled: (room) => room === this.current && this.#on.people(),
      });
      this.rooms.set(name, room);
      if (this.#client) this.#join(room);
    }
    return this.rooms.get(name);
  }

  show(room) {
    this.current = room;
    room.unread = 0;
  }

  leave(room) {
    for (const message of this.pending.in(room)) this.pending.discard(message);
    this.rooms.delete(room.name);
    this.#client?.leave(room.name);
  }

  write(text, to) {
    this.pending.write(text, to, this.current, this.#me.name);
  }

  /** Asks something of the server about the room that is shown. */
  ask(frame) {
    if (!this.#client?.send({ ...frame, room: this.current.name })) this.#on.said('There is no connection.');
  }

  /** Connects under our name. */
  start() {
    this.stop();
    this.replaced = false;
    this.#attempts = 0;
    const { name: user, email, key: session } = this.#me;
    const client = (this.#client = connect(new URL('ws', location.href), { user: bearer || user, session, email, token }));
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
    on('private', (frame) => this.#heard(frame, this.current));
    on('deleted', (frame) => this.rooms.forEach((room) => room.log.takeBack(frame)));
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

  async #send({ text, to, ref, room }) {
    // The next connection sends it.
    if (!this.#client) throw { code: 'closed' };
    return to === undefined ? (await room.link).say(text, ref) : this.#client.tell(to, text, ref);
  }

  /** Asks to be let in, and for what was said before. */
  async #join(room) {
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
      room.log.takeBack(frame);
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
    const { id, ts, to, userId: from, avatar: face } = frame;
    const how = to === undefined ? room.hear(frame) : 'live';
    const changed = room.log.isEmpty || (face && this.faces.get(from) !== face);
    if (face) this.faces.set(from, face);
    const message = this.#message(frame);
    const { mine } = message;
    // The same words from before we came are others: the acknowledgement will tell.
    const own = mine && how !== 'known' && this.pending.heard(frame, room);
    if (own) return own.room.log.place(own, { id, ts, avatar: face });
    // An acknowledgement has given it its place.
    if (mine && room.log.has(message)) return;
    if (how === 'missed' && !mine) room.log.away();
    room.log.add(message);
    if (how !== 'known' && !mine && (room !== this.current || !isSeen())) room.unread++;
    this.#on.unread();
    if (changed) this.#on.people();
  }

  #message({ id, ts, to, userId: from, text, avatar }) {
    // A message without an id was published by a script, under any name.
    const mine = from === this.#me.name && id !== undefined;
    return { id, ts: ts ?? Date.now(), from, to, text, avatar, mine, state: 'sent' };
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
