//! The names announced in each room: a name announced as online is announced as offline later.
//!
//! A name belongs to the connection that joined under it last. The older connection of a name that
//! has been taken over leaves unannounced. Only names that are announced are kept, so a room
//! has few entries more than the largest size in which joins are announced.

use std::collections::HashMap;

use crate::chat::name::{Room, User};

/// The names that have been announced as online and not as offline since, and the number of the
/// peer that has each.
#[derive(Debug, Default)]
pub struct Announced(HashMap<(Room, User), u64>);

impl Announced {
    /// A peer has joined under this name. Returns whether the room is to be told: it is small, and
    /// has not been told of this name.
    pub fn joins(&mut self, room: &Room, user: &User, peer: u64, small: bool) -> bool {
        let name = (room.clone(), user.clone());
        match self.0.get_mut(&name) {
            Some(owner) => {
                *owner = peer;
                return false;
            }
            None if small => drop(self.0.insert(name, peer)),
            None => {}
        }
        small
    }

    /// The name as it was announced, if it was and is written in another way now. That one is gone: the
    /// room is to be told, and has not been told of the new one.
    pub fn written_otherwise(&mut self, room: &Room, user: &User) -> Option<User> {
        let name = (room.clone(), user.clone());
        let ((_, old), _) = self.0.get_key_value(&name)?;
        let old = Some(old.clone()).filter(|old| old.as_str() != user.as_str())?;
        self.0.remove(&name);
        Some(old)
    }

    /// A peer has left under this name. Returns whether the room is to be told: it was told that
    /// the peer has joined, or is so small that its list names everybody. `elsewhere`: another peer
    /// of the room has the name.
    pub fn leaves(
        &mut self,
        room: &Room,
        user: &User,
        peer: u64,
        small: bool,
        elsewhere: bool,
    ) -> bool {
        let name = (room.clone(), user.clone());
        match self.0.get(&name) {
            None => small && !elsewhere,
            Some(owner) if *owner != peer => false,
            Some(_) => self.0.remove(&name).is_some(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_room_is_told_of_each_name_once_and_of_its_end_once() {
        let mut announced = Announced::default();
        let room = Room::lobby();
        let (ann, bob) = (User::new("ann").unwrap(), User::new("bob").unwrap());
        assert!(announced.joins(&room, &ann, 1, true));
        // Taken over by peer 2: the older connection leaves without a word, in a room of any size.
        assert!(!announced.joins(&room, &ann, 2, true));
        assert!(!announced.leaves(&room, &ann, 1, true, true));
        assert!(!announced.leaves(&room, &ann, 1, false, true));
        // A large room does not announce bob's join. It announces ann's leave, since it announced her
        // join.
        assert!(!announced.joins(&room, &bob, 3, false));
        assert!(announced.leaves(&room, &ann, 2, false, false));
        // A room that is small again lists bob, so it announces his leave.
        assert!(announced.leaves(&room, &bob, 3, true, false));
        assert!(!announced.leaves(&room, &bob, 3, false, false));
        assert!(announced.0.is_empty());
    }

    #[test]
    fn an_unannounced_name_has_not_left_while_another_peer_has_it() {
        let mut announced = Announced::default();
        let (room, ann) = (Room::lobby(), User::new("ann").unwrap());
        assert!(!announced.joins(&room, &ann, 1, false));
        assert!(!announced.joins(&room, &ann, 2, false));
        assert!(!announced.leaves(&room, &ann, 1, true, true));
        assert!(announced.leaves(&room, &ann, 2, true, false));
    }
}
