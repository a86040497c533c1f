//! In a build without the feature `tokens`: the pass that nobody has, and a gate that stands open.

use smol::future;

use super::http::{Answer, Head};
use super::route::Arrival;
use crate::chat::close_reason::CloseReason;
use crate::chat::name::{Room, User};
use crate::chat::peer::Peer;
use crate::config::Config;

/// Nobody has one.
#[derive(Debug, PartialEq, Eq)]
pub enum Pass {}

impl Pass {
    /// Whose it is.
    pub fn user(&self) -> &User {
        match *self {}
    }

    /// Whether its holder may enter a room.
    pub fn opens(&self, _: &Room) -> bool {
        match *self {}
    }

    /// When it ends.
    pub fn expires(&self) -> Option<u64> {
        match *self {}
    }
}

/// Never.
pub fn expire(_: &Peer, _: Option<u64>) -> future::Pending<CloseReason> {
    future::pending()
}

/// Lets everybody in.
#[derive(Debug)]
pub struct Gate;

impl Gate {
    /// Needs nothing.
    pub fn new(_: &Config) -> Result<Gate, String> {
        Ok(Gate)
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
    pub fn let_through(&self, _: &Head, _: &mut Arrival) -> Result<(), Answer> {
        Ok(())
    }
}

/// None is agreed to.
pub fn protocol(_: &Head) -> Option<&str> {
    None
}
