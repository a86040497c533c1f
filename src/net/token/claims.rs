//! Checks the signature and the claims of a token (RFC 7519).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::grant::{Grant, Rooms};
use super::key_set::KeySet;
use crate::chat::name::{Room, User};
use crate::config::Config;

/// How many milliseconds the issuer's clock and ours may differ.
const LEEWAY: u64 = 30_000;
/// Known algorithms (RFC 7518, section 3.1; RFC 8037). A token with another one can't be read.
const ALGORITHMS: [&str; 12] = [
    "HS256", "HS384", "HS512", "ES256", "ES384", "RS256", "RS384", "RS512", "PS256", "PS384",
    "PS512", "EdDSA",
];
const UNREADABLE: &str = "it can't be read";
const WRONG_TYPE: &str = "exp and nbf are numbers, rooms is a list of strings";

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
}

/// Describes the rules.
pub(super) fn describe(rules: &ClaimRules) -> String {
    let named = |what: &str, name: &Option<String>, none: &str| match name {
        Some(name) => format!("{what} {name:?}"),
        None => none.into(),
    };
    let issuer = named("issuer", &rules.issuer, "any issuer");
    let audience = named("audience", &rules.audience, "no audience");
    let name = rules.name.as_deref().unwrap_or("sub");
    format!("{issuer}, {audience}; the name is in {name}")
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
    // A number too large for milliseconds becomes the largest one.
    let time = |claim: &str| {
        let seconds = claims.get(claim).map(f64::deserialize).transpose();
        seconds.map(|seconds| seconds.map(|seconds| (seconds * 1000.0) as u64))
    };
    let exp = time("exp").map_err(|_| WRONG_TYPE)?;
    let nbf = time("nbf").map_err(|_| WRONG_TYPE)?;
    let rooms = claims.get("rooms").map_or(Ok(Rooms::All), these)?;
    // Tokens of other services may use this claim in another way. It gives no rights there.
    let moderates = match claims.get("mod") {
        Some(Value::Bool(true)) => Rooms::All,
        Some(list @ Value::Array(_)) => these(list)?,
        _ => Rooms::none(),
    };
    let expires = exp.map(|exp| exp.saturating_add(LEEWAY));
    if expires.is_some_and(|expires| now >= expires) {
        return Err("it has expired".into());
    }
    if nbf.is_some_and(|begins| now.saturating_add(LEEWAY) < begins) {
        return Err("it is not valid yet".into());
    }
    if let Some(issuer) = &rules.issuer
        && claims.get("iss").is_none_or(|iss| iss != issuer)
    {
        return Err("it is not from the issuer (iss) that --jwt-issuer names".into());
    }
    check_audience(claims.get("aud"), rules.audience.as_deref())?;
    Ok(Grant {
        user: user(&claims, rules.name.as_deref())?,
        rooms,
        moderates,
        expires,
    })
}

/// The rooms of a list. A string that can't be a room's name names no room.
fn these(list: &Value) -> Result<Rooms, &'static str> {
    let names = Vec::<String>::deserialize(list).map_err(|_| WRONG_TYPE)?;
    let rooms = names.iter().flat_map(|room| Room::new(room));
    Ok(Rooms::These(rooms.collect()))
}

/// Checks that the token is for this server. A token for another audience must be refused (RFC
/// 7519, section 4.1.3). `aud` is a string or a list of strings.
fn check_audience(aud: Option<&Value>, audience: Option<&str>) -> Result<(), String> {
    let why = match (aud, audience) {
        (None, None) => return Ok(()),
        (Some(Value::Array(all)), Some(audience)) if all.iter().any(|one| one == audience) => {
            return Ok(());
        }
        (Some(aud), Some(audience)) if aud == audience => return Ok(()),
        (Some(_), None) => {
            "it is for an audience (aud), and the server has none: start it with --jwt-audience"
        }
        (None, Some(_)) => "it is for no audience (aud), and --jwt-audience asks for one",
        (Some(_), Some(_)) => "it is for another audience (aud) than --jwt-audience",
    };
    Err(why.into())
}

/// The user's name, in the claim that the settings name or in `sub`.
fn user(claims: &Map<String, Value>, claim: Option<&str>) -> Result<User, String> {
    let (claim, hint) = match claim {
        Some(claim) => (claim, "--jwt-name names this claim"),
        None => ("sub", "--jwt-name can name another claim"),
    };
    match claims.get(claim) {
        None => Err(format!("{claim} is missing; {hint}")),
        Some(Value::String(name)) => {
            User::new(name).map_err(|bad| format!("{claim}: {bad}; {hint}"))
        }
        Some(_) => Err(format!("{claim} is not a string; {hint}")),
    }
}

/// The parameters of a token's header that are read (RFC 7515, section 4.1).
#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    crit: Option<Vec<String>>,
}

/// The claims of a token, whose signature must be one of these keys'.
fn signed(keys: &KeySet, token: &str) -> Result<Map<String, Value>, String> {
    let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| UNREADABLE);
    // A struct would also be read from a list.
    let object = |part: &str| -> Result<Map<String, Value>, &str> {
        serde_json::from_slice(&decode(part)?).map_err(|_| UNREADABLE)
    };
    let (message, signature) = token.rsplit_once('.').ok_or(UNREADABLE)?;
    let (header, claims) = message.rsplit_once('.').ok_or(UNREADABLE)?;
    let header = Header::deserialize(Value::Object(object(header)?)).map_err(|_| UNREADABLE)?;
    if !ALGORITHMS.contains(&&*header.alg) {
        return Err(UNREADABLE.into());
    }
    // No extension is supported, and an unknown one must be refused (RFC 7515, section 4.1.11).
    if header.crit.is_some() {
        return Err("crit is not known".into());
    }
    let keys = keys.candidates(&header.alg, header.kid.as_deref())?;
    let signature = decode(signature)?;
    let mut tried = keys.iter();
    if !tried.any(|key| (key.verifies)(message.as_bytes(), &signature)) {
        return Err("the signature is not that of the key".into());
    }
    Ok(object(claims)?)
}
