//! TLS on one connection: ciphertext on the socket's side, plain bytes on the other, and nothing
//! waits.
//!
//! It owns its buffers, and has them only while they hold something: what has come of a record that
//! is not complete, and what the socket has not taken yet. So an idle connection holds little more
//! than its keys.

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;
use std::io::{self, IoSlice, Read, Write};
use std::mem;
use std::net::TcpStream;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustls::server::{ServerConnectionData, UnbufferedServerConnection};
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncodeTlsData, EncryptError, InsufficientSizeError,
    UnbufferedStatus, WriteTraffic,
};
use rustls::{AlertDescription, Error, PeerIncompatible, ServerConfig};

use crate::net::terms::{
    BROKEN, CIPHER, DISTRUST, ENDED, EXCHANGE, Failure, HUNG_UP, PROTOCOL, SIGNATURE, Shaking,
    Taken, VERSION,
};

/// What one read takes at most. Lives on the stack.
const READ_SIZE: usize = 4096;
/// Plain bytes that are made a record at once: the most that fits one (RFC 8446, section 5.1).
const RECORD: usize = 16 * 1024;
/// More of a record, or of a handshake message, is not waited for.
const INCOMPLETE: usize = 24 * 1024;
/// How every handshake begins (RFC 8446, section 5.1).
const HANDSHAKE: u8 = 22;

/// So often it is read on when what comes is not for the peer.
const READS: usize = 8;

/// TLS on one connection. Boxed, since few connections have one.
pub struct Session(Box<Mutex<State>>);

type Traffic<'c> = WriteTraffic<'c, ServerConnectionData>;

struct State {
    connection: UnbufferedServerConnection,
    stage: Stage,
    /// What has come of a record that is not complete.
    incoming: Vec<u8>,
    /// Records of which the socket has not taken everything.
    outgoing: Vec<u8>,
    /// How much of these it has taken.
    written: usize,
    /// Something came with the handshake's end, and nobody has read it.
    unread: bool,
    /// The other side has said that nothing follows.
    closed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Nothing has come yet.
    New,
    Shaking,
    Open,
    /// It turned out that no TLS is spoken: what is written goes out as it is.
    Plain,
    Over,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Session").field(&self.lock().stage).finish()
    }
}

impl Session {
    /// Of a connection that has not said anything yet.
    ///
    /// # Errors
    /// The system has no randomness to give.
    pub fn new(config: &Arc<ServerConfig>) -> io::Result<Session> {
        let connection = UnbufferedServerConnection::new(config.clone());
        let connection = connection.map_err(io::Error::other)?;
        let state = State {
            connection,
            stage: Stage::New,
            incoming: Vec::new(),
            outgoing: Vec::new(),
            written: 0,
            unread: false,
            closed: false,
        };
        Ok(Session(Box::new(Mutex::new(state))))
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
    pub fn shake(&self, stream: &TcpStream) -> Result<Shaking, Failure> {
        self.lock().shake(stream)
    }

    /// Whether the handshake is not over yet.
    pub fn is_shaking(&self) -> bool {
        matches!(self.lock().stage, Stage::New | Stage::Shaking)
    }

    /// Reads what is there, decrypts it and hands it on, in as many pieces as it comes in.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] when nothing is there now; anything else ends the connection.
    pub fn read(&self, stream: &TcpStream, take: &mut dyn FnMut(&[u8])) -> io::Result<Taken> {
        self.lock().read(stream, take)
    }

    /// Encrypts and writes as much as is taken at once. Of a record that was taken in part the rest
    /// is [owed](Self::owes), and goes out first next time: then `Ok(0)` says that some of it did,
    /// but not all.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] when nothing is taken now; anything else ends the connection.
    pub fn write(&self, stream: &TcpStream, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        self.lock().write(stream, bufs)
    }

    /// Whether it has taken bytes that the socket has not.
    pub fn owes(&self) -> bool {
        !self.lock().outgoing.is_empty()
    }

    /// Says that nothing follows, if the socket takes that at once.
    pub fn part(&self, stream: &TcpStream) {
        self.lock().part(stream);
    }
}

impl State {
    fn shake(&mut self, stream: &TcpStream) -> Result<Shaking, Failure> {
        let gone = Failure::Because(HUNG_UP);
        loop {
            if !self.flush(stream).map_err(|_| gone)? {
                return Ok(Shaking::Write);
            }
            if !self.connection.is_handshaking() {
                self.stage = Stage::Open;
                return Ok(Shaking::Done);
            }
            let mut scratch = [0; READ_SIZE];
            let came = match retry(|| (&*stream).read(&mut scratch)) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Ok(Shaking::Read);
                }
                Ok(came @ 1..) => &mut scratch[..came],
                _ if self.stage == Stage::New => return Err(Failure::Silent),
                _ => return Err(gone),
            };
            if self.stage == Stage::New {
                if came[0] != HANDSHAKE {
                    self.stage = Stage::Plain;
                    return Err(Failure::Plain);
                }
                self.stage = Stage::Shaking;
            }
            let result = self.decrypt(came, None);
            if let Err(error) = result {
                self.stage = Stage::Over;
                // It may not take the reason either.
                let _ = self.flush(stream);
                return Err(Failure::Because(reason(&error)));
            }
        }
    }

    fn read(&mut self, stream: &TcpStream, take: &mut dyn FnMut(&[u8])) -> io::Result<Taken> {
        let bytes = Cell::new(0);
        let mut take = |part: &[u8]| {
            bytes.set(bytes.get() + part.len());
            take(part);
        };
        let mut drained = false;
        if mem::take(&mut self.unread) {
            self.take(&mut [], stream, &mut take)?;
        }
        for _ in 0..READS {
            if bytes.get() > 0 || drained || self.closed {
                break;
            }
            let mut scratch = [0; READ_SIZE];
            match retry(|| (&*stream).read(&mut scratch))? {
                0 => self.closed = true,
                came => {
                    drained = came < READ_SIZE;
                    self.take(&mut scratch[..came], stream, &mut take)?;
                }
            }
        }
        match bytes.get() {
            0 if !self.closed => Err(io::ErrorKind::WouldBlock.into()),
            // What is behind the last bytes is read at once, or nobody would learn of the end.
            bytes => Ok(Taken {
                bytes,
                drained: drained && !self.closed,
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
        if let Err(error) = self.decrypt(came, Some(take)) {
            self.stage = Stage::Over;
            let _ = self.flush(stream);
            return Err(io::Error::new(io::ErrorKind::InvalidData, error));
        }
        Ok(())
    }

    /// Decrypts what has come, as far as it is complete, and keeps the rest. Without `take`, only
    /// the handshake.
    fn decrypt(
        &mut self,
        came: &mut [u8],
        take: Option<&mut dyn FnMut(&[u8])>,
    ) -> Result<(), Error> {
        if self.incoming.is_empty() {
            let (used, result) = self.process(came, take);
            self.incoming = came[used..].to_vec();
            result?;
        } else {
            let mut all = mem::take(&mut self.incoming);
            all.extend_from_slice(came);
            let (used, result) = self.process(&mut all, take);
            all.drain(..used);
            // Given back when empty.
            self.incoming = if all.is_empty() { Vec::new() } else { all };
            result?;
        }
        match self.incoming.len() > INCOMPLETE {
            true => Err(Error::General("a message that is too long".into())),
            false => Ok(()),
        }
    }

    /// Lets rustls have these bytes, the first that it has not said it is done with. Returns how
    /// many it is done with now.
    fn process(
        &mut self,
        bytes: &mut [u8],
        mut take: Option<&mut dyn FnMut(&[u8])>,
    ) -> (usize, Result<(), Error>) {
        let mut used = 0;
        let mut failed = None;
        loop {
            let UnbufferedStatus { discard, state } =
                self.connection.process_tls_records(&mut bytes[used..]);
            let mut done = false;
            match state {
                Ok(ConnectionState::EncodeTlsData(data)) => encode(&mut self.outgoing, data),
                // It goes out with the next flush, ahead of anything else.
                Ok(ConnectionState::TransmitTlsData(data)) => data.done(),
                _ if failed.is_some() => done = true,
                Ok(ConnectionState::ReadTraffic(mut traffic)) => match &mut take {
                    Some(take) => {
                        while let Some(record) = traffic.next_record() {
                            match record {
                                Ok(record) => take(record.payload),
                                Err(error) => failed = Some(error),
                            }
                        }
                    }
                    None => {
                        self.unread = true;
                        done = true;
                    }
                },
                Ok(ConnectionState::PeerClosed) => self.closed = true,
                Ok(ConnectionState::Closed) => {
                    self.closed = true;
                    done = true;
                }
                // Nothing more is to be had of these bytes; early data is not offered.
                Ok(_) => done = true,
                // Once more: there may be word of it for the other side.
                Err(error) => failed = Some(error),
            }
            used += discard;
            if done {
                return (used, failed.map_or(Ok(()), Err));
            }
        }
    }

    fn write(&mut self, stream: &TcpStream, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        match self.stage {
            Stage::Open => {}
            Stage::Plain => return (&*stream).write_vectored(bufs),
            Stage::New | Stage::Shaking | Stage::Over => {
                return Err(io::ErrorKind::NotConnected.into());
            }
        }
        let before = self.written;
        if !self.flush(stream)? {
            return match self.written > before {
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
            self.encrypt(&piece)?;
            taken += piece.len();
            if !self.flush(stream)? {
                return Ok(taken);
            }
        }
    }

    /// Makes a record of these bytes.
    fn encrypt(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self.writing(|traffic, out| traffic.encrypt(bytes, out)) {
            true => Ok(()),
            false => {
                self.stage = Stage::Over;
                Err(io::ErrorKind::NotConnected.into())
            }
        }
    }

    /// Appends to what goes out; whether that was possible.
    fn writing(
        &mut self,
        mut write: impl FnMut(&mut Traffic<'_>, &mut [u8]) -> Result<usize, EncryptError>,
    ) -> bool {
        loop {
            // What is there of a record that is not complete: rustls wants to see it each time.
            let UnbufferedStatus { state, .. } =
                self.connection.process_tls_records(&mut self.incoming);
            match state {
                Ok(ConnectionState::WriteTraffic(mut traffic)) => {
                    return put(&mut self.outgoing, |out| {
                        write(&mut traffic, out).map_err(|error| match error {
                            EncryptError::InsufficientSize(size) => Some(size),
                            EncryptError::EncryptExhausted => None,
                        })
                    });
                }
                Ok(ConnectionState::EncodeTlsData(data)) => encode(&mut self.outgoing, data),
                Ok(ConnectionState::TransmitTlsData(data)) => data.done(),
                _ => return false,
            }
        }
    }

    /// Writes records as far as the socket takes them; whether it took everything.
    fn flush(&mut self, stream: &TcpStream) -> io::Result<bool> {
        while self.written < self.outgoing.len() {
            match retry(|| (&*stream).write(&self.outgoing[self.written..])) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => self.written += written,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        self.written = 0;
        self.outgoing = Vec::new();
        Ok(true)
    }

    fn part(&mut self, stream: &TcpStream) {
        if self.stage != Stage::Open {
            return;
        }
        self.stage = Stage::Over;
        self.writing(|traffic, out| traffic.queue_close_notify(out));
        // Whoever has not even taken what came before does not wait for this.
        let _ = self.flush(stream);
    }
}

/// Appends what `write` writes into a buffer of the size that it asks for; whether it did.
fn put(
    out: &mut Vec<u8>,
    mut write: impl FnMut(&mut [u8]) -> Result<usize, Option<InsufficientSizeError>>,
) -> bool {
    let before = out.len();
    let mut result = write(&mut []);
    if let Err(Some(size)) = result {
        out.resize(before + size.required_size, 0);
        result = write(&mut out[before..]);
    }
    let written = result.as_ref().map_or(0, |written| *written);
    out.truncate(before + written);
    result.is_ok()
}

fn encode(out: &mut Vec<u8>, mut data: EncodeTlsData<'_, ServerConnectionData>) {
    put(out, |out| match data.encode(out) {
        Ok(written) => Ok(written),
        Err(EncodeError::InsufficientSize(size)) => Err(Some(size)),
        Err(_) => Err(None),
    });
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
        } else {
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

/// Why a handshake fails, in few words: each is counted apart.
fn reason(error: &Error) -> &'static str {
    use PeerIncompatible as Odd;
    match error {
        Error::PeerIncompatible(odd) => match odd {
            // Since TLS 1.2 every client names its signatures, and that is looked at first.
            Odd::SignatureAlgorithmsExtensionRequired
            | Odd::Tls12NotOffered
            | Odd::Tls12NotOfferedOrEnabled
            | Odd::SupportedVersionsExtensionRequired
            | Odd::ServerTlsVersionIsDisabledByOurConfig
            | Odd::ServerDoesNotSupportTls12Or13 => VERSION,
            Odd::NoCipherSuitesInCommon => CIPHER,
            Odd::NoKxGroupsInCommon
            | Odd::NoEcPointFormatsInCommon
            | Odd::NamedGroupsExtensionRequired
            | Odd::KeyShareExtensionRequired => EXCHANGE,
            Odd::NoSignatureSchemesInCommon => SIGNATURE,
            _ => BROKEN,
        },
        Error::NoApplicationProtocol => PROTOCOL,
        Error::AlertReceived(
            AlertDescription::UnknownCA
            | AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown,
        ) => DISTRUST,
        Error::AlertReceived(_) => ENDED,
        _ => BROKEN,
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
