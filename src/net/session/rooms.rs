//! The rooms of a connection.

use std::time::Instant;

use super::Session;
use crate::chat::event::Refusal;
use crate::chat::name::Room;

/// A room that a connection is in.
#[derive(Debug)]
pub struct JoinedRoom {
    /// The room.
    pub room: Room,
    /// Nobody had spoken in it when the connection joined, and the connection has not since.
    pub silent: bool,
}

impl Session<'_> {
    /// Whether the connection is in this room.
    pub(super) fn is_in(&self, room: &Room) -> bool {
        self.rooms.iter().any(|joined| joined.room == *room)
    }

    /// Counts a room for the connection's name, if the message is the first one there.
    pub(super) fn count_new_room(&mut self, room: &Room) -> Result<(), Refusal> {
        let mut rooms = self.rooms.iter_mut();
        let Some(joined) = rooms.find(|joined| joined.silent && joined.room == *room) else {
            return Ok(());
        };
        if !self.rate.begin_room(Instant::now()) {
            return Err(Refusal::NewRooms);
        }
        joined.silent = false;
        Ok(())
    }

    /// Counts a private conversation like a room, if the message begins it.
    pub(super) fn count_new_conversation(&mut self, room: &Room) -> Result<(), Refusal> {
        match self.bus().has_begun(room) || self.rate.begin_room(Instant::now()) {
            true => Ok(()),
            false => Err(Refusal::NewRooms),
        }
    }
}
