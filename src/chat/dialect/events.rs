//! Server-sent events: the objects of the typed dialect for those who only listen, by plain HTTP.

use std::fmt::Write as _;

use serde::Serialize;

use super::{Reply, json, typed};
use crate::chat::event::{Event, EventKind};
use crate::chat::id::Id;

/// What comes first: where the room's log stands.
#[derive(Debug, Serialize)]
struct Joined<'a> {
    room: &'a str,
    last: Option<String>,
    complete: bool,
}

pub(super) fn render(event: &Event, out: &mut String) -> bool {
    if event.room.is_conversation() {
        return false;
    }
    if let EventKind::Lost { last, .. } = event.kind {
        joined(event.room.as_str(), last, false, None, out);
        return true;
    }
    let mut data = String::new();
    let said = typed::render(event, &mut data);
    if said {
        // A browser comes back from the last id, and what is taken back is an older message.
        let id = event.id().filter(|_| event.is_speech());
        push(id, &data, out);
    }
    said
}

pub(super) fn reply(reply: &Reply<'_>, out: &mut String) -> bool {
    match reply {
        Reply::Follows {
            room,
            last,
            complete,
            after,
        } => joined(room.as_str(), *last, *complete, Some(*after), out),
        Reply::Status(_) => {
            let mut data = String::new();
            typed::reply(reply, &mut data);
            push(None, &data, out);
        }
        _ => return false,
    }
    true
}

/// With an id, a browser that is cut off before the first message misses nothing.
fn joined(room: &str, last: Option<Id>, complete: bool, id: Option<Id>, out: &mut String) {
    let last = last.map(|last| last.to_string());
    let mut data = String::new();
    json::write(
        &Joined {
            room,
            last,
            complete,
        },
        &mut data,
    );
    write_event("joined", id, &data, out);
}

/// An object of the typed dialect, which begins with its type.
fn push(id: Option<Id>, data: &str, out: &mut String) {
    let kind = data.split('"').nth(3).unwrap_or_default();
    write_event(kind, id, data, out);
}

fn write_event(kind: &str, id: Option<Id>, data: &str, out: &mut String) {
    // Writing to a String can't fail.
    let _ = writeln!(out, "event: {kind}");
    if let Some(id) = id {
        let _ = writeln!(out, "id: {id}");
    }
    let _ = writeln!(out, "data: {data}\n");
}
