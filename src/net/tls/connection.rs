//! TLS on one connection: ciphertext on the socket's side, plain bytes on the other. Nothing here
//! waits.
//!
//! It uses rustls without rustls' own buffers, which would stay as long as the connection. A buffer
//! here exists only while it holds something: an incomplete record that has come, or records that
//! the socket has not taken yet. So an idle connection holds little more than its keys.

use std::borrow::Cow;
use std::fmt;
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::mem;
use std::net::TcpStream;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use rustls::server::{ServerConnectionData, UnbufferedServerConnection};
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncodeTlsData, EncryptError, UnbufferedStatus, WriteTraffic,
};
use rustls::{Error, ServerConfig};

use super::error::{BROKEN, HUNG_UP, PLAIN, ReadOutcome, SILENT, reason};
use crate::reactor::Async;

/// The size of one read. The buffer lives on the stack.
const READ_SIZE: usize = 4096;
/// The most plain bytes of one record (RFC 8446, section 5.1).
const RECORD: usize = 16 * 1024;
/// A record, with a key update before it, is longer than its content by fewer bytes than this.
const OVERHEAD: usize = 128;
/// The most bytes of an incomplete record or handshake message.
const INCOMPLETE: usize = 24 * 1024;
/// The first byte of every handshake (RFC 8446, section 5.1).
const HANDSHAKE: u8 = 22;
/// How often one call reads on when the records hold no data for the peer.
const READS: usize = 8;

/// TLS on one connection.
pub struct TlsConnection {
    rustls: UnbufferedServerConnection,
    stage: Stage,
    /// The bytes of an incomplete record.
    incoming: Vec<u8>,
    /// Records that the socket has not taken completely.
    outgoing: Vec<u8>,
    /// The other side has sent `close_notify`, or its connection has ended.
    closed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Nothing has come yet.
    New,
    Handshaking,
    Open,
    /// The client does not speak TLS: bytes are written unencrypted.
    Plain,
    Over,
}

impl fmt::Debug for TlsConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TlsConnection({:?})", self.stage)
    }
}

impl TlsConnection {
    /// The state of a connection that has not sent anything yet.
    ///
    /// # Errors
    /// The system has no randomness to give.
    pub fn new(config: Arc<ServerConfig>) -> io::Result<TlsConnection> {
        Ok(TlsConnection {
            rustls: UnbufferedServerConnection::new(config).map_err(io::Error::other)?,
            stage: Stage::New,
            incoming: Vec::new(),
            outgoing: Vec::new(),
            closed: false,
        })
    }

    /// Continues the handshake.
    ///
    /// # Errors
    /// Why it failed: [`SILENT`], or one of [`HANDSHAKE_ERRORS`](super::error::HANDSHAKE_ERRORS).
    /// The other side has been sent an alert, if its socket took it.
    pub fn poll_handshake(
        &mut self,
        cx: &mut Context<'_>,
        stream: &Async<TcpStream>,
    ) -> Poll<Result<(), &'static str>> {
        loop {
            while !self.flush(stream.get_ref()).map_err(|_| HUNG_UP)? {
                ready!(stream.poll_writable(cx));
            }
            if !self.rustls.is_handshaking() {
                self.stage = Stage::Open;
                return Poll::Ready(Ok(()));
            }
            match self.receive(stream.get_ref()) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    ready!(stream.poll_readable(cx));
                    continue;
                }
                Ok(1..) => {}
                _ if self.stage == Stage::New => return Poll::Ready(Err(SILENT)),
                _ => return Poll::Ready(Err(HUNG_UP)),
            }
            if self.stage == Stage::New && self.incoming[0] != HANDSHAKE {
                self.stage = Stage::Plain;
                return Poll::Ready(Err(PLAIN));
            }
            self.stage = Stage::Handshaking;
            self.decrypt(stream.get_ref(), None)?;
        }
    }

    /// Whether nothing has come yet.
    pub fn is_new(&self) -> bool {
        self.stage == Stage::New
    }

    /// Whether the handshake has begun and is not finished.
    pub fn is_handshaking(&self) -> bool {
        self.stage == Stage::Handshaking
    }

    /// Reads and decrypts what is there and passes it to `take`, in as many pieces as it comes in.
    /// After the end of TLS, or without TLS, nothing is passed on.
    ///
    /// # Errors
    /// [`ErrorKind::WouldBlock`] when nothing is there now, [`ErrorKind::Interrupted`] when there
    /// may be more and other tasks go first; any other error ends the connection.
    pub fn read(
        &mut self,
        mut stream: &TcpStream,
        take: &mut dyn FnMut(&[u8]),
    ) -> io::Result<ReadOutcome> {
        if matches!(self.stage, Stage::Plain | Stage::Over) {
            // The content does not matter, only when it ends.
            let bytes = stream.read(&mut [0; READ_SIZE])?;
            let drained = bytes < READ_SIZE && bytes > 0;
            return Ok(ReadOutcome { bytes, drained });
        }
        let broken = |why| io::Error::new(ErrorKind::InvalidData, why);
        // Some may have come with the end of the handshake.
        let mut bytes = self.decrypt(stream, Some(take)).map_err(broken)?;
        let mut drained = false;
        for _ in 0..READS {
            if bytes > 0 || drained || self.closed {
                break;
            }
            let came = self.receive(stream)?;
            self.closed = came == 0;
            drained = came < READ_SIZE;
            bytes = self.decrypt(stream, Some(take)).map_err(broken)?;
        }
        if bytes == 0 && !self.closed {
            return Err(match drained {
                true => ErrorKind::WouldBlock.into(),
                false => ErrorKind::Interrupted.into(),
            });
        }
        // After the last bytes, the next read follows at once, so that the end is noticed.
        drained &= !self.closed;
        Ok(ReadOutcome { bytes, drained })
    }

    /// Encrypts and writes as much as the socket takes. The rest of a record that was written in
    /// part is [unwritten](Self::unwritten), and goes out first next time. `Ok(0)` then says that
    /// some of it was written, but not all.
    ///
    /// # Errors
    /// [`ErrorKind::WouldBlock`] when the socket takes nothing now; any other error ends the
    /// connection.
    pub fn write(&mut self, mut stream: &TcpStream, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        match self.stage {
            Stage::Open => {}
            Stage::Plain => return stream.write_vectored(bufs),
            _ => return Err(ErrorKind::NotConnected.into()),
        }
        let before = self.unwritten();
        if !self.flush(stream)? {
            return match self.unwritten() < before {
                true => Ok(0),
                false => Err(ErrorKind::WouldBlock.into()),
            };
        }
        let mut taken = 0;
        loop {
            let piece = piece(bufs, taken);
            if piece.is_empty() {
                return Ok(taken);
            }
            if !self.encrypt(piece.len(), |traffic, out| traffic.encrypt(&piece, out)) {
                self.stage = Stage::Over;
                return Err(ErrorKind::NotConnected.into());
            }
            taken += piece.len();
            if !self.flush(stream)? {
                return Ok(taken);
            }
        }
    }

    /// Bytes of records that the socket has not taken.
    pub fn unwritten(&self) -> usize {
        self.outgoing.len()
    }

    /// Sends `close_notify`, if the socket takes it at once.
    pub fn close_notify(&mut self, stream: &TcpStream) {
        if self.stage == Stage::Open {
            self.stage = Stage::Over;
            self.encrypt(2, |traffic, out| traffic.queue_close_notify(out));
            // A client that has not taken the earlier records does not wait for this.
            let _ = self.flush(stream);
        }
    }

    /// Reads once from the socket. Returns how many bytes came; 0 is the end.
    fn receive(&mut self, mut stream: &TcpStream) -> io::Result<usize> {
        let mut scratch = [0; READ_SIZE];
        let came = stream.read(&mut scratch)?;
        self.incoming.extend_from_slice(&scratch[..came]);
        Ok(came)
    }

    /// Writes records as far as the socket takes them. Returns whether it took all of them.
    fn flush(&mut self, mut stream: &TcpStream) -> io::Result<bool> {
        while !self.outgoing.is_empty() {
            match stream.write(&self.outgoing) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(written) if written == self.outgoing.len() => self.outgoing = Vec::new(),
                Ok(written) => drop(self.outgoing.drain(..written)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// Decrypts complete records and keeps the rest. Returns how many plain bytes it has passed to
    /// `take`. Without `take`, only the handshake continues.
    ///
    /// # Errors
    /// Why the connection can't continue. An alert has been sent, if the socket took it at once.
    fn decrypt(&mut self, stream: &TcpStream, take: Take<'_>) -> Result<usize, &'static str> {
        let mut incoming = mem::take(&mut self.incoming);
        let (used, passed) = self.process(&mut incoming, take);
        if used < incoming.len() {
            incoming.drain(..used);
            self.incoming = incoming;
        }
        let passed = match passed {
            Ok(_) if self.incoming.len() > INCOMPLETE => Err(BROKEN),
            passed => passed.map_err(|error| reason(&error)),
        };
        if passed.is_err() {
            self.stage = Stage::Over;
            let _ = self.flush(stream);
        }
        passed
    }

    /// Passes rustls these bytes. Returns how many of them it consumed, and how many plain bytes
    /// `take` was given.
    fn process(&mut self, bytes: &mut [u8], mut take: Take<'_>) -> (usize, Result<usize, Error>) {
        let (mut used, mut passed) = (0, Ok(0));
        loop {
            let UnbufferedStatus { discard, state } =
                self.rustls.process_tls_records(&mut bytes[used..]);
            let mut done = false;
            match (state, &mut take, &mut passed) {
                (Ok(ConnectionState::EncodeTlsData(data)), ..) => encode(&mut self.outgoing, data),
                // The next flush sends it before anything else.
                (Ok(ConnectionState::TransmitTlsData(data)), ..) => data.done(),
                (Ok(ConnectionState::ReadTraffic(mut traffic)), Some(take), Ok(passed)) => {
                    while let Some(Ok(record)) = traffic.next_record() {
                        *passed += record.payload.len();
                        take(record.payload);
                    }
                }
                (Ok(ConnectionState::PeerClosed), _, Ok(_)) => self.closed = true,
                // Called once more, since rustls may have an alert to send.
                (Err(error), _, passed @ Ok(_)) => *passed = Err(error),
                // These bytes hold nothing more. Early data is not offered.
                _ => done = true,
            }
            used += discard;
            if done {
                return (used, passed);
            }
        }
    }

    /// Appends a record to the bytes to send. Returns whether that was possible.
    fn encrypt(
        &mut self,
        length: usize,
        mut write: impl FnMut(&mut Traffic<'_>, &mut [u8]) -> Result<usize, EncryptError>,
    ) -> bool {
        loop {
            // rustls wants to see the whole incomplete record each time.
            match self.rustls.process_tls_records(&mut self.incoming).state {
                Ok(ConnectionState::WriteTraffic(mut traffic)) => {
                    let before = self.outgoing.len();
                    self.outgoing.resize(before + length + OVERHEAD, 0);
                    let written = write(&mut traffic, &mut self.outgoing[before..]);
                    self.outgoing
                        .truncate(before + written.as_ref().unwrap_or(&0));
                    return written.is_ok();
                }
                Ok(ConnectionState::EncodeTlsData(data)) => encode(&mut self.outgoing, data),
                Ok(ConnectionState::TransmitTlsData(data)) => data.done(),
                _ => return false,
            }
        }
    }
}

/// Takes the decrypted bytes.
type Take<'a> = Option<&'a mut dyn FnMut(&[u8])>;

type Traffic<'c> = WriteTraffic<'c, ServerConnectionData>;

/// Appends a record of the handshake, or an alert.
fn encode(out: &mut Vec<u8>, mut data: EncodeTlsData<'_, ServerConnectionData>) {
    let before = out.len();
    // The first call says how long it is.
    if let Err(EncodeError::InsufficientSize(size)) = data.encode(&mut []) {
        out.resize(before + size.required_size, 0);
        let written = data.encode(&mut out[before..]).unwrap_or(0);
        out.truncate(before + written);
    }
}

/// The bytes after the first `skip`, as many as fit into a record. They are copied only where they
/// lie in several buffers.
fn piece<'a>(bufs: &'a [IoSlice<'_>], mut skip: usize) -> Cow<'a, [u8]> {
    let mut piece = Cow::Borrowed(&[][..]);
    for buf in bufs {
        let part = &buf[skip.min(buf.len())..];
        skip = skip.saturating_sub(buf.len());
        let part = &part[..part.len().min(RECORD - piece.len())];
        if piece.is_empty() {
            piece = Cow::Borrowed(part);
        } else if !part.is_empty() {
            piece.to_mut().extend_from_slice(part);
        }
    }
    piece
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_are_cut_into_records() {
        let long = vec![7; RECORD + 1];
        let bufs = [&b"ab"[..], b"", &long, b"z"].map(IoSlice::new);
        let mut taken = 0;
        let mut sizes = Vec::new();
        let mut whole = Vec::new();
        loop {
            let piece = piece(&bufs, taken);
            if piece.is_empty() {
                break;
            }
            taken += piece.len();
            sizes.push(piece.len());
            whole.extend_from_slice(&piece);
        }
        assert_eq!(sizes, [RECORD, 4]);
        assert_eq!(whole, [&b"ab"[..], &long, b"z"].concat());
        assert!(
            matches!(piece(&bufs[2..], 0), Cow::Borrowed(_)),
            "not copied"
        );
    }
}
