//! Just enough HTTP/1.1 (RFC 9112) for one request per connection: read a head, bounded in size
//! and time, and answer it.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;

use super::socket::Socket;
use super::terms::Failure;
use crate::bus::within;

/// A head is at most this long …
const HEAD_BYTES: usize = 8 * 1024;
/// … and has at most this many headers; beyond either it is answered with 431 …
const HEAD_HEADERS: usize = 64;
/// … and must be complete after this long, else 408.
pub(super) const HEAD_TIME: Duration = Duration::from_secs(10);
/// An answer must be taken within this time, else the connection is cut.
const ANSWER_TIME: Duration = Duration::from_secs(10);

/// How TLS begins (RFC 8446, section 5.1): no method of HTTP does.
const HANDSHAKE: u8 = 22;

/// Every status that a request is answered with.
pub const STATUSES: [&str; 15] = [
    "101", "200", "304", "400", "401", "403", "404", "405", "408", "411", "413", "426", "429",
    "431", "503",
];

/// What becomes of something. Boxed, so that its code is in the binary once, and not with everybody
/// who waits for it.
pub(super) type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A request's head, as far as anybody here wants to know it.
#[derive(Debug, Default)]
pub struct Head {
    /// `GET` and so on, as sent.
    pub method: String,
    /// Path and query, as sent.
    pub target: String,
    /// HTTP/1.1, not 1.0.
    pub http11: bool,
    headers: Vec<(String, String)>,
}

impl Head {
    /// The first header of that name, in lower case. Bytes that are not UTF-8 come as U+FFFD.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers(name).next()
    }

    /// All headers of that name, in lower case, in their order.
    pub fn headers<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        let headers = self.headers.iter().filter(move |(key, _)| key == name);
        headers.map(|(_, value)| value.as_str())
    }

    /// Whether a header of comma-separated words holds this one, in any case.
    pub fn lists(&self, name: &str, word: &str) -> bool {
        self.headers(name).any(|value| {
            value.split(',').any(|item| {
                // `gzip;q=0.5` lists gzip, too.
                let item = item.split(';').next().unwrap_or_default();
                item.trim().eq_ignore_ascii_case(word)
            })
        })
    }

    /// Parses a head. `Ok(None)`: it is not complete yet. Else also its length.
    ///
    /// # Errors
    /// 400 for what is not HTTP/1, 431 for too many headers.
    pub fn parse(bytes: &[u8]) -> Result<Option<(Head, usize)>, Answer> {
        if bytes.first() == Some(&HANDSHAKE) {
            let line = "this port does not speak TLS: use http:// or ws://";
            return Err(Answer::text(400, line));
        }
        let mut headers = [httparse::EMPTY_HEADER; HEAD_HEADERS];
        let mut request = httparse::Request::new(&mut headers);
        let length = match request.parse(bytes) {
            Ok(httparse::Status::Complete(length)) => length,
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(httparse::Error::TooManyHeaders) => {
                return Err(Answer::text(431, "more than 64 headers"));
            }
            Err(error) => return Err(Answer::text(400, &format!("bad request: {error}"))),
        };
        let headers = request.headers.iter().map(|header| {
            let value = String::from_utf8_lossy(header.value).trim().to_string();
            (header.name.to_ascii_lowercase(), value)
        });
        let head = Head {
            headers: headers.collect(),
            method: request.method.unwrap_or_default().to_string(),
            target: request.path.unwrap_or_default().to_string(),
            http11: request.version == Some(1),
        };
        Ok(Some((head, length)))
    }
}

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
                            "the head is longer than 8 KiB",
                        )));
                    }
                }
            }
        };
        match within(HEAD_TIME, read).await {
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
        let mut head = format!(
            "HTTP/1.1 {} {}\r\nConnection: close\r\nX-Content-Type-Options: nosniff\r\n",
            self.status,
            phrase(self.status),
        );
        // Writing to a String can't fail. A 304 speaks of a body that it does not have.
        if self.status != 304 {
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
        304 => "Not Modified",
        400 => "Bad Request",
        #[cfg(feature = "tokens")]
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        #[cfg(feature = "tokens")]
        411 => "Length Required",
        #[cfg(feature = "tokens")]
        413 => "Content Too Large",
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
        within(ANSWER_TIME, socket.write_all(&bytes)).await;
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
    fn a_head_is_read_from_any_number_of_pieces() {
        let request = b"GET /chat/foo?room=x HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\n\r\nrest";
        for cut in 0..request.len() - 4 {
            assert!(Head::parse(&request[..cut]).unwrap().is_none(), "at {cut}");
        }
        let (head, length) = Head::parse(request).unwrap().unwrap();
        assert_eq!(
            (head.method.as_str(), head.target.as_str()),
            ("GET", "/chat/foo?room=x")
        );
        assert_eq!(&request[length..], b"rest");
        assert!(head.http11);
        assert!(head.lists("connection", "upgrade"));
        assert_eq!(head.header("host"), Some("a"));
    }

    #[test]
    fn what_is_not_http_is_refused() {
        for (bytes, status) in [
            (&b"\x16\x03\x01\x02\x00"[..], 400),
            (b"SSH-2.0-OpenSSH_9.2\r\n", 400),
            (b"PRI * HTTP/2.0\r\n\r\n", 400),
            (b"GET / HTTP/1.1\r\nbad header\r\n\r\n", 400),
        ] {
            let refused = Head::parse(bytes).map(|_| ()).unwrap_err();
            assert_eq!(refused.status, status, "{bytes:?}");
        }
        let many = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(65));
        assert_eq!(
            Head::parse(many.as_bytes()).map(|_| ()).unwrap_err().status,
            431
        );
    }
}
