//! In a build without the feature `tokens`: the pass that nobody has, and a gate that stands open.

use smol::future;

use super::http::{Answer, Head};
use super::route::ChatRequest;
use crate::chat::end::End;
use crate::chat::name::{Room, User};
use crate::chat::peer::Peer;
use crate::config::Config;

/// Nobody has one.
#[derive(Debug, PartialEq, Eq)]
pub enum Grant {}

impl Grant {
    /// Whose it is.
    pub fn user(&self) -> &User {
        match *self {}
    }

    /// Whether its holder may enter a room.
    pub fn allows_room(&self, _: &Room) -> bool {
        match *self {}
    }

    /// When it ends.
    pub fn expires(&self) -> Option<u64> {
        match *self {}
    }
}

/// Never.
pub fn expire(_: &Peer, _: Option<u64>) -> future::Pending<End> {
    future::pending()
}

/// Lets everybody in.
#[derive(Debug)]
pub struct Authenticator;

impl Authenticator {
    /// Needs nothing.
    pub fn new(_: &Config) -> Result<Authenticator, String> {
        Ok(Authenticator)
    }

    /// There is no key.
    pub fn reload(&self) -> bool {
        false
    }

    /// An upgrade is all that is needed.
    pub fn without_upgrade(&self, _: &Head, answer: Answer) -> Answer {
        answer
    }

    /// Lets everybody in.
    pub fn authorize(&self, _: &Head, _: &mut ChatRequest) -> Result<(), Answer> {
        Ok(())
    }
}

/// None is agreed to.
pub fn protocol(_: &Head) -> Option<&str> {
    None
}
