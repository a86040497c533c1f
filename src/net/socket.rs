//! A connection's bytes.
//!
//! Reading and writing go different ways: the WebSocket layer reads from the socket, but writes
//! into the peer's [outbox](crate::chat::outbox::Outbox), so that its pongs and closes line up
//! with the broadcasts. [`Wire`] is that seam.

use std::io::{self, IoSlice, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use rustix::net::{SocketFlags, acceptfrom_with, sockopt};
use smol::io::{AsyncRead, AsyncWrite};
use smol::{Async, future};

use crate::bus::within;
use crate::chat::end::End;
use crate::chat::outbox::TryWrite;
use crate::chat::peer::Peer;

/// A port that is listened on.
pub type Listener = Arc<Async<TcpListener>>;
/// One accepted connection.
pub type Socket = Async<TcpStream>;
/// A peer that came by a connection, and owns it.
pub type Wired = Peer<Socket>;

/// What one read takes at most. Lives on the stack, so an idle peer has no buffer.
const READ_SIZE: usize = 4096;
/// How the frame of a goodbye begins (RFC 6455, section 5.5.1).
const CLOSE: u8 = 0x88;
/// How long a peer that has been told goodbye may take to take it.
const FAREWELL: Duration = Duration::from_secs(5);
/// How long we then wait for the other side to close.
const LINGER: Duration = Duration::from_secs(2);

impl TryWrite for Socket {
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

/// Opens a port.
///
/// # Errors
/// The system's.
pub fn listen(addr: SocketAddr) -> io::Result<Listener> {
    take_over(TcpListener::bind(addr)?)
}

/// Takes a port over that is open already.
///
/// # Errors
/// The system's.
pub fn take_over(listener: TcpListener) -> io::Result<Listener> {
    let listener = Arc::new(Async::new(listener)?);
    // Frames are whole messages; waiting for more to send would only delay them. Connections
    // inherit it.
    sockopt::set_tcp_nodelay(&*listener, true)?;
    Ok(listener)
}

/// The next connection, and where it comes from. Cancel safe.
///
/// # Errors
/// The system's, which may pass.
pub async fn accept(listener: &Listener) -> io::Result<(Socket, IpAddr)> {
    // As the listener does it by itself, with two system calls less.
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let accept = listener.read_with(|listener| Ok(acceptfrom_with(listener, flags)?));
    let (stream, from) = accept.await?;
    let from = from.and_then(|from| SocketAddr::try_from(from).ok());
    // An address that can't be read is counted with the others of its kind.
    let ip = from.map_or(IpAddr::from([0; 16]), |from| from.ip());
    Ok((Async::new_nonblocking(stream.into())?, ip))
}

/// What the WebSocket layer reads from and writes to.
#[derive(Debug)]
pub struct Wire<'a> {
    peer: &'a Wired,
    /// Read from the socket, but not asked for yet.
    ahead: Bytes,
    /// The last read left the socket empty, so wait before the next one instead of trying.
    drained: bool,
}

impl<'a> Wire<'a> {
    /// The wire of a peer; `ahead` is what has been read behind its HTTP head.
    pub fn new(peer: &'a Wired, ahead: Bytes) -> Wire<'a> {
        Wire {
            peer,
            ahead,
            drained: false,
        }
    }

    /// Reads from the socket into `buf`, and what does not fit there into `ahead`.
    fn poll_fill(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut scratch = [0; READ_SIZE];
        let socket = &self.peer.outbox.socket;
        loop {
            if self.drained {
                ready!(socket.poll_readable(cx))?;
                self.drained = false;
            }
            match socket.get_ref().read(&mut scratch) {
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

impl AsyncRead for Wire<'_> {
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

impl AsyncWrite for Wire<'_> {
    /// Takes everything: what is too much ends the peer, and the outbox says so.
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        if buf.first() == Some(&CLOSE) {
            // The answer to a goodbye goes out with the end of the connection, in one packet. If it
            // can't wait, or that takes long, it goes out by itself.
            let _ = sockopt::set_tcp_cork(&self.peer.outbox.socket, true);
        }
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
pub async fn flush(peer: &Wired) {
    let socket = &peer.outbox.socket;
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

/// Sends what is left for an ended peer, then ends the connection as [`linger`] does, unless the
/// other side has. Takes no longer than a few seconds, whatever the other side does.
pub async fn farewell(peer: &Wired) {
    let socket = &peer.outbox.socket;
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
    let sent = within(FAREWELL, future::or(rest, taking)).await.is_some();
    // Whoever left has nothing more to say, so there is nothing to wait for.
    let over = matches!(peer.outbox.ended(), Some(End::Left | End::Lost));
    if sent && !over {
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
