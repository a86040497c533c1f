// Where the reader is in a conversation: at the end, which is followed, or further up, which stays in sight.

/** So close to the end counts as at the end. */
const NEAR = 40;
/** So close to the beginning, more is requested. */
const AHEAD = 300;

export class Reader {
  isAtEnd = true;
  #element;
  #on;
  #top = 0;
  /** A browser scrolls by whole pixels. What is left is made up for the next time. */
  #rest = 0;
  #following = 0;

  /** `on` are moved(), and older(): older messages are wanted. */
  constructor(element, on) {
    this.#element = element;
    this.#on = on;
    element.addEventListener('scroll', () => this.#scrolled(), { passive: true });
    // The keyboard of a phone, a longer text in the field: what was in view at the end stays there.
    new ResizeObserver(() => this.isAtEnd && this.toEnd()).observe(element);
  }

  toEnd() {
    this.isAtEnd = true;
    this.#element.scrollTop = this.#element.scrollHeight;
    this.#top = this.#element.scrollTop;
    this.#on.moved();
  }

  /** The log has been put (back) into the document. */
  shown() {
    if (this.isAtEnd) this.toEnd();
    else this.#element.scrollTop = this.#top;
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
    const end = () => element.lastElementChild.getBoundingClientRect().bottom;
    const before = end();
    change();
    const wanted = element.scrollTop + end() - before + this.#rest;
    element.scrollTop = wanted;
    this.#top = element.scrollTop;
    // At the beginning or the end it may be more.
    this.#rest = Math.abs(wanted - this.#top) < 1 ? wanted - this.#top : 0;
  }

  /** To the end, once for all that comes until the next frame is drawn. */
  #follow() {
    this.isAtEnd = true;
    this.#following ||= requestAnimationFrame(() => {
      this.#following = 0;
      // The reader may have moved up since the last frame, and has not seen what came then.
      if (this.isAtEnd) this.toEnd();
      else this.#on.moved();
    });
  }

  get #isNearEnd() {
    const { scrollTop, scrollHeight, clientHeight } = this.#element;
    return scrollHeight - scrollTop - clientHeight < NEAR;
  }

  #scrolled() {
    const { scrollTop, clientHeight } = this.#element;
    if (!clientHeight) return;
    if (this.#isNearEnd) {
      this.isAtEnd = true;
    } else if (scrollTop < this.#top) {
      // Only a reader moves up; everything else that changes the distance keeps the place.
      this.isAtEnd = false;
    }
    this.#top = scrollTop;
    this.#on.moved();
    if (!this.isAtEnd && scrollTop < AHEAD) this.#on.older();
  }
}
