//! How many new rooms one name may speak in: each keeps a log for a week.
//!
//! A name may begin [`BURST`] rooms at once, and then one in each [`PERIOD`]. The limit outlives a
//! connection. With `--rate 0` there is none.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::chat::name::User;

/// So many rooms at once.
const BURST: u32 = 100;
/// Then one more after each period of this length.
const PERIOD: Duration = Duration::from_secs(10);
/// A table with fewer names is not cleaned up.
const TIDY_LEAST: usize = 64;

/// Who has begun new rooms lately.
#[derive(Debug, Default)]
pub(super) struct NewRooms(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// When each name may begin a whole burst again, if it begins no more. It is kept until then.
    full_at: HashMap<User, Instant>,
    /// The number of names at which the table is cleaned up.
    tidy_at: usize,
}

impl NewRooms {
    /// Whether this name may begin one more room; counts it if so.
    pub(super) fn allows(&self, user: &User, now: Instant) -> bool {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.full_at.len() >= state.tidy_at {
            state.full_at.retain(|_, full_at| *full_at > now);
            state.tidy_at = (state.full_at.len() * 2).max(TIDY_LEAST);
        }
        let full_at = state.full_at.get(user).copied().unwrap_or(now);
        let full_at = full_at.max(now) + PERIOD;
        let allowed = full_at <= now + PERIOD * BURST;
        if allowed {
            state.full_at.insert(user.clone(), full_at);
        }
        allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(n: u32) -> User {
        User::new(&format!("user {n}")).unwrap()
    }

    #[test]
    fn a_name_may_begin_a_burst_of_rooms_and_then_one_at_a_time() {
        let (limit, start) = (NewRooms::default(), Instant::now());
        let begun = |user: &User, now: Instant| {
            let allowed = (0..1000).filter(|_| limit.allows(user, now));
            allowed.count() as u32
        };
        assert_eq!(begun(&user(0), start), BURST);
        assert_eq!(begun(&user(1), start), BURST);
        assert_eq!(begun(&user(0), start + PERIOD * 3), 3);
        assert_eq!(begun(&user(0), start + PERIOD * BURST * 2), BURST);
    }

    #[test]
    fn who_may_begin_a_whole_burst_again_is_forgotten() {
        let (limit, start) = (NewRooms::default(), Instant::now());
        for n in 0..10_000 {
            assert!(limit.allows(&user(n), start + PERIOD * n));
        }
        assert!(limit.0.lock().unwrap().full_at.len() <= TIDY_LEAST);
    }
}
