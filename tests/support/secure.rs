//! The client's side of TLS, with certificates that are really verified.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion,
};

use super::{Certs, DEADLINE};

/// A connection over TLS, its handshake done.
pub type Secure = StreamOwned<ClientConnection, TcpStream>;

/// A configuration for clients that trust the CA of these certificates. They share its session
/// tickets.
pub fn trusting(
    certs: &Certs,
    versions: &[&'static SupportedProtocolVersion],
) -> Arc<ClientConfig> {
    let ca = CertificateDer::from_pem_file(certs.path("ca.pem")).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(ca).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .unwrap();
    let mut config = config.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Arc::new(config)
}

/// Connects and completes the handshake. The server's certificate must be for `localhost`.
pub fn connect(addr: SocketAddr, config: &Arc<ClientConfig>) -> io::Result<Secure> {
    over(
        TcpStream::connect(addr).expect("the server listens"),
        config,
    )
}

/// The same on a connection that is there.
pub fn over(stream: TcpStream, config: &Arc<ClientConfig>) -> io::Result<Secure> {
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream.set_write_timeout(Some(DEADLINE)).unwrap();
    stream.set_nodelay(true).unwrap();
    let name = "localhost".try_into().unwrap();
    let connection = ClientConnection::new(config.clone(), name).unwrap();
    let mut secure = StreamOwned::new(connection, stream);
    while secure.conn.is_handshaking() {
        secure.conn.complete_io(&mut secure.sock)?;
    }
    Ok(secure)
}

/// One request and its answer: status and body. The server must say that nothing follows.
#[track_caller]
pub fn get(secure: &mut Secure, target: &str) -> (u16, String) {
    write!(secure, "GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut answer = String::new();
    // Without close_notify, the end of the stream would be an error.
    secure.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").expect("an answer");
    (head[9..12].parse().expect("a status"), body.to_string())
}

/// The server's certificate chain in DER, its own certificate first.
pub fn chain(secure: &Secure) -> Vec<Vec<u8>> {
    let chain = secure.conn.peer_certificates().expect("certificates");
    chain.iter().map(|one| one.to_vec()).collect()
}
