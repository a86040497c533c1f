//! The records of one connection (RFC 8446, section 5): rustls, and the buffers that it works on.
//!
//! A buffer exists only while it holds something: an incomplete record that has come, or records
//! that the socket has not taken yet. So an idle connection holds little more than its keys.

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

/// The most bytes of an incomplete record or handshake message.
const INCOMPLETE: usize = 24 * 1024;

/// Takes the decrypted bytes.
pub type Take<'a> = Option<&'a mut dyn FnMut(&[u8])>;

type Traffic<'c> = WriteTraffic<'c, ServerConnectionData>;

/// Both directions of one connection.
pub struct Records {
    connection: UnbufferedServerConnection,
    /// The bytes of an incomplete record.
    incoming: Vec<u8>,
    /// Records that the socket has not taken completely.
    outgoing: Vec<u8>,
    /// How many bytes of `outgoing` the socket has taken.
    sent: usize,
    /// Data came with the end of the handshake, and has not been read.
    unread: bool,
    /// The other side has sent `close_notify`, or its connection has ended.
    pub closed: bool,
}

impl Records {
    /// The state of a connection that has not sent anything yet.
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

    /// Whether data came with the end of the handshake. True once.
    pub fn unread(&mut self) -> bool {
        mem::take(&mut self.unread)
    }

    /// Whether there are bytes to send.
    pub fn owes(&self) -> bool {
        !self.outgoing.is_empty()
    }

    /// The bytes to send.
    pub fn outgoing(&self) -> &[u8] {
        &self.outgoing[self.sent..]
    }

    /// Removes bytes that have been sent.
    pub fn sent(&mut self, bytes: usize) {
        self.sent += bytes;
        if self.sent >= self.outgoing.len() {
            self.outgoing = Vec::new();
            self.sent = 0;
        }
    }

    /// Decrypts complete records and keeps the rest. Without `take`, only the handshake continues.
    ///
    /// # Errors
    /// Why the connection can't continue. The alert for the other side is in the bytes to send.
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
            // An empty buffer is released.
            self.incoming = if all.is_empty() { Vec::new() } else { all };
            result.map_err(|error| reason(&error))?;
        }
        match self.incoming.len() > INCOMPLETE {
            true => Err(BROKEN),
            false => Ok(()),
        }
    }

    /// Passes rustls these bytes, beginning with the first that it has not consumed. Returns how
    /// many it consumed.
    fn process(&mut self, bytes: &mut [u8], mut take: Take<'_>) -> (usize, Result<(), Error>) {
        let mut used = 0;
        let mut failed = None;
        loop {
            let UnbufferedStatus { discard, state } =
                self.connection.process_tls_records(&mut bytes[used..]);
            let mut done = false;
            match state {
                Ok(ConnectionState::EncodeTlsData(data)) => encode(&mut self.outgoing, data),
                // The next flush sends it before anything else.
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
                // These bytes hold nothing more. Early data is not offered.
                Ok(_) => done = true,
                // Called once more, since rustls may have an alert to send.
                Err(error) => failed = Some(error),
            }
            used += discard;
            if done {
                return (used, failed.map_or(Ok(()), Err));
            }
        }
    }

    /// Encrypts at most 16 KiB into a record. Returns whether that was possible.
    pub fn encrypt(&mut self, bytes: &[u8]) -> bool {
        self.writing(|traffic, out| traffic.encrypt(bytes, out))
    }

    /// Appends `close_notify` to the bytes to send.
    pub fn close(&mut self) {
        self.writing(|traffic, out| traffic.queue_close_notify(out));
    }

    /// Appends to the bytes to send. Returns whether that was possible.
    fn writing(
        &mut self,
        mut write: impl FnMut(&mut Traffic<'_>, &mut [u8]) -> Result<usize, EncryptError>,
    ) -> bool {
        loop {
            // rustls wants to see the whole incomplete record each time.
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

/// Appends what `write` writes into a buffer of the size that it asks for. Returns whether it did.
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

/// The reason of a failed handshake, as the metrics name it.
fn reason(error: &Error) -> &'static str {
    use PeerIncompatible as Odd;
    match error {
        Error::PeerIncompatible(odd) => match odd {
            // Since TLS 1.2 every client sends its signature schemes, and rustls checks that first.
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
