//! Reads messages of a room by HTTP: `GET /rooms/{room}`.

use std::fmt::Write as _;

use super::context::ServerContext;
use super::http::{Answer, Head};
use super::route::{Page, ReadRequest};
use crate::chat::dialect::Dialect;
use crate::chat::event::{Event, newest, pieces};
use crate::chat::name::Room;
use crate::chat::replay::{Epochs, Past, Replay};

/// The most bytes of the messages in one answer, unless one alone has more.
const PAGE_BYTES: usize = 64 * 1024;

/// Answers with messages of a room in JSON; 304 if the client has them: the room's last message
/// and what was taken back since. Cancel safe.
///
/// # Errors
/// 503 while Redis is away.
pub(super) async fn answer(
    head: &Head,
    request: ReadRequest,
    context: &ServerContext,
) -> Result<Answer, Answer> {
    let unavailable = || Answer::retry_later(503, "the room can't be read right now");
    let epochs = context.bus.epochs(&request.room).await;
    let epochs = epochs.ok_or_else(unavailable)?;
    let last = epochs.last_message().map(|last| last.to_string());
    let deletions = context.bus.deletions(&request.room).await;
    let tag = match (&last, deletions.map_err(|_| unavailable())?) {
        (None, _) => None,
        (Some(last), 0) => Some(format!("\"{last}\"")),
        (Some(last), deletions) => Some(format!("\"{last}.{deletions}\"")),
    };
    let answer = if tag.as_ref().is_some_and(|tag| head.has_tagged(tag)) {
        Answer::empty(304).with("Cache-Control", "no-cache")
    } else {
        let (messages, complete) = page(&request, epochs, context)
            .await
            .ok_or_else(unavailable)?;
        let body = json(&request.room, &messages, last, complete);
        Answer::file("application/json", body.into())
    };
    let answer = answer.with("Vary", "Accept");
    Ok(match tag {
        Some(tag) => answer.with("ETag", tag),
        None => answer,
    })
}

/// Reads messages up to the last one of these epochs. Returns them, and whether the log has all that
/// were ever there: after `since`, or from the beginning on. `None` if the bus can't be asked now.
async fn page(
    request: &ReadRequest,
    epochs: Epochs,
    context: &ServerContext,
) -> Option<(Vec<Event>, bool)> {
    let ReadRequest { room, limit, .. } = request;
    match request.page {
        Page::Since(since) => {
            let mut replay = Replay::new(Some(Past::Since(since)), epochs);
            let messages = match replay.left() {
                Some(stretch) => context.bus.read(room, stretch, *limit).await?,
                None => Vec::new(),
            };
            replay.found(messages.iter().filter_map(Event::id));
            let first = pieces(&messages, PAGE_BYTES).next().unwrap_or_default();
            Some((first.to_vec(), replay.complete()))
        }
        Page::Before(before) => {
            let end = epochs.last.next();
            let before = before.map_or(end, |before| before.min(end));
            let read = context
                .bus
                .history_before(room, Some(before), *limit)
                .await?;
            let messages = newest(&read, PAGE_BYTES);
            let first = messages.first().and_then(Event::id).unwrap_or(before);
            Some((messages.to_vec(), epochs.begin_at(first)))
        }
    }
}

fn json(room: &Room, messages: &[Event], last: Option<String>, complete: bool) -> String {
    let text = |text: &str| serde_json::to_string(text).expect("a text is always JSON");
    let mut out = format!("{{\"room\":{},\"messages\":[", text(room.as_str()));
    for (place, message) in messages.iter().enumerate() {
        if place > 0 {
            out.push(',');
        }
        Dialect::Typed.render(message, &mut out);
    }
    let last = last.map_or("null".into(), |last| text(&last));
    // Writing to a String can't fail.
    let _ = write!(out, "],\"last\":{last},\"complete\":{complete}}}");
    out
}
