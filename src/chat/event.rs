//! Texts, events of a room, and refusals.
//!
//! Values of these types are valid: the constructors check them, so nobody else has to. A mistake
//! of a peer is a [`Refusal`]: text for that peer only.

use std::fmt;
use std::sync::Arc;

use super::id::{Id, Origin};
use super::moderation::{Author, ENTRIES_MOST, Measure};
use super::name::{Email, LongEmail, Room, User};
use super::replay::Epochs;
use super::sanitize::{self, is_unsafe_on_terminal};

/// A text has at most this many characters. Longer ones from clients are refused, not cut.
pub const TEXT_CHARS: usize = 4096;

/// The text of a message: neither empty nor too long, and safe on a terminal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text(Arc<str>);

impl Text {
    /// Checks a text, and replaces characters that are unsafe on a terminal by U+FFFD: control
    /// characters except tabs and line breaks, characters that change the writing direction, and
    /// unusual line breaks.
    ///
    /// # Errors
    /// [`Refusal::Empty`] for nothing but white space, [`Refusal::TooLong`] above [`TEXT_CHARS`].
    pub fn new(text: &str) -> Result<Text, Refusal> {
        if text.trim().is_empty() {
            return Err(Refusal::Empty);
        }
        // There are never more characters than bytes, and the number of bytes is known.
        if text.len() > TEXT_CHARS && text.chars().count() > TEXT_CHARS {
            return Err(Refusal::TooLong);
        }
        Ok(Text(sanitize::text(text)))
    }

    /// Cuts `text` to the longest valid text; `None` if it is only white space. For messages that
    /// other programs publish on our channels: nobody would see a refusal.
    pub fn cut(text: &str) -> Option<Text> {
        let end = text
            .char_indices()
            .nth(TEXT_CHARS)
            .map_or(text.len(), |(at, _)| at);
        Text::new(&text[..end]).ok()
    }

    /// The text itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// An event that all members of a room get.
#[derive(Clone, Debug)]
pub struct Event {
    /// Where it happened.
    pub room: Room,
    /// The user it is about; `None` for a peer without a name, whose join is never announced.
    pub user: Option<User>,
    /// The connection that caused it; `None` if another program published it on our channels.
    pub origin: Option<Origin>,
    /// What happened.
    pub kind: EventKind,
}

impl Event {
    /// Whether it is a message.
    pub fn is_speech(&self) -> bool {
        matches!(self.kind, EventKind::Said { .. })
    }

    /// The id of the message, if it is one that has an id, or in whose place this is.
    pub fn id(&self) -> Option<Id> {
        match self.kind {
            EventKind::Said { id, .. } => id,
            EventKind::Deleted { id, .. } => Some(id),
            _ => None,
        }
    }

    /// The time of that message; 0 if there is none.
    pub fn said_at(&self) -> u64 {
        match self.kind {
            EventKind::Said { at, .. } | EventKind::Deleted { at, .. } => at,
            _ => 0,
        }
    }

    /// About how many bytes it takes when rendered.
    pub fn approx_size(&self) -> usize {
        let text = match &self.kind {
            EventKind::Said { text, .. } => text.as_str().len(),
            _ => 0,
        };
        let name = self.user.as_ref().map_or(0, |user| user.as_str().len());
        name + text + 64
    }
}

/// Cuts events into pieces that take about so many bytes.
pub fn pieces(events: &[Event], bytes: usize) -> impl Iterator<Item = &[Event]> {
    let mut size = 0;
    events.chunk_by(move |event, _| {
        size += event.approx_size();
        let goes_on = size < bytes;
        size = if goes_on { size } else { 0 };
        goes_on
    })
}

/// The newest events that take at most about so many bytes; at least one.
pub fn newest(events: &[Event], bytes: usize) -> &[Event] {
    let mut size = 0;
    let fits = |event: &&Event| {
        size += event.approx_size();
        size <= bytes
    };
    let count = events.iter().rev().take_while(fits).count();
    &events[events.len() - count.max(1).min(events.len())..]
}

/// What happened in a room.
#[derive(Clone, Debug)]
pub enum EventKind {
    /// The user sent a message.
    Said {
        /// The text.
        text: Text,
        /// The author's address, for clients that show a picture.
        email: Option<Email>,
        /// The id of the message; `None` if another program published it on our channels.
        id: Option<Id>,
        /// When, in milliseconds since 1970.
        at: u64,
        /// The recipient, in a private conversation, as the sender writes the name.
        to: Option<User>,
        /// The connection that had the recipient's name, where neither a session key nor a token kept it.
        holder: Option<Origin>,
        /// Whose it is, where that is known.
        author: Option<Author>,
    },
    /// The user joined.
    Joined {
        /// Whether the members are told. The event is published in any case: it makes its peer a
        /// member.
        announced: bool,
        /// The room's log before the join.
        log: Epochs,
    },
    /// The user left, or its instance died.
    Left,
    /// Messages before this one are lost. Who is in the room, and its last message.
    Lost {
        /// How many are in the room.
        count: usize,
        /// Their names, unless they are too many.
        users: Vec<String>,
        /// The room's last message.
        last: Option<Id>,
    },
    /// A message of the user was taken back. In a log this is in its place.
    Deleted {
        /// The message's id.
        id: Id,
        /// When it was said, in milliseconds since 1970; 0 where that is not known.
        at: u64,
        /// Who took it back.
        by: User,
        /// How its text began, for those who are told of it when it happens.
        start: Option<Box<str>>,
    },
    /// A moderator has done something to the user.
    Moderated(Arc<Measure>),
}

/// Why a request of a peer is refused. The connection stays open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The text is only white space.
    Empty,
    /// The text is longer than [`TEXT_CHARS`].
    TooLong,
    /// The e-mail address is too long.
    LongEmail,
    /// More messages per second than the limit, which it contains.
    RateLimited(u32),
    /// Too many new rooms.
    NewRooms,
    /// No user with this name is connected.
    NoSuchUser(String),
    /// A command without its arguments; contains its usage.
    Usage(&'static str),
    /// The bus is unreachable, and its queue is full.
    Unavailable,
    /// Not the expected JSON, and why.
    BadJson(String),
    /// An unknown `type`.
    UnknownType(String),
    /// A user name that breaks the rules, and how.
    BadName(String),
    /// Another client has the name.
    NameTaken(String),
    /// A room name that breaks the rules or is missing, and why.
    BadRoom(String),
    /// The connection is not in the room.
    NotInRoom(Room),
    /// The connection may not do this, and why.
    Forbidden(&'static str),
    /// There is no such message.
    NoSuchMessage,
    /// The message is somebody else's.
    NotOwn,
    /// The message is older than one's own may be.
    TooOld,
    /// The user is a moderator.
    Moderator,
    /// Nobody is banned under this name.
    NotBanned(String),
    /// As many people are banned or muted in the room as can be.
    TooManyBans,
    /// The user may not speak in the room.
    Muted(Room),
    /// The user may not enter the room, for so many seconds or for ever, and why.
    Banned(Box<(Room, Option<u64>, String)>),
}

impl Refusal {
    /// All codes.
    pub const CODES: [&str; 14] = [
        "bad_json",
        "unknown_type",
        "bad_name",
        "name_taken",
        "bad_room",
        "not_in_room",
        "too_long",
        "empty",
        "rate_limited",
        "no_such_user",
        "unavailable",
        "forbidden",
        "muted",
        "banned",
    ];

    /// For a user who has just been removed from a room.
    pub fn removed(room: &Room, measure: &Measure) -> Refusal {
        let reason = measure.reason.clone();
        Refusal::Banned(Box::new((room.clone(), measure.seconds, reason)))
    }

    /// Its code in the JSON dialects.
    pub fn code(&self) -> &'static str {
        match self {
            Refusal::Empty => "empty",
            Refusal::TooLong | Refusal::LongEmail => "too_long",
            Refusal::RateLimited(_) | Refusal::NewRooms => "rate_limited",
            Refusal::NoSuchUser(_) | Refusal::NotBanned(_) => "no_such_user",
            Refusal::Usage(_) | Refusal::BadJson(_) => "bad_json",
            Refusal::Unavailable => "unavailable",
            Refusal::UnknownType(_) => "unknown_type",
            Refusal::BadName(_) => "bad_name",
            Refusal::NameTaken(_) => "name_taken",
            Refusal::BadRoom(_) => "bad_room",
            Refusal::NotInRoom(_) => "not_in_room",
            Refusal::Forbidden(_)
            | Refusal::NoSuchMessage
            | Refusal::NotOwn
            | Refusal::TooOld
            | Refusal::Moderator
            | Refusal::TooManyBans => "forbidden",
            Refusal::Muted(_) => "muted",
            Refusal::Banned(_) => "banned",
        }
    }
}

impl From<LongEmail> for Refusal {
    fn from(_: LongEmail) -> Refusal {
        Refusal::LongEmail
    }
}

impl fmt::Display for Refusal {
    /// Writes one line that is safe on a terminal, also where it quotes a client.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Refusal::Empty => "the message is empty".into(),
            Refusal::TooLong => format!("the message is longer than {TEXT_CHARS} characters"),
            Refusal::LongEmail => "the e-mail address is longer than 254 bytes".into(),
            Refusal::RateLimited(rate) => {
                format!("too many messages, at most {rate} a second: this one was not sent")
            }
            Refusal::NewRooms => {
                "too many new rooms and conversations: this message was not sent, please try again later".into()
            }
            Refusal::NoSuchUser(user) => format!("no such user: {user}"),
            Refusal::Usage(usage) => format!("usage: {usage}"),
            Refusal::Unavailable => "this can't be done right now, please try again later".into(),
            Refusal::BadJson(why) => format!("bad JSON: {why}"),
            Refusal::UnknownType(kind) => format!("unknown type: {kind}"),
            Refusal::NameTaken(user) => {
                format!("username {user} is already taken. please retry with a different name")
            }
            Refusal::NotInRoom(room) => format!("you are not in {room}"),
            Refusal::BadName(why) | Refusal::BadRoom(why) => why.clone(),
            Refusal::Forbidden(why) => why.to_string(),
            Refusal::NotBanned(user) => format!("{user} is not banned"),
            Refusal::TooManyBans => format!(
                "{ENTRIES_MOST} people are banned or muted in this room, and no more can be: /unban some"
            ),
            Refusal::NotOwn => "this message is somebody else's".into(),
            Refusal::TooOld => "this message is older than an hour".into(),
            Refusal::Moderator => "a moderator can't be removed, banned or muted".into(),
            Refusal::NoSuchMessage => "there is no such message".into(),
            Refusal::Muted(room) => format!("you are muted in {room}: this was not sent"),
            Refusal::Banned(ban) => {
                let (room, seconds, reason) = &**ban;
                let time = seconds.map_or(String::new(), |time| format!(" for {time} s"));
                let colon = if reason.is_empty() { "" } else { ": " };
                format!("you are banned from {room}{time}{colon}{reason}")
            }
        };
        f.write_str(&text.replace(is_unsafe_on_terminal, "\u{fffd}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_measured_in_characters_and_made_harmless() {
        assert_eq!(Text::new(" \t\r\n"), Err(Refusal::Empty));
        assert!(Text::new(&"日".repeat(4096)).is_ok());
        assert_eq!(Text::new(&"日".repeat(4097)), Err(Refusal::TooLong));
        for (raw, clean) in [
            ("a\tb\nc\r\nd", "a\tb\nc\r\nd"),
            (
                "\u{1b}[31mred\u{0}\u{9b}",
                "\u{fffd}[31mred\u{fffd}\u{fffd}",
            ),
            ("hello\rroot: hi", "hello\u{fffd}root: hi"),
        ] {
            assert_eq!(
                Text::new(raw).map(|text| text.as_str().to_string()),
                Ok(clean.into())
            );
        }
    }

    #[test]
    fn no_text_turns_a_line_around_or_passes_for_two() {
        for c in [
            '\u{202d}', '\u{202e}', '\u{2028}', '\u{2029}', '\u{85}', '\u{b}', '\u{c}', '\u{7f}',
        ] {
            let text = Text::new(&format!("a{c}b")).unwrap();
            assert_eq!(text.as_str(), "a\u{fffd}b", "{c:?}");
        }
    }

    #[test]
    fn what_an_error_quotes_is_one_harmless_line() {
        let bad = "\u{1b}]0;x\u{7}\nerror: \t\u{202e}";
        let clean = "\u{fffd}]0;x\u{fffd}\u{fffd}error: \u{fffd}\u{fffd}";
        for refusal in [
            Refusal::NoSuchUser(bad.into()),
            Refusal::BadJson(bad.into()),
            Refusal::UnknownType(bad.into()),
            Refusal::NameTaken(bad.into()),
            Refusal::BadRoom(bad.into()),
        ] {
            let said = refusal.to_string();
            assert!(said.contains(clean), "{said:?}");
        }
    }

    #[test]
    fn foreign_texts_are_cut_to_size() {
        assert_eq!(Text::cut("  "), None);
        let cut = Text::cut(&"日".repeat(5000)).map(|text| text.as_str().chars().count());
        assert_eq!(cut, Some(4096));
    }
}
