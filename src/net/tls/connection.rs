//! TLS on one connection: ciphertext on the socket's side, plain bytes on the other. Nothing here
//! waits. The records are in `records`.

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;
use std::io::{self, IoSlice, Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustls::ServerConfig;

use super::records::Records;
use crate::net::tls::error::{HUNG_UP, HandshakeError, HandshakeStep, ReadOutcome};

/// The size of one read. The buffer lives on the stack.
const READ_SIZE: usize = 4096;
/// The most plain bytes of one record (RFC 8446, section 5.1).
const RECORD: usize = 16 * 1024;
/// The first byte of every handshake (RFC 8446, section 5.1).
const HANDSHAKE: u8 = 22;
/// How often one call reads on when the records hold no data for the peer.
const READS: usize = 8;

/// TLS on one connection. Boxed, since few connections have one.
pub struct TlsConnection(Box<Mutex<State>>);

struct State {
    records: Records,
    stage: Stage,
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
        f.debug_tuple("TlsConnection")
            .field(&self.lock().stage)
            .finish()
    }
}

impl TlsConnection {
    /// The state of a connection that has not sent anything yet.
    ///
    /// # Errors
    /// The system has no randomness to give.
    pub fn new(config: &Arc<ServerConfig>) -> io::Result<TlsConnection> {
        let state = State {
            records: Records::new(config)?,
            stage: Stage::New,
        };
        Ok(TlsConnection(Box::new(Mutex::new(state))))
    }

    /// A poisoned lock is used all the same: at worst the rest can't be decrypted, which ends this
    /// connection.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Continues the handshake as far as possible.
    ///
    /// # Errors
    /// Why it failed. The other side has been sent an alert, if its socket took it.
    pub fn handshake(&self, stream: &TcpStream) -> Result<HandshakeStep, HandshakeError> {
        self.lock().handshake(stream)
    }

    /// Whether nothing has come yet.
    pub fn is_new(&self) -> bool {
        self.lock().stage == Stage::New
    }

    /// Whether the handshake has begun and is not finished.
    pub fn is_handshaking(&self) -> bool {
        self.lock().stage == Stage::Handshaking
    }

    /// Reads and decrypts what is there and passes it to `take`, in as many pieces as it comes in.
    /// After the end of TLS, or without TLS, nothing is passed on.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] when nothing is there now; any other error ends the
    /// connection.
    pub fn read(&self, stream: &TcpStream, take: &mut dyn FnMut(&[u8])) -> io::Result<ReadOutcome> {
        self.lock().read(stream, take)
    }

    /// Encrypts and writes as much as the socket takes. The rest of a record that was written in
    /// part is [unwritten](Self::unwritten), and goes out first next time. `Ok(0)` then says that some of it
    /// was written, but not all.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] when the socket takes nothing now; any other error ends the
    /// connection.
    pub fn write(&self, stream: &TcpStream, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        self.lock().write(stream, bufs)
    }

    /// Bytes of records that the socket has not taken.
    pub fn unwritten(&self) -> usize {
        self.lock().records.outgoing().len()
    }

    /// Sends `close_notify`, if the socket takes it at once.
    pub fn close_notify(&self, stream: &TcpStream) {
        self.lock().close_notify(stream);
    }
}

impl State {
    fn handshake(&mut self, stream: &TcpStream) -> Result<HandshakeStep, HandshakeError> {
        let gone = HandshakeError::Because(HUNG_UP);
        loop {
            if !self.flush(stream).map_err(|_| gone)? {
                return Ok(HandshakeStep::Write);
            }
            if !self.records.is_handshaking() {
                self.stage = Stage::Open;
                return Ok(HandshakeStep::Done);
            }
            let mut scratch = [0; READ_SIZE];
            let came = match retry(|| (&*stream).read(&mut scratch)) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Ok(HandshakeStep::Read);
                }
                Ok(came @ 1..) => &mut scratch[..came],
                _ if self.stage == Stage::New => return Err(HandshakeError::Silent),
                _ => return Err(gone),
            };
            if self.stage == Stage::New {
                if came[0] != HANDSHAKE {
                    self.stage = Stage::Plain;
                    return Err(HandshakeError::Plain);
                }
                self.stage = Stage::Handshaking;
            }
            if let Err(error) = self.records.decrypt(came, None) {
                self.stage = Stage::Over;
                // The alert is sent only if the socket takes it at once.
                let _ = self.flush(stream);
                return Err(HandshakeError::Because(error));
            }
        }
    }

    fn read(&mut self, stream: &TcpStream, take: &mut dyn FnMut(&[u8])) -> io::Result<ReadOutcome> {
        let bytes = Cell::new(0);
        let mut take = |part: &[u8]| {
            bytes.set(bytes.get() + part.len());
            take(part);
        };
        if matches!(self.stage, Stage::Plain | Stage::Over) {
            // The content does not matter, only when it ends.
            let mut scratch = [0; READ_SIZE];
            let bytes = retry(|| (&*stream).read(&mut scratch))?;
            let drained = bytes < READ_SIZE && bytes > 0;
            return Ok(ReadOutcome { bytes, drained });
        }
        let mut drained = false;
        if self.records.unread() {
            self.take(&mut [], stream, &mut take)?;
        }
        for _ in 0..READS {
            if bytes.get() > 0 || drained || self.records.closed {
                break;
            }
            let mut scratch = [0; READ_SIZE];
            match retry(|| (&*stream).read(&mut scratch))? {
                0 => self.records.closed = true,
                came => {
                    drained = came < READ_SIZE;
                    self.take(&mut scratch[..came], stream, &mut take)?;
                }
            }
        }
        match bytes.get() {
            0 if !self.records.closed => Err(io::ErrorKind::WouldBlock.into()),
            // After the last bytes, the next read follows at once, so that the end is noticed.
            bytes => Ok(ReadOutcome {
                bytes,
                drained: drained && !self.records.closed,
            }),
        }
    }

    /// Decrypts the bytes that have come, and passes them on.
    fn take(
        &mut self,
        came: &mut [u8],
        stream: &TcpStream,
        take: &mut dyn FnMut(&[u8]),
    ) -> io::Result<()> {
        if let Err(error) = self.records.decrypt(came, Some(take)) {
            self.stage = Stage::Over;
            let _ = self.flush(stream);
            return Err(io::Error::new(io::ErrorKind::InvalidData, error));
        }
        Ok(())
    }

    fn write(&mut self, stream: &TcpStream, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        match self.stage {
            Stage::Open => {}
            Stage::Plain => return (&*stream).write_vectored(bufs),
            Stage::New | Stage::Handshaking | Stage::Over => {
                return Err(io::ErrorKind::NotConnected.into());
            }
        }
        let before = self.records.outgoing().len();
        if !self.flush(stream)? {
            return match self.records.outgoing().len() < before {
                true => Ok(0),
                false => Err(io::ErrorKind::WouldBlock.into()),
            };
        }
        let mut taken = 0;
        loop {
            let piece = piece(bufs, taken);
            if piece.is_empty() {
                return Ok(taken);
            }
            if !self.records.encrypt(&piece) {
                self.stage = Stage::Over;
                return Err(io::ErrorKind::NotConnected.into());
            }
            taken += piece.len();
            if !self.flush(stream)? {
                return Ok(taken);
            }
        }
    }

    /// Writes records as far as the socket takes them. Returns whether it took all of them.
    fn flush(&mut self, stream: &TcpStream) -> io::Result<bool> {
        while self.records.owes() {
            match retry(|| (&*stream).write(self.records.outgoing())) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => self.records.sent(written),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    fn close_notify(&mut self, stream: &TcpStream) {
        if self.stage != Stage::Open {
            return;
        }
        self.stage = Stage::Over;
        self.records.close();
        // A client that has not taken the earlier records does not wait for this.
        let _ = self.flush(stream);
    }
}

/// The bytes after the first `skip`, as many as fit into a record. They are copied only where they
/// lie in several buffers.
fn piece<'a>(bufs: &'a [IoSlice<'_>], mut skip: usize) -> Cow<'a, [u8]> {
    let mut piece = Cow::Borrowed(&[][..]);
    for buf in bufs {
        if skip >= buf.len() {
            skip -= buf.len();
            continue;
        }
        let part = &buf[skip..];
        let part = &part[..part.len().min(RECORD - piece.len())];
        skip = 0;
        if piece.is_empty() {
            piece = Cow::Borrowed(part);
        } else if !part.is_empty() {
            piece.to_mut().extend_from_slice(part);
        }
    }
    piece
}

fn retry<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_cut_out_of_what_is_to_be_written() {
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
