// Rooms: the conversation in one, who came and went, and where the reader is in it.
//
// A message is { ref, id, ts, from, to, text, avatar, mine, state, trouble }. One of our own is
// 'pending' until it is acknowledged, and 'failed' if it was refused; everything else is 'sent'.
// Own messages stay at the end until the server has said where their place is.

import { avatar, button, day, list, make, paint, time } from './page.js';
import { isJustEmoji, render } from './text.js';

/** More than this is not kept on the page. */
const MOST = 1000;
/** Ids remembered, so that nothing is shown twice. */
const MOST_IDS = 2000;
/** Messages of one person within this time are shown as one group. */
const GROUP = 5 * 60_000;
/** So close to the end counts as at the end. */
const NEAR = 40;

class Log {
  element = make('div', 'log');
  /** New messages that came while the reader was further up. */
  unseen = 0;
  #hooks;
  #messages = [];
  #waiting = [];
  #burst = null;
  #atEnd = true;
  #top = 0;
  #following = 0;
  #ofElement = new WeakMap();

  /** `hooks` are again(message), discard(message), answer(name), and moved(). */
  constructor(room, hooks) {
    this.#hooks = hooks;
    const { element } = this;
    element.tabIndex = 0;
    element.setAttribute('role', 'log');
    element.setAttribute('aria-live', 'polite');
    element.setAttribute('aria-label', `Conversation in ${room}`);
    element.addEventListener('scroll', () => this.#scrolled(), { passive: true });
    // The keyboard of a phone, a longer text in the field: what was in view at the end stays there.
    new ResizeObserver(() => this.#atEnd && this.toEnd()).observe(element);
  }

  get isEmpty() {
    return !this.#messages.length;
  }

  add(message) {
    const first = this.#keepPlace(message.mine, () => {
      message.element = this.#draw(message);
      this.#ofElement.set(message.element, message);
      this.#messages.push(message);
      if (message.state === 'pending') this.#waiting.push(message);
      this.#insert(message.element, message.state === 'pending');
      this.#trim();
    });
    if (!first) {
      this.unseen++;
      this.#hooks.moved();
    }
  }

  /** The server has taken it. */
  settle(message) {
    message.state = 'sent';
    this.#restate(message);
  }

  /** The server has refused it. It stays where it is, so that nothing is lost. */
  fail(message, trouble) {
    message.state = 'failed';
    message.trouble = trouble;
    this.#keepPlace(false, () => this.#restate(message));
  }

  retry(message) {
    message.state = 'pending';
    this.#restate(message);
  }

  /** Everybody has seen it here and now: behind all that came before, in front of what waits. */
  place(message, { ts, avatar: hash }) {
    if (!this.#waiting.includes(message)) return;
    this.#waiting = this.#waiting.filter((other) => other !== message);
    message.ts = ts;
    message.avatar = hash;
    message.state = 'sent';
    this.#keepPlace(false, () => {
      message.element.querySelector('time').replaceWith(time(ts));
      this.#restate(message);
      // Moved only if it must be: a screen reader would read it again.
      const next = this.#waiting[0]?.element.compareDocumentPosition(message.element) ?? 0;
      if (next & Node.DOCUMENT_POSITION_FOLLOWING) this.#insert(message.element, false);
      this.#regroup(message.element);
    });
  }

  remove(message) {
    const next = message.element.nextElementSibling;
    message.element.remove();
    this.#messages = this.#messages.filter((other) => other !== message);
    this.#waiting = this.#waiting.filter((other) => other !== message);
    this.#regroup(next);
    this.#hooks.moved();
  }

  /** Somebody came or went. What happens between two messages is said in one line. */
  notice(name, isHere) {
    this.#keepPlace(false, () => {
      const last = this.#waiting[0]?.element.previousElementSibling ?? this.element.lastElementChild;
      if (!this.#burst || this.#burst.element !== last) {
        this.#burst = { element: make('p', 'notice'), came: new Set(), went: new Set(), passed: new Set() };
        this.#insert(this.#burst.element, false);
      }
      const { element, came, went, passed } = this.#burst;
      if (isHere) {
        passed.delete(name);
        // Who went and came back was only connecting again.
        if (!went.delete(name)) came.add(name);
      } else {
        (came.delete(name) ? passed : went).add(name);
      }
      const parts = [[came, 'joined'], [went, 'left'], [passed, 'looked in']]
        .filter(([people]) => people.size)
        .map(([people, what]) => `${list([...people])} ${what}`);
      element.textContent = parts.join(' · ');
      element.hidden = !parts.length;
    });
  }

  /** The names of emoji are known now. */
  redraw() {
    this.#keepPlace(false, () => {
      for (const message of this.#messages) {
        if (message.text.includes(':')) this.#write(message);
      }
    });
  }

  toEnd() {
    this.#atEnd = true;
    this.unseen = 0;
    this.element.scrollTop = this.element.scrollHeight;
    this.#top = this.element.scrollTop;
    this.#hooks.moved();
  }

  /** To the end, once for all that comes until the next frame is drawn. */
  #follow() {
    this.#atEnd = true;
    this.unseen = 0;
    this.#following ||= requestAnimationFrame(() => {
      this.#following = 0;
      if (this.#atEnd) this.toEnd();
    });
  }

  /** The log has been put (back) into the document. */
  shown() {
    if (this.#atEnd) this.toEnd();
    else this.element.scrollTop = this.#top;
  }

  #scrolled() {
    const { scrollTop, scrollHeight, clientHeight } = this.element;
    if (!clientHeight) return;
    if (scrollHeight - scrollTop - clientHeight < NEAR) {
      this.#atEnd = true;
      this.unseen = 0;
    } else if (scrollTop < this.#top) {
      // Only a reader moves up; everything else that changes the distance keeps the place.
      this.#atEnd = false;
    }
    this.#top = scrollTop;
    this.#hooks.moved();
  }

  /** Changes something and goes to the end, if that is where the reader was. Says whether. */
  #keepPlace(always, change) {
    const follow = always || this.#atEnd;
    change();
    if (follow) this.#follow();
    return follow;
  }

  #insert(element, last) {
    const before = last ? null : this.#waiting.find((other) => other.element !== element)?.element;
    const gap = element.nextElementSibling;
    this.element.insertBefore(element, before ?? null);
    if (gap) this.#regroup(gap);
    this.#regroup(element);
    this.#regroup(element.nextElementSibling);
  }

  #trim() {
    while (this.#messages.length > MOST) {
      const oldest = this.#messages.find((message) => !this.#waiting.includes(message));
      if (!oldest) return;
      while (this.element.firstElementChild !== oldest.element && this.element.firstElementChild?.matches('.notice')) {
        this.element.firstElementChild.remove();
      }
      this.remove(oldest);
    }
  }

  /** Whether a message continues the one above, and whether a day begins with it. */
  #regroup(element) {
    const message = element && this.#ofElement.get(element);
    if (!message) return;
    let above = element.previousElementSibling;
    const neighbour = above && this.#ofElement.get(above);
    while (above && !this.#ofElement.has(above)) above = above.previousElementSibling;
    const label = day(message.ts);
    const newDay = !above || day(this.#ofElement.get(above).ts) !== label;
    element.classList.toggle('follows', !newDay && !!neighbour && neighbour.from === message.from
      && neighbour.to === message.to && message.ts - neighbour.ts < GROUP);
    const mark = element.querySelector('.day');
    if (!newDay) mark?.remove();
    else if (mark) mark.firstChild.textContent = label;
    else {
      element.prepend(make('p', 'day', make('span', '', label)));
      this.#redate(element);
    }
  }

  /** What was "Today" above a new day's mark no longer is. */
  #redate(newest) {
    for (const mark of this.element.querySelectorAll('.day')) {
      if (mark.parentElement === newest) continue;
      mark.firstChild.textContent = day(this.#ofElement.get(mark.parentElement).ts);
    }
  }

  #draw(message) {
    const { from, to, mine, ts } = message;
    const isPrivate = to !== undefined;
    const head = make('header', '', mine ? make('b', 'name', 'You') : paint(make('b', 'name', from), from));
    const bubble = make('div', 'bubble');
    if (isPrivate) {
      const mark = make('p', 'mark', mine ? `private, to ${to}` : 'private');
      if (!mine) {
        const answer = button('', () => this.#hooks.answer(from), 'Answer');
        answer.setAttribute('aria-label', `Answer ${from} privately`);
        mark.append(answer);
      }
      bubble.append(mark);
    }
    const text = make('div', 'text');
    text.dir = 'auto';
    bubble.append(text);
    message.meta = make('span', 'meta', make('span', 'state'), time(ts));
    const body = make('div', 'body', head, bubble);
    const element = make('article', 'message', make('div', 'line', body));
    if (!mine) element.lastChild.prepend(avatar(from, message.avatar));
    element.classList.toggle('mine', mine);
    element.classList.toggle('private', isPrivate);
    message.element = element;
    this.#write(message);
    this.#restate(message);
    return element;
  }

  #write(message) {
    const text = message.element.querySelector('.text');
    text.replaceChildren(render(message.text));
    message.element.classList.toggle('large', message.to === undefined && isJustEmoji(text.textContent));
    text.append(message.meta);
  }

  #restate(message) {
    const { element, meta, state, trouble } = message;
    element.classList.toggle('pending', state === 'pending');
    element.classList.toggle('failed', state === 'failed');
    meta.firstChild.textContent = state === 'failed' ? 'not sent' : '';
    // Most are acknowledged before anybody could read that they wait.
    if (state === 'pending') {
      setTimeout(() => message.state === 'pending' && (meta.firstChild.textContent = 'waiting'), 800);
    }
    element.querySelector('.trouble')?.remove();
    if (state !== 'failed') return;
    const { again, discard } = this.#hooks;
    element.querySelector('.body').append(make('p', 'trouble', make('span', '', trouble),
      button('', () => again(message), 'Try again'), button('', () => discard(message), 'Discard')));
  }
}

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
  /** The newest id known: where a replay after an outage will begin. */
  last = undefined;
  book = new Book();

  constructor(name, hooks) {
    this.name = name;
    this.log = new Log(name, { ...hooks, moved: () => hooks.moved(this) });
  }
}
