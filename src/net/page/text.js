// Texts: how messages are shown.
// Everything that comes from others ends up in text nodes; nothing is ever parsed as HTML.

import { called } from './mention.js';
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

const USUAL = ('slightly_smiling_face smile joy rofl wink heart_eyes sunglasses thinking sweat_smile relieved cry sob scream '
  + 'angry open_mouth sleeping yum hugs shrug facepalm +1 -1 clap pray wave muscle ok_hand raised_hands eyes heart '
  + 'broken_heart fire tada rocket 100 white_check_mark x question bulb star sunny rainbow snowflake coffee pizza cake '
  + 'frog robot duck').split(' ');

const emojiOf = (name) => (Object.hasOwn(table, name) ? table[name] : undefined);

/** What many people look for, as [name, emoji]. */
export const usualEmoji = () => USUAL.filter(emojiOf).map((name) => [name, emojiOf(name)]);

/** Up to `most` [name, emoji] for what has been typed, the best first. */
export function findEmoji(typed, most = 8) {
  const wanted = typed.toLowerCase();
  const first = names.filter((name) => name.startsWith(wanted));
  first.sort((a, b) => a.length - b.length || (a < b ? -1 : 1));
  // Two letters are in almost everything, and ":-p" is a face of its own.
  const inside = /^[a-z].{2}/.test(wanted) ? names.filter((name) => name.indexOf(wanted) > 0) : [];
  return [...first, ...inside].slice(0, most).map((name) => [name, table[name]]);
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

/** `code`, addresses, :names:, @names. Quotation marks and the punctuation of other scripts end an address. */
const SPECIAL =
  /```\n?([^]+?)\n?```|`([^`\n]+)`|((?:https?:\/\/|www\.)[^\s<>"`“”„«»‹›—「」『』【】《》〈〉（）［］｛｝。、，！？；：،؛؟]+)|:([a-z0-9_+-]+):|(@)/gi;

/**
 * A message's text as nodes: links can be clicked, `code` is code, :names: are emoji, and those of `people`, our own
 * first, stand out behind an @.
 */
export function render(text, people = []) {
  const nodes = document.createDocumentFragment();
  let done = 0;
  let afterEmoji = -1;
  SPECIAL.lastIndex = 0;
  for (let match; (match = SPECIAL.exec(text)); ) {
    const [all, block, code, found, emoji, at] = match;
    const address = found && trimmed(found);
    const name = at && called(text, match.index, people);
    const node =
      block !== undefined ? make('pre', '', block)
      : code !== undefined ? make('code', '', code)
      : address !== undefined ? link(address, text[match.index - 1])
      : emoji !== undefined ? picture(emoji, text, match.index, afterEmoji)
      : name && mention(name, people[0]);
    if (!node) {
      // "a:b:c" may still have something in it that begins at the second colon.
      SPECIAL.lastIndex = match.index + 1;
      continue;
    }
    nodes.append(text.slice(done, match.index), node);
    done = SPECIAL.lastIndex = match.index + (address ?? all + (name ?? '')).length;
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

function mention(name, me) {
  return make('b', name.toLowerCase() === me.toLowerCase() ? 'mention me' : 'mention', `@${name}`);
}

const OPENING = { ')': '(', ']': '[', '}': '{' };

/** An address without the punctuation and the markup of the sentence it stands in. */
function trimmed(address) {
  const count = {};
  for (const character of address) count[character] = (count[character] ?? 0) + 1;
  let end = address.length;
  for (; /[.,;:!?'’‘…–*_~|)\]}]/.test(address[end - 1]); end--) {
    const last = address[end - 1];
    if (count[last]-- <= count[OPENING[last]]) break;
  }
  return address.slice(0, end);
}

/** What turns the direction of writing around is shown as it stands in the address. */
const DIRECTIONS = /[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;

function link(address, before = ' ') {
  const isBare = /^www\./i.test(address);
  if (/[a-z0-9]/i.test(before) || (isBare && (/[@./-]/.test(before) || !/^www(\.[^.]+){2}/i.test(address)))) return null;
  let url;
  try {
    url = new URL(isBare ? `https://${address}` : address);
  } catch {
    return null;
  }
  const anchor = make('a', '', address.replace(DIRECTIONS, encodeURIComponent));
  anchor.href = url.href;
  anchor.rel = 'noopener noreferrer nofollow';
  // Another room of this chat opens here: in a tab of its own it would take the name from this one.
  const isHere = url.origin === location.origin && url.pathname === location.pathname;
  if (!isHere || url.hash.startsWith('#token=')) anchor.target = '_blank';
  return anchor;
}
