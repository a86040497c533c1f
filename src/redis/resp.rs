//! Values out of a stream of bytes: RESP, the Redis serialization protocol, in its versions 2 and 3.
//! What only version 3 has is read as what version 2 has in its place: maps, sets and what is published
//! as arrays, and attributes are skipped.
//!
//! It is not the parser of the `redis` crate: that one costs 90 KB of binary, and it needs the end of
//! a reply to be found before.

use std::io;
use std::pin::Pin;
use std::task::{Poll, ready};

use redis::Value;
use smol::future;
use smol::io::AsyncRead;

/// How much is read at once, at most.
const READ_SIZE: usize = 16 * 1024;
/// A buffer larger than this, after a page of a log, is given back.
const KEPT: usize = 8 * READ_SIZE;
/// No reply we ask for comes near this. A longer one means that the other side is no Redis.
const LONGEST: usize = 64 * 1024 * 1024;
/// Nor does a line, the longest of which is an error.
const LONGEST_LINE: usize = 16 * 1024;
/// Replies are arrays of arrays at most.
const DEEPEST: u32 = 8;

/// The replies on one connection.
#[derive(Debug)]
pub struct Replies<R> {
    io: R,
    buf: Vec<u8>,
    /// What has been read out of `buf` already.
    done: usize,
}

impl<R: AsyncRead + Unpin> Replies<R> {
    /// Nothing read yet.
    pub fn new(io: R) -> Replies<R> {
        Replies {
            io,
            buf: Vec::new(),
            done: 0,
        }
    }

    /// The next reply; an error that Redis answers with is a value, too. Cancel safe.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidData`] for what is not RESP, [`io::ErrorKind::UnexpectedEof`] when
    /// the other side closes, and what the connection itself says.
    pub async fn next(&mut self) -> io::Result<Value> {
        loop {
            if let Some((value, length)) = value(&self.buf[self.done..], 0)? {
                self.done += length;
                return Ok(value);
            }
            self.buf.drain(..self.done);
            self.done = 0;
            if self.buf.is_empty() && self.buf.capacity() > KEPT {
                self.buf = Vec::new();
            }
            if self.buf.len() > LONGEST {
                return Err(not_resp());
            }
            let read = future::poll_fn(|cx| {
                // Not a part of the future, which would be that much larger.
                let mut chunk = [0; READ_SIZE];
                let n = ready!(Pin::new(&mut self.io).poll_read(cx, &mut chunk))?;
                self.buf.extend_from_slice(&chunk[..n]);
                Poll::Ready(io::Result::Ok(n))
            });
            if read.await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }
}

fn not_resp() -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        "the other side does not speak Redis' protocol",
    )
}

/// The value at the beginning of `bytes`, and how long it is there; `None` when its end is not there
/// yet.
///
/// # Errors
/// [`io::ErrorKind::InvalidData`] for what is not RESP.
fn value(bytes: &[u8], depth: u32) -> io::Result<Option<(Value, usize)>> {
    if depth > DEEPEST {
        return Err(not_resp());
    }
    let Some((&kind, rest)) = bytes.split_first() else {
        return Ok(None);
    };
    if !b"+-:_,#($=!*~>%|".contains(&kind) {
        return Err(not_resp());
    }
    // However much of it has come, a line of that length is too long.
    let begin = &rest[..rest.len().min(LONGEST_LINE)];
    let Some(end) = begin.windows(2).position(|two| two == b"\r\n") else {
        let hopeless = begin.len() == LONGEST_LINE;
        return if hopeless { Err(not_resp()) } else { Ok(None) };
    };
    let line = std::str::from_utf8(&rest[..end]).map_err(|_| not_resp())?;
    let number = || line.parse::<i64>().map_err(|_| not_resp());
    let head = 1 + end + 2;
    let single = match kind {
        b'+' if line == "OK" => Value::Okay,
        b'-' => server_error(line),
        b':' => Value::Int(number()?),
        b'_' => Value::Nil,
        // The last three are fractions, truth and large numbers, which no command of ours answers.
        b'+' | b',' | b'#' | b'(' => Value::SimpleString(line.into()),
        _ => return counted(kind, number()?, bytes, head, depth),
    };
    Ok(Some((single, head)))
}

/// The value whose length, in bytes or values, has been read: its content begins at `head`.
fn counted(
    kind: u8,
    count: i64,
    bytes: &[u8],
    head: usize,
    depth: u32,
) -> io::Result<Option<(Value, usize)>> {
    // A negative count is RESP2's nothing; RESP3 has another one.
    if count < 0 && b"$*".contains(&kind) {
        return Ok(Some((Value::Nil, head)));
    }
    let count = usize::try_from(count).map_err(|_| not_resp())?;
    if count > LONGEST {
        return Err(not_resp());
    }
    if b"$=!".contains(&kind) {
        let Some(content) = bytes.get(head..head + count + 2) else {
            return Ok(None);
        };
        let content = content.strip_suffix(b"\r\n").ok_or_else(not_resp)?;
        let value = match kind {
            b'!' => server_error(&String::from_utf8_lossy(content)),
            // `txt:` or another format of three letters comes first.
            b'=' => Value::BulkString(content.get(4..).ok_or_else(not_resp)?.to_vec()),
            _ => Value::BulkString(content.to_vec()),
        };
        return Ok(Some((value, head + count + 2)));
    }
    let values = match kind {
        b'%' | b'|' => 2 * count,
        _ => count,
    };
    let (mut read, mut end) = (Vec::new(), head);
    for _ in 0..values {
        let Some((value, length)) = value(&bytes[end..], depth + 1)? else {
            return Ok(None);
        };
        read.push(value);
        end += length;
    }
    if kind == b'|' {
        let described = value(&bytes[end..], depth + 1)?;
        return Ok(described.map(|(value, length)| (value, end + length)));
    }
    Ok(Some((Value::Array(read), end)))
}

/// An error: its code, and what it says.
fn server_error(line: &str) -> Value {
    let (code, details) = match line.split_once(' ') {
        Some((code, details)) => (code, Some(details.to_string())),
        None => (line, None),
    };
    let error = redis::make_extension_error(code.into(), details);
    Value::ServerError(error.try_into().expect("it is an error of the server"))
}

/// A whole reply, read.
#[cfg(test)]
pub fn parsed(reply: &str) -> Value {
    let (value, _) = value(reply.as_bytes(), 0).unwrap().unwrap();
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reply_ends_where_it_ends() {
        for whole in [
            &b"+OK\r\n"[..],
            b"-ERR no\r\n",
            b":42\r\n",
            b"$-1\r\n",
            b"$0\r\n\r\n",
            b"$5\r\na\r\nbc\r\n",
            b"*-1\r\n",
            b"*0\r\n",
            b"*3\r\n$7\r\nmessage\r\n*2\r\n:1\r\n+a\r\n$1\r\nx\r\n",
            b"_\r\n",
            b"#t\r\n",
            b",1.5\r\n",
            b"(3492890328409238509324850943850943825024385\r\n",
            b"=15\r\ntxt:Some string\r\n",
            b"!21\r\nSYNTAX invalid syntax\r\n",
            b"%0\r\n",
            b"%2\r\n+a\r\n:1\r\n+b\r\n*1\r\n:2\r\n",
            b"~2\r\n+a\r\n_\r\n",
            b">3\r\n$7\r\nmessage\r\n$1\r\na\r\n$1\r\nx\r\n",
            b"|1\r\n+ttl\r\n:3600\r\n*1\r\n:1\r\n",
        ] {
            for cut in 0..whole.len() {
                assert_eq!(value(&whole[..cut], 0).unwrap(), None, "{whole:?} at {cut}");
            }
            let more = [whole, b"+next"].concat();
            let (_, length) = value(&more, 0).unwrap().unwrap();
            assert_eq!(length, whole.len(), "{whole:?}");
        }
    }

    #[test]
    fn what_is_not_resp_is_an_error() {
        let nested = "*1\r\n".repeat(100_000);
        let long = format!("+{}\r\n", "x".repeat(LONGEST_LINE));
        for bad in [
            &b"HTTP/1.1"[..],
            b"\x15\x03\x01",
            b"$x\r\n",
            b"*99999999999\r\n",
            b"%-1\r\n",
            b">-1\r\n",
            b"=-1\r\n",
            b"$?\r\n",
            nested.as_bytes(),
            long.as_bytes(),
        ] {
            assert!(value(bad, 0).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn replies_are_read_a_byte_at_a_time_too() {
        struct Drip<'a>(&'a [u8]);
        impl AsyncRead for Drip<'_> {
            fn poll_read(
                mut self: std::pin::Pin<&mut Self>,
                _: &mut std::task::Context<'_>,
                buf: &mut [u8],
            ) -> std::task::Poll<io::Result<usize>> {
                let Some((first, rest)) = self.0.split_first() else {
                    return std::task::Poll::Ready(Ok(0));
                };
                buf[0] = *first;
                self.0 = rest;
                std::task::Poll::Ready(Ok(1))
            }
        }
        smol::block_on(async {
            let mut replies = Replies::new(Drip(
                b"+OK\r\n*2\r\n:1\r\n$2\r\nab\r\n>2\r\n+message\r\n:1\r\n|1\r\n+a\r\n+b\r\n:2\r\n",
            ));
            assert_eq!(replies.next().await.unwrap(), Value::Okay);
            let pair = Value::Array(vec![Value::Int(1), Value::BulkString(b"ab".to_vec())]);
            assert_eq!(replies.next().await.unwrap(), pair);
            let published = vec![Value::SimpleString("message".into()), Value::Int(1)];
            assert_eq!(replies.next().await.unwrap(), Value::Array(published));
            assert_eq!(replies.next().await.unwrap(), Value::Int(2));
            let end = replies.next().await.unwrap_err();
            assert_eq!(end.kind(), io::ErrorKind::UnexpectedEof);
        });
    }
}
