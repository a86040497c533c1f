//! Closes peers that are silent, that take nothing, or that are too far behind.

use std::cmp::Reverse;

use super::{PeerEntry, Peers, Registry};
use crate::chat::close_reason::CloseReason;
use crate::chat::dialect::Dialect;
use crate::chat::frame::Framing;
use crate::chat::outbox::OutboxLimits;

/// The sweep looks at this many peers before it unlocks the registry for others.
const SWEEP_SLICE: usize = 256;

impl Peers {
    /// Whether the queues together are above their limit: then call
    /// [`evict_slowest`](Self::evict_slowest). One atomic load, so it can be asked after every
    /// reply.
    pub fn over_limit(&self) -> bool {
        self.limits.exceeded()
    }

    /// If the queues together are above their limit, closes the peers with the longest queues with
    /// [`CloseReason::Slow`], until the total is clearly below the limit.
    pub async fn evict_slowest(&self) {
        self.registry.lock().await.evict_slowest(&self.limits);
    }

    /// Looks at every peer once. Pings peers that only listen and were sent nothing for `silence` seconds.
    /// Pings the others if they sent nothing for `silence` seconds, and closes
    /// those that sent nothing for twice as long, or whose socket took nothing that long although
    /// bytes wait. Returns in how many seconds to call it again.
    pub async fn sweep(&self, silence: u32) -> u32 {
        let mut from = 0;
        let mut next = silence;
        loop {
            let mut registry = self.registry.lock().await;
            let end = registry.peers.capacity();
            for at in from..end.min(from + SWEEP_SLICE) {
                if let Some(entry) = registry.peers.get_mut(at) {
                    next = next.min(entry.sweep(silence));
                }
            }
            registry.evict_slowest(&self.limits);
            from += SWEEP_SLICE;
            if from >= end {
                return next;
            }
        }
    }
}

impl Registry {
    /// If the total is above its limit, closes the peers with the longest queues.
    pub(super) fn evict_slowest(&self, limits: &OutboxLimits) {
        if !limits.exceeded() {
            return;
        }
        let outboxes = self.peers.iter().map(|(_, entry)| &entry.peer.outbox);
        let mut behind: Vec<_> = outboxes
            .filter(|outbox| outbox.close_reason().is_none())
            .map(|outbox| (outbox.queued(), outbox))
            .filter(|(queued, _)| *queued > 0)
            .collect();
        behind.sort_unstable_by_key(|(queued, _)| Reverse(*queued));
        let gone = behind
            .iter()
            .take_while(|_| !limits.well_below())
            .inspect(|(_, outbox)| outbox.close(CloseReason::Slow))
            .count();
        if gone > 0 {
            log::warn!("{gone} slow readers were disconnected: too much waited for all together");
        }
    }
}

impl PeerEntry {
    /// Pings the peer after `silence` seconds, and closes it after twice as many. Also closes it if
    /// its socket took nothing for that long although bytes wait: a peer may send and never read.
    /// Returns in how many seconds to look at it again.
    fn sweep(&mut self, silence: u32) -> u32 {
        let silent = self.peer.idle_seconds();
        let next = if silent < silence {
            self.pinged = false;
            silence - silent
        } else if self.peer.dialect() == Dialect::Events {
            // It can't answer. If the connection is broken, the kernel notices.
            self.peer.outbox.push(&[Framing::Events.ping()]);
            self.peer.mark_active();
            silence
        } else if !self.pinged {
            self.pinged = true;
            self.peer.outbox.push(&[Framing::WebSocket.ping()]);
            silence
        } else if silent >= 2 * silence {
            self.peer.outbox.close(CloseReason::Silent);
            silence
        } else {
            2 * silence - silent
        };
        if !self.peer.outbox.is_stalled() {
            self.stalled_since = None;
            return next;
        }
        let now = self.peer.clock();
        if now - *self.stalled_since.get_or_insert(now) >= 2 * silence {
            self.peer.outbox.close(CloseReason::Slow);
        }
        0
    }
}
