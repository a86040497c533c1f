// A conversation: which messages are shown, and in which order.
//
// Messages stand in the order of their ids, whenever they come. Own ones stay at the end until the
// server has said where their place is.

import { Chunks, SIZE } from './chunks.js';
import { isAfter } from './client.js';
import { drawn } from './frame.js';
import { draw, isFirst, restate, veil, write } from './message.js';
import { Notice } from './notice.js';
import { button, day, inFull, make, time } from './page.js';
import { Reader } from './reader.js';

/** More than this is not kept on the page; twice as much while somebody reads further up. */
const MOST = 1000;
/** So many older ones come in a frame. */
const FEW = 5;
/** Messages of one person within this time are shown as one group. */
const GROUP = 5 * 60_000;
/** A message is on the screen after this time: older ones go then, in a task of their own. */
const SHOWN = 20;
/** Screen readers look at what has changed a little later. */
const HUSH = 1000;

export class Log {
  element = make('div', 'log');
  #hooks;
  #chunks = new Chunks(this.element);
  /** Those that have their place, in order, and our own that have none yet. */
  #placed = [];
  #waiting = [];
  #ofElement = new WeakMap();
  #notice = null;
  /** The line above what is new, or was when it came. */
  #line = make('p', 'new', make('span', '', 'New'));
  #reader = new Reader(this.element, {
    moved: () => this.#hooks.moved(),
    older: () => this.#hooks.older(),
    news: () => this.#hooks.hasNews() && this.#line.isConnected && this.#line,
  });
  #hushed = 0;
  #trimming = 0;
  /** The way to the menu of a message: it comes to the one that is pointed at, or reached with the keyboard. */
  #menu = button('more', () => this.#hooks.more(this.#menu, this.#ofElement.get(this.#menu.closest('.message'))));
  /** What stands above the first message: a way to older ones, or that there are none. */
  #head = make('div', 'older');
  #more = button('', () => this.#hooks.older(), '');
  #isWhole = false;

  /**
   * `hooks` are again(message), discard(message), answer(name), more(opener, message), names(), moved(), older(),
   * and hasNews().
   */
  constructor(where, hooks) {
    const { element } = this;
    // A reader who unfolds a message at the end begins at its beginning.
    this.#hooks = { ...hooks, folded: () => this.#reader.look() };
    element.tabIndex = 0;
    element.setAttribute('role', 'log');
    element.setAttribute('aria-live', 'polite');
    element.setAttribute('aria-label', `Conversation ${where}`);
    element.append(this.#head);
    element.addEventListener('click', ({ target }) => {
      const message = target.matches('.name, .name *') && this.#ofElement.get(target.closest('.message'));
      if (message && !message.mine) hooks.answer(message.from);
    });
    this.#menu.ariaHasPopup = 'menu';
    element.addEventListener('pointerover', ({ target }) => this.#offer(this.#ofElement.get(target.closest('.message'))));
    element.addEventListener('focusin', ({ target }) => target !== this.#menu
      && this.#offer(this.#ofElement.get(target.closest('.message')) ?? this.#placed.findLast(hasMenu)));
    element.addEventListener('keydown', (event) => {
      const all = event.target === this.#menu ? this.#placed.filter(hasMenu) : [];
      const at = all.findIndex((message) => message.element.contains(this.#menu));
      const next = all[{ ArrowUp: at - 1, ArrowDown: at + 1 }[event.key]];
      if (!next) return;
      event.preventDefault();
      this.#offer(next);
      this.#menu.focus();
    });
    this.asks(false);
  }

  get isEmpty() {
    return !this.#placed.length && !this.#waiting.length;
  }

  /** The id of the oldest message shown. */
  get oldest() {
    return this.#placed.find(hasPlace)?.id;
  }

  /** Whether older messages are known not to be there, or there is no room for them. */
  get isFull() {
    return this.#isWhole || this.#placed.length >= 2 * MOST;
  }

  /** Whether all has been in view. */
  get hasAll() {
    return this.#reader.hasAll;
  }

  /** Whether a message is shown, in its place. */
  has({ id }) {
    return this.#placed.some((message) => message.id === id);
  }

  add(message) {
    const isPending = message.state === 'pending';
    if (isPending) this.#unmark();
    const follows = this.#reader.keepPlace(() => this.#add(message), isPending);
    this.#trimming ||= setTimeout(() => this.#trim(), SHOWN);
    if (!follows) this.#hooks.moved();
  }

  /** Adds what was said before, a few messages in each frame, the newest first; what the reader looks at stays there. */
  async addOlder(messages) {
    // Those that came last may have been dropped meanwhile.
    for (let { oldest } = this; messages.length && this.oldest === oldest; ) {
      const few = messages.splice(-FEW).reverse();
      this.hush();
      this.#reader.keepPlace(() => this.#reader.keepSight(() => few.forEach((message) => this.#add(message))));
      ({ oldest } = this);
      await drawn();
    }
  }

  /** Nothing older can be had. */
  whole() {
    this.#isWhole = true;
    this.asks(false);
  }

  /** Older messages are requested, or are there. */
  asks(isAsking) {
    const text = !this.isFull ? (isAsking ? 'Loading …' : 'Show older messages')
      : !this.#isWhole ? 'The page can’t show more at once.'
      : this.oldest && !isFirst(this.oldest) ? 'Older messages are gone.' : 'The conversation begins here.';
    this.#more.textContent = text;
    const hadFocus = this.#head.contains(document.activeElement);
    const said = this.isFull ? make('p', '', text) : this.#more;
    if (!said.isConnected) this.#head.replaceChildren(said);
    if (hadFocus && this.isFull) this.element.focus({ preventScroll: true });
    this.#head.hidden = this.isEmpty;
  }

  /** What changes now is not news: screen readers are not to read it out. */
  hush() {
    clearTimeout(this.#hushed);
    this.element.setAttribute('aria-live', 'off');
    this.#hushed = setTimeout(() => this.element.setAttribute('aria-live', 'polite'), HUSH);
  }

  /** Says at the end that something may be missing there. */
  gap() {
    if (this.isEmpty || this.#last?.matches('.gap')) return;
    this.#divide(make('p', 'gap', make('span', '', 'Some messages may be missing here')));
  }

  /** What comes now is new. */
  mark() {
    this.#unmark();
    // One line is enough.
    if (!this.#last?.matches('.gap')) this.#divide(this.#line);
  }

  #unmark() {
    this.#line.parentElement?.style.removeProperty('content-visibility');
    this.#take(this.#line);
  }

  /** The server has taken it. */
  settle(message) {
    message.state = 'sent';
    restate(message, this.#hooks);
  }

  /** The server has refused it. It stays where it is, so that nothing is lost. */
  fail(message, error) {
    message.state = 'failed';
    message.error = error;
    this.#reader.keepPlace(() => restate(message, this.#hooks));
  }

  retry(message) {
    message.state = 'pending';
    restate(message, this.#hooks);
  }

  /** Everybody has seen it, and where: it no longer waits. */
  place(message, { id, ts, avatar: hash }) {
    if (!this.#waiting.includes(message)) return;
    // An older message has come with the past, and so has this one.
    if (this.has({ id })) return this.remove(message);
    this.#waiting = this.#waiting.filter((other) => other !== message);
    Object.assign(message, { id, ts, avatar: hash, state: 'sent' });
    this.#reader.keepPlace(() => {
      message.meta.lastChild.replaceWith(time(ts));
      restate(message, this.#hooks);
      this.#insert(message);
    });
  }

  /** A message was taken back: its words go, its place stays. */
  takeBack({ id, by }) {
    const message = this.#placed.find((message) => message.id === id);
    if (!message) return;
    Object.assign(message, { text: '', by });
    this.#reader.keepPlace(() => write(message, this.#hooks));
  }

  remove(message) {
    this.#take(message.element);
    this.#placed = this.#placed.filter((other) => other !== message);
    this.#waiting = this.#waiting.filter((other) => other !== message);
    this.#head.hidden = this.isEmpty;
    this.#hooks.moved();
  }

  /** Says something in a line of its own. */
  remark(...content) {
    this.#reader.keepPlace(() => this.#divide(make('p', 'notice', ...content)));
  }

  /** Answers the user in a line at the end, and goes there. */
  answer(...content) {
    this.#reader.isAtEnd = true;
    this.remark(...content);
  }

  /** The id of the last message of a name. */
  lastOf(name) {
    const isTheirs = ({ from }) => from.toLowerCase() === name.toLowerCase();
    return this.#placed.findLast((message) => hasPlace(message) && message.text && isTheirs(message))?.id;
  }

  /** Somebody came or went. What happens between two messages is said in one line. */
  notice(name, isHere) {
    this.#reader.keepPlace(() => {
      if (!this.#notice || this.#notice.element !== this.#last) {
        this.#notice = new Notice();
        this.#divide(this.#notice.element);
      }
      this.#notice.add(name, isHere);
    });
  }

  /** The names of emoji are known now. */
  redraw() {
    this.#reader.keepPlace(() => {
      for (const message of [...this.#placed, ...this.#waiting]) {
        if (message.text.includes(':')) write(message, this.#hooks);
      }
    });
  }

  toEnd() {
    this.#reader.isAtEnd = true;
    this.#trim();
    this.#reader.toEnd();
  }

  /** Takes the log out of the document. */
  hide() {
    this.#chunks.keepHeights();
    this.element.remove();
  }

  /** The log has been put (back) into the document. */
  shown() {
    this.#reader.shown();
  }

  /** All that was said before is there. */
  filled() {
    this.#reader.filled();
  }

  #add(message) {
    draw(message, this.#hooks);
    this.#ofElement.set(message.element, message);
    if (message.state === 'pending') {
      this.#waiting.push(message);
      this.#chunks.insert(message.element);
      this.#regroup(message.element);
    } else {
      this.#insert(message);
    }
    this.#head.hidden = false;
  }

  /** Offers the menu of a message. */
  #offer(message) {
    if (!message || !hasMenu(message) || message.element.contains(this.#menu)) return;
    this.#menu.ariaLabel = message.mine ? 'Your message' : `Message of ${message.from}`;
    this.#menu.dataset.at = inFull(message.ts);
    message.element.querySelector('.body').append(this.#menu);
  }

  /** Somebody is ignored, or no longer. */
  veil() {
    this.#reader.keepPlace(() => [...this.#placed, ...this.#waiting].forEach(veil));
  }

  /** Gives a message its place: behind all that came before, in front of what waits. */
  #insert(message) {
    const placed = this.#placed;
    const isOldest = hasPlace(message) && placed.length && hasPlace(placed[0]) && isAfter(placed[0].id, message.id);
    let at = isOldest ? 0 : placed.length;
    for (let above = at - 1; hasPlace(message) && above >= 0; above--) {
      if (!hasPlace(placed[above])) continue;
      if (!isAfter(placed[above].id, message.id)) break;
      at = above;
    }
    let before = placed[at]?.element ?? this.#waiting[0]?.element ?? null;
    if (at < placed.length && this.#chunks.before(before) === this.#line) before = this.#line;
    placed.splice(at, 0, message);
    const { element } = message;
    // Moved only if it must be: a screen reader would read it again.
    if (!element.parentElement || this.#chunks.after(element) !== before) {
      this.#take(element);
      this.#chunks.insert(element, before);
    }
    this.#regroup(element);
    this.#regroup(before);
  }

  /** Puts a line at the end, in front of what waits. */
  #divide(line) {
    const next = this.#waiting[0]?.element ?? null;
    this.#chunks.insert(line, next);
    this.#regroup(next);
  }

  /** What was put at the end last. */
  get #last() {
    const [first] = this.#waiting;
    return first ? this.#chunks.before(first.element) : this.#chunks.last;
  }

  /** Takes an element away. */
  #take(element) {
    const next = this.#chunks.after(element);
    this.#chunks.remove(element);
    this.#regroup(next);
  }

  /** Takes the oldest chunks away when there are too many messages. */
  #trim() {
    this.#trimming = 0;
    const most = this.#reader.isAtEnd ? MOST : 2 * MOST;
    if (this.#placed.length - most < SIZE) return;
    this.#reader.keepSight(() => {
      this.#placed.splice(0, this.#chunks.shift(this.#placed.length - most));
      this.#regroup(this.#placed[0].element);
      this.#isWhole = false;
      this.asks(false);
    });
  }

  /** Whether a message continues the one above, and whether a day begins with it. */
  #regroup(element) {
    const message = element && this.#ofElement.get(element);
    if (!message) return;
    let above = this.#chunks.before(element);
    const neighbour = above && this.#ofElement.get(above);
    while (above && !this.#ofElement.has(above)) above = this.#chunks.before(above);
    const label = day(message.ts);
    const newDay = !above || day(this.#ofElement.get(above).ts) !== label;
    const follows = !newDay && neighbour?.from === message.from && message.ts - neighbour.ts < GROUP;
    element.classList.toggle('follows', follows);
    // A time is enough for all that is said in a minute.
    const minutes = [message, neighbour].map((one) => Math.floor(one?.ts / 60_000));
    element.classList.toggle('same-minute', !newDay && minutes[0] === minutes[1]);
    const mark = element.querySelector('.day');
    if (!newDay) mark?.remove();
    else if (mark) mark.firstChild.textContent = label;
    else {
      element.prepend(make('p', 'day', make('span', '', label)));
      this.redate();
    }
  }

  /** What was "Today" no longer is. */
  redate() {
    for (const mark of this.element.querySelectorAll('.day')) {
      mark.firstChild.textContent = day(this.#ofElement.get(mark.parentElement).ts);
    }
  }
}

/** What scripts publish has no place of its own: it stays where it came. */
function hasPlace({ id }) {
  return id !== undefined;
}

/** What is ignored or was taken back has no menu. */
function hasMenu(message) {
  return hasPlace(message) && !message.by && !message.element.matches('.ignored');
}
