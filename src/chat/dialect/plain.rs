//! The plain dialect: lines that a person reads and types in a terminal.

use std::fmt::Write;

use super::{Reply, Request, Which, typed};
use crate::chat::event::{Event, EventKind, Refusal, Text};
use crate::chat::moderation::{Action, Ban, Measure};
use crate::chat::name::{Room, User};

const USAGE_MSG: &str = "/msg NAME TEXT, or /msg \"A NAME WITH SPACES\" TEXT";
const USAGE_MUTE: &str = "/mute NAME [SECONDS]";
const USAGE_KICK: &str = "/kick NAME [SECONDS] [REASON]";
const USAGE_BAN: &str = "/ban NAME [REASON]";
const USAGE_UNBAN: &str = "/unban NAME";
const USAGE_DELETE: &str = "/delete for your last message, /delete ID, or /delete NAME";
const HELP: &str = "/who lists who is here, /msg NAME TEXT sends a private message, \
                    /delete takes your last message back, /help shows this; anything else is said to \
                    the room. ?session=KEY in the address keeps your name. \
                    Moderators: /kick NAME [SECONDS] [REASON], /ban NAME [REASON], \
                    /unban NAME, /mute NAME [SECONDS], /delete NAME, /banned";

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
        "/kick" => moderate(Action::Kick, rest, USAGE_KICK),
        "/ban" => moderate(Action::Ban, rest, USAGE_BAN),
        "/unban" => moderate(Action::Unban, rest, USAGE_UNBAN),
        "/mute" => moderate(Action::Mute, rest, USAGE_MUTE),
        "/banned" => Ok(Request::Banned(None)),
        "/delete" => delete(rest.trim()),
        _ => Text::new(frame).map(|text| Request::Say(None, text)),
    }
}

fn moderate(action: Action, rest: &str, usage: &'static str) -> Result<Request, Refusal> {
    let (name, mut rest) = name(rest.trim()).ok_or(Refusal::Usage(usage))?;
    let user = User::new(name).map_err(Refusal::BadName)?;
    let mut seconds = None;
    let (word, reason) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    if matches!(action, Action::Kick | Action::Mute) && is_number(word) {
        seconds = Some(word.parse().map_err(|_| Refusal::Usage(usage))?);
        rest = reason;
    }
    // These have no reason: what follows is part of a name without its quotes.
    if matches!(action, Action::Unban | Action::Mute) && !rest.is_empty() {
        return Err(Refusal::Usage(usage));
    }
    Ok(Request::Moderate {
        room: None,
        action,
        user,
        seconds: typed::seconds(action, seconds)?,
        reason: Measure::reason(rest),
    })
}

/// Whether a word is a number, also one that can't be a number of seconds.
fn is_number(word: &str) -> bool {
    word.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c))
        && word.parse::<f64>().is_ok()
}

fn delete(rest: &str) -> Result<Request, Refusal> {
    let which = match (rest, rest.parse()) {
        ("", _) => Which::OwnLast,
        (_, Ok(id)) => Which::Id(id),
        _ => match name(rest) {
            Some((name, "")) => Which::LastOf(User::new(name).map_err(Refusal::BadName)?),
            _ => return Err(Refusal::Usage(USAGE_DELETE)),
        },
    };
    Ok(Request::Delete { of: None, which })
}

/// Splits `NAME REST` or `"NAME" REST`, of which the rest may be empty.
fn name(rest: &str) -> Option<(&str, &str)> {
    if let Some(quoted) = rest.strip_prefix('"')
        && let Some((name, rest)) = quoted.split_once('"')
        && (rest.is_empty() || rest.starts_with(char::is_whitespace))
    {
        return Some((name, rest.trim_start()));
    }
    let (name, rest) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    (!name.is_empty()).then_some((name, rest.trim_start()))
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
    match &event.kind {
        EventKind::Deleted { by, start, .. } => {
            let start = start.as_deref().unwrap_or("…");
            return write(out, deleted(user, by, start));
        }
        EventKind::Moderated(measure) => return write(out, moderated(measure)),
        _ => out.push_str(user.as_str()),
    }
    match &event.kind {
        EventKind::Said { text, to, .. } => {
            out.push_str(if to.is_some() { " (private): " } else { ": " });
            push_lines(text, out);
        }
        EventKind::Joined {
            announced: true, ..
        } => out.push_str(": has joined the chat!"),
        EventKind::Left => out.push_str(": has left the chat!"),
        _ => return false,
    }
    true
}

fn write(out: &mut String, line: String) -> bool {
    out.push_str(&line);
    true
}

/// The server's own lines begin with `* `, as no name does.
fn deleted(user: &User, by: &User, start: &str) -> String {
    match user == by {
        true => format!("* {user} took back: {start}"),
        false => format!("* {by} took back a message of {user}: {start}"),
    }
}

fn moderated(measure: &Measure) -> String {
    let Measure { user, by, .. } = measure;
    let (done, time) = done(measure);
    format!("* {user} {done}{time} by {by}")
}

/// What was done to a user, and for how long.
fn done(measure: &Measure) -> (&'static str, String) {
    let done = match (measure.action, measure.seconds) {
        (Action::Kick, _) => "was removed",
        (Action::Ban, _) => "was banned",
        (Action::Unban, _) => "is no longer banned",
        (Action::Mute, Some(0)) => return ("may speak again", String::new()),
        (Action::Mute, _) => "was muted",
    };
    let time = measure.seconds.filter(|seconds| *seconds > 0);
    (
        done,
        time.map_or(String::new(), |time| format!(" for {time} s")),
    )
}

fn removed(measure: &Measure) -> String {
    let (done, time) = done(measure);
    let (done, by) = (done.replace("was", "were"), &measure.by);
    format!("* you {done} by {by}{time}{}", reason(&measure.reason))
}

fn reason(reason: &str) -> String {
    match reason {
        "" => String::new(),
        reason => format!(": {reason}"),
    }
}

/// Every line after the first begins with two spaces.
fn banned(room: &Room, bans: &[Ban]) -> String {
    let mut lines = format!("* banned from {room}: {}", bans.len());
    for ban in bans {
        let time = ban
            .seconds
            .map_or(String::new(), |left| format!(" for {left} s"));
        lines += &format!(
            "\n  {}{time}, by {}{}",
            ban.user,
            ban.by,
            reason(&ban.reason)
        );
    }
    lines
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
        Reply::StartFailed(banned @ Refusal::Banned(_)) => write!(out, "error: {banned}"),
        Reply::StartFailed(_) => write!(out, "failed to connect. please try again"),
        Reply::Who(room, roster) if roster.users.len() < roster.count => {
            write!(out, "in {room}: {} people", roster.count)
        }
        Reply::Who(room, roster) => write!(out, "in {room}: {}", roster.users.join(", ")),
        Reply::Banned(room, bans) => write!(out, "{}", banned(room, bans)),
        Reply::Removed(_, measure) => write!(out, "{}", removed(measure)),
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
                holder: None,
                author: None,
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
