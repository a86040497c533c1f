// One message: its place among the others of its room, and how it looks.
//
// A message is { ref, id, ts, from, text, avatar, mine, state, error }. One of our own is
// 'pending' until it is acknowledged, and 'failed' if it was refused; everything else is 'sent'.

import { avatar, button, isolated, make, paint, time } from './page.js';
import { isIgnored } from './settings.js';
import { isJustEmoji, render } from './text.js';

/** Before the first message of any room. */
export const START = '0-0';

/** Whether nothing was said before, as far as the count knows. */
export const isFirst = (id) => id.endsWith('-1');

/** A message of more lines is folded. How long lines are depends on the screen; this is a guess. */
const MOST_LINES = 30;
const LINE = 80;

const lines = (text) => text.split('\n').reduce((sum, line) => sum + 1 + Math.floor(line.length / LINE), 0);

/** Makes `message.element`; `hooks` are again(message), discard(message), names() and folded(). */
export function draw(message, hooks) {
  const { from, mine, ts } = message;
  const head = make('header', '', mine ? make('b', 'name', 'You') : paint(make('b', 'name', isolated(from)), from));
  const bubble = make('div', 'bubble');
  const text = make('div', 'text');
  text.dir = 'auto';
  bubble.append(text);
  message.fold = lines(message.text) > MOST_LINES && fold(message, hooks);
  if (message.fold) bubble.append(message.fold);
  message.meta = make('span', 'meta', make('span', 'state'), time(ts));
  const body = make('div', 'body', head, bubble);
  const element = make('article', 'message', make('div', 'line', body));
  if (!mine) element.lastChild.prepend(avatar(from, message.avatar));
  element.classList.toggle('mine', mine);
  element.classList.toggle('folded', !!message.fold);
  message.element = element;
  veil(message);
  write(message, hooks);
  restate(message, hooks);
}

/** Hides it while its sender is ignored. */
export function veil({ element, from, mine }) {
  element.classList.toggle('ignored', !mine && isIgnored(from));
}

/** Puts the text in, again once the names of emoji are known. */
export function write(message, hooks) {
  const text = message.element.querySelector('.text');
  const { by, from } = message;
  text.replaceChildren(by ? make('i', 'soft', 'taken back', ...(by === from ? [] : [' by ', isolated(by)])) : render(message.text, message.text.includes('@') ? hooks.names() : []));
  message.element.classList.toggle('gone', !!by);
  const shown = text.textContent;
  message.element.classList.toggle('large', isJustEmoji(shown));
  message.element.classList.toggle('marked', /\p{M}/u.test(from + shown));
  if (by && message.fold) {
    message.fold.remove();
    message.fold = null;
    message.element.classList.remove('folded');
  }
  (message.fold || text).append(message.meta);
}

/** What is below a long text: the way to the rest of it, and back. */
function fold(message, hooks) {
  const toggle = button('', () => {
    const isFolded = message.element.classList.toggle('folded');
    toggle.textContent = isFolded ? 'Show all' : 'Show less';
    toggle.setAttribute('aria-expanded', !isFolded);
    if (isFolded) message.element.scrollIntoView({ block: 'nearest' });
    hooks.folded();
  }, 'Show all');
  toggle.setAttribute('aria-expanded', 'false');
  return make('p', 'fold', toggle);
}

/** Shows what has become of it. */
export function restate(message, { again, discard }) {
  const { element, meta, state, error } = message;
  element.classList.toggle('pending', state === 'pending');
  element.classList.toggle('failed', state === 'failed');
  meta.firstChild.textContent = state === 'failed' ? 'not sent' : '';
  // Most are acknowledged before anybody could read that they wait.
  if (state === 'pending') {
    setTimeout(() => message.state === 'pending' && (meta.firstChild.textContent = 'waiting'), 800);
  }
  element.querySelector('.error-text')?.remove();
  if (state !== 'failed') return;
  element.querySelector('.body').append(make('p', 'error-text', make('span', '', error),
    button('', () => again(message), 'Try again'), button('', () => discard(message), 'Discard')));
}
