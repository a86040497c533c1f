//! One connection, as the chat sees it: a number, a language and an outbox.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};
use std::time::Instant;

#[cfg(feature = "tokens")]
use async_lock::OnceCell;
use bytes::Bytes;

use super::dialect::{Dialect, PrivateMessage, Reply};
use super::event::Refusal;
use super::frame;
use super::id::Id;
use super::outbox::{Outbox, TryWrite};

/// One connection, as the chat sees it, with its socket.
pub struct Peer<S: ?Sized = dyn TryWrite> {
    /// Counts this instance's connections from 1; never used twice. Log lines begin with it.
    pub number: u64,
    /// The place of its dialect: a connection may change from simple to typed.
    dialect: AtomicU8,
    /// When the registry's clock started.
    started: Instant,
    /// When something was last heard of it, in whole seconds of that clock.
    last_active: AtomicU32,
    /// What it is to be sent.
    pub outbox: Outbox<S>,
}

impl<S: ?Sized> fmt::Debug for Peer<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Peer")
            .field("number", &self.number)
            .field("outbox", &&self.outbox)
            .finish()
    }
}

impl<S: TryWrite + 'static> Peer<S> {
    pub(super) fn new(
        number: u64,
        dialect: Dialect,
        outbox: Outbox<S>,
        started: Instant,
    ) -> Peer<S> {
        let peer = Peer {
            number,
            dialect: AtomicU8::new(dialect.index() as u8),
            outbox,
            started,
            last_active: AtomicU32::new(0),
        };
        peer.mark_active();
        peer
    }
}

/// Whatever its socket is, it is used in one way.
impl<S: TryWrite + 'static> Deref for Peer<S> {
    type Target = Peer;

    fn deref(&self) -> &Peer {
        self
    }
}

impl Peer {
    /// Notes that something was heard of it.
    pub fn mark_active(&self) {
        self.last_active.store(self.clock(), Ordering::Relaxed);
    }

    /// Seconds since something was last heard of it.
    pub fn idle_seconds(&self) -> u32 {
        self.clock()
            .saturating_sub(self.last_active.load(Ordering::Relaxed))
    }

    /// The registry's clock, in whole seconds.
    pub fn clock(&self) -> u32 {
        self.started.elapsed().as_secs() as u32
    }

    /// What it speaks.
    pub fn dialect(&self) -> Dialect {
        Dialect::ALL[usize::from(self.dialect.load(Ordering::Relaxed))]
    }

    /// It speaks this from now on.
    pub fn set_dialect(&self, dialect: Dialect) {
        self.dialect.store(dialect.index() as u8, Ordering::Relaxed);
    }

    /// Tells this peer alone, if its dialect has words for it.
    pub fn send(&self, reply: &Reply<'_>) {
        if let Some(frame) = self.frame(reply) {
            self.outbox.push(&[frame]);
        }
    }

    /// What tells it so, to be sent later. Counts as sent.
    pub fn frame(&self, reply: &Reply<'_>) -> Option<Bytes> {
        let mut line = String::new();
        let told = self.dialect().reply(reply, &mut line);
        self.outbox.stats().sent.add(u64::from(told));
        told.then(|| frame::text(&line))
    }
}

/// What becomes of a message that has been handed to the bus: its sender is told where there is
/// something to tell.
#[derive(Debug)]
pub struct Receipt {
    sender: Sender,
    reference: Option<String>,
}

/// Who wants to know.
#[derive(Debug)]
enum Sender {
    Peer(Arc<Peer>),
    #[cfg(feature = "tokens")]
    Caller(Arc<OnceCell<Result<Id, Refusal>>>),
}

/// Waits for what becomes of a message that no peer has sent.
#[cfg(feature = "tokens")]
#[derive(Debug)]
pub struct Outcome(Arc<OnceCell<Result<Id, Refusal>>>);

#[cfg(feature = "tokens")]
impl Outcome {
    /// Waits until it is known. Give it a deadline: a bus that is away may keep it waiting. Cancel
    /// safe.
    pub async fn known(&self) -> Result<Id, Refusal> {
        self.0.wait().await.clone()
    }
}

impl Receipt {
    /// For a message of this peer, under the name that it gave it.
    pub fn new(peer: Arc<Peer>, reference: Option<String>) -> Receipt {
        Receipt {
            sender: Sender::Peer(peer),
            reference,
        }
    }

    /// For a message that no peer has sent, and where to learn what became of it.
    #[cfg(feature = "tokens")]
    pub fn to_caller(reference: Option<String>) -> (Receipt, Outcome) {
        let known = Arc::new(OnceCell::new());
        let sender = Sender::Caller(known.clone());
        (Receipt { sender, reference }, Outcome(known))
    }

    /// What the client calls the message.
    pub fn reference(&self) -> Option<&str> {
        self.reference.as_deref()
    }

    /// The message is on the bus, under this id.
    pub fn accept(self, id: Id) {
        match self.sender {
            Sender::Peer(peer) => {
                if let Some(reference) = &self.reference {
                    peer.send(&Reply::Accepted(reference, id));
                }
            }
            #[cfg(feature = "tokens")]
            Sender::Caller(known) => resolve(&known, Ok(id)),
        }
    }

    /// The private message is on its way. Only who speaks the typed dialect sees its own.
    pub fn delivered(self, to: &str, message: &PrivateMessage) {
        if let Sender::Peer(peer) = &self.sender
            && peer.dialect() == Dialect::Typed
        {
            peer.send(&Reply::Private { to, message });
        }
        self.accept(message.id);
    }

    /// The message went nowhere, and why.
    pub fn refuse(self, refusal: &Refusal) {
        match self.sender {
            Sender::Peer(peer) => {
                peer.outbox.stats().refused.count(refusal.code());
                peer.send(&Reply::Refused(refusal, self.reference.as_deref()));
            }
            #[cfg(feature = "tokens")]
            Sender::Caller(known) => resolve(&known, Err(refusal.clone())),
        }
    }
}

/// A receipt is used once, so nothing is known before.
#[cfg(feature = "tokens")]
fn resolve(known: &OnceCell<Result<Id, Refusal>>, outcome: Result<Id, Refusal>) {
    let _ = known.set_blocking(outcome);
}
