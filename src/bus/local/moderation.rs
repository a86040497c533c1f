//! Who is banned and muted in the rooms of a lone server.
//!
//! Times are counted by a clock that nobody sets, and kept on disk as the time of day.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use crate::chat::address::Address;
use crate::chat::event::Refusal;
use crate::chat::moderation::{ADDRESSES_MOST, Action, Ban, ENTRIES_MOST, Measure};
use crate::chat::name::{Room, User};

/// A table with fewer rooms is not cleaned up.
const TIDY_LEAST: usize = 64;
/// So many moderators of a room are remembered.
const MODERATORS_MOST: usize = 100;

/// Who is banned and muted, in all rooms.
#[derive(Debug, Default)]
pub struct Moderation {
    rooms: HashMap<Room, Table>,
    /// The number of rooms at which the table is cleaned up.
    tidy_at: usize,
}

/// The same of one room.
#[derive(Debug, Default)]
struct Table {
    banned: HashMap<User, Entry>,
    muted: HashMap<User, Entry>,
    /// The banned users' addresses.
    addresses: HashMap<Address, User>,
    moderators: HashSet<User>,
}

#[derive(Debug)]
struct Entry {
    measure: Measure,
    /// Until when, in milliseconds since 1970; `None` for ever.
    until: Option<u64>,
    end: Option<Instant>,
    addresses: Vec<Address>,
}

impl Entry {
    fn holds(&self) -> bool {
        self.end.is_none_or(|end| Instant::now() < end)
    }

    fn left(&self) -> Option<Duration> {
        let end = self.end?;
        Some(end.saturating_duration_since(Instant::now()))
    }
}

impl Moderation {
    /// Does something to a user. `address`: where the user's connection comes from, if there is one.
    ///
    /// # Errors
    /// The user is a moderator, is not banned and can't be unbanned, or too many are banned.
    pub fn act(
        &mut self,
        room: &Room,
        measure: Measure,
        address: Option<Address>,
        now: u64,
    ) -> Result<(), Refusal> {
        self.note_moderator(room, &measure.by);
        let table = self.table(room);
        if measure.action != Action::Unban && table.moderators.contains(&measure.user) {
            return Err(Refusal::Moderator);
        }
        if measure.action == Action::Unban && !table.is_banned(&measure.user) {
            return Err(Refusal::NotBanned(measure.user.to_string()));
        }
        if measure.action != Action::Unban && table.is_full(&measure) {
            return Err(Refusal::TooManyBans);
        }
        let user = measure.user.clone();
        let ends = measure.seconds.map(|seconds| now + seconds * 1000);
        self.restore(room, measure, ends, now);
        if let Some(address) = address {
            self.note_address(room, &user, address);
        }
        Ok(())
    }

    /// Does the same as before a restart. `until`: when it ends, in milliseconds since 1970.
    pub fn restore(&mut self, room: &Room, measure: Measure, until: Option<u64>, now: u64) {
        let table = self.table(room);
        let (user, action) = (measure.user.clone(), measure.action);
        let most = measure.seconds.unwrap_or(0);
        // A clock that was set does not make it longer.
        let left = until.map(|until| until.saturating_sub(now).min(most * 1000));
        let end = left.map(|left| Instant::now() + Duration::from_millis(left));
        let mut entry = Entry {
            measure,
            until,
            end,
            addresses: Vec::new(),
        };
        let (entries, ends) = match action {
            Action::Mute => (&mut table.muted, left == Some(0)),
            Action::Unban => (&mut table.banned, true),
            Action::Kick | Action::Ban => (&mut table.banned, left == Some(0)),
        };
        let before = entries.remove(&user);
        if let Some(before) = before {
            // A kick does not end a ban.
            if action == Action::Kick && before.end.is_none() {
                entries.insert(user, before);
                return;
            }
            entry.addresses = before.addresses;
        }
        if ends {
            table.forget_addresses(&entry);
        } else {
            entries.insert(user, entry);
        }
    }

    /// Notes where a banned user comes from. Returns whether that is new.
    pub fn note_address(&mut self, room: &Room, user: &User, address: Address) -> bool {
        let Some(table) = self.rooms.get_mut(room) else {
            return false;
        };
        let Some(entry) = table.banned.get_mut(user).filter(|entry| entry.holds()) else {
            return false;
        };
        if entry.addresses.contains(&address) {
            return false;
        }
        if entry.addresses.len() >= ADDRESSES_MOST {
            table.addresses.remove(&entry.addresses.remove(0));
        }
        entry.addresses.push(address);
        table.addresses.insert(address, user.clone());
        true
    }

    /// Checks whether a user, or a peer from this address, may enter a room.
    ///
    /// # Errors
    /// It is banned.
    pub fn check(
        &self,
        room: &Room,
        user: Option<&User>,
        address: Option<Address>,
    ) -> Result<(), Refusal> {
        let Some(table) = self.rooms.get(room) else {
            return Ok(());
        };
        let by_address = address.and_then(|address| table.addresses.get(&address));
        let mut names = [user, by_address].into_iter().flatten();
        let banned = names.find_map(|user| table.banned.get(user).filter(|entry| entry.holds()));
        match banned {
            None => Ok(()),
            Some(entry) => {
                let seconds = entry.left().map(whole_seconds);
                let reason = entry.measure.reason.clone();
                Err(Refusal::Banned(Box::new((room.clone(), seconds, reason))))
            }
        }
    }

    /// Whether a user may not speak in a room.
    pub fn is_muted(&self, room: &Room, user: &User) -> bool {
        let table = self.rooms.get(room);
        let entry = table.and_then(|table| table.muted.get(user));
        entry.is_some_and(Entry::holds)
    }

    /// Who can't enter a room.
    pub fn banned(&self, room: &Room) -> Vec<Ban> {
        let entries = self.rooms.get(room).map(|table| table.banned.values());
        let held = entries.into_iter().flatten().filter(|entry| entry.holds());
        held.map(|entry| Ban {
            user: entry.measure.user.clone(),
            until: entry.until,
            seconds: entry.left().map(whole_seconds),
            by: entry.measure.by.clone(),
            reason: entry.measure.reason.clone(),
        })
        .collect()
    }

    /// A moderator is in a room, or does something there, and can't be banned from now on.
    pub fn note_moderator(&mut self, room: &Room, user: &User) {
        let table = self.table(room);
        if table.moderators.len() < MODERATORS_MOST {
            table.moderators.insert(user.clone());
        }
    }

    /// A user who is no moderator is in a room.
    pub fn forget_moderator(&mut self, room: &Room, user: &User) {
        if let Some(table) = self.rooms.get_mut(room) {
            table.moderators.remove(user);
        }
    }

    /// What is in force, in all rooms: the measure, when it ends, and the user's addresses.
    pub fn all(&self) -> Vec<(Room, Measure, Option<u64>, Vec<Address>)> {
        let tables = self.rooms.iter();
        let entries = tables.flat_map(|(room, table)| {
            let entries = table.banned.values().chain(table.muted.values());
            entries.map(move |entry| (room, entry))
        });
        let held = entries.filter(|(_, entry)| entry.holds());
        held.map(|(room, entry)| {
            let addresses = entry.addresses.clone();
            (room.clone(), entry.measure.clone(), entry.until, addresses)
        })
        .collect()
    }

    /// Forgets everything that was restored.
    pub fn clear(&mut self) {
        self.rooms.clear();
    }

    fn table(&mut self, room: &Room) -> &mut Table {
        if !self.rooms.contains_key(room) && self.rooms.len() >= self.tidy_at {
            self.rooms.retain(|_, table| {
                table.tidy();
                !table.banned.is_empty() || !table.muted.is_empty()
            });
            self.tidy_at = (2 * self.rooms.len()).max(TIDY_LEAST);
        }
        self.rooms.entry(room.clone()).or_default()
    }
}

impl Table {
    fn is_banned(&self, user: &User) -> bool {
        self.banned.get(user).is_some_and(Entry::holds)
    }

    /// Whether there is no place for one more.
    fn is_full(&mut self, measure: &Measure) -> bool {
        let entries = match measure.action {
            Action::Mute => &self.muted,
            _ => &self.banned,
        };
        if entries.contains_key(&measure.user) || measure.seconds == Some(0) {
            return false;
        }
        if self.banned.len() + self.muted.len() >= ENTRIES_MOST {
            self.tidy();
        }
        self.banned.len() + self.muted.len() >= ENTRIES_MOST
    }

    /// Forgets what is over.
    fn tidy(&mut self) {
        self.muted.retain(|_, entry| entry.holds());
        let over = self.banned.extract_if(|_, entry| !entry.holds());
        for (_, entry) in over.collect::<Vec<_>>() {
            self.forget_addresses(&entry);
        }
    }

    fn forget_addresses(&mut self, entry: &Entry) {
        for address in &entry.addresses {
            // Another banned user may have it, too.
            if self.addresses.get(address) == Some(&entry.measure.user) {
                self.addresses.remove(address);
            }
        }
    }
}

fn whole_seconds(left: Duration) -> u64 {
    left.as_millis().div_ceil(1000) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(name: &str) -> User {
        User::new(name).unwrap()
    }

    fn measure(action: Action, name: &str, seconds: Option<u64>) -> Measure {
        Measure {
            action,
            user: user(name),
            by: user("mod"),
            seconds,
            reason: "spam".into(),
        }
    }

    #[test]
    fn a_ban_holds_by_name_and_by_address() {
        let (room, mut moderation) = (Room::lobby(), Moderation::default());
        let [here, there] = [1, 2].map(|n| Some(Address::new(n)));
        let ban = measure(Action::Ban, "bar", None);
        moderation.act(&room, ban.clone(), here, 1000).unwrap();
        let open = |moderation: &Moderation, name: &str, address| {
            moderation.check(&room, Some(&user(name)), address).is_ok()
        };
        assert!(!open(&moderation, "Bar", None) && !open(&moderation, "eve", here));
        assert!(open(&moderation, "eve", None) && open(&moderation, "eve", there));
        assert!(moderation.note_address(&room, &user("bar"), there.unwrap()));
        assert!(!open(&moderation, "eve", there));
        // A kick does not end it.
        let kick = measure(Action::Kick, "bar", Some(0));
        moderation.act(&room, kick, None, 1000).unwrap();
        assert_eq!(moderation.banned(&room).len(), 1);
        let unban = measure(Action::Unban, "bar", None);
        moderation.act(&room, unban.clone(), None, 1000).unwrap();
        assert!(open(&moderation, "bar", here) && open(&moderation, "eve", there));
        let again = moderation.act(&room, unban, None, 1000);
        assert_eq!(again, Err(Refusal::NotBanned("bar".into())));
    }

    #[test]
    fn a_clock_that_was_set_back_does_not_make_it_longer() {
        let (room, mut moderation) = (Room::lobby(), Moderation::default());
        let mute = measure(Action::Mute, "bar", Some(60));
        moderation.restore(&room, mute, Some(1_000_000_000), 0);
        assert!(moderation.is_muted(&room, &user("bar")));
        let table = moderation.table(&room);
        let left = table.muted[&user("bar")].left().unwrap();
        assert!(left <= Duration::from_secs(60), "{left:?}");
        let over = measure(Action::Mute, "bar", Some(60));
        moderation.restore(&room, over, Some(1000), 2000);
        assert!(!moderation.is_muted(&room, &user("bar")));
    }

    #[test]
    fn there_is_a_limit() {
        let (room, mut moderation) = (Room::lobby(), Moderation::default());
        let act = |moderation: &mut Moderation, n: usize, seconds| {
            let kick = measure(Action::Kick, &format!("user {n}"), Some(seconds));
            moderation.act(&room, kick, None, 1000)
        };
        for n in 0..ENTRIES_MOST {
            act(&mut moderation, n, 60).unwrap();
        }
        let most = act(&mut moderation, ENTRIES_MOST, 60);
        assert_eq!(most, Err(Refusal::TooManyBans));
        // Nobody is kept out by this, and the other is there already.
        act(&mut moderation, ENTRIES_MOST, 0).unwrap();
        act(&mut moderation, 0, 60).unwrap();
        let unban = measure(Action::Unban, "user 0", None);
        moderation.act(&room, unban, None, 1000).unwrap();
        act(&mut moderation, ENTRIES_MOST, 60).unwrap();
    }
}
