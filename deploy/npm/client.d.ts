/** Whether one id of a room, EPOCH-N, comes after another. */
export function isAfter(id: any, other: any): boolean;
/**
 * Connects to a server's `/ws`.
 * @param {string | URL} url
 * @param {Options} [options]
 */
export function connect(url: string | URL, options?: Options): Chat;
/** @extends {Emitter<RoomEvents>} */
export class Room extends Emitter<RoomEvents> {
    /** Empty if these are very many. @type {Set<string>} */
    people: Set<string>;
    count: number;
    /** @type {string} */
    name: string;
    /**
     * Resolves with the id once it is in the log; rejects if refused. One `ref` is delivered once.
     * @param {string} text
     * @param {string} [ref]
     * @returns {Promise<string>}
     */
    say(text: string, ref?: string): Promise<string>;
    /**
     * Up to 100 messages, oldest first: before an id, or the last.
     * @param {{ before?: string, limit?: number }} [what]
     * @returns {Promise<(Message | Deleted)[]>}
     */
    history(what?: {
        before?: string;
        limit?: number;
    }): Promise<(Message | Deleted)[]>;
    leave(): void;
    #private;
}
/** @extends {Emitter<ChatEvents>} */
export class Chat extends Emitter<ChatEvents> {
    /** @type {State} */
    state: State;
    /** @type {string | undefined} */
    user: string | undefined;
    /** @type {string | undefined} */
    session: string | undefined;
    /**
     * Resolves once we are in; rejects if the room or the name is refused. Begins with the last `history`
     * messages, or those after the id `since`.
     * @param {string} name
     * @param {{ history?: number, since?: string }} [past]
     * @returns {Promise<Room>}
     */
    join(name: string, { history, since }?: {
        history?: number;
        since?: string;
    }): Promise<Room>;
    /**
     * Says something to one person, like `room.say`.
     * @param {string} user
     * @param {string} text
     * @param {string} [ref]
     * @returns {Promise<string>}
     */
    tell(user: string, text: string, ref?: string): Promise<string>;
    /**
     * Private messages, like `room.history`.
     * @param {string} user
     * @param {{ before?: string, limit?: number }} [what]
     * @returns {Promise<(Message | Deleted)[]>}
     */
    history(user: string, what?: {
        before?: string;
        limit?: number;
    }): Promise<(Message | Deleted)[]>;
    /**
     * Sends any frame, such as `{ type: 'delete', room, id }`. Says whether there is a connection.
     * @param {object} frame
     */
    send(frame: object): boolean;
    /** @param {string} name */
    leave(name: string): void;
    /** Connects at once. */
    retry(): void;
    /** Gives up a connection that shows no sign of life. */
    check(time?: number): void;
    /** Ends it. What waits is rejected. */
    close(why?: Failure): void;
    #private;
}
/**
 * With the server's code, or `closed`.
 */
export type Failure = Error & {
    code: string;
};
/**
 * Only what other programs publish has no `id`. A private message has
 *   `to`, and `with`: the other end.
 */
export type Message = {
    room?: string;
    to?: string;
    with?: string;
    id?: string;
    ts: number;
    userId: string;
    text: string;
    avatar?: string;
};
/**
 * In a history, it stands for a message
 *   that was taken back.
 */
export type Deleted = {
    room?: string;
    to?: string;
    id: string;
    by: string;
};
export type People = {
    users: string[];
    count: number;
};
/**
 * `joined` comes also when we are back; `complete` is
 *  false if messages are lost. `left`: removed, or not let in again.
 */
export type RoomEvents = {
    chat: Message;
    deleted: Deleted;
    left: Failure;
    who: People;
    joined: People & {
        last: string | null;
        complete: boolean;
    };
    moderation: {
        action: string;
        user: string;
        by: string;
        seconds?: number;
    };
    presence: {
        userId: string;
        status: string;
    };
};
/**
 * Waiting: the server has lost its Redis.
 */
export type State = "online" | "waiting" | "offline";
/**
 * `gap`: older private
 *  messages are lost. `lost`: a connection has ended, with its close code; after 4001, a newer one has the name,
 *  only `retry()` connects again. `error`: what rejects no promise.
 */
export type ChatEvents = {
    private: Message;
    deleted: Deleted;
    gap: {
        to: string;
    };
    state: State;
    error: Failure;
    welcome: {
        userId: string;
        session: string;
    };
    lost: {
        code: number;
    };
};
/**
 * `session`: an earlier `chat.session`. `private`: the
 *  last ids of conversations; all that came later is handed on, and all of other conversations.
 */
export type Options = {
    user?: string;
    session?: string;
    token?: string;
    email?: string;
    private?: Record<string, string>;
};
/** @template Events */
declare class Emitter<Events> {
    /**
     * Returns a function that removes the listener.
     * @template {keyof Events} Type
     * @param {Type} type
     * @param {(event: Events[Type]) => void} listener
     */
    on<Type extends keyof Events>(type: Type, listener: (event: Events[Type]) => void): () => any;
    #private;
}
export {};
