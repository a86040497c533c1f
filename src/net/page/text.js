// Texts: how messages are shown.
// Everything that comes from others ends up in text nodes; nothing is ever parsed as HTML.

import { make, segments } from './page.js';

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
