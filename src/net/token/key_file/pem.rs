//! Keys in PEM (RFC 7468): public ones that verify, private ones that sign.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use der::{Tag, Tagged};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{AlgorithmIdentifier, PrivatePkcs8KeyDer, SubjectPublicKeyInfoDer, alg_id};

use crate::certificate::der_items;
use crate::net::token::key_set::Key;

const BROKEN: &str = "it is broken PEM";
const OTHER_KIND: &str =
    "the public key is of another kind than P-256 (ES256), Ed25519 (EdDSA) and RSA (RS256)";

/// Whether these bytes contain PEM.
pub(in crate::net::token) fn is_pem(bytes: &[u8]) -> bool {
    bytes.windows(11).any(|part| part == b"-----BEGIN ")
}

/// Whether this is the content of a PEM file without its first and last line, as Keycloak shows keys.
pub(super) fn is_bare(bytes: &[u8]) -> bool {
    let mut text = bytes.to_vec();
    text.retain(|byte| !byte.is_ascii_whitespace());
    // Keys and certificates are a sequence that begins with one.
    STANDARD
        .decode(text)
        .is_ok_and(|der| sequence(&der).is_some_and(|items| items.starts_with(&[0x30])))
}

/// The one public key in a PEM file.
///
/// # Errors
/// What the file is instead.
pub(super) fn public(pem: &[u8]) -> Result<Key, String> {
    let labels = labels(pem);
    let wrong = labels.iter().find(|label| *label != "PUBLIC KEY");
    let why = match wrong.map(String::as_str) {
        None => None,
        Some("RSA PUBLIC KEY") => {
            Some("it is an RSA key in its old form: openssl rsa -RSAPublicKey_in -pubout")
        }
        Some("CERTIFICATE") => {
            Some("it is a certificate; the public key alone is needed: openssl x509 -noout -pubkey")
        }
        Some(label) if label.ends_with("PRIVATE KEY") => Some(
            "it is a private key, which only who issues tokens may have; the public one is needed: openssl pkey -pubout",
        ),
        Some(_) => Some("it is PEM, but not of a public key alone"),
    };
    why.map_or(Ok(()), Err)?;
    alone(&labels)?;
    let der = SubjectPublicKeyInfoDer::from_pem_slice(pem).map_err(|_| BROKEN)?;
    let (algorithm, bits) = subject_public_key(&der).ok_or(OTHER_KIND)?;
    let is = |id: AlgorithmIdentifier| *algorithm == *id;
    let key = if is(alg_id::ECDSA_P256) {
        Key::p256(bits.to_vec())
    } else if is(alg_id::ED25519) {
        Key::ed25519(bits.to_vec())
    } else if is(alg_id::RSA_ENCRYPTION)
        && let Some((n, e)) = rsa(bits)
    {
        Some(Key::rsa(n, e).map_err(|why| format!("it is {why}"))?)
    } else {
        None
    };
    key.ok_or_else(|| OTHER_KIND.into())
}

/// The one private key in a PEM file, in DER of PKCS #8.
///
/// # Errors
/// What the file is instead.
pub(in crate::net::token) fn private(pem: &[u8]) -> Result<PrivatePkcs8KeyDer<'static>, String> {
    let labels = labels(pem);
    let old = |label: &String| matches!(&**label, "EC PRIVATE KEY" | "RSA PRIVATE KEY");
    if labels.iter().any(old) {
        return Err("it is a private key in its old form: openssl pkcs8 -topk8 -nodes".into());
    }
    alone(&labels)?;
    match labels[0].as_str() {
        "PRIVATE KEY" => PrivatePkcs8KeyDer::from_pem_slice(pem).map_err(|_| BROKEN.into()),
        "ENCRYPTED PRIVATE KEY" => Err("it is encrypted: openssl pkcs8 -topk8 -nodes".into()),
        "PUBLIC KEY" => Err("it is a public key; --issue needs the private one".into()),
        _ => Err("it is PEM, but not of a private key".into()),
    }
}

/// The label of each part of a PEM file.
fn labels(pem: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(pem);
    let parts = text.split("-----BEGIN ").skip(1);
    let labels = parts.map(|rest| rest.split("-----").next().unwrap_or_default());
    labels.map(String::from).collect()
}

fn alone(labels: &[String]) -> Result<(), String> {
    match labels.len() {
        1 => Ok(()),
        more => Err(format!(
            "it holds {more} keys, and only a JWKS may hold several"
        )),
    }
}

/// The algorithm and the bits of a public key (RFC 5280, section 4.1).
fn subject_public_key(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let [algorithm, bits] = der_items(sequence(der)?)?[..] else {
        return None;
    };
    // A bit string begins with the number of unused bits in its last byte.
    Some((algorithm.value(), bits.value().strip_prefix(&[0])?))
}

/// Modulus and exponent of a public RSA key (RFC 3279, section 2.3.1).
fn rsa(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let [n, e] = der_items(sequence(der)?)?[..] else {
        return None;
    };
    Some((n.value(), e.value()))
}

/// The content of these bytes, if they are one DER sequence, as all keys are.
pub(super) fn sequence(der: &[u8]) -> Option<&[u8]> {
    let [sequence] = der_items(der)?[..] else {
        return None;
    };
    (sequence.tag() == Tag::Sequence).then_some(sequence.value())
}
