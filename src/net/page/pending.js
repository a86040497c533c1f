// What we have written, until it has its place in the conversation. It survives a reload: what was not
// acknowledged is sent again under the same ref, and the server delivers it once.

import { quoted } from './page.js';
import { AT } from './room.js';

const ERRORS = {
  no_such_user: ({ room }) => `${quoted(room.label)} isn’t here.`,
  rate_limited: () => 'That was too fast for the server.',
  unavailable: () => 'The server can’t take messages right now.',
  too_long: () => 'This is too long for one message.',
  not_in_room: () => 'You were not in the room any more.',
};

export class Pending {
  /** By their refs, in the order they were written. */
  #messages = new Map();
  /** Acknowledged, but not heard yet. */
  #acked = new Set();
  #send;

  /** `send(message)` resolves with the id, or rejects. */
  constructor(send) {
    this.#send = send;
  }

  get isEmpty() {
    return !this.#messages.size;
  }

  /** What waits in a room. */
  in(room) {
    return [...this.#messages.values()].filter((message) => message.room === room);
  }

  write(text, room, from) {
    // As others will see it, should it have been cut within a character.
    text = text.toWellFormed?.() ?? text;
    const ref = `${Date.now().toString(36)}-${Math.random().toString(36).slice(2, 10)}`;
    const message = { ref, ts: Date.now(), from, text, room };
    this.#add(message);
    this.#deliver(message);
  }

  #add(message) {
    Object.assign(message, { mine: true, state: 'pending' });
    this.#messages.set(message.ref, message);
    message.room.log.add(message);
  }

  async #deliver(message) {
    try {
      this.#acknowledged(message, await this.#send(message));
    } catch (error) {
      // After the end of a connection the next one sends it.
      if (error.code === 'closed' || !this.#messages.has(message.ref)) return;
      message.room.log.fail(message, ERRORS[error.code]?.(message) ?? error.message);
    }
  }

  #acknowledged(message, id) {
    const { ref, room } = message;
    if (!this.#messages.delete(ref)) return;
    message.id = id;
    // Heard already, but it did not look like the one we sent.
    if (room.log.has(message)) return room.log.remove(message);
    this.#acked.add(message);
    room.log.settle(message);
  }

  /** There is a new connection, under this name. */
  open(name) {
    for (const message of this.#messages.values()) {
      message.from = name;
      if (message.state === 'pending') this.#deliver(message);
    }
  }

  again(message) {
    message.room.log.retry(message);
    this.#deliver(message);
  }

  discard(message) {
    this.#messages.delete(message.ref);
    message.room.log.remove(message);
  }

  /**
   * A message under our name is heard: the one of ours that it is, if any. The acknowledgement may
   * have been faster, or may still come, or may have been lost.
   */
  heard({ id, text }, room) {
    const isThere = (message) => message.room === room;
    const own = [...this.#acked].find((message) => message.id === id && isThere(message))
      ?? [...this.#messages.values()].find((message) => message.text === text && message.state === 'pending' && isThere(message));
    if (!own) return null;
    this.#acked.delete(own);
    this.#messages.delete(own.ref);
    return own;
  }

  /** The connection is lost. What was acknowledged, but not heard, has its place. */
  lost() {
    for (const message of this.#acked) message.room.log.place(message, message);
    this.#acked.clear();
  }

  /** As plain values, to be restored after a reload, even by a later version of the page. */
  get kept() {
    return [...this.#messages.values()].map(({ ref, ts, text, room, state, error }) =>
      ({ ref, ts, text, room: room.name, ...(state === 'failed' && { trouble: error }) }));
  }

  /** `find` knows the rooms by their names. */
  restore(kept, find, from) {
    for (const { room: name, to, trouble: error, ...message } of kept) {
      // An earlier version kept private messages with the room in which they were written.
      const room = find(to === undefined ? name : AT + to);
      if (!room) continue;
      const restored = { ...message, from, room };
      this.#add(restored);
      // It is sent again when somebody asks for that, as before.
      if (error) restored.room.log.fail(restored, error);
    }
  }
}
