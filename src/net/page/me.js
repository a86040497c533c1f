// Who we are. In this tab everything is remembered, so that a reload changes nothing; beyond it the name.
// What was said is not: the server says it again.

import { asked } from './frame.js';
import { read } from './page.js';
import { bearer } from './token.js';

/** What this tab remembers. */
export const tab = read('sessionStorage');
const known = tab.me ? tab : read('localStorage');
/** { name, email, key, seen, talks }; `talks`: the people with an open conversation. */
export const me = { name: '', email: '', key: '', seen: {}, talks: [], ...known.me };
if (!tab.me && asked('name')) become(asked('name'));
// Who has a token is called as it says.
if (bearer) {
  become(bearer);
  me.key = '';
}

/** The key belongs to the name it was given for, and so does what is private. */
export function become(name) {
  if (name !== me.name) Object.assign(me, { name, key: '', seen: {}, talks: [] });
}
