//! What this instance's peers have said, heard and been refused since it started.

use super::close_reason::CloseReason;
use super::event::Refusal;
use crate::count::{Counter, Counters, Histogram};

/// Messages in one batch of the fan-out, at most so many.
const BATCHES: [u64; 10] = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512];

/// Counts of everything that passes between the chat and its peers.
#[derive(Debug)]
pub struct ChatStats {
    /// Text frames from peers.
    pub received: Counter,
    /// Their bytes.
    pub received_bytes: Counter,
    /// Frames for peers: what others say and do, and answers.
    pub sent: Counter,
    /// Their bytes.
    pub sent_bytes: Counter,
    /// How many events the fan-out took at once.
    pub batches: Histogram<10>,
    /// What was refused, by the word for it.
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
    /// One more connection has ended.
    pub fn count_close(&self, reason: CloseReason) {
        self.closes[reason as usize].add(1);
    }

    /// How many connections have ended, for each reason.
    pub fn closes(&self) -> impl Iterator<Item = (CloseReason, u64)> {
        let counts = self.closes.iter().map(Counter::get);
        CloseReason::ALL.into_iter().zip(counts)
    }
}
