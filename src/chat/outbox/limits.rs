//! What may wait for the peers' sockets: for each alone, and for all of them together. And what has
//! gone to them: every outbox knows the limits, so it is counted here.
//!
//! Every [outbox](super::outbox::Outbox) counts what it queues in the one sum, so that many slow
//! readers, each within its own limit, can't take all memory together. Who is let go when the sum
//! is too large is for the registry to decide, which knows them all.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::chat::stats::ChatStats;

/// The limits, and how much waits now. Buffers that peers share count for each of them.
#[derive(Debug)]
pub struct OutboxLimits {
    per_peer: usize,
    total: usize,
    queued: AtomicUsize,
    /// What has passed between the chat and its peers.
    pub stats: ChatStats,
}

impl OutboxLimits {
    /// `per_peer` bytes may wait for one peer, `total` for all of them.
    pub fn new(per_peer: usize, total: usize) -> OutboxLimits {
        OutboxLimits {
            per_peer,
            total,
            queued: AtomicUsize::new(0),
            stats: ChatStats::default(),
        }
    }

    /// Bytes that may wait for one peer.
    pub(in crate::chat) fn per_peer(&self) -> usize {
        self.per_peer
    }

    /// An outbox now holds `now` bytes instead of `before`. Touches nothing that is shared when
    /// that is the same, as it is for an outbox whose socket takes everything at once.
    pub(in crate::chat) fn update(&self, before: usize, now: usize) {
        if now > before {
            self.queued.fetch_add(now - before, Ordering::Relaxed);
        } else if now < before {
            self.queued.fetch_sub(before - now, Ordering::Relaxed);
        }
    }

    /// Whether more waits than may: somebody is to be let go.
    pub(in crate::chat) fn exceeded(&self) -> bool {
        self.queued.load(Ordering::Relaxed) > self.total
    }

    /// Whether clearly less waits, an eighth, than may: nobody more need go. So the next ones to go
    /// are looked for, which takes a look at everybody, only when that much has come in again.
    pub(in crate::chat) fn well_below(&self) -> bool {
        self.queued.load(Ordering::Relaxed) <= self.total - self.total / 8
    }

    /// Bytes that wait for all peers.
    pub(in crate::chat) fn queued(&self) -> usize {
        self.queued.load(Ordering::Relaxed)
    }
}
