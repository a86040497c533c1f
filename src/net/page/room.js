// A room: who is there, and how much of what was said in it is on the page.
//
// The history is requested in three ways: the last few messages when we come for the first time,
// all that came after the last one we know when we come back, and older ones by and by.

import { Log } from './log.js';
import { START, isAfter, isFirst } from './message.js';

/** How many messages a newcomer is shown, and how many more each time older ones are requested. */
const SOME = 50;
/** Ids remembered, so that nothing is shown twice. */
const MOST_IDS = 4000;
/** A replay that does not come to its end is over after this long: the log may have lost its end. */
const REPLAY_TIMEOUT = 3_000;

/** Which messages have been shown, and which of ours have an id but were not heard yet. */
export class Book {
  seen = new Set();
  acked = new Map();

  isNew(id) {
    if (this.seen.has(id)) return false;
    this.seen.add(id);
    if (this.seen.size > MOST_IDS) this.seen.delete(this.seen.values().next().value);
    return true;
  }
}

/** A room we are in, or want to be in. */
export class Room {
  joined = false;
  people = new Set();
  count = 0;
  unread = 0;
  draft = undefined;
  book = new Book();
  /** The newest id heard: what came after it is missed while we are away. */
  #last = undefined;
  /** What is being said again: { isNews, until }. */
  #replay = null;
  #timer = 0;
  /** The id before which older messages are requested. */
  #olderThan = null;
  #on;

  /** `on` are the log's hooks, moved(room), older(room), and settled(room): all was said again. */
  constructor(name, on) {
    this.name = name;
    this.#on = on;
    this.log = new Log(name, {
      ...on,
      moved: () => on.moved(this),
      older: () => on.older(this),
      gone: ({ id, to }) => to === undefined && this.book.seen.delete(id),
    });
  }

  /** How much is wanted of what was said before. */
  get past() {
    return this.#last === undefined ? { history: SOME } : { since: this.#last };
  }

  /** Whether messages come that were said before we came. */
  get isReplaying() {
    return !!this.#replay;
  }

  /** We are in, and are now told what was said before. */
  enter({ last, complete }) {
    const isNews = this.#last !== undefined;
    const missed = last && (!isNews || isAfter(last, this.#last));
    this.joined = true;
    if (isNews && !complete) this.log.gap();
    if (!last) {
      // Nothing has been said, as far as the server knows.
      this.#last = START;
      this.log.whole();
    } else if (isNews && !missed) {
      this.#last = last;
    }
    this.#replay = missed ? { isNews, until: last } : null;
    if (missed) this.#wait();
  }

  #wait() {
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
    if (this.log.oldest && isFirst(this.log.oldest)) this.#on.older(this);
  }

  /**
   * Notes a message that is heard. Says how it has to be shown: 'live' if it was said just now,
   * 'missed' if it was said while we were away, 'known' before we came; null if it is there already.
   */
  hear({ id }) {
    if (id === undefined) return 'live';
    const replay = this.#replay;
    if (this.#last === undefined || isAfter(id, this.#last)) this.#last = id;
    const isNew = this.book.isNew(id);
    if (!replay || isAfter(id, replay.until)) return isNew ? 'live' : null;
    this.log.hush();
    if (id === replay.until) queueMicrotask(() => this.#settle());
    else this.#wait();
    return !isNew ? null : replay.isNews ? 'missed' : 'known';
  }

  /** What to request, if there may be older messages. */
  older() {
    if (!this.joined || this.#replay || this.#olderThan || this.log.isFull) return null;
    this.#olderThan = this.log.oldest ?? 'none';
    this.log.asks(true);
    return { room: this.name, before: this.log.oldest, limit: SOME };
  }

  /** The answer, as messages to be shown. */
  found(messages) {
    const isWanted = this.#olderThan === (this.log.oldest ?? 'none');
    if (!isWanted) return;
    if (messages.length) this.log.addOlder(messages.filter(({ id }) => this.book.isNew(id)));
    else this.log.whole();
    this.endRequest();
    this.#askForBeginning();
  }

  /** No answer will come, or it has come. */
  endRequest() {
    this.#olderThan = null;
    this.log.asks(false);
  }

  lost() {
    clearTimeout(this.#timer);
    this.joined = false;
    this.#replay = null;
    this.#olderThan = null;
    this.log.lost();
  }
}
