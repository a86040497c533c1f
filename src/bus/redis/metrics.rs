//! The metrics of the connection to Redis.

use super::Redis;
use crate::count::text::{MetricsText, Unit};

impl Redis {
    /// Writes the metrics.
    pub(in crate::bus) fn write_metrics(&self, text: &mut MetricsText) {
        text.counter(
            "natterjack_redis_connects_total",
            "How often Redis was connected.",
            self.connects.get(),
        );
        let (waiting, waiting_bytes) = self.client.pipeline.waiting();
        text.gauge(
            "natterjack_publish_queue_messages",
            "Messages that wait to be published, or for word that they are.",
            waiting,
        );
        text.gauge(
            "natterjack_publish_queue_bytes",
            "Bytes of their texts.",
            waiting_bytes,
        );
        text.histogram(
            "natterjack_publish_duration_seconds",
            "From a message's acceptance to word that it is published.",
            &self.client.pipeline.delays,
            Unit::Micro,
        );
        text.histogram(
            "natterjack_canary_duration_seconds",
            "From one connection to Redis to the other.",
            &self.canary.round_trips,
            Unit::Micro,
        );
    }
}
