//! Values out of a stream of bytes. The `redis` crate reads the protocol (RESP2 and RESP3, the Redis
//! serialization protocol); this hands it what has arrived, and bounds that.

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, Read};

use redis::{Parser, Value};
use smol::io::{AsyncRead, AsyncReadExt};

/// How much is read at once, at most.
const READ_SIZE: usize = 16 * 1024;
/// No reply we ask for comes near this. A longer one means that the other side is no Redis.
const LONGEST: usize = 64 * 1024 * 1024;

/// The replies on one connection.
pub struct Replies<R> {
    io: R,
    parser: Parser,
    arrived: Arrived,
    /// How many bytes have arrived since the last reply.
    length: usize,
}

/// What has arrived and is not parsed yet. Empty does not mean that it ends there.
struct Arrived(VecDeque<u8>);

impl Read for Arrived {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self.0.read(buf)? {
            0 => Err(io::ErrorKind::WouldBlock.into()),
            n => Ok(n),
        }
    }
}

impl<R> fmt::Debug for Replies<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Replies")
    }
}

impl<R: AsyncRead + Unpin> Replies<R> {
    /// Nothing read yet.
    pub fn new(io: R) -> Replies<R> {
        Replies {
            io,
            parser: Parser::new(),
            arrived: Arrived(VecDeque::new()),
            length: 0,
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
            match self.parser.parse_value(&mut self.arrived) {
                Ok(mut value) => {
                    self.length = 0;
                    while let Value::Attribute { data, .. } = value {
                        value = *data;
                    }
                    return Ok(value);
                }
                // Its end has not arrived yet.
                Err(error) if error.is_timeout() && self.length <= LONGEST => {}
                Err(_) => {
                    let why = "the other side does not speak Redis' protocol";
                    return Err(io::Error::new(io::ErrorKind::InvalidData, why));
                }
            }
            let mut chunk = [0; READ_SIZE];
            match self.io.read(&mut chunk).await? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                n => {
                    self.arrived.0.extend(&chunk[..n]);
                    self.length += n;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use redis::PushKind;

    use super::*;

    fn first(bytes: &[u8]) -> io::Result<Value> {
        smol::block_on(Replies::new(bytes).next())
    }

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
                let error = first(&whole[..cut]).unwrap_err();
                let kind = io::ErrorKind::UnexpectedEof;
                assert_eq!(error.kind(), kind, "{whole:?} at {cut}");
            }
            smol::block_on(async {
                let more = [whole, b"+next\r\n"].concat();
                let mut replies = Replies::new(&more[..]);
                assert!(replies.next().await.is_ok(), "{whole:?}");
                let next = Value::SimpleString("next".into());
                assert_eq!(replies.next().await.unwrap(), next, "{whole:?}");
            });
        }
    }

    #[test]
    fn what_is_not_resp_is_an_error() {
        let nested = "*1\r\n".repeat(100_000);
        for bad in [
            &b"HTTP/1.1"[..],
            b"\x15\x03\x01",
            b"$x\r\n",
            b"%-1\r\n:1\r\n",
            b"$?\r\n",
            nested.as_bytes(),
        ] {
            let error = first(bad).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{bad:?}");
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
