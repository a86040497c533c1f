//! An answer to a request, in bytes (RFC 9112, section 4).

use std::borrow::Cow;
use std::fmt::Write as _;
use std::time::SystemTime;

use bytes::Bytes;
use httpdate::fmt_http_date;

/// All statuses of answers.
pub const STATUSES: [&str; 18] = [
    "101", "200", "204", "304", "400", "401", "403", "404", "405", "406", "408", "411", "413",
    "421", "426", "429", "431", "503",
];

/// An answer with its body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// Headers beyond those that every answer has.
    headers: Vec<(&'static str, String)>,
    /// `None` if it follows until the connection ends.
    body: Option<Bytes>,
}

impl Answer {
    /// One line of text that must not be cached.
    pub fn text(status: u16, line: &str) -> Answer {
        Answer {
            body: Some(format!("{line}\n").into()),
            ..Answer::empty(status)
        }
        .with("Content-Type", "text/plain; charset=utf-8")
        .with("Cache-Control", "no-store")
    }

    /// A refusal after which the client may try again.
    pub fn retry_later(status: u16, why: &str) -> Answer {
        Answer::text(status, &format!("{why}, please try again later")).with("Retry-After", "5")
    }

    /// The refusal of a method.
    pub fn wrong_method(allowed: &str) -> Answer {
        Answer::text(405, &format!("wrong method: use {allowed}")).with("Allow", allowed)
    }

    /// A file that the browser revalidates each time.
    pub fn file(content_type: &str, body: Bytes) -> Answer {
        Answer {
            body: Some(body),
            ..Answer::empty(200)
        }
        .with("Content-Type", content_type)
        .with("Cache-Control", "no-cache")
    }

    /// The head of a stream of server-sent events.
    pub fn events() -> Answer {
        Answer {
            body: None,
            ..Answer::empty(200)
        }
        .with("Content-Type", "text/event-stream")
        .with("Cache-Control", "no-store")
        .with("Vary", "Accept")
        // nginx would collect some kilobytes first.
        .with("X-Accel-Buffering", "no")
    }

    /// An answer without a body.
    pub fn empty(status: u16) -> Answer {
        Answer {
            status,
            headers: Vec::new(),
            body: Some(Bytes::new()),
        }
    }

    /// The first line of its body.
    pub fn line(&self) -> Cow<'_, str> {
        let body = self.body.as_deref().unwrap_or_default();
        let line = body.split(|byte| *byte == b'\n').next();
        String::from_utf8_lossy(line.unwrap_or_default())
    }

    /// Adds a header.
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Answer {
        self.headers.push((name, value.into()));
        self
    }

    /// Whether it has a header.
    pub fn has(&self, name: &str) -> bool {
        self.headers.iter().any(|(known, _)| *known == name)
    }

    /// The answer in bytes; only its head if the request was a `HEAD`.
    pub fn bytes(&self, head_only: bool) -> Vec<u8> {
        // `Upgrade` is a header of this connection only (RFC 9110, section 7.8).
        let connection = match self.status {
            426 => "close, Upgrade",
            _ => "close",
        };
        let mut head = format!(
            "HTTP/1.1 {} {}\r\nConnection: {connection}\r\nDate: {}\r\nX-Content-Type-Options: nosniff\r\n",
            self.status,
            phrase(self.status),
            fmt_http_date(SystemTime::now()),
        );
        // Writing to a String can't fail. A 304 gives the length of a body that it does not have,
        // and a 204 must not give one (RFC 9110, section 8.6).
        if let Some(body) = &self.body
            && !matches!(self.status, 204 | 304)
        {
            let _ = write!(head, "Content-Length: {}\r\n", body.len());
        }
        for (name, value) in &self.headers {
            let _ = write!(head, "{name}: {value}\r\n");
        }
        head.push_str("\r\n");
        let mut bytes = head.into_bytes();
        if let Some(body) = self.body.as_ref().filter(|_| !head_only) {
            bytes.extend_from_slice(body);
        }
        bytes
    }
}

fn phrase(status: u16) -> &'static str {
    match status {
        200 => "OK",
        204 => "No Content",
        304 => "Not Modified",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        408 => "Request Timeout",
        411 => "Length Required",
        413 => "Content Too Large",
        421 => "Misdirected Request",
        426 => "Upgrade Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        503 => "Service Unavailable",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_has_its_phrase_and_every_answer_its_date() {
        let known = STATUSES.iter().map(|status| status.parse().unwrap());
        for status in known.filter(|status| *status != 101) {
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
