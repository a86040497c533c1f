//! Rules that every parsed value obeys, from any source.

use std::sync::Arc;

use natterjack::chat::dialect::{Dialect, Reply, Target};
use natterjack::chat::event::{Event, EventKind, Refusal, TEXT_CHARS, Text};
use natterjack::chat::frame;
use natterjack::chat::id::Id;
use natterjack::chat::moderation::{Action, Measure};
use natterjack::chat::name::{Email, Room, User};
use serde_json::Value;

/// The rules of names, of users as well as rooms.
pub fn name(name: &str) {
    assert!((1..=32).contains(&name.chars().count()) && name.len() <= 64);
    assert!(!name.contains(|c: char| harmful(c) || ":/@#".contains(c)));
    assert!(!name.contains([
        '\u{ad}', '\u{200b}', '\u{2060}', '\u{2800}', '\u{3164}', '\u{feff}'
    ]));
    assert_eq!(name.trim(), name);
}

/// The rules of users' names: none reads as the server's own words, in any spelling.
pub fn user(user: &User) {
    name(user.as_str());
    let key = user.key();
    assert!(!key.is_empty() && key != "error");
    assert!(!key.starts_with("in ") && !key.ends_with(" (private)"));
    assert!(!key.contains([':', '/', '@', '#']));
    assert_eq!(User::new(user.as_str()).as_ref(), Ok(user));
}

fn harmful(c: char) -> bool {
    c.is_control() || "\u{202d}\u{202e}\u{2028}\u{2029}".contains(c)
}

/// The rules of texts.
pub fn text(text: &Text) {
    let text = text.as_str();
    assert!(!text.trim().is_empty());
    assert!(text.chars().count() <= TEXT_CHARS);
    let bare = text.replace("\r\n", "").replace(['\t', '\n'], "");
    assert!(!bare.contains(harmful), "{text:?}");
    assert_eq!(Text::new(text).as_ref().map(Text::as_str), Ok(text));
}

/// The rules of e-mail addresses.
pub fn email(email: Option<&Email>) {
    if let Some(email) = email {
        assert!((1..=254).contains(&email.as_str().len()));
        assert!(!email.as_str().contains(harmful));
        assert_eq!(email.as_str().trim(), email.as_str());
        assert_eq!(email.avatar().len(), 64);
    }
}

/// An event obeys the rules, and each dialect says it as it is.
pub fn event(event: &Event) {
    name(event.room.as_str());
    event.user.iter().for_each(user);
    let user = event.user.as_ref().map(|user| user.as_str());
    if let EventKind::Said { text: words, .. } = &event.kind {
        text(words);
    }
    for dialect in Dialect::ALL {
        let mut out = String::new();
        let said = dialect.render(event, &mut out);
        assert_eq!(said, !out.is_empty());
        assert!(!said || user.is_some());
        let frame = frame::texts(dialect, std::slice::from_ref(event));
        assert_eq!(frame.is_empty(), !said);
        if !said {
            continue;
        }
        match (dialect, &event.kind) {
            (Dialect::Plain, EventKind::Said { text, .. }) => {
                assert_eq!(out, format!("{}: {}", user.unwrap(), lines(text)));
            }
            (Dialect::Plain, EventKind::Deleted { .. } | EventKind::Moderated(_)) => {
                assert!(out.starts_with("* ") && !out.contains('\n'), "{out}");
            }
            (Dialect::Plain, _) => assert!(out.starts_with(user.unwrap())),
            (Dialect::Simple, EventKind::Said { text, email, .. }) => {
                let out = object(&out);
                assert_eq!(out["message"], text.as_str());
                assert_eq!(out["username"], user.unwrap());
                assert_eq!(out["email"], email.as_ref().map_or("", Email::as_str));
            }
            (Dialect::Simple, kind) => panic!("{kind:?}: {out}"),
            (Dialect::Typed | Dialect::Events, kind) => {
                let out = match dialect {
                    Dialect::Events => sent_event(&out, event),
                    _ => object(&out),
                };
                assert_eq!(out["room"], event.room.as_str());
                match kind {
                    EventKind::Deleted { by, .. } => assert_eq!(out["by"], by.as_str()),
                    EventKind::Moderated(_) => assert_eq!(out["user"], user.unwrap()),
                    _ => assert_eq!(out["userId"], user.unwrap()),
                }
                if let EventKind::Said { text, id, at, .. } = kind {
                    assert_eq!(out["text"], text.as_str());
                    assert_eq!(out["ts"], *at);
                    let id = id.map(|id| id.to_string());
                    assert_eq!(out.get("id").and_then(Value::as_str), id.as_deref());
                }
            }
        }
    }
    let history = [event.clone()];
    reply(&Reply::History(&Target::Room(event.room.clone()), &history));
}

/// What a moderator does is told in one line, to those whom it concerns, too.
pub fn measure(measure: &Measure) {
    user(&measure.user);
    user(&measure.by);
    assert!(measure.reason.chars().count() <= 100);
    assert!(!measure.reason.contains(char::is_control));
    assert!(Action::named(measure.action.name()) == Some(measure.action));
    let room = Room::lobby();
    event(&Event {
        room: room.clone(),
        user: Some(measure.user.clone()),
        origin: None,
        kind: EventKind::Moderated(Arc::new(measure.clone())),
    });
    // Who only listens has no name, and is not removed.
    let told = reply(&Reply::Removed(&room, measure));
    assert_eq!(told.len(), Dialect::ALL.len() - 1);
    reply(&Reply::Refused(&Refusal::removed(&room, measure), None));
}

/// A private message, too.
pub fn private_message(from: &User, to: &User, words: &Text) {
    let event = Event {
        room: Room::conversation(from, to),
        user: Some(from.clone()),
        origin: None,
        kind: EventKind::Said {
            text: words.clone(),
            email: None,
            id: Some(Id::first(7)),
            at: 7,
            to: Some(to.clone()),
            holder: None,
            author: None,
        },
    };
    let ends = event.room.ends().expect("it has two");
    assert!(ends.contains(from) && ends.contains(to));
    assert_eq!(Room::read(event.room.as_str()), Ok(event.room.clone()));
    for dialect in Dialect::ALL {
        let mut out = String::new();
        let told = dialect.render(&event, &mut out);
        assert_eq!(told, dialect != Dialect::Events, "nobody may overhear it");
        match dialect {
            Dialect::Plain => assert_eq!(out, format!("{from} (private): {}", lines(words))),
            Dialect::Events => {}
            Dialect::Simple => assert_eq!(object(&out)["username"], from.as_str()),
            Dialect::Typed => {
                let out = object(&out);
                assert_eq!(out["to"], to.as_str());
                assert_eq!(out["text"], words.as_str());
                assert!(out.get("room").is_none());
            }
        }
    }
}

/// A text as the text dialect shows it.
fn lines(text: &Text) -> String {
    text.as_str().replace("\r\n", "\n").replace('\n', "\n  ")
}

/// What one peer is told, in each dialect that has words for it: what is to be JSON is JSON.
pub fn reply(reply: &Reply<'_>) -> Vec<(Dialect, String)> {
    let mut said = Vec::new();
    for dialect in Dialect::ALL {
        let mut out = String::new();
        if dialect.reply(reply, &mut out) {
            match dialect {
                Dialect::Plain => {}
                Dialect::Events => assert!(out.ends_with("\n\n")),
                Dialect::Simple | Dialect::Typed => drop(object(&out)),
            }
            if let Reply::Refused(refusal, _) = reply {
                assert!(!refusal.to_string().contains(harmful));
            }
            said.push((dialect, out));
        } else {
            assert_eq!(out, "");
        }
    }
    said
}

/// The object of a server-sent event, which is whole and has the id of a message.
fn sent_event(out: &str, event: &Event) -> Value {
    let mut lines = out.lines();
    let kind = lines.next().and_then(|line| line.strip_prefix("event: "));
    if let Some(id) = event.id().filter(|_| event.is_speech()) {
        assert_eq!(lines.next(), Some(&*format!("id: {id}")));
    }
    let data = lines.next().and_then(|line| line.strip_prefix("data: "));
    assert_eq!((lines.next(), lines.next()), (Some(""), None), "{out:?}");
    let object = object(data.expect("data"));
    assert_eq!(object["type"].as_str(), kind);
    object
}

fn object(json: &str) -> Value {
    let value: Value = serde_json::from_str(json).expect("JSON");
    assert!(value.is_object(), "{json}");
    value
}
