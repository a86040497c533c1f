// Calling people by their names: "@ann", or "ann: " at the beginning.

const PART_OF_A_WORD = /[\p{L}\p{N}_]/u;

const isSame = (text, name) => text.toLowerCase() === name.toLowerCase();

/** The longest of these names that stands at a place of a text, as it is written there. */
function nameAt(text, at, names) {
  let found = '';
  for (const name of names) {
    const there = text.slice(at, at + name.length);
    const isWhole = !PART_OF_A_WORD.test(text.charAt(at + name.length));
    if (isWhole && name.length > found.length && isSame(there, name)) found = there;
  }
  return found;
}

/** Which of these names is called by the @ at a place, if any: not in an address such as ann@example.org. */
export function called(text, at, names) {
  return /[\p{L}\p{N}_@./-]/u.test(text.charAt(at - 1)) ? '' : nameAt(text, at + 1, names);
}

/** Whether a text calls this name. */
export function calls(text, name) {
  const first = nameAt(text, 0, [name]);
  return (first && /[:,]/.test(text.charAt(first.length)))
    || [...text.matchAll('@')].some(({ index }) => called(text, index, [name]));
}

/** Up to eight names for what has been typed: those that begin with it, then those with a word that does. */
export function findNames(typed, names) {
  const begins = (name) => isSame(name.slice(0, typed.length), typed);
  const sorted = [...names].sort((a, b) => a.localeCompare(b));
  const first = sorted.filter(begins);
  const others = sorted.filter((name) => !begins(name) && name.split(/[\s._-]/).some(begins));
  return [...first, ...others].slice(0, 8);
}
