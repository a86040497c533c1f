//! Certificates made for one test: nothing expires, and no key is in the repository.

use std::fs;
use std::path::PathBuf;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use tempfile::TempDir;

/// A private CA (`ca.pem`) and a certificate of it for one host (`cert.pem`, `key.pem`).
pub struct Certs {
    folder: TempDir,
}

impl Certs {
    /// For this host.
    pub fn for_host(host: &str) -> Certs {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca_key = KeyPair::generate().unwrap();
        let ca = params.self_signed(&ca_key).unwrap();
        let issuer = Issuer::new(params, ca_key);
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![host.to_string()]).unwrap();
        // OpenSSL takes a certificate for one that signed itself if its name is the issuer's.
        params.distinguished_name.push(DnType::CommonName, host);
        let cert = params.signed_by(&key, &issuer).unwrap();
        let certs = Certs {
            folder: tempfile::tempdir().unwrap(),
        };
        for (name, pem) in [
            ("ca.pem", ca.pem()),
            ("cert.pem", cert.pem()),
            ("key.pem", key.serialize_pem()),
        ] {
            fs::write(certs.path(name), pem).unwrap();
        }
        certs
    }

    /// The path of one of the three files.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}
