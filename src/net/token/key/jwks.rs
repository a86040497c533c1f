//! Sets of keys in JSON (RFC 7517), as identity providers publish them.

use jsonwebtoken::jwk::{
    AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, KeyOperations, PublicKeyUse,
};
use jsonwebtoken::{Algorithm, DecodingKey, DecodingKeyKind};
use serde_json::Value;

use super::{Key, KeySet, Kind, SECRET_BYTES};

/// The keys of a set, or the one key that is no set; `None`: it is no JSON. What can't be used is passed
/// over (RFC 7517, section 5), as long as there is one that can.
///
/// # Errors
/// Says what is wrong with the set.
pub(super) fn read(bytes: &[u8]) -> Result<Option<KeySet>, String> {
    let found = match serde_json::from_slice(bytes) {
        Ok(Value::Object(mut object)) => match object.remove("keys") {
            Some(Value::Array(keys)) => keys,
            None if object.contains_key("kty") => vec![Value::Object(object)],
            _ => return Err(NO_SET.into()),
        },
        Ok(Value::Array(_)) => return Err(NO_SET.into()),
        Err(_) if bytes.trim_ascii_start().starts_with(b"{") => return Err(NO_SET.into()),
        _ => return Ok(None),
    };
    let (mut keys, mut skipped) = (Vec::new(), Vec::new());
    for jwk in found {
        let kid = jwk.get("kid").and_then(Value::as_str).map(String::from);
        let named = |why: String| match &kid {
            Some(kid) => format!("{kid:?} is {why}"),
            None => format!("a key without kid is {why}"),
        };
        if jwk.get("d").is_some() {
            let why = "a private key, which only who issues tokens may have";
            return Err(named(why.into()));
        }
        match key(jwk) {
            Ok(key) => keys.push(Key { kid, ..key }),
            Err(why) => skipped.push(named(why)),
        }
    }
    if keys.is_empty() {
        let why = if skipped.is_empty() {
            "it is empty".into()
        } else {
            skipped.join(", ")
        };
        return Err(format!("no key of the JWKS can be used: {why}"));
    }
    Ok(Some(KeySet {
        kind: Kind::Set,
        keys,
        skipped,
    }))
}

const NO_SET: &str = "it is JSON, but no JWKS (RFC 7517): {\"keys\":[…]}";

/// One key, or what it is that it can't be used.
fn key(jwk: Value) -> Result<Key, String> {
    let damaged = |_| "damaged".to_string();
    let jwk: Jwk = serde_json::from_value(jwk).map_err(|_| "of a kind that is not known")?;
    let common = &jwk.common;
    let signs = match &common.public_key_use {
        Some(purpose) => *purpose == PublicKeyUse::Signature,
        None => true,
    };
    let operations = common.key_operations.as_ref();
    if !signs || operations.is_some_and(|all| !all.contains(&KeyOperations::Verify)) {
        return Err("not for signatures".into());
    }
    let key = match &jwk.algorithm {
        AlgorithmParameters::RSA(rsa) => {
            let key = DecodingKey::from_rsa_components(&rsa.n, &rsa.e).map_err(damaged)?;
            match key.kind() {
                DecodingKeyKind::RsaModulusExponent { n, e } => Key::rsa(n, e)?,
                DecodingKeyKind::SecretOrDer(_) => return Err("damaged".into()),
            }
        }
        AlgorithmParameters::EllipticCurve(point) if point.curve == EllipticCurve::P256 => {
            let key = DecodingKey::from_ec_components(&point.x, &point.y).map_err(damaged)?;
            Key::new(sized(key, 65)?, Algorithm::ES256)
        }
        AlgorithmParameters::OctetKeyPair(point) if point.curve == EllipticCurve::Ed25519 => {
            let key = DecodingKey::from_ed_components(&point.x).map_err(damaged)?;
            Key::new(sized(key, 32)?, Algorithm::EdDSA)
        }
        AlgorithmParameters::OctetKey(_) => {
            let key = DecodingKey::from_jwk(&jwk).map_err(damaged)?;
            let length = key.try_get_as_bytes().map_or(0, <[u8]>::len);
            if length < SECRET_BYTES {
                return Err(format!(
                    "a secret of {length} bytes, and needs {SECRET_BYTES}"
                ));
            }
            Key::new(key, Algorithm::HS256)
        }
        _ => return Err("of a kind that is not known".into()),
    };
    match common.key_algorithm {
        // Microsoft names none.
        Some(named) if named != KeyAlgorithm::from(key.algorithm()) => {
            Err(format!("for another algorithm than {:?}", key.algorithm()))
        }
        _ => Ok(key),
    }
}

fn sized(key: DecodingKey, bytes: usize) -> Result<DecodingKey, String> {
    match key.try_get_as_bytes() {
        Ok(point) if point.len() == bytes => Ok(key),
        _ => Err("damaged".into()),
    }
}
