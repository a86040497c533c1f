//! Counts deliveries and finds what was lost, doubled or reordered by the
//! numbers in the texts. Each author's numbers begin at 0 and have no gaps.

use std::collections::HashSet;
use std::time::{Duration, Instant};

/// Messages of one author that may be on their way at once, where there are few authors …
const RING: usize = 1 << 15;
/// … and where there are many. Powers of two.
const SMALL_RING: usize = 1 << 7;
/// More than that are many.
const FEW: usize = 64;

/// Who is where: peers, counted from 0, fill one room after the other, and the first of each room
/// are its authors.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// How many rooms.
    pub rooms: usize,
    /// Peers in each.
    pub peers: usize,
    /// Authors in each.
    pub authors: usize,
}

impl Shape {
    /// One room, the lobby.
    pub fn lobby(peers: usize, authors: usize) -> Self {
        Self {
            rooms: 1,
            peers,
            authors,
        }
    }

    /// The room that a peer is in.
    pub fn room(&self, peer: usize) -> usize {
        peer / self.peers
    }

    /// All authors, counted from 0.
    pub fn all_authors(&self) -> usize {
        self.rooms * self.authors
    }

    /// All peers.
    pub fn all_peers(&self) -> usize {
        self.rooms * self.peers
    }

    /// Which peer an author is.
    pub fn author(&self, author: usize) -> usize {
        author / self.authors * self.peers + author % self.authors
    }
}

/// What is kept of an author.
struct Author {
    next: u32,
    /// The oldest message that not everybody has heard.
    oldest: u32,
    sent: Vec<Instant>,
    heard: Vec<u32>,
}

/// The ledger of all rooms: everybody hears everything in their room except what they said
/// themselves.
pub struct Counts {
    shape: Shape,
    ring: usize,
    authors: Vec<Author>,
    /// The number that a peer expects next, by peer and author of its room.
    expected: Vec<u32>,
    missing: HashSet<(usize, usize, u32)>,
    hearers: u32,
    doubled: u64,
    reordered: u64,
    /// Set while deliveries are measured.
    pub measuring: bool,
    /// Deliveries while measuring.
    pub deliveries: u64,
    /// Messages that everybody has heard, while measuring.
    pub messages: u64,
    /// How long deliveries took, while measuring; under load every eighth.
    pub took: Histogram,
    /// Sample every delivery's time.
    pub thorough: bool,
}

/// What went wrong.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Wrong {
    /// Never arrived, or not within the time that was given.
    pub lost: u64,
    /// Arrived again.
    pub doubled: u64,
    /// Arrived after a later one of the same author.
    pub reordered: u64,
}

impl Counts {
    /// Nothing has been said.
    pub fn new(shape: Shape, thorough: bool) -> Self {
        let few = shape.all_authors() <= FEW;
        let ring = if few { RING } else { SMALL_RING };
        let author = || Author {
            next: 0,
            oldest: 0,
            sent: vec![Instant::now(); ring],
            heard: vec![0; ring],
        };
        Self {
            shape,
            ring,
            authors: (0..shape.all_authors()).map(|_| author()).collect(),
            expected: vec![0; shape.all_peers() * shape.authors],
            missing: HashSet::new(),
            hearers: shape.peers as u32 - 1,
            doubled: 0,
            reordered: 0,
            measuring: false,
            deliveries: 0,
            messages: 0,
            took: Histogram::default(),
            thorough,
        }
    }

    /// Messages of that author that not everybody has heard.
    pub fn in_flight(&self, author: usize) -> usize {
        (self.authors[author].next - self.authors[author].oldest) as usize
    }

    /// The number of the message that the author sends now, or was to send at that time.
    pub fn send(&mut self, author: usize, at: Instant) -> Result<u32, String> {
        if self.in_flight(author) == self.ring {
            let ring = self.ring;
            return Err(format!("{ring} messages of one author are on their way"));
        }
        let author = &mut self.authors[author];
        let slot = author.next as usize % self.ring;
        author.sent[slot] = at;
        author.heard[slot] = 0;
        author.next += 1;
        Ok(author.next - 1)
    }

    /// A peer hears a message. True once everybody has heard it.
    #[inline(always)]
    pub fn hear(&mut self, peer: usize, author: usize, number: u32, now: Instant) -> bool {
        // An echo to its author, as the limit and some others send it.
        if author >= self.authors.len() || peer == self.shape.author(author) {
            return false;
        }
        let of_room = self.shape.authors;
        let expected = &mut self.expected[peer * of_room + author % of_room];
        if number == *expected {
            *expected += 1;
        } else if number > *expected {
            self.missing
                .extend((*expected..number.min(*expected + 10_000)).map(|n| (peer, author, n)));
            *expected = number + 1;
        } else if self.missing.remove(&(peer, author, number)) {
            self.reordered += 1;
        } else {
            self.doubled += 1;
            return false;
        }
        let author = &mut self.authors[author];
        let slot = number as usize % self.ring;
        if self.measuring {
            self.deliveries += 1;
            if self.thorough || (number ^ peer as u32) & 7 == 0 {
                self.took
                    .add(now.saturating_duration_since(author.sent[slot]));
            }
        }
        author.heard[slot] += 1;
        if author.heard[slot] < self.hearers {
            return false;
        }
        while author.oldest < author.next
            && author.heard[author.oldest as usize % self.ring] == self.hearers
        {
            author.oldest += 1;
            self.messages += u64::from(self.measuring);
        }
        true
    }

    /// Whether everything has been heard by everybody.
    pub fn settled(&self) -> bool {
        self.authors
            .iter()
            .all(|author| author.oldest == author.next)
    }

    /// What went wrong, seen after the last delivery.
    pub fn wrong(&self) -> Wrong {
        let tail = self
            .expected
            .chunks(self.shape.authors)
            .enumerate()
            .flat_map(|(peer, row)| {
                let first = self.shape.room(peer) * self.shape.authors;
                let others = row
                    .iter()
                    .zip(&self.authors[first..])
                    .enumerate()
                    .filter(move |(at, _)| self.shape.author(first + at) != peer);
                others.map(|(_, (expected, author))| u64::from(author.next - expected))
            });
        Wrong {
            lost: tail.sum::<u64>() + self.missing.len() as u64,
            doubled: self.doubled,
            reordered: self.reordered,
        }
    }
}

/// Times in steps of 1/64 of an octave, so 1.6 % wide.
pub struct Histogram {
    steps: Vec<u64>,
    count: u64,
    /// The longest.
    pub max: Duration,
}

impl Default for Histogram {
    fn default() -> Self {
        Self {
            steps: vec![0; 64 * 64],
            count: 0,
            max: Duration::ZERO,
        }
    }
}

impl Histogram {
    /// One more.
    #[inline(always)]
    pub fn add(&mut self, time: Duration) {
        let nanos = time.as_nanos() as u64 | 64;
        let octave = 57 - nanos.leading_zeros() as usize;
        self.steps[octave * 64 + ((nanos >> octave) & 63) as usize] += 1;
        self.count += 1;
        self.max = self.max.max(time);
    }

    /// The time that this share of all did not exceed.
    pub fn share(&self, share: f64) -> Duration {
        let wanted = (self.count as f64 * share).ceil() as u64;
        let mut sum = 0;
        for (step, count) in self.steps.iter().enumerate() {
            sum += count;
            if sum >= wanted && *count > 0 {
                return Duration::from_nanos((64 + (step as u64 & 63)) << (step / 64));
            }
        }
        Duration::ZERO
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_wrong_is_counted() {
        let mut counts = Counts::new(Shape::lobby(3, 1), true);
        let now = Instant::now();
        counts.measuring = true;
        (0..4).for_each(|n| assert_eq!(counts.send(0, now), Ok(n)));
        // Peer 1 misses number 1, peer 2 hears 2 before 1 and 0 twice; author 0 hears an echo.
        for (peer, number) in [
            (1, 0),
            (1, 2),
            (1, 3),
            (2, 0),
            (2, 0),
            (2, 2),
            (2, 1),
            (2, 3),
        ] {
            counts.hear(peer, 0, number, now);
        }
        counts.hear(0, 0, 0, now);
        assert_eq!(
            counts.wrong(),
            Wrong {
                lost: 1,
                doubled: 1,
                reordered: 1
            }
        );
        assert_eq!(
            (counts.deliveries, counts.messages, counts.in_flight(0)),
            (7, 1, 3)
        );
        assert!(!counts.settled());
    }

    #[test]
    fn rooms_are_counted_apart() {
        let shape = Shape {
            rooms: 2,
            peers: 3,
            authors: 2,
        };
        let mut counts = Counts::new(shape, true);
        let now = Instant::now();
        // The second author of the second room is peer 4.
        assert_eq!((shape.author(3), shape.room(4)), (4, 1));
        assert_eq!(counts.send(3, now), Ok(0));
        assert!(!counts.hear(3, 3, 0, now));
        assert_eq!(counts.wrong().lost, 1);
        assert!(counts.hear(5, 3, 0, now));
        assert!(counts.settled());
        assert_eq!(counts.wrong(), Wrong::default());
    }

    #[test]
    fn shares_of_times_are_close() {
        let mut times = Histogram::default();
        (1..=1000).for_each(|ms| times.add(Duration::from_millis(ms)));
        let p99 = times.share(0.99).as_secs_f64();
        assert!((0.96..=0.991).contains(&p99), "{p99}");
        assert_eq!(times.max, Duration::from_secs(1));
    }
}
