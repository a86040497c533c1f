//! What is to be said to Redis, in order, and what was said and is not answered yet.
//!
//! Everything that waits goes out in one write, so many messages share one round trip. When the
//! connection breaks, what was not answered is said again on the next one: each such command may
//! be repeated without harm. Only questions that somebody waits for are dropped then.

use std::collections::VecDeque;
use std::fmt;
use std::mem;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use event_listener::Event;
use redis::Value;
use smol::channel::Sender;

use super::DELAYS;
use super::answer;
use super::script::Words;
use crate::bus::Draft;
use crate::chat::dialect::Letter;
use crate::chat::event::Refusal;
use crate::chat::peer::Receipt;
use crate::count::Histogram;

/// Messages that may wait at once, answered ones not counted …
const MOST_MESSAGES: usize = 1000;
/// … and bytes of their texts. While Redis works, who comes too late waits; while it is away, it
/// is refused.
const MOST_BYTES: usize = 1024 * 1024;
/// About how many bytes go out in one write.
const WRITE_SIZE: usize = 256 * 1024;

/// How many messages are published by one command at most …
const GROUP: usize = 64;
/// … and about how many bytes: Redis does nothing else meanwhile.
const GROUP_BYTES: usize = 64 * 1024;

/// A command and what its answer is for.
#[derive(Debug)]
pub struct Op {
    what: What,
    then: Then,
    /// Bytes of message text, for the bound, and when it was accepted.
    weight: Option<(usize, Instant)>,
    /// Whether it has been said on some connection, so that nobody knows whether it got through.
    said: bool,
    /// Whether it was said together with the one before it: both have one answer.
    joined: bool,
}

/// What is to be said.
pub enum What {
    /// This.
    Command(Vec<u8>),
    /// A message, perhaps together with others.
    Publish(Words),
}

impl fmt::Debug for What {
    /// Not what: there are passwords and people's words among it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            What::Command(_) => "Command",
            What::Publish(_) => "Publish",
        })
    }
}

impl Op {
    fn new(what: What, then: Then, weight: Option<(usize, Instant)>) -> Op {
        Op {
            what,
            then,
            weight,
            said: false,
            joined: false,
        }
    }
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
#[derive(Debug)]
pub struct Queue {
    state: Mutex<State>,
    /// How long messages take from their acceptance to their answer, in microseconds.
    pub delays: Histogram<15>,
    /// Something waits to be written.
    work: Event,
    /// Something was answered, or the connection came or went.
    room: Event,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Op>,
    unanswered: VecDeque<Op>,
    up: bool,
    /// Nothing waits any more for a connection to come.
    closing: bool,
    messages: usize,
    bytes: usize,
    sequence: u64,
}

impl Default for Queue {
    fn default() -> Queue {
        Queue {
            state: Mutex::default(),
            delays: Histogram::new(&DELAYS),
            work: Event::new(),
            room: Event::new(),
        }
    }
}

impl Queue {
    /// How many messages wait to be said or answered, and bytes of their texts.
    pub fn waiting(&self) -> (usize, usize) {
        let state = self.lock();
        (state.messages, state.bytes)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says a duty, now or when Redis is back.
    pub fn push(&self, command: Vec<u8>, then: Then) {
        let op = Op::new(What::Command(command), then, None);
        self.lock().waiting.push_back(op);
        self.work.notify(1);
    }

    /// Asks something, if Redis is there to be asked. When the connection breaks before the
    /// answer, the sender is dropped.
    pub fn ask(&self, command: Vec<u8>, answer: Sender<Value>) -> bool {
        let mut state = self.lock();
        if state.up {
            let op = Op::new(What::Command(command), Then::Answer(answer), None);
            state.waiting.push_back(op);
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
                let room = state.messages < MOST_MESSAGES && state.bytes + bytes <= MOST_BYTES;
                if room && (state.up || !state.closing) {
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

    /// Says a message of `bytes` that has been admitted. `op` is given its number: messages are
    /// numbered in the order in which they go out, so a repeated one can be told from a new one.
    pub fn publish(&self, bytes: usize, op: impl FnOnce(u64) -> (What, Then)) {
        let mut state = self.lock();
        state.sequence += 1;
        let (what, then) = op(state.sequence);
        let op = Op::new(what, then, Some((bytes, Instant::now())));
        state.waiting.push_back(op);
        self.work.notify(1);
    }

    /// Waits for something to say, and moves it to what is unanswered. `publish` makes one command
    /// of messages of one room. Not cancel safe: what was taken counts as said. When the write
    /// fails, call [`down`](Self::down).
    pub async fn take(&self, out: &mut Vec<u8>, publish: impl Fn(&Words, &[&Words]) -> Vec<u8>) {
        loop {
            let listener = {
                let mut state = self.lock();
                while out.len() < WRITE_SIZE && state.say_next(out, &publish) {}
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
        let ops = self.lock().answered()?;
        for (_, accepted) in ops.iter().filter_map(|op| op.weight) {
            self.delays.record(accepted.elapsed().as_micros() as u64);
        }
        self.room.notify(usize::MAX);
        let published = ops.iter().all(|op| matches!(op.what, What::Publish(_)));
        match value {
            Value::Array(values) if published && values.len() == ops.len() => {
                let settle = |(op, value): (Op, Value)| op.then.settle(value);
                ops.into_iter().zip(values).for_each(settle);
            }
            Value::Array(_) if published => return Err("an answer that makes no sense".into()),
            value => ops.into_iter().for_each(|op| op.then.settle(value.clone())),
        }
        Ok(())
    }

    /// The connection is there: what waits goes out.
    pub fn up(&self) {
        self.lock().up = true;
        self.room.notify(usize::MAX);
    }

    /// Waits until a connection is there. Give it a deadline.
    pub async fn is_up(&self) {
        loop {
            let listener = {
                let state = self.lock();
                if state.up {
                    return;
                }
                self.room.listen()
            };
            listener.await;
        }
    }

    /// The connection is gone: what was not answered waits again, in front; questions are dropped.
    pub fn down(&self) {
        let mut state = self.lock();
        state.up = false;
        let mut again = mem::take(&mut state.unanswered);
        again.append(&mut state.waiting);
        again.retain(|op| !matches!(op.then, Then::Answer(_)));
        again.iter_mut().for_each(|op| op.joined = false);
        state.waiting = again;
        drop(state);
        self.room.notify(usize::MAX);
    }

    /// Refuses the messages that wait for a connection and have never been on one, and from now on
    /// those that would have to.
    pub fn give_up(&self) {
        let mut state = self.lock();
        state.closing = true;
        if state.up {
            return;
        }
        let waiting = mem::take(&mut state.waiting);
        let (kept, refused): (VecDeque<Op>, VecDeque<Op>) = waiting
            .into_iter()
            .partition(|op| op.said || op.weight.is_none());
        state.waiting = kept;
        drop(state);
        for op in refused {
            op.then.refuse();
        }
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

impl State {
    /// Says the oldest that waits, a message together with those behind it of the same room.
    fn say_next(
        &mut self,
        out: &mut Vec<u8>,
        publish: &impl Fn(&Words, &[&Words]) -> Vec<u8>,
    ) -> bool {
        let count = match self.waiting.front().map(|op| &op.what) {
            None => return false,
            Some(What::Command(command)) => {
                out.extend_from_slice(command);
                1
            }
            Some(What::Publish(first)) => {
                let mut bytes = 0;
                let rest = self.waiting.iter().skip(1).take(GROUP - 1);
                let more: Vec<&Words> = rest
                    .map_while(|op| match &op.what {
                        What::Publish(words) if words.room == first.room => {
                            bytes += words.weight();
                            (bytes < GROUP_BYTES).then_some(words)
                        }
                        _ => None,
                    })
                    .collect();
                out.extend_from_slice(&publish(first, &more));
                1 + more.len()
            }
        };
        for (place, mut op) in self.waiting.drain(..count).enumerate() {
            op.said = true;
            op.joined = place > 0;
            self.unanswered.push_back(op);
        }
        true
    }

    /// The oldest that is unanswered, and what was said together with it.
    fn answered(&mut self) -> Result<Vec<Op>, String> {
        let behind = self.unanswered.iter().skip(1);
        let count = 1 + behind.take_while(|op| op.joined).count();
        if self.unanswered.is_empty() {
            return Err("an answer to no question".into());
        }
        let ops: Vec<Op> = self.unanswered.drain(..count).collect();
        for (bytes, _) in ops.iter().filter_map(|op| op.weight) {
            self.messages -= 1;
            self.bytes -= bytes;
        }
        Ok(ops)
    }
}

impl Then {
    fn refuse(self) {
        match self {
            Then::Published(receipt) => receipt.refuse(&Refusal::Unavailable),
            Then::Told(_, draft) => draft.receipt.refuse(&Refusal::Unavailable),
            Then::Nothing | Then::Answer(_) => {}
        }
    }

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
                if let Some(id) = answer::id(&value) {
                    receipt.accept(id);
                }
            }
            Then::Told(to, draft) => match answer::stamp(&value) {
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
    // Redis 6.2 wraps what happens within a script.
    let wrapped = error
        .details()
        .is_some_and(|details| details.contains("-READONLY "));
    (wrapped || CODES.contains(&error.code())).then(|| error.to_string())
}
