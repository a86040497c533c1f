//! The dialects of clients, and the requests and replies that all of them share.
//!
//! A dialect turns a frame into a [`Request`], and an [`Event`] or a [`Reply`] into text. It does
//! not know who gets the text, nor how a request is carried out.

mod events;
mod json;
mod plain;
mod simple;
mod typed;

use super::event::{Event, Refusal, Text};
use super::id::Id;
use super::moderation::{Action, Ban, Measure};
use super::name::{Email, Room, User};
use super::replay::Past;

pub use json::REFERENCE_BYTES;
pub use typed::read;

/// The dialect of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// Bare lines of text at `/chat/{user}`, made for `wscat` and `websocat`.
    Plain,
    /// JSON with `email`, `username` and `message`, at `/ws`.
    Simple,
    /// JSON with a `type`, also at `/ws`.
    Typed,
    /// Server-sent events at `/rooms/{room}`, for those who only listen.
    Events,
}

impl Dialect {
    /// All dialects, in the order of the enum.
    pub const ALL: [Dialect; 4] = [
        Dialect::Plain,
        Dialect::Simple,
        Dialect::Typed,
        Dialect::Events,
    ];
}

/// A request of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Send a message to a room; without a room, to the connection's only one.
    Say(Option<Room>, Text),
    /// Send a message to the connection's room under this name.
    Post {
        /// The name.
        user: User,
        /// The author's address, for clients that show a picture.
        email: Option<Email>,
        /// The text.
        text: Text,
    },
    /// Send a message to one user only, on any instance. The name is not checked here: the registry
    /// of names does that.
    Private {
        /// The recipient.
        to: String,
        /// The text.
        text: Text,
    },
    /// List the users of a room; without a room, of the connection's only one.
    Who(Option<Room>),
    /// List the commands.
    Help,
    /// Join a room.
    Join(Box<Join>),
    /// Leave a room.
    Leave(Room),
    /// Free the name as soon as the connection ends.
    Forget,
    /// Read older messages.
    History {
        /// Where they were said.
        of: Target,
        /// Only messages before this one; without it, the newest.
        before: Option<Id>,
        /// The most messages to return.
        limit: usize,
    },
    /// Do something to a user of a room, as a moderator.
    Moderate {
        /// The room; without one, the connection's only one.
        room: Option<Room>,
        /// What.
        action: Action,
        /// The user it is done to.
        user: User,
        /// For how long.
        seconds: Option<u64>,
        /// Why; may be empty.
        reason: String,
    },
    /// List who can't enter a room; without a room, the connection's only one.
    Banned(Option<Room>),
    /// Take a message back.
    Delete {
        /// Where it was said; `None` for the connection's only room.
        of: Option<Target>,
        /// The message.
        which: Which,
    },
}

/// Which message is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Which {
    /// The one with this id.
    Id(Id),
    /// One's own last.
    OwnLast,
    /// The last of this user.
    LastOf(User),
}

/// Where something was said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// In a room.
    Room(Room),
    /// In the private conversation with this user.
    User(User),
}

/// How far a client has read its private conversations: the last message of each one that it names.
pub type Read = Vec<(User, Id)>;

/// A request to join a room. The first one of a connection also gives its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Join {
    /// The room.
    pub room: Room,
    /// The name, if the connection has none yet.
    pub user: Option<User>,
    /// The user's address, for clients that show a picture.
    pub email: Option<Email>,
    /// The session key, which takes the name over from an older connection.
    pub session: Option<String>,
    /// Which older messages to send first.
    pub past: Option<Past>,
    /// Which private messages to send first: all that came after these.
    pub private: Option<Read>,
}

/// A frame, parsed as far as possible.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParsedFrame {
    /// The dialect of this frame, which the connection has from now on.
    pub dialect: Dialect,
    /// The client's reference for its message. The answer to the message repeats it.
    pub reference: Option<String>,
    /// The request, or what is wrong with it.
    pub request: Result<Request, Refusal>,
}

/// A message from the server to one client.
#[derive(Clone, Debug)]
pub enum Reply<'a> {
    /// The client has this name now.
    Named {
        /// The name.
        user: &'a User,
        /// The session key, which can take the name over later.
        session: &'a str,
    },
    /// The client is in this room now.
    Joined {
        /// The client's name.
        user: &'a User,
        /// The room.
        room: &'a Room,
        /// The users in the room, and its last message before the join.
        roster: &'a Roster,
        /// Whether the log still has all messages that were asked for.
        complete: bool,
    },
    /// The client, who has no name, hears this room now.
    Follows {
        /// The room.
        room: &'a Room,
        /// Its last message before that.
        last: Option<Id>,
        /// Whether the log still has all messages that were asked for.
        complete: bool,
        /// The message after which the client hears everything.
        after: Id,
    },
    /// What the URL asks for is refused, and why: the name is taken, or the bus can't be reached.
    StartFailed(&'a Refusal),
    /// The users in the room.
    Who(&'a Room, &'a Roster),
    /// Messages of a room or a private conversation, in order.
    History(&'a Target, &'a [Event]),
    /// The log no longer has all messages of the private conversation with this user that were asked for.
    Incomplete(&'a User),
    /// Who can't enter a room.
    Banned(&'a Room, &'a [Ban]),
    /// A moderator has removed the client from the room.
    Removed(&'a Room, &'a Measure),
    /// Whether messages are delivered now, or wait for Redis.
    Status(bool),
    /// The list of commands.
    Help,
    /// The message with this reference is accepted and has this id.
    Accepted(&'a str, Id),
    /// The request is refused, with the reason and the reference of the message.
    Refused(&'a Refusal, Option<&'a str>),
}

/// The users in a room, on all instances.
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
    /// Parses a frame.
    pub fn parse(self, frame: &str) -> ParsedFrame {
        let (dialect, reference, request) = match self {
            Dialect::Plain => (self, None, plain::parse(frame)),
            Dialect::Events => (
                self,
                None,
                Err(Refusal::Forbidden("you can only listen here")),
            ),
            Dialect::Simple | Dialect::Typed => match json::read(frame) {
                (Ok(object), reference) if object.kind.is_none() && self == Dialect::Simple => {
                    (self, reference, simple::request(object))
                }
                (Ok(object), reference) => (Dialect::Typed, reference, typed::request(object)),
                (Err(refusal), reference) => (self, reference, Err(refusal)),
            },
        };
        ParsedFrame {
            dialect,
            reference,
            request,
        }
    }

    /// Writes an event for the members of its room; `false` if the dialect has no words for it.
    pub fn render(self, event: &Event, out: &mut String) -> bool {
        match self {
            Dialect::Plain => plain::render(event, out),
            Dialect::Simple => simple::render(event, out),
            Dialect::Typed => typed::render(event, out),
            Dialect::Events => events::render(event, out),
        }
    }

    /// Writes a reply; `false` if the dialect has no words for it.
    pub fn reply(self, reply: &Reply<'_>, out: &mut String) -> bool {
        match self {
            Dialect::Plain => plain::reply(reply, out),
            Dialect::Simple => simple::reply(reply, out),
            Dialect::Typed => typed::reply(reply, out),
            Dialect::Events => events::reply(reply, out),
        }
    }

    /// Whether the connection that caused an event gets it, too.
    pub fn echoes(self, event: &Event) -> bool {
        match self {
            Dialect::Plain => false,
            Dialect::Simple => event.is_speech() && !event.room.is_conversation(),
            Dialect::Typed | Dialect::Events => event.is_speech(),
        }
    }
}
