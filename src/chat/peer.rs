//! One connection, as the chat sees it: a number, a dialect and an outbox.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering};

use async_lock::OnceCell;
use bytes::Bytes;

use super::address::Address;
use super::dialect::{Dialect, Reply};
use super::event::Refusal;
use super::frame::Framing;
use super::id::Id;
use super::outbox::{Outbox, TryWrite};

/// One connection, with its socket.
#[derive(Debug)]
pub struct Peer<S: ?Sized = dyn TryWrite> {
    /// The number of this connection, counted from 1 on this instance and never used twice. Log
    /// lines begin with it.
    pub number: u64,
    /// Where the registry has it. The next peer may get the same key once it is removed.
    pub(super) key: u32,
    /// The index of its dialect. It is atomic, because a connection may change from simple to
    /// typed.
    dialect: AtomicU8,
    /// A moderator has removed it from a room, of which its session does not know yet.
    removed: AtomicBool,
    /// Where it comes from.
    pub address: Address,
    /// When it last sent anything, in whole seconds of the peers' clock; where it only listens, when
    /// it was last sent anything.
    last_active: AtomicU32,
    /// Its outgoing queue.
    pub outbox: Outbox<S>,
}

impl<S: TryWrite + 'static> Peer<S> {
    pub(super) fn new(
        number: u64,
        key: u32,
        dialect: Dialect,
        address: Address,
        outbox: Outbox<S>,
    ) -> Peer<S> {
        let last_active = AtomicU32::new(outbox.clock());
        Peer {
            number,
            key,
            dialect: AtomicU8::new(dialect as u8),
            removed: AtomicBool::new(false),
            address,
            last_active,
            outbox,
        }
    }
}

/// All methods are those of the unsized type, so they are compiled once.
impl<S: TryWrite + 'static> Deref for Peer<S> {
    type Target = Peer;

    fn deref(&self) -> &Peer {
        self
    }
}

impl Peer {
    /// Notes that it has sent something, or was sent something where it only listens.
    pub fn mark_active(&self) {
        self.mark_active_at(self.clock());
    }

    /// The same, at this second of the peers' clock.
    pub(super) fn mark_active_at(&self, now: u32) {
        self.last_active.store(now, Ordering::Relaxed);
    }

    /// Seconds since it was [active](Self::mark_active).
    pub fn idle_seconds(&self) -> u32 {
        self.clock()
            .saturating_sub(self.last_active.load(Ordering::Relaxed))
    }

    /// The clock that all peers share, in whole seconds.
    pub fn clock(&self) -> u32 {
        self.outbox.clock()
    }

    /// A moderator has removed it from a room.
    pub(super) fn mark_removed(&self) {
        self.removed.store(true, Ordering::Release);
    }

    /// Whether a moderator has removed it from a room since the last call.
    pub fn take_removed(&self) -> bool {
        // Almost always it was not, and this is asked for each frame.
        self.removed.load(Ordering::Relaxed) && self.removed.swap(false, Ordering::Acquire)
    }

    /// Its dialect.
    pub fn dialect(&self) -> Dialect {
        Dialect::ALL[usize::from(self.dialect.load(Ordering::Relaxed))]
    }

    /// Changes its dialect.
    pub fn set_dialect(&self, dialect: Dialect) {
        self.dialect.store(dialect as u8, Ordering::Relaxed);
    }

    /// Sends a reply to this peer, if its dialect has words for it.
    pub fn send(&self, reply: &Reply<'_>) {
        if let Some(frame) = self.frame(reply) {
            self.outbox.push(&[frame]);
        }
    }

    /// The frame of a reply, for the caller to send. It is counted as sent.
    pub fn frame(&self, reply: &Reply<'_>) -> Option<Bytes> {
        let mut line = String::new();
        let told = self.dialect().reply(reply, &mut line);
        self.outbox.stats().sent.add(u64::from(told));
        told.then(|| Framing::of(self.dialect()).message(&line))
    }
}

/// Reports to the sender of a message what the bus did with it.
#[derive(Debug)]
pub struct Receipt {
    sender: Sender,
    reference: Option<String>,
}

/// Where to report.
#[derive(Debug)]
enum Sender {
    Peer(Arc<Peer>),
    Caller(Outcome),
}

/// The result of a message that came by HTTP, not from a peer. Wait for it with a deadline: without
/// a bus it may take long.
pub type Outcome = Arc<OnceCell<Result<Id, Refusal>>>;

impl Receipt {
    /// For a message of this peer, with the client's reference.
    pub fn new(peer: Arc<Peer>, reference: Option<String>) -> Receipt {
        Receipt {
            sender: Sender::Peer(peer),
            reference,
        }
    }

    /// For a message that no peer has sent, with the place where its result arrives.
    pub fn to_caller(reference: Option<String>) -> (Receipt, Outcome) {
        let outcome = Outcome::default();
        let sender = Sender::Caller(outcome.clone());
        (Receipt { sender, reference }, outcome)
    }

    /// The client's reference for the message.
    pub fn reference(&self) -> Option<&str> {
        self.reference.as_deref()
    }

    /// Reports that the message is on the bus and has this id.
    pub fn accept(self, id: Id) {
        match self.sender {
            Sender::Peer(peer) => {
                if let Some(reference) = &self.reference {
                    peer.send(&Reply::Accepted(reference, id));
                }
            }
            Sender::Caller(outcome) => drop(outcome.set_blocking(Ok(id))),
        }
    }

    /// Reports that the message was not sent, and why.
    pub fn refuse(self, refusal: &Refusal) {
        match self.sender {
            Sender::Peer(peer) => {
                peer.outbox.stats().refused.count(refusal.code());
                peer.send(&Reply::Refused(refusal, self.reference.as_deref()));
            }
            Sender::Caller(outcome) => drop(outcome.set_blocking(Err(refusal.clone()))),
        }
    }
}
