//! Whoever issues tokens: keys made for one test, and tokens signed by hand, as wrong as need be.

use std::fs;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ED25519, PublicKeyData};
use ring::hmac;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::TestServer;

/// A key pair, or a secret, and the file of it that a server is given.
pub struct Issuer {
    pub algorithm: &'static str,
    folder: TempDir,
    pair: Option<KeyPair>,
    secret: Vec<u8>,
}

impl Issuer {
    /// With a secret.
    pub fn hs256() -> Issuer {
        let secret = "no bytes of this may ever be seen in any log".into();
        Issuer::new("HS256", None, secret)
    }

    /// With a P-256 key.
    pub fn es256() -> Issuer {
        let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
        let pem = pair.public_key_pem().into_bytes();
        Issuer::new("ES256", Some(pair), pem)
    }

    /// With an Ed25519 key.
    pub fn eddsa() -> Issuer {
        let pair = KeyPair::generate_for(&PKCS_ED25519).unwrap();
        let pem = pair.public_key_pem().into_bytes();
        Issuer::new("EdDSA", Some(pair), pem)
    }

    /// One of each kind.
    pub fn all() -> [Issuer; 3] {
        [Issuer::hs256(), Issuer::es256(), Issuer::eddsa()]
    }

    fn new(algorithm: &'static str, pair: Option<KeyPair>, secret: Vec<u8>) -> Issuer {
        let issuer = Issuer {
            algorithm,
            folder: tempfile::tempdir().unwrap(),
            pair,
            secret,
        };
        fs::write(issuer.file(), &issuer.secret).unwrap();
        issuer
    }

    /// What the server is given.
    pub fn file(&self) -> PathBuf {
        self.folder.path().join("jwt-key")
    }

    /// What is in it: the secret, or the PEM of the public key.
    pub fn published(&self) -> &[u8] {
        &self.secret
    }

    /// The public key as DER.
    pub fn der(&self) -> Vec<u8> {
        let pair = self.pair.as_ref().expect("a pair of keys");
        pair.subject_public_key_info()
    }

    /// The PEM of the private key.
    pub fn private(&self) -> String {
        self.pair.as_ref().expect("a pair of keys").serialize_pem()
    }

    /// A server that asks for its tokens.
    pub fn serve(&self) -> TestServer {
        TestServer::with(|config| config.jwt_key = Some(self.file()))
    }

    /// A token that says so.
    pub fn sign(&self, claims: Value) -> String {
        self.sign_under(&json!({"alg": self.algorithm, "typ": "JWT"}), &claims)
    }

    /// The same under a header of one's own.
    pub fn sign_under(&self, header: &Value, claims: &Value) -> String {
        let message = message(header, claims);
        let signature = match &self.pair {
            None => {
                let key = hmac::Key::new(hmac::HMAC_SHA256, &self.secret);
                hmac::sign(&key, message.as_bytes()).as_ref().to_vec()
            }
            Some(pair) => {
                let der = pair.serialize_der();
                if self.algorithm == "ES256" {
                    let (how, random) = (&ECDSA_P256_SHA256_FIXED_SIGNING, SystemRandom::new());
                    let pair = EcdsaKeyPair::from_pkcs8(how, &der, &random).unwrap();
                    let signed = pair.sign(&random, message.as_bytes());
                    signed.unwrap().as_ref().to_vec()
                } else {
                    let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der).unwrap();
                    pair.sign(message.as_bytes()).as_ref().to_vec()
                }
            }
        };
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    /// A token of this user, for some time.
    pub fn token(&self, user: &str) -> String {
        self.sign(json!({"sub": user, "exp": soon(3600)}))
    }
}

/// What is signed.
pub fn message(header: &Value, claims: &Value) -> String {
    let part = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
    format!("{}.{}", part(header), part(claims))
}

/// So many seconds from now, in seconds since 1970.
pub fn soon(seconds: i64) -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    now.as_secs() as i64 + seconds
}
