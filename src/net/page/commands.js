// Commands: what is typed with a slash in front, as at a terminal.

const COMMAND = /^\/[a-z]+(?!\S)/i;
/** Phones turn quotation marks. */
const NAME_AND_REST = /^\/\w+\s+(?:["“„]([^"“”„]+)["”“]|(\S+))(?:\s+([^]+))?$/;
const SECONDS_AND_REST = /^(?:(\d+)(?!\S)\s*)?([^]*)$/;

/** The commands with a name in them. */
const USAGE = {
  '/msg': '/msg NAME TEXT',
  '/kick': '/kick NAME [SECONDS] [REASON]',
  '/mute': '/mute NAME [SECONDS]',
  '/ban': '/ban NAME [REASON]',
  '/unban': '/unban NAME',
};

/** What /help says. */
export const HELP = `${USAGE['/msg']} writes to one person, /who lists who is here, /delete takes your last message back. \
Everything else is said to the room. Moderators: ${Object.values(USAGE).slice(1).join(', ')}, /delete NAME, /banned`;

/**
 * What a text asks for: { to, text } to be sent, { show } one of /who and /help, a { frame } for the server,
 * { takeBack } the last message of this name, or of one's own, or { fault } if it only looks like a command.
 * Null if it is a message.
 */
export function command(written) {
  const word = COMMAND.exec(written)?.[0].toLowerCase();
  if (!word) return null;
  if (word === '/who' || word === '/help') return { show: word };
  if (word === '/banned') return { frame: { type: 'banned' } };
  const [, quoted, name = quoted, rest = ''] = NAME_AND_REST.exec(written) ?? [];
  if (word === '/delete') return { takeBack: name ?? '' };
  const usage = USAGE[word];
  if (!usage) return { fault: `There is no command ${word}. Send it as it is?` };
  const fault = `It has to be ${usage}. Send it as it is?`;
  if (!name) return { fault };
  if (word === '/msg') return { to: name, text: rest };
  const [, seconds, reason] = usage.includes('SECONDS') ? SECONDS_AND_REST.exec(rest) : [, undefined, rest];
  if (reason && !usage.includes('REASON')) return { fault };
  return { frame: { type: word.slice(1), user: name, seconds: seconds && Number(seconds), reason } };
}
