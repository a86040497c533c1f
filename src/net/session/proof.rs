//! What a connection has to show for its name, and what it may do with it.

use crate::chat::event::Refusal;
use crate::chat::name::{Room, SessionKeyHash, User};
use crate::net::token::Pass;

/// What takes the name over from an older connection.
pub(super) enum Proof {
    /// A secret; only who speaks JSON has one.
    Key(Box<str>),
    /// A token for the name; or nothing, which is here so that all of it fits into two words.
    Token(Option<Box<Pass>>),
}

impl Proof {
    /// The secret, to be told to the peer; empty where there is none, or none is needed.
    pub(super) fn key(&self) -> &str {
        match self {
            Proof::Key(key) => key,
            Proof::Token(_) => "",
        }
    }

    pub(super) fn pass(&self) -> Option<&Pass> {
        match self {
            Proof::Key(_) => None,
            Proof::Token(pass) => pass.as_deref(),
        }
    }

    pub(super) fn key_hash(&self) -> Option<SessionKeyHash> {
        match self {
            Proof::Key(key) => Some(SessionKeyHash::of(key)),
            Proof::Token(pass) => pass.as_ref().map(|_| SessionKeyHash::for_token()),
        }
    }

    /// Whether its token, where one is needed, allows a room.
    pub(super) fn may_enter(&self, room: &Room) -> Result<(), Refusal> {
        match self.pass() {
            Some(pass) if !pass.opens(room) => {
                Err(Refusal::Forbidden("your token is not for this room"))
            }
            _ => Ok(()),
        }
    }

    /// Whether it may choose a name: the one of its token, if it has one, and no guest's but its own.
    pub(super) fn may_be(&self, user: &User) -> Result<(), Refusal> {
        match self.pass() {
            Some(pass) if pass.user() != user => {
                Err(Refusal::Forbidden("your token is for another name"))
            }
            Some(_) => Ok(()),
            None => Ok(user.may_be_chosen(self.key())?),
        }
    }
}
