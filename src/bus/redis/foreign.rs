//! What other programs publish on rooms' plain channels: text for people.

use crate::chat::event::{Event, EventKind, Text};
use crate::chat::name::{Room, User};
use crate::time::unix_millis;

/// Who a foreign message without a name is from.
const NOBODY: &str = "redis";

/// Reads what another program published on a room's plain channel: `user: text`, or text from nobody in
/// particular. What can't be a name, the server's own words above all, is part of the text. `None`:
/// nothing that anybody could be told.
pub fn foreign(room: Room, payload: &[u8]) -> Option<Event> {
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
    let at = unix_millis();
    Some(Event {
        room,
        user: Some(user),
        origin: None,
        kind: EventKind::Said {
            text,
            email: None,
            id: None,
            at,
            to: None,
            holder: None,
            author: None,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(payload: &str) -> Option<(String, String)> {
        let event = foreign(Room::lobby(), payload.as_bytes())?;
        let EventKind::Said { text, id: None, .. } = &event.kind else {
            panic!("{event:?}")
        };
        Some((event.user?.to_string(), text.as_str().to_string()))
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
            ("Error: full", "redis", "Error: full"),
            ("in lobby: bar", "redis", "in lobby: bar"),
            ("foo (private): hi", "redis", "foo (private): hi"),
            ("o\u{200b}ps: hi", "redis", "o\u{200b}ps: hi"),
            ("\u{3164}: hi", "redis", "\u{3164}: hi"),
            (
                "{\"natterjack\":\"left\"}",
                "redis",
                "{\"natterjack\":\"left\"}",
            ),
        ] {
            assert_eq!(
                heard(payload),
                Some((name.into(), text.into())),
                "{payload}"
            );
        }
        assert_eq!(heard(" "), None);
        assert_eq!(heard("ops: "), Some(("redis".into(), "ops: ".into())));
        assert!(foreign(Room::lobby(), b"\xff\xfe").is_some());
    }
}
