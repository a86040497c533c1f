//! What a dead instance leaves behind: its names and its peers' places on the rosters.
//!
//! Every instance looks for leases that have run out, and several may clean up after the same one:
//! each step may be repeated, the script that takes a name off a roster is the one that tells the
//! room, and the lease goes last. An instance that was only frozen is told, and comes back.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// After a hiccup of Redis everybody is late. Nobody is taken for dead before Redis has answered
/// promptly for so long: the time in which every living instance renews its lease.
const STEADY_TIME: Duration = Duration::from_secs(9);
/// What counts as promptly.
const PROMPT: Duration = Duration::from_millis(1500);
/// For an instance that has just come into the world, a lease counts this many milliseconds longer
/// than it says: with its own nine seconds, that makes the fifteen that are promised.
const NEWCOMER: u64 = 6_000;
/// For ever, in milliseconds.
const EVER: u64 = 1 << 50;

/// How sure this instance is that leases which have run out belong to the dead.
#[derive(Debug, Default)]
pub struct LeaseGrace(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Since when Redis has answered promptly.
    since: Option<Instant>,
    /// Whether Redis was ever lost.
    shaken: bool,
}

impl LeaseGrace {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Redis has answered, after this time.
    pub fn on_reply(&self, after: Duration) {
        let mut state = self.lock();
        if after > PROMPT {
            (state.since, state.shaken) = (None, true);
        }
        state.since.get_or_insert_with(Instant::now);
    }

    /// The connection is gone.
    pub fn lost(&self) {
        let mut state = self.lock();
        (state.since, state.shaken) = (None, true);
    }

    /// By how many milliseconds others' leases count as longer than they say.
    pub fn margin(&self) -> u64 {
        let state = self.lock();
        match state.since {
            Some(since) if since.elapsed() >= STEADY_TIME => 0,
            _ if state.shaken => EVER,
            _ => NEWCOMER,
        }
    }
}
