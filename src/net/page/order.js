// What moderators have done, as sentences.

import { day, isolated, time } from './page.js';

const DEEDS = { kick: 'was removed', ban: 'was banned', unban: 'is no longer banned', mute: 'was muted' };

/** Who was removed, banned or silenced, for how long, and which moderator did it. */
export function told({ user, action, by, seconds }) {
  const isOver = action === 'mute' && seconds === 0;
  const span = seconds % 60 ? `${seconds} seconds` : seconds === 60 ? 'a minute' : `${seconds / 60} minutes`;
  return [
    isolated(user), ` ${isOver ? 'may speak again' : DEEDS[action]}`, seconds ? ` for ${span}` : '', ', by ', isolated(by),
  ];
}

/** Who is banned from a room. */
export function banned(entries) {
  if (!entries.length) return ['Nobody is banned.'];
  return entries.flatMap(({ user, until, by, reason }, at) => [
    at ? ', ' : 'Banned: ', isolated(user), ' (by ', isolated(by),
    ...(until ? [`, until ${day(until)} `, time(until)] : []), ...(reason ? [': ', isolated(reason)] : []), ')',
  ]);
}
