//! Tokens in the smallest build: none exists, and none is needed.

use smol::future;

use super::http::{Answer, Head};
use crate::chat::close_reason::CloseReason;
use crate::chat::name::{Room, User};
use crate::chat::peer::Peer;
use crate::config::Config;

/// What a token grants. There is none.
#[derive(Debug, PartialEq, Eq)]
pub enum Grant {}

impl Grant {
    /// Never called.
    pub fn user(&self) -> &User {
        match *self {}
    }

    /// Never called.
    pub fn allows_room(&self, _: &Room) -> bool {
        match *self {}
    }

    /// Never called.
    pub fn expires(&self) -> Option<u64> {
        match *self {}
    }
}

/// Never returns.
pub fn expire(_: &Peer, _: Option<u64>) -> future::Pending<CloseReason> {
    future::pending()
}

/// Accepts every connection.
#[derive(Debug)]
pub struct Authenticator;

impl Authenticator {
    /// Needs no settings.
    pub fn new(_: &Config) -> Result<Authenticator, String> {
        Ok(Authenticator)
    }

    /// There is no key.
    pub fn reload(&self) -> bool {
        false
    }

    /// The answer stays.
    pub fn without_upgrade(&self, _: &Head, answer: Answer) -> Answer {
        answer
    }

    /// No token is needed.
    pub fn authorize(
        &self,
        _: &Head,
        _: Option<&User>,
        _: Option<&Room>,
    ) -> Result<Option<Box<Grant>>, Answer> {
        Ok(None)
    }
}

/// No subprotocol is accepted.
pub fn protocol(_: &Head) -> Option<&str> {
    None
}
