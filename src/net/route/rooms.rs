//! Requests to `/rooms/{room}`: to publish a message, to read messages, to take one back, and to follow a
//! room.

use super::{ChatRequest, Route, bad_name, id};
use crate::chat::dialect::{Dialect, REFERENCE_BYTES};
use crate::chat::id::Id;
use crate::chat::name::{Room, User};
use crate::chat::replay::Past;
use crate::config::Origin;
use crate::net::cors::check_origin;
use crate::net::http::query::{decode, parameter};
use crate::net::http::{Answer, Head};

/// The methods of a room.
const METHODS: &str = "GET, HEAD, POST, OPTIONS";
/// The methods of a message.
const MESSAGE_METHODS: &str = "DELETE, OPTIONS";
/// The most messages that one answer may have.
const MOST_MESSAGES: usize = 100;
/// How many messages an answer has if the client gives no limit.
const USUAL_MESSAGES: usize = 50;

/// A request to publish a message. The names in it are valid.
#[derive(Debug, PartialEq, Eq)]
pub struct PublishRequest {
    /// The room.
    pub room: Room,
    /// The name, if it is given.
    pub user: Option<User>,
    /// The client's name for its message, with which it can be sent again.
    pub reference: Option<String>,
}

/// A request to read messages. The name in it is valid.
#[derive(Debug, PartialEq, Eq)]
pub struct ReadRequest {
    /// The room.
    pub room: Room,
    /// Which messages.
    pub page: Page,
    /// The most messages to return, at least 1.
    pub limit: usize,
}

/// A request to take a message back. The name in it is valid.
#[derive(Debug, PartialEq, Eq)]
pub struct DeleteRequest {
    /// The room.
    pub room: Room,
    /// The message; `None` if there can't be one.
    pub id: Option<Id>,
}

/// Which messages of a room to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Page {
    /// The first ones after this message.
    Since(Id),
    /// The last ones before this message; without one, the newest.
    Before(Option<Id>),
}

/// Decides what a request to a room is for.
///
/// # Errors
/// The answer that refuses it: 400, 403 or 405.
pub(super) fn route(
    head: &Head,
    room: &str,
    query: &str,
    origins: &[Origin],
) -> Result<Route, Answer> {
    let route = match head.method.as_str() {
        _ if room.contains('/') => message(head, room)?,
        "OPTIONS" => Route::Options(METHODS),
        "POST" => Route::Publish(publish(room, query)?),
        "GET" | "HEAD" => {
            let request = read(room, query)?;
            match wants_events(head) {
                true => Route::Follow(follow(head, request)?),
                false => Route::Read(request),
            }
        }
        _ => return Err(Answer::wrong_method(METHODS)),
    };
    check_origin(head, origins)?;
    Ok(route)
}

/// A request about one message: `room` is its room and its id.
fn message(head: &Head, room: &str) -> Result<Route, Answer> {
    let (room, id) = room.split_once('/').unwrap_or((room, ""));
    match head.method.as_str() {
        "OPTIONS" => Ok(Route::Options(MESSAGE_METHODS)),
        "DELETE" => Ok(Route::Delete(DeleteRequest {
            room: name(room)?,
            id: id.parse().ok(),
        })),
        _ => Err(Answer::wrong_method(MESSAGE_METHODS)),
    }
}

fn publish(room: &str, query: &str) -> Result<PublishRequest, Answer> {
    let user = parameter(query, "user")?.map(|user| User::new(&user));
    let request = PublishRequest {
        room: name(room)?,
        user: user.transpose().map_err(bad_name)?,
        reference: parameter(query, "ref")?,
    };
    let reference = request.reference.as_ref();
    if reference.is_some_and(|name| name.len() > REFERENCE_BYTES) {
        return Err(Answer::text(400, "ref is longer than 256 bytes"));
    }
    Ok(request)
}

fn read(room: &str, query: &str) -> Result<ReadRequest, Answer> {
    let page = match (id(query, "since")?, id(query, "before")?) {
        (Some(_), Some(_)) => return Err(Answer::text(400, "either since or before, not both")),
        (Some(since), None) => Page::Since(since),
        (None, before) => Page::Before(before),
    };
    let limit = parameter(query, "limit")?;
    let limit = limit.map_or(Ok(USUAL_MESSAGES), |limit| limit.parse());
    let limit = limit
        .ok()
        .filter(|limit| (1..=MOST_MESSAGES).contains(limit));
    Ok(ReadRequest {
        room: name(room)?,
        page,
        limit: limit.ok_or_else(|| Answer::text(400, "bad limit: it is a number from 1 to 100"))?,
    })
}

/// Whether the client would rather have server-sent events than JSON.
fn wants_events(head: &Head) -> bool {
    let weight = |media_type| head.weight("accept", media_type).unwrap_or(0);
    weight("text/event-stream") > weight("application/json")
}

/// Where a stream begins: a browser that reconnects says what it has heard.
fn follow(head: &Head, request: ReadRequest) -> Result<ChatRequest, Answer> {
    let heard = head.header("last-event-id").filter(|id| !id.is_empty());
    let heard = heard.map(|id| {
        id.parse()
            .map_err(|_| Answer::text(400, "bad Last-Event-ID"))
    });
    let since = match request.page {
        Page::Since(id) => Some(id),
        Page::Before(None) => None,
        Page::Before(Some(_)) => return Err(Answer::text(400, "a stream has no before")),
    };
    Ok(ChatRequest {
        dialect: Dialect::Events,
        user: None,
        room: Some(request.room),
        session: None,
        private: None,
        past: heard.transpose()?.or(since).map(Past::Since),
    })
}

fn name(room: &str) -> Result<Room, Answer> {
    Room::new(&decode(room)?).map_err(bad_name)
}
