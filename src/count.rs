//! Counters and histograms for any thread, without locks. Each part of the server has its own and writes
//! them as [`MetricsText`](text::MetricsText) when they are asked for.

pub mod text;

use std::sync::atomic::{AtomicU64, Ordering};

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds to it.
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    /// The current value.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// One counter per label.
#[derive(Debug)]
pub struct Counters {
    labels: &'static [&'static str],
    counts: Box<[Counter]>,
}

impl Counters {
    /// All counters at zero.
    pub fn new(labels: &'static [&'static str]) -> Counters {
        Counters {
            labels,
            counts: labels.iter().map(|_| Counter::default()).collect(),
        }
    }

    /// Counts one more with this label. An unknown label is not counted.
    pub fn count(&self, label: &str) {
        if let Some(place) = self.labels.iter().position(|known| *known == label) {
            self.counts[place].add(1);
        }
    }

    /// Each label with its current value.
    pub fn all(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let counts = self.counts.iter().map(Counter::get);
        self.labels.iter().copied().zip(counts)
    }
}

/// Counts values by upper bounds.
#[derive(Debug)]
pub struct Histogram {
    bounds: &'static [u64],
    /// For each bound, the values up to it and above the previous bound. The last counter has no
    /// bound.
    counts: Box<[Counter]>,
    sum: Counter,
}

impl Histogram {
    /// An empty histogram. The bounds must be in ascending order.
    pub fn new(bounds: &'static [u64]) -> Histogram {
        Histogram {
            bounds,
            counts: (0..=bounds.len()).map(|_| Counter::default()).collect(),
            sum: Counter::default(),
        }
    }

    /// Counts a value.
    pub fn record(&self, value: u64) {
        let place = self.bounds.partition_point(|bound| *bound < value);
        self.counts[place].add(1);
        self.sum.add(value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_counted_apart() {
        let counters = Counters::new(&["a", "b"]);
        counters.count("b");
        counters.count("c");
        assert_eq!(counters.all().collect::<Vec<_>>(), [("a", 0), ("b", 1)]);
    }
}
