//! What is to be said to Redis, in order, and what was said and is not answered yet.
//!
//! Everything that waits goes out in one write, so many messages share one round trip. When the
//! connection breaks, what was not answered is said again on the next one: each such command may
//! be repeated without harm. Only questions that somebody waits for are dropped then.

mod lanes;
mod op;

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use event_listener::Event;
use redis::Value;
use smol::Timer;
use smol::channel::{self, Sender};

use super::DELAYS;
use super::cluster::{AGAIN, Address, Map};
use super::scripts::Publication;
use super::slot::Command;
use crate::count::Histogram;
use lanes::Lanes;
use op::Op;

pub use op::{Then, What};

/// Messages that may wait at once, answered ones not counted …
const MOST_MESSAGES: usize = 1000;
/// … and bytes of their texts. While Redis works, who comes too late waits; while it is away, it
/// is refused.
const MOST_BYTES: usize = 1024 * 1024;
/// About how many bytes go out in one write.
const WRITE_SIZE: usize = 256 * 1024;

/// The way to Redis. Shared by everybody who has something to say.
#[derive(Debug)]
pub struct Queue {
    state: Mutex<State>,
    /// How long messages take from their acceptance to their answer, in microseconds.
    pub delays: Histogram<15>,
    /// Something was answered, or the connection came or went.
    room: Event,
    /// Something is to be tried again.
    again: Event,
}

#[derive(Debug, Default)]
struct State {
    lanes: Lanes,
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
            room: Event::new(),
            again: Event::new(),
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
    pub fn push(&self, command: Command, then: Then) {
        let op = Op::new(What::Command(command), then, None);
        self.lock().lanes.push(op);
    }

    /// Asks something, if Redis is there to be asked. When the connection breaks before the
    /// answer, the sender is dropped.
    pub fn ask(&self, command: Command, answer: Sender<Value>) -> bool {
        let mut state = self.lock();
        if state.up {
            let op = Op::new(What::Command(command), Then::Answer(answer), None);
            state.lanes.push(op);
        }
        state.up
    }

    /// Asks every node the same, and waits for all their answers; `None` if a connection breaks
    /// before. Give it a deadline.
    pub async fn ask_everywhere(&self, command: &[u8]) -> Option<Vec<Value>> {
        let (answer, answered) = channel::unbounded();
        let count = self.lock().lanes.ask_everywhere(command, &answer);
        drop(answer);
        let mut answers = Vec::new();
        while let Ok(answer) = answered.recv().await {
            answers.push(answer);
        }
        (answers.len() == count).then_some(answers)
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
        state.lanes.push(op);
    }

    /// Waits for something to say to a node, and moves it to what is unanswered. `publish` makes one
    /// command of messages of one room. Not cancel safe: what was taken counts as said. When the
    /// write fails, call [`down`](Self::down).
    pub async fn take(
        &self,
        lane: usize,
        out: &mut Vec<u8>,
        publish: impl Fn(&Publication, &[&Publication]) -> Command,
    ) {
        loop {
            let listener = {
                let mut state = self.lock();
                while out.len() < WRITE_SIZE && state.lanes.say_next(lane, out, &publish) {}
                if !out.is_empty() {
                    return;
                }
                state.lanes.work(lane)
            };
            listener.await;
        }
    }

    /// Takes a node's answer to the oldest that it was asked. `Err`: the answer says that this
    /// Redis can't do its work now, so the connection is of no use; the command stays unanswered.
    pub fn answered(&self, lane: usize, value: Value) -> Result<(), Broken> {
        let mut state = self.lock();
        let ops = state.lanes.answered(lane, &value)?;
        let mut delays = Vec::new();
        for (bytes, accepted) in ops.iter().filter_map(|op| op.weight) {
            state.messages -= 1;
            state.bytes -= bytes;
            delays.push(accepted.elapsed().as_micros() as u64);
        }
        let again = state.lanes.to_be_tried_again();
        drop(state);
        delays
            .into_iter()
            .for_each(|delay| self.delays.record(delay));
        self.room.notify(usize::MAX);
        if again {
            self.again.notify(1);
        }
        let published = ops.iter().all(|op| op.words().is_some());
        match value {
            Value::Array(values) if published && values.len() == ops.len() => {
                let settle = |(op, value): (Op, Value)| op.then.settle(value);
                ops.into_iter().zip(values).for_each(settle);
            }
            Value::Array(_) if published && !ops.is_empty() => {
                return Err(Broken::Why("an answer that makes no sense".into()));
            }
            value => ops.into_iter().for_each(|op| op.then.settle(value.clone())),
        }
        Ok(())
    }

    /// The connection is there: what waits goes out, on as many lanes as there are nodes.
    pub fn up(&self, map: Option<&Map>) {
        let mut state = self.lock();
        state.lanes.spread(map);
        state.up = true;
        drop(state);
        self.room.notify(usize::MAX);
    }

    /// Says again what could not be done because its slot is on its way from one node to another.
    /// Never ends. Cancel safe.
    pub async fn try_again(&self) {
        loop {
            let listener = self.again.listen();
            if !self.lock().lanes.to_be_tried_again() {
                listener.await;
            }
            Timer::after(AGAIN).await;
            self.lock().lanes.try_again();
        }
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
        state.lanes.gather();
        drop(state);
        self.room.notify(usize::MAX);
    }

    /// Refuses the messages that wait for a connection and have never been on one, and from now on
    /// those that would have to.
    pub fn reject_pending(&self) {
        let mut state = self.lock();
        state.closing = true;
        if state.up {
            return;
        }
        let refused: VecDeque<Op> = state.lanes.take_unsaid_messages();
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
                if state.lanes.is_empty() {
                    return;
                }
                self.room.listen()
            };
            listener.await;
        }
    }
}

/// Why the connections are of no use any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Broken {
    /// A cluster has sent us to a node that was not known when they were made.
    NewNode(Address),
    /// Nothing is wrong with them, but only new ones can be signed in with the new token.
    Outdated,
    /// One line.
    Why(String),
}

impl From<String> for Broken {
    fn from(why: String) -> Broken {
        Broken::Why(why)
    }
}

/// The errors of a Redis that is starting, stepping down, or has forgotten our scripts. A new
/// connection finds the one that works, or loads them again.
pub fn passing_error(value: &Value) -> Option<String> {
    const CODES: [&str; 7] = [
        "LOADING",
        "READONLY",
        "MASTERDOWN",
        "CLUSTERDOWN",
        "TRYAGAIN",
        "NOREPLICAS",
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
