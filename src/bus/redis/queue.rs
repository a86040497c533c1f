//! What is to be said to Redis, in order, and what was said and is not answered yet.
//!
//! Everything that waits goes out in one write, so many messages share one round trip. When the
//! connection breaks, what was not answered is said again on the next one: each such command may
//! be repeated without harm. Only questions that somebody waits for are dropped then.

mod node_queue;
mod request;

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use event_listener::Event;
use redis::Value;
use smol::Timer;
use smol::channel::{self, Sender};

use super::DELAYS;
use super::scripts::Publication;
use crate::count::Histogram;
use crate::redis::cluster::{AGAIN, Map};
use crate::redis::error::Error;
use crate::redis::slot::Command;
use node_queue::NodeQueues;
use request::Request;

pub use request::{OnReply, Payload};

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
    queues: NodeQueues,
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
    pub fn push(&self, command: Command, on_reply: OnReply) {
        let request = Request::new(Payload::Command(command), on_reply, None);
        self.lock().queues.push(request);
    }

    /// Asks something, if Redis is there to be asked. When the connection breaks before the
    /// answer, the sender is dropped.
    pub fn request(&self, command: Command, reply: Sender<Value>) -> bool {
        let mut state = self.lock();
        if state.up {
            let request = Request::new(Payload::Command(command), OnReply::Send(reply), None);
            state.queues.push(request);
        }
        state.up
    }

    /// Asks every node the same, and waits for all their answers; `None` if a connection breaks
    /// before. Give it a deadline.
    pub async fn request_all(&self, command: &[u8]) -> Option<Vec<Value>> {
        let (reply, receiver) = channel::unbounded();
        let count = self.lock().queues.request_all(command, &reply);
        drop(reply);
        let mut replies = Vec::new();
        while let Ok(reply) = receiver.recv().await {
            replies.push(reply);
        }
        (replies.len() == count).then_some(replies)
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
    pub fn publish(&self, bytes: usize, request: impl FnOnce(u64) -> (Payload, OnReply)) {
        let mut state = self.lock();
        state.sequence += 1;
        let (payload, on_reply) = request(state.sequence);
        let request = Request::new(payload, on_reply, Some((bytes, Instant::now())));
        state.queues.push(request);
    }

    /// Waits for something to say to a node, and moves it to what is unanswered. `publish` makes one
    /// command of messages of one room. Not cancel safe: what was taken counts as said. When the
    /// write fails, call [`down`](Self::down).
    pub async fn take(
        &self,
        queue: usize,
        out: &mut Vec<u8>,
        publish: impl Fn(&Publication, &[&Publication]) -> Command,
    ) {
        loop {
            let listener = {
                let mut state = self.lock();
                while out.len() < WRITE_SIZE && state.queues.send_next(queue, out, &publish) {}
                if !out.is_empty() {
                    return;
                }
                state.queues.work(queue)
            };
            listener.await;
        }
    }

    /// Takes a node's answer to the oldest that it was asked. `Err`: the answer says that this
    /// Redis can't do its work now, so the connection is of no use; the command stays unanswered.
    pub fn on_reply(&self, queue: usize, value: Value) -> Result<(), Error> {
        let mut state = self.lock();
        let requests = state.queues.on_reply(queue, &value)?;
        let mut delays = Vec::new();
        for (bytes, accepted) in requests.iter().filter_map(|request| request.weight) {
            state.messages -= 1;
            state.bytes -= bytes;
            delays.push(accepted.elapsed().as_micros() as u64);
        }
        let again = state.queues.has_retries();
        drop(state);
        delays
            .into_iter()
            .for_each(|delay| self.delays.record(delay));
        self.room.notify(usize::MAX);
        if again {
            self.again.notify(1);
        }
        let published = requests.iter().all(|request| request.words().is_some());
        match value {
            Value::Array(values) if published && values.len() == requests.len() => {
                let run = |(request, value): (Request, Value)| request.on_reply.run(value);
                requests.into_iter().zip(values).for_each(run);
            }
            Value::Array(_) if published && !requests.is_empty() => {
                return Err(Error::Transient("an answer that makes no sense".into()));
            }
            value => requests
                .into_iter()
                .for_each(|request| request.on_reply.run(value.clone())),
        }
        Ok(())
    }

    /// The connection is there: what waits goes out, on as many queues as there are nodes.
    pub fn up(&self, map: Option<&Map>) {
        let mut state = self.lock();
        state.queues.distribute(map);
        state.up = true;
        drop(state);
        self.room.notify(usize::MAX);
    }

    /// Says again what could not be done because its slot is on its way from one node to another.
    /// Never ends. Cancel safe.
    pub async fn retry(&self) {
        loop {
            let listener = self.again.listen();
            if !self.lock().queues.has_retries() {
                listener.await;
            }
            Timer::after(AGAIN).await;
            self.lock().queues.retry();
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
        state.queues.merge();
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
        let refused: VecDeque<Request> = state.queues.take_unsent_messages();
        drop(state);
        for request in refused {
            request.on_reply.reject();
        }
    }

    /// Waits until everything is said and answered. Give it a deadline.
    pub async fn drained(&self) {
        loop {
            let listener = {
                let state = self.lock();
                if state.queues.is_empty() {
                    return;
                }
                self.room.listen()
            };
            listener.await;
        }
    }
}
