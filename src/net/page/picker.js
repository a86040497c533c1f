// Emoji to choose from, for those who don't know their names.

import { openDialog } from './menu.js';
import { button, make, page } from './page.js';
import { findEmoji, usualEmoji } from './text.js';

const MOST = 49;
const touch = matchMedia('(pointer: coarse)');

/** Opens the dialog; `take` is given the emoji. */
export function openPicker(opener, take) {
  const field = make('input');
  Object.assign(field, { type: 'search', placeholder: 'Find', ariaLabel: 'Find an emoji' });
  const grid = make('div', 'grid');
  const fill = () => {
    const typed = field.value.trim();
    const found = typed ? findEmoji(typed, MOST) : usualEmoji();
    grid.replaceChildren(...found.map(([name, emoji]) => {
      const choice = button('', () => {
        page.menu.close();
        take(emoji);
      }, emoji);
      return Object.assign(choice, { ariaLabel: name, title: `:${name}:` });
    }));
  };
  fill();
  field.addEventListener('input', fill);
  // A field to find something keeps Escape for itself in WebKit.
  field.addEventListener('keydown', ({ key }) => key === 'Escape' && !field.value && page.menu.close());
  const form = make('form', '', field, grid);
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    grid.firstChild?.click();
  });
  // On a phone, the keyboard would cover them.
  if (touch.matches) grid.firstChild?.setAttribute('autofocus', '');
  openDialog(opener, ['Emoji'], form);
}
