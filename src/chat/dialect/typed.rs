//! The typed JSON dialect: every object has a `type`.

use std::collections::BTreeMap;

use serde::Serialize;

use super::json::{self, Object};
use super::{Join, Read, Reply, Request, Target, Which};
use crate::chat::event::{Event, EventKind, Refusal, Text};
use crate::chat::id::Id;
use crate::chat::moderation::{Action, Ban, Measure, SECONDS_MOST, SECONDS_USUAL};
use crate::chat::name::{Email, LOBBY, Room, User};
use crate::chat::replay::Past;

/// The most messages in a reply with a history.
const HISTORY_MOST: u64 = 100;
/// How many messages a reply with a history has if the client gives no limit.
const HISTORY_USUAL: u64 = 50;

/// A list of bans has reasons of at most so many bytes. With the names of as many people as can be banned,
/// it is below the limit of an outbox.
const REASONS_BYTES: usize = 32 * 1024;

/// Every object that the server sends; its `type` tells which.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "camelCase")]
enum Said<'a> {
    #[serde(rename_all = "camelCase")]
    Welcome {
        user_id: &'a str,
        session: &'a str,
        lobby: &'static str,
    },
    Joined {
        room: &'a str,
        users: &'a [String],
        count: usize,
        last: Option<String>,
        complete: bool,
    },
    #[serde(rename_all = "camelCase")]
    Chat {
        #[serde(skip_serializing_if = "Option::is_none")]
        room: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        to: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<String>,
        ts: u64,
        user_id: &'a str,
        text: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        avatar: Option<String>,
    },
    #[serde(rename_all = "camelCase")]
    Presence {
        room: &'a str,
        user_id: &'a str,
        status: &'static str,
    },
    Deleted {
        #[serde(skip_serializing_if = "Option::is_none")]
        room: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        to: Option<String>,
        id: String,
        by: &'a str,
    },
    Moderation {
        room: &'a str,
        action: &'static str,
        user: &'a str,
        by: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        seconds: Option<u64>,
        #[serde(skip_serializing_if = "str::is_empty")]
        reason: &'a str,
    },
    Banned {
        room: &'a str,
        entries: Vec<Entry<'a>>,
    },
    Who {
        room: &'a str,
        users: &'a [String],
        count: usize,
    },
    History {
        #[serde(skip_serializing_if = "Option::is_none")]
        room: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        to: Option<&'a str>,
        messages: Vec<Said<'a>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        complete: Option<bool>,
    },
    Status {
        bus: &'static str,
    },
    Ack {
        #[serde(rename = "ref")]
        reference: &'a str,
        id: String,
    },
    Error {
        code: &'static str,
        message: String,
        #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
        reference: Option<&'a str>,
    },
}

/// A user who can't enter a room.
#[derive(Debug, Serialize)]
struct Entry<'a> {
    user: &'a str,
    until: Option<u64>,
    by: &'a str,
    reason: &'a str,
}

pub(super) fn request(object: Object) -> Result<Request, Refusal> {
    match object.kind.as_deref() {
        Some("chat") => {
            let text = Text::new(&object.text.unwrap_or_default())?;
            match object.to {
                Some(to) => Ok(Request::Private { to, text }),
                None => Ok(Request::Say(Some(room(object.room)?), text)),
            }
        }
        Some("join") => {
            let room = room(object.room)?;
            let user = object.user.as_deref().map(User::new).transpose();
            let user = user.map_err(Refusal::BadName)?;
            let email = Email::given(object.email.as_deref())?;
            let since = id("since", object.since.as_deref())?.map(Past::Since);
            Ok(Request::Join(Box::new(Join {
                room,
                user,
                email,
                session: object.session,
                past: since.or(json::count("history", object.history)?.map(Past::Last)),
                private: object.private.map(named_ids).transpose()?,
            })))
        }
        Some("leave") => Ok(Request::Leave(room(object.room)?)),
        Some("forget") => Ok(Request::Forget),
        Some("history") => Ok(Request::History {
            of: target(object.room, object.to)?,
            before: id("before", object.before.as_deref())?,
            limit: json::count("limit", object.limit)?
                .unwrap_or(HISTORY_USUAL)
                .min(HISTORY_MOST) as usize,
        }),
        Some("who") => Ok(Request::Who(Some(room(object.room)?))),
        Some("banned") => Ok(Request::Banned(Some(room(object.room)?))),
        Some("delete") => Ok(Request::Delete {
            of: Some(target(object.room, object.to)?),
            which: match id("id", object.id.as_deref())? {
                Some(id) => Which::Id(id),
                None => return Err(Refusal::BadJson("id is missing".into())),
            },
        }),
        kind => match kind.and_then(Action::named) {
            Some(action) => Ok(Request::Moderate {
                room: Some(room(object.room)?),
                action,
                user: User::new(&object.user.unwrap_or_default()).map_err(Refusal::BadName)?,
                seconds: seconds(action, json::count("seconds", object.seconds)?)?,
                reason: Measure::reason(&object.reason.unwrap_or_default()),
            }),
            None => Err(Refusal::UnknownType(kind.unwrap_or("none").to_string())),
        },
    }
}

fn room(name: Option<String>) -> Result<Room, Refusal> {
    let name = name.ok_or_else(|| Refusal::BadRoom("room is missing".into()))?;
    Room::new(&name).map_err(Refusal::BadRoom)
}

fn target(name: Option<String>, to: Option<String>) -> Result<Target, Refusal> {
    match to {
        Some(to) => match User::new(&to) {
            Ok(user) => Ok(Target::User(user)),
            Err(_) => Err(Refusal::NoSuchUser(to)),
        },
        None => Ok(Target::Room(room(name)?)),
    }
}

/// How long an action holds.
pub(super) fn seconds(action: Action, seconds: Option<u64>) -> Result<Option<u64>, Refusal> {
    match (action, seconds) {
        (Action::Ban | Action::Unban, _) => Ok(None),
        (_, Some(seconds)) if seconds > SECONDS_MOST => {
            let most = format!("seconds is more than {SECONDS_MOST}, a year");
            Err(Refusal::BadJson(most))
        }
        (_, seconds) => Ok(Some(seconds.unwrap_or(SECONDS_USUAL))),
    }
}

/// Reads how far private conversations have been read, an object of names and ids.
///
/// # Errors
/// One line about what is wrong with it.
pub fn read(json: &str) -> Result<Read, String> {
    let bad = |_| "bad private: it is an object of names with the last id seen of each".to_string();
    let private = serde_json::from_str(json).map_err(bad)?;
    named_ids(private).map_err(|refusal| refusal.to_string())
}

/// Nobody has a name that is none.
fn named_ids(private: BTreeMap<String, String>) -> Result<Read, Refusal> {
    let named = private
        .iter()
        .filter_map(|(name, last)| Some((User::new(name).ok()?, last)));
    let read = named.map(|(user, last)| {
        let last = id("private", Some(last))?;
        Ok((user, last.unwrap_or(Id::START)))
    });
    read.collect()
}

/// Whom a message of a private conversation was for.
fn other_end(event: &Event) -> Option<String> {
    let [one, other] = event.room.ends()?;
    let to = if event.user.as_ref() == Some(&one) {
        other
    } else {
        one
    };
    Some(to.to_string())
}

fn id(key: &str, text: Option<&str>) -> Result<Option<Id>, Refusal> {
    let bad = |_| Refusal::BadJson(format!("{key} is not an id"));
    text.map(|text| text.parse().map_err(bad)).transpose()
}

pub(super) fn render(event: &Event, out: &mut String) -> bool {
    let Some(said) = said(event) else {
        return false;
    };
    json::write(&said, out);
    true
}

fn said(event: &Event) -> Option<Said<'_>> {
    let room = event.room.as_str();
    if let EventKind::Lost { count, users, last } = &event.kind
        && !event.room.is_conversation()
    {
        return Some(Said::Joined {
            room,
            users,
            count: *count,
            last: last.as_ref().map(Id::to_string),
            complete: false,
        });
    }
    let user_id = event.user.as_ref()?.as_str();
    let presence = |status| Said::Presence {
        room,
        user_id,
        status,
    };
    Some(match &event.kind {
        EventKind::Said {
            text,
            email,
            id,
            at,
            to,
            ..
        } => Said::Chat {
            room: to.is_none().then_some(room),
            to: to.as_ref().map(User::as_str),
            id: id.as_ref().map(Id::to_string),
            ts: *at,
            user_id,
            text: text.as_str(),
            avatar: email.as_ref().map(Email::avatar),
        },
        EventKind::Joined {
            announced: true, ..
        } => presence("online"),
        EventKind::Joined { .. } | EventKind::Lost { .. } => return None,
        EventKind::Left => presence("offline"),
        EventKind::Deleted { id, by, .. } => Said::Deleted {
            room: (!event.room.is_conversation()).then_some(room),
            to: other_end(event),
            id: id.to_string(),
            by: by.as_str(),
        },
        EventKind::Moderated(measure) => moderation(&event.room, measure),
    })
}

fn moderation<'a>(room: &'a Room, measure: &'a Measure) -> Said<'a> {
    Said::Moderation {
        room: room.as_str(),
        action: measure.action.name(),
        user: measure.user.as_str(),
        by: measure.by.as_str(),
        seconds: measure.seconds,
        reason: &measure.reason,
    }
}

/// Reasons are left out where the list would be longer than one answer should be.
fn banned<'a>(room: &'a Room, bans: &'a [Ban]) -> Said<'a> {
    let reasons: usize = bans.iter().map(|ban| ban.reason.len()).sum();
    let short = reasons <= REASONS_BYTES;
    let entry = |ban: &'a Ban| Entry {
        user: ban.user.as_str(),
        until: ban.until,
        by: ban.by.as_str(),
        reason: if short { &ban.reason } else { "" },
    };
    Said::Banned {
        room: room.as_str(),
        entries: bans.iter().map(entry).collect(),
    }
}

pub(super) fn reply(reply: &Reply<'_>, out: &mut String) -> bool {
    let said = match reply {
        Reply::Named { user, session } => Said::Welcome {
            user_id: user.as_str(),
            session,
            lobby: LOBBY,
        },
        Reply::Joined {
            room,
            roster,
            complete,
            ..
        } => Said::Joined {
            room: room.as_str(),
            users: &roster.users,
            count: roster.count,
            last: roster.last.as_ref().map(Id::to_string),
            complete: *complete,
        },
        Reply::Who(room, roster) => Said::Who {
            room: room.as_str(),
            users: &roster.users,
            count: roster.count,
        },
        Reply::History(of, messages) => {
            let (room, to) = match of {
                Target::Room(room) => (Some(room.as_str()), None),
                Target::User(user) => (None, Some(user.as_str())),
            };
            let messages = messages.iter().filter_map(said).collect();
            let complete = None;
            Said::History {
                room,
                to,
                messages,
                complete,
            }
        }
        Reply::Incomplete(user) => Said::History {
            room: None,
            to: Some(user.as_str()),
            messages: Vec::new(),
            complete: Some(false),
        },
        Reply::Banned(room, bans) => banned(room, bans),
        Reply::Removed(room, measure) => moderation(room, measure),
        Reply::Status(up) => Said::Status {
            bus: if *up { "ok" } else { "waiting" },
        },
        Reply::Accepted(reference, id) => Said::Ack {
            reference,
            id: id.to_string(),
        },
        Reply::StartFailed(refusal) => error(refusal, None),
        Reply::Refused(refusal, reference) => error(refusal, *reference),
        Reply::Follows { .. } | Reply::Help => return false,
    };
    json::write(&said, out);
    true
}

fn error<'a>(refusal: &Refusal, reference: Option<&'a str>) -> Said<'a> {
    Said::Error {
        code: refusal.code(),
        message: refusal.to_string(),
        reference,
    }
}
