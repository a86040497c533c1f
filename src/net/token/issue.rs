//! `--issue`: issues a token, so that the first one needs no other tool.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustls_pki_types::PrivatePkcs8KeyDer;
use serde_json::{Map, Value, json};

use super::claims::ClaimRules;
use super::crypto::SigningKey;
use super::key_file::{pem, read_file, secret};
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
    let key = read_file(file, signing_key).map_err(IssueError::Key)?;
    let header = format!(r#"{{"typ":"JWT","alg":"{}"}}"#, key.algorithm());
    let part = |part: &str| URL_SAFE_NO_PAD.encode(part);
    let message = format!("{}.{}", part(&header), part(&claims.to_string()));
    let signature = key.sign(message.as_bytes()).ok_or_else(|| {
        let line = format!("--jwt-key {}: can't sign with it", file.display());
        IssueError::Key(line)
    })?;
    Ok(format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature)))
}

/// The claims of the token.
fn claims(config: &Config, user: &str, now: u64) -> Result<Value, String> {
    let rules = ClaimRules::new(config);
    let user = User::new(user).map_err(|bad| format!("--issue: {bad}"))?;
    let mut claims = Map::new();
    let mut say = |claim: &str, value: Value| claims.insert(claim.into(), value);
    say(rules.name(), user.as_str().into());
    say("iat", now.into());
    say(
        "exp",
        (now + u64::from(config.days.unwrap_or(DAYS)) * 24 * 3600).into(),
    );
    if let Some(rooms) = &config.rooms {
        let rooms = rooms.split(',').map(|room| Room::new(room.trim()));
        let rooms: Result<Vec<Room>, _> = rooms.collect();
        let rooms = rooms.map_err(|bad| format!("--rooms: {bad}"))?;
        say("rooms", rooms.iter().map(Room::as_str).collect());
    }
    if config.moderator {
        say("mod", true.into());
    }
    for (claim, value) in [("aud", rules.audience), ("iss", rules.issuer)] {
        if let Some(value) = value {
            say(claim, json!(value));
        }
    }
    Ok(Value::Object(claims))
}

/// Parses a secret, or a private key in PEM.
pub(super) fn signing_key(bytes: &[u8]) -> Result<SigningKey, String> {
    if pem::is_pem(bytes) {
        let key: PrivatePkcs8KeyDer<'_> = pem::private(bytes)?;
        return SigningKey::private(key.secret_pkcs8_der());
    }
    let secret = secret(bytes)?;
    // A set of public keys is no secret.
    if secret.starts_with(b"{") {
        return Err("it is JSON; --issue needs the private key in PEM, or the secret".into());
    }
    Ok(SigningKey::secret(secret))
}
