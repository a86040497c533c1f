//! What Redis answers, read.

use redis::{Value, from_redis_value, from_redis_value_ref};

use super::message::{self, Entry, InstanceMessage, Invitation};
use crate::bus::{Away, Conversation};
use crate::chat::dialect::Roster;
use crate::chat::event::{Event, Refusal};
use crate::chat::id::{Id, Origin};
use crate::chat::moderation::{Ban, Measure};
use crate::chat::name::{Room, User};
use crate::chat::replay::Epochs;

pub use crate::redis::reply::{Push, number, push, text, texts};

/// The answer to the script `publish`, unless the message had been published before.
pub fn id(value: &Value) -> Option<Id> {
    text(value)?.parse().ok()
}

/// Whether the script `publish` has refused a message, because too many wait.
pub fn full(value: Value) -> bool {
    text(&value).as_deref() == Some("full")
}

/// The answer to the script `conversations`.
pub fn conversations(value: Value) -> Option<Vec<Conversation>> {
    let noted: Vec<(String, String, u64, u64)> = from_redis_value(value).ok()?;
    let read = |(room, begun, noted, age): (String, String, u64, u64)| {
        Some(Conversation {
            room: Room::read(&room).ok()?,
            begun: begun.parse().ok()?,
            noted,
            age: Some(age),
        })
    };
    Some(noted.into_iter().filter_map(read).collect())
}

/// The answer to the script `roster`.
pub fn roster(value: Value) -> Option<Roster> {
    let mut parts = value.into_sequence().ok()?.into_iter();
    let count = usize::try_from(number(&parts.next()?)?).ok()?;
    let last = id(&parts.next()?);
    let entries = parts.next().unwrap_or(Value::Nil);
    let entries: Vec<(String, String)> = from_redis_value(entries).ok()?;
    let shown = |(key, entry): (String, String)| match entry.split_once(' ') {
        Some((_, shown)) => shown.to_string(),
        None => key,
    };
    let mut users: Vec<String> = entries.into_iter().map(shown).collect();
    users.sort_unstable();
    Some(Roster { count, users, last })
}

/// The answer to the script `renew_lease`: how the lease stood, and all leases with their values.
pub fn pulse(value: &Value) -> Option<(Lease, Vec<(String, String)>)> {
    let (had, leases) = from_redis_value_ref::<(i64, Vec<(String, String)>)>(value).ok()?;
    let lease = match had {
        0 => Lease::None,
        1 => Lease::Held,
        _ => Lease::Expired,
    };
    Some((lease, leases))
}

/// The answer to the script `read_sums`: each instance's. One that is wrong may be below zero.
pub fn sums(value: &Value) -> Option<Vec<(String, u64)>> {
    let sums: Vec<(String, i64)> = from_redis_value_ref(value).ok()?;
    let sums = sums.into_iter();
    Some(sums.map(|(instance, sum)| (instance, sum as u64)).collect())
}

/// Whose a name is.
#[derive(Debug, PartialEq, Eq)]
pub struct Owner {
    /// The name.
    pub user: User,
    /// The connection.
    pub origin: Origin,
}

/// The answer to the script `list_members`: keys of names, and whose they are.
pub fn members(value: Value) -> Option<Vec<(String, Owner)>> {
    let entries: Vec<(String, String)> = from_redis_value(value).ok()?;
    // `ORIGIN`, perhaps a mark, and how the name is shown if that is not its key.
    Some(owners(entries, 2))
}

/// The answer to the script `list_names`: where to go on, and keys of names with whose they are.
pub fn page_of_names(value: Value) -> Option<(String, Vec<(String, Owner)>)> {
    let (next, entries): (String, Vec<(String, String)>) = from_redis_value(value).ok()?;
    // `ORIGIN`, the hash of the session key, and how the name is shown if that is not its key.
    Some((next, owners(entries, 3)))
}

/// Reads keys of names with values whose last of so many words, if it is there, is how the name is
/// shown. What no instance can have written is left out.
fn owners(entries: Vec<(String, String)>, words: usize) -> Vec<(String, Owner)> {
    let read = |(key, value): (String, String)| {
        let origin = value.split([' ', '~']).next()?.parse().ok()?;
        let shown = value.splitn(words, ' ').nth(words - 1);
        let user = User::new(shown.unwrap_or(&key)).ok()?;
        Some((key, Owner { user, origin }))
    };
    entries.into_iter().filter_map(read).collect()
}

/// How an instance's lease stood when it was renewed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lease {
    /// There was none: the instance is new, or Redis has lost it.
    None,
    /// It was there.
    Held,
    /// The instance was taken for dead.
    Expired,
}

/// The id at the beginning of a room's counter.
pub fn last(value: &Value) -> Option<Id> {
    text(value)?.split(' ').next()?.parse().ok()
}

/// A room's counter, which says where its log stands; `None` if it is none.
pub fn epochs(value: &Value) -> Option<Epochs> {
    if matches!(value, Value::Nil) {
        return Some(Epochs::default());
    }
    let counter = text(value)?;
    // Before the ends: the last id, the node that gave it, and when that was looked at.
    Some(Epochs {
        ends: message::ends(counter.splitn(4, ' ').nth(3).unwrap_or_default())?,
        last: last(value)?,
    })
}

/// The answer to the script `sync_room`.
#[derive(Debug)]
pub struct Synced {
    /// Where the log stands.
    pub epochs: Epochs,
    /// The time at Redis.
    pub at: u64,
    /// The first messages of what has been missed.
    pub messages: Vec<Logged>,
}

/// The answer to the script `sync_moderation`.
#[derive(Debug)]
pub struct SyncedModeration {
    /// The revision of the room's moderation.
    pub revision: u64,
    /// The time at Redis.
    pub now: u64,
    /// The bans, kicks and mutes, if it is another revision than was heard.
    pub entries: Vec<Entry>,
}

/// Reads the answer to the script `sync_moderation`.
pub fn synced_moderation(value: &Value) -> Option<SyncedModeration> {
    let [revision, now, entries] = value.as_sequence()? else {
        return None;
    };
    let entries = texts(entries)?;
    Some(SyncedModeration {
        revision: text(revision)?.parse().ok()?,
        now: text(now)?.parse().ok()?,
        entries: entries
            .iter()
            .filter_map(|json| Entry::read(json))
            .collect(),
    })
}

/// An entry of a log.
#[derive(Debug)]
pub struct Logged {
    /// The message, or what stands in its place.
    pub event: Event,
    /// When it was taken back, if it was: the revision of the room's moderation.
    pub revision: u64,
}

/// Reads the answer to the script `sync_room`.
pub fn synced(room: &Room, value: &Value) -> Option<Synced> {
    let [last, ends, at, log] = value.as_sequence()? else {
        return None;
    };
    Some(Synced {
        epochs: Epochs {
            ends: message::ends(&text(ends)?)?,
            last: id(last).unwrap_or(Id::START),
        },
        at: u64::try_from(number(at)?).ok()?,
        messages: logged(room, log)?,
    })
}

/// The entries of an excerpt of a room's log; `None` if it is none.
pub fn logged(room: &Room, value: &Value) -> Option<Vec<Logged>> {
    let read = |payload: &[u8]| {
        let event = message::event(room.clone(), payload)?;
        let revision = match event.is_speech() {
            true => None,
            false => message::revision(payload),
        };
        let revision = revision.map_or(0, |revision| revision.at);
        Some(Logged { event, revision })
    };
    Some(entries(value)?.filter_map(read).collect())
}

/// Whether a portion of a log is the last one.
pub fn ended(value: &Value) -> bool {
    let last = value.as_sequence().and_then(<[Value]>::last);
    last.is_some_and(|last| last.as_sequence().is_none())
}

/// Why a peer is not let in, if that is the answer to a script that lets peers in.
pub fn refused(room: &Room, value: &Value) -> Option<Refusal> {
    let [banned, seconds, reason] = &texts(value)?[..] else {
        return None;
    };
    let ban = (room.clone(), seconds.parse().ok(), Measure::reason(reason));
    (banned == "banned").then(|| Refusal::Banned(Box::new(ban)))
}

/// The answer to the script `list_bans`.
pub fn bans(value: &Value) -> Option<Vec<Ban>> {
    let words = texts(value)?;
    let (now, entries) = words.split_first()?;
    let now = now.parse().ok()?;
    let read = |json: &String| {
        let entry = Entry::read(json)?;
        let measure = entry.measure()?;
        Some(Ban {
            user: measure.user,
            until: entry.until,
            seconds: entry.left(now).map(|left| left.div_ceil(1000)),
            by: measure.by,
            reason: measure.reason,
        })
    };
    Some(entries.iter().filter_map(read).collect())
}

/// The messages in an excerpt of a room's log; `None` if it is none.
pub fn messages(room: &Room, value: &Value) -> Option<Vec<Event>> {
    let read = |payload: &[u8]| message::event(room.clone(), payload);
    Some(entries(value)?.filter_map(read).collect())
}

/// What became of a request for a name.
#[derive(Debug)]
pub enum Claimed {
    /// Somebody else has it.
    Taken,
    /// The connection has it now.
    Granted {
        /// Since then, in microseconds of Redis' time.
        at: u64,
        /// What its holder may have missed of private conversations, if there are any.
        away: Option<Away>,
    },
}

/// The answer to the script `claim`.
pub fn claimed(value: &Value) -> Option<Claimed> {
    if number(value) == Some(0) {
        return Some(Claimed::Taken);
    }
    let read = |line: &str| {
        let (id, room) = line.split_once(' ')?;
        Some((Room::read(room).ok()?, id.parse().ok()?))
    };
    let granted = texts(value)?;
    let (at, away) = match &granted[..] {
        [at] => (at, None),
        [at, since, heard] => {
            let since = since.parse().ok();
            let heard = heard.lines().filter_map(read).collect();
            (at, Some(Away { since, heard }))
        }
        _ => return None,
    };
    let at = at.parse().ok()?;
    Some(Claimed::Granted { at, away })
}

/// The names that were taken over from an instance, and the connections that had them.
pub fn replaced(value: Value) -> Option<Vec<(User, Origin)>> {
    let entries: Vec<(String, String)> = from_redis_value(value).ok()?;
    let read =
        |(name, origin): (String, String)| Some((User::new(&name).ok()?, origin.parse().ok()?));
    Some(entries.into_iter().filter_map(read).collect())
}

/// The invitations in an instance's inbox, when each was written, and whether it was passed on; `None`
/// if it is no inbox.
pub fn inbox(value: &Value) -> Option<Vec<(Invitation, u64, bool)>> {
    let read = |payload: &[u8]| match message::instance_message(payload)? {
        InstanceMessage::Invited {
            invitation,
            at,
            forwarded,
        } => Some((invitation, at, forwarded)),
        _ => None,
    };
    Some(entries(value)?.filter_map(read).collect())
}

/// The values of a stream's entries: each is an id and a list of one key and its value.
fn entries(value: &Value) -> Option<impl Iterator<Item = &[u8]>> {
    let entries = value.as_sequence()?.iter();
    Some(
        entries.filter_map(|entry| match entry.as_sequence()?.get(1)?.as_sequence()? {
            [_, Value::BulkString(payload)] => Some(&payload[..]),
            _ => None,
        }),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_roster_comes_with_names_or_without() {
        let entries = ["b", "0f.1", "a", "0f.2 A"].map(|word| Value::BulkString(word.into()));
        let last = Value::BulkString("12-3".into());
        let small = vec![Value::Int(2), last, Value::Array(entries.to_vec())];
        let expected = Roster {
            count: 2,
            users: vec!["A".to_string(), "b".to_string()],
            last: Some(Id { epoch: 12, n: 3 }),
        };
        assert_eq!(roster(Value::Array(small)), Some(expected));
        let large = vec![Value::Int(501), Value::BulkString(Vec::new())];
        let expected = Roster {
            count: 501,
            ..Roster::default()
        };
        assert_eq!(roster(Value::Array(large)), Some(expected));
        assert_eq!(roster(Value::Nil), None);
    }

    #[test]
    fn it_is_read_whose_a_name_is() {
        let words = |words: &[&str]| {
            let words = words.iter().map(|word| Value::BulkString((*word).into()));
            Value::Array(words.collect())
        };
        let of = |(key, owner): &(String, Owner)| format!("{key} {} {}", owner.user, owner.origin);
        let read = |owners: Vec<(String, Owner)>| owners.iter().map(of).collect::<Vec<_>>();
        let entries = words(&["a b", "f.1~ A b", "c", "f.2", "d", "f.3~", "e", "nobody"]);
        let expected = [
            "a b A b 000000000000000f.1",
            "c c 000000000000000f.2",
            "d d 000000000000000f.3",
        ];
        assert_eq!(read(members(entries).unwrap()), expected);
        let entries = words(&["a b", "f.1 key A b", "c", "f.2 ", "d", "f.3 key", "e", ""]);
        let page = Value::Array(vec![Value::BulkString("17".into()), entries]);
        let (next, owners) = page_of_names(page).unwrap();
        assert_eq!(
            (next.as_str(), read(owners)),
            ("17", expected.map(String::from).to_vec())
        );
    }

    #[test]
    fn a_sum_may_be_below_zero() {
        let words = ["f", "-1"].map(|word| Value::BulkString(word.into()));
        let expected = vec![("f".to_string(), u64::MAX)];
        assert_eq!(sums(&Value::Array(words.to_vec())), Some(expected));
    }

    #[test]
    fn a_pulse_tells_how_things_stand() {
        let leases = ["beef", "17"].map(|word| Value::BulkString(word.into()));
        let leases = Value::Array(leases.to_vec());
        let reply = |had| Value::Array(vec![Value::Int(had), leases.clone()]);
        for (had, lease) in [(0, Lease::None), (1, Lease::Held), (2, Lease::Expired)] {
            let leases = vec![("beef".into(), "17".into())];
            assert_eq!(pulse(&reply(had)), Some((lease, leases)));
        }
        assert_eq!(pulse(&Value::Nil), None);
    }
}
