//! The plain dialect: lines that a person reads and types in a terminal.

use std::fmt::Write;

use super::{Reply, Request};
use crate::chat::event::{Event, EventKind, Refusal, Text};

const USAGE_MSG: &str = "/msg NAME TEXT, or /msg \"A NAME WITH SPACES\" TEXT";
const HELP: &str = "/who lists who is here, /msg NAME TEXT sends a private message, \
                    /help shows this; anything else is said to the room. \
                    ?session=KEY in the address keeps your name";

pub(super) fn parse(frame: &str) -> Result<Request, Refusal> {
    let (word, rest) = frame.split_once(char::is_whitespace).unwrap_or((frame, ""));
    match word {
        "/who" => Ok(Request::Who(None)),
        "/help" => Ok(Request::Help),
        "/msg" => {
            let (to, text) = addressed(rest.trim_start()).ok_or(Refusal::Usage(USAGE_MSG))?;
            Ok(Request::Private {
                to: to.to_string(),
                text: Text::new(text.trim_start())?,
            })
        }
        _ => Text::new(frame).map(|text| Request::Say(None, text)),
    }
}

/// Splits `NAME TEXT` or `"NAME" TEXT`.
fn addressed(rest: &str) -> Option<(&str, &str)> {
    let quoted = rest
        .strip_prefix('"')
        .and_then(|rest| rest.split_once("\" "));
    quoted.or_else(|| rest.split_once(char::is_whitespace))
}

pub(super) fn render(event: &Event, out: &mut String) -> bool {
    let Some(user) = &event.user else {
        return false;
    };
    out.push_str(user.as_str());
    match &event.kind {
        EventKind::Said { text, to, .. } => {
            out.push_str(if to.is_some() { " (private): " } else { ": " });
            push_lines(text, out);
        }
        EventKind::Joined {
            announced: true, ..
        } => out.push_str(": has joined the chat!"),
        EventKind::Left => out.push_str(": has left the chat!"),
        EventKind::Joined { .. } | EventKind::Lost { .. } | EventKind::Deleted { .. } => {
            return false;
        }
    }
    true
}

/// Writes a text. Every line after the first begins with two spaces, which no name does. So no line
/// of a text looks like a message of another user.
fn push_lines(text: &Text, out: &mut String) {
    let mut rest = text.as_str();
    while let Some((line, next)) = rest.split_once('\n') {
        out.push_str(line.strip_suffix('\r').unwrap_or(line));
        out.push_str("\n  ");
        rest = next;
    }
    out.push_str(rest);
}

pub(super) fn reply(reply: &Reply<'_>, out: &mut String) -> bool {
    // Writing to a String can't fail.
    let _ = match reply {
        Reply::Joined { user, .. } => write!(out, "Welcome {user}!"),
        Reply::StartFailed(taken @ Refusal::NameTaken(_)) => write!(out, "{taken}"),
        Reply::StartFailed(_) => write!(out, "failed to connect. please try again"),
        Reply::Who(room, roster) if roster.users.len() < roster.count => {
            write!(out, "in {room}: {} people", roster.count)
        }
        Reply::Who(room, roster) => write!(out, "in {room}: {}", roster.users.join(", ")),
        Reply::Help => write!(out, "{HELP}"),
        Reply::Refused(refusal, _) => write!(out, "error: {refusal}"),
        _ => return false,
    };
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::name::{Room, User};

    fn say(text: &str) -> Result<Request, Refusal> {
        Ok(Request::Say(None, Text::new(text).unwrap()))
    }

    fn tell(to: &str, text: &str) -> Result<Request, Refusal> {
        Ok(Request::Private {
            to: to.into(),
            text: Text::new(text).unwrap(),
        })
    }

    fn said(name: &str, text: &str) -> String {
        rendered(name, text, None)
    }

    fn told(name: &str, text: &str) -> String {
        rendered(name, text, User::new("bar").ok())
    }

    fn rendered(name: &str, text: &str, to: Option<User>) -> String {
        let event = Event {
            room: Room::lobby(),
            user: Some(User::new(name).unwrap()),
            origin: None,
            kind: EventKind::Said {
                text: Text::new(text).unwrap(),
                email: None,
                id: None,
                at: 0,
                to,
            },
        };
        let mut out = String::new();
        assert!(render(&event, &mut out));
        out
    }

    #[test]
    fn every_further_line_of_a_text_begins_with_two_spaces() {
        for (text, shown) in [
            ("hi", "hi"),
            ("hi\nerror: no", "hi\n  error: no"),
            ("a\r\nb\n\nc", "a\n  b\n  \n  c"),
            ("\nbar (private): hi\n", "\n  bar (private): hi\n  "),
        ] {
            assert_eq!(said("foo", text), format!("foo: {shown}"));
            assert_eq!(told("foo", text), format!("foo (private): {shown}"));
        }
    }

    /// For any names and texts: a line of one peer never looks like a line of another peer or of
    /// the server.
    #[test]
    fn no_line_can_pass_for_another_users() {
        const WORDS: [&str; 16] = [
            "error",
            "in ",
            "lobby",
            "bar",
            ": ",
            " (private)",
            "hi",
            "\n",
            "\r\n",
            "\r",
            " ",
            "\u{2028}",
            "\u{202e}",
            "\u{200b}",
            "has joined the chat!",
            "Ｅｒｒｏｒ：",
        ];
        arbtest::arbtest(|u| {
            let mut words = |most: usize| -> arbtest::arbitrary::Result<String> {
                let count = u.int_in_range(1..=most)?;
                (0..count).map(|_| u.choose(&WORDS).copied()).collect()
            };
            let (name, text) = (words(3)?, words(8)?);
            let (Ok(user), Ok(_)) = (User::new(&name), Text::new(&text)) else {
                return Ok(());
            };
            for (frame, begin) in [
                (said(&name, &text), format!("{user}: ")),
                (told(&name, &text), format!("{user} (private): ")),
            ] {
                let mut lines = frame.split([
                    '\n', '\r', '\u{b}', '\u{c}', '\u{85}', '\u{2028}', '\u{2029}',
                ]);
                assert!(lines.next().unwrap().starts_with(&begin));
                assert!(!begin.starts_with("error: ") && !begin.starts_with("in "));
                assert!(!begin.starts_with("bar (private): ") || user.as_str() == "bar");
                for line in lines {
                    assert!(line.starts_with("  "), "{frame:?}");
                }
            }
            Ok(())
        });
    }

    #[test]
    fn three_words_are_commands_and_everything_else_is_said() {
        for (frame, request) in [
            ("hello", say("hello")),
            ("/who", Ok(Request::Who(None))),
            ("/who\n", Ok(Request::Who(None))),
            ("/help", Ok(Request::Help)),
            ("/whoever", say("/whoever")),
            ("/me waves", say("/me waves")),
            (" /who", say(" /who")),
            ("/msg bar hi there", tell("bar", "hi there")),
            ("/msg  bar   hi", tell("bar", "hi")),
            ("/msg \"foo bar\" hi", tell("foo bar", "hi")),
            ("/msg \"foo hi", tell("\"foo", "hi")),
            ("/msg", Err(Refusal::Usage(USAGE_MSG))),
            ("/msg bar", Err(Refusal::Usage(USAGE_MSG))),
            ("/msg bar  ", Err(Refusal::Empty)),
            ("  ", Err(Refusal::Empty)),
        ] {
            assert_eq!(parse(frame), request, "{frame:?}");
        }
    }
}
