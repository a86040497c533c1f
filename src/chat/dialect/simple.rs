//! The simple JSON dialect: `email`, `username` and `message`, both ways.

use serde::Serialize;

use super::json::{self, Object};
use super::{Reply, Request, typed};
use crate::chat::event::{Event, EventKind, Refusal, Text};
use crate::chat::name::{Email, User};

#[derive(Debug, Serialize)]
struct Post<'a> {
    email: &'a str,
    username: &'a str,
    message: &'a str,
}

pub(super) fn request(object: Object) -> Result<Request, Refusal> {
    let user = User::new(&object.username.unwrap_or_default()).map_err(Refusal::BadName)?;
    let email = Email::given(object.email.as_deref())?;
    let text = Text::new(&object.message.unwrap_or_default())?;
    Ok(Request::Post { user, email, text })
}

pub(super) fn render(event: &Event, out: &mut String) -> bool {
    let (
        EventKind::Said {
            text, email, to, ..
        },
        Some(user),
    ) = (&event.kind, &event.user)
    else {
        return false;
    };
    let text = match to {
        Some(_) => &format!("(private) {}", text.as_str()),
        None => text.as_str(),
    };
    post(user, email.as_ref(), text, out);
    true
}

pub(super) fn reply(reply: &Reply<'_>, out: &mut String) -> bool {
    match reply {
        Reply::StartFailed(_) | Reply::Refused(..) => typed::reply(reply, out),
        Reply::Removed(room, measure) => {
            let banned = Refusal::removed(room, measure);
            typed::reply(&Reply::Refused(&banned, None), out)
        }
        _ => false,
    }
}

fn post(user: &User, email: Option<&Email>, message: &str, out: &mut String) {
    let post = Post {
        email: email.map_or("", Email::as_str),
        username: user.as_str(),
        message,
    };
    json::write(&post, out);
}
