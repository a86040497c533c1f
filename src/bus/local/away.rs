//! Whose names wait for their holders: a name with a session key or token stays its holder's for a while
//! after the connection has ended.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::chat::name::{SessionKeyHash, User};
use crate::config::Config;

/// For how long a name waits at least.
const LEAST: Duration = Duration::from_secs(60);
/// More names than these do not wait.
const MOST: usize = 100_000;
/// A table with fewer names is not cleaned up.
const TIDY_LEAST: usize = 64;

/// The names that wait.
#[derive(Debug)]
pub struct Away {
    names: HashMap<User, Holder>,
    /// For how long.
    life: Duration,
    /// The number of names at which the table is cleaned up.
    tidy_at: usize,
}

/// Whose a name is.
#[derive(Clone, Debug)]
pub struct Holder {
    /// The hash of the session key, or that of tokens.
    pub key_hash: SessionKeyHash,
    /// Since when the holder is away, in milliseconds since 1970. `None`: the holder is here.
    pub since: Option<u64>,
    /// When that ends.
    until: Instant,
}

impl Away {
    /// No names, with the time that the settings give them.
    pub fn new(config: &Config) -> Away {
        let days = Duration::from_secs(24 * 3600 * u64::from(config.keep_names));
        Away {
            names: HashMap::new(),
            life: days.max(LEAST),
            tidy_at: TIDY_LEAST,
        }
    }

    /// Whether names wait longer than for those who were only cut off.
    pub fn keeps_names(&self) -> bool {
        self.life > LEAST
    }

    /// Somebody with this key holds a name, and has been away since then, in milliseconds since 1970. What
    /// is left of the time is counted from `now` by a clock that does not jump; one that says that this was
    /// in the future counts as if it was now. Returns whether that was not known.
    pub fn note(
        &mut self,
        user: User,
        key_hash: SessionKeyHash,
        since: Option<u64>,
        now: u64,
    ) -> bool {
        if self.names.len() >= self.tidy_at {
            self.names.retain(|_, holder| holder.waits());
            self.tidy_at = (2 * self.names.len()).max(TIDY_LEAST);
        }
        if self.names.len() >= MOST && !self.names.contains_key(&user) {
            return false;
        }
        let life = if user.is_guest() { LEAST } else { self.life };
        let gone = now.saturating_sub(since.unwrap_or(now));
        let left = life.saturating_sub(Duration::from_millis(gone));
        let holder = Holder {
            key_hash,
            since,
            until: Instant::now() + left,
        };
        let known = self.names.insert(user, holder);
        known.is_none_or(|known| (known.key_hash, known.since) != (key_hash, since))
    }

    /// The holder of this name, if it waits.
    pub fn find(&self, user: &User) -> Option<&Holder> {
        let holder = self.names.get(user);
        holder.filter(|holder| holder.since.is_some() && holder.waits())
    }

    /// The name no longer waits. Returns whether it did.
    pub fn forget(&mut self, user: &User) -> bool {
        self.names.remove(user).is_some()
    }

    /// All names with their holders.
    pub fn all(&self) -> Vec<(User, Holder)> {
        let names = self.names.iter().filter(|(_, holder)| holder.waits());
        names
            .map(|(user, holder)| (user.clone(), holder.clone()))
            .collect()
    }

    /// Forgets all names.
    pub fn clear(&mut self) {
        self.names.clear();
    }

    /// The server has started: those who were here have been away since now, in milliseconds since 1970.
    pub fn cut_off(&mut self, now: u64) {
        for holder in self.names.values_mut() {
            holder.since.get_or_insert(now);
        }
    }
}

impl Holder {
    fn waits(&self) -> bool {
        self.since.is_none() || Instant::now() < self.until
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: u64 = 60_000;
    const DAY: u64 = 24 * 60 * MINUTE;

    fn since(keep_names: u32, name: &str, since: u64, now: u64) -> Option<u64> {
        let config = Config {
            keep_names,
            ..Config::default()
        };
        let (mut away, user) = (Away::new(&config), User::new(name).unwrap());
        away.note(user.clone(), SessionKeyHash::of("key"), Some(since), now);
        away.find(&user)?.since
    }

    #[test]
    fn a_name_waits_for_a_minute_or_for_days() {
        for (keep_names, gone, waits) in [
            (0, 0, true),
            (0, MINUTE - 1000, true),
            (0, MINUTE, false),
            (2, MINUTE, true),
            (2, 2 * DAY - 1000, true),
            (2, 2 * DAY, false),
            (3650, 3649 * DAY, true),
        ] {
            let since = since(keep_names, "ann", DAY, DAY + gone);
            assert_eq!(since.is_some(), waits, "{keep_names} {gone}");
        }
        // Nobody else is given the name of a guest.
        let guest = User::guest("key");
        assert_eq!(since(2, guest.as_str(), DAY, DAY + MINUTE), None);
        // A clock that has gone back does not keep it for ever: its time begins again.
        assert_eq!(since(0, "ann", 9 * DAY, DAY), Some(9 * DAY));
    }

    #[test]
    fn those_who_were_here_when_the_server_ended_are_away() {
        let mut away = Away::new(&Config::default());
        let user = User::new("ann").unwrap();
        away.note(user.clone(), SessionKeyHash::of("key"), None, DAY);
        assert!(away.find(&user).is_none());
        away.cut_off(DAY + 7);
        assert_eq!(away.find(&user).unwrap().since, Some(DAY + 7));
    }

    #[test]
    fn names_that_no_longer_wait_are_forgotten() {
        let mut away = Away::new(&Config::default());
        for n in 0..1000 {
            let user = User::new(&format!("user {n}")).unwrap();
            away.note(user, SessionKeyHash::of("key"), Some(0), DAY);
        }
        assert!(away.names.len() <= TIDY_LEAST);
    }
}
