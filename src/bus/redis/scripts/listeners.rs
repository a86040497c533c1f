//! Other programs that listen to rooms, where the scripts can't see them: on another node than the
//! room's, or by a pattern.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};

use redis::{Value, cmd};

use super::Scripts;
use crate::chat::name::Room;
use crate::mutex::Mutex;
use crate::redis::reply::number;

/// Which rooms they listen to.
#[derive(Debug, Default)]
pub struct Listeners {
    /// Somebody is subscribed by a pattern. Which rooms it fits is not asked.
    by_pattern: AtomicBool,
    rooms: Mutex<HashSet<Room>>,
}

impl Listeners {
    /// Whether somebody listens to this room.
    pub fn hear(&self, room: &Room) -> bool {
        let rooms = || self.rooms.lock();
        self.by_pattern.load(Ordering::Relaxed) || rooms().contains(room)
    }

    /// Notes the answers of all nodes to [`Scripts::count_patterns`].
    pub fn note_patterns(&self, answers: &[Value]) {
        let heard: i64 = answers.iter().filter_map(number).sum();
        self.by_pattern.store(heard > 1, Ordering::Relaxed);
    }

    /// Notes the answers of all nodes to [`Scripts::count_subscribers`] of these rooms.
    pub fn note_subscribers(&self, rooms: &[Room], answers: &[Value]) {
        let counts = |answer: &Value, at: usize| {
            let words = answer.as_sequence().unwrap_or_default();
            let [plain, envelopes] = [1, 3].map(|word| words.get(4 * at + word).and_then(number));
            plain > envelopes
        };
        let mut heard = self.rooms.lock();
        for (at, room) in rooms.iter().enumerate() {
            if !answers.iter().any(|answer| counts(answer, at)) {
                heard.remove(room);
            } else if !heard.contains(room) {
                heard.insert(room.clone());
            }
        }
    }

    /// Forgets all rooms but these.
    pub fn keep(&self, rooms: &[Room]) {
        let mut heard = self.rooms.lock();
        if !heard.is_empty() {
            let rooms: HashSet<_> = rooms.iter().collect();
            heard.retain(|room| rooms.contains(room));
        }
    }
}

impl Scripts {
    /// Publishes on this instance's own channel what it ignores. Who hears that besides the instance
    /// itself is subscribed by a pattern.
    pub fn count_patterns(&self) -> Vec<u8> {
        let ignored = (self.own_channel(), "{}");
        cmd("PUBLISH").arg(ignored).get_packed_command()
    }

    /// Counts the subscribers of these rooms' channels.
    pub fn count_subscribers(&self, rooms: &[Room]) -> Vec<u8> {
        let channels = rooms.iter().map(|room| self.channels(room));
        let channels: Vec<_> = channels.collect();
        let channels = channels.as_flattened();
        let mut count = cmd("PUBSUB");
        count.arg("NUMSUB").arg(channels).get_packed_command()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_listens_is_found_on_any_node() {
        let (lobby, attic) = (Room::lobby(), Room::new("attic").unwrap());
        let listeners = Listeners::default();
        let heard = || [&lobby, &attic].map(|room| listeners.hear(room));
        let answer = |counts: [i64; 4]| {
            let word = |n| [Value::BulkString("chat".into()), Value::Int(n)];
            Value::Array(counts.map(word).as_flattened().to_vec())
        };
        let rooms = [lobby.clone(), attic.clone()];
        listeners.note_subscribers(&rooms, &[answer([2, 2, 0, 0]), answer([0, 0, 1, 0])]);
        assert_eq!(heard(), [false, true]);
        listeners.note_subscribers(&rooms, &[answer([3, 2, 0, 0]), Value::Nil]);
        assert_eq!(heard(), [true, false]);
        listeners.keep(&rooms[1..]);
        assert_eq!(heard(), [false, false]);
        listeners.note_patterns(&[Value::Int(0), Value::Int(1)]);
        assert_eq!(heard(), [false, false]);
        listeners.note_patterns(&[Value::Int(1), Value::Int(1)]);
        assert_eq!(heard(), [true, true]);
    }
}
