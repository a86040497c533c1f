//! TLS towards Redis: the trusted roots, the name that a certificate must have, and errors.

use std::fmt;
use std::fs;
use std::io;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use futures_rustls::TlsConnector;
use futures_rustls::pki_types::pem::PemObject;
use futures_rustls::pki_types::{CertificateDer, ServerName};
use futures_rustls::rustls::{self, ClientConfig, ClientConnection, RootCertStore};

use crate::certificate::without_boms;
use crate::redis::cluster::Address;
use crate::redis::connection::Certificate;
use crate::redis::error::Error;

/// What TLS says of the other side.
pub fn certificate(session: &ClientConnection) -> Certificate {
    let version = match session.protocol_version() {
        Some(rustls::ProtocolVersion::TLSv1_3) => "TLS 1.3",
        _ => "TLS 1.2",
    };
    let chain = session.peer_certificates().unwrap_or_default();
    let der = chain.first().map(|first| first.to_vec());
    (version, der.unwrap_or_default())
}

/// The name that a node's certificate must have. Most clusters and sentinels announce
/// nodes by addresses, and certificates are for the name under which the operator knows them.
pub fn certified(node: Option<&Address>, name: &ServerName<'static>) -> ServerName<'static> {
    let announced = node.and_then(|node| {
        let address = node.host.parse::<IpAddr>().is_ok();
        let named = matches!(name, ServerName::DnsName(_));
        (!address || !named).then(|| ServerName::try_from(node.host.clone()).ok())
    });
    announced.flatten().unwrap_or_else(|| name.clone())
}

/// Verifies certificates by this CA, or by the built-in web roots.
///
/// # Errors
/// One line about an unreadable CA.
pub fn connector(ca: Option<&Path>) -> Result<TlsConnector, String> {
    let mut roots = RootCertStore::empty();
    match ca {
        None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
        Some(path) => {
            let unreadable = |error: &dyn fmt::Display| {
                format!(
                    "--redis-ca {}: no certificate to be read: {error}",
                    path.display()
                )
            };
            let pem = fs::read(path).map_err(|error| unreadable(&error))?;
            for certificate in CertificateDer::pem_slice_iter(&without_boms(&pem)) {
                let certificate = certificate.map_err(|error| unreadable(&error))?;
                roots.add(certificate).map_err(|error| unreadable(&error))?;
            }
            if roots.is_empty() {
                return Err(unreadable(&"the file holds none in PEM form"));
            }
        }
    }
    let config = ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

/// Tells apart what trying again can mend from what it can't.
pub fn error(error: io::Error) -> Error {
    use rustls::Error::{AlertReceived, InvalidCertificate, InvalidMessage, PeerIncompatible};
    let inner = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match inner {
        Some(InvalidCertificate(why)) => Error::Fatal(format!(
            "its certificate is not trusted: {why}; --redis-ca names a private CA"
        )),
        Some(InvalidMessage(_)) => Error::Fatal("it does not speak TLS on this port".into()),
        Some(error @ (AlertReceived(_) | PeerIncompatible(_))) => {
            Error::Fatal(format!("TLS refused: {error}"))
        }
        _ => Error::Transient(format!("TLS failed: {error}")),
    }
}
