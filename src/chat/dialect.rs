//! The languages that peers speak, and what they can ask for in them.
//!
//! A dialect turns a frame into a [`Request`] and an [`Event`] or a [`Reply`] into text. It does
//! not know who listens, nor how a request is carried out.

mod plain;

use super::event::{Event, Refusal, Text};
use super::name::{Room, User};

/// Which language a connection speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// Bare lines of text at `/chat/{user}`, made for `wscat` and `websocat`.
    Plain,
}

/// What a peer asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Say it in the room.
    Say(Text),
    /// Say it to one user only, wherever connected. The name is as given: whether it is one is for
    /// the registry of names to tell.
    Tell {
        /// To whom.
        to: String,
        /// What.
        text: Text,
    },
    /// Who is in the room?
    Who,
    /// What can be asked?
    Help,
}

/// What one peer alone is told.
#[derive(Clone, Debug)]
pub enum Reply<'a> {
    /// The name is claimed and the room entered.
    Welcome(&'a User),
    /// The name belongs to somebody else.
    Taken(&'a User),
    /// The bus can't be reached.
    Unreachable,
    /// Who is in the room.
    Who(&'a Room, &'a Roster),
    /// What can be asked.
    Help,
    /// A private message.
    Private {
        /// Who said it.
        from: &'a User,
        /// What.
        text: &'a Text,
    },
    /// What was asked for is not done, and why.
    Refused(&'a Refusal),
}

/// Who is in a room, over all instances.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Roster {
    /// How many there are.
    pub count: usize,
    /// Their names, sorted; empty in rooms too large for a list.
    pub users: Vec<String>,
}

impl Dialect {
    /// What a frame asks for.
    ///
    /// # Errors
    /// What is wrong with it, for its sender.
    pub fn parse(self, frame: &str) -> Result<Request, Refusal> {
        match self {
            Dialect::Plain => plain::parse(frame),
        }
    }

    /// Writes what the room hears of an event; `false` if the dialect has no words for it.
    pub fn render(self, event: &Event, out: &mut String) -> bool {
        match self {
            Dialect::Plain => plain::render(event, out),
        }
    }

    /// Writes what one peer is told.
    pub fn reply(self, reply: &Reply<'_>, out: &mut String) {
        match self {
            Dialect::Plain => plain::reply(reply, out),
        }
    }

    /// Whether the connection that caused an event hears it too.
    pub fn hears_itself(self, _event: &Event) -> bool {
        match self {
            Dialect::Plain => false,
        }
    }
}
