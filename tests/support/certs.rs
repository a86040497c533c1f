//! Certificates made for one test: nothing expires, and no key is in the repository.

use std::fs;
use std::path::PathBuf;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use tempfile::TempDir;

/// A private CA (`ca.pem`) and a certificate of it for one host (`cert.pem`, `key.pem`).
pub struct Certs {
    folder: TempDir,
    host: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Certs {
    /// For this host.
    pub fn for_host(host: &str) -> Certs {
        let (ca, issuer) = authority(None);
        let certs = Certs {
            folder: tempfile::tempdir().unwrap(),
            host: host.into(),
            issuer,
        };
        certs.write("ca.pem", &ca);
        certs.renew(|_| {});
        certs
    }

    /// For this host, signed by an intermediate CA: `cert.pem` holds both certificates.
    pub fn in_a_chain(host: &str) -> Certs {
        let certs = Certs::for_host(host);
        let (between, issuer) = authority(Some(&certs.issuer));
        let (cert, key) = signed(&certs.host, &issuer, |_| {});
        certs.write("cert.pem", &(cert + &between));
        certs.write("key.pem", &key);
        certs
    }

    /// A new certificate of the same CA for the same host, with a new key.
    pub fn renew(&self, set: impl FnOnce(&mut CertificateParams)) {
        let (cert, key) = signed(&self.host, &self.issuer, set);
        self.write("cert.pem", &cert);
        self.write("key.pem", &key);
    }

    /// Puts something in a file.
    pub fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    /// What is in a file.
    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    /// The path of one of the three files.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The certificate and the key, for the server's settings.
    pub fn files(&self) -> (Option<PathBuf>, Option<PathBuf>) {
        (Some(self.path("cert.pem")), Some(self.path("key.pem")))
    }
}

/// A CA: self-signed, or signed by `above`.
fn authority(above: Option<&Issuer<'static, KeyPair>>) -> (String, Issuer<'static, KeyPair>) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    let name = if above.is_some() { "between" } else { "root" };
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let cert = match above {
        Some(above) => params.signed_by(&key, above).unwrap(),
        None => params.self_signed(&key).unwrap(),
    };
    (cert.pem(), Issuer::new(params, key))
}

fn signed(
    host: &str,
    issuer: &Issuer<'static, KeyPair>,
    set: impl FnOnce(&mut CertificateParams),
) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec![host.to_string()]).unwrap();
    set(&mut params);
    let cert = params.signed_by(&key, issuer).unwrap();
    (cert.pem(), key.serialize_pem())
}
