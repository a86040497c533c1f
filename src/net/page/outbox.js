// What we have written, until everybody has heard it. It survives outages and reloads: what was not
// acknowledged is sent again under the same ref, and the server delivers it once.

import { Book } from './room.js';

/** A message that is not acknowledged after this long: is the other side still there? */
const OVERDUE = 10_000;

const ERRORS = {
  no_such_user: ({ to }) => `${to} isn’t here any more.`,
  rate_limited: () => 'That was too fast for the server.',
  unavailable: () => 'The server can’t take messages right now.',
  too_long: () => 'This is too long for one message.',
  not_in_room: () => 'You were not in the room any more.',
};

export class Outbox {
  /** Private messages, of all rooms. */
  privates = new Book();
  #connection;
  #isOpen = false;
  /** By their refs, in the order they were written. */
  #messages = new Map();

  constructor(connection) {
    this.#connection = connection;
  }

  get isEmpty() {
    return !this.#messages.size;
  }

  /** What waits in a room. */
  in(room) {
    return [...this.#messages.values()].filter((message) => message.room === room);
  }

  write(text, to, room, from) {
    // As others will see it, should it have been cut within a character.
    text = text.toWellFormed?.() ?? text;
    const ref = `${Date.now().toString(36)}-${Math.random().toString(36).slice(2, 10)}`;
    this.#add({ ref, ts: Date.now(), from, to: to ?? undefined, text, room });
    this.flush();
  }

  #add(message) {
    Object.assign(message, { mine: true, state: 'pending' });
    this.#messages.set(message.ref, message);
    message.room.log.add(message);
  }

  again(message) {
    message.room.log.retry(message);
    this.flush();
  }

  discard(message) {
    this.#messages.delete(message.ref);
    message.room.log.remove(message);
  }

  /** The connection has a name. */
  open(name) {
    this.#isOpen = true;
    for (const message of this.#messages.values()) message.from = name;
    this.flush();
  }

  /** Sends what has not been sent on this connection, as far as the server will take it. */
  flush() {
    if (!this.#isOpen) return;
    for (const message of this.#messages.values()) {
      const { ref, text, to, room, sent, state } = message;
      if (sent || state === 'failed' || (to === undefined && !room.joined)) continue;
      message.sent = true;
      this.#connection.send({ type: 'chat', ...(to === undefined ? { room: room.name } : { to }), text, ref });
      setTimeout(() => this.#messages.get(ref)?.sent && this.#connection.check(), OVERDUE);
    }
  }

  #bookOf({ to, room }) {
    return to === undefined ? room.book : this.privates;
  }

  /**
   * A message under our name is heard: the one of ours that it is, if any. The acknowledgement may
   * have been faster, or may still come, or may have been lost.
   */
  heard({ id, to, text }, room) {
    const { acked } = this.#bookOf({ to, room });
    const own = acked.get(id) ?? [...this.#messages.values()].find((message) =>
      message.sent && message.text === text && message.to === to && (to !== undefined || message.room === room));
    if (!own) return null;
    acked.delete(id);
    this.#messages.delete(own.ref);
    return own;
  }

  acked({ ref, id }) {
    const message = this.#messages.get(ref);
    if (!message) return;
    this.#messages.delete(ref);
    const book = this.#bookOf(message);
    // Heard already, but it did not look like the one we sent.
    if (book.seen.has(id)) return message.room.log.remove(message);
    message.id = id;
    book.acked.set(id, message);
    message.room.log.settle(message);
  }

  /** Whether it was one of ours that was refused. */
  refused({ ref, code, message: reason }) {
    const message = this.#messages.get(ref);
    if (!message) return false;
    if (code === 'not_in_room') message.room.joined = false;
    message.sent = false;
    message.room.log.fail(message, ERRORS[code]?.(message) ?? reason);
    return true;
  }

  /** The connection is lost. */
  lost(rooms) {
    this.#isOpen = false;
    for (const message of this.#messages.values()) message.sent = false;
    // Acknowledged, but not heard: it has its place.
    for (const book of [this.privates, ...[...rooms].map((room) => room.book)]) {
      for (const [id, message] of book.acked) {
        book.isNew(id);
        message.room.log.place(message, message);
      }
      book.acked.clear();
    }
  }

  /** As plain values, to be restored after a reload, even by a later version of the page. */
  get kept() {
    return [...this.#messages.values()].map(({ ref, ts, to, text, room, state, error }) =>
      ({ ref, ts, to, text, room: room.name, ...(state === 'failed' && { trouble: error }) }));
  }

  restore(kept, rooms, from) {
    for (const { room, trouble: error, ...message } of kept) {
      if (!rooms.has(room)) continue;
      const restored = { ...message, from, room: rooms.get(room) };
      this.#add(restored);
      // It is sent again when somebody asks for that, as before.
      if (error) restored.room.log.fail(restored, error);
    }
  }
}
