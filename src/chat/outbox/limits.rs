//! How many bytes may wait for the sockets: for each peer, and for all together.
//!
//! Every [outbox](super::Outbox) adds its queue to one total. So many slow readers, each below its
//! own limit, can't fill the memory together. The registry decides which peers to close when the
//! total is too large. The counters of the chat and its clock are here, too, because every outbox
//! has a reference to this.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use crate::chat::stats::ChatStats;

/// The limits, and how many bytes wait now. A buffer that several peers share counts for each of
/// them.
#[derive(Debug)]
pub struct OutboxLimits {
    /// Bytes that may wait for one peer.
    pub(super) per_peer: usize,
    total: usize,
    queued: AtomicUsize,
    /// When the clock of all peers started.
    pub(super) started: Instant,
    /// Counts what passes between the chat and its peers.
    pub stats: ChatStats,
}

impl OutboxLimits {
    /// `per_peer` bytes may wait for one peer, `total` for all of them.
    pub fn new(per_peer: usize, total: usize) -> OutboxLimits {
        OutboxLimits {
            per_peer,
            total,
            queued: AtomicUsize::new(0),
            started: Instant::now(),
            stats: ChatStats::default(),
        }
    }

    /// An outbox keeps `now` bytes instead of `before`. If both are the same, no shared memory is
    /// written. This is the usual case: the socket takes everything at once.
    pub(super) fn update(&self, before: usize, now: usize) {
        if now > before {
            self.queued.fetch_add(now - before, Ordering::Relaxed);
        } else if now < before {
            self.queued.fetch_sub(before - now, Ordering::Relaxed);
        }
    }

    /// Whether the total is above its limit.
    pub(in crate::chat) fn exceeded(&self) -> bool {
        self.queued() > self.total
    }

    /// Whether the total is an eighth below its limit. Evicting goes on until then: it has to sort
    /// all peers, so it must not be needed again at once.
    pub(in crate::chat) fn well_below(&self) -> bool {
        self.queued() <= self.total - self.total / 8
    }

    /// Bytes that wait for all peers.
    pub(in crate::chat) fn queued(&self) -> usize {
        self.queued.load(Ordering::Relaxed)
    }
}
