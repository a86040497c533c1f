//! Sets of keys in JSON (RFC 7517), as identity providers publish them.

use jsonwebtoken::jwk::{AlgorithmParameters, Jwk, OctetKeyParameters};
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
        match key(&jwk) {
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
fn key(jwk: &Value) -> Result<Key, String> {
    let purpose = jwk.get("use").is_none_or(|purpose| purpose == "sig");
    let verifies = |operations: &Value| {
        let operations = operations.as_array();
        operations.is_some_and(|all| all.iter().any(|one| one == "verify"))
    };
    if !purpose || !jwk.get("key_ops").is_none_or(verifies) {
        return Err("not for signatures".into());
    }
    let damaged = || "damaged".to_string();
    let text = |name: &str| jwk.get(name).and_then(Value::as_str);
    let part = |name: &str| text(name).ok_or_else(damaged);
    let (key, algorithm) = match (text("kty"), text("crv")) {
        (Some("RSA"), _) => {
            let key = DecodingKey::from_rsa_components(part("n")?, part("e")?);
            (key, Algorithm::RS256)
        }
        (Some("EC"), Some("P-256")) => {
            let key = DecodingKey::from_ec_components(part("x")?, part("y")?);
            (key, Algorithm::ES256)
        }
        (Some("OKP"), Some("Ed25519")) => {
            let key = DecodingKey::from_ed_components(part("x")?);
            (key, Algorithm::EdDSA)
        }
        (Some("oct"), _) => (secret(part("k")?), Algorithm::HS256),
        _ => return Err("of a kind that is not known".into()),
    };
    let name = format!("{algorithm:?}");
    // Microsoft names none.
    if jwk.get("alg").is_some_and(|alg| *alg != *name) {
        return Err(format!("for another algorithm than {name}"));
    }
    let key = key.map_err(|_| damaged())?;
    let length = match key.kind() {
        DecodingKeyKind::RsaModulusExponent { n, e } => return Key::rsa(n, e),
        DecodingKeyKind::SecretOrDer(bytes) => bytes.len(),
    };
    match (algorithm, length) {
        (Algorithm::ES256, 65) | (Algorithm::EdDSA, 32) => Ok(Key::new(key, algorithm)),
        (Algorithm::HS256, SECRET_BYTES..) => Ok(Key::new(key, algorithm)),
        (Algorithm::HS256, _) => Err(format!(
            "a secret of {length} bytes, and needs {SECRET_BYTES}"
        )),
        _ => Err(damaged()),
    }
}

/// The library reads the base 64 of a secret only within a whole key.
fn secret(value: &str) -> jsonwebtoken::errors::Result<DecodingKey> {
    let parameters = OctetKeyParameters {
        value: value.into(),
        ..OctetKeyParameters::default()
    };
    DecodingKey::from_jwk(&Jwk {
        common: Default::default(),
        algorithm: AlgorithmParameters::OctetKey(parameters),
    })
}
