//! Authentication by JSON Web Tokens (RFC 7519): they say who may connect, under which name, and to
//! which rooms.
//!
//! A token is verified once, during the handshake. The connection keeps what it grants, a [`Grant`].
//! Logs and answers say which check a token failed, and never quote it.

mod claims;
mod grant;
mod issue;
mod key_file;
mod key_set;

use std::path::PathBuf;
use std::sync::{PoisonError, RwLock};

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::http::query::parameter;
use super::http::{Answer, Head};
use crate::chat::name::{Room, User};
use crate::config::Config;
use crate::time::unix_millis;
use claims::{ClaimRules, verify};
pub use grant::{Grant, expire};
pub use issue::{IssueError, issue};
use key_set::KeySet;

/// The prefix of a WebSocket subprotocol that carries a token, since a page can't set headers.
const PROTOCOL: &str = "bearer.";

/// Verifies tokens, or accepts every connection if no key is set.
#[derive(Debug)]
pub struct Authenticator(Option<Tokens>);

/// Where tokens are needed: which ones.
#[derive(Debug)]
struct Tokens {
    file: PathBuf,
    keys: RwLock<KeySet>,
    rules: ClaimRules,
    /// Whether connections without a token are let in, too.
    guests: bool,
}

impl Authenticator {
    /// The authenticator of these settings.
    ///
    /// # Errors
    /// One line about what is wrong with the key.
    pub fn new(config: &Config) -> Result<Authenticator, String> {
        let Some(file) = &config.jwt_key else {
            return Ok(Authenticator(None));
        };
        let keys = key_file::read(file, key_file::parse)?;
        log::debug!("tokens: {}, from {}", keys.description, file.display());
        Ok(Authenticator(Some(Tokens {
            file: file.clone(),
            keys: RwLock::new(keys),
            rules: ClaimRules::new(config),
            guests: config.guests,
        })))
    }

    /// Reads the key again, logs the result, and returns whether there is a key. Connections stay, and
    /// the old key stays if the new one is unusable.
    pub fn reload(&self) -> bool {
        let Some(tokens) = &self.0 else {
            return false;
        };
        match key_file::read(&tokens.file, key_file::parse) {
            Ok(keys) => {
                let (file, what) = (tokens.file.display(), keys.description.clone());
                *tokens.keys.write().unwrap_or_else(PoisonError::into_inner) = keys;
                log::info!("{file}: tokens need this key from now on: {what}");
            }
            Err(line) => log::warn!("the old key stays: {line}"),
        }
        true
    }

    /// Describes the needed tokens; `None` if none is needed.
    pub fn describe(&self) -> Option<String> {
        let tokens = self.0.as_ref()?;
        let keys = tokens.keys.read().unwrap_or_else(PoisonError::into_inner);
        let claims = claims::describe(&tokens.rules);
        let guests = ["", "; guests need none"][usize::from(tokens.guests)];
        Some(format!("{}; {claims}{guests}", keys.description))
    }

    /// What the request's token grants; `None` if it has none and needs none. The token must be for this
    /// name and this room.
    ///
    /// # Errors
    /// 401 without a valid token, 403 if it is for another name or not for the room.
    pub fn authorize(
        &self,
        head: &Head,
        user: Option<&User>,
        room: Option<&Room>,
    ) -> Result<Option<Box<Grant>>, Answer> {
        let grant = self.verify_unless_guest(head).transpose()?;
        grant
            .as_ref()
            .map_or(Ok(()), |grant| grant.check(user, room))?;
        Ok(grant.map(Box::new))
    }

    /// The answer to a request without an upgrade: that a token is needed, or `answer` with the token's
    /// name. A page can't see why a WebSocket is refused, so it asks in this way.
    pub fn without_upgrade(&self, head: &Head, answer: Answer) -> Answer {
        match self.verify_unless_guest(head) {
            None => answer,
            Some(Err(refused)) => refused,
            Some(Ok(grant)) => {
                let user = utf8_percent_encode(grant.user.as_str(), NON_ALPHANUMERIC);
                answer.with("Natterjack-User", user.to_string())
            }
        }
    }

    /// What the token of a request to publish or to delete grants. Both always need a token.
    ///
    /// # Errors
    /// 401 without a valid token, or without a key.
    pub fn authenticate(&self, head: &Head) -> Result<Grant, Answer> {
        let line = "this needs a token: start the server with --jwt-key";
        self.verify(head)
            .unwrap_or_else(|| Err(unauthorized(line, false)))
    }

    /// The same, and `None` for a guest, too.
    fn verify_unless_guest(&self, head: &Head) -> Option<Result<Grant, Answer>> {
        let guests = self.0.as_ref().is_some_and(|tokens| tokens.guests);
        if guests && matches!(token(head), Ok(None)) {
            return None;
        }
        self.verify(head)
    }

    /// Verifies a request's token; `None` if there is no key.
    fn verify(&self, head: &Head) -> Option<Result<Grant, Answer>> {
        let tokens = self.0.as_ref()?;
        let keys = tokens.keys.read().unwrap_or_else(PoisonError::into_inner);
        Some(token(head).and_then(|token| match token {
            Some(token) => verify(&keys, &tokens.rules, &token, unix_millis())
                .map_err(|why| unauthorized(&format!("bad token: {why}"), true)),
            None => {
                let line = "a token is needed: Authorization: Bearer TOKEN, or the subprotocol bearer.TOKEN, or ?token=TOKEN";
                Err(unauthorized(line, false))
            }
        }))
    }
}

/// The subprotocol to accept: the one that carries a token. It is accepted also where no token is
/// needed, so that the same client works there.
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

/// A challenge (RFC 6750, section 3). It has no error if the request had no token.
fn unauthorized(line: &str, bad: bool) -> Answer {
    let error = if bad { ", error=\"invalid_token\"" } else { "" };
    let challenge = format!("Bearer realm=\"natterjack\"{error}");
    Answer::text(401, line).with("WWW-Authenticate", challenge)
}

/// The request's token. The URL is read last, since it ends up in the logs of proxies.
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
