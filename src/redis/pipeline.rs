//! Sends requests to Redis and hands the replies back: the one way for everything but sign-in and
//! set-up.
//!
//! Requests of one slot keep their order, also when a cluster moves the slot. All that waits for a
//! node goes out in one write, so many requests share one round trip. When the connection breaks,
//! requests without a reply are sent again on the next one: each of them can be repeated without
//! harm. Only the requests of callers who wait for the reply are dropped then.
//!
//! On a new connection the gate is closed at first: the [early](Pipeline::request_early) requests,
//! which restore the state at Redis, go out; all others wait until it [opens](Pipeline::open).

mod carrier;
mod node_queues;
mod refusals;
mod request;

use std::collections::VecDeque;
use std::fmt;
use std::time::{Duration, Instant};

use event_listener::Event;
use redis::Value;
use smol::channel::Receiver;
use smol::lock::Semaphore;

use super::error::{Error, accept, no_answer};
use super::slot::Command;
use crate::count::Histogram;
use crate::mutex::Mutex;
use crate::time::timeout;
use node_queues::{Gate, NodeQueues};
use refusals::Refusals;
use request::Request;

pub use carrier::{Task, race};
pub use request::{OnReply, Part, Payload};

/// Reserved requests without a reply at most. While Redis works, the next one waits; while Redis is
/// away, it is refused.
const MAX_RESERVED: usize = 1000;
/// Their bytes at most.
const MAX_RESERVED_BYTES: usize = 1024 * 1024;
/// A caller who waits for a reply is told after this time that there is none.
pub const REPLY_TIME: Duration = Duration::from_secs(5);
/// The same while the gate is closed: then there is much to read, and nobody waits for it.
const EARLY_REPLY_TIME: Duration = Duration::from_secs(30);
/// How many large replies may be on their way from a node.
const LARGE: usize = 4;
/// How many nodes have turns of their own for them.
const TURNS: usize = 16;
/// How long a request with a large reply waits for its turn at most.
const TURN_TIME: Duration = Duration::from_secs(30);
/// How many early requests are sent at once: enough to make up for the round trip, few enough to be
/// answered in time.
pub const BATCH: usize = 256;

/// Delays are counted in these buckets, in microseconds.
pub const DELAYS: [u64; 15] = [
    250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000,
    2_500_000, 5_000_000, 10_000_000,
];

/// See [`Pipeline::new`].
type Merge<P> = Box<dyn Fn(u64, &P, &[&P]) -> Command + Send + Sync>;

/// The way to Redis, shared by all callers.
pub struct Pipeline<P: Part> {
    state: Mutex<State<P>>,
    merge: Merge<P>,
    /// See [`new`](Self::new).
    most_age: Duration,
    refusals: Refusals,
    /// For each node, how many more large replies may be on their way; some nodes share a place.
    turns: [Semaphore; TURNS],
    /// How long reserved requests take from their acceptance to their reply, in microseconds.
    pub delays: Histogram,
    /// A reply has come, or the gate has opened or closed.
    changed: Event,
}

struct State<P: Part> {
    queues: NodeQueues<P>,
    /// Nothing more may wait for a connection to come.
    closing: bool,
    reserved: usize,
    reserved_bytes: usize,
}

impl<P: Part> fmt::Debug for Pipeline<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pipeline")
    }
}

impl<P: Part + Send> Pipeline<P> {
    /// Not connected yet. `merge` makes one command of parts that go together, and is given the
    /// number of the part before them that has no reply yet, or 0. A reserved request that is older
    /// than `most_age` is not sent to a new connection.
    pub fn new(
        most_age: Duration,
        merge: impl Fn(u64, &P, &[&P]) -> Command + Send + Sync + 'static,
    ) -> Pipeline<P> {
        Pipeline {
            state: Mutex::new(State {
                queues: NodeQueues::default(),
                closing: false,
                reserved: 0,
                reserved_bytes: 0,
            }),
            merge: Box::new(merge),
            most_age,
            refusals: Refusals::default(),
            turns: [const { Semaphore::new(LARGE) }; TURNS],
            delays: Histogram::new(&DELAYS),
            changed: Event::new(),
        }
    }

    /// How many reserved requests have no reply yet, and their bytes.
    pub fn waiting(&self) -> (usize, usize) {
        let state = self.state.lock();
        (state.reserved, state.reserved_bytes)
    }

    /// Sends a command for which nobody waits, also while the gate is closed. Without a connection it
    /// is dropped, and so it is when the connection breaks: nothing gathers while Redis is away.
    pub fn send(&self, command: Command, on_reply: OnReply) {
        let mut state = self.state.lock();
        if state.queues.gate != Gate::Disconnected {
            let mut request = Request::new(Payload::Command(command), on_reply);
            request.repeats = false;
            state.queues.push(request, true);
        }
    }

    /// Reserves room for a request of that many bytes, which must be [sent](Self::send_reserved) at
    /// once. Waits while Redis is busy; `false` when Redis is away and there is no room.
    pub async fn reserve(&self, bytes: usize) -> bool {
        loop {
            let listener = {
                let mut state = self.state.lock();
                let open = state.queues.gate == Gate::Open;
                let fits = state.reserved < MAX_RESERVED
                    && state.reserved_bytes + bytes <= MAX_RESERVED_BYTES;
                if fits && (open || !state.closing) {
                    state.reserved += 1;
                    state.reserved_bytes += bytes;
                    return true;
                }
                if !open {
                    return false;
                }
                self.changed.listen()
            };
            listener.await;
        }
    }

    /// Reserves room for a request that follows one which was answered just now, and frees its place.
    pub fn reserve_next(&self, bytes: usize) {
        let mut state = self.state.lock();
        state.reserved += 1;
        state.reserved_bytes += bytes;
    }

    /// Sends a request for which `bytes` are reserved, now or when Redis is back. `request` is
    /// given its number: the numbers rise in the order in which requests go out, so a repeated one
    /// can be told from a new one.
    pub fn send_reserved(&self, bytes: usize, request: impl FnOnce(u64) -> (Payload<P>, OnReply)) {
        let mut state = self.state.lock();
        let (payload, on_reply) = request(state.queues.pushed + 1);
        let mut request = Request::new(payload, on_reply);
        request.reserved = Some((bytes, Instant::now()));
        state.queues.push(request, false);
    }

    /// Sends a command and waits for its reply; `None` if Redis is away or has not answered within
    /// [`REPLY_TIME`]. When the connection breaks meanwhile, the command is sent again on the next
    /// one.
    pub async fn request(&self, command: Command) -> Option<Value> {
        self.requests(&[command]).await?.pop()
    }

    /// The same for commands that go out together, in order.
    async fn requests(&self, commands: &[Command]) -> Option<Vec<Value>> {
        let replies = async {
            loop {
                let receivers = commands.iter().cloned();
                let receivers = receivers.map(|command| self.push_if(Gate::Open, command));
                let receivers = receivers.collect::<Option<Vec<_>>>()?;
                match all(receivers).await {
                    Some(replies) => return Some(replies),
                    None => {
                        self.wait_until(|state| state.queues.gate == Gate::Open)
                            .await
                    }
                }
            }
        };
        timeout(REPLY_TIME, replies).await.flatten()
    }

    /// The same for commands of one slot with large replies. Only some of these are in flight to a node, so
    /// that other replies come through between them; the others wait for [`TURN_TIME`] at most.
    pub async fn request_large(&self, commands: &[Command]) -> Option<Vec<Value>> {
        let node = self.state.lock().queues.node_of(commands.first()?.slot);
        let turn = self.turns[node % TURNS].acquire();
        let _turn = timeout(TURN_TIME, turn).await?;
        self.requests(commands).await
    }

    /// Sends commands, at most [`BATCH`], and waits for all replies. Also goes out while the gate
    /// is closed.
    ///
    /// # Errors
    /// Redis refuses one of them or does not answer.
    pub async fn request_early(&self, commands: &[Command]) -> Result<Vec<Value>, Error> {
        let replies = self.replies(commands).await?;
        accept(&replies, "refused")?;
        Ok(replies)
    }

    /// The same, but errors are returned as replies.
    ///
    /// # Errors
    /// Redis does not answer.
    pub async fn replies(&self, commands: &[Command]) -> Result<Vec<Value>, Error> {
        self.begin(commands.to_vec())?.all().await
    }

    /// Sends commands now, also while the gate is closed. Wait for the replies at once.
    ///
    /// # Errors
    /// There is no connection.
    pub fn begin(&self, commands: Vec<Command>) -> Result<Replies, Error> {
        let limit = match self.state.lock().queues.gate {
            Gate::Closed => EARLY_REPLY_TIME,
            _ => REPLY_TIME,
        };
        let receivers = commands.into_iter();
        let receivers = receivers.map(|command| self.push_if(Gate::Closed, command));
        let receivers = receivers.collect::<Option<_>>();
        let receivers = receivers.ok_or_else(|| no_answer(limit))?;
        Ok(Replies { receivers, limit })
    }

    /// Sends every node the same command and waits for all replies.
    ///
    /// # Errors
    /// A node does not answer within [`REPLY_TIME`].
    pub async fn request_all_nodes(&self, command: &[u8]) -> Result<Vec<Value>, Error> {
        let receivers = self.state.lock().queues.push_to_all(command);
        let limit = REPLY_TIME;
        Replies { receivers, limit }.all().await
    }

    /// `None`: the gate is not as far open as `gate`.
    fn push_if(&self, gate: Gate, command: Command) -> Option<Receiver<Value>> {
        let mut state = self.state.lock();
        if state.queues.gate < gate {
            return None;
        }
        let (request, receiver) = Request::awaited(command);
        state.queues.push(request, true);
        Some(receiver)
    }

    /// Opens the gate: all that waits goes out.
    pub fn open(&self) {
        self.reject_old(Instant::now());
        self.state.lock().queues.open();
        self.changed.notify(usize::MAX);
    }

    /// The connections are gone, or can't be made: requests without a reply wait again, in front;
    /// those of callers who wait are dropped.
    pub fn disconnect(&self) {
        self.state.lock().queues.disconnect();
        self.reject_old(Instant::now());
        self.changed.notify(usize::MAX);
    }

    /// Rejects the reserved requests that wait for a connection and are too old `now`. Redis may have
    /// executed them so long ago that it would execute them a second time.
    fn reject_old(&self, now: Instant) {
        if let Some(oldest) = now.checked_sub(self.most_age) {
            self.reject(|queues| queues.take_older(oldest));
        }
    }

    fn reject(&self, take: impl FnOnce(&mut NodeQueues<P>) -> VecDeque<Request<P>>) {
        let mut state = self.state.lock();
        let rejected = take(&mut state.queues);
        for request in &rejected {
            state.free(request);
        }
        drop(state);
        for request in rejected {
            (request.on_reply)(None);
        }
    }

    /// Waits until every request has its reply. Give it a deadline.
    pub async fn drained(&self) {
        self.wait_until(|state| state.queues.is_empty()).await;
    }

    async fn wait_until(&self, done: impl Fn(&State<P>) -> bool) {
        loop {
            let listener = {
                let state = self.state.lock();
                if done(&state) {
                    return;
                }
                self.changed.listen()
            };
            listener.await;
        }
    }

    /// Rejects the reserved requests that wait for a connection and were never sent, and from now
    /// on those that would have to wait.
    pub fn reject_pending(&self) {
        self.state.lock().closing = true;
        self.reject(|queues| match queues.gate {
            Gate::Open => VecDeque::new(),
            _ => queues.take_unsent(),
        });
    }
}

impl<P: Part> State<P> {
    /// Gives back what a request had reserved. Returns when it was accepted.
    fn free(&mut self, request: &Request<P>) -> Option<Instant> {
        let (bytes, accepted) = request.reserved?;
        self.reserved -= 1;
        self.reserved_bytes -= bytes;
        Some(accepted)
    }
}

/// Replies to commands that have been sent.
pub struct Replies {
    receivers: Vec<Receiver<Value>>,
    limit: Duration,
}

impl Replies {
    /// Waits for all replies. Errors are returned as replies.
    ///
    /// # Errors
    /// Redis does not answer.
    pub async fn all(self) -> Result<Vec<Value>, Error> {
        let replies = timeout(self.limit, all(self.receivers)).await;
        replies.flatten().ok_or_else(|| no_answer(self.limit))
    }
}

/// `None`: the connection is gone.
async fn all(receivers: Vec<Receiver<Value>>) -> Option<Vec<Value>> {
    let mut replies = Vec::with_capacity(receivers.len());
    for receiver in receivers {
        replies.push(receiver.recv().await.ok()?);
    }
    Some(replies)
}

#[cfg(test)]
mod tests;
