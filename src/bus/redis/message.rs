//! The messages between instances on their channels, and the one place that spells them out for Rust.
//! They are JSON, so that `redis-cli` shows what is going on, marked by a first key that nothing else
//! has. What other programs publish on the plain channels is text.

use std::borrow::Cow;
use std::sync::Arc;

use serde::Deserialize;

use crate::bus::NewMessage;
use crate::chat::event::{Event, EventKind, Text};
use crate::chat::id::{Id, Origin};
use crate::chat::moderation::{self, Action, Measure};
use crate::chat::name::{Email, Room, User};
use crate::chat::replay::Epochs;

/// How every envelope begins.
const MARK: &str = "{\"natterjack\":";

/// How an envelope ends if a line for other programs follows it.
const PLAIN: &[u8] = b",\"plain\":true}";

/// Everything an envelope may hold; which of it is there depends on `kind`.
#[derive(Debug, Deserialize)]
struct Envelope<'a> {
    #[serde(rename = "natterjack", borrow)]
    kind: Cow<'a, str>,
    id: Option<String>,
    at: Option<u64>,
    from: Option<String>,
    user: Option<String>,
    last: Option<String>,
    ends: Option<String>,
    to: Option<String>,
    holder: Option<String>,
    room: Option<String>,
    email: Option<String>,
    text: Option<String>,
    author: Option<String>,
    by: Option<String>,
    start: Option<String>,
    action: Option<String>,
    seconds: Option<u64>,
    reason: Option<String>,
    revision: Option<u64>,
    before: Option<u64>,
    #[serde(default)]
    forwarded: bool,
}

/// How what moderators do in a room, and what is taken back there, follows one another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Revision {
    /// Of this, or of the last that was done before it.
    pub at: u64,
    /// That of the one before.
    pub before: Option<u64>,
}

/// What an instance hears on its own channel.
#[derive(Debug, PartialEq, Eq)]
pub enum InstanceMessage {
    /// One of its users has a private conversation.
    Invited {
        /// To which.
        invitation: Invitation,
        /// When this was written, in milliseconds of Redis' time.
        at: u64,
        /// Another instance had it, and not the user.
        forwarded: bool,
    },
    /// A name of its now belongs to another connection.
    Replaced(User, Origin),
    /// It was taken for dead, and what it had is being given up.
    Expired,
    /// Its own sign of life, come all the way round.
    Canary,
}

/// Tells an instance of a private conversation of one of its users.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invitation {
    /// The user.
    pub to: User,
    /// The conversation.
    pub room: Room,
    /// Its last message, as far as the other instance has heard it.
    pub last: Id,
}

/// A message, as the publishing script completes it with kind, id and time in front.
pub fn said(message: &NewMessage) -> String {
    let from = message.origin.to_string();
    let email = message
        .email
        .as_ref()
        .map(|email| ("email", email.as_str()));
    let to = message.to.as_ref().map(|to| ("to", to.as_str()));
    let holder = message.holder.map(|holder| holder.to_string());
    let holder = holder.as_deref().map(|holder| ("holder", holder));
    let people = [("from", &*from), ("user", message.user.as_str())].into_iter();
    let author = message.author().to_string();
    let (author, text) = (("author", &*author), ("text", message.text.as_str()));
    tail(
        people
            .chain(email)
            .chain(to)
            .chain(holder)
            .chain([author, text]),
    )
}

/// An invitation, as its script completes it with its time in front.
pub fn invitation(invitation: &Invitation, forwarded: bool) -> String {
    let Invitation { to, room, last } = invitation;
    let last = last.to_string();
    let mut json = tail([
        ("to", to.as_str()),
        ("room", room.as_str()),
        ("last", &last),
    ]);
    let more = format!(",\"forwarded\":{forwarded}");
    json.insert_str(json.len() - 1, &more);
    json
}

/// Somebody joined a room, perhaps without a name, as the script completes it.
pub fn joined(user: Option<&User>, origin: Origin) -> String {
    let from = origin.to_string();
    let user = user.map(|user| ("user", user.as_str()));
    tail([("from", from.as_str())].into_iter().chain(user))
}

/// Somebody left a room.
pub fn left(user: &User, origin: Origin) -> String {
    format!("{MARK}\"left\"{}", joined(Some(user), origin))
}

/// A name was taken over, as the script completes it with its old connection in front.
pub fn replaced(user: &User) -> String {
    tail([("user", user.as_str())])
}

/// A sign of life, to be heard by its sender.
pub fn canary() -> String {
    format!("{MARK}\"canary\"}}")
}

/// An instance was taken for dead.
pub fn expired() -> String {
    format!("{MARK}\"expired\"}}")
}

/// The end of an envelope: these texts, in this order.
fn tail<'a>(texts: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let mut json = String::with_capacity(256);
    for (name, text) in texts {
        let text = serde_json::to_string(text).expect("a text is always JSON");
        json.extend([",\"", name, "\":", &text]);
    }
    json + "}"
}

/// Whether the line for other programs follows this envelope, on the room's plain channel.
pub fn has_line(payload: &[u8]) -> bool {
    payload.ends_with(PLAIN)
}

/// Reads an envelope of a room, from its channel or its log. `None`: it makes no sense.
pub fn event(room: Room, payload: &[u8]) -> Option<Event> {
    let envelope = parse(payload)?;
    let id = |id: Option<String>| id?.parse().ok();
    let kind = match &*envelope.kind {
        "said" => EventKind::Said {
            text: Text::cut(&envelope.text?)?,
            email: Email::given(envelope.email.as_deref()).ok()?,
            id: Some(id(envelope.id)?),
            at: envelope.at?,
            to: match room.is_conversation() {
                true => Some(User::new(&envelope.to?).ok()?),
                false => None,
            },
            holder: envelope.holder.and_then(|holder| holder.parse().ok()),
            author: envelope.author.and_then(|author| author.parse().ok()),
        },
        "deleted" => EventKind::Deleted {
            id: id(envelope.id)?,
            at: envelope.at?,
            by: User::new(&envelope.by?).ok()?,
            start: (envelope.start).map(|start| moderation::start(&start).into()),
        },
        "moderation" => {
            let user = User::new(envelope.user.as_ref()?).ok()?;
            EventKind::Moderated(Arc::new(Measure {
                action: Action::named(&envelope.action?)?,
                user,
                by: User::new(&envelope.by?).ok()?,
                seconds: envelope.seconds,
                reason: Measure::reason(&envelope.reason.unwrap_or_default()),
            }))
        }
        kind @ ("joined" | "joined quietly") => EventKind::Joined {
            announced: kind == "joined",
            log: Epochs {
                ends: ends(envelope.ends.as_deref().unwrap_or_default())?,
                last: id(envelope.last).unwrap_or(Id::START),
            },
        },
        "left" => EventKind::Left,
        _ => return None,
    };
    let user = envelope
        .user
        .map(|name| User::new(&name))
        .transpose()
        .ok()?;
    let anonymous = matches!(kind, EventKind::Joined { announced, .. } if !announced);
    if user.is_none() && !anonymous {
        return None;
    }
    let origin = match kind {
        // Everybody is told, those who have done it, too.
        EventKind::Deleted { .. } | EventKind::Moderated(_) => None,
        _ => Some(envelope.from?.parse().ok()?),
    };
    Some(Event {
        room,
        user,
        origin,
        kind,
    })
}

/// Reads the revision of an envelope of a room, if it has one.
pub fn revision(payload: &[u8]) -> Option<Revision> {
    let Envelope {
        revision, before, ..
    } = parse(payload)?;
    let at = revision?;
    Some(Revision { at, before })
}

/// What a room's hash says of a ban, a kick or a mute.
#[derive(Debug, Deserialize)]
pub struct Entry {
    action: String,
    user: String,
    by: String,
    seconds: Option<u64>,
    /// Until when, in milliseconds of Redis' time; none: for ever.
    pub until: Option<u64>,
    reason: String,
    /// When it was done.
    #[serde(default)]
    pub revision: u64,
}

impl Entry {
    /// Reads one.
    pub fn read(json: &str) -> Option<Entry> {
        serde_json::from_str(json).ok()
    }

    /// What was done.
    pub fn measure(&self) -> Option<Measure> {
        Some(Measure {
            action: Action::named(&self.action)?,
            user: User::new(&self.user).ok()?,
            by: User::new(&self.by).ok()?,
            seconds: self.seconds,
            reason: Measure::reason(&self.reason),
        })
    }

    /// How many milliseconds are left. `now`: in milliseconds of Redis' time.
    pub fn left(&self, now: u64) -> Option<u64> {
        Some(self.until?.saturating_sub(now))
    }
}

/// Reads the last ids of a log's earlier epochs, as scripts write them.
pub fn ends(text: &str) -> Option<Vec<Id>> {
    text.split(' ')
        .filter(|word| !word.is_empty())
        .map(|word| word.parse().ok())
        .collect()
}

/// Reads what came on this instance's own channel.
pub fn instance_message(payload: &[u8]) -> Option<InstanceMessage> {
    let envelope = parse(payload)?;
    let user = envelope.user.and_then(|name| User::new(&name).ok());
    Some(match &*envelope.kind {
        "canary" => InstanceMessage::Canary,
        "expired" => InstanceMessage::Expired,
        "replaced" => InstanceMessage::Replaced(user?, envelope.from?.parse().ok()?),
        "conversation" => InstanceMessage::Invited {
            invitation: Invitation {
                to: User::new(&envelope.to?).ok()?,
                room: Room::read(&envelope.room?).ok()?,
                last: envelope.last?.parse().ok()?,
            },
            at: envelope.at?,
            forwarded: envelope.forwarded,
        },
        _ => return None,
    })
}

fn parse(payload: &[u8]) -> Option<Envelope<'_>> {
    if !payload.starts_with(MARK.as_bytes()) {
        return None;
    }
    serde_json::from_slice(payload).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::id::Instance;

    fn user(name: &str) -> User {
        User::new(name).unwrap()
    }

    #[test]
    fn an_instance_understands_another() {
        let origin = Origin {
            instance: Instance(5),
            peer: 9,
        };
        for said in ["joined", "joined quietly"] {
            let payload = format!(
                "{MARK}\"{said}\",\"last\":\"12-3\",\"ends\":\"7-5 9-0\"{}",
                joined(Some(&user("foo")), origin)
            );
            let event = event(Room::lobby(), payload.as_bytes()).unwrap();
            assert_eq!(event.user, Some(user("foo")));
            assert_eq!(event.origin, Some(origin));
            let EventKind::Joined { announced, log } = event.kind else {
                panic!("{:?}", event.kind)
            };
            assert_eq!(announced, said == "joined");
            let ends = vec![Id { epoch: 7, n: 5 }, Id { epoch: 9, n: 0 }];
            let last = Id { epoch: 12, n: 3 };
            assert_eq!(log, Epochs { ends, last });
        }
        let left = event(Room::lobby(), left(&user("foo"), origin).as_bytes()).unwrap();
        assert!(matches!(left.kind, EventKind::Left));
        assert_eq!(
            instance_message(canary().as_bytes()),
            Some(InstanceMessage::Canary)
        );
        let payload = format!(
            "{MARK}\"replaced\",\"from\":\"{origin}\"{}",
            replaced(&user("foo"))
        );
        let replaced = InstanceMessage::Replaced(user("foo"), origin);
        assert_eq!(instance_message(payload.as_bytes()), Some(replaced));
    }

    #[test]
    fn what_makes_no_sense_is_nothing() {
        for senseless in ["hello", "{\"natterjack\":\"said\"}"] {
            assert!(event(Room::lobby(), senseless.as_bytes()).is_none());
        }
        assert!(instance_message(b"hello").is_none());
    }
}
