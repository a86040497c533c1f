//! What the bus knows of a user's private conversations.

use crate::chat::id::Id;
use crate::chat::name::Room;

/// A private conversation of a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conversation {
    /// Its room.
    pub room: Room,
    /// The last message before it was this user's. What is earlier was said to another holder of the name.
    pub begun: Id,
    /// When it was last noted that somebody speaks in it, in milliseconds since 1970. That is done every
    /// few minutes.
    pub noted: u64,
    /// Messages may be on their way whose sender does not know where the user is now.
    pub goes_on: bool,
}

/// What the holder of a name may have missed of private conversations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Away {
    /// Since when the holder was away, in milliseconds since 1970; `None` if nothing new is in other
    /// conversations than these.
    pub since: Option<u64>,
    /// How far private conversations had been heard. Of the others, what came later is new.
    pub heard: Vec<(Room, Id)>,
}
