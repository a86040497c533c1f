//! What the WebSocket layer reads from and writes to: it reads from the socket, and writes into the
//! peer's outbox.
//!
//! No connection may keep a thread for itself, so reading ends after some frames or reads, and goes
//! on when the others have had their turn: [`Inbound`] counts. It does so for all that is read here,
//! over TLS as well, and below tungstenite, which reads on inside one call as long as something
//! comes that is not a message.

use std::io;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use rustix::net::sockopt;
use smol::io::{AsyncRead, AsyncWrite};

use super::Wired;
use super::inbound::{Inbound, Step};
use crate::chat::close_reason::CloseReason;

/// How the frame of a goodbye begins (RFC 6455, section 5.5.1).
const CLOSE: u8 = 0x88;

/// The WebSocket layer's side of a peer's connection.
#[derive(Debug)]
pub struct Wire<'a> {
    peer: &'a Wired,
    /// Read from the socket, but not asked for yet ...
    ahead: Vec<u8>,
    /// ... from here on. 32 bits: more is never read at once.
    at: u32,
    inbound: Inbound,
    /// The last read left the socket empty, so wait before the next one instead of trying.
    drained: bool,
    /// Why it reads no more.
    refused: Option<CloseReason>,
}

impl<'a> Wire<'a> {
    /// The wire of a peer; `ahead` is what has been read behind its HTTP head.
    pub fn new(peer: &'a Wired, ahead: &[u8]) -> Wire<'a> {
        Wire {
            peer,
            ahead: ahead.to_vec(),
            at: 0,
            inbound: Inbound::default(),
            drained: false,
            refused: None,
        }
    }

    /// Whether a large frame has been read since this was last asked. At the end of a message
    /// nothing of the next one has been read, so another reader can go on from here.
    pub fn take_large(&mut self) -> bool {
        self.inbound.take_large()
    }

    /// Why nothing more was read, if the reason is what the client sent.
    pub fn refused(&self) -> Option<CloseReason> {
        self.refused
    }

    /// The same wire, for another reader; this one is of no more use.
    pub fn hand_over(&mut self) -> Wire<'a> {
        Wire {
            ahead: mem::take(&mut self.ahead),
            ..*self
        }
    }

    /// Reads from the socket. What may be read at once goes into `buf`, so that nothing is allocated
    /// for a small frame; the rest goes into `ahead`. Returns how much there was, and how much of it
    /// is in `buf`.
    fn poll_fill(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<(usize, usize)>> {
        let socket = &self.peer.outbox.socket;
        self.ahead.drain(..mem::take(&mut self.at) as usize);
        let mut now = 0;
        loop {
            if self.drained {
                if let Poll::Ready(ready) = socket.stream.poll_readable(cx) {
                    ready?;
                } else {
                    self.inbound.begin_turn();
                    return Poll::Pending;
                }
                self.drained = false;
            }
            let (ahead, inbound) = (&mut self.ahead, &mut self.inbound);
            let read = socket.try_read(&mut |mut bytes| {
                if now == 0
                    && ahead.is_empty()
                    && let Step::Take(n) = inbound.read(bytes, buf, || self.peer.clock())
                {
                    now = n;
                    bytes = &bytes[n..];
                }
                ahead.extend_from_slice(bytes);
            });
            match read {
                Ok(taken) => {
                    self.drained = taken.drained;
                    self.peer.mark_active();
                    return Poll::Ready(Ok((taken.bytes, now)));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.drained = true,
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

impl AsyncRead for Wire<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        loop {
            let ahead = &this.ahead[this.at as usize..];
            match this.inbound.read(ahead, buf, || this.peer.clock()) {
                Step::Take(n) => {
                    this.at += n as u32;
                    if this.at as usize == this.ahead.len() {
                        (this.ahead, this.at) = (Vec::new(), 0);
                    }
                    return Poll::Ready(Ok(n));
                }
                Step::More if this.inbound.begin_read() => match ready!(this.poll_fill(cx, buf))? {
                    (0, _) => return Poll::Ready(Ok(0)),
                    (_, 0) => {}
                    (_, now) => return Poll::Ready(Ok(now)),
                },
                Step::More | Step::Yield => {
                    this.inbound.begin_turn();
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Step::Refuse(end) => {
                    this.refused = Some(end);
                    return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
                }
            }
        }
    }
}

impl AsyncWrite for Wire<'_> {
    /// Takes everything: what is too much ends the peer, and the outbox says so.
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let frame = if buf.first() == Some(&CLOSE) {
            // The answer to a goodbye goes out with the end of the connection, in one packet. If it
            // can't wait, or that takes long, it goes out by itself.
            let _ = sockopt::set_tcp_cork(&self.peer.outbox.socket.stream, true);
            let mut close = buf.to_vec();
            self.inbound.restore_bad_gateway(&mut close);
            close.into()
        } else {
            Bytes::copy_from_slice(buf)
        };
        self.peer.outbox.push(&[frame]);
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
