//! Counters and histograms for any thread, without locks. They do not know their names or who reads
//! them.

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
pub struct Counters<const N: usize> {
    labels: &'static [&'static str; N],
    counts: [Counter; N],
}

impl<const N: usize> Counters<N> {
    /// All counters at zero.
    pub fn new(labels: &'static [&'static str; N]) -> Counters<N> {
        Counters {
            labels,
            counts: std::array::from_fn(|_| Counter::default()),
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
pub struct Histogram<const N: usize> {
    bounds: &'static [u64; N],
    /// For each bound, the values up to it and above the previous bound.
    counts: [Counter; N],
    above: Counter,
    sum: Counter,
}

impl<const N: usize> Histogram<N> {
    /// An empty histogram. The bounds must be in ascending order.
    pub fn new(bounds: &'static [u64; N]) -> Histogram<N> {
        Histogram {
            bounds,
            counts: std::array::from_fn(|_| Counter::default()),
            above: Counter::default(),
            sum: Counter::default(),
        }
    }

    /// Counts a value.
    pub fn record(&self, value: u64) {
        let place = self.bounds.partition_point(|bound| *bound < value);
        self.counts.get(place).unwrap_or(&self.above).add(1);
        self.sum.add(value);
    }

    /// The current counts. While other threads count, the buckets may be a little older than the
    /// sum.
    pub fn read(&self) -> Distribution {
        let mut so_far = 0;
        let buckets = self.bounds.iter().zip(&self.counts).map(|(bound, count)| {
            so_far += count.get();
            (*bound, so_far)
        });
        let buckets = buckets.collect();
        Distribution {
            buckets,
            count: so_far + self.above.get(),
            sum: self.sum.get(),
        }
    }
}

/// The counts of a [`Histogram`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Distribution {
    /// Each bound, with the number of values up to it.
    pub buckets: Vec<(u64, u64)>,
    /// How many values there are.
    pub count: u64,
    /// Their sum.
    pub sum: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_counts_up_to_its_bound_and_beyond() {
        let histogram = Histogram::new(&[1, 10, 100]);
        for value in [0, 1, 2, 10, 11, 1000] {
            histogram.record(value);
        }
        let read = histogram.read();
        assert_eq!(read.buckets, [(1, 2), (10, 4), (100, 5)]);
        assert_eq!((read.count, read.sum), (6, 1024));
    }

    #[test]
    fn labels_are_counted_apart() {
        let counters = Counters::new(&["a", "b"]);
        counters.count("b");
        counters.count("c");
        assert_eq!(counters.all().collect::<Vec<_>>(), [("a", 0), ("b", 1)]);
    }
}
