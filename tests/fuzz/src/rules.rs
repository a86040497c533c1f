//! What everything that has been understood obeys, wherever it came from.

use natterjack::chat::dialect::{Dialect, Letter, Reply};
use natterjack::chat::event::{Event, TEXT_CHARS, Text, What};
use natterjack::chat::frame;
use natterjack::chat::name::Email;
use serde_json::Value;

/// The rules of names, of users as well as rooms.
pub fn name(name: &str) {
    assert!((1..=32).contains(&name.chars().count()) && name.len() <= 64);
    assert!(!name.contains(|c: char| c.is_control() || ":/@#".contains(c)));
    assert_eq!(name.trim(), name);
}

/// The rules of texts.
pub fn text(text: &Text) {
    let text = text.as_str();
    assert!(!text.trim().is_empty());
    assert!(text.chars().count() <= TEXT_CHARS);
    let bare = text.replace("\r\n", "").replace(['\t', '\n'], "");
    assert!(!bare.contains(char::is_control), "{text:?}");
    assert_eq!(Text::new(text).as_ref().map(Text::as_str), Ok(text));
}

/// The rules of e-mail addresses.
pub fn email(email: Option<&Email>) {
    if let Some(email) = email {
        assert!((1..=254).contains(&email.as_str().len()));
        assert!(!email.as_str().contains(char::is_control));
        assert_eq!(email.as_str().trim(), email.as_str());
        assert_eq!(email.avatar().len(), 64);
    }
}

/// An event obeys the rules, and each dialect says it as it is.
pub fn event(event: &Event) {
    name(event.room.as_str());
    let user = event.user.as_ref().map(|user| user.as_str());
    if let Some(user) = user {
        name(user);
    }
    if let What::Said { text: words, .. } = &event.what {
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
        match (dialect, &event.what) {
            (Dialect::Plain, What::Said { text, .. }) => {
                assert_eq!(out, format!("{}: {}", user.unwrap(), text.as_str()));
            }
            (Dialect::Plain, _) => assert!(out.starts_with(user.unwrap())),
            (Dialect::Simple, What::Said { text, email, .. }) => {
                let out = object(&out);
                assert_eq!(out["message"], text.as_str());
                assert_eq!(out["username"], user.unwrap());
                assert_eq!(out["email"], email.as_ref().map_or("", Email::as_str));
            }
            (Dialect::Simple, what) => panic!("{what:?}: {out}"),
            (Dialect::Typed, what) => {
                let out = object(&out);
                assert_eq!(out["room"], event.room.as_str());
                assert_eq!(out["userId"], user.unwrap());
                if let What::Said { text, id, at, .. } = what {
                    assert_eq!(out["text"], text.as_str());
                    assert_eq!(out["ts"], *at);
                    let id = id.map(|id| id.to_string());
                    assert_eq!(out.get("id").and_then(Value::as_str), id.as_deref());
                }
            }
        }
    }
    let history = [event.clone()];
    reply(&Reply::History(&event.room, &history));
}

/// A private message, too.
pub fn letter(to: &str, letter: &Letter) {
    name(letter.from.as_str());
    text(&letter.text);
    email(letter.email.as_ref());
    for (dialect, out) in reply(&Reply::Private { to, letter }) {
        match dialect {
            Dialect::Plain => assert!(out.ends_with(letter.text.as_str())),
            Dialect::Simple => assert_eq!(object(&out)["username"], letter.from.as_str()),
            Dialect::Typed => {
                let out = object(&out);
                assert_eq!(out["to"], to);
                assert_eq!(out["text"], letter.text.as_str());
            }
        }
    }
}

/// What one peer is told, in each dialect that has words for it: what is to be JSON is JSON.
pub fn reply(reply: &Reply<'_>) -> Vec<(Dialect, String)> {
    let mut said = Vec::new();
    for dialect in Dialect::ALL {
        let mut out = String::new();
        if dialect.reply(reply, &mut out) {
            if dialect != Dialect::Plain {
                object(&out);
            }
            said.push((dialect, out));
        } else {
            assert_eq!(out, "");
        }
    }
    said
}

fn object(json: &str) -> Value {
    let value: Value = serde_json::from_str(json).expect("JSON");
    assert!(value.is_object(), "{json}");
    value
}
