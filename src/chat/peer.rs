//! One connection, as the chat sees it: a number, a language and an outbox.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use bytes::Bytes;

use super::dialect::{Dialect, Reply};
use super::event::Refusal;
use super::frame;
use super::outbox::Outbox;

/// One connection, as the chat sees it.
#[derive(Debug)]
pub struct Peer {
    /// Counts this instance's connections from 1; never used twice. Log lines begin with it.
    pub number: u64,
    /// What it speaks.
    pub dialect: Dialect,
    /// What it is to be sent.
    pub outbox: Outbox,
    /// When the registry's clock started.
    started: Instant,
    /// When something was last heard of it, in whole seconds of that clock.
    heard: AtomicU32,
}

impl Peer {
    pub(super) fn new(number: u64, dialect: Dialect, outbox: Outbox, started: Instant) -> Peer {
        let peer = Peer {
            number,
            dialect,
            outbox,
            started,
            heard: AtomicU32::new(0),
        };
        peer.heard();
        peer
    }

    /// Notes that something was heard of it.
    pub fn heard(&self) {
        self.heard.store(self.clock(), Ordering::Relaxed);
    }

    /// Seconds since something was last heard of it.
    pub fn silent_for(&self) -> u32 {
        self.clock()
            .saturating_sub(self.heard.load(Ordering::Relaxed))
    }

    fn clock(&self) -> u32 {
        self.started.elapsed().as_secs() as u32
    }

    /// Tells this peer alone.
    pub fn tell(&self, reply: &Reply<'_>) {
        self.outbox.push(&[self.frame(reply)]);
    }

    /// What tells it so, to be sent later.
    pub fn frame(&self, reply: &Reply<'_>) -> Bytes {
        let mut line = String::new();
        self.dialect.reply(reply, &mut line);
        frame::text(&line)
    }
}

/// What becomes of a message that has been handed to the bus: its sender is told where there is
/// something to tell.
#[derive(Debug)]
pub struct Receipt(pub Arc<Peer>);

impl Receipt {
    /// The message went nowhere, and why.
    pub fn refuse(self, refusal: &Refusal) {
        self.0.tell(&Reply::Refused(refusal));
    }
}
