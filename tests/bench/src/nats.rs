//! As much of the NATS client protocol as rooms need: each is a subject, and nobody hears an echo.

use std::ops::Range;

/// The answer to a ping.
pub const PONG: &[u8] = b"PONG\r\n";

/// One thing that the server says.
pub enum Said {
    /// A message, and where its payload lies.
    Message(Range<usize>),
    /// To be answered with [`PONG`].
    Ping,
    /// The answer to a ping.
    Pong,
    /// An error.
    Error,
    /// Anything else.
    Other,
}

/// What these bytes begin with, and how many bytes that is, if all of it is there.
#[inline(always)]
pub fn next(bytes: &[u8]) -> Option<(Said, usize)> {
    let end = bytes.iter().position(|byte| *byte == b'\n')? + 1;
    let line = &bytes[..end];
    let said = match line.first()? {
        b'M' => {
            let digits = line[..end - 2].rsplit(|byte| *byte == b' ').next()?;
            let size = digits
                .iter()
                .fold(0, |size, digit| size * 10 + usize::from(digit & 15));
            let whole = end + size + 2;
            let message = Said::Message(end..end + size);
            return (bytes.len() >= whole).then_some((message, whole));
        }
        b'P' if line == PONG => Said::Pong,
        b'P' => Said::Ping,
        b'-' => Said::Error,
        _ => Said::Other,
    };
    Some((said, end))
}

/// What a client says when it comes; the answer to the ping says that it is in.
pub fn hello(room: &str) -> Vec<u8> {
    let options = r#"{"verbose":false,"pedantic":false,"echo":false}"#;
    format!("CONNECT {options}\r\nSUB {room} 1\r\nPING\r\n").into_bytes()
}

/// Appends a message to everybody else in the room.
pub fn publish(out: &mut Vec<u8>, room: &str, payload: &[u8]) {
    out.extend_from_slice(format!("PUB {room} {}\r\n", payload.len()).as_bytes());
    out.extend_from_slice(payload);
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_found_between_the_rest() {
        let said = b"INFO {}\r\nPONG\r\nMSG room 1 5\r\nhello\r\nPING\r\n-ERR 'x'\r\n";
        let (mut at, mut kinds) = (0, Vec::new());
        while let Some((found, used)) = next(&said[at..]) {
            kinds.push(match found {
                Said::Message(range) => format!("message of {}", range.len()),
                Said::Ping => "ping".to_owned(),
                Said::Pong => "pong".to_owned(),
                Said::Error => "error".to_owned(),
                Said::Other => "other".to_owned(),
            });
            at += used;
        }
        assert_eq!(at, said.len());
        assert_eq!(kinds, ["other", "pong", "message of 5", "ping", "error"]);
        assert!(next(b"MSG room 1 5\r\nhell").is_none());
    }
}
