// What moderators have done, as sentences.

import { day, isolated, time } from './page.js';

const DEEDS = { kick: 'was removed', ban: 'was banned', unban: 'is no longer banned', mute: 'was muted' };

const UNITS = [[86_400, 'day'], [3_600, 'hour'], [60, 'minute'], [1, 'second']];

/** "an hour", "90 minutes". */
function span(seconds) {
  const [size, unit] = UNITS.find(([size]) => seconds % size === 0);
  const count = seconds / size;
  return count === 1 ? `${unit === 'hour' ? 'an' : 'a'} ${unit}` : `${count} ${unit}s`;
}

/** Who was removed, banned or silenced, for how long, which moderator did it, and why. */
export function told({ user, action, by, seconds, reason }) {
  const isOver = action === 'mute' && seconds === 0;
  return [
    isolated(user), ` ${isOver ? 'may speak again' : DEEDS[action]}`, seconds ? ` for ${span(seconds)}` : '', ', by ', isolated(by),
    ...(reason ? [': ', isolated(reason)] : []),
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
