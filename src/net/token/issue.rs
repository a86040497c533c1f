//! `--issue`: issues a token, so that the first one needs no other tool.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, RSA_PKCS1_SHA256, RsaKeyPair,
};
use serde_json::{Map, Value};

use super::key_file::{self, pem};
use super::key_set::{EDDSA, ES256, HS256, RS256};
use crate::chat::name::{Room, User};
use crate::config::Config;

/// Days that a token is valid by default.
const DAYS: u32 = 30;

/// Why no token was issued, in one line.
#[derive(Debug, PartialEq, Eq)]
pub enum IssueError {
    /// The request is invalid.
    Usage(String),
    /// The key can't be used to sign.
    Key(String),
}

/// Issues a token of this user for a server with the same settings. It is signed with the secret, or with the
/// private key that belongs to the server's public key. `now` is in milliseconds since 1970.
///
/// # Errors
/// What is wrong with the request or with the key.
pub fn issue(config: &Config, user: &str, now: u64) -> Result<String, IssueError> {
    let claims = claims(config, user, now / 1000).map_err(IssueError::Usage)?;
    let Some(file) = &config.jwt_key else {
        return Err(IssueError::Usage("--issue needs --jwt-key".into()));
    };
    key_file::read(file, |key| sign(key, &claims)).map_err(IssueError::Key)
}

/// The claims of the token, in JSON.
fn claims(config: &Config, user: &str, now: u64) -> Result<String, String> {
    let user = User::new(user).map_err(|bad| format!("--issue: {bad}"))?;
    let mut claims = Map::new();
    let mut say = |claim: &str, value: Value| claims.insert(claim.into(), value);
    say(
        config.jwt_name.as_deref().unwrap_or("sub"),
        user.as_str().into(),
    );
    say("iat", now.into());
    let days = u64::from(config.days.unwrap_or(DAYS));
    say("exp", (now + days * 24 * 3600).into());
    if let Some(rooms) = &config.rooms {
        let rooms = rooms.split(',').map(|room| Room::new(room.trim()));
        let rooms: Result<Vec<Room>, _> = rooms.collect();
        let rooms = rooms.map_err(|bad| format!("--rooms: {bad}"))?;
        say("rooms", rooms.iter().map(Room::as_str).collect());
    }
    if config.moderator {
        say("mod", true.into());
    }
    for (claim, value) in [("aud", &config.jwt_audience), ("iss", &config.jwt_issuer)] {
        if let Some(value) = value {
            say(claim, value.as_str().into());
        }
    }
    Ok(Value::Object(claims).to_string())
}

/// The token with these claims. `key` is a secret, or a private key in PEM.
///
/// # Errors
/// What is wrong with the key.
pub(super) fn sign(key: &[u8], claims: &str) -> Result<String, String> {
    let part = |part: &str| URL_SAFE_NO_PAD.encode(part);
    let message = |algorithm: &str| {
        let header = format!(r#"{{"typ":"JWT","alg":"{algorithm}"}}"#);
        format!("{}.{}", part(&header), part(claims))
    };
    let token = |message: String, signature: &[u8]| {
        Ok(format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature)))
    };
    let fails = |_| "can't sign with it";
    if !pem::is_pem(key) {
        let secret = key_file::secret(key)?;
        // A set of public keys is no secret.
        if secret.starts_with(b"{") {
            return Err("it is JSON; --issue needs the private key in PEM, or the secret".into());
        }
        let message = message(HS256);
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
        let signature = hmac::sign(&key, message.as_bytes());
        return token(message, signature.as_ref());
    }
    let (key, random) = (pem::private(key)?, SystemRandom::new());
    let pkcs8 = key.secret_pkcs8_der();
    if let Ok(pair) = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8, &random) {
        let message = message(ES256);
        let signature = pair.sign(&random, message.as_bytes()).map_err(fails)?;
        return token(message, signature.as_ref());
    }
    // OpenSSL leaves the public half out, which then can't be compared.
    if let Ok(pair) = Ed25519KeyPair::from_pkcs8_maybe_unchecked(pkcs8) {
        let message = message(EDDSA);
        let signature = pair.sign(message.as_bytes());
        return token(message, signature.as_ref());
    }
    let pair = RsaKeyPair::from_pkcs8(pkcs8).map_err(|rejected| match &*rejected.to_string() {
        "TooSmall" => "the RSA key has less than 2,048 bits",
        "TooLarge" => "the RSA key has more than 4,096 bits, which is too much to sign with",
        _ => "the private key is not P-256, Ed25519 or RSA, or it is damaged",
    })?;
    let message = message(RS256);
    let mut signature = vec![0; pair.public().modulus_len()];
    pair.sign(
        &RSA_PKCS1_SHA256,
        &random,
        message.as_bytes(),
        &mut signature,
    )
    .map_err(fails)?;
    token(message, &signature)
}
