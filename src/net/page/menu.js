// The menu of a message or a person, and the dialog that it is in. What is chosen is done like a command that is typed.

import { button, isolated, make, page } from './page.js';
import { isIgnored } from './settings.js';
import { mayModerate } from './token.js';

const ORDERS = { mute: 'Mute', kick: 'Remove', ban: 'Ban' };
/** What ends them. Who was removed or banned may come back. */
const ENDS = { mute: ['Unmute', { type: 'mute', seconds: 0 }], kick: ['Let back in', { type: 'unban' }] };
ENDS.ban = ENDS.kick;
/** How long, in seconds. A ban has no end. */
const SPANS = [[600, '10 minutes'], [3_600, '1 hour'], [86_400, '1 day'], [604_800, '1 week']];

/** Opens the menu of a person, and of a `message` of theirs; `obey` does what is chosen. */
export function openMenu(opener, { name, message, room }, obey) {
  const mine = !!message?.mine;
  const mayOrder = !room.isPrivate && mayModerate(room.name);
  const choices = [
    !mine && ['Write privately', () => obey({ to: name })],
    message && (mine || mayOrder) && ['Take back', () => obey({ takeBack: message.id })],
    !mine && [isIgnored(name) ? 'No longer ignore' : 'Ignore', () => obey({ ignore: name })],
    ...Object.entries(mayOrder && !mine ? ORDERS : {}).map(([type, verb]) =>
      [`${verb} …`, () => openForm(opener, type, name, obey)]),
  ];
  const items = choices.filter(Boolean).map(([label, act]) => {
    const item = button('', () => {
      page.menu.close();
      act();
    }, label);
    item.setAttribute('role', 'menuitem');
    return item;
  });
  const list = make('div', '', ...items);
  list.setAttribute('role', 'menu');
  list.addEventListener('keydown', ({ key }) => {
    const step = { ArrowDown: 1, ArrowUp: items.length - 1 }[key];
    if (step) items[(items.indexOf(document.activeElement) + step) % items.length].focus();
  });
  openDialog(opener, mine ? ['Your message'] : [isolated(name)], list);
}

/** Asks a moderator how long, and why, and offers to end what was ordered before. */
function openForm(opener, type, name, obey) {
  const order = (frame) => {
    page.menu.close();
    obey({ frame: { ...frame, user: name } });
  };
  const span = make('select', '', ...SPANS.map(([seconds, label]) => new Option(label, seconds)));
  const why = make('input');
  const send = make('button', 'main', ORDERS[type]);
  const [label, end] = ENDS[type];
  const form = make('form', '',
    ...(type === 'ban' ? [] : [make('label', '', 'How long', span)]),
    ...(type === 'mute' ? [] : [make('label', '', 'Why (optional)', why)]),
    make('p', 'row', button('', () => page.menu.close(), 'Cancel'), button('', () => order(end), label), send));
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    const seconds = type === 'ban' ? undefined : Number(span.value);
    order({ type, seconds, reason: why.value.trim() || undefined });
  });
  openDialog(opener, [`${ORDERS[type]} `, isolated(name)], form);
}

/** Opens the dialog beside what it is about; on a small screen the style sheet puts it at the bottom. */
export function openDialog(opener, title, content) {
  const { menu } = page;
  page['menu-title'].replaceChildren(...title);
  menu.lastElementChild.replaceWith(content);
  menu.showModal();
  const { left, top, bottom } = opener.getBoundingClientRect();
  const end = innerHeight - menu.offsetHeight - 8;
  menu.style.left = `${Math.max(8, Math.min(left, innerWidth - menu.offsetWidth - 8))}px`;
  menu.style.top = `${Math.max(8, bottom <= end ? bottom : Math.min(top - menu.offsetHeight, end))}px`;
}

// Beside it is nothing but the backdrop.
page.menu.addEventListener('click', ({ target }) => target === page.menu && page.menu.close());
