//! TLS on one connection: ciphertext on the socket's side, plain bytes on the other, and nothing
//! waits. What comes and goes is in [records](super::records).

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;
use std::io::{self, IoSlice, Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustls::ServerConfig;

use super::records::Records;
use crate::net::tls::error::{HUNG_UP, HandshakeError, HandshakeStep, ReadOutcome};

/// What one read takes at most. Lives on the stack.
const READ_SIZE: usize = 4096;
/// Plain bytes that are made a record at once: the most that fits one (RFC 8446, section 5.1).
const RECORD: usize = 16 * 1024;
/// How every handshake begins (RFC 8446, section 5.1).
const HANDSHAKE: u8 = 22;
/// So often it is read on when what comes is not for the peer.
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
    /// It turned out that no TLS is spoken: what is written goes out as it is.
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
    /// Of a connection that has not said anything yet.
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

    /// A poisoned lock is taken all the same: at worst what follows can't be decrypted, which ends
    /// this connection.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Goes on with the handshake as far as it goes.
    ///
    /// # Errors
    /// Why it failed; the other side has been told as far as it takes that.
    pub fn handshake(&self, stream: &TcpStream) -> Result<HandshakeStep, HandshakeError> {
        self.lock().handshake(stream)
    }

    /// Whether nothing has come yet.
    pub fn is_new(&self) -> bool {
        self.lock().stage == Stage::New
    }

    /// Whether the handshake has begun, and is not over yet.
    pub fn is_handshaking(&self) -> bool {
        self.lock().stage == Stage::Handshaking
    }

    /// Reads what is there, decrypts it and hands it on, in as many pieces as it comes in. After the
    /// end of TLS, or without it, nothing is handed on any more.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] when nothing is there now; anything else ends the connection.
    pub fn read(&self, stream: &TcpStream, take: &mut dyn FnMut(&[u8])) -> io::Result<ReadOutcome> {
        self.lock().read(stream, take)
    }

    /// Encrypts and writes as much as is taken at once. Of a record that was taken in part the rest
    /// is [owed](Self::owed), and goes out first next time: then `Ok(0)` says that some of it did,
    /// but not all.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] when nothing is taken now; anything else ends the connection.
    pub fn write(&self, stream: &TcpStream, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        self.lock().write(stream, bufs)
    }

    /// Bytes of records that the socket has not taken.
    pub fn owed(&self) -> usize {
        self.lock().records.outgoing().len()
    }

    /// Says that nothing follows, if the socket takes that at once.
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
                // It may not take the reason either.
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
            // Nobody wants to know what it is, only that it ends.
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
            // What is behind the last bytes is read at once, or nobody would learn of the end.
            bytes => Ok(ReadOutcome {
                bytes,
                drained: drained && !self.records.closed,
            }),
        }
    }

    /// Decrypts what has come, and hands it on.
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

    /// Writes records as far as the socket takes them; whether it took everything.
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
        // Whoever has not even taken what came before does not wait for this.
        let _ = self.flush(stream);
    }
}

/// What lies behind the first `skip` bytes, as much as fits a record; gathered where it lies in
/// pieces.
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
