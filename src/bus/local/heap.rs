//! How much memory the allocator takes for what is kept, as glibc and musl do it.

/// An allocation of so many bytes: its header and its rounding, too.
pub fn allocation(bytes: usize) -> usize {
    match bytes {
        0 => 0,
        _ => (bytes + 8).next_multiple_of(16).max(32),
    }
}

/// An `Arc<str>`: two counters and the text.
pub fn shared(text: &str) -> usize {
    allocation(16 + text.len())
}

/// The table of a `HashMap` of this capacity, with entries of so many bytes: each has one byte more,
/// and there are sixteen at the end. One place in eight stays free, and the places are a power of
/// two.
pub fn table(capacity: usize, entry: usize) -> usize {
    let places = match capacity {
        0 => return 0,
        1..=3 => 4,
        4..=7 => 8,
        capacity => (capacity * 8 / 7).next_power_of_two(),
    };
    allocation(places * (entry + 1) + 16)
}
