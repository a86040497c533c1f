//! What the bus knows of a user's private conversations.

use crate::chat::event::Event;
use crate::chat::id::Id;
use crate::chat::name::Room;

/// So long after somebody has spoken in a conversation, in milliseconds, there may be senders who do not know
/// where its users are now.
const GOES_ON: u64 = 20 * 60 * 1000;
/// A conversation in which messages are sent is noted again after less than this, in milliseconds.
const NOTED_AGAIN: u64 = 10 * 60 * 1000;

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
    /// How long ago that was, in milliseconds; none on a lone server, which has no need of it.
    pub age: Option<u64>,
}

impl Conversation {
    /// How many messages of one conversation are kept. As many may wait.
    pub const MOST: usize = 200;

    /// Whether messages may be on their way whose sender does not know where the user is now.
    pub fn goes_on(&self) -> bool {
        self.age.is_some_and(|age| age < GOES_ON)
    }

    /// Whether it may have messages that were said since then, in milliseconds since 1970.
    pub fn has_newer(&self, since: u64) -> bool {
        self.noted + NOTED_AGAIN >= since
    }

    /// After which message those follow that were said since then. `log`: the last ones, in order, at most
    /// [`MOST`](Self::MOST).
    pub fn before(&self, since: u64, log: &[Event]) -> Id {
        let earlier = log.iter().rfind(|event| event.said_at() < since);
        earlier
            .and_then(Event::id)
            .unwrap_or(Id::START)
            .max(self.begun)
    }
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
