//! Counters of this instance's chat since its start.

use super::close_reason::CloseReason;
use super::event::Refusal;
use crate::count::{Counter, Counters, Histogram};

/// The upper bounds of the histogram of batch sizes.
const BATCHES: [u64; 10] = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512];

/// Counters of what passes between the chat and its peers.
#[derive(Debug)]
pub struct ChatStats {
    /// Text frames from peers.
    pub received: Counter,
    /// Their bytes.
    pub received_bytes: Counter,
    /// Frames for peers: events and replies.
    pub sent: Counter,
    /// Their bytes.
    pub sent_bytes: Counter,
    /// How many events the fan-out sends in one batch.
    pub batches: Histogram<10>,
    /// Refused requests, by the code of the refusal.
    pub refused: Counters<12>,
    closes: [Counter; CloseReason::ALL.len()],
}

impl Default for ChatStats {
    fn default() -> ChatStats {
        ChatStats {
            received: Counter::default(),
            received_bytes: Counter::default(),
            sent: Counter::default(),
            sent_bytes: Counter::default(),
            batches: Histogram::new(&BATCHES),
            refused: Counters::new(&Refusal::CODES),
            closes: Default::default(),
        }
    }
}

impl ChatStats {
    /// Counts one more closed connection.
    pub fn count_close(&self, reason: CloseReason) {
        self.closes[reason as usize].add(1);
    }

    /// How many connections were closed, for each reason.
    pub fn closes(&self) -> impl Iterator<Item = (CloseReason, u64)> {
        let counts = self.closes.iter().map(Counter::get);
        CloseReason::ALL.into_iter().zip(counts)
    }
}
