//! Reads the operator's certificate and key: PEM files, the server's own certificate first. An
//! error is one line that names the file. The key's content is never shown.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::SystemTime;

use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{Error, InconsistentKeys};

use crate::certificate::{Certificate, without_boms};
use crate::config::TlsFiles;

/// A longer file is no certificate and no key.
const LONGEST: u64 = 1024 * 1024;

/// Tells whether the files have changed, without reading them. Links are followed, since certbot
/// and Kubernetes replace links.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp([Option<(u64, u64, u64, SystemTime)>; 2]);

impl Stamp {
    /// The current state of the files.
    pub fn of(files: &TlsFiles) -> Stamp {
        Stamp([&files.cert, &files.key].map(|path| {
            let file = fs::metadata(path).ok()?;
            Some((file.dev(), file.ino(), file.len(), file.modified().ok()?))
        }))
    }
}

/// Reads both files. `now` is in seconds since 1970.
///
/// # Errors
/// One line: which file, what is wrong with it, and what to do.
pub fn load(files: &TlsFiles, now: u64) -> Result<(CertifiedKey, Certificate), String> {
    let (cert_file, key_file) = (files.cert.display(), files.key.display());
    let bad_cert = |why: &str| format!("--tls-cert {cert_file}: {why}");
    let bad_key = |why: &str| format!("--tls-key {key_file}: {why}");
    let unreadable = || bad_cert("its first certificate can't be read");
    let chain = chain(&files.cert).map_err(|why| bad_cert(&why))?;
    let key = key(&files.key).map_err(|why| bad_key(&why))?;
    let own = chain.first().and_then(|own| Certificate::read(own));
    let own = own.ok_or_else(unreadable)?;
    let pair = CertifiedKey::from_der(chain, key, &default_provider());
    let pair = pair.map_err(|error| match error {
        Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => bad_key(&format!(
            "it does not belong to the first certificate in {cert_file}; the server's own comes first there"
        )),
        Error::InvalidCertificate(_) => unreadable(),
        _ => bad_key("not a kind of key that is known; RSA, ECDSA P-256 or P-384, and Ed25519 are"),
    })?;
    if now >= own.until {
        let days = (now - own.until) / (24 * 3600);
        let why = format!("the certificate ended {days} days ago; renew it, or set the clock");
        return Err(bad_cert(&why));
    }
    if now < own.from {
        // A small board has no correct time before it has asked the network.
        log::warn!("{cert_file}: the certificate is not valid yet; is the clock right?");
    }
    Ok((pair, own))
}

fn chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let text = text(path)?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    match chain {
        Ok(chain) if chain.is_empty() => Err(match has(&text, "PRIVATE KEY") {
            true => "a key, and no certificate; are --tls-cert and --tls-key mixed up?".into(),
            false => "no certificate in it; PEM is needed, -----BEGIN CERTIFICATE-----".into(),
        }),
        chain => chain.map_err(broken),
    }
}

fn key(path: &Path) -> Result<PrivateKeyDer<'static>, String> {
    let text = text(path)?;
    if has(&text, "ENCRYPTED") {
        return Err("the key is encrypted, and nobody is there to type its password; openssl pkey -in FILE -out NEWFILE takes it off".into());
    }
    PrivateKeyDer::from_pem_slice(&text).map_err(|error| match error {
        pem::Error::NoItemsFound if has(&text, "CERTIFICATE") => {
            "a certificate, and no key; are --tls-cert and --tls-key mixed up?".into()
        }
        pem::Error::NoItemsFound => {
            "no key in it; PEM is needed, -----BEGIN PRIVATE KEY-----".into()
        }
        error => broken(error),
    })
}

fn text(path: &Path) -> Result<Vec<u8>, String> {
    let hint = "let the server read it, or name another file";
    // Anything but a regular file may have no end, or block for ever.
    let file = fs::metadata(path).map_err(|error| format!("{error}; {hint}"))?;
    if !file.is_file() || file.len() > LONGEST {
        return Err(format!("not a file of certificates or keys; {hint}"));
    }
    let text = fs::read(path).map_err(|error| format!("{error}; {hint}"))?;
    Ok(without_boms(&text))
}

fn has(text: &[u8], word: &str) -> bool {
    text.windows(word.len()).any(|part| part == word.as_bytes())
}

/// Describes the error without the content, which may be a key.
fn broken(error: pem::Error) -> String {
    match error {
        pem::Error::MissingSectionEnd { .. } => {
            "it ends in the middle, without an -----END line; write it again".into()
        }
        _ => "not whole PEM; write it again".into(),
    }
}
