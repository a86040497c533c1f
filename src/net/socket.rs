//! The bytes of a connection, plain or over TLS. No caller has to know which.
//!
//! Reading and writing take different ways: the WebSocket layer reads from the socket, but writes
//! into the peer's [outbox](crate::chat::outbox::Outbox), so that pongs and close frames line up
//! with the broadcasts. [`PeerStream`](stream::PeerStream) joins the two.

mod inbound;
pub mod stream;

use std::io::{self, IoSlice, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::MutexGuard;
use std::task::{Poll, ready};
use std::time::Duration;

use rustix::net::{RecvFlags, recv, sockopt};
use smol::future;

use super::tls::TlsConnection;
use super::tls::error::ReadOutcome;
use crate::chat::close_reason::CloseReason;
use crate::chat::outbox::TryWrite;
use crate::chat::peer::Peer;
use crate::mutex::Mutex;
use crate::reactor::Async;
use crate::time::timeout;

/// A peer that owns a socket.
pub type SocketPeer = Peer<Socket>;

/// The size of one read. The buffer lives on the stack, so an idle peer has none.
const READ_SIZE: usize = 4096;
/// How long a closed peer may take to receive what is queued for it.
const DRAIN_TIME: Duration = Duration::from_secs(5);
/// How long we wait after that for the other side to close.
const LINGER: Duration = Duration::from_secs(2);

/// One accepted connection. It is not blocking, so a signal interrupts no call.
#[derive(Debug)]
pub struct Socket {
    stream: Async<TcpStream>,
    /// Present where TLS is spoken. Boxed, since few connections have one.
    tls: Option<Box<Mutex<TlsConnection>>>,
}

impl TryWrite for Socket {
    fn try_write(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut stream = self.stream.get_ref();
        if let Some(mut tls) = self.tls() {
            return tls.write(stream, bufs);
        }
        match bufs {
            // A plain send is a little cheaper than a vectored one.
            [buf] => stream.write(buf),
            bufs => stream.write_vectored(bufs),
        }
    }

    fn unwritten(&self) -> usize {
        self.tls().map_or(0, |tls| tls.unwritten())
    }
}

impl Socket {
    /// An accepted connection, which speaks TLS if `tls` is given.
    pub fn new(stream: Async<TcpStream>, tls: Option<TlsConnection>) -> Socket {
        let tls = tls.map(|tls| Box::new(Mutex::new(tls)));
        Socket { stream, tls }
    }

    /// Its TLS state, where TLS is spoken. After a panic it is used all the same: at worst the rest
    /// can't be decrypted, which ends this connection.
    fn tls(&self) -> Option<MutexGuard<'_, TlsConnection>> {
        let tls = self.tls.as_ref()?;
        Some(tls.lock())
    }

    /// Finishes the TLS handshake, if there is one. Cancel safe.
    ///
    /// # Errors
    /// Why the handshake failed. Only a client that speaks plain HTTP can still be answered.
    pub async fn handshake(&self) -> Result<(), &'static str> {
        future::poll_fn(|cx| match self.tls() {
            Some(mut tls) => tls.poll_handshake(cx, &self.stream),
            None => Poll::Ready(Ok(())),
        })
        .await
    }

    /// Whether the client has begun a TLS handshake that is not finished.
    pub fn is_handshaking(&self) -> bool {
        self.tls().is_some_and(|tls| tls.is_handshaking())
    }

    /// Whether there is input that has not been read.
    pub fn has_input(&self) -> bool {
        let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
        matches!(recv(&self.stream, &mut [0], flags), Ok((1.., _)))
    }

    /// Whether there is input that has not been read, or that has not been handled since.
    pub fn has_unhandled_input(&self) -> bool {
        // In this order: another thread may read what is there.
        self.has_input() || self.stream.is_reading()
    }

    /// Whether nothing has come so far. Asked only before the request's head is handled.
    pub fn is_silent(&self) -> bool {
        !self.has_unhandled_input() && self.tls().is_none_or(|tls| tls.is_new())
    }

    /// Reads what is there and passes it to `take`, perhaps in several pieces. The handshake must
    /// be over.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] when nothing is there, [`io::ErrorKind::Interrupted`] when
    /// other tasks go first; any other error ends the connection.
    fn try_read(&self, take: &mut dyn FnMut(&[u8])) -> io::Result<ReadOutcome> {
        let mut stream = self.stream.get_ref();
        if let Some(mut tls) = self.tls() {
            return tls.read(stream, take);
        }
        let mut scratch = [0; READ_SIZE];
        let bytes = stream.read(&mut scratch)?;
        take(&scratch[..bytes]);
        let drained = bytes < READ_SIZE && bytes > 0;
        Ok(ReadOutcome { bytes, drained })
    }

    /// Waits for input and reads like `try_read`. Returns how many bytes there
    /// were; 0 is the end. Cancel safe.
    ///
    /// # Errors
    /// The connection's end.
    pub async fn read(&self, take: &mut (dyn FnMut(&[u8]) + Send)) -> io::Result<usize> {
        let read = future::poll_fn(|cx| self.stream.poll_read_with(cx, || self.try_read(take)));
        Ok(read.await?.bytes)
    }

    /// Writes all bytes. Not cancel safe: how much was written is then unknown.
    ///
    /// # Errors
    /// The connection's end.
    pub async fn write_all(&self, mut bytes: &[u8]) -> io::Result<()> {
        future::poll_fn(|cx| {
            while !bytes.is_empty() || self.has_unwritten() {
                match self.try_write(&[IoSlice::new(bytes)]) {
                    Ok(0) if !self.has_unwritten() && !bytes.is_empty() => {
                        return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
                    }
                    Ok(taken) => bytes = &bytes[taken..],
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        ready!(self.stream.poll_writable(cx));
                    }
                    Err(error) => return Poll::Ready(Err(error)),
                }
            }
            Poll::Ready(Ok(()))
        })
        .await
    }

    /// Sends TLS's `close_notify`, where TLS is spoken.
    fn close_notify(&self) {
        if let Some(mut tls) = self.tls() {
            tls.close_notify(self.stream.get_ref());
        }
    }

    /// Shuts down both directions, which wakes the tasks that wait for the socket.
    pub fn shutdown(&self) {
        self.close_notify();
        let _ = self.stream.get_ref().shutdown(Shutdown::Both);
    }
}

/// Has the kernel end a connection whose other side is gone: what it sends is not confirmed within twice
/// so many seconds. For those who never send anything themselves.
pub fn watch(socket: &Socket, seconds: u32) {
    let _ = sockopt::set_tcp_user_timeout(&socket.stream, seconds * 2 * 1000);
}

/// Writes what the outbox holds whenever the socket is writable. Returns when the socket broke or
/// the peer has ended; if it has `ended` already, when all is written. Cancel safe.
pub fn flush(peer: &SocketPeer, ended: bool) -> impl Future<Output = ()> {
    future::poll_fn(move |cx| {
        while ended || peer.outbox.close_reason().is_none() {
            match ready!(peer.outbox.poll_flush(cx)) {
                Ok(true) => ready!(peer.outbox.socket.stream.poll_writable(cx)),
                _ => break,
            }
        }
        Poll::Ready(())
    })
}

/// Sends what is left for an ended peer, then closes the connection as [`linger`] does, unless the
/// other side has. Takes a few seconds at most.
pub async fn drain_and_close(peer: &SocketPeer) {
    let socket = &peer.outbox.socket;
    // A client that does not read may be blocked in a write to us: its input is read, so that it
    // comes to reading.
    let taking = async {
        discard(socket).await;
        future::pending().await
    };
    let sent = timeout(DRAIN_TIME, future::or(flush(peer, true), taking)).await;
    // A broken connection needs no wait. One that was closed properly does: with unread bytes
    // behind the client's close frame, closing would reset the connection, and the answer could be
    // lost.
    let lost = peer.outbox.close_reason() == Some(CloseReason::Lost);
    match (sent, lost) {
        (Some(()), false) => linger(socket).await,
        (Some(()), true) => socket.close_notify(),
        (None, _) => {}
    }
}

/// Closes our side, then waits a little for the other side to close: closing a socket with unread
/// input resets the connection, and the last bytes could be lost.
pub async fn linger(socket: &Socket) {
    socket.close_notify();
    if socket.stream.get_ref().shutdown(Shutdown::Write).is_ok() {
        timeout(LINGER, discard(socket)).await;
    }
}

/// Reads and discards input until the other side closes, or has sent too much.
pub async fn discard(socket: &Socket) {
    // Bounded in bytes as well as in time, so that a client that keeps sending can't keep us busy.
    for _ in 0..256 {
        match socket.read(&mut |_| {}).await {
            Ok(1..) => future::yield_now().await,
            _ => return,
        }
    }
}
