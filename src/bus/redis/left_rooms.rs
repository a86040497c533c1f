//! The rooms that this instance has left a short while ago. Redis may hold something of it there again
//! when it goes back in time, or when a command that a partition held back arrives late.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::chat::name::Room;

/// For how long a room counts as left a short while ago.
const WATCH_TIME: Duration = Duration::from_secs(5 * 60);
/// How many rooms are watched at most.
const MAX_ROOMS: usize = 10_000;

/// The rooms, and when each was left.
#[derive(Debug, Default)]
pub struct LeftRooms(HashMap<Room, Instant>);

impl LeftRooms {
    /// Notes a room. Returns one that is no longer watched, if they have become too many.
    pub fn add(&mut self, room: Room, now: Instant) -> Option<Room> {
        self.0.insert(room.clone(), now);
        if self.0.len() <= MAX_ROOMS {
            return None;
        }
        let dropped = self.0.keys().find(|other| **other != room).cloned()?;
        self.0.remove(&dropped);
        Some(dropped)
    }

    /// The rooms.
    pub fn iter(&self) -> impl Iterator<Item = &Room> {
        self.0.keys()
    }

    /// Ends the watch of a room in which all is well. `false` if it goes on.
    pub fn end(&mut self, room: &Room, now: Instant) -> bool {
        let over = |left: &Instant| now - *left >= WATCH_TIME;
        self.0.get(room).is_some_and(over) && self.0.remove(room).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rooms_are_watched_for_a_while_and_not_too_many() {
        let (mut left, start) = (LeftRooms::default(), Instant::now());
        let room = |n: usize| Room::new(&format!("room{n}")).unwrap();
        assert_eq!(left.add(room(0), start), None);
        assert!(!left.end(&room(0), start) && !left.end(&room(1), start));
        assert!(left.end(&room(0), start + WATCH_TIME));
        assert_eq!(left.iter().count(), 0);
        for n in 0..MAX_ROOMS {
            assert_eq!(left.add(room(n), start), None);
        }
        assert!(left.add(room(MAX_ROOMS), start).is_some());
        assert!(left.iter().any(|other| *other == room(MAX_ROOMS)));
        assert_eq!(left.iter().count(), MAX_ROOMS);
    }
}
