//! What instances say to each other on the channels: JSON, so that `redis-cli` shows what is going
//! on, marked by a first key that nothing else has. Whatever does not carry it was published by
//! somebody else, and is delivered as plain words.

use std::borrow::Cow;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::chat::event::{Event, Origin, Text, What};
use crate::chat::name::{Room, User};

/// How every envelope begins.
const MARK: &str = "{\"natterjack\":";

/// Who a foreign message without a name is from.
const NOBODY: &str = "redis";

/// Everything an envelope may hold; which of it is there depends on `kind`.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Envelope<'a> {
    #[serde(rename = "natterjack", borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    id: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    at: Option<u64>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    from: Option<Cow<'a, str>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    user: Option<Cow<'a, str>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    to: Option<Cow<'a, str>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    text: Option<Cow<'a, str>>,
}

/// What an instance hears on its own channel.
#[derive(Debug, PartialEq, Eq)]
pub enum Note {
    /// A private message for one of its users.
    Private {
        /// Whom it is for.
        to: String,
        /// Who said it.
        from: User,
        /// What.
        text: Text,
    },
    /// Its own sign of life, come all the way round.
    Canary,
}

/// A message as the publishing script completes it: the script puts id and time in front.
pub fn said(user: &User, origin: Origin, text: &Text) -> String {
    let envelope = Envelope {
        from: Some(origin.to_string().into()),
        user: Some(user.as_str().into()),
        text: Some(text.as_str().into()),
        ..Envelope::default()
    };
    // Cuts off the empty mark; what is left is `,"from":…}`.
    json(&envelope)[MARK.len() + 2..].to_string()
}

/// Somebody joined a room; `aloud` if its people are told.
pub fn joined(user: &User, origin: Origin, aloud: bool) -> String {
    presence(
        if aloud { "joined" } else { "joined quietly" },
        user,
        origin,
    )
}

/// Somebody left a room.
pub fn left(user: &User, origin: Origin) -> String {
    presence("left", user, origin)
}

fn presence(kind: &str, user: &User, origin: Origin) -> String {
    json(&Envelope {
        kind: kind.into(),
        from: Some(origin.to_string().into()),
        user: Some(user.as_str().into()),
        ..Envelope::default()
    })
}

/// A private message, on its way to the instance of its recipient.
pub fn private(to: &str, from: &User, text: &Text) -> String {
    json(&Envelope {
        kind: "private".into(),
        to: Some(to.into()),
        user: Some(from.as_str().into()),
        text: Some(text.as_str().into()),
        ..Envelope::default()
    })
}

/// A sign of life, to be heard by its sender.
pub fn canary() -> String {
    json(&Envelope {
        kind: "canary".into(),
        ..Envelope::default()
    })
}

fn json(envelope: &Envelope<'_>) -> String {
    serde_json::to_string(envelope).expect("strings and numbers are always JSON")
}

/// Reads what came on a room's channel. `None`: nothing that anybody could be told.
pub fn event(room: Room, payload: &[u8]) -> Option<Event> {
    let Some(envelope) = parse(payload) else {
        return foreign(room, payload);
    };
    let what = match &*envelope.kind {
        "said" => What::Said {
            text: Text::cut(&envelope.text?)?,
            id: Some(envelope.id?.parse().ok()?),
            at: envelope.at?,
        },
        "joined" => What::Joined { aloud: true },
        "joined quietly" => What::Joined { aloud: false },
        "left" => What::Left,
        _ => return None,
    };
    let user = User::new(&envelope.user?).ok()?;
    let origin = Some(envelope.from?.parse().ok()?);
    Some(Event {
        room,
        user,
        origin,
        what,
    })
}

/// Reads what came on this instance's own channel.
pub fn note(payload: &[u8]) -> Option<Note> {
    let envelope = parse(payload)?;
    match &*envelope.kind {
        "canary" => Some(Note::Canary),
        "private" => Some(Note::Private {
            to: envelope.to?.into_owned(),
            from: User::new(&envelope.user?).ok()?,
            text: Text::cut(&envelope.text?)?,
        }),
        _ => None,
    }
}

fn parse(payload: &[u8]) -> Option<Envelope<'_>> {
    if !payload.starts_with(MARK.as_bytes()) {
        return None;
    }
    serde_json::from_slice(payload).ok()
}

/// What somebody else published: `user: text`, or text from nobody in particular.
fn foreign(room: Room, payload: &[u8]) -> Option<Event> {
    let payload = String::from_utf8_lossy(payload);
    let named = payload.split_once(':').and_then(|(name, text)| {
        // Neither `see http://…` nor JSON names a user.
        let named = !text.starts_with("//") && !name.starts_with(['{', '[']);
        let user = User::new(name).ok().filter(|_| named)?;
        Some((user, Text::cut(text.strip_prefix(' ').unwrap_or(text))?))
    });
    let (user, text) = match named {
        Some(named) => named,
        None => (User::new(NOBODY).ok()?, Text::cut(&payload)?),
    };
    let at = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_millis() as u64;
    Some(Event {
        room,
        user,
        origin: None,
        what: What::Said { text, id: None, at },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::event::{Id, Instance};

    fn user(name: &str) -> User {
        User::new(name).unwrap()
    }

    fn heard(payload: &str) -> Option<(String, String)> {
        let event = event(Room::lobby(), payload.as_bytes())?;
        let What::Said { text, id: None, .. } = &event.what else {
            panic!("{event:?}")
        };
        Some((event.user.to_string(), text.as_str().to_string()))
    }

    #[test]
    fn an_instance_understands_another() {
        let origin = Origin {
            instance: Instance(5),
            peer: 9,
        };
        let text = Text::new("say \"hi\"\n\u{1f438}").unwrap();
        let tail = said(&user("foo"), origin, &text);
        let message = format!("{MARK}\"said\",\"id\":\"12-3\",\"at\":45{tail}");
        let event1 = event(Room::lobby(), message.as_bytes()).unwrap();
        assert_eq!((event1.user, event1.origin), (user("foo"), Some(origin)));
        let What::Said { text: read, id, at } = event1.what else {
            panic!("{:?}", event1.what)
        };
        assert_eq!(
            (read, id, at),
            (text.clone(), Some(Id { epoch: 12, n: 3 }), 45)
        );

        let joined = event(Room::lobby(), joined(&user("foo"), origin, true).as_bytes()).unwrap();
        assert!(matches!(joined.what, What::Joined { aloud: true }));
        let left = event(Room::lobby(), left(&user("foo"), origin).as_bytes()).unwrap();
        assert!(matches!(left.what, What::Left));

        let (to, from) = ("bar".to_string(), user("foo"));
        let payload = private(&to, &from, &text);
        assert_eq!(
            note(payload.as_bytes()),
            Some(Note::Private { to, from, text })
        );
        assert_eq!(note(canary().as_bytes()), Some(Note::Canary));
    }

    #[test]
    fn what_others_publish_is_words() {
        for (payload, name, text) in [
            ("ops: back at five", "ops", "back at five"),
            ("ops:back at five", "ops", "back at five"),
            ("back at five", "redis", "back at five"),
            ("see http://example.org", "redis", "see http://example.org"),
            ("see: http://example.org", "see", "http://example.org"),
            ("a/b: c", "redis", "a/b: c"),
            ("{\"natterjack\":1}", "redis", "{\"natterjack\":1}"),
        ] {
            assert_eq!(
                heard(payload),
                Some((name.into(), text.into())),
                "{payload}"
            );
        }
        assert_eq!(heard(" "), None);
        assert_eq!(heard("ops: "), Some(("redis".into(), "ops: ".into())));
        assert!(event(Room::lobby(), b"\xff\xfe").is_some());
        assert!(event(Room::lobby(), b"{\"natterjack\":\"said\"}").is_none());
        assert!(note(b"hello").is_none());
    }
}
