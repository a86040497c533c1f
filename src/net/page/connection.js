// A WebSocket that comes back by itself. It knows nothing of what is said over it.

const SHORTEST = 500;
const LONGEST = 30_000;
/** A connection that is not open after this long is given up, and so is one that does not answer. */
const ANSWER_TIMEOUT = 8_000;
/** The close code that says: another window has taken this name over. */
export const REPLACED = 4001;

// The server counts frames per second. We stay well below what it allows, so that what was written
// during an outage is not refused for coming all at once.
const BURST = 10;
const PACE = 100;

export class Connection {
  #url;
  #protocols;
  #on;
  #socket = null;
  #wanted = false;
  #wait = SHORTEST;
  #timer = 0;
  #queue = [];
  #allowance = BURST;
  #pacer = 0;
  #heard = 0;

  /** `on` has three functions: open(), frame(object), and lost(code, willRetry). */
  constructor(url, protocols, on) {
    this.#url = url;
    this.#protocols = protocols;
    this.#on = on;
    addEventListener('online', () => this.#hurry());
    addEventListener('offline', () => this.#socket && this.check());
    document.addEventListener('visibilitychange', () => document.hidden || this.#hurry());
  }

  get isOpen() {
    return this.#socket?.readyState === WebSocket.OPEN;
  }

  start() {
    this.#wanted = true;
    this.#wait = SHORTEST;
    if (!this.#socket) this.#open();
  }

  stop() {
    this.#wanted = false;
    clearTimeout(this.#timer);
    const socket = this.#socket;
    this.#forget();
    socket?.close(1000);
  }

  /** The server has accepted us: the next outage begins with a short wait again. */
  settled() {
    this.#wait = SHORTEST;
  }

  send(frame) {
    this.#queue.push(frame);
    this.#drain();
  }

  /** Asks for a sign of life, and gives the connection up if there is none. */
  check() {
    if (!this.isOpen) return;
    const socket = this.#socket;
    const sentAt = Date.now();
    this.send({ type: 'who', room: this.probe });
    setTimeout(() => {
      if (socket === this.#socket && this.#heard < sentAt) this.#giveUp();
    }, ANSWER_TIMEOUT);
  }

  /** The room that check() asks about. */
  probe = 'lobby';

  #open() {
    clearTimeout(this.#timer);
    const socket = new WebSocket(this.#url, this.#protocols);
    this.#socket = socket;
    // A socket that was given up may still have something to say. Nobody listens.
    const current = (act) => (event) => socket === this.#socket && act(event);
    this.#timer = setTimeout(current(() => this.#giveUp()), ANSWER_TIMEOUT);
    socket.onopen = current(() => {
      clearTimeout(this.#timer);
      this.#on.open();
    });
    socket.onmessage = current((event) => {
      this.#heard = Date.now();
      let frame;
      try {
        frame = JSON.parse(event.data);
      } catch {
        return;
      }
      this.#on.frame(frame);
    });
    socket.onclose = current((event) => this.#lost(event.code));
  }

  #giveUp() {
    this.#socket.close();
    this.#lost(1006);
  }

  #lost(code) {
    this.#forget();
    if (code === REPLACED) this.#wanted = false;
    if (this.#wanted) {
      // 1013 is a server that asks for time.
      if (code === 1013) this.#wait = Math.max(this.#wait, 4_000);
      this.#timer = setTimeout(() => this.#open(), this.#wait * (0.5 + Math.random() / 2));
      this.#wait = Math.min(this.#wait * 2, LONGEST);
    }
    this.#on.lost(code, this.#wanted);
  }

  #forget() {
    clearTimeout(this.#timer);
    clearTimeout(this.#pacer);
    this.#pacer = 0;
    this.#socket = null;
    this.#queue = [];
    this.#allowance = BURST;
  }

  /** The network is back, or somebody is looking: no need to wait any longer. */
  #hurry() {
    this.#wait = SHORTEST;
    if (this.isOpen) this.check();
    else this.retryNow();
  }

  retryNow() {
    if (this.#wanted && !this.#socket) this.#open();
  }

  #drain() {
    while (this.isOpen && this.#queue.length && this.#allowance > 0) {
      this.#allowance--;
      this.#socket.send(JSON.stringify(this.#queue.shift()));
    }
    if (this.#allowance < BURST && !this.#pacer) {
      this.#pacer = setTimeout(() => {
        this.#pacer = 0;
        this.#allowance++;
        this.#drain();
      }, PACE);
    }
  }
}
