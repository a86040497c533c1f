// The field where messages are written.

import { command } from './commands.js';
import { findNames } from './mention.js';
import { avatar, isolated, make, page, quoted } from './page.js';
import { openPicker } from './picker.js';
import { set, settings } from './settings.js';
import { findEmoji } from './text.js';

const touch = matchMedia('(pointer: coarse)');

/** What the server takes at most: characters of a message, and bytes of the frame around it. */
const MOST_CHARACTERS = 4096;
const MOST_BYTES = 16_000;
/** More than this is not even taken into the field: a browser takes seconds to lay out megabytes. */
const MOST_PASTED = 20_000;
/** So many letters of a name are meant as one: with fewer, Enter sends. */
const MEANT = 3;
const LINES = 6;
/** Above and below the text in the field, together; the style sheet says the same. */
const PADDING = 20;

export class Composer {
  #form = page.composer;
  #field = page.message;
  #list = page.completions;
  #hint = page['message-hint'];
  #submit = this.#form.querySelector('[type=submit]');
  #found = [];
  /** None is chosen with -1. */
  #chosen = -1;
  /** What looked like a command and was held back: sent again, it is meant as it is. */
  #held = '';
  #on;

  /** `on` has send(text), obey(asked) for commands, and names() of people to call. */
  constructor(on) {
    this.#on = on;
    this.#form.addEventListener('submit', (event) => {
      event.preventDefault();
      this.#submitted();
    });
    this.#field.addEventListener('keydown', (event) => this.#key(event));
    this.#field.addEventListener('input', () => this.#changed());
    this.#field.addEventListener('beforeinput', (event) => {
      const pasted = event.data ?? event.dataTransfer?.getData('text/plain') ?? '';
      if (pasted.length <= MOST_PASTED) return;
      event.preventDefault();
      this.#warn(`This is too long for a message, which has at most ${MOST_CHARACTERS.toLocaleString('en')} characters.`);
    });
    this.#field.addEventListener('click', () => this.#complete());
    this.#field.addEventListener('blur', () => this.#close());
    page.emoji.addEventListener('click', () => {
      // A browser may forget it while the dialog is open.
      const { selectionStart, selectionEnd } = this.#field;
      openPicker(page.emoji, (emoji) => {
        this.#field.setRangeText(emoji, selectionStart, selectionEnd, 'end');
        this.#changed();
        this.focus();
      });
    });
    const enter = page['enter-sends'];
    enter.checked = settings.enterSends ?? !touch.matches;
    const hint = () => (this.#field.enterKeyHint = enter.checked ? 'send' : 'enter');
    enter.addEventListener('change', () => {
      set({ enterSends: enter.checked });
      hint();
    });
    hint();
    // Touching a button must not take the focus away: a phone would put its keyboard away.
    for (const element of [this.#list, this.#submit]) {
      element.addEventListener('pointerdown', (event) => event.preventDefault());
    }
    addEventListener('resize', () => this.fit());
  }

  get draft() {
    return { text: this.#field.value };
  }

  /** Shows what was being written in a room. */
  open({ isPrivate, label, draft }) {
    this.#field.value = draft?.text ?? '';
    this.#field.placeholder = `${isPrivate ? 'Write to' : 'Say something in'} ${quoted(label)}`;
    this.#changed();
  }

  focus() {
    this.#field.focus();
  }

  #submitted() {
    const { value } = this.#field;
    const written = value.trim();
    if (!written || this.#excess(value)) return;
    const asked = written === this.#held ? null : command(written);
    if (asked?.fault) {
      this.#held = written;
      return this.#warn(asked.fault);
    }
    this.#field.value = '';
    this.#changed();
    this.focus();
    if (asked) this.#on.obey(asked);
    else this.#on.send(written);
  }

  #key(event) {
    // The Enter that ends the composition of a Japanese word is not meant for us.
    if (event.isComposing || event.keyCode === 229) return;
    if (this.#found.length && !event.ctrlKey && !event.metaKey && !event.altKey) {
      const count = this.#found.length;
      const act = {
        ArrowDown: () => this.#choose((this.#chosen + 1) % count),
        ArrowUp: () => this.#choose((Math.max(this.#chosen, 0) + count - 1) % count),
        Enter: this.#chosen >= 0 && (() => this.#take(this.#chosen)),
        Tab: () => this.#take(Math.max(this.#chosen, 0)),
        Escape: () => this.#close(),
      }[event.key];
      if (act && !event.shiftKey) {
        event.preventDefault();
        event.stopPropagation();
        act();
        return;
      }
    }
    const sends = page['enter-sends'].checked || event.ctrlKey || event.metaKey;
    if (event.key === 'Enter' && sends && !event.shiftKey) {
      event.preventDefault();
      this.#submitted();
    }
  }

  #changed() {
    this.#held = '';
    this.fit();
    this.#warn(this.#excess(this.#field.value));
    this.#complete();
  }

  #warn(text) {
    this.#hint.textContent = text;
    this.#field.setAttribute('aria-invalid', !!text);
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
    // On a screen that is low, or zoomed in, more than the field has to be seen.
    const most = Math.min(LINES * line + PADDING, document.body.clientHeight * 0.4);
    style.height = `${Math.min(scrollHeight, most) + offsetHeight - clientHeight}px`;
    style.overflowY = scrollHeight > most ? 'auto' : 'hidden';
  }

  // Completion. A textarea has no place for a combobox's role of its own, so it is one only while
  // the list is open.

  #typed() {
    const { selectionStart, selectionEnd, value } = this.#field;
    if (selectionStart !== selectionEnd) return null;
    // Begins like a name: ":100" may well be about a train.
    const before = value.slice(0, selectionStart);
    const match = /(?:^|[^\w:])(:([a-z+-][a-z0-9_+-]+))$/i.exec(before)
      ?? /(?:^|[^\p{L}\p{N}_@./-])(@([\p{L}\p{N}_.-]+))$/u.exec(before);
    return match && { word: match[1], typed: match[2], from: selectionStart - match[1].length, till: selectionStart };
  }

  /** What the word may become, as { picture, label, text }. */
  #find({ word, typed }) {
    if (word.startsWith(':')) return findEmoji(typed).map(([name, text]) => ({ picture: text, label: `:${name}:`, text }));
    return findNames(typed, this.#on.names())
      .map((name) => ({ picture: avatar(name), label: isolated(name), text: `@${name}` }));
  }

  #complete() {
    const where = this.#typed();
    this.#found = where ? this.#find(where) : [];
    if (!this.#found.length) return this.#close();
    this.#list.replaceChildren(...this.#found.map((found, index) => {
      const picture = make('span', 'emoji', found.picture);
      picture.setAttribute('aria-hidden', 'true');
      const option = make('li', '', picture, make('span', '', found.label));
      option.id = `completion-${index}`;
      option.setAttribute('role', 'option');
      option.addEventListener('click', () => this.#take(index));
      return option;
    }));
    this.#list.hidden = false;
    for (const [name, value] of Object.entries(OPEN)) this.#field.setAttribute(name, value);
    this.#choose(where.typed.length < MEANT ? -1 : 0);
  }

  #choose(index) {
    this.#chosen = index;
    const options = [...this.#list.children];
    options.forEach((option, at) => option.setAttribute('aria-selected', at === index));
    options[index]?.scrollIntoView({ block: 'nearest' });
    if (index >= 0) this.#field.setAttribute('aria-activedescendant', options[index].id);
    else this.#field.removeAttribute('aria-activedescendant');
  }

  #take(index) {
    const where = this.#typed();
    if (!where) return this.#close();
    const space = this.#field.value[where.till] === ' ' ? '' : ' ';
    this.#field.setRangeText(this.#found[index].text + space, where.from, where.till, 'end');
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
