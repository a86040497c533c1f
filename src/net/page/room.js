// A room as the page shows it, or a private conversation: how much of what was said is there, and what is new.
//
// The history is requested in three ways: the last few messages when we come for the first time,
// all that came after the last one we know when we come back, and older ones by and by.

import { isAfter } from './client.js';
import { Log } from './log.js';
import { START, isFirst } from './message.js';

/** How many messages a newcomer is shown, and how many more each time older ones are requested. */
const SOME = 50;
/** A replay that does not come to its end is over after this long: the log may have lost its end. */
const REPLAY_TIMEOUT = 3_000;
const NOBODY = new Set();

/** Before the name of a person in the name of a conversation: no room has it in its own. */
export const AT = '@';

/** A room we are in, or want to be in, or a private conversation. */
export class Room {
  unread = 0;
  /** The newest id that has been seen. */
  seen = undefined;
  draft = undefined;
  /** The client's room, as soon as we are in it. */
  link = null;
  #room = null;
  /** The newest id heard: what came after it is missed while we are away. */
  #last = undefined;
  /** What is being said again: { isNews, until }. */
  #replay = null;
  #timer = 0;
  #isAsking = false;
  #hasPast = false;
  #on;

  /** `on` are the log's hooks, me(), moved(room), and settled(room): all was said again. */
  constructor(name, on) {
    this.name = name;
    /** The other one of a private conversation. */
    this.to = name.startsWith(AT) ? name.slice(AT.length) : undefined;
    this.#on = on;
    this.log = new Log(this.isPrivate ? `with ${this.to}` : `in ${name}`, {
      ...on,
      moved: () => on.moved(this),
      older: () => this.#older(),
      hasNews: () => this.unread > 0,
      names: () => [on.me(), ...this.people],
    });
  }

  get isPrivate() {
    return this.to !== undefined;
  }

  get label() {
    return this.to ?? this.name;
  }

  get people() {
    return this.#room?.people ?? NOBODY;
  }

  get count() {
    return Math.max(this.#room?.count ?? 0, this.people.size);
  }

  /** How much is wanted of what was said before. */
  get past() {
    return this.#last === undefined ? { history: SOME } : { since: this.#last };
  }

  /** Whether messages come that were said before we came. */
  get isReplaying() {
    return !!this.#replay || this.#isAsking;
  }

  /** All has been seen. */
  see() {
    this.unread = 0;
    this.seen = this.#last ?? this.seen;
  }

  /** Whether a message is news; `how` is what hear() says. */
  isNews({ id }, how) {
    return how === 'known' ? !!this.seen && isAfter(id, this.seen) : true;
  }

  /** A message comes that has not been seen. */
  news() {
    if (!this.unread++) this.log.mark();
  }

  /** A conversation is given its past when it is shown. */
  converse(link) {
    this.#room = this.link = link;
    if (!this.#hasPast) this.#older();
  }

  /** We are in, and are now told what was said before. */
  enter(room, { last, complete }) {
    this.#room = room;
    const isNews = this.#last !== undefined;
    const missed = last && (!isNews || isAfter(last, this.#last));
    if (isNews && !complete) this.log.gap();
    if (!last) {
      // Nothing has been said, as far as the server knows.
      this.#last = START;
      this.log.whole();
    } else if (isNews && !missed) {
      this.#last = last;
    }
    this.#replay = missed ? { isNews, until: last } : null;
    if (missed) this.#waitForMore();
  }

  #waitForMore() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#settle(), REPLAY_TIMEOUT);
  }

  #settle() {
    clearTimeout(this.#timer);
    if (!this.#replay) return;
    this.#replay = null;
    this.#askForBeginning();
    this.#on.settled(this);
  }

  /** Usually nothing is older than a first message, but only the server can say so. */
  #askForBeginning() {
    if (this.log.oldest && isFirst(this.log.oldest)) this.#older();
  }

  /**
   * Notes a message that is heard. Says how it has to be shown: 'live' if it was said just now,
   * 'missed' if it was said while we were away, 'known' before we came.
   */
  hear({ id }) {
    if (id === undefined) return 'live';
    if (this.isPrivate && this.seen && !isAfter(id, this.seen)) return 'known';
    const replay = this.#replay;
    if (this.#last === undefined || isAfter(id, this.#last)) this.#last = id;
    if (!replay || isAfter(id, replay.until)) return 'live';
    this.log.hush();
    if (id === replay.until) queueMicrotask(() => this.#settle());
    else this.#waitForMore();
    return replay.isNews ? 'missed' : 'known';
  }

  async #older() {
    if (!this.#room || this.#replay || this.#isAsking || this.log.isFull) return;
    const { oldest } = this.log;
    this.#isAsking = true;
    this.log.asks(true);
    const messages = await this.#before(oldest).catch(() => null);
    // Older ones may have been dropped meanwhile, or the first one has come.
    const isNext = messages && this.log.oldest === oldest;
    if (isNext && messages.length) await this.log.addOlder(messages.map(this.#on.message));
    else if (isNext) this.log.whole();
    this.#isAsking = false;
    this.log.asks(false);
    this.#hasPast ||= isNext;
    if (isNext && messages.length) this.#last ??= messages.at(-1).id;
    if (isNext) this.#askForBeginning();
    else if (messages && oldest === undefined) this.#older();
    this.#on.settled(this);
  }

  /** The messages before an id that have not been taken back; none if there are no more. */
  async #before(id) {
    for (;;) {
      const all = await this.#room.history({ before: id, limit: SOME });
      const messages = all.filter(({ text }) => text !== undefined);
      if (messages.length || !all.length) return messages;
      id = all[0].id;
    }
  }

  lost() {
    clearTimeout(this.#timer);
    this.#replay = null;
    this.log.asks(false);
  }
}
