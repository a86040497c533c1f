//! Counters of this instance's chat since its start.

use super::close_reason::CloseReason;
use super::event::Refusal;
use crate::count::text::MetricsText;
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
    pub batches: Histogram,
    /// Refused requests, by the code of the refusal.
    pub refused: Counters,
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

    /// Writes the counters.
    pub fn write_metrics(&self, text: &mut MetricsText) {
        text.counter(
            "natterjack_messages_received_total",
            "Text frames from peers.",
            self.received.get(),
        );
        text.counter(
            "natterjack_received_bytes_total",
            "Bytes of text from peers.",
            self.received_bytes.get(),
        );
        text.counter(
            "natterjack_messages_sent_total",
            "Text frames for peers: what others say and do, and answers.",
            self.sent.get(),
        );
        text.counter(
            "natterjack_sent_bytes_total",
            "Bytes of frames for peers.",
            self.sent_bytes.get(),
        );
        text.counters(
            "natterjack_refused_total",
            "What peers asked for and did not get, by the code of the error.",
            "reason",
            &self.refused,
        );
        let name = "natterjack_closed_total";
        text.family(
            name,
            "counter",
            "Connections that have ended, by close code and reason. 1006: it broke, or fell silent.",
        );
        for ((_, code, reason, _), count) in CloseReason::ALL.into_iter().zip(&self.closes) {
            let labels = [("code", &*code.to_string()), ("reason", reason)];
            text.sample(name, &labels, &count.get());
        }
        text.histogram(
            "natterjack_fanout_batch_events",
            "Events that the fan-out took at once.",
            &self.batches,
            |events| events.to_string(),
        );
    }
}
