// The elements of a log: one after another for those who read them, and in chunks for the browser, which lays out
// and paints only the chunks in view.

import { make } from './page.js';

/** A chunk is full with so many messages. */
export const SIZE = 10;
/** So many at the end, where readers are, are laid out in any case. */
const LAST = 5;

const count = (chunk) => chunk.getElementsByClassName('message').length;
const isChunk = (element) => !!element?.matches('.chunk');
const hasRoom = (element) => isChunk(element) && count(element) < SIZE;
const lastIn = (element) => (isChunk(element) ? element.lastElementChild : null);

/** Begins another chunk with an element. */
function split(element) {
  const moved = [];
  for (let next = element; next; next = next.nextElementSibling) moved.push(next);
  element.parentElement.after(make('div', 'chunk', ...moved));
}

export class Chunks {
  #log;

  /** The chunks stand behind the first child of `log`, its head. */
  constructor(log) {
    this.#log = log;
  }

  get last() {
    return lastIn(this.#log.lastElementChild);
  }

  before(element) {
    return element.previousElementSibling ?? lastIn(element.parentElement.previousElementSibling);
  }

  after(element) {
    return element.nextElementSibling ?? element.parentElement?.nextElementSibling?.firstElementChild ?? null;
  }

  /** Puts an element in front of another one, or at the end. */
  insert(element, next) {
    this.remove(element);
    if (next?.previousElementSibling) {
      if (hasRoom(next.parentElement)) return next.before(element);
      split(next);
    }
    const chunk = next?.parentElement;
    const above = chunk ? chunk.previousElementSibling : this.#log.lastElementChild;
    if (hasRoom(above)) above.append(element);
    else if (chunk && hasRoom(chunk)) chunk.prepend(element);
    else {
      above.after(make('div', next ? 'chunk past' : 'chunk', element));
      const { children } = this.#log;
      children[children.length - LAST - 1]?.classList.add('past');
    }
  }

  remove(element) {
    const chunk = element.parentElement;
    element.remove();
    if (chunk && !chunk.firstElementChild) chunk.remove();
  }

  /** Lets the browser know their heights when they come back into the document, where it no longer does. */
  keepHeights() {
    const [, ...chunks] = this.#log.children;
    const heights = chunks.map((chunk) => chunk.getBoundingClientRect().height);
    chunks.forEach((chunk, at) => (chunk.style.containIntrinsicBlockSize = `auto ${heights[at]}px`));
  }

  /** Takes the first chunks away, which have at most so many messages together. Says how many they had. */
  shift(most) {
    for (let taken = 0; ; ) {
      const [, chunk] = this.#log.children;
      if (taken + count(chunk) > most) return taken;
      taken += count(chunk);
      chunk.replaceChildren();
      chunk.remove();
    }
  }
}
