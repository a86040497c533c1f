// The field where messages are written.

import { make, page } from './page.js';
import { findEmoji } from './text.js';

/** What the server takes at most: characters of a message, and bytes of the frame around it. */
const MOST_CHARACTERS = 4096;
const MOST_BYTES = 16_000;
const LINES = 6;
/** Above and below the text in the field, together; the style sheet says the same. */
const PADDING = 20;

export class Composer {
  /** Whom the message is for, if it is private. */
  to = null;
  #form = page.composer;
  #field = page.message;
  #list = page.completions;
  #chip = page.chip;
  #hint = page['message-hint'];
  #submit = this.#form.querySelector('[type=submit]');
  #room = '';
  #found = [];
  #chosen = 0;
  #send;

  /** `send(text, to)` takes what was written. */
  constructor(send) {
    this.#send = send;
    this.#form.addEventListener('submit', (event) => {
      event.preventDefault();
      this.#submitted();
    });
    this.#field.addEventListener('keydown', (event) => this.#key(event));
    this.#field.addEventListener('input', () => this.#changed());
    this.#field.addEventListener('click', () => this.#complete());
    this.#field.addEventListener('blur', () => this.#close());
    this.#chip.querySelector('button').addEventListener('click', () => {
      this.writeTo(null);
      this.focus();
    });
    // Touching a button must not take the focus away: a phone would put its keyboard away.
    for (const element of [this.#list, this.#submit]) {
      element.addEventListener('pointerdown', (event) => event.preventDefault());
    }
    addEventListener('resize', () => this.fit());
  }

  get draft() {
    return { text: this.#field.value, to: this.to };
  }

  /** Shows what was being written in a room. */
  open(room, { text = '', to = null } = {}) {
    this.#room = room;
    this.#field.value = text;
    this.writeTo(to);
    this.#changed();
  }

  focus() {
    this.#field.focus();
  }

  writeTo(name) {
    this.to = name;
    this.#chip.hidden = name === null;
    this.#chip.firstChild.textContent = name === null ? '' : `to ${name}`;
    this.#form.classList.toggle('private', name !== null);
    this.#field.placeholder = name === null ? `Say something in ${this.#room}` : 'Only they will see it';
  }

  #submitted() {
    const { value } = this.#field;
    if (!value.trim() || this.#excess(value)) return;
    this.#field.value = '';
    this.#changed();
    this.focus();
    this.#send(value.trim(), this.to);
  }

  #key(event) {
    // The Enter that ends the composition of a Japanese word is not meant for us.
    if (event.isComposing || event.keyCode === 229) return;
    if (this.#found.length && !event.ctrlKey && !event.metaKey && !event.altKey) {
      const count = this.#found.length;
      const act = {
        ArrowDown: () => this.#choose((this.#chosen + 1) % count),
        ArrowUp: () => this.#choose((this.#chosen + count - 1) % count),
        Enter: () => this.#take(this.#chosen),
        Tab: () => this.#take(this.#chosen),
        Escape: () => this.#close(),
      }[event.key];
      if (act && !event.shiftKey) {
        event.preventDefault();
        event.stopPropagation();
        act();
        return;
      }
    }
    if (event.key === 'Enter' && !event.shiftKey) {
      event.preventDefault();
      this.#submitted();
    } else if (this.to !== null && !this.#field.value && /^(Escape|Backspace)$/.test(event.key)) {
      event.preventDefault();
      this.writeTo(null);
    }
  }

  #changed() {
    this.fit();
    this.#hint.textContent = this.#excess(this.#field.value);
    this.#field.setAttribute('aria-invalid', !!this.#hint.textContent);
    this.#complete();
  }

  /** What is to be said about a text that is too long, or nearly. */
  #excess(text) {
    const count = [...text.trim()].length;
    if (count > MOST_CHARACTERS) {
      const excess = count - MOST_CHARACTERS;
      const characters = excess === 1 ? '1 character' : `${excess.toLocaleString('en')} characters`;
      return `This is ${characters} too long to be sent as one message.`;
    }
    const bytes = new TextEncoder().encode(JSON.stringify(text)).length;
    return bytes > MOST_BYTES ? 'This is too long to be sent as one message.' : '';
  }

  /** Makes the field as high as its text, within reason. */
  fit() {
    const { style } = this.#field;
    const line = parseFloat(getComputedStyle(this.#field).lineHeight) || 24;
    style.height = 'auto';
    const { scrollHeight, offsetHeight, clientHeight } = this.#field;
    const most = LINES * line + PADDING;
    style.height = `${Math.min(scrollHeight, most) + offsetHeight - clientHeight}px`;
    style.overflowY = scrollHeight > most ? 'auto' : 'hidden';
  }

  // Completion. A textarea has no place for a combobox's role of its own, so it is one only while
  // the list is open.

  #typed() {
    const { selectionStart, selectionEnd, value } = this.#field;
    if (selectionStart !== selectionEnd) return null;
    // Begins like a name: ":100" may well be about a train.
    const match = /(?:^|[^\w:])(:([a-z+-][a-z0-9_+-]+))$/i.exec(value.slice(0, selectionStart));
    return match && { typed: match[2], from: selectionStart - match[1].length, till: selectionStart };
  }

  #complete() {
    const where = this.#typed();
    this.#found = where ? findEmoji(where.typed) : [];
    if (!this.#found.length) return this.#close();
    this.#list.replaceChildren(...this.#found.map(([name, emoji], index) => {
      const picture = make('span', 'emoji', emoji);
      picture.setAttribute('aria-hidden', 'true');
      const option = make('li', '', picture, make('span', '', `:${name}:`));
      option.id = `completion-${index}`;
      option.setAttribute('role', 'option');
      option.addEventListener('click', () => this.#take(index));
      return option;
    }));
    this.#list.hidden = false;
    for (const [name, value] of Object.entries(OPEN)) this.#field.setAttribute(name, value);
    this.#choose(0);
  }

  #choose(index) {
    this.#chosen = index;
    [...this.#list.children].forEach((option, at) => option.setAttribute('aria-selected', at === index));
    this.#list.children[index].scrollIntoView({ block: 'nearest' });
    this.#field.setAttribute('aria-activedescendant', `completion-${index}`);
  }

  #take(index) {
    const where = this.#typed();
    if (!where) return this.#close();
    const space = this.#field.value[where.till] === ' ' ? '' : ' ';
    this.#field.setRangeText(this.#found[index][1] + space, where.from, where.till, 'end');
    this.#changed();
    this.focus();
  }

  #close() {
    this.#found = [];
    this.#list.hidden = true;
    this.#list.replaceChildren();
    for (const name of [...Object.keys(OPEN), 'aria-activedescendant']) this.#field.removeAttribute(name);
  }
}

const OPEN = { role: 'combobox', 'aria-expanded': 'true', 'aria-controls': 'completions', 'aria-autocomplete': 'list' };
