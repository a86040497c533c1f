//! The key that tokens are verified with. Its kind alone decides the one algorithm that is accepted:
//! what a token's header says is only compared with it (RFC 8725, section 3.1).

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use jsonwebtoken::crypto::{CryptoProvider, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::signature::{self, Verifier};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use ring::hmac;
use ring::signature::{ECDSA_P256_SHA256_FIXED, ED25519, UnparsedPublicKey, VerificationAlgorithm};
use rustls_pki_types::SubjectPublicKeyInfoDer;
use rustls_pki_types::pem::PemObject;

/// No key is longer than this; who names a whole disk is not read to its end.
const FILE_BYTES: u64 = 64 * 1024;
/// A secret has at least this many bytes (RFC 7518, section 3.2).
const SECRET_BYTES: usize = 32;

/// How a P-256 key begins (RFC 5480): 65 bytes of an uncompressed point follow, and nothing else can.
const P256: &[u8] =
    b"\x30\x59\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x03\x42\x00";
/// How an Ed25519 key begins (RFC 8410): 32 bytes follow.
const ED25519_KEY: &[u8] = b"\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00";
/// The name of RSA (RFC 8017) within a key.
const RSA: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01";

/// A key, and what is asked of a token that it verifies.
pub(super) struct Key {
    pub(super) key: DecodingKey,
    pub(super) validation: Validation,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({:?})", self.algorithm())
    }
}

impl Key {
    /// Reads a key.
    ///
    /// # Errors
    /// One line about what is wrong with the file, and nothing of what is in it.
    pub(super) fn read(path: &Path) -> Result<Key, String> {
        let mut bytes = Vec::new();
        let read = File::open(path).and_then(|file| file.take(FILE_BYTES).read_to_end(&mut bytes));
        let key = match read {
            Ok(_) => Key::of(&bytes),
            Err(error) => Err(error.to_string()),
        };
        key.map_err(|why| format!("--jwt-key {}: {why}", path.display()))
    }

    /// The key that is in these bytes.
    pub(super) fn of(bytes: &[u8]) -> Result<Key, String> {
        // Whoever has a key can verify: so the library is never asked without this. A second time
        // changes nothing.
        let _ = PROVIDER.install_default();
        if bytes.windows(11).any(|part| part == b"-----BEGIN ") {
            return public(bytes);
        }
        let mut secret = bytes;
        if let Some(line) = secret.strip_suffix(b"\n") {
            secret = line.strip_suffix(b"\r").unwrap_or(line);
        }
        if secret.is_empty() {
            return Err("it is empty".into());
        }
        // What is no secret must not become one: everybody could sign with it.
        if is_der(bytes) {
            return Err("it is DER; write it as PEM: openssl pkey -pubin -inform DER".into());
        }
        let public = [&b"ssh-"[..], b"ecdsa-sha2-", b"{"];
        if public.iter().any(|begin| secret.starts_with(begin)) {
            return Err("this kind of key is not known; write it as PEM of a public key".into());
        }
        if secret.len() < SECRET_BYTES {
            return Err(format!(
                "the secret has {} bytes, and needs {SECRET_BYTES}: openssl rand -hex 32",
                secret.len()
            ));
        }
        Ok(Key::new(DecodingKey::from_secret(secret), Algorithm::HS256))
    }

    fn new(key: DecodingKey, algorithm: Algorithm) -> Key {
        let mut validation = Validation::new(algorithm);
        // Times are looked at by ourselves: to the moment, and `exp` may be missing.
        validation.required_spec_claims.clear();
        validation.validate_exp = false;
        // Whom a token is for is settled by whose key has signed it.
        validation.validate_aud = false;
        Key { key, validation }
    }

    /// The only one that is accepted.
    pub(super) fn algorithm(&self) -> Algorithm {
        self.validation.algorithms[0]
    }
}

/// The one public key in a PEM file (RFC 7468).
fn public(pem: &[u8]) -> Result<Key, String> {
    let text = String::from_utf8_lossy(pem);
    let labels = text
        .split("-----BEGIN ")
        .skip(1)
        .map(|rest| rest.split("-----").next().unwrap_or_default());
    for label in labels {
        match label {
            "PUBLIC KEY" => {}
            "RSA PUBLIC KEY" => return Err(unfit("RSA")),
            "CERTIFICATE" => {
                return Err("it is a certificate; the public key alone is needed: openssl x509 -noout -pubkey".into());
            }
            label if label.ends_with("PRIVATE KEY") => {
                return Err("it is a private key, which only who issues tokens may have; the public one is needed: openssl pkey -pubout".into());
            }
            _ => return Err("it is PEM, but not of a public key alone".into()),
        }
    }
    let der = SubjectPublicKeyInfoDer::from_pem_slice(pem);
    let der = der.map_err(|_| "it is broken PEM".to_string())?;
    if let Some(point) = der.strip_prefix(P256)
        && point.len() == 65
    {
        return Ok(Key::new(DecodingKey::from_ec_der(point), Algorithm::ES256));
    }
    if let Some(point) = der.strip_prefix(ED25519_KEY)
        && point.len() == 32
    {
        return Ok(Key::new(DecodingKey::from_ed_der(point), Algorithm::EdDSA));
    }
    let rsa = der.windows(RSA.len()).any(|part| part == RSA);
    Err(unfit(if rsa { "RSA" } else { "of another kind" }))
}

fn unfit(kind: &str) -> String {
    format!("the public key is {kind}; P-256 (ES256) and Ed25519 (EdDSA) are known")
}

/// Whether this is one DER sequence, as all keys are.
fn is_der(bytes: &[u8]) -> bool {
    let (start, length) = match bytes {
        [0x30, length @ 0..=0x7f, ..] => (2, usize::from(*length)),
        [0x30, 0x81, length, ..] => (3, usize::from(*length)),
        [0x30, 0x82, high, low, ..] => (4, usize::from(u16::from_be_bytes([*high, *low]))),
        _ => return false,
    };
    bytes.len() == start + length
}

/// How the library verifies: with ring, which is here for TLS anyway, and compares in constant time.
static PROVIDER: CryptoProvider = CryptoProvider {
    signer_factory: |_, _| Err(ErrorKind::UnsupportedAlgorithm.into()),
    verifier_factory: |algorithm, key| {
        let how: &'static dyn VerificationAlgorithm = match algorithm {
            Algorithm::HS256 => {
                let key = hmac::Key::new(hmac::HMAC_SHA256, key.try_get_as_bytes()?);
                return Ok(Box::new(Secret(key)));
            }
            Algorithm::ES256 => &ECDSA_P256_SHA256_FIXED,
            Algorithm::EdDSA => &ED25519,
            _ => return Err(ErrorKind::UnsupportedAlgorithm.into()),
        };
        let key = Arc::from(key.try_get_as_bytes()?);
        let key = UnparsedPublicKey::new(how, key);
        Ok(Box::new(Public(*algorithm, key)))
    },
    // For keys within tokens, which nobody asks for.
    key_utils: KeyUtils::new_unimplemented(),
};

struct Secret(hmac::Key);

impl Verifier<Vec<u8>> for Secret {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> Result<(), signature::Error> {
        hmac::verify(&self.0, message, signature).map_err(|_| signature::Error::new())
    }
}

impl JwtVerifier for Secret {
    fn algorithm(&self) -> Algorithm {
        Algorithm::HS256
    }
}

struct Public(Algorithm, UnparsedPublicKey<Arc<[u8]>>);

impl Verifier<Vec<u8>> for Public {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> Result<(), signature::Error> {
        let verified = self.1.verify(message, signature);
        verified.map_err(|_| signature::Error::new())
    }
}

impl JwtVerifier for Public {
    fn algorithm(&self) -> Algorithm {
        self.0
    }
}
