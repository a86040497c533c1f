//! Rate limit of messages: a token bucket, and a check for clients that ignore it. A bucket is kept
//! as the time when it is full, which needs no refilling.

use std::time::{Duration, Instant};

/// The burst: a bucket holds the messages of this many seconds.
pub const BURST_SECONDS: u32 = 3;
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

/// The rate limit of one name. It needs no timer: the time alone fills the bucket.
#[derive(Clone, Debug)]
pub struct Rate {
    /// Messages a second; 0 is no limit.
    rate: u32,
    /// When the bucket is full again, if no more messages come.
    full_at: Instant,
    /// When the current second began.
    window: Instant,
    seen: u32,
    /// Seconds in a row with flooding.
    hot: u8,
}

impl Rate {
    /// A full bucket for `rate` messages a second; 0 lets everything pass.
    pub fn new(rate: u32, now: Instant) -> Rate {
        Rate {
            rate,
            full_at: now,
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

    /// Whether the bucket is full, so that it can be forgotten: it is like a new one.
    pub fn is_full(&self, now: Instant) -> bool {
        self.full_at <= now
    }

    /// Takes over the state of another limit, where that is stricter: fewer tokens, more seconds of
    /// flooding.
    pub fn inherit(&mut self, other: &Rate) {
        self.full_at = self.full_at.max(other.full_at);
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
    fn zero_is_no_limit() {
        let start = Instant::now();
        let mut rate = Rate::new(0, start);
        assert!((0..100_000).all(|_| rate.check(start) == Verdict::Pass));
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
