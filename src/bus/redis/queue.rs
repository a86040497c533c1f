//! What is to be said to Redis, in order, and what was said and is not answered yet.
//!
//! Everything that waits goes out in one write, so many messages share one round trip. When the
//! connection breaks, what was not answered is said again on the next one: each such command may
//! be repeated without harm. Only questions that somebody waits for are dropped then.

use std::collections::VecDeque;
use std::mem;
use std::sync::{Mutex, MutexGuard, PoisonError};

use event_listener::Event;
use redis::Value;
use smol::channel::Sender;

use super::script;
use crate::bus::Draft;
use crate::chat::dialect::Letter;
use crate::chat::event::Refusal;
use crate::chat::peer::Receipt;

/// Messages that may wait at once, answered ones not counted …
const MOST_MESSAGES: usize = 1000;
/// … and bytes of their texts. While Redis works, who comes too late waits; while it is away, it
/// is refused.
const MOST_BYTES: usize = 1024 * 1024;
/// About how many bytes go out in one write.
const WRITE_SIZE: usize = 256 * 1024;

/// A command and what its answer is for.
#[derive(Debug)]
pub struct Op {
    command: Vec<u8>,
    then: Then,
    /// Bytes of message text, for the bound.
    weight: Option<usize>,
}

/// What happens with an answer.
#[derive(Debug)]
pub enum Then {
    /// Nothing: the command is a duty.
    Nothing,
    /// Somebody waits for it, unless the connection breaks.
    Answer(Sender<Value>),
    /// It says whether a message was published.
    Published(Receipt),
    /// It says whether a private message found its user; the message is kept for its sender.
    Told(String, Draft),
}

/// The way to Redis. Shared by everybody who has something to say.
#[derive(Debug, Default)]
pub struct Queue {
    state: Mutex<State>,
    /// Something waits to be written.
    work: Event,
    /// Something was answered, or the connection broke.
    room: Event,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Op>,
    unanswered: VecDeque<Op>,
    up: bool,
    messages: usize,
    bytes: usize,
    sequence: u64,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says a duty, now or when Redis is back.
    pub fn push(&self, command: Vec<u8>, then: Then) {
        self.lock().waiting.push_back(Op {
            command,
            then,
            weight: None,
        });
        self.work.notify(1);
    }

    /// Asks something, if Redis is there to be asked. When the connection breaks before the
    /// answer, the sender is dropped.
    pub fn ask(&self, command: Vec<u8>, answer: Sender<Value>) -> bool {
        let mut state = self.lock();
        if state.up {
            state.waiting.push_back(Op {
                command,
                then: Then::Answer(answer),
                weight: None,
            });
            self.work.notify(1);
        }
        state.up
    }

    /// Makes room for a message of that many bytes, which must then be [published](Self::publish)
    /// at once. Waits while Redis is busy; `false` when it is away and the queue is full.
    pub async fn admit(&self, bytes: usize) -> bool {
        loop {
            let listener = {
                let mut state = self.lock();
                if state.messages < MOST_MESSAGES && state.bytes + bytes <= MOST_BYTES {
                    state.messages += 1;
                    state.bytes += bytes;
                    return true;
                }
                if !state.up {
                    return false;
                }
                self.room.listen()
            };
            listener.await;
        }
    }

    /// Says a message of `bytes` that has been admitted. `op` is given its number: messages are numbered in the order in
    /// which they go out, so a repeated one can be told from a new one.
    pub fn publish(&self, bytes: usize, op: impl FnOnce(u64) -> (Vec<u8>, Then)) {
        let mut state = self.lock();
        state.sequence += 1;
        let (command, then) = op(state.sequence);
        state.waiting.push_back(Op {
            command,
            then,
            weight: Some(bytes),
        });
        self.work.notify(1);
    }

    /// Waits for something to say, and moves it to what is unanswered. Not cancel safe in the
    /// sense that what was taken counts as said: when the write fails, call [`down`](Self::down).
    pub async fn take(&self, out: &mut Vec<u8>) {
        loop {
            let listener = {
                let mut state = self.lock();
                while out.len() < WRITE_SIZE
                    && let Some(op) = state.waiting.pop_front()
                {
                    out.extend_from_slice(&op.command);
                    state.unanswered.push_back(op);
                }
                if !out.is_empty() {
                    return;
                }
                self.work.listen()
            };
            listener.await;
        }
    }

    /// Takes the answer to the oldest unanswered command. `Err`: the answer says that this Redis
    /// can't do its work now, so the connection is of no use; the command stays unanswered.
    pub fn answered(&self, value: Value) -> Result<(), String> {
        if let Some(error) = passing_error(&value) {
            return Err(error);
        }
        let op = {
            let mut state = self.lock();
            let op = state
                .unanswered
                .pop_front()
                .ok_or("an answer to no question")?;
            if let Some(bytes) = op.weight {
                state.messages -= 1;
                state.bytes -= bytes;
            }
            op
        };
        self.room.notify(usize::MAX);
        op.then.settle(value);
        Ok(())
    }

    /// The connection is there: what waits goes out.
    pub fn up(&self) {
        self.lock().up = true;
    }

    /// The connection is gone: what was not answered waits again, in front; questions are dropped.
    pub fn down(&self) {
        let mut state = self.lock();
        state.up = false;
        let mut again = mem::take(&mut state.unanswered);
        again.append(&mut state.waiting);
        again.retain(|op| !matches!(op.then, Then::Answer(_)));
        state.waiting = again;
        drop(state);
        self.room.notify(usize::MAX);
    }

    /// Waits until everything is said and answered. Give it a deadline.
    pub async fn drained(&self) {
        loop {
            let listener = {
                let state = self.lock();
                if state.waiting.is_empty() && state.unanswered.is_empty() {
                    return;
                }
                self.room.listen()
            };
            listener.await;
        }
    }
}

impl Then {
    fn settle(self, value: Value) {
        if let Value::ServerError(error) = &value {
            // Redis names the command, never its arguments.
            log::warn!("redis refuses: {error}");
        }
        let failed = matches!(value, Value::ServerError(_));
        match self {
            Then::Nothing => {}
            // The one who asked may have given up.
            Then::Answer(sender) => drop(sender.try_send(value)),
            Then::Published(receipt) if failed => receipt.refuse(&Refusal::Unavailable),
            Then::Published(receipt) => {
                if let Some(id) = script::id(&value) {
                    receipt.accept(id);
                }
            }
            Then::Told(to, draft) => match script::stamp(&value) {
                Some((id, at)) => {
                    let Draft {
                        user,
                        email,
                        text,
                        receipt,
                        ..
                    } = draft;
                    let letter = Letter {
                        from: user,
                        email,
                        text,
                        id,
                        at,
                    };
                    receipt.delivered(&to, &letter);
                }
                None if failed => draft.receipt.refuse(&Refusal::Unavailable),
                None => draft.receipt.refuse(&Refusal::NoSuchUser(to)),
            },
        }
    }
}

/// The errors of a Redis that is starting, stepping down, or has forgotten our scripts. A new
/// connection finds the one that works, or loads them again.
pub fn passing_error(value: &Value) -> Option<String> {
    const CODES: [&str; 6] = [
        "LOADING",
        "READONLY",
        "MASTERDOWN",
        "CLUSTERDOWN",
        "TRYAGAIN",
        "NOSCRIPT",
    ];
    let Value::ServerError(error) = value else {
        return None;
    };
    CODES.contains(&error.code()).then(|| error.to_string())
}
