//! Sets of keys in JSON (RFC 7517), as identity providers publish them.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use super::SECRET_BYTES;
use crate::net::token::key_set::{EDDSA, ES256, HS256, Key, KeySet, RS256};

/// The keys of a set, or the one key that is no set; `None`: it is no JSON. What can't be used is passed
/// over (RFC 7517, section 5), as long as there is one that can.
///
/// # Errors
/// Says what is wrong with the set.
pub(super) fn parse(bytes: &[u8]) -> Result<Option<KeySet>, String> {
    let no_set = || Err("it is JSON, but no JWKS (RFC 7517): {\"keys\":[…]}".into());
    let found = match serde_json::from_slice(bytes) {
        Ok(Value::Object(mut object)) => match object.remove("keys") {
            Some(Value::Array(keys)) => keys,
            None if object.contains_key("kty") => vec![Value::Object(object)],
            _ => return no_set(),
        },
        Ok(Value::Array(_)) => return no_set(),
        Err(_) if bytes.trim_ascii_start().starts_with(b"{") => return no_set(),
        _ => return Ok(None),
    };
    let (mut keys, mut skipped) = (Vec::new(), Vec::new());
    for jwk in found {
        let kid = jwk.get("kid").and_then(Value::as_str).map(String::from);
        let name = kid.as_ref().map(|kid| format!("{kid:?}"));
        let name = name.unwrap_or_else(|| "a key without kid".into());
        if jwk.get("d").is_some() {
            return Err(format!(
                "{name} is a private key, which only who issues tokens may have"
            ));
        }
        match key(&jwk) {
            Ok(key) => keys.push(Key { kid, ..key }),
            Err(why) => skipped.push(format!("{name} is {why}")),
        }
    }
    match (keys.is_empty(), skipped.join(", ")) {
        (false, _) => Ok(Some(KeySet::set(keys, &skipped))),
        (true, why) if why.is_empty() => Err("no key of the JWKS can be used: it is empty".into()),
        (true, why) => Err(format!("no key of the JWKS can be used: {why}")),
    }
}

/// One key, or what it is that it can't be used.
fn key(jwk: &Value) -> Result<Key, String> {
    let verify = |operation: &Value| operation == "verify";
    let operations = jwk.get("key_ops").map(Value::as_array);
    if jwk.get("use").is_some_and(|purpose| purpose != "sig")
        || operations.is_some_and(|all| !all.is_some_and(|all| all.iter().any(verify)))
    {
        return Err("not for signatures".into());
    }
    let text = |name: &str| jwk.get(name).and_then(Value::as_str);
    let algorithm = match (text("kty"), text("crv")) {
        (Some("RSA"), _) => RS256,
        (Some("EC"), Some("P-256")) => ES256,
        (Some("OKP"), Some("Ed25519")) => EDDSA,
        (Some("oct"), _) => HS256,
        _ => return Err("of a kind that is not known".into()),
    };
    // Microsoft names none.
    if jwk.get("alg").is_some_and(|alg| alg != algorithm) {
        return Err(format!("for another algorithm than {algorithm}"));
    }
    let damaged = || "damaged".to_string();
    let bytes = |name: &str| {
        let bytes = text(name).and_then(|text| URL_SAFE_NO_PAD.decode(text).ok());
        bytes.ok_or_else(damaged)
    };
    match algorithm {
        RS256 => Key::rsa(&bytes("n")?, &bytes("e")?),
        ES256 => Key::p256([vec![4], bytes("x")?, bytes("y")?].concat()).ok_or_else(damaged),
        EDDSA => Key::ed25519(bytes("x")?).ok_or_else(damaged),
        _ => match bytes("k")? {
            secret if secret.len() >= SECRET_BYTES => Ok(Key::secret(&secret)),
            short => Err(format!(
                "a secret of {} bytes, and needs {SECRET_BYTES}",
                short.len()
            )),
        },
    }
}
