// What is set on this page, for all tabs of this browser.

import { fold, read, write } from './page.js';

/** `ignored` are the names whose words are not shown; `notify` is what notify.js was told. */
export const settings = { ignored: [], ...read('localStorage').settings };

export function set(change) {
  write('localStorage', { ...read('localStorage'), settings: Object.assign(settings, change) });
}

export const isIgnored = (name) => settings.ignored.some((other) => fold(other) === fold(name));

/** Ignores somebody, or no longer. */
export function ignore(name) {
  const others = settings.ignored.filter((other) => fold(other) !== fold(name));
  set({ ignored: isIgnored(name) ? others : [...others, name] });
}
