//! The records of a journal: a line of JSON each, with its checksum at the end.
//!
//! The checksum is the CRC-32 (IEEE 802.3) of everything before it. A line with another one, or
//! without one, is damaged. Only the first line of a file has none: it names the format.

use std::borrow::Cow;
use std::fmt::Display;
use std::io::Write;

use serde::Deserialize;

use crate::bus::local::log::Party;
use crate::bus::local::references::Reference;
use crate::chat::address::Address;
use crate::chat::event::{Event, EventKind, Text};
use crate::chat::id::Id;
use crate::chat::moderation::{Action, Measure};
use crate::chat::name::{Email, Room, SessionKeyHash, User};

/// The first line of a file, without its end.
pub const HEADER: &str = "{\"natterjack\":\"journal\",\"version\":1}";
/// The newest format that this program can read.
const VERSION: u64 = 1;
/// The checksum and the end of a line: `,"crc":"01234567"}`.
const CHECKSUM_LEN: usize = 18;

/// How each line begins but the first one.
pub const START: &[u8] = b"{\"kind\":\"";

/// What a line says.
#[derive(Clone, Debug)]
pub enum Record {
    /// A message that has an id, and its reference if its client gave it one; or that one was taken back.
    Message(Event, Option<Reference>),
    /// What a moderator did in a room, and until when it holds, in milliseconds since 1970.
    Measure(Room, Measure, Option<u64>),
    /// From where a banned user of a room comes.
    Address(Room, User, Address),
    /// A reference that is still known, of a message whose record does not have it.
    Reference(Reference, Known),
    /// The key with which references are hashed.
    Key(u128),
    /// Everything that is kept follows: what earlier files say does not count any more.
    All,
    /// An epoch of the room went up to this id, which is not the id of a message that is kept.
    End(Room, Id),
    /// Each room begins this epoch.
    Epoch(u64),
    /// A user of a private conversation that has a message already.
    Party(Room, Party),
    /// Who holds a name, and since when the holder is away, in milliseconds since 1970, if that is so.
    Name(User, SessionKeyHash, Option<u64>),
    /// A name that nobody holds any more.
    Free(User),
    /// The server stopped in good order: everything before this line is all there was.
    Stopped,
}

/// What is known of a message with a reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    /// Its id.
    pub id: Id,
    /// When it was accepted, in milliseconds since 1970.
    pub at: u64,
}

impl Record {
    /// Appends the record as a line.
    pub fn write(&self, out: &mut Vec<u8>) {
        let start = out.len();
        match self {
            Record::Message(event, reference) => {
                let kind = match &event.kind {
                    EventKind::Said { id: Some(_), .. } => "message",
                    EventKind::Deleted { .. } => "deleted",
                    _ => return,
                };
                begin(out, kind);
                text(out, "room", event.room.as_str());
                if let Some(id) = event.id() {
                    plain(out, "id", id);
                }
                number(out, "at", event.said_at());
                if let Some(user) = &event.user {
                    text(out, "user", user.as_str());
                }
                match &event.kind {
                    EventKind::Said {
                        text: said,
                        email,
                        to,
                        author,
                        ..
                    } => {
                        if let Some(email) = email {
                            text(out, "email", email.as_str());
                        }
                        if let Some(to) = to {
                            text(out, "to", to.as_str());
                        }
                        if let Some(author) = author {
                            plain(out, "author", author);
                        }
                        text(out, "text", said.as_str());
                    }
                    EventKind::Deleted { by, .. } => text(out, "by", by.as_str()),
                    _ => {}
                }
                if let Some(reference) = reference {
                    write_reference(out, *reference);
                }
            }
            Record::Measure(room, measure, until) => {
                begin(out, "moderation");
                text(out, "room", room.as_str());
                plain(out, "action", measure.action.name());
                text(out, "user", measure.user.as_str());
                text(out, "by", measure.by.as_str());
                if let (Some(seconds), Some(until)) = (measure.seconds, until) {
                    number(out, "seconds", seconds);
                    number(out, "until", *until);
                }
                text(out, "reason", &measure.reason);
            }
            Record::Address(room, user, address) => {
                begin(out, "address");
                text(out, "room", room.as_str());
                text(out, "user", user.as_str());
                plain(out, "address", address);
            }
            Record::Reference(reference, Known { id, at }) => {
                begin(out, "ref");
                write_reference(out, *reference);
                plain(out, "id", id);
                number(out, "at", *at);
            }
            Record::Key(key) => {
                begin(out, "key");
                plain(out, "key", format_args!("{key:032x}"));
            }
            Record::All => begin(out, "all"),
            Record::End(room, id) => {
                begin(out, "end");
                text(out, "room", room.as_str());
                plain(out, "id", id);
            }
            Record::Epoch(epoch) => {
                begin(out, "epoch");
                plain(out, "id", Id::before_all(*epoch));
            }
            Record::Party(room, party) => {
                begin(out, "party");
                text(out, "room", room.as_str());
                plain(out, "id", party.begun);
                text(out, "user", party.user.as_str());
                plain(out, "key", party.holder);
                if let Some(id) = party.waiting_after {
                    plain(out, "waiting", id);
                }
            }
            Record::Name(user, key_hash, since) => {
                begin(out, "name");
                if let Some(since) = since {
                    number(out, "at", *since);
                }
                text(out, "user", user.as_str());
                plain(out, "key", key_hash);
            }
            Record::Free(user) => {
                begin(out, "free");
                text(out, "user", user.as_str());
            }
            Record::Stopped => begin(out, "stopped"),
        }
        let checksum = crc32fast::hash(&out[start..]);
        plain(out, "crc", format_args!("{checksum:08x}"));
        out.extend_from_slice(b"}\n");
    }

    /// Reads a line without its end; `None` if it is damaged.
    pub fn read(line: &[u8]) -> Option<Record> {
        let (rest, checksum) = line.split_at_checked(line.len().checked_sub(CHECKSUM_LEN)?)?;
        let checksum = checksum
            .strip_prefix(b",\"crc\":\"")?
            .strip_suffix(b"\"}")?;
        let checksum = u32::from_str_radix(std::str::from_utf8(checksum).ok()?, 16).ok()?;
        if crc32fast::hash(rest) != checksum {
            return None;
        }
        let line: Line<'_> = serde_json::from_slice(line).ok()?;
        Some(match &*line.kind {
            "message" => {
                let reference = match &line.reference {
                    Some(reference) => Some(read_reference(reference)?),
                    None => None,
                };
                Record::Message(line.message()?, reference)
            }
            "deleted" => Record::Message(line.deleted()?, None),
            "moderation" => {
                let measure = Measure {
                    action: Action::named(line.action?)?,
                    user: line.user()?,
                    by: User::new(line.by.as_ref()?).ok()?,
                    seconds: line.seconds,
                    reason: Measure::reason(line.reason.as_deref().unwrap_or_default()),
                };
                Record::Measure(line.room()?, measure, line.until)
            }
            "address" => {
                let address = line.address?.parse().ok()?;
                Record::Address(line.room()?, line.user()?, address)
            }
            "ref" => {
                let id = line.id?.parse().ok()?;
                let reference = read_reference(line.reference?)?;
                Record::Reference(reference, Known { id, at: line.at? })
            }
            "key" => Record::Key(u128::from_str_radix(line.key?, 16).ok()?),
            "all" => Record::All,
            "end" => Record::End(line.room()?, line.id?.parse().ok()?),
            "epoch" => Record::Epoch(line.id?.parse::<Id>().ok()?.epoch),
            "party" => Record::Party(
                line.room()?,
                Party {
                    user: line.user()?,
                    holder: SessionKeyHash::read(line.key?)?,
                    begun: line.id?.parse().ok()?,
                    waiting_after: line.waiting.map(str::parse).transpose().ok()?,
                },
            ),
            "name" => Record::Name(line.user()?, SessionKeyHash::read(line.key?)?, line.at),
            "free" => Record::Free(line.user()?),
            "stopped" => Record::Stopped,
            _ => return None,
        })
    }
}

/// Whether the first line of a file names a format that this program can read.
///
/// # Errors
/// The version, if it is a newer one.
pub fn read_header(line: &[u8]) -> Result<bool, u64> {
    #[derive(Deserialize)]
    struct Header<'a> {
        natterjack: &'a str,
        version: u64,
    }
    match serde_json::from_slice(line) {
        Ok(Header {
            natterjack: "journal",
            version,
        }) if version > VERSION => Err(version),
        Ok(Header { natterjack, .. }) => Ok(natterjack == "journal"),
        Err(_) => Ok(false),
    }
}

fn begin(out: &mut Vec<u8>, kind: &str) {
    out.extend_from_slice(START);
    out.extend_from_slice(kind.as_bytes());
    out.push(b'"');
}

/// Writing to memory never fails, here and below.
fn text(out: &mut Vec<u8>, name: &str, value: &str) {
    let _ = write!(out, ",\"{name}\":");
    let _ = serde_json::to_writer(out, value);
}

/// A string that has nothing to escape.
fn plain(out: &mut Vec<u8>, name: &str, value: impl Display) {
    let _ = write!(out, ",\"{name}\":\"{value}\"");
}

fn number(out: &mut Vec<u8>, name: &str, value: u64) {
    let _ = write!(out, ",\"{name}\":{value}");
}

/// Everything that a line may hold; which of it is there depends on `kind`.
#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    room: Option<Cow<'a, str>>,
    id: Option<&'a str>,
    at: Option<u64>,
    #[serde(borrow)]
    user: Option<Cow<'a, str>>,
    #[serde(borrow)]
    email: Option<Cow<'a, str>>,
    #[serde(borrow)]
    to: Option<Cow<'a, str>>,
    #[serde(borrow)]
    text: Option<Cow<'a, str>>,
    #[serde(rename = "ref")]
    reference: Option<&'a str>,
    key: Option<&'a str>,
    waiting: Option<&'a str>,
    author: Option<&'a str>,
    #[serde(borrow)]
    by: Option<Cow<'a, str>>,
    action: Option<&'a str>,
    seconds: Option<u64>,
    until: Option<u64>,
    #[serde(borrow)]
    reason: Option<Cow<'a, str>>,
    address: Option<&'a str>,
}

impl Line<'_> {
    fn room(&self) -> Option<Room> {
        Room::read(self.room.as_ref()?).ok()
    }

    fn user(&self) -> Option<User> {
        User::new(self.user.as_ref()?).ok()
    }

    fn deleted(&self) -> Option<Event> {
        Some(Event {
            room: self.room()?,
            user: Some(self.user()?),
            origin: None,
            kind: EventKind::Deleted {
                id: self.id?.parse().ok()?,
                at: self.at?,
                by: User::new(self.by.as_ref()?).ok()?,
                start: None,
            },
        })
    }

    fn message(&self) -> Option<Event> {
        let user = |name: &Option<Cow<'_, str>>| name.as_deref().map(User::new).transpose();
        Some(Event {
            room: self.room()?,
            user: user(&self.user).ok()?,
            origin: None,
            kind: EventKind::Said {
                text: Text::new(self.text.as_ref()?).ok()?,
                email: Email::given(self.email.as_deref()).ok()?,
                id: Some(self.id?.parse().ok()?),
                at: self.at?,
                to: user(&self.to).ok()?,
                holder: None,
                author: self.author.and_then(|author| author.parse().ok()),
            },
        })
    }
}

fn write_reference(out: &mut Vec<u8>, Reference { client, name }: Reference) {
    plain(out, "ref", format_args!("{client:016x}{name:016x}"));
}

fn read_reference(text: &str) -> Option<Reference> {
    let (client, name) = text.split_at_checked(16)?;
    let hash = |text| u64::from_str_radix(text, 16).ok();
    Some(Reference {
        client: hash(client)?,
        name: hash(name)?,
    })
}

#[cfg(test)]
mod tests;
