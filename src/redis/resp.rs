//! Values out of a stream of bytes: finds where a reply ends (RESP2 and RESP3, the Redis
//! serialization protocol) and lets the `redis` crate read it.

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

/// What is a line and no more: texts, errors and numbers; in RESP3 also nothing, fractions, truth
/// and large numbers.
const LINES: &[u8] = b"+-:_,#(";
/// What has its length ahead, in bytes: texts; in RESP3 also those with a format, and errors.
const BYTES: &[u8] = b"$=!";
/// What has its length ahead, in values: arrays; in RESP3 also sets and what is published, and, with
/// two values for one, maps and what is said about the value behind them.
const VALUES: &[u8] = b"*~>%|";

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

    /// The next reply; an error that Redis answers with is a value, too. Where something is said
    /// about a value (RESP3's attributes), this is the value itself. Cancel safe.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidData`] for what is not RESP, [`io::ErrorKind::UnexpectedEof`] when
    /// the other side closes, and what the connection itself says.
    pub async fn next(&mut self) -> io::Result<Value> {
        loop {
            if let Some(length) = length(&self.buf[self.done..], 0)? {
                let reply = &self.buf[self.done..self.done + length];
                self.done += length;
                let mut value = redis::parse_redis_value(reply).map_err(|_| not_resp())?;
                while let Value::Attribute { data, .. } = value {
                    value = *data;
                }
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

/// How long the value at the beginning of `bytes` is; `None` when its end is not there yet.
fn length(bytes: &[u8], depth: u32) -> io::Result<Option<usize>> {
    let Some(&kind) = bytes.first() else {
        return Ok(None);
    };
    let known = [LINES, BYTES, VALUES]
        .iter()
        .any(|some| some.contains(&kind));
    if !known || depth > DEEPEST {
        return Err(not_resp());
    }
    // However much of it has come, a line of that length is too long.
    let begin = &bytes[..bytes.len().min(LONGEST_LINE)];
    let Some(line) = begin.windows(2).position(|two| two == b"\r\n") else {
        let hopeless = begin.len() == LONGEST_LINE;
        return if hopeless { Err(not_resp()) } else { Ok(None) };
    };
    let head = line + 2;
    if LINES.contains(&kind) {
        return Ok(Some(head));
    }
    let digits = std::str::from_utf8(&bytes[1..line]).map_err(|_| not_resp())?;
    let count: i64 = digits.parse().map_err(|_| not_resp())?;
    if count > LONGEST as i64 {
        return Err(not_resp());
    }
    // A negative count is RESP2's nothing; RESP3 has another one.
    let nothing = bytes[1] == b'-';
    if nothing && !b"$*".contains(&kind) {
        return Err(not_resp());
    }
    let count = count.max(0) as usize;
    if BYTES.contains(&kind) {
        let end = if nothing { head } else { head + count + 2 };
        return Ok((bytes.len() >= end).then_some(end));
    }
    let values = match kind {
        b'%' => 2 * count,
        b'|' => 2 * count + 1,
        _ => count,
    };
    let mut end = head;
    for _ in 0..values {
        match length(&bytes[end..], depth + 1)? {
            Some(length) => end += length,
            None => return Ok(None),
        }
    }
    Ok(Some(end))
}

#[cfg(test)]
mod tests {
    use redis::PushKind;

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
                assert_eq!(
                    length(&whole[..cut], 0).unwrap(),
                    None,
                    "{whole:?} at {cut}"
                );
            }
            let more = [whole, b"+next"].concat();
            assert_eq!(length(&more, 0).unwrap(), Some(whole.len()), "{whole:?}");
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
            assert!(length(bad, 0).is_err(), "{bad:?}");
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
            let Value::Push { kind, data } = replies.next().await.unwrap() else {
                panic!("nothing is published");
            };
            assert_eq!((kind, data), (PushKind::Message, vec![Value::Int(1)]));
            assert_eq!(replies.next().await.unwrap(), Value::Int(2));
            let end = replies.next().await.unwrap_err();
            assert_eq!(end.kind(), io::ErrorKind::UnexpectedEof);
        });
    }
}
