/**
 * A client of a natterjack server. It reconnects, hands on each message once and in order, one's own too, and sends
 * after an outage what was said in it.
 *
 *     const lobby = await connect('wss://chat.example.org/ws', { user: 'door' }).join('lobby');
 */

/**
 * @typedef {Error & { code: string }} Failure  With the server's code, or `closed`.
 *
 * @typedef {{ room?: string, to?: string, with?: string, id?: string, ts: number, userId: string,
 *   text: string, avatar?: string }} Message  Only what other programs publish has no `id`. A private message has
 *   `to`, and `with`: the other end.
 *
 * @typedef {{ room?: string, to?: string, id: string, by: string }} Deleted  In a history, it stands for a message
 *   that was taken back.
 *
 * @typedef {{ users: string[], count: number }} People
 *
 * @typedef {{ chat: Message, deleted: Deleted, left: Failure, who: People,
 *   joined: People & { last: string | null, complete: boolean },
 *   moderation: { action: string, user: string, by: string, seconds?: number },
 *   presence: { userId: string, status: string } }} RoomEvents  `joined` comes also when we are back; `complete` is
 *   false if messages are lost. `left`: removed, or not let in again.
 *
 * @typedef {'online' | 'waiting' | 'offline'} State  Waiting: the server has lost its Redis.
 *
 * @typedef {{ private: Message, deleted: Deleted, gap: { to: string }, state: State, error: Failure,
 *   welcome: { userId: string, session: string }, lost: { code: number } }} ChatEvents  `gap`: older private
 *   messages are lost. `lost`: a connection has ended, with its close code; after 4001, a newer one has the name,
 *   only `retry()` connects again. `error`: what rejects no promise.
 *
 * @typedef {{ user?: string, session?: string, token?: string, email?: string,
 *   private?: Record<string, string> }} Options  `session`: an earlier `chat.session`. `private`: the
 *   last ids of conversations; all that came later is handed on, and all of other conversations.
 */

// Milliseconds between attempts.
const SHORTEST = 500;
const LONGEST = 30_000;
/** By then, a connection must open or answer. */
const ANSWER = 8_000;
/** After this silence we ask for a sign of life; sooner if an answer is due. */
const SILENCE = 30_000;
const OVERDUE = 10_000;
/** So many of those that waited are sent in a second. */
const BURST = 10;
const MOST_WAITING = 10_000;
const MOST_IDS = 4_000;
const MOST_CONVERSATIONS = 50;

/** @returns {Failure} */
const failure = (code, message = code) => Object.assign(new Error(message), { code });

/** Nearly as the server compares names. */
const fold = (name) => name?.normalize('NFKC').toLowerCase();

/** Whether one id of a room, EPOCH-N, comes after another. */
export function isAfter(id, other) {
  const [[epoch, n], [since, count]] = [id, other].map((id) => id.split('-').map(Number));
  return epoch > since || (epoch === since && n > count);
}

/** Notes an id, if it is new. */
function isNew(heard, id) {
  if (heard.has(id)) return false;
  heard.add(id);
  if (heard.size > MOST_IDS) heard.delete(heard.values().next().value);
  return true;
}

/** @template Events */
class Emitter {
  #listeners = {};

  /**
   * Returns a function that removes the listener.
   * @template {keyof Events} Type
   * @param {Type} type
   * @param {(event: Events[Type]) => void} listener
   */
  on(type, listener) {
    const listeners = (this.#listeners[type] ??= new Set());
    listeners.add(listener);
    return () => listeners.delete(listener);
  }

  /** @internal */
  emit(type, event) {
    for (const listener of this.#listeners[type] ?? []) {
      try {
        listener(event);
      } catch (error) {
        // Others hear it all the same.
        queueMicrotask(() => { throw error; });
      }
    }
  }
}

/** @extends {Emitter<RoomEvents>} */
export class Room extends Emitter {
  /** Empty if these are very many. @type {Set<string>} */
  people = new Set();
  count = 0;
  #chat;

  /** @internal */
  constructor(chat, name, past, last) {
    super();
    this.#chat = chat;
    /** @type {string} */
    this.name = name;
    // `last` is the newest id.
    Object.assign(this, { past, last, asked: false, joined: false, heard: new Set() });
    const entered = new Promise((resolve, reject) => Object.assign(this, { resolve, reject }));
    Object.assign(this, { entered });
  }

  /**
   * Resolves with the id once it is in the log; rejects if refused. One `ref` is delivered once.
   * @param {string} text
   * @param {string} [ref]
   * @returns {Promise<string>}
   */
  say(text, ref) {
    return this.#chat.ask({ type: 'chat', room: this.name, text }, ref);
  }

  /**
   * Up to 100 messages, oldest first: before an id, or the last.
   * @param {{ before?: string, limit?: number }} [what]
   * @returns {Promise<(Message | Deleted)[]>}
   */
  history(what) {
    return this.#chat.ask({ type: 'history', room: this.name, ...what });
  }

  leave() {
    this.#chat.leave(this.name);
  }
}

/** @extends {Emitter<ChatEvents>} */
export class Chat extends Emitter {
  /** @type {State} */
  state = 'offline';
  #url;
  #options;
  #rooms = new Map();
  /** What waits for an answer, by its `ref`: { frame, sent, resolve, reject }. */
  #waiting = new Map();
  /** The last id of each, the one longest silent first. */
  #conversations = new Map();
  #heard = new Set();
  /** Messages of other conversations are new from this time on. */
  #begun = 0;
  #isWanted = true;
  #closed = new AbortController();
  #socket;
  #isNamed = false;
  #wasNamed = false;
  #wait = SHORTEST;
  #heardAt = 0;
  #held;
  /** Each ends with its connection. */
  #timers = {};

  /** @internal */
  constructor(url, { user, session, ...options }) {
    super();
    this.#url = new URL(url, globalThis.location?.href);
    this.#url.protocol = this.#url.protocol.replace('http', 'ws');
    /** @type {string | undefined} */
    this.user = user;
    /** @type {string | undefined} */
    this.session = session;
    this.#options = options;
    for (const [name, id] of Object.entries(options.private ?? {})) this.#conversations.set(fold(name), id);
    const look = () => this.#isWanted && (this.check(1_200), this.retry());
    const { signal } = this.#closed;
    for (const type of ['online', 'offline', 'visibilitychange']) globalThis.addEventListener?.(type, look, { signal });
    // What is joined at once decides how the name is claimed.
    queueMicrotask(() => this.#open());
  }

  get #isOpen() {
    return this.#socket?.readyState === 1;
  }

  /**
   * Resolves once we are in; rejects if the room or the name is refused. Begins with the last `history`
   * messages, or those after the id `since`.
   * @param {string} name
   * @param {{ history?: number, since?: string }} [past]
   * @returns {Promise<Room>}
   */
  join(name, { history, since } = {}) {
    name = name.normalize('NFC');
    if (this.#closed.signal.aborted) return Promise.reject(failure('closed'));
    if (!this.#rooms.has(name)) {
      this.#rooms.set(name, new Room(this, name, history, since));
      this.#enter();
    }
    return this.#rooms.get(name).entered;
  }

  /**
   * Says something to one person, like `room.say`.
   * @param {string} user
   * @param {string} text
   * @param {string} [ref]
   * @returns {Promise<string>}
   */
  tell(user, text, ref) {
    return this.ask({ type: 'chat', to: user, text }, ref);
  }

  /**
   * Private messages, like `room.history`.
   * @param {string} user
   * @param {{ before?: string, limit?: number }} [what]
   * @returns {Promise<(Message | Deleted)[]>}
   */
  history(user, what) {
    return this.ask({ type: 'history', to: user, ...what });
  }

  /**
   * Sends any frame, such as `{ type: 'delete', room, id }`. Says whether there is a connection.
   * @param {object} frame
   */
  send(frame) {
    if (this.#isOpen) this.#socket.send(JSON.stringify(frame));
    return this.#isOpen;
  }

  /** @param {string} name */
  leave(name) {
    const room = this.#rooms.get(name);
    if (room?.asked) this.send({ type: 'leave', room: name });
    if (room) this.#forget(room, failure('closed'));
  }

  /** Connects at once. */
  retry() {
    if (this.#closed.signal.aborted) return;
    this.#isWanted = true;
    this.#wait = SHORTEST;
    // An older attempt may hang.
    if (!this.#isOpen) this.#drop();
    this.#open();
  }

  /** Gives up a connection that shows no sign of life. */
  check(time = ANSWER) {
    if (!this.#isOpen || (this.#timers.alarm && time === ANSWER)) return;
    clearTimeout(this.#timers.alarm);
    this.#timers.alarm = setTimeout(() => this.#lost(1006), time);
    if (this.#isNamed) this.history(this.user, { limit: 0 }).catch(() => {});
  }

  /** Ends it. What waits is rejected. */
  close(why = failure('closed')) {
    this.#closed.abort();
    this.#isWanted = false;
    this.#drop();
    for (const { reject } of [...this.#rooms.values(), ...this.#waiting.values()]) reject(why);
    this.#rooms.clear();
    this.#waiting.clear();
  }

  /** Sends a frame, now or after the next reconnect. @internal */
  ask(frame, ref = Date.now().toString(36) + Math.random().toString(36).slice(1)) {
    return new Promise((resolve, reject) => {
      const isOut = this.#closed.signal.aborted || (frame.room && !this.#rooms.has(frame.room));
      if (isOut || this.#waiting.size > MOST_WAITING) return reject(failure(isOut ? 'closed' : 'unavailable'));
      this.#waiting.set(ref, { frame: { ...frame, ref }, sent: false, resolve, reject });
      this.#flush();
    });
  }

  #open() {
    if (!this.#isWanted || this.#socket) return;
    clearTimeout(this.#timers.connect);
    const url = new URL(this.#url);
    const { token } = this.#options;
    // Proxies log addresses, so a join has the session, if there is a room. With a token, the room where
    // nameless connections begin may be forbidden.
    const isInAddress = this.user && (token || !this.#rooms.size);
    if (isInAddress) {
      const { email, ...claim } = this.#claim();
      for (const [key, value] of Object.entries(claim)) {
        if (value) url.searchParams.set(key, key === 'private' ? JSON.stringify(value) : value);
      }
    }
    const socket = (this.#socket = new WebSocket(url, token ? [`bearer.${token}`] : []));
    // Nobody listens to a socket that was given up.
    const current = (act) => (event) => socket === this.#socket && act(event);
    this.#timers.connect = setTimeout(() => this.#lost(1006), ANSWER);
    socket.onopen = current(() => {
      clearTimeout(this.#timers.connect);
      this.#heardAt = Date.now();
      this.#timers.watch = setInterval(() => {
        if (Date.now() - this.#heardAt > (this.#waiting.size ? OVERDUE : SILENCE)) this.check();
      }, OVERDUE / 2);
      // A guest without a room gets a name with the first message.
      if (!this.user && !this.#rooms.size) this.#online();
      else if (!isInAddress) this.#enter();
    });
    socket.onmessage = current(({ data }) => {
      this.#heardAt = Date.now();
      clearTimeout(this.#timers.alarm);
      delete this.#timers.alarm;
      this.#receive(JSON.parse(data));
    });
    socket.onclose = current(({ code }) => this.#lost(code));
    // Some say no more than this; with others, the code follows.
    socket.onerror = current(() => setTimeout(current(() => this.#lost(1006)), 100));
  }

  #lost(code) {
    this.#drop();
    this.#isWanted &&= code !== 4001;
    if (this.#isWanted) {
      // A server that asks for time.
      if (code === 1013) this.#wait = Math.max(this.#wait, 4_000);
      this.#timers.connect = setTimeout(() => this.#open(), this.#wait * (0.5 + Math.random() / 2));
      this.#wait = Math.min(this.#wait * 2, LONGEST);
    }
    this.emit('lost', { code });
  }

  /** Forgets the socket, and what was sent on it. */
  #drop() {
    const socket = this.#socket;
    Object.values(this.#timers).forEach(clearTimeout);
    this.#timers = {};
    this.#socket = this.#held = undefined;
    this.#isNamed = false;
    for (const room of this.#rooms.values()) room.joined = room.asked = false;
    for (const waiting of this.#waiting.values()) waiting.sent = false;
    socket?.close(1000);
    this.#become('offline');
  }

  #become(state) {
    if (state === this.state) return;
    this.state = state;
    this.emit('state', state);
  }

  #online() {
    this.#isNamed = this.#wasNamed = true;
    this.#wait = SHORTEST;
    this.#become('online');
    this.#enter();
    this.#flush();
  }

  #claim() {
    const { user, session } = this;
    const { email, private: given } = this.#options;
    const ids = [...this.#conversations].slice(-MOST_CONVERSATIONS);
    return { user, session, email, private: given || ids.length ? Object.fromEntries(ids) : undefined };
  }

  /** Asks to be let in; as long as there is no name, into one room only. */
  #enter() {
    if (!this.#isOpen) return;
    for (const room of this.#rooms.values()) {
      const { name, last, past } = room;
      if (!room.asked) {
        const claim = this.#isNamed ? { email: this.#options.email } : this.#claim();
        const what = last ? { since: last } : { history: past };
        room.asked = this.send({ type: 'join', room: name, ...claim, ...what, ref: `join:${name}` });
      }
      if (!this.#isNamed) return;
    }
  }

  #flush() {
    if (this.#timers.pause) return;
    let most = BURST;
    for (const waiting of this.#waiting.values()) {
      const { frame, sent } = waiting;
      if (sent || !(frame.room ? this.#rooms.get(frame.room).joined : this.#isNamed)) continue;
      if (!most--) return this.#later('pause', 1_000, () => this.#flush());
      waiting.sent = this.send(frame);
    }
  }

  #later(name, wait, act) {
    this.#timers[name] ??= setTimeout(() => {
      delete this.#timers[name];
      act();
    }, wait);
  }

  #receive(frame) {
    if (this.#held) return this.#held.push(frame);
    const { type, users, count } = frame;
    const room = this.#rooms.get(frame.room);
    if (room && users) Object.assign(room, { people: new Set(users), count });
    if (type === 'joined' && room?.resolve) {
      room.resolve(room);
      room.resolve = undefined;
      // First, those who waited for the room can listen.
      this.#held = [frame];
      this.#later('held', 0, () => {
        const held = this.#held;
        this.#held = undefined;
        held.forEach((frame) => this.#receive(frame));
      });
    } else if (Object.hasOwn(this.#answers, type)) {
      this.#answers[type](frame, room);
    } else {
      (room ?? this).emit(type, frame);
    }
  }

  #answers = {
    welcome: (frame) => {
      this.user = frame.userId;
      this.session = frame.session;
      this.#online();
      this.emit('welcome', frame);
    },

    joined: (frame, room) => {
      if (!room) return this.send({ type: 'leave', room: frame.room });
      const { last } = frame;
      room.joined = true;
      if (last === null) room.last = '0-0';
      // Without a history, older ones are not wanted. A log may have lost its end.
      else if (room.last ? !isAfter(last, room.last) : !room.past) room.last = last;
      room.emit('joined', frame);
      this.#flush();
    },

    presence: (frame, room) => {
      const { userId } = frame;
      const isHere = frame.status === 'online';
      if (!room || userId === this.user || room.people.has(userId) === isHere) return;
      room.people[isHere ? 'add' : 'delete'](userId);
      room.count += isHere ? 1 : -1;
      room.emit('presence', frame);
    },

    chat: (frame, room) => {
      const { id, to, userId } = frame;
      if (to !== undefined) this.#private({ ...frame, with: this.#isMe(userId) ? to : userId });
      else if (room && (id === undefined || this.#isNext(room, id))) room.emit('chat', frame);
    },

    deleted: (frame, room) => {
      // In a replay it has the place of the message.
      if (room?.last && isAfter(frame.id, room.last)) this.#isNext(room, frame.id);
      (room ?? this).emit('deleted', frame);
    },

    moderation: (frame, room) => {
      room?.emit('moderation', frame);
      if (room && /^(kick|ban)$/.test(frame.action) && this.#isMe(frame.user)) this.#forget(room, failure('banned'));
    },

    history: (frame) => {
      if (frame.complete === false) return this.emit('gap', frame);
      for (const [ref, { frame: asked, sent }] of this.#waiting) {
        if (sent && asked.type === 'history' && asked.room === frame.room && fold(asked.to) === fold(frame.to)) {
          return this.#take(ref).resolve(frame.messages);
        }
      }
    },

    ack: ({ ref, id }) => this.#take(ref)?.resolve(id),

    status: ({ bus }) => this.#become(bus === 'waiting' ? bus : 'online'),

    error: ({ code, message, ref = '' }) => {
      const why = failure(code, message);
      const waiting = this.#take(ref);
      const room = ref.startsWith('join:') && this.#rooms.get(ref.slice(5));
      if (waiting) {
        waiting.reject(why);
      } else if (!this.#isNamed && /^(name_taken|bad_name)$/.test(code)) {
        if (!this.#wasNamed) return this.close(why);
        // It was ours, and may be again.
        this.emit('error', why);
        if (this.#socket) this.#lost(1006);
      } else if (room && /^(unavailable|rate_limited)$/.test(code)) {
        room.asked = room.joined = false;
        this.#later('again', 2_000, () => this.#enter());
      } else if (room) {
        this.#forget(room, why);
        this.#enter();
      } else {
        this.emit('error', why);
      }
    },
  };

  #isMe(name) {
    return fold(name) === fold(this.user);
  }

  #take(ref) {
    const waiting = this.#waiting.get(ref);
    this.#waiting.delete(ref);
    return waiting;
  }

  /** Whether a message is handed on. */
  #isNext(room, id) {
    if (!room.last || isAfter(id, room.last)) room.last = id;
    return isNew(room.heard, id);
  }

  #private(frame) {
    const { id, ts } = frame;
    const name = fold(frame.with);
    if (!isNew(this.#heard, `${name} ${id}`)) return;
    // Conversations that are not known come back with what was said before we began.
    this.#begun ||= this.#options.private ? 1 : ts;
    if (!this.#conversations.has(name) && ts < this.#begun) return;
    this.#conversations.delete(name);
    this.#conversations.set(name, id);
    this.emit('private', frame);
  }

  #forget(room, why) {
    this.#rooms.delete(room.name);
    room.reject(why);
    for (const [ref, { frame }] of this.#waiting) if (frame.room === room.name) this.#take(ref).reject(why);
    if (why.code !== 'closed') room.emit('left', why);
  }
}

/**
 * Connects to a server's `/ws`.
 * @param {string | URL} url
 * @param {Options} [options]
 */
export function connect(url, options = {}) {
  return new Chat(url, options);
}
