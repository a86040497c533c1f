//! A connection's bytes, as they are or over TLS: nobody above has to know which.
//!
//! Reading and writing go different ways: the WebSocket layer reads from the socket, but writes
//! into the peer's [outbox](crate::chat::outbox::Outbox), so that its pongs and closes line up
//! with the broadcasts. [`Wire`] is that seam.

use std::io::{self, IoSlice, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use rustix::net::{RecvFlags, recv, sockopt};
use smol::io::{AsyncRead, AsyncWrite};
use smol::{Async, future};

use super::terms::{Failure, Shaking, Taken};
use super::tls::Session;
use crate::bus::within;
use crate::chat::end::End;
use crate::chat::outbox::TryWrite;
use crate::chat::peer::Peer;

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

/// One accepted connection.
#[derive(Debug)]
pub struct Socket {
    stream: Async<TcpStream>,
    /// Where TLS is spoken.
    tls: Option<Session>,
}

impl TryWrite for Socket {
    fn try_write(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut stream = self.stream.get_ref();
        if let Some(tls) = &self.tls {
            return tls.write(stream, bufs);
        }
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

    fn owes(&self) -> bool {
        self.tls.as_ref().is_some_and(Session::owes)
    }
}

impl Socket {
    /// A connection that is there, and will speak TLS if there is a session for it.
    pub fn new(stream: Async<TcpStream>, tls: Option<Session>) -> Socket {
        Socket { stream, tls }
    }

    /// Gets as far as both sides can say something: with TLS, through the handshake. Cancel safe.
    ///
    /// # Errors
    /// Why there is no TLS. Unless nobody speaks it there, nothing can be said any more.
    pub async fn handshake(&self) -> Result<(), Failure> {
        let Some(tls) = &self.tls else {
            return Ok(());
        };
        future::poll_fn(|cx| {
            loop {
                let ready = match tls.shake(self.stream.get_ref())? {
                    Shaking::Done => return Poll::Ready(Ok(())),
                    Shaking::Read => ready!(self.stream.poll_readable(cx)),
                    Shaking::Write => ready!(self.stream.poll_writable(cx)),
                };
                if ready.is_err() {
                    return Poll::Ready(Err(Failure::Silent));
                }
            }
        })
        .await
    }

    /// Whether it is on its way through a handshake that the other side has begun.
    pub fn is_shaking(&self) -> bool {
        self.tls.as_ref().is_some_and(Session::is_shaking)
    }

    /// Whether something has come that nobody has read yet.
    pub fn has_input(&self) -> bool {
        let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
        matches!(recv(&self.stream, &mut [0], flags), Ok((1.., _)))
    }

    /// Whether nothing has come by now, of a connection from which nothing but a handshake was read.
    pub fn is_silent(&self) -> bool {
        !self.has_input() && self.tls.as_ref().is_none_or(Session::is_new)
    }

    /// Reads what is there and hands it on, perhaps in several pieces. The handshake must be over.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] when nothing is there; anything else is the connection's end.
    fn try_read(&self, take: &mut dyn FnMut(&[u8])) -> io::Result<Taken> {
        let mut stream = self.stream.get_ref();
        if let Some(tls) = &self.tls {
            return tls.read(stream, take);
        }
        let mut scratch = [0; READ_SIZE];
        loop {
            match stream.read(&mut scratch) {
                Ok(bytes) => {
                    take(&scratch[..bytes]);
                    let drained = bytes < READ_SIZE && bytes > 0;
                    return Ok(Taken { bytes, drained });
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Waits until something is there and reads like [`try_read`](Self::try_read). Returns how much;
    /// 0 is the end. Cancel safe.
    ///
    /// # Errors
    /// The connection's end.
    pub async fn read(&self, take: &mut (dyn FnMut(&[u8]) + Send)) -> io::Result<usize> {
        future::poll_fn(|cx| {
            loop {
                match self.try_read(take) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        ready!(self.stream.poll_readable(cx))?;
                    }
                    result => return Poll::Ready(result.map(|taken| taken.bytes)),
                }
            }
        })
        .await
    }

    /// Writes everything. Not cancel safe: nobody knows then how much was written.
    ///
    /// # Errors
    /// The connection's end.
    pub async fn write_all(&self, mut bytes: &[u8]) -> io::Result<()> {
        future::poll_fn(|cx| {
            while !bytes.is_empty() || self.owes() {
                match self.try_write(&[IoSlice::new(bytes)]) {
                    Ok(0) if !self.owes() && !bytes.is_empty() => {
                        return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
                    }
                    Ok(taken) => bytes = &bytes[taken..],
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        ready!(self.stream.poll_writable(cx))?;
                    }
                    Err(error) => return Poll::Ready(Err(error)),
                }
            }
            Poll::Ready(Ok(()))
        })
        .await
    }

    /// Tells the other side that nothing follows, where there is a word for that.
    fn part(&self) {
        if let Some(tls) = &self.tls {
            tls.part(self.stream.get_ref());
        }
    }

    /// Ends it both ways; whoever waits for it finds out.
    pub fn cut(&self) {
        self.part();
        let _ = self.stream.get_ref().shutdown(Shutdown::Both);
    }
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
        let socket = &self.peer.outbox.socket;
        let mut now = 0;
        let mut more = Vec::new();
        loop {
            if self.drained {
                ready!(socket.stream.poll_readable(cx))?;
                self.drained = false;
            }
            let read = socket.try_read(&mut |bytes| {
                let (here, rest) = bytes.split_at(bytes.len().min(buf.len() - now));
                buf[now..][..here.len()].copy_from_slice(here);
                now += here.len();
                if !rest.is_empty() {
                    more.extend_from_slice(rest);
                }
            });
            match read {
                Ok(taken) => {
                    self.drained = taken.drained;
                    self.ahead = more.into();
                    return Poll::Ready(Ok(now));
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
            let _ = sockopt::set_tcp_cork(&self.peer.outbox.socket.stream, true);
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
                Ok(true) if ready!(socket.stream.poll_writable(cx)).is_ok() => {}
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
                Ok(true) if ready!(socket.stream.poll_writable(cx)).is_ok() => {}
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
    match (sent, over) {
        (true, false) => linger(socket).await,
        (true, true) => socket.part(),
        (false, _) => {}
    }
}

/// Closes our side, then waits a little for the other side to close: a socket closed with input
/// unread resets the connection, and our last words could be lost with it.
pub async fn linger(socket: &Socket) {
    socket.part();
    if socket.stream.get_ref().shutdown(Shutdown::Write).is_ok() {
        within(LINGER, discard(socket)).await;
    }
}

/// Reads and forgets until the other side closes.
async fn discard(socket: &Socket) {
    // A bound of bytes as well as of time: nobody may keep us busy by talking on.
    for _ in 0..256 {
        match socket.read(&mut |_| {}).await {
            Ok(1..) => future::yield_now().await,
            _ => return,
        }
    }
}
