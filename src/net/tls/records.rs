//! The records of one connection (RFC 8446, section 5): rustls, and the buffers that it is given.
//!
//! They are there only while they hold something: what has come of a record that is not complete,
//! and what the socket has not taken yet. So an idle connection holds little more than its keys.

use std::io;
use std::mem;
use std::sync::Arc;

use rustls::server::{ServerConnectionData, UnbufferedServerConnection};
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncodeTlsData, EncryptError, InsufficientSizeError,
    UnbufferedStatus, WriteTraffic,
};
use rustls::{AlertDescription, Error, PeerIncompatible, ServerConfig};

use crate::net::tls::error::{
    BROKEN, CIPHER, DISTRUST, ENDED, EXCHANGE, PROTOCOL, SIGNATURE, VERSION,
};

/// More of a record, or of a handshake message, is not waited for.
const INCOMPLETE: usize = 24 * 1024;

/// Who is handed what has been decrypted.
pub type Take<'a> = Option<&'a mut dyn FnMut(&[u8])>;

type Traffic<'c> = WriteTraffic<'c, ServerConnectionData>;

/// Both directions of one connection.
pub struct Records {
    connection: UnbufferedServerConnection,
    /// What has come of a record that is not complete.
    incoming: Vec<u8>,
    /// Records of which the socket has not taken everything.
    outgoing: Vec<u8>,
    /// How much of these it has taken.
    sent: usize,
    /// Something came with the handshake's end, and nobody has taken it.
    unread: bool,
    /// The other side has said that nothing follows, or can't say any more.
    pub closed: bool,
}

impl Records {
    /// Of a connection that has not said anything yet.
    ///
    /// # Errors
    /// The system has no randomness to give.
    pub fn new(config: &Arc<ServerConfig>) -> io::Result<Records> {
        let connection = UnbufferedServerConnection::new(config.clone());
        Ok(Records {
            connection: connection.map_err(io::Error::other)?,
            incoming: Vec::new(),
            outgoing: Vec::new(),
            sent: 0,
            unread: false,
            closed: false,
        })
    }

    /// Whether the handshake is not over yet.
    pub fn is_handshaking(&self) -> bool {
        self.connection.is_handshaking()
    }

    /// Whether something came with the handshake's end that is still to be taken; said once.
    pub fn unread(&mut self) -> bool {
        mem::take(&mut self.unread)
    }

    /// Whether there is something to be sent.
    pub fn owes(&self) -> bool {
        !self.outgoing.is_empty()
    }

    /// What is to be sent.
    pub fn outgoing(&self) -> &[u8] {
        &self.outgoing[self.sent..]
    }

    /// So much of it has been sent.
    pub fn sent(&mut self, bytes: usize) {
        self.sent += bytes;
        if self.sent >= self.outgoing.len() {
            self.outgoing = Vec::new();
            self.sent = 0;
        }
    }

    /// Decrypts what has come, as far as it is complete, and keeps the rest. Without `take`, only
    /// the handshake.
    ///
    /// # Errors
    /// Why nothing more can be said; the other side is told in what is then to be sent.
    pub fn decrypt(&mut self, came: &mut [u8], take: Take<'_>) -> Result<(), &'static str> {
        if self.incoming.is_empty() {
            let (used, result) = self.process(came, take);
            self.incoming = came[used..].to_vec();
            result.map_err(|error| reason(&error))?;
        } else {
            let mut all = mem::take(&mut self.incoming);
            all.extend_from_slice(came);
            let (used, result) = self.process(&mut all, take);
            all.drain(..used);
            // Given back when empty.
            self.incoming = if all.is_empty() { Vec::new() } else { all };
            result.map_err(|error| reason(&error))?;
        }
        match self.incoming.len() > INCOMPLETE {
            true => Err(BROKEN),
            false => Ok(()),
        }
    }

    /// Lets rustls have these bytes, the first that it has not said it is done with. Returns how
    /// many it is done with now.
    fn process(&mut self, bytes: &mut [u8], mut take: Take<'_>) -> (usize, Result<(), Error>) {
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

    /// Makes a record of these bytes, at most 16 KiB, to be sent; whether that was possible.
    pub fn encrypt(&mut self, bytes: &[u8]) -> bool {
        self.writing(|traffic, out| traffic.encrypt(bytes, out))
    }

    /// Says that nothing follows.
    pub fn close(&mut self) {
        self.writing(|traffic, out| traffic.queue_close_notify(out));
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
