//! The byte stream below the WebSocket layer. It reads from the socket and writes into the peer's
//! outbox.
//!
//! One connection must not occupy a thread, so after some frames or reads it yields to the other
//! tasks; `Inbound` counts. This happens below tungstenite, which keeps reading inside one call
//! until it has a message, and also over TLS.

use std::io;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use rustix::net::sockopt;
use smol::io::{AsyncRead, AsyncWrite};

use super::SocketPeer;
use super::inbound::{Inbound, Step};
use crate::chat::close_reason::CloseReason;

/// The first byte of a close frame (RFC 6455, section 5.5.1).
const CLOSE: u8 = 0x88;

/// The WebSocket layer's side of a peer's socket.
#[derive(Debug)]
pub struct PeerStream<'a> {
    peer: &'a SocketPeer,
    /// Bytes read from the socket that the WebSocket layer has not asked for yet.
    ahead: Vec<u8>,
    /// Where in `ahead` the unread bytes begin. 32 bits are enough for one read.
    at: u32,
    inbound: Inbound,
    /// The last read emptied the socket, so wait before the next one.
    drained: bool,
    /// Why reading has stopped, if the client's frames are the reason.
    pub refused: Option<CloseReason>,
}

impl<'a> PeerStream<'a> {
    /// The stream of a peer; `ahead` holds the bytes that were read after its HTTP head.
    pub fn new(peer: &'a SocketPeer, ahead: &[u8]) -> PeerStream<'a> {
        PeerStream {
            peer,
            ahead: ahead.to_vec(),
            at: 0,
            inbound: Inbound::default(),
            drained: false,
            refused: None,
        }
    }

    /// Moves the stream to another reader if a large frame has been read since the last call. At
    /// the end of a message nothing of the next one has been read, so another reader can take over.
    /// This one must not be used any more.
    pub fn hand_over_after_large(&mut self) -> Option<PeerStream<'a>> {
        mem::take(&mut self.inbound.large).then(|| PeerStream {
            ahead: mem::take(&mut self.ahead),
            ..*self
        })
    }

    /// Reads from the socket. As much as may be read at once goes directly into `buf`, so that a
    /// small frame needs no allocation; the rest goes into `ahead`. Returns how many bytes there
    /// were, and how many of them are in `buf`.
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
                if socket.stream.poll_readable(cx).is_pending() {
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
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => self.drained = true,
                    io::ErrorKind::Interrupted => {
                        self.inbound.begin_turn();
                        cx.waker().wake_by_ref();
                        return Poll::Pending;
                    }
                    _ => return Poll::Ready(Err(error)),
                },
            }
        }
    }
}

impl AsyncRead for PeerStream<'_> {
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

impl AsyncWrite for PeerStream<'_> {
    /// Accepts all bytes. A peer whose outbox is full is ended by the outbox.
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let frame = if buf.first() == Some(&CLOSE) {
            // The answer to a close frame leaves in one packet with the end of the connection. If
            // that takes long, the kernel sends it by itself.
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
