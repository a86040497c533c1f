// Texts: how those of others are shown, and the field where one's own are written.
// Everything that comes from others ends up in text nodes; nothing is ever parsed as HTML.

import { make, page, segments } from './page.js';

// Emoji

let table = {};
let names = [];

/** Loads the names of emoji, once; until then they stay as they were typed. */
export async function loadEmoji() {
  if (names.length) return false;
  try {
    const answer = await fetch('emoji.json');
    if (!answer.ok) return false;
    table = await answer.json();
    names = Object.keys(table);
    return true;
  } catch {
    return false; // The next join tries again.
  }
}

const emojiOf = (name) => (Object.hasOwn(table, name) ? table[name] : undefined);

/** Up to eight [name, emoji] for what has been typed, the best first. */
export function findEmoji(typed) {
  const wanted = typed.toLowerCase();
  const first = names.filter((name) => name.startsWith(wanted));
  first.sort((a, b) => a.length - b.length || (a < b ? -1 : 1));
  // Two letters are in almost everything, and ":-p" is a face of its own.
  const inside = /^[a-z].{2}/.test(wanted) ? names.filter((name) => name.indexOf(wanted) > 0) : [];
  return [...first, ...inside].slice(0, 8).map((name) => [name, table[name]]);
}

/** One emoji as a reader sees it: in colour by itself, or made so. "1" and "©" alone are text. */
const PICTURE = /^(?:\p{Emoji_Presentation}|\p{Emoji}(?:\ufe0f|\p{Emoji_Modifier}))/u;

/** Whether a rendered text is a few emoji and nothing else; such messages are shown large. */
export function isJustEmoji(text) {
  const packed = text.replace(/\s/g, '');
  // Most texts begin otherwise, and are not taken apart.
  if (!PICTURE.test(packed)) return false;
  const parts = segments(packed);
  return parts.length <= 6 && parts.every((part) => PICTURE.test(part));
}

// Showing

const SPECIAL = /```\n?([^]+?)\n?```|`([^`\n]+)`|\b(https?:\/\/[^\s<>"`]+)|:([a-z0-9_+-]+):/gi;

/** A message's text as nodes: links can be clicked, `code` is code, :names: are emoji. */
export function render(text) {
  const nodes = document.createDocumentFragment();
  let done = 0;
  let afterEmoji = -1;
  SPECIAL.lastIndex = 0;
  for (let match; (match = SPECIAL.exec(text)); ) {
    const [all, block, code, address, emoji] = match;
    const node =
      block !== undefined ? make('pre', '', block)
      : code !== undefined ? make('code', '', code)
      : address !== undefined ? link(trimmed(address))
      : picture(emoji, text, match.index, afterEmoji);
    if (!node) {
      // "a:b:c" may still have something in it that begins at the second colon.
      SPECIAL.lastIndex = match.index + 1;
      continue;
    }
    const length = address === undefined ? all.length : node.textContent.length;
    nodes.append(text.slice(done, match.index), node);
    done = SPECIAL.lastIndex = match.index + length;
    if (emoji !== undefined) afterEmoji = done;
  }
  nodes.append(text.slice(done));
  return nodes;
}

/** An emoji, if that is what is meant: not in 10:30:45, nor in std::b::c. */
function picture(name, text, at, afterEmoji) {
  const emoji = emojiOf(name.toLowerCase());
  const before = text[at - 1] ?? ' ';
  const after = text[at + name.length + 2] ?? ' ';
  if (!emoji || (at !== afterEmoji && /[\w:]/.test(before)) || /\w/.test(after)) return null;
  return document.createTextNode(emoji);
}

/** An address without the punctuation of the sentence it stands in. */
function trimmed(address) {
  for (;;) {
    const last = address.at(-1);
    const opening = { ')': '(', ']': '[', '}': '{' }[last];
    const balanced = opening && address.split(opening).length >= address.split(last).length;
    if (balanced || !/[.,;:!?'*_~)\]}]/.test(last)) return address;
    address = address.slice(0, -1);
  }
}

function link(address) {
  let url;
  try {
    url = new URL(address);
  } catch {
    return null;
  }
  if (url.protocol !== 'http:' && url.protocol !== 'https:') return null;
  const anchor = make('a', '', address);
  anchor.href = url.href;
  anchor.target = '_blank';
  anchor.rel = 'noopener noreferrer nofollow';
  return anchor;
}

// Writing

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
