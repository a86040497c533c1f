//! Rate limits of messages and of new rooms: a token bucket each, and a check for clients that ignore
//! the first. A bucket is kept as the time when it is full, which needs no refilling.

use std::time::{Duration, Instant};

/// The burst: a bucket holds the messages of this many seconds.
pub const BURST_SECONDS: u32 = 3;
/// So many new rooms at once: each keeps a log for a week.
pub const ROOM_BURST: u32 = 100;
/// Then one more after each period of this length.
pub const ROOM_PERIOD: Duration = Duration::from_secs(10);
/// A client that sends this many times its rate is flooding.
const FLOOD_FACTOR: u32 = 10;
/// A client that is flooding for this many seconds in a row is closed.
const FLOOD_SECONDS: u8 = 10;

/// What to do with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Within the limit.
    Pass,
    /// Too fast: refuse this message.
    Refuse,
    /// Ten times too fast for ten seconds: close the connection.
    Flood,
}

/// The rate limits of one name. They need no timer: the time alone fills the buckets.
#[derive(Clone, Debug)]
pub struct Rate {
    /// Messages a second; 0 is no limit.
    rate: u32,
    /// When the bucket is full again, if no more messages come.
    full_at: Instant,
    /// The same of new rooms.
    rooms_full_at: Instant,
    /// When the current second began.
    window: Instant,
    seen: u32,
    /// Seconds in a row with flooding.
    hot: u8,
}

impl Rate {
    /// Full buckets, one for `rate` messages a second; 0 lets everything pass.
    pub fn new(rate: u32, now: Instant) -> Rate {
        Rate {
            rate,
            full_at: now,
            rooms_full_at: now,
            window: now,
            seen: 0,
            hot: 0,
        }
    }

    /// Checks a message that came in at `now`.
    pub fn check(&mut self, now: Instant) -> Verdict {
        if self.rate == 0 {
            return Verdict::Pass;
        }
        if self.flooding(now) {
            return Verdict::Flood;
        }
        // An empty bucket takes the time of the burst to fill.
        let full_at = self.full_at.max(now) + Duration::from_secs(1) / self.rate;
        if full_at > now + Duration::from_secs(BURST_SECONDS.into()) {
            return Verdict::Refuse;
        }
        self.full_at = full_at;
        Verdict::Pass
    }

    /// Whether one more room may be begun.
    pub fn may_begin_room(&self, now: Instant) -> bool {
        self.rate == 0 || self.rooms_full_at <= now + ROOM_PERIOD * (ROOM_BURST - 1)
    }

    /// Counts a room, if one more may be begun.
    pub fn begin_room(&mut self, now: Instant) -> bool {
        let allowed = self.may_begin_room(now);
        if allowed {
            self.rooms_full_at = self.rooms_full_at.max(now) + ROOM_PERIOD;
        }
        allowed
    }

    /// Whether the buckets are full, so that they can be forgotten: they are like new ones.
    pub fn is_full(&self, now: Instant) -> bool {
        self.full_at.max(self.rooms_full_at) <= now
    }

    /// Takes over the state of another limit, where that is stricter: fewer tokens, more seconds of
    /// flooding.
    pub fn inherit(&mut self, other: &Rate) {
        self.full_at = self.full_at.max(other.full_at);
        self.rooms_full_at = self.rooms_full_at.max(other.rooms_full_at);
        if (other.hot, other.seen) > (self.hot, self.seen) {
            (self.hot, self.seen, self.window) = (other.hot, other.seen, other.window);
        }
    }

    fn flooding(&mut self, now: Instant) -> bool {
        let elapsed = now.saturating_duration_since(self.window);
        if elapsed >= Duration::from_secs(1) {
            let full = self.seen >= self.rate * FLOOD_FACTOR;
            let in_a_row = full && elapsed < Duration::from_secs(2);
            self.hot = if in_a_row { self.hot + 1 } else { 0 };
            self.window = now;
            self.seen = 0;
        }
        self.seen = self.seen.saturating_add(1);
        self.hot >= FLOOD_SECONDS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_and_then_the_rate_holds() {
        let start = Instant::now();
        let mut rate = Rate::new(20, start);
        let mut passed = |at: Duration| {
            (0..1000)
                .filter(|_| rate.check(start + at) == Verdict::Pass)
                .count()
        };
        assert_eq!(passed(Duration::ZERO), 60);
        assert_eq!(passed(Duration::from_secs(1)), 20);
        assert_eq!(passed(Duration::from_secs(100)), 60);
    }

    #[test]
    fn a_burst_of_rooms_may_be_begun_and_then_one_at_a_time() {
        let start = Instant::now();
        let mut rate = Rate::new(1, start);
        let mut begun = |now: Instant| (0..1000).filter(|_| rate.begin_room(now)).count() as u32;
        assert_eq!(begun(start), ROOM_BURST);
        assert_eq!(begun(start + ROOM_PERIOD * 3), 3);
        let long_after = start + ROOM_PERIOD * ROOM_BURST * 2;
        assert_eq!(begun(long_after), ROOM_BURST);
        assert!(!rate.is_full(long_after + ROOM_PERIOD * (ROOM_BURST - 1)));
        assert!(rate.is_full(long_after + ROOM_PERIOD * ROOM_BURST));
    }

    #[test]
    fn zero_is_no_limit() {
        let start = Instant::now();
        let mut rate = Rate::new(0, start);
        assert!((0..100_000).all(|_| rate.check(start) == Verdict::Pass));
        assert!((0..100_000).all(|_| rate.begin_room(start)));
    }

    #[test]
    fn only_ten_seconds_at_ten_times_the_rate_are_a_flood() {
        let flood = |per_second: u32, seconds: u32, pause_after: Option<u32>| {
            let start = Instant::now();
            let mut rate = Rate::new(20, start);
            let mut pause = Duration::ZERO;
            for second in 0..seconds {
                for i in 0..per_second {
                    let at = Duration::from_secs(second.into())
                        + Duration::from_secs(1) * i / per_second
                        + pause;
                    if rate.check(start + at) == Verdict::Flood {
                        return true;
                    }
                }
                if pause_after == Some(second) {
                    pause = Duration::from_secs(3);
                }
            }
            false
        };
        assert!(flood(220, 12, None));
        assert!(!flood(220, 10, None), "ten seconds have not passed yet");
        assert!(!flood(190, 60, None), "below ten times the rate");
        assert!(!flood(220, 12, Some(8)), "a pause starts the count again");
    }
}
