// Commands: what is typed with a slash in front, as at a terminal.

const MSG = /^\/msg\s+(?:["“„]([^"“”„]+)["”“]|(\S+))(?:\s+([^]+))?$/i;
const COMMAND = /^\/[a-z]+(?!\S)/i;

/** What /help says. */
export const HELP = '/msg NAME TEXT writes to one person, /who lists who is here. Everything else is said to the room.';

/**
 * What a text asks for: { to, text } to be sent, { show: '/who' }, or { fault } if it only looks like a
 * command. Null if it is a message.
 */
export function command(written) {
  const word = COMMAND.exec(written)?.[0].toLowerCase();
  if (!word) return null;
  if (word === '/who' || word === '/help') return { show: word };
  if (word !== '/msg') return { fault: `There is no command ${word}. Send it as it is?` };
  const [, quoted, name = quoted, text = ''] = MSG.exec(written) ?? [];
  return name ? { to: name, text } : { fault: 'Whom is it for? /msg NAME TEXT. Or send it as it is?' };
}
