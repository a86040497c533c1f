//! The languages that peers speak, and what they can ask for in them.
//!
//! A dialect turns a frame into a [`Request`], and an [`Event`] or a [`Reply`] into text. It does
//! not know who listens, nor how a request is carried out.

mod json;
mod plain;
mod simple;
mod typed;

use super::event::{Event, Refusal, Text};
use super::id::Id;
use super::name::{Email, Room, User};
use super::replay::Past;

pub use json::REFERENCE_BYTES;

/// Which language a connection speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// Bare lines of text at `/chat/{user}`, made for `wscat` and `websocat`.
    Plain,
    /// JSON with `email`, `username` and `message`, at `/ws`.
    Simple,
    /// JSON with a `type`, at `/ws`, too.
    Typed,
}

impl Dialect {
    /// All of them, each at its [place](Self::index).
    pub const ALL: [Dialect; 3] = [Dialect::Plain, Dialect::Simple, Dialect::Typed];

    /// Counts the dialects from 0.
    pub fn index(self) -> usize {
        self as usize
    }
}

/// What a peer asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Say it in a room; in the connection's only one, if none is named.
    Say(Option<Room>, Text),
    /// Say it in the connection's room under this name.
    Post {
        /// The name.
        user: User,
        /// Whom the words are from, for those who show a picture.
        email: Option<Email>,
        /// The words.
        text: Text,
    },
    /// Say it to one user only, wherever connected. The name is as given: whether it is one is for
    /// the registry of names to tell.
    Private {
        /// To whom.
        to: String,
        /// What.
        text: Text,
    },
    /// Who is in a room; in the connection's only one, if none is named.
    Who(Option<Room>),
    /// What can be asked.
    Help,
    /// Enter a room.
    Join(Box<Join>),
    /// Leave a room.
    Leave(Room),
    /// What was said in a room before a message, or before now.
    History {
        /// The room.
        room: Room,
        /// The message; the room's end if none.
        before: Option<Id>,
        /// How many messages at most.
        limit: usize,
    },
}

/// A wish to enter a room, and on the first one to be somebody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Join {
    /// The room.
    pub room: Room,
    /// The name, if the connection has none yet.
    pub user: Option<User>,
    /// For those who show a picture.
    pub email: Option<Email>,
    /// The key that takes the name over from an older connection.
    pub session: Option<String>,
    /// What to hear of what was said there before.
    pub past: Option<Past>,
}

/// A frame, understood as far as it goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParsedFrame {
    /// The dialect of this frame, and of the connection from here on.
    pub dialect: Dialect,
    /// What the client calls its message, to be told what became of it.
    pub reference: Option<String>,
    /// What it asks for, or what is wrong with it.
    pub request: Result<Request, Refusal>,
}

/// What one peer alone is told.
#[derive(Clone, Debug)]
pub enum Reply<'a> {
    /// The name is claimed.
    Named {
        /// The name.
        user: &'a User,
        /// The key that takes it over later.
        session: &'a str,
    },
    /// The room is entered.
    Joined {
        /// Who.
        user: &'a User,
        /// The room.
        room: &'a Room,
        /// Who is there, and the last message before.
        roster: &'a Roster,
        /// Whether the log reaches back to what was asked for.
        complete: bool,
    },
    /// Messages of the room have been lost; who is there.
    Incomplete(&'a Room, &'a Roster),
    /// The name belongs to somebody else.
    Taken(&'a User),
    /// The bus can't be reached.
    Unreachable,
    /// Who is in the room.
    Who(&'a Room, &'a Roster),
    /// What was said in the room, in order.
    History(&'a Room, &'a [Event]),
    /// Whether messages get through, or wait.
    Status(bool),
    /// What can be asked.
    Help,
    /// A private message, to whom it is for or back to whom it is from.
    Private {
        /// Whom it is for.
        to: &'a str,
        /// What was said, and by whom.
        message: &'a PrivateMessage,
    },
    /// The message of this reference is on the bus.
    Accepted(&'a str, Id),
    /// What was asked for is not done, and why; with the message's reference.
    Refused(&'a Refusal, Option<&'a str>),
}

/// A private message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrivateMessage {
    /// Who says it.
    pub from: User,
    /// For those who show a picture.
    pub email: Option<Email>,
    /// The words.
    pub text: Text,
    /// Its number among all private messages.
    pub id: Id,
    /// When, in milliseconds since 1970.
    pub at: u64,
}

/// Who is in a room, over all instances.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Roster {
    /// How many there are.
    pub count: usize,
    /// Their names, sorted; empty in rooms too large for a list.
    pub users: Vec<String>,
    /// The room's last message so far.
    pub last: Option<Id>,
}

impl Dialect {
    /// What a frame asks for.
    pub fn parse(self, frame: &str) -> ParsedFrame {
        let parsed = |dialect, reference, request| ParsedFrame {
            dialect,
            reference,
            request,
        };
        if self == Dialect::Plain {
            return parsed(self, None, plain::parse(frame));
        }
        match json::read(frame) {
            (Ok(object), reference) if object.kind.is_none() && self == Dialect::Simple => {
                parsed(self, reference, simple::request(object))
            }
            (Ok(object), reference) => parsed(Dialect::Typed, reference, typed::request(object)),
            (Err(refusal), reference) => parsed(self, reference, Err(refusal)),
        }
    }

    /// Writes what the room hears of an event; `false` if the dialect has no words for it.
    pub fn render(self, event: &Event, out: &mut String) -> bool {
        match self {
            Dialect::Plain => plain::render(event, out),
            Dialect::Simple => simple::render(event, out),
            Dialect::Typed => typed::render(event, out),
        }
    }

    /// Writes what one peer is told; `false` if the dialect has no words for it.
    pub fn reply(self, reply: &Reply<'_>, out: &mut String) -> bool {
        match self {
            Dialect::Plain => plain::reply(reply, out),
            Dialect::Simple => simple::reply(reply, out),
            Dialect::Typed => typed::reply(reply, out),
        }
    }

    /// Whether the connection that caused an event hears it too.
    pub fn echoes(self, event: &Event) -> bool {
        self != Dialect::Plain && event.is_speech()
    }
}
