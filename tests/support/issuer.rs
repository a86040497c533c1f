//! An issuer of tokens: keys made for one test, and tokens signed by hand, valid or not.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ED25519, PKCS_RSA_SHA256, PublicKeyData};
use ring::hmac;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, RSA_PKCS1_SHA256, RsaKeyPair,
    RsaPublicKeyComponents,
};
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

    /// With an RSA key.
    pub fn rs256() -> Issuer {
        let pair = KeyPair::from_pkcs8_pem_and_sign_algo(&rsa(2048), &PKCS_RSA_SHA256).unwrap();
        let pem = pair.public_key_pem().into_bytes();
        Issuer::new("RS256", Some(pair), pem)
    }

    /// One of each kind.
    pub fn all() -> [Issuer; 4] {
        [
            Issuer::hs256(),
            Issuer::es256(),
            Issuer::eddsa(),
            Issuer::rs256(),
        ]
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
                let (der, random) = (pair.serialize_der(), SystemRandom::new());
                let message = message.as_bytes();
                match self.algorithm {
                    "ES256" => {
                        let how = &ECDSA_P256_SHA256_FIXED_SIGNING;
                        let pair = EcdsaKeyPair::from_pkcs8(how, &der, &random).unwrap();
                        let signed = pair.sign(&random, message);
                        signed.unwrap().as_ref().to_vec()
                    }
                    "RS256" => {
                        let pair = RsaKeyPair::from_pkcs8(&der).unwrap();
                        let mut signed = vec![0; pair.public().modulus_len()];
                        pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signed)
                            .unwrap();
                        signed
                    }
                    _ => {
                        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der).unwrap();
                        pair.sign(message).as_ref().to_vec()
                    }
                }
            }
        };
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    /// The public key, or the secret, as a JSON Web Key (RFC 7517) with this id.
    pub fn jwk(&self, kid: &str) -> Value {
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let mut jwk = match self.algorithm {
            "HS256" => json!({"kty": "oct", "k": text(&self.secret)}),
            "ES256" => {
                let der = self.der();
                let (x, y) = der[der.len() - 64..].split_at(32);
                json!({"kty": "EC", "crv": "P-256", "x": text(x), "y": text(y)})
            }
            "EdDSA" => {
                let der = self.der();
                json!({"kty": "OKP", "crv": "Ed25519", "x": text(&der[der.len() - 32..])})
            }
            _ => {
                let der = self.pair.as_ref().unwrap().serialize_der();
                let pair = RsaKeyPair::from_pkcs8(&der).unwrap();
                let public = RsaPublicKeyComponents::<Vec<u8>>::from(pair.public());
                json!({"kty": "RSA", "n": text(&public.n), "e": text(&public.e)})
            }
        };
        jwk["kid"] = kid.into();
        jwk
    }

    /// A token of this user that names the key it is signed with.
    pub fn token_of_key(&self, kid: &str, user: &str) -> String {
        let header = json!({"alg": self.algorithm, "typ": "JWT", "kid": kid});
        self.sign_under(&header, &json!({"sub": user, "exp": soon(3600)}))
    }

    /// A token of this user, for some time.
    pub fn token(&self, user: &str) -> String {
        self.sign(json!({"sub": user, "exp": soon(3600)}))
    }
}

/// An RSA key of so many bits, as PEM of PKCS #8. Only OpenSSL makes them.
pub fn rsa(bits: usize) -> String {
    let bits = format!("rsa_keygen_bits:{bits}");
    openssl(&["genpkey", "-algorithm", "RSA", "-pkeyopt", &bits])
}

/// What OpenSSL prints.
pub fn openssl(args: &[&str]) -> String {
    let output = Command::new("openssl").args(args).output();
    let output = output.expect("openssl is installed");
    assert!(output.status.success(), "openssl {args:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
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
