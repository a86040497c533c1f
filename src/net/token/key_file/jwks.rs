//! Sets of keys in JSON (RFC 7517), as identity providers publish them.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use super::SECRET_BYTES;
use crate::net::token::crypto::{EDDSA, ES256, HS256, RS256, VerifyingKey};
use crate::net::token::key_set::{Key, KeySet};

/// The keys of a set, or the one key that is no set; `None`: it is no JSON. What can't be used is passed
/// over (RFC 7517, section 5), as long as there is one that can.
///
/// # Errors
/// Says what is wrong with the set.
pub(super) fn parse(bytes: &[u8]) -> Result<Option<KeySet>, String> {
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
            Ok(verifying) => keys.push(Key { verifying, kid }),
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
    Ok(Some(KeySet::set(keys, skipped)))
}

const NO_SET: &str = "it is JSON, but no JWKS (RFC 7517): {\"keys\":[…]}";

/// One key, or what it is that it can't be used.
fn key(jwk: &Value) -> Result<VerifyingKey, String> {
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
    let (algorithm, names): (_, &[&str]) = match (text("kty"), text("crv")) {
        (Some("RSA"), _) => (RS256, &["n", "e"]),
        (Some("EC"), Some("P-256")) => (ES256, &["x", "y"]),
        (Some("OKP"), Some("Ed25519")) => (EDDSA, &["x"]),
        (Some("oct"), _) => (HS256, &["k"]),
        _ => return Err("of a kind that is not known".into()),
    };
    let parts: Option<Vec<&str>> = names.iter().map(|name| text(name)).collect();
    let parts = parts.ok_or_else(damaged)?;
    // Microsoft names none.
    if jwk.get("alg").is_some_and(|alg| alg != algorithm) {
        return Err(format!("for another algorithm than {algorithm}"));
    }
    let parts: Result<Vec<Vec<u8>>, _> = parts
        .iter()
        .map(|part| URL_SAFE_NO_PAD.decode(part))
        .collect();
    match (algorithm, &parts.map_err(|_| damaged())?[..]) {
        (RS256, [n, e]) => VerifyingKey::rsa(n, e),
        (ES256, [x, y]) if x.len() + y.len() == 64 => {
            Ok(VerifyingKey::p256([&[4], &x[..], y].concat()))
        }
        (EDDSA, [x]) if x.len() == 32 => Ok(VerifyingKey::ed25519(x.clone())),
        (HS256, [secret]) if secret.len() >= SECRET_BYTES => Ok(VerifyingKey::secret(secret)),
        (HS256, [secret]) => {
            let bytes = secret.len();
            Err(format!(
                "a secret of {bytes} bytes, and needs {SECRET_BYTES}"
            ))
        }
        _ => Err(damaged()),
    }
}
