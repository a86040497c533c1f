// Who came and went between two messages, in one line.

import { list, make } from './page.js';

export class Notice {
  element = make('p', 'notice');
  #came = new Set();
  #went = new Set();
  #passed = new Set();

  add(name, isHere) {
    if (isHere) {
      this.#passed.delete(name);
      // Who went and came back was only connecting again.
      if (!this.#went.delete(name)) this.#came.add(name);
    } else {
      (this.#came.delete(name) ? this.#passed : this.#went).add(name);
    }
    const parts = [[this.#came, 'joined'], [this.#went, 'left'], [this.#passed, 'looked in']]
      .filter(([people]) => people.size)
      .flatMap(([people, what]) => [' · ', ...list([...people]), ` ${what}`]);
    this.element.replaceChildren(...parts.slice(1));
    this.element.hidden = !parts.length;
  }
}
