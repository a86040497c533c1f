//! Tokens: who may connect, under which name, and to which rooms (JSON Web Tokens, RFC 7519).
//!
//! A token is checked once, at the door. What it allows is a [`Pass`], which the connection keeps.
//! Nothing of a token is ever logged or answered, but which check it failed.

mod key;

use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use jsonwebtoken::errors::ErrorKind;
use serde::{Deserialize, Deserializer};
use smol::{Timer, future};

use super::http::{Answer, Head};
use super::route::{Arrival, parameter};
use crate::bus;
use crate::chat::end::End;
use crate::chat::name::{Room, User};
use crate::chat::peer::Peer;
use crate::config::Config;
use key::Key;

/// How a WebSocket subprotocol begins that carries a token: pages of a browser can set no header.
const PROTOCOL: &str = "bearer.";
/// Who waits for a token's end looks at the clock so often at least: it may have been set.
const LOOK: Duration = Duration::from_secs(600);

/// What a token allows.
#[derive(Debug, PartialEq, Eq)]
pub struct Pass {
    user: User,
    /// All rooms if none are listed.
    rooms: Option<Vec<String>>,
    /// Milliseconds since 1970.
    expires: Option<u64>,
}

impl Pass {
    /// Whose it is.
    pub fn user(&self) -> &User {
        &self.user
    }

    /// Whether its holder may enter a room.
    pub fn opens(&self, room: &Room) -> bool {
        let rooms = self.rooms.as_ref();
        rooms.is_none_or(|rooms| rooms.iter().any(|open| open == room.as_str()))
    }

    /// When it ends, in milliseconds since 1970; never if none.
    pub fn expires(&self) -> Option<u64> {
        self.expires
    }

    /// Whether it allows this name and this room.
    ///
    /// # Errors
    /// 403.
    pub fn check(&self, user: Option<&User>, room: Option<&Room>) -> Result<(), Answer> {
        if user.is_some_and(|user| *user != self.user) {
            return Err(Answer::text(403, "the token is for another name"));
        }
        if room.is_some_and(|room| !self.opens(room)) {
            return Err(Answer::text(403, "the token is not for this room"));
        }
        Ok(())
    }
}

/// Ends a peer when its pass ends; never returns. Stops when dropped.
pub async fn expire(peer: &Peer, expires: Option<u64>) -> End {
    let Some(expires) = expires else {
        return future::pending().await;
    };
    loop {
        match Duration::from_millis(expires.saturating_sub(bus::now())) {
            Duration::ZERO => break,
            left => Timer::after(left.min(LOOK)).await,
        };
    }
    peer.outbox.end(End::Expired);
    future::pending().await
}

/// Lets in who has a token, or everybody if no key is set.
#[derive(Debug)]
pub struct Gate {
    file: Option<PathBuf>,
    key: RwLock<Option<Arc<Key>>>,
}

impl Gate {
    /// The gate of these settings.
    ///
    /// # Errors
    /// One line about what is wrong with the key.
    pub fn new(config: &Config) -> Result<Gate, String> {
        let gate = Gate {
            file: config.jwt_key.clone(),
            key: RwLock::default(),
        };
        gate.read()?;
        Ok(gate)
    }

    fn read(&self) -> Result<(), String> {
        if let Some(file) = &self.file {
            let key = Arc::new(Key::read(file)?);
            log::debug!("tokens: {:?} by {}", key.algorithm(), file.display());
            *self.key.write().unwrap_or_else(PoisonError::into_inner) = Some(key);
        }
        Ok(())
    }

    /// Reads the key again, if there is one; says how it went, and whether there is. Who is in stays
    /// in, and the old key stays where the new one is no good.
    pub fn reload(&self) -> bool {
        let Some(file) = &self.file else {
            return false;
        };
        match self.read() {
            Ok(()) => log::info!("{}: tokens need this key from now on", file.display()),
            Err(line) => log::warn!("the old key stays: {line}"),
        }
        true
    }

    /// What it asks for, for people; `None`: nothing.
    ///
    /// # Errors
    /// One line about what is wrong with the key.
    pub fn look(config: &Config) -> Result<Option<String>, String> {
        let key = config.jwt_key.as_deref().map(Key::read).transpose()?;
        Ok(key.map(|key| format!("{:?}", key.algorithm())))
    }

    /// Gives an arrival its pass, if a token is needed.
    ///
    /// # Errors
    /// 401 without a good token, 403 if it is for another name or not for the room.
    pub fn let_through(&self, head: &Head, arrival: &mut Arrival) -> Result<(), Answer> {
        if let Some(key) = self.key() {
            let pass = pass(&key, head)?;
            pass.check(arrival.user.as_ref(), arrival.room.as_ref())?;
            arrival.pass = Some(Box::new(pass));
        }
        Ok(())
    }

    /// What to answer to who came without an upgrade: that a token is needed, or `answer`. A page in a
    /// browser can't see why a WebSocket is refused, so it asks this way.
    pub fn without_upgrade(&self, head: &Head, answer: Answer) -> Answer {
        let refused = self.key().map(|key| pass(&key, head));
        refused.and_then(Result::err).unwrap_or(answer)
    }

    /// The pass of who wants to publish: there is no way without.
    ///
    /// # Errors
    /// 401 without a good token, or without a key.
    pub fn pass(&self, head: &Head) -> Result<Pass, Answer> {
        match self.key() {
            Some(key) => pass(&key, head),
            None => {
                let line = "publishing needs a token: start the server with --jwt-key";
                Err(unauthorized(line, false))
            }
        }
    }

    fn key(&self) -> Option<Arc<Key>> {
        self.key
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

/// The subprotocol to agree to: the one that carries a token, also where none is needed, so that the
/// same client is served there.
pub fn protocol(head: &Head) -> Option<&str> {
    let offered = head.headers("sec-websocket-protocol");
    let mut offered = offered.flat_map(|list| list.split(',')).map(str::trim);
    offered.find(|protocol| {
        // A subprotocol is a token of HTTP (RFC 6455, section 4.1), and no token of ours is empty.
        let letter = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
        let token = protocol.strip_prefix(PROTOCOL);
        token.is_some_and(|token| !token.is_empty() && token.bytes().all(letter))
    })
}

/// The pass that a request's token is good for.
fn pass(key: &Key, head: &Head) -> Result<Pass, Answer> {
    let Some(token) = token(head)? else {
        let line = "a token is needed: Authorization: Bearer TOKEN, or the subprotocol bearer.TOKEN, or ?token=TOKEN";
        return Err(unauthorized(line, false));
    };
    verify(key, &token, bus::now()).map_err(|why| unauthorized(&format!("bad token: {why}"), true))
}

/// RFC 6750, section 3: who brought no token is not told that it is bad.
fn unauthorized(line: &str, bad: bool) -> Answer {
    let error = if bad { ", error=\"invalid_token\"" } else { "" };
    let challenge = format!("Bearer realm=\"natterjack\"{error}");
    Answer::text(401, line).with("WWW-Authenticate", challenge)
}

/// The token, from where it is looked for first to where it is looked for last: an address ends up
/// in the logs of proxies.
fn token(head: &Head) -> Result<Option<String>, Answer> {
    let bearer = head.header("authorization").and_then(|header| {
        let (scheme, token) = header.split_once(' ')?;
        let bearer = scheme.eq_ignore_ascii_case("bearer");
        bearer.then(|| token.trim().to_string())
    });
    let protocol = || Some(protocol(head)?.strip_prefix(PROTOCOL)?.to_string());
    if let Some(token) = bearer.or_else(protocol) {
        return Ok(Some(token));
    }
    let (_, query) = head.target.split_once('?').unwrap_or_default();
    parameter(query, "token")
}

/// What we want to know of a token. What is there must have its type; `null` has none.
#[derive(Deserialize)]
struct Claims {
    #[serde(default, deserialize_with = "given")]
    sub: Option<String>,
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

/// Which check a token fails, or what it is good for `now`, in milliseconds since 1970.
fn verify(key: &Key, token: &str, now: u64) -> Result<Pass, String> {
    let decoded = jsonwebtoken::decode::<serde_json::Value>(token, &key.key, &key.validation);
    let decoded = decoded.map_err(|error| match error.kind() {
        ErrorKind::InvalidSignature => "the signature is not that of the key".to_string(),
        ErrorKind::InvalidAlgorithm => format!("the key is for {:?}", key.algorithm()),
        _ => "it can't be read".to_string(),
    })?;
    // Whatever it is: we don't know it, and must not go on without (RFC 7515, section 4.1.11).
    if decoded.header.crit.is_some() {
        return Err("crit is not known".into());
    }
    let claims = Claims::deserialize(decoded.claims);
    let claims = claims.map_err(|_| {
        "sub is a string, exp and nbf are numbers, rooms is a list of strings".to_string()
    })?;
    // A number beyond all milliseconds is the last of them.
    let milliseconds = |seconds: f64| (seconds * 1000.0) as u64;
    let expires = claims.exp.map(milliseconds);
    if expires.is_some_and(|expires| now >= expires) {
        return Err("it has expired".into());
    }
    if claims.nbf.is_some_and(|begins| now < milliseconds(begins)) {
        return Err("it is not valid yet".into());
    }
    let sub = claims.sub.ok_or("sub is missing")?;
    let user = User::new(&sub).map_err(|bad| format!("sub: {bad}"))?;
    Ok(Pass {
        user,
        rooms: claims.rooms,
        expires,
    })
}

#[cfg(test)]
mod tests;
