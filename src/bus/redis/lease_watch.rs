//! Which instances are dead: those whose lease no longer changes.
//!
//! Each instance renews its lease with a new value every few seconds. Each watches the values of the
//! others with its own clock, and only while Redis answers promptly: after a hiccup of Redis everybody
//! is late. No other clock counts, so clocks may differ and jump.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::mutex::Mutex;

/// How often an instance renews its lease, and looks at those of others.
pub const PULSE: Duration = Duration::from_secs(3);
/// What counts as a prompt answer.
const PROMPT: Duration = Duration::from_millis(1500);
/// An instance whose lease has not changed for so long is dead, and so is one that has had none for
/// so long. With the time until another one looks, its names are free within the fifteen seconds
/// that are promised.
const DEAD_TIME: Duration = Duration::from_secs(9);
/// An instance without a lease is forgotten after this time.
const FORGET_TIME: Duration = Duration::from_secs(60);

/// The leases of the other instances, as this one has seen them.
#[derive(Debug, Default)]
pub struct LeaseWatch(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// When Redis last answered; `None` before the first answer on this connection.
    answered: Option<Instant>,
    /// By instance.
    leases: HashMap<String, Lease>,
}

/// The lease of another instance.
#[derive(Debug)]
struct Lease {
    /// Its value; empty if there is none.
    value: String,
    /// Since when we have seen no sign of life.
    since: Instant,
}

impl LeaseWatch {
    /// The connection is gone: the watch begins again.
    pub fn lost(&self) {
        *self.0.lock() = State::default();
    }

    /// Notes all leases with their values, as Redis has answered now to a question of that time.
    /// Returns the leases of dead instances.
    pub fn see(
        &self,
        asked: Instant,
        now: Instant,
        leases: Vec<(String, String)>,
    ) -> Vec<(String, String)> {
        let mut state = self.0.lock();
        let prompt = now - asked <= PROMPT;
        let steady = |answered| asked - answered <= PULSE + PROMPT;
        if !prompt || !state.answered.is_some_and(steady) {
            state.leases.clear();
        }
        state.answered = Some(now);
        let mut before = std::mem::take(&mut state.leases);
        let mut dead = Vec::new();
        for (instance, value) in leases {
            let known = before.remove(&instance);
            let since = match known {
                Some(lease) if lease.value == value => lease.since,
                _ => now,
            };
            // What is still the same now was so when we asked.
            if asked.saturating_duration_since(since) >= DEAD_TIME {
                dead.push((instance.clone(), value.clone()));
            }
            state.leases.insert(instance, Lease { value, since });
        }
        before.retain(|_, lease| now - lease.since < FORGET_TIME);
        before.values_mut().for_each(|lease| lease.value.clear());
        state.leases.extend(before);
        dead
    }

    /// How an instance is that has left something at Redis.
    pub fn life(&self, instance: &str, now: Instant) -> Life {
        let mut state = self.0.lock();
        if state.answered.is_none() {
            return Life::Uncertain;
        }
        let lease = state.leases.entry(instance.to_string());
        let lease = lease.or_insert_with(|| Lease {
            value: String::new(),
            since: now,
        });
        match lease.value.is_empty() {
            false => Life::Leased,
            true if now - lease.since >= DEAD_TIME => Life::Gone,
            true => Life::Uncertain,
        }
    }
}

/// Whether an instance is alive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    /// It has a lease.
    Leased,
    /// It has none. Ask again.
    Uncertain,
    /// It has none, and has given no sign of life for a long time.
    Gone,
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Sees leases, `at` so many seconds after the start, answered at once.
    fn see(watch: &LeaseWatch, start: Instant, at: u32, leases: &[(&str, &str)]) -> Vec<String> {
        let now = start + at * SECOND;
        let leases = leases
            .iter()
            .map(|(instance, value)| (instance.to_string(), value.to_string()));
        let dead = watch.see(now, now, leases.collect());
        dead.into_iter().map(|(instance, _)| instance).collect()
    }

    #[test]
    fn an_instance_is_dead_when_its_lease_no_longer_changes() {
        let (watch, start) = (LeaseWatch::default(), Instant::now());
        // The values may be anything, and go back.
        for (at, foo, dead) in [
            (0, "9", &[][..]),
            (3, "5", &[]),
            (6, "7", &[]),
            (9, "1", &["bar"]),
        ] {
            assert_eq!(see(&watch, start, at, &[("foo", foo), ("bar", "4")]), dead);
        }
        // It was only frozen.
        assert!(see(&watch, start, 12, &[("foo", "2"), ("bar", "5")]).is_empty());
    }

    #[test]
    fn nobody_is_dead_while_redis_is_slow() {
        let (watch, start) = (LeaseWatch::default(), Instant::now());
        let lease = [("foo", "1")];
        assert!(see(&watch, start, 0, &lease).is_empty());
        // A question that was answered late.
        let leases = vec![("foo".to_string(), "1".to_string())];
        let late = watch.see(start + 3 * SECOND, start + 10 * SECOND, leases);
        assert!(late.is_empty());
        for at in [13, 16] {
            assert!(see(&watch, start, at, &lease).is_empty());
        }
        // A question that was asked late.
        assert!(see(&watch, start, 40, &lease).is_empty());
        for at in [43, 46] {
            assert!(see(&watch, start, at, &lease).is_empty());
        }
        // A new connection.
        watch.lost();
        for at in [49, 52, 55] {
            assert!(see(&watch, start, at, &lease).is_empty());
        }
        assert_eq!(see(&watch, start, 58, &lease), ["foo"]);
    }

    #[test]
    fn an_instance_without_a_lease_is_gone_after_a_while() {
        let (watch, start) = (LeaseWatch::default(), Instant::now());
        let life = |instance: &str, at: u32| watch.life(instance, start + at * SECOND);
        assert_eq!(life("bar", 0), Life::Uncertain);
        see(&watch, start, 0, &[("foo", "1")]);
        assert_eq!(life("bar", 1), Life::Uncertain);
        assert_eq!(life("foo", 1), Life::Leased);
        for at in [3, 6, 9] {
            see(&watch, start, at, &[]);
        }
        assert_eq!(life("foo", 9), Life::Gone);
        assert_eq!(life("bar", 9), Life::Uncertain);
        assert_eq!(life("bar", 10), Life::Gone);
        see(&watch, start, 12, &[("foo", "1")]);
        assert_eq!(life("foo", 12), Life::Leased);
    }
}
