//! A connection's bytes, as they are or over TLS: nobody above has to know which.
//!
//! Reading and writing go different ways: the WebSocket layer reads from the socket, but writes
//! into the peer's [outbox](crate::chat::outbox::Outbox), so that its pongs and closes line up
//! with the broadcasts. [`Wire`] is that seam.

mod inbound;
mod wire;

use std::io::{self, IoSlice, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::task::{Poll, ready};
use std::time::Duration;

use rustix::net::{RecvFlags, recv};
use smol::{Async, future};

use super::terms::{Failure, Shaking, Taken};
use super::tls::Session;
use crate::chat::end::End;
use crate::chat::outbox::TryWrite;
use crate::chat::peer::Peer;
use crate::time::timeout;
pub use wire::Wire;

/// A peer that came by a connection, and owns it.
pub type Wired = Peer<Socket>;

/// What one read takes at most. Lives on the stack, so an idle peer has no buffer.
const READ_SIZE: usize = 4096;
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

    fn owed(&self) -> usize {
        self.tls.as_ref().map_or(0, Session::owed)
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
    let sent = timeout(FAREWELL, future::or(rest, taking)).await.is_some();
    // A broken connection has nothing to wait for. One that was closed politely may: bytes behind the
    // client's close frame would turn our closing into a reset, and the answer could be lost.
    let lost = peer.outbox.ended() == Some(End::Lost);
    match (sent, lost) {
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
        timeout(LINGER, discard(socket)).await;
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
