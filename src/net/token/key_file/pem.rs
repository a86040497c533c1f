//! Keys in PEM (RFC 7468): public ones that verify, private ones that sign.

use der::asn1::AnyRef;
use der::{Reader, SliceReader};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{PrivatePkcs8KeyDer, SubjectPublicKeyInfoDer};

use crate::net::token::crypto::VerifyingKey;

/// The beginning of a P-256 key (RFC 5480). The 65 bytes of an uncompressed point follow.
const P256: &[u8] =
    b"\x30\x59\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x03\x42\x00";
/// The beginning of an Ed25519 key (RFC 8410). 32 bytes follow.
const ED25519: &[u8] = b"\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00";
/// The algorithm identifier of RSA (RFC 8017) within a key, with empty parameters.
const RSA: &[u8] = b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00";

/// Whether these bytes contain PEM.
pub(in crate::net::token) fn is_pem(bytes: &[u8]) -> bool {
    bytes.windows(11).any(|part| part == b"-----BEGIN ")
}

/// Whether this is the content of a PEM file without its first and last line, as Keycloak shows keys.
pub(super) fn is_bare(bytes: &[u8]) -> bool {
    let Ok(text) = str::from_utf8(bytes) else {
        return false;
    };
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{text}\n-----END PUBLIC KEY-----\n");
    let der = SubjectPublicKeyInfoDer::from_pem_slice(pem.as_bytes());
    // Keys and certificates are a sequence that begins with one.
    der.is_ok_and(|der| sequence(&der).is_some_and(|inner| inner.starts_with(&[0x30])))
}

/// The one public key in a PEM file.
///
/// # Errors
/// What the file is instead.
pub(super) fn public(pem: &[u8]) -> Result<VerifyingKey, String> {
    for label in labels(pem) {
        match label.as_str() {
            "PUBLIC KEY" => {}
            "RSA PUBLIC KEY" => {
                return Err(
                    "it is an RSA key in its old form: openssl rsa -RSAPublicKey_in -pubout".into(),
                );
            }
            "CERTIFICATE" => {
                return Err("it is a certificate; the public key alone is needed: openssl x509 -noout -pubkey".into());
            }
            label if label.ends_with("PRIVATE KEY") => {
                return Err("it is a private key, which only who issues tokens may have; the public one is needed: openssl pkey -pubout".into());
            }
            _ => return Err("it is PEM, but not of a public key alone".into()),
        }
    }
    alone(pem)?;
    let der = SubjectPublicKeyInfoDer::from_pem_slice(pem);
    let der = der.map_err(|_| BROKEN.to_string())?;
    if let Some(point) = der.strip_prefix(P256)
        && point.len() == 65
    {
        return Ok(VerifyingKey::p256(point.to_vec()));
    }
    if let Some(point) = der.strip_prefix(ED25519)
        && point.len() == 32
    {
        return Ok(VerifyingKey::ed25519(point.to_vec()));
    }
    match rsa(&der) {
        Ok((n, e)) => VerifyingKey::rsa(n, e).map_err(|why| format!("it is {why}")),
        Err(_) => Err(
            "the public key is of another kind than P-256 (ES256), Ed25519 (EdDSA) and RSA (RS256)"
                .into(),
        ),
    }
}

/// The one private key in a PEM file, in DER of PKCS #8.
///
/// # Errors
/// What the file is instead.
pub(in crate::net::token) fn private(pem: &[u8]) -> Result<PrivatePkcs8KeyDer<'static>, String> {
    let labels = labels(pem);
    let mut old = labels.iter().map(String::as_str);
    if old.any(|label| matches!(label, "EC PRIVATE KEY" | "RSA PRIVATE KEY")) {
        return Err("it is a private key in its old form: openssl pkcs8 -topk8 -nodes".into());
    }
    alone(pem)?;
    match labels[0].as_str() {
        "PRIVATE KEY" => PrivatePkcs8KeyDer::from_pem_slice(pem).map_err(|_| BROKEN.into()),
        "ENCRYPTED PRIVATE KEY" => Err("it is encrypted: openssl pkcs8 -topk8 -nodes".into()),
        "PUBLIC KEY" => Err("it is a public key; --issue needs the private one".into()),
        _ => Err("it is PEM, but not of a private key".into()),
    }
}

const BROKEN: &str = "it is broken PEM";

/// The label of each part of a PEM file.
fn labels(pem: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(pem);
    let parts = text.split("-----BEGIN ").skip(1);
    let labels = parts.map(|rest| rest.split("-----").next().unwrap_or_default());
    labels.map(String::from).collect()
}

fn alone(pem: &[u8]) -> Result<(), String> {
    match labels(pem).len() {
        1 => Ok(()),
        more => Err(format!(
            "it holds {more} keys, and only a JWKS may hold several"
        )),
    }
}

/// Modulus and exponent of a public RSA key (RFC 3279, section 2.3.1).
fn rsa(der: &[u8]) -> der::Result<(&[u8], &[u8])> {
    let mut whole = SliceReader::new(der)?;
    let bits = whole.sequence(|key| {
        let algorithm: AnyRef<'_> = key.decode()?;
        let bits: AnyRef<'_> = key.decode()?;
        Ok::<_, der::Error>((algorithm.value() == RSA).then_some(bits))
    })?;
    whole.finish()?;
    // A bit string begins with the number of unused bits in its last byte.
    let bits = bits.and_then(|bits| bits.value().strip_prefix(&[0]));
    let mut inner = SliceReader::new(bits.unwrap_or_default())?;
    let numbers = inner.sequence(|key| {
        let (n, e): (AnyRef<'_>, AnyRef<'_>) = (key.decode()?, key.decode()?);
        Ok::<_, der::Error>((n.value(), e.value()))
    })?;
    inner.finish()?;
    Ok(numbers)
}

/// The content of these bytes, if they are one DER sequence, as all keys are.
pub(super) fn sequence(der: &[u8]) -> Option<&[u8]> {
    let (start, length) = match der {
        [0x30, length @ 0..=0x7f, ..] => (2, usize::from(*length)),
        [0x30, 0x81, length, ..] => (3, usize::from(*length)),
        [0x30, 0x82, high, low, ..] => (4, usize::from(u16::from_be_bytes([*high, *low]))),
        _ => return None,
    };
    der.get(start..).filter(|content| content.len() == length)
}
