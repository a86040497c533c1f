// Why no WebSocket opens. A browser hides the status that one is refused with, so it is asked for once more
// without an upgrade.

import { ask, token } from './token.js';

/** What the server says and what its operator can do, by status. */
const REASONS = {
  403: `The server takes this page for one of another site (403). Its operator can let the proxy pass on Host, or add \
--origin ${location.origin}.`,
  421: `The server doesn’t go by the name ${location.host} (421). Its operator can add --host ${location.host}.`,
  426: 'A proxy on the way lets no WebSocket through (426). Its operator can let it pass on Upgrade.',
  429: `Too many connections come from your address (429). The server’s operator can raise --max-peers-per-ip, or name \
the proxy with --trust-proxy.`,
};

/** { barred } if only another token helps, { hint } if the answer says something, or nothing. */
export async function whyNotIn() {
  try {
    const answer = await ask();
    const { status } = answer;
    if (status === 401) return { barred: barred(await answer.text()) };
    // Only with this method does a browser tell the server where the page is from.
    const isOrigin = status === 426 && (await ask('POST')).status === 403;
    return { hint: REASONS[isOrigin ? 403 : status] ?? (await other(answer)) };
  } catch {
    return {};
  }
}

function barred(why) {
  if (!token) return 'This chat needs a token: please open the address that you were given for it.';
  return /expired/.test(why)
    ? 'Your token has expired: please open a new address.'
    : 'This chat does not accept your token: please open the address that you were given for it again.';
}

async function other(answer) {
  const { status } = answer;
  // Ours are one line; a proxy's would be a page.
  const line = (await answer.text()).trim();
  if (status === 503 && !/[\n<]/.test(line)) return `The server lets nobody in at the moment (503: ${line.split(',')[0]}).`;
  if (status >= 500) return `A proxy answers, but not the server behind it (${status}).`;
  return `Something else than the chat answers here (${status}).`;
}
