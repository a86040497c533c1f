//! Checks the signature and the claims of a token (RFC 7519).

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use super::grant::Grant;
use super::key_set::KeySet;
use crate::chat::name::{Room, User};
use crate::config::Config;

/// How many milliseconds the issuer's clock and ours may differ.
const LEEWAY: u64 = 30_000;

/// What the settings require of the claims.
#[derive(Debug, Default)]
pub(super) struct ClaimRules {
    pub(super) audience: Option<String>,
    pub(super) issuer: Option<String>,
    /// The claim with the user's name, if it is not `sub`.
    pub(super) name: Option<String>,
}

impl ClaimRules {
    pub(super) fn new(config: &Config) -> ClaimRules {
        ClaimRules {
            audience: config.jwt_audience.clone(),
            issuer: config.jwt_issuer.clone(),
            name: config.jwt_name.clone(),
        }
    }

    /// The claim with the user's name.
    pub(super) fn name(&self) -> &str {
        self.name.as_deref().unwrap_or("sub")
    }

    /// Checks that the token is for this server. A token for another audience must be refused (RFC
    /// 7519, section 4.1.3).
    fn check_audience(&self, aud: Option<&Value>) -> Result<(), String> {
        let why = match (aud, &self.audience) {
            (None, None) => return Ok(()),
            (Some(aud), Some(audience)) if names(aud, audience) => return Ok(()),
            (Some(_), None) => {
                "it is for an audience (aud), and the server has none: start it with --jwt-audience"
            }
            (None, Some(_)) => "it is for no audience (aud), and --jwt-audience asks for one",
            (Some(_), Some(_)) => "it is for another audience (aud) than --jwt-audience",
        };
        Err(why.into())
    }

    fn check_issuer(&self, iss: Option<&Value>) -> Result<(), String> {
        match &self.issuer {
            Some(issuer) if iss.and_then(Value::as_str) != Some(issuer.as_str()) => {
                Err("it is not from the issuer (iss) that --jwt-issuer names".into())
            }
            _ => Ok(()),
        }
    }

    /// The user's name in a token.
    fn user(&self, claims: &Value) -> Result<User, String> {
        let (claim, hint) = match &self.name {
            Some(claim) => (claim.as_str(), "--jwt-name names this claim"),
            None => ("sub", "--jwt-name can name another claim"),
        };
        let Some(name) = claims.get(claim) else {
            return Err(format!("{claim} is missing; {hint}"));
        };
        let Some(name) = name.as_str() else {
            return Err(format!("{claim} is not a string; {hint}"));
        };
        User::new(name).map_err(|bad| format!("{claim}: {bad}; {hint}"))
    }
}

impl fmt::Display for ClaimRules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.issuer {
            Some(issuer) => write!(f, "issuer {issuer:?}, ")?,
            None => f.write_str("any issuer, ")?,
        }
        match &self.audience {
            Some(audience) => write!(f, "audience {audience:?}; ")?,
            None => f.write_str("no audience; ")?,
        }
        write!(f, "the name is in {}", self.name())
    }
}

/// Whether an `aud`, a string or a list of strings, contains this audience.
fn names(aud: &Value, audience: &str) -> bool {
    match aud {
        Value::Array(all) => all.iter().any(|one| one.as_str() == Some(audience)),
        one => one.as_str() == Some(audience),
    }
}

/// The other claims that are read. A claim that is there must have its type; `null` has none.
#[derive(Deserialize)]
struct Claims {
    #[serde(default, deserialize_with = "given")]
    exp: Option<f64>,
    #[serde(default, deserialize_with = "given")]
    nbf: Option<f64>,
    #[serde(default, deserialize_with = "given")]
    rooms: Option<Vec<String>>,
}

fn given<'de, T: Deserialize<'de>, D: Deserializer<'de>>(claim: D) -> Result<Option<T>, D::Error> {
    T::deserialize(claim).map(Some)
}

/// Verifies a token and returns what it grants, or which check it fails. `now` is in milliseconds
/// since 1970.
pub(super) fn verify(
    keys: &KeySet,
    rules: &ClaimRules,
    token: &str,
    now: u64,
) -> Result<Grant, String> {
    let claims = signed(keys, token)?;
    let Claims { exp, nbf, rooms } = Claims::deserialize(&claims)
        .map_err(|_| "exp and nbf are numbers, rooms is a list of strings")?;
    // A number too large for milliseconds becomes the largest one.
    let milliseconds = |seconds: f64| (seconds * 1000.0) as u64;
    let expires = exp.map(|exp| milliseconds(exp).saturating_add(LEEWAY));
    if expires.is_some_and(|expires| now >= expires) {
        return Err("it has expired".into());
    }
    if nbf.is_some_and(|begins| now.saturating_add(LEEWAY) < milliseconds(begins)) {
        return Err("it is not valid yet".into());
    }
    rules.check_issuer(claims.get("iss"))?;
    rules.check_audience(claims.get("aud"))?;
    Ok(Grant {
        user: rules.user(&claims)?,
        // A string that can't be a room's name allows no room.
        rooms: rooms.map(|rooms| rooms.iter().flat_map(|room| Room::new(room)).collect()),
        expires,
    })
}

/// The parameters of a token's header that are read (RFC 7515, section 4.1).
#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    crit: Option<Vec<String>>,
}

/// Known algorithms (RFC 7518, section 3.1; RFC 8037). A token with another one can't be read.
const ALGORITHMS: [&str; 12] = [
    "HS256", "HS384", "HS512", "ES256", "ES384", "RS256", "RS384", "RS512", "PS256", "PS384",
    "PS512", "EdDSA",
];

/// The claims of a token, whose signature must be one of these keys'.
fn signed(keys: &KeySet, token: &str) -> Result<Value, String> {
    let unreadable = || "it can't be read".to_string();
    let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| unreadable());
    let (message, signature) = token.rsplit_once('.').ok_or_else(unreadable)?;
    let (header, claims) = message.rsplit_once('.').ok_or_else(unreadable)?;
    let header: Map<String, Value> =
        serde_json::from_slice(&decode(header)?).map_err(|_| unreadable())?;
    let header = Header::deserialize(Value::Object(header)).map_err(|_| unreadable())?;
    if !ALGORITHMS.contains(&&*header.alg) {
        return Err(unreadable());
    }
    // No extension is supported, and an unknown one must be refused (RFC 7515, section 4.1.11).
    if header.crit.is_some() {
        return Err("crit is not known".into());
    }
    let keys = keys.candidates(&header.alg, header.kid.as_deref())?;
    let signature = decode(signature)?;
    if !keys
        .iter()
        .any(|key| key.verifies(message.as_bytes(), &signature))
    {
        return Err("the signature is not that of the key".into());
    }
    let claims: Map<String, Value> =
        serde_json::from_slice(&decode(claims)?).map_err(|_| unreadable())?;
    Ok(Value::Object(claims))
}
