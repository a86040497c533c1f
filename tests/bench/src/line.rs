//! What a client speaks through: bytes as they are, or over TLS.

use std::fs;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::ring::default_provider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, Error, SignatureScheme};

/// One connection. Nothing in it waits.
pub struct Line {
    socket: TcpStream,
    tls: Option<Box<ClientConnection>>,
}

impl Line {
    /// Over a connection that is there or on its way.
    pub fn new(socket: TcpStream, tls: Option<&Arc<ClientConfig>>) -> Result<Line, Error> {
        let name = ServerName::IpAddress(std::net::Ipv4Addr::LOCALHOST.into());
        let tls = tls.map(|config| ClientConnection::new(config.clone(), name));
        Ok(Line {
            socket,
            tls: tls.transpose()?.map(Box::new),
        })
    }

    /// Whether what was written has not all gone out.
    pub fn is_behind(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.wants_write())
    }

    /// Says nothing more.
    pub fn shutdown(&self) {
        let _ = self.socket.shutdown(Shutdown::Write);
    }

    /// Writes what is taken; nothing may be written to see what is [behind](Self::is_behind) go out.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some(tls) = &mut self.tls else {
            return self.socket.write(bytes);
        };
        let taken = tls.writer().write(bytes)?;
        while tls.wants_write() {
            match tls.write_tls(&mut self.socket) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock && taken > 0 => break,
                Err(error) => return Err(error),
            }
        }
        Ok(taken)
    }

    /// Reads what there is. `scratch` is for what is still to be decrypted.
    pub fn read(&mut self, into: &mut [u8], scratch: &mut [u8]) -> io::Result<usize> {
        let Some(tls) = &mut self.tls else {
            return self.socket.read(into);
        };
        let came = self.socket.read(scratch)?;
        let mut rest = &scratch[..came];
        let mut read = 0;
        loop {
            let ended = tls.read_tls(&mut rest)? == 0;
            tls.process_new_packets().map_err(io::Error::other)?;
            loop {
                match tls.reader().read(&mut into[read..]) {
                    Ok(0) => return Ok(read),
                    Ok(more) => read += more,
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    Err(_) => return Ok(read),
                }
            }
            if ended || rest.is_empty() {
                break;
            }
        }
        match self.write(&[]) {
            Err(error) if error.kind() != ErrorKind::WouldBlock => Err(error),
            _ if read == 0 => Err(ErrorKind::WouldBlock.into()),
            _ => Ok(read),
        }
    }
}

impl AsFd for Line {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Takes any certificate: both ends are ours, and what is measured is the other one. Every handshake
/// is a full one.
pub fn trusting() -> Result<Arc<ClientConfig>, String> {
    let provider = Arc::new(default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("TLS: {error}"))?;
    let mut config = config
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anybody))
        .with_no_client_auth();
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}

#[derive(Debug)]
struct Anybody;

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        default_provider()
            .signature_verification_algorithms
            .supported_schemes()
    }
}

/// A folder with `cert.pem` and `key.pem`, ECDSA P-256, made on first use.
pub fn certificate() -> Result<PathBuf, String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/tls");
    if folder.join("cert.pem").exists() {
        return Ok(folder);
    }
    let make = || -> io::Result<bool> {
        fs::create_dir_all(&folder)?;
        let made = Command::new("openssl")
            .args("req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes".split(' '))
            .args("-subj /CN=localhost -days 3650 -keyout key.pem -out cert.pem".split(' '))
            .current_dir(&folder)
            .stderr(Stdio::null())
            .status()?;
        Ok(made.success())
    };
    match make() {
        Ok(true) => Ok(folder),
        Ok(false) => Err("openssl makes no certificate".into()),
        Err(error) => Err(format!("openssl: {error}")),
    }
}
