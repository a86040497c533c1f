//! What may wait for the peers' sockets: for each alone, and for all of them together. And what has
//! gone to them: every outbox knows the budget, so it is counted here.
//!
//! Every [outbox](super::outbox::Outbox) counts what it queues in the one sum, so that many slow
//! readers, each within its own limit, can't take all memory together. Who is let go when the sum
//! is too large is for the registry to decide, which knows them all.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::tally::Tally;

/// The limits, and how much waits now. Buffers that peers share count for each of them.
#[derive(Debug)]
pub struct Budget {
    each: usize,
    all: usize,
    queued: AtomicUsize,
    /// What has passed between the chat and its peers.
    pub tally: Tally,
}

impl Budget {
    /// `each` bytes may wait for one peer, `all` for all of them.
    pub fn new(each: usize, all: usize) -> Budget {
        Budget {
            each,
            all,
            queued: AtomicUsize::new(0),
            tally: Tally::default(),
        }
    }

    /// Bytes that may wait for one peer.
    pub(super) fn each(&self) -> usize {
        self.each
    }

    /// An outbox now holds `now` bytes instead of `before`. Touches nothing that is shared when
    /// that is the same, as it is for an outbox whose socket takes everything at once.
    pub(super) fn settle(&self, before: usize, now: usize) {
        if now > before {
            self.queued.fetch_add(now - before, Ordering::Relaxed);
        } else if now < before {
            self.queued.fetch_sub(before - now, Ordering::Relaxed);
        }
    }

    /// Whether more waits than may: somebody is to be let go.
    pub(super) fn exceeded(&self) -> bool {
        self.queued.load(Ordering::Relaxed) > self.all
    }

    /// Whether clearly less waits, an eighth, than may: nobody more need go. So the next ones to go
    /// are looked for, which takes a look at everybody, only when that much has come in again.
    pub(super) fn relieved(&self) -> bool {
        self.queued.load(Ordering::Relaxed) <= self.all - self.all / 8
    }

    /// Bytes that wait for all peers.
    pub(super) fn queued(&self) -> usize {
        self.queued.load(Ordering::Relaxed)
    }
}
