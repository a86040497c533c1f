//! Tokens: who may connect, under which name, and to which rooms (JSON Web Tokens, RFC 7519).
//!
//! A token is checked once, at the door. What it allows is a [`Pass`], which the connection keeps.
//! Nothing of a token is ever logged or answered, but which check it failed.

mod claims;
mod crypto;
mod issue;
mod key;

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use smol::{Timer, future};

use super::http::{Answer, Head};
use super::route::{Arrival, parameter};
use crate::chat::end::End;
use crate::chat::name::{Room, User};
use crate::chat::peer::Peer;
use crate::config::Config;
use crate::time;
use claims::{ClaimRules, verify};
pub use issue::{IssueError, issue};
use key::KeySet;

/// How a WebSocket subprotocol begins that carries a token: pages of a browser can set no header.
const PROTOCOL: &str = "bearer.";
/// Who waits for a token's end looks at the clock so often at least: it may have been set.
const LOOK: Duration = Duration::from_secs(600);

/// What a token allows.
#[derive(Debug, PartialEq, Eq)]
pub struct Pass {
    user: User,
    /// All rooms if none are listed.
    rooms: Option<Vec<Room>>,
    /// Milliseconds since 1970, the leeway included.
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
        rooms.is_none_or(|rooms| rooms.contains(room))
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
        match Duration::from_millis(expires.saturating_sub(time::unix_millis())) {
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
    keys: RwLock<Option<Arc<KeySet>>>,
    rules: ClaimRules,
}

impl Gate {
    /// The gate of these settings.
    ///
    /// # Errors
    /// One line about what is wrong with the key.
    pub fn new(config: &Config) -> Result<Gate, String> {
        let gate = Gate {
            file: config.jwt_key.clone(),
            keys: RwLock::default(),
            rules: ClaimRules::new(config),
        };
        if let Some((file, keys)) = gate.read()? {
            log::debug!("tokens: {keys}, from {}", file.display());
        }
        Ok(gate)
    }

    fn read(&self) -> Result<Option<(&Path, Arc<KeySet>)>, String> {
        let Some(file) = self.file.as_deref() else {
            return Ok(None);
        };
        let keys = Arc::new(KeySet::read(file)?);
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = Some(keys.clone());
        Ok(Some((file, keys)))
    }

    /// Reads the key again, if there is one; says how it went, and whether there is. Who is in stays
    /// in, and the old key stays where the new one is no good.
    pub fn reload(&self) -> bool {
        match self.read() {
            Ok(None) => return false,
            Ok(Some((file, keys))) => {
                let file = file.display();
                log::info!("{file}: tokens need this key from now on: {keys}");
            }
            Err(line) => log::warn!("the old key stays: {line}"),
        }
        true
    }

    /// What it asks for, for people; `None`: nothing.
    ///
    /// # Errors
    /// One line about what is wrong with the key.
    pub fn look(config: &Config) -> Result<Option<String>, String> {
        let keys = config.jwt_key.as_deref().map(KeySet::read).transpose()?;
        Ok(keys.map(|keys| format!("{keys}; {}", ClaimRules::new(config))))
    }

    /// Gives an arrival its pass, if a token is needed.
    ///
    /// # Errors
    /// 401 without a good token, 403 if it is for another name or not for the room.
    pub fn let_through(&self, head: &Head, arrival: &mut Arrival) -> Result<(), Answer> {
        if let Some(keys) = self.keys() {
            let pass = self.verify(&keys, head)?;
            pass.check(arrival.user.as_ref(), arrival.room.as_ref())?;
            arrival.pass = Some(Box::new(pass));
        }
        Ok(())
    }

    /// What to answer to who came without an upgrade: that a token is needed, or `answer`, and whose the
    /// token is. A page in a browser can't see why a WebSocket is refused, so it asks this way.
    pub fn without_upgrade(&self, head: &Head, answer: Answer) -> Answer {
        match self.keys().map(|keys| self.verify(&keys, head)) {
            None => answer,
            Some(Err(refused)) => refused,
            Some(Ok(pass)) => {
                let user = utf8_percent_encode(pass.user.as_str(), NON_ALPHANUMERIC);
                answer.with("Natterjack-User", user.to_string())
            }
        }
    }

    /// The pass of who wants to publish: there is no way without.
    ///
    /// # Errors
    /// 401 without a good token, or without a key.
    pub fn pass(&self, head: &Head) -> Result<Pass, Answer> {
        match self.keys() {
            Some(keys) => self.verify(&keys, head),
            None => {
                let line = "publishing needs a token: start the server with --jwt-key";
                Err(unauthorized(line, false))
            }
        }
    }

    fn keys(&self) -> Option<Arc<KeySet>> {
        self.keys
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// The pass that a request's token is good for.
    fn verify(&self, keys: &KeySet, head: &Head) -> Result<Pass, Answer> {
        let Some(token) = token(head)? else {
            let line = "a token is needed: Authorization: Bearer TOKEN, or the subprotocol bearer.TOKEN, or ?token=TOKEN";
            return Err(unauthorized(line, false));
        };
        verify(keys, &self.rules, &token, time::unix_millis())
            .map_err(|why| unauthorized(&format!("bad token: {why}"), true))
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

#[cfg(test)]
mod tests;
