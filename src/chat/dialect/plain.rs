//! The text dialect: lines that a person reads and types in a terminal.

use std::fmt::Write;

use super::{Reply, Request};
use crate::chat::event::{Event, Refusal, Text, What};

const USAGE_MSG: &str = "/msg NAME TEXT, or /msg \"A NAME WITH SPACES\" TEXT";
const HELP: &str = "/who lists who is here, /msg NAME TEXT sends a private message, \
                    /help shows this; anything else is said to the room";

pub(super) fn parse(frame: &str) -> Result<Request, Refusal> {
    let (word, rest) = frame.split_once(char::is_whitespace).unwrap_or((frame, ""));
    match word {
        "/who" => Ok(Request::Who(None)),
        "/help" => Ok(Request::Help),
        "/msg" => {
            let (to, text) = addressed(rest.trim_start()).ok_or(Refusal::Usage(USAGE_MSG))?;
            Ok(Request::Tell {
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
    match &event.what {
        What::Joined { aloud: false, .. } => return false,
        What::Said { text, .. } => {
            out.push_str(": ");
            out.push_str(text.as_str());
        }
        What::Joined { aloud: true, .. } => out.push_str(": has joined the chat!"),
        What::Left => out.push_str(": has left the chat!"),
    }
    true
}

pub(super) fn reply(reply: &Reply<'_>, out: &mut String) -> bool {
    // Writing to a String can't fail.
    let _ = match reply {
        Reply::Entered { user, .. } => write!(out, "Welcome {user}!"),
        Reply::Taken(user) => {
            write!(
                out,
                "username {user} is already taken. please retry with a different name"
            )
        }
        Reply::Unreachable => write!(out, "failed to connect. please try again"),
        Reply::Who(room, roster) if roster.users.len() < roster.count => {
            write!(out, "in {room}: {} people", roster.count)
        }
        Reply::Who(room, roster) => write!(out, "in {room}: {}", roster.users.join(", ")),
        Reply::Help => write!(out, "{HELP}"),
        Reply::Private { letter, .. } => {
            write!(out, "{} (private): {}", letter.from, letter.text.as_str())
        }
        Reply::Refused(refusal, _) => write!(out, "error: {refusal}"),
        Reply::Named { .. }
        | Reply::Accepted(..)
        | Reply::History(..)
        | Reply::Incomplete(..)
        | Reply::Status(_) => return false,
    };
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn say(text: &str) -> Result<Request, Refusal> {
        Ok(Request::Say(None, Text::new(text).unwrap()))
    }

    fn tell(to: &str, text: &str) -> Result<Request, Refusal> {
        Ok(Request::Tell {
            to: to.into(),
            text: Text::new(text).unwrap(),
        })
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
