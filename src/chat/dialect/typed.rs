//! The typed JSON dialect: every object has a `type`.

use serde::Serialize;

use super::json::{self, Object};
use super::{Join, Letter, Reply, Request};
use crate::chat::event::{Event, Id, Refusal, Text, What};
use crate::chat::name::{Email, LOBBY, Room, User};

/// Everything that the server says; `type` tells which.
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
    Who {
        room: &'a str,
        users: &'a [String],
        count: usize,
    },
    Ack {
        #[serde(rename = "ref")]
        reference: &'a str,
        id: String,
    },
}

pub(super) fn request(object: Object) -> Result<Request, Refusal> {
    let room = |name: Option<String>| {
        let name = name.ok_or_else(|| Refusal::BadRoom("room is missing".into()))?;
        Room::new(&name).map_err(|bad| Refusal::BadRoom(bad.to_string()))
    };
    match object.kind.as_deref() {
        Some("chat") => {
            let text = Text::new(&object.text.unwrap_or_default())?;
            match object.to {
                Some(to) => Ok(Request::Tell { to, text }),
                None => Ok(Request::Say(Some(room(object.room)?), text)),
            }
        }
        Some("join") => {
            let room = room(object.room)?;
            let user = object.user.as_deref().map(User::new).transpose()?;
            let email = Email::given(object.email.as_deref())?;
            Ok(Request::Join(Box::new(Join {
                room,
                user,
                email,
                session: object.session,
            })))
        }
        Some("leave") => Ok(Request::Leave(room(object.room)?)),
        Some("who") => Ok(Request::Who(Some(room(object.room)?))),
        kind => Err(Refusal::UnknownType(kind.unwrap_or("none").to_string())),
    }
}

pub(super) fn render(event: &Event, out: &mut String) -> bool {
    let (room, user_id) = (event.room.as_str(), event.user.as_str());
    let presence = |status| Said::Presence {
        room,
        user_id,
        status,
    };
    let said = match &event.what {
        What::Said {
            text,
            email,
            id,
            at,
        } => Said::Chat {
            room: Some(room),
            to: None,
            id: id.as_ref().map(Id::to_string),
            ts: *at,
            user_id,
            text: text.as_str(),
            avatar: email.as_ref().map(Email::avatar),
        },
        What::Joined { aloud: false, .. } => return false,
        What::Joined { aloud: true, .. } => presence("online"),
        What::Left => presence("offline"),
    };
    json::write(&said, out);
    true
}

pub(super) fn reply(reply: &Reply<'_>, out: &mut String) -> bool {
    let said = match reply {
        Reply::Named { user, session } => Said::Welcome {
            user_id: user.as_str(),
            session,
            lobby: LOBBY,
        },
        Reply::Entered { room, roster, .. } => Said::Joined {
            room: room.as_str(),
            users: &roster.users,
            count: roster.count,
            last: roster.last.as_ref().map(Id::to_string),
            complete: true,
        },
        Reply::Who(room, roster) => Said::Who {
            room: room.as_str(),
            users: &roster.users,
            count: roster.count,
        },
        Reply::Private { to, letter } => private(to, letter),
        Reply::Accepted(reference, id) => Said::Ack {
            reference,
            id: id.to_string(),
        },
        Reply::Taken(user) => {
            json::fail(&Refusal::NameTaken(user.to_string()), None, out);
            return true;
        }
        Reply::Unreachable => {
            json::fail(&Refusal::Unavailable, None, out);
            return true;
        }
        Reply::Refused(refusal, reference) => {
            json::fail(refusal, *reference, out);
            return true;
        }
        Reply::Help => return false,
    };
    json::write(&said, out);
    true
}

fn private<'a>(to: &'a str, letter: &'a Letter) -> Said<'a> {
    Said::Chat {
        room: None,
        to: Some(to),
        id: Some(letter.id.to_string()),
        ts: letter.at,
        user_id: letter.from.as_str(),
        text: letter.text.as_str(),
        avatar: letter.email.as_ref().map(Email::avatar),
    }
}
