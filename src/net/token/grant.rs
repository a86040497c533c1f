//! What a token grants.

use crate::chat::name::{Room, User};
use crate::net::http::Answer;

/// What a token allows a connection.
#[derive(Debug, PartialEq, Eq)]
pub struct Grant {
    pub(super) user: User,
    /// `None` is all rooms.
    pub(super) rooms: Option<Vec<Room>>,
    /// In milliseconds since 1970, including the leeway.
    pub(super) expires: Option<u64>,
}

impl Grant {
    /// The only name that its connection may use.
    pub fn user(&self) -> &User {
        &self.user
    }

    /// Whether its connection may join a room.
    pub fn allows_room(&self, room: &Room) -> bool {
        let rooms = self.rooms.as_ref();
        rooms.is_none_or(|rooms| rooms.contains(room))
    }

    /// When it expires, in milliseconds since 1970; never if `None`.
    pub fn expires(&self) -> Option<u64> {
        self.expires
    }

    /// Checks that it allows this name and this room.
    ///
    /// # Errors
    /// 403.
    pub fn check(&self, user: Option<&User>, room: Option<&Room>) -> Result<(), Answer> {
        if user.is_some_and(|user| *user != self.user) {
            return Err(Answer::text(403, "the token is for another name"));
        }
        if room.is_some_and(|room| !self.allows_room(room)) {
            return Err(Answer::text(403, "the token is not for this room"));
        }
        Ok(())
    }
}
