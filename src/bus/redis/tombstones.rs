//! A portion of a room's log with the tombstones of what was taken back in it. Both are read one after the
//! other: what was taken back in between has its message and its tombstone.

use redis::Value;

use super::message;
use super::reply::{self, Logged};
use crate::chat::id::Id;
use crate::chat::name::Room;

/// The tombstones in an answer of Redis.
pub fn tombstones(room: &Room, value: &Value) -> Option<Vec<Logged>> {
    let read = |member: &String| {
        let (_, envelope) = member.split_once(' ')?;
        let event = message::event(room.clone(), envelope.as_bytes())?;
        let revision = message::revision(envelope.as_bytes())?.at;
        Some(Logged { event, revision })
    };
    Some(reply::texts(value)?.iter().filter_map(read).collect())
}

/// Which messages were asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// The first ones, oldest first.
    Forward,
    /// The last ones, newest first.
    Back,
}

/// Puts tombstones in their places in a portion of a log. `most`: so many of each were asked for.
pub fn merge(
    room: &Room,
    portion: &Value,
    tombstones: &Value,
    direction: Direction,
    most: usize,
) -> Option<Vec<Logged>> {
    let mut entries = reply::logged(room, portion)?;
    let mut graves = self::tombstones(room, tombstones)?;
    if graves.is_empty() {
        return Some(entries);
    }
    // How far each of the two was read, where there may be more.
    let last = |read: &[Logged]| read.last().and_then(|one| one.event.id());
    let ends = [
        last(&graves).filter(|_| graves.len() >= most),
        last(&entries).filter(|_| !reply::ended(portion)),
    ];
    let ends = ends.into_iter().flatten();
    match direction {
        Direction::Forward => {
            if let Some(end) = ends.min() {
                let within = |one: &Logged| one.event.id() <= Some(end);
                entries.retain(within);
                graves.retain(within);
            }
        }
        Direction::Back => {
            if let Some(end) = ends.max() {
                let within = |one: &Logged| one.event.id() >= Some(end);
                entries.retain(within);
                graves.retain(within);
            }
            entries.reverse();
            graves.reverse();
        }
    }
    forget_lonely(&mut graves, &entries);
    let gone: Vec<Option<Id>> = graves.iter().map(|one| one.event.id()).collect();
    entries.retain(|one| gone.binary_search(&one.event.id()).is_err());
    entries.append(&mut graves);
    entries.sort_by_key(|one| one.event.id());
    if direction == Direction::Back {
        entries.reverse();
    }
    entries.truncate(most);
    Some(entries)
}

/// Where the log was trimmed, older tombstones stand alone: only those right before the first message count.
fn forget_lonely(graves: &mut Vec<Logged>, entries: &[Logged]) {
    let Some(mut next) = entries.first().and_then(|one| one.event.id()) else {
        return;
    };
    let before = graves.partition_point(|one| one.event.id() < Some(next));
    let mut from = before;
    while let Some(id) = from.checked_sub(1).and_then(|at| graves[at].event.id()) {
        let follows = id.next() == next || id.epoch < next.epoch && next.n == 1;
        if !follows {
            break;
        }
        (from, next) = (from - 1, id);
    }
    graves.drain(..from);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An answer of Redis with these messages of epoch 7.
    fn portion(numbers: &[u64], ended: bool) -> Value {
        let entry = |n: &u64| {
            let id = format!("7-{n}");
            let said = format!(
                "{{\"natterjack\":\"said\",\"id\":\"{id}\",\"at\":1,\"from\":\"1.1\",\"user\":\"a\",\"text\":\"x\"}}"
            );
            let word = |word: String| Value::BulkString(word.into_bytes());
            let fields = Value::Array(vec![word("message".into()), word(said)]);
            Value::Array(vec![word(id), fields])
        };
        let mut entries: Vec<Value> = numbers.iter().map(entry).collect();
        entries.extend(ended.then(|| Value::BulkString("end".into())));
        Value::Array(entries)
    }

    fn graves(numbers: &[u64]) -> Value {
        let grave = |n: &u64| {
            let json = format!(
                "{{\"natterjack\":\"deleted\",\"revision\":9,\"id\":\"7-{n}\",\"at\":1,\"user\":\"a\",\"by\":\"a\"}}"
            );
            Value::BulkString(format!("{:020}-{n:020} {json}", 7).into_bytes())
        };
        Value::Array(numbers.iter().map(grave).collect())
    }

    /// The numbers, with a minus where it is a tombstone.
    fn merged(portion: Value, tombstones: &[u64], back: bool, most: usize) -> Vec<i64> {
        let direction = if back {
            Direction::Back
        } else {
            Direction::Forward
        };
        let merged = merge(
            &Room::lobby(),
            &portion,
            &graves(tombstones),
            direction,
            most,
        );
        let number = |one: Logged| {
            let n = one.event.id().unwrap().n as i64;
            if one.event.is_speech() { n } else { -n }
        };
        merged.unwrap().into_iter().map(number).collect()
    }

    #[test]
    fn tombstones_stand_in_their_places() {
        let all = portion(&[2, 4, 5], true);
        assert_eq!(merged(all.clone(), &[3, 6], false, 10), [2, -3, 4, 5, -6]);
        // A part of them; more may follow.
        assert_eq!(merged(all, &[3, 6], false, 2), [2, -3]);
        assert_eq!(merged(portion(&[2, 4], false), &[3, 6], false, 2), [2, -3]);
        assert_eq!(merged(portion(&[1, 9], true), &[2, 3], false, 2), [1, -2]);
        // What was taken back after the log was read is there twice.
        assert_eq!(merged(portion(&[2, 3], true), &[3], false, 9), [2, -3]);
        assert_eq!(merged(portion(&[], true), &[3, 4], false, 9), [-3, -4]);
    }

    #[test]
    fn tombstones_before_the_log_count_only_where_none_is_missing() {
        let all = portion(&[5, 6], true);
        assert_eq!(merged(all.clone(), &[1, 2, 4], false, 9), [-4, 5, 6]);
        assert_eq!(merged(all.clone(), &[1, 3], false, 9), [5, 6]);
        assert_eq!(merged(all, &[3, 4], false, 2), [-3, -4]);
    }

    #[test]
    fn pages_go_back_over_them_too() {
        assert_eq!(
            merged(portion(&[5, 3], true), &[6, 4, 1], true, 9),
            [-6, 5, -4, 3]
        );
        assert_eq!(
            merged(portion(&[5, 3], true), &[6, 4, 2], true, 9),
            [-6, 5, -4, 3, -2]
        );
        assert_eq!(merged(portion(&[5, 3], false), &[4, 2], true, 2), [5, -4]);
        assert_eq!(merged(portion(&[9, 1], true), &[8, 7], true, 2), [9, -8]);
    }
}
