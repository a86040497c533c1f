// The token that the server may want. It comes in the address as #token=…, which no server and no log
// ever sees, and is kept for this tab alone.

const KEY = 'natterjack-token';

/** Whether the address brings a token. */
export const inAddress = () => /^#token=/.test(location.hash);

function stored() {
  try {
    return sessionStorage.getItem(KEY) ?? '';
  } catch {
    return '';
  }
}

/** Takes the token out of the address, so that nobody copies it from there; a room may stay. */
function take() {
  if (!inAddress()) return stored();
  const brought = new URLSearchParams(location.hash.slice(1));
  const room = brought.get('room');
  history.replaceState(null, '', room ? `#${encodeURIComponent(room)}` : location.pathname + location.search);
  try {
    sessionStorage.setItem(KEY, brought.get('token'));
  } catch { /* A browser that keeps nothing: a reload needs the address again. */ }
  return brought.get('token').trim();
}

export const token = take();

/** Asks for a WebSocket without an upgrade: the server says what it would refuse one for. */
export function ask(method = 'GET') {
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  return fetch('ws', { method, headers, cache: 'no-store', signal: AbortSignal.timeout(8_000) });
}

/** Whose it is: the server says so, for it knows which claim counts. Else as far as one can tell. */
async function whose() {
  if (!token) return '';
  try {
    const answer = await ask().catch(() => null);
    const user = answer?.headers.get('Natterjack-User');
    if (user) return decodeURIComponent(user);
    return String(claims().sub ?? '');
  } catch {
    return '';
  }
}

/** What the token says, as far as one can read it. */
function claims() {
  try {
    const base64 = token.split('.')[1].replace(/-/g, '+').replace(/_/g, '/');
    const bytes = Uint8Array.from(atob(base64), (byte) => byte.charCodeAt(0));
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    return {};
  }
}

/** Whether a room is offered the orders of moderators. Whether they are obeyed, the server decides. */
export function mayModerate(room) {
  const { mod } = claims();
  return mod === true || [mod].flat().includes(room);
}

/** The rooms that the token is for; none if it is for all. */
export const rooms = [claims().rooms ?? []].flat().map(String);

export const bearer = await whose();
