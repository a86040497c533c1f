//! A connection's bytes.
//!
//! Reading and writing go different ways: the WebSocket layer reads from the socket, but writes
//! into the peer's [outbox](crate::chat::outbox::Outbox), so that its pongs and closes line up
//! with the broadcasts. [`Wire`] is that seam.

use std::io::{self, IoSlice, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use smol::io::{AsyncRead, AsyncWrite};
use smol::{Async, future};

use crate::bus::within;
use crate::chat::outbox::TryWrite;
use crate::chat::peer::Peer;

/// One accepted connection. Shared by its task and its outbox.
pub type Socket = Arc<Async<TcpStream>>;

/// What one read takes at most. Lives on the stack, so an idle peer has no buffer.
const READ_SIZE: usize = 4096;
/// How long a peer that has been told goodbye may take to take it.
const FAREWELL: Duration = Duration::from_secs(5);
/// How long we then wait for the other side to close.
const LINGER: Duration = Duration::from_secs(2);

impl TryWrite for Async<TcpStream> {
    fn try_write(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut stream = self.get_ref();
        loop {
            let result = match bufs {
                // A plain send is a little cheaper than a vectored one.
                [buf] => stream.write(buf),
                bufs => stream.write_vectored(bufs),
            };
            match result {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return result,
            }
        }
    }
}

/// What the WebSocket layer reads from and writes to.
#[derive(Debug)]
pub struct Wire {
    socket: Socket,
    peer: Arc<Peer>,
    /// Read from the socket, but not asked for yet.
    ahead: Bytes,
    /// The last read left the socket empty, so wait before the next one instead of trying.
    drained: bool,
}

impl Wire {
    /// The wire of a peer; `ahead` is what has been read behind its HTTP head.
    pub fn new(socket: Socket, peer: Arc<Peer>, ahead: Bytes) -> Wire {
        Wire {
            socket,
            peer,
            ahead,
            drained: false,
        }
    }

    /// Reads from the socket into `buf`, and what does not fit there into `ahead`.
    fn poll_fill(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut scratch = [0; READ_SIZE];
        loop {
            if self.drained {
                ready!(self.socket.poll_readable(cx))?;
                self.drained = false;
            }
            match self.socket.get_ref().read(&mut scratch) {
                Ok(n) => {
                    self.drained = n < READ_SIZE && n > 0;
                    let now = n.min(buf.len());
                    buf[..now].copy_from_slice(&scratch[..now]);
                    if now < n {
                        self.ahead = Bytes::copy_from_slice(&scratch[now..n]);
                    }
                    return Poll::Ready(Ok(now));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.drained = true,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        if self.ahead.is_empty() {
            let n = ready!(self.poll_fill(cx, buf))?;
            self.peer.heard();
            return Poll::Ready(Ok(n));
        }
        let n = self.ahead.len().min(buf.len());
        self.ahead.copy_to_slice(&mut buf[..n]);
        if self.ahead.is_empty() {
            self.ahead = Bytes::new();
        }
        Poll::Ready(Ok(n))
    }
}

impl AsyncWrite for Wire {
    /// Takes everything: what is too much ends the peer, and the outbox says so.
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.peer.outbox.push(&[Bytes::copy_from_slice(buf)]);
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Writes what the outbox holds whenever the socket takes it. Ends when the peer has been ended
/// (what is then still queued is for [`farewell`]) or the socket broke. Cancel safe.
pub async fn flush(socket: &Socket, peer: &Peer) {
    future::poll_fn(|cx| {
        while peer.outbox.ended().is_none() {
            match ready!(peer.outbox.poll_flush(cx)) {
                Ok(true) if ready!(socket.poll_writable(cx)).is_ok() => {}
                _ => break,
            }
        }
        Poll::Ready(())
    })
    .await
}

/// Sends what is left for an ended peer, then closes the connection as [`linger`] does. Takes no
/// longer than a few seconds, whatever the other side does.
pub async fn farewell(socket: &Socket, peer: &Peer) {
    let rest = future::poll_fn(|cx| {
        loop {
            match ready!(peer.outbox.poll_flush(cx)) {
                Ok(true) if ready!(socket.poll_writable(cx)).is_ok() => {}
                _ => return Poll::Ready(()),
            }
        }
    });
    // Whoever does not read may be stuck in writing to us: take it, or it never comes to reading.
    let taking = async {
        discard(socket).await;
        future::pending().await
    };
    if within(FAREWELL, future::or(rest, taking)).await.is_some() {
        linger(socket).await;
    }
}

/// Closes our side, then waits a little for the other side to close: a socket closed with input
/// unread resets the connection, and our last words could be lost with it.
pub async fn linger(socket: &Socket) {
    if socket.get_ref().shutdown(Shutdown::Write).is_ok() {
        within(LINGER, discard(socket)).await;
    }
}

/// Reads and forgets until the other side closes.
async fn discard(socket: &Socket) {
    // A bound of bytes as well as of time: nobody may keep us busy by talking on.
    for _ in 0..256 {
        match socket
            .read_with(|mut stream| stream.read(&mut [0; READ_SIZE]))
            .await
        {
            Ok(1..) => future::yield_now().await,
            _ => return,
        }
    }
}
