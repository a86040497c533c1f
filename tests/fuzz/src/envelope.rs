//! Messages on the channels of Redis, from other instances and from others.

use natterjack::bus::redis::foreign;
use natterjack::bus::redis::message::{self, InstanceMessage};
use natterjack::chat::dialect::Dialect;
use natterjack::chat::event::EventKind;
use natterjack::chat::id::Id;
use natterjack::chat::name::Room;
use natterjack::chat::replay::{Cursor, Epochs};

use super::rules;

/// Whatever is understood obeys the rules, and can be said in every dialect.
pub fn survives(bytes: &[u8]) {
    if let Some(event) = foreign::foreign(Room::lobby(), bytes) {
        rules::event(&event);
        assert!(event.is_speech() && event.user.is_some() && event.origin.is_none());
    } else {
        // Words are understood, if there are any.
        let words = String::from_utf8_lossy(bytes);
        assert!(words.chars().take(4096).all(blank));
    }
    if let Some(event) = message::event(Room::lobby(), bytes) {
        rules::event(&event);
        assert!(event.user.is_some() || !event.is_speech());
        match &event.kind {
            EventKind::Said { email, id, .. } => {
                rules::email(email.as_ref());
                assert_eq!(event.origin.is_some(), id.is_some());
                let epochs = Epochs::default();
                Cursor { epochs, at: 0 }.advance(id.unwrap_or(Id::START), 0);
            }
            EventKind::Joined { log, .. } => {
                let epochs = log.clone();
                Cursor { epochs, at: 0 }.advance(log.last.next(), 0);
                log.replay(log.last);
            }
            EventKind::Moderated(measure) => rules::measure(measure),
            EventKind::Left | EventKind::Lost { .. } | EventKind::Deleted { .. } => {}
        }
        if let (Some(user), Some(origin)) = (&event.user, event.origin) {
            // What it would say of them, others understand.
            let left = message::left(user, origin);
            let left = message::event(Room::lobby(), left.as_bytes()).expect("an event");
            assert_eq!(
                (left.user.as_ref(), left.origin),
                (Some(user), Some(origin))
            );
            assert!(!Dialect::Typed.echoes(&left));
        }
    }
    match message::instance_message(bytes) {
        Some(InstanceMessage::Invited { invitation, .. }) => {
            rules::user(&invitation.to);
            // What it would say of it, others understand.
            let invited = message::invitation(&invitation, false);
            let invited = format!("{{\"natterjack\":\"conversation\",\"at\":7{invited}");
            let read = message::instance_message(invited.as_bytes());
            let (at, forwarded) = (7, false);
            let expected = InstanceMessage::Invited {
                invitation,
                at,
                forwarded,
            };
            assert_eq!(read, Some(expected));
        }
        Some(InstanceMessage::Replaced(user, _)) => {
            rules::user(&user);
        }
        Some(InstanceMessage::Expired | InstanceMessage::Canary) | None => {}
    }
}

fn blank(c: char) -> bool {
    c.is_whitespace()
}
