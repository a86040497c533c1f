//! Publishes a message by HTTP: `POST /rooms/{room}`, for scripts and other servers.
//!
//! It needs a token, claims no name and counts as no peer. The connection stays a pending one, limited
//! in size and time.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::context::ServerContext;
use super::forwarded::address;
use super::http::{Answer, HEAD_TIME, Head};
use super::rate_limits::ConnectionRate;
use super::route::PublishRequest;
use super::socket::Socket;
use crate::bus::NewMessage;
use crate::chat::event::{Refusal, TEXT_CHARS, Text};
use crate::chat::name::{Room, SessionKeyHash, User};
use crate::chat::peer::Receipt;
use crate::chat::rate::Verdict;
use crate::time::timeout;

/// The longest line end that tools send after a text.
const LINE_END_BYTES: usize = 2;
/// The most bytes of a text and its line end.
const BODY_BYTES: usize = TEXT_CHARS * 4 + LINE_END_BYTES;
/// How long publishing may take. A Redis that fails over is back by then.
pub(super) const BUS_TIME: Duration = Duration::from_secs(10);

/// Publishes the body of a request, and answers with the message's id. Not cancel safe: the message may
/// be published all the same.
///
/// # Errors
/// 400, 401, 403, 408, 411, 413, 429 or 503, with one line that says why.
pub(super) async fn receive(
    socket: &Socket,
    head: &Head,
    ahead: Bytes,
    from: IpAddr,
    request: PublishRequest,
    context: &ServerContext,
) -> Result<Answer, Answer> {
    let grant = context.authenticator.authenticate(head)?;
    grant.check(request.user.as_ref(), Some(&request.room))?;
    if context.draining() {
        return Err(Answer::retry_later(503, "the server shuts down"));
    }
    let user = &grant.user;
    let mut rate = ConnectionRate::default();
    if rate.check(
        &context.rate_limits,
        address(from),
        Some(user),
        Instant::now(),
    ) != Verdict::Pass
    {
        let why = Refusal::RateLimited(context.config.rate).to_string();
        return Err(Answer::text(429, &why).with("Retry-After", "1"));
    }
    let length = length(head, context.config.max_message)?;
    let reading = read(socket, head, ahead, length);
    let body = timeout(HEAD_TIME, reading).await;
    let body = body.ok_or_else(|| Answer::text(408, "no complete body within 10 seconds"))??;
    let text = text(&body, context.config.max_message)?;
    may_publish(context, user, &request.room).await?;
    // Redis is asked only for those who have begun many rooms.
    if !rate.may_begin_room(Instant::now()) {
        let roster = context.bus.roster(&request.room).await;
        if roster.is_some_and(|roster| roster.last.is_none()) {
            let why = Refusal::NewRooms.to_string();
            return Err(Answer::text(429, &why).with("Retry-After", "10"));
        }
    }
    let (receipt, outcome) = Receipt::to_caller(request.reference);
    let message = NewMessage {
        user: user.clone(),
        origin: context.peers.origin_of_none(),
        key_hash: Some(SessionKeyHash::for_token()),
        email: None,
        text,
        to: None,
        holder: None,
        receipt,
    };
    let publish = async {
        context.bus.publish(&request.room, message).await;
        outcome.wait().await.clone()
    };
    match timeout(BUS_TIME, publish).await {
        Some(Ok(id)) => {
            if id.n == 1 {
                rate.begin_room(Instant::now());
            }
            Ok(Answer::text(200, &id.to_string()))
        }
        Some(Err(refusal)) => Err(Answer::text(503, &refusal.to_string()).with("Retry-After", "5")),
        None => {
            let line = "no word from redis yet: it may still be published; with the same ref= it is safe to try again";
            Err(Answer::text(503, line).with("Retry-After", "5"))
        }
    }
}

/// Checks that moderators of the room let the user speak there.
async fn may_publish(context: &ServerContext, user: &User, room: &Room) -> Result<(), Answer> {
    let asked = timeout(BUS_TIME, context.bus.may_publish(room, user)).await;
    match asked.unwrap_or(Err(Refusal::Unavailable)) {
        Ok(()) => Ok(()),
        Err(Refusal::Unavailable) => Err(unavailable()),
        Err(refusal) => Err(Answer::text(403, &refusal.to_string())),
    }
}

/// The answer while the bus can't be asked.
pub(super) fn unavailable() -> Answer {
    Answer::text(503, &Refusal::Unavailable.to_string()).with("Retry-After", "5")
}

/// The length of the body (RFC 9112, section 6), which must be given, and is at most that of a text of
/// `most` bytes with its line end.
fn length(head: &Head, most: usize) -> Result<usize, Answer> {
    if head.header("transfer-encoding").is_some() {
        return Err(Answer::text(
            411,
            "Content-Length is needed, not Transfer-Encoding",
        ));
    }
    let mut lengths = head.headers("content-length");
    let Some(length) = lengths.next() else {
        return Err(Answer::text(411, "Content-Length is needed"));
    };
    let digits = !length.is_empty() && length.bytes().all(|b| b.is_ascii_digit());
    if !digits || lengths.any(|other| other != length) {
        return Err(Answer::text(400, "bad Content-Length"));
    }
    // A length that does not fit into a number is too long.
    match length.parse() {
        Ok(length) if length > most.saturating_add(LINE_END_BYTES) => Err(too_many_bytes(most)),
        Ok(length) if length > BODY_BYTES => Err(Answer::text(413, &Refusal::TooLong.to_string())),
        Ok(length) => Ok(length),
        Err(_) => Err(too_many_bytes(most)),
    }
}

fn too_many_bytes(most: usize) -> Answer {
    Answer::text(413, &format!("the text is longer than {most} bytes"))
}

/// Reads a body. `ahead` has come with the head. It has no deadline of its own.
async fn read(
    socket: &Socket,
    head: &Head,
    ahead: Bytes,
    length: usize,
) -> Result<Vec<u8>, Answer> {
    let mut body = ahead[..ahead.len().min(length)].to_vec();
    let gone = || Answer::text(400, "the body is shorter than its Content-Length");
    if body.len() < length && head.http11 && head.lists("expect", "100-continue") {
        let go_on = socket.write_all(b"HTTP/1.1 100 Continue\r\n\r\n");
        go_on.await.map_err(|_| gone())?;
    }
    while body.len() < length {
        let mut take = |read: &[u8]| {
            let missing = length - body.len();
            body.extend_from_slice(&read[..read.len().min(missing)]);
        };
        if !matches!(socket.read(&mut take).await, Ok(1..)) {
            return Err(gone());
        }
    }
    Ok(body)
}

/// The text in a body, of at most `most` bytes. A line end at its end is not part of the text, since
/// tools such as `echo` append it.
fn text(body: &[u8], most: usize) -> Result<Text, Answer> {
    let body = str::from_utf8(body).map_err(|_| Answer::text(400, "the body is not UTF-8"))?;
    let line = body.strip_suffix('\n');
    let line = line.map(|line| line.strip_suffix('\r').unwrap_or(line));
    let text = line.unwrap_or(body);
    if text.len() > most {
        return Err(too_many_bytes(most));
    }
    Text::new(text).map_err(|refusal| {
        let status = match refusal {
            Refusal::TooLong => 413,
            _ => 400,
        };
        Answer::text(status, &refusal.to_string())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_one_text() {
        let said = |body: &[u8]| match text(body, 4096 * 4) {
            Ok(text) => Ok(text.as_str().to_string()),
            Err(answer) => Err(answer.status),
        };
        assert_eq!(said(b"hello"), Ok("hello".into()));
        assert_eq!(said(b"hello\n"), Ok("hello".into()));
        assert_eq!(said(b"hello\r\n"), Ok("hello".into()));
        assert_eq!(said(b"one\ntwo\n\n"), Ok("one\ntwo\n".into()));
        assert_eq!(said(b" \n"), Err(400));
        assert_eq!(said(b"\xff"), Err(400));
        assert_eq!(said("日".repeat(4096).as_bytes()).map(|_| ()), Ok(()));
        assert_eq!(said("x".repeat(4097).as_bytes()), Err(413));
        // The line end is not part of the text.
        for (body, fits) in [
            (&b"four\r\n"[..], true),
            (b"four\n", true),
            (b"five!", false),
        ] {
            assert_eq!(text(body, 4).is_ok(), fits, "{body:?}");
        }
    }
}
