// Where the reader is in a conversation: at the end, which is followed, or further up, which stays in sight.

import { isVisible } from './frame.js';

/** So close to the end counts as at the end. */
const NEAR = 40;
/** So close to the beginning, more is requested. */
const AHEAD = 300;

export class Reader {
  isAtEnd = true;
  #element;
  #on;
  /** Where the reader was: the scroll position, and the last element with its place in view. */
  #top = 0;
  #last = null;
  #lastAt = 0;
  /** A browser scrolls by whole pixels. What is left is made up for the next time. */
  #rest = 0;
  #following = 0;
  /** Whether something has come that nobody could see. */
  #isBehind = false;

  /** `on` are moved(), older(): older messages are wanted, and news(): the element above what is new, if any. */
  constructor(element, on) {
    this.#element = element;
    this.#on = on;
    element.addEventListener('scroll', () => this.#scrolled(), { passive: true });
    // The keyboard of a phone, a longer text in the field: what was in view at the end stays there.
    new ResizeObserver(() => this.hasAll && this.toEnd()).observe(element);
  }

  /** Whether all has been in view. */
  get hasAll() {
    // A reader who has just moved up is heard of with the next frame.
    if (this.isAtEnd && !this.#following) this.#locate();
    return this.isAtEnd && !this.#isBehind;
  }

  toEnd() {
    this.isAtEnd = true;
    this.#isBehind = false;
    this.#goTo(this.#element.scrollHeight);
  }

  #goTo(top) {
    this.#element.scrollTop = top;
    this.#remember();
    this.#on.moved();
  }

  /** To what is new, which may fit on the screen; to the end if nothing is. */
  toNews() {
    const line = this.#on.news();
    if (!line) return this.toEnd();
    this.#isBehind = false;
    const element = this.#element;
    // It has a place once its chunk is laid out.
    line.parentElement.style.contentVisibility = 'visible';
    element.scrollTop += line.getBoundingClientRect().top - element.getBoundingClientRect().top;
    this.isAtEnd = this.#isNearEnd;
    this.#goTo(element.scrollTop);
  }

  /** The log has been put (back) into the document. */
  shown() {
    if (this.isAtEnd) this.toNews();
    else this.#goTo(this.#top);
  }

  /** All that was said before is there. */
  filled() {
    // A reader who has just moved is heard of with the next frame.
    this.#locate();
    if (this.isAtEnd) this.toNews();
    else this.#on.moved();
  }

  /** Something has become longer or shorter where the reader looks. */
  look() {
    this.isAtEnd = this.#isNearEnd;
  }

  /** Changes something and goes to the end, if that is where the reader was. Says whether. */
  keepPlace(change, always = false) {
    const follow = always || this.isAtEnd;
    change();
    if (follow) this.#follow();
    return follow;
  }

  /** Changes something above what the reader looks at. */
  keepSight(change) {
    const element = this.#element;
    if (!element.isConnected) return change();
    // What is taken away moves the position up, as only a reader does otherwise.
    this.#locate();
    const end = () => element.lastElementChild.getBoundingClientRect().bottom;
    const before = end();
    change();
    const wanted = element.scrollTop + end() - before + this.#rest;
    element.scrollTop = wanted;
    this.#remember();
    // At the beginning or the end it may be more.
    this.#rest = Math.abs(wanted - this.#top) < 1 ? wanted - this.#top : 0;
  }

  /** To the end, once for all that comes until the next frame is drawn. */
  #follow() {
    this.isAtEnd = true;
    // Who comes back to the page begins with what is new.
    this.#isBehind ||= !isVisible();
    // Elsewhere there is nothing to be drawn.
    if (!this.#element.isConnected) return;
    this.#following ||= requestAnimationFrame(() => {
      this.#following = 0;
      // The reader may have moved up since the last frame, and has not seen what came then.
      if (!this.isAtEnd) this.#on.moved();
      else if (this.#isBehind) this.toNews();
      else this.toEnd();
    });
  }

  get #isNearEnd() {
    const { scrollTop, scrollHeight, clientHeight } = this.#element;
    return scrollHeight - scrollTop - clientHeight < NEAR;
  }

  /** How far below the top of the log an element begins. */
  #below(element) {
    return element.getBoundingClientRect().top - this.#element.getBoundingClientRect().top;
  }

  #remember() {
    this.#top = this.#element.scrollTop;
    this.#last = this.#element.lastElementChild.lastElementChild;
    this.#lastAt = this.#last && this.#below(this.#last);
  }

  /** Whether the reader has moved up. The browser does, too, when what is above becomes shorter: nothing in view moves. */
  get #hasMovedUp() {
    return this.#element.scrollTop < this.#top && !(this.#last?.isConnected && this.#below(this.#last) < this.#lastAt + 1);
  }

  #locate() {
    if (!this.#element.clientHeight) return;
    if (this.#isNearEnd) this.isAtEnd = true;
    else if (this.#hasMovedUp) this.isAtEnd = false;
    this.#remember();
  }

  #scrolled() {
    if (!this.#element.clientHeight) return;
    this.#locate();
    this.#on.moved();
    if (!this.isAtEnd && this.#top < AHEAD) this.#on.older();
  }
}
