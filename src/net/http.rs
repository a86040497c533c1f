//! Just enough HTTP/1.1 (RFC 9112) for one request per connection: read a head, bounded in size
//! and time, and answer it.

mod head;

use std::borrow::Cow;
use std::fmt::Write as _;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;

use super::socket::Socket;
use super::terms::Failure;
use crate::time::timeout;
use crate::utc::Utc;
pub use head::Head;

/// A head is at most this long, else it is answered with 431 …
const HEAD_BYTES: usize = 16 * 1024;
/// … and must be complete after this long, else 408.
pub(super) const HEAD_TIME: Duration = Duration::from_secs(10);
/// An answer must be taken within this time, else the connection is cut.
const ANSWER_TIME: Duration = Duration::from_secs(10);

/// Every status that a request is answered with.
pub const STATUSES: [&str; 18] = [
    "101", "200", "204", "304", "400", "401", "403", "404", "405", "406", "408", "411", "413",
    "421", "426", "429", "431", "503",
];

/// What becomes of something. Boxed, so that its code is in the binary once, and not with everybody
/// who waits for it.
pub(super) type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Why no head came.
#[derive(Debug)]
pub enum NoHead {
    /// The other side went away, or never said anything: there is nobody to answer.
    Gone,
    /// It is to be told this.
    Refuse(Answer),
    /// There is no TLS with it, so nothing can be said.
    NoTls(Failure),
}

/// Reads a head, after the handshake where TLS is spoken, and with it perhaps some of what follows.
/// Tells `speaks` once some of it has come, and not all.
///
/// # Errors
/// [`NoHead::Refuse`] with 400, 408 or 431. Not cancel safe: what was read is lost.
pub fn read_head<'a>(
    socket: &'a Socket,
    speaks: &'a (dyn Fn() + Sync),
) -> Boxed<'a, Result<(Head, Bytes), NoHead>> {
    Box::pin(async move {
        // Browsers open connections in advance: one that says nothing has no buffer.
        let mut head = Vec::new();
        let read = async {
            socket.handshake().await.map_err(NoHead::NoTls)?;
            loop {
                let first = head.is_empty();
                let mut take = |bytes: &[u8]| head.extend_from_slice(bytes);
                let read = socket.read(&mut take);
                if !matches!(read.await, Ok(1..)) {
                    return Err(NoHead::Gone);
                }
                let parsed = Head::parse(&head).map_err(NoHead::Refuse)?;
                match parsed {
                    Some((parsed, length)) if length <= HEAD_BYTES => {
                        return Ok((parsed, Bytes::copy_from_slice(&head[length..])));
                    }
                    None if head.len() <= HEAD_BYTES && first => speaks(),
                    None if head.len() <= HEAD_BYTES => {}
                    _ => {
                        return Err(NoHead::Refuse(Answer::text(
                            431,
                            "the head is longer than 16 KiB",
                        )));
                    }
                }
            }
        };
        match timeout(HEAD_TIME, read).await {
            Some(result) => result,
            None if head.is_empty() && !socket.is_shaking() => Err(NoHead::Gone),
            None if socket.is_shaking() => Err(NoHead::NoTls(Failure::SLOW)),
            None => Err(NoHead::Refuse(Answer::text(
                408,
                "no complete head within 10 seconds",
            ))),
        }
    })
}

/// An answer with its body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// Headers beyond those that every answer has.
    headers: Vec<(&'static str, String)>,
    body: Bytes,
}

impl Answer {
    /// One line of text, about this moment.
    pub fn text(status: u16, line: &str) -> Answer {
        Answer {
            body: format!("{line}\n").into(),
            ..Answer::empty(status)
        }
        .with("Content-Type", "text/plain; charset=utf-8")
        .with("Cache-Control", "no-store")
    }

    /// A file, to be asked for again each time.
    pub fn file(content_type: &str, body: Bytes) -> Answer {
        Answer {
            body,
            ..Answer::empty(200)
        }
        .with("Content-Type", content_type)
        .with("Cache-Control", "no-cache")
    }

    /// No body.
    pub fn empty(status: u16) -> Answer {
        Answer {
            status,
            headers: Vec::new(),
            body: Bytes::new(),
        }
    }

    /// The first line of its body.
    pub fn line(&self) -> Cow<'_, str> {
        let line = self.body.split(|byte| *byte == b'\n').next();
        String::from_utf8_lossy(line.unwrap_or_default())
    }

    /// The same with one more header.
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Answer {
        self.headers.push((name, value.into()));
        self
    }

    /// As it is sent; only its head if the request was a `HEAD`.
    pub fn bytes(&self, head_only: bool) -> Vec<u8> {
        let mut bytes = self.head().into_bytes();
        if !head_only {
            bytes.extend_from_slice(&self.body);
        }
        bytes
    }

    fn head(&self) -> String {
        // Who is to upgrade is told so for this hop (RFC 9110, section 7.8).
        let connection = match self.status {
            426 => "close, Upgrade",
            _ => "close",
        };
        let mut head = format!(
            "HTTP/1.1 {} {}\r\nConnection: {connection}\r\nDate: {}\r\nX-Content-Type-Options: nosniff\r\n",
            self.status,
            phrase(self.status),
            Utc::now().http(),
        );
        // Writing to a String can't fail. A 304 speaks of a body that it does not have, and a 204
        // must not speak of one (RFC 9110, section 8.6).
        if !matches!(self.status, 204 | 304) {
            let _ = write!(head, "Content-Length: {}\r\n", self.body.len());
        }
        for (name, value) in &self.headers {
            let _ = write!(head, "{name}: {value}\r\n");
        }
        head + "\r\n"
    }
}

fn phrase(status: u16) -> &'static str {
    match status {
        200 => "OK",
        204 => "No Content",
        304 => "Not Modified",
        400 => "Bad Request",
        #[cfg(feature = "tokens")]
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        408 => "Request Timeout",
        #[cfg(feature = "tokens")]
        411 => "Length Required",
        #[cfg(feature = "tokens")]
        413 => "Content Too Large",
        421 => "Misdirected Request",
        426 => "Upgrade Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        503 => "Service Unavailable",
        _ => "",
    }
}

/// Sends an answer; only its head if the request was a `HEAD`. Whether it arrived is nobody's
/// business any more.
pub fn answer<'a>(socket: &'a Socket, answer: &Answer, head_only: bool) -> Boxed<'a, ()> {
    let bytes = answer.bytes(head_only);
    Box::pin(async move {
        timeout(ANSWER_TIME, socket.write_all(&bytes)).await;
    })
}

/// Agrees to a WebSocket (RFC 6455, section 4.2.2), and to the subprotocol that was chosen.
pub fn switching(accept: &str, protocol: Option<&str>) -> Bytes {
    let (name, protocol, end) = match protocol {
        Some(protocol) => ("Sec-WebSocket-Protocol: ", protocol, "\r\n"),
        None => ("", "", ""),
    };
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Accept: {accept}\r\n{name}{protocol}{end}\r\n"
    )
    .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_has_its_phrase_and_every_answer_its_date() {
        let known = STATUSES.iter().map(|status| status.parse().unwrap());
        for status in known.filter(|status| ![101, 401, 411, 413].contains(status)) {
            let head = String::from_utf8(Answer::empty(status).bytes(true)).unwrap();
            let (first, rest) = head.split_once("\r\n").unwrap();
            assert!(!first.ends_with(' '), "{first}");
            assert!(
                rest.contains("\r\nDate: ") && rest.contains(" GMT\r\n"),
                "{head}"
            );
            let has_length = !matches!(status, 204 | 304);
            assert_eq!(rest.contains("Content-Length: 0\r\n"), has_length, "{head}");
            let upgrades = rest.starts_with("Connection: close, Upgrade\r\n");
            assert_eq!(upgrades, status == 426, "{head}");
        }
    }
}
