//! What a connection has to show for its name, and what it may do with it.

use crate::chat::event::Refusal;
use crate::chat::name::{Lock, Room, User};
use crate::net::token::Grant;

/// What takes the name over from an older connection.
pub(super) enum Credential {
    /// A secret; only who speaks JSON has one.
    Key(Box<str>),
    /// A token for the name; or nothing, which is here so that all of it fits into two words.
    Token(Option<Box<Grant>>),
}

impl Credential {
    /// The secret, to be told to the peer; empty where there is none, or none is needed.
    pub(super) fn key(&self) -> &str {
        match self {
            Credential::Key(key) => key,
            Credential::Token(_) => "",
        }
    }

    pub(super) fn grant(&self) -> Option<&Grant> {
        match self {
            Credential::Key(_) => None,
            Credential::Token(grant) => grant.as_deref(),
        }
    }

    pub(super) fn key_hash(&self) -> Option<Lock> {
        match self {
            Credential::Key(key) => Some(Lock::of(key)),
            Credential::Token(grant) => grant.as_ref().map(|_| Lock::of_tokens()),
        }
    }

    /// Whether its token, where one is needed, allows a room.
    pub(super) fn may_enter(&self, room: &Room) -> Result<(), Refusal> {
        match self.grant() {
            Some(grant) if !grant.allows_room(room) => {
                Err(Refusal::Forbidden("your token is not for this room"))
            }
            _ => Ok(()),
        }
    }

    /// Whether it may choose a name: the one of its token, if it has one, and no guest's but its own.
    pub(super) fn may_use_name(&self, user: &User) -> Result<(), Refusal> {
        match self.grant() {
            Some(grant) if grant.user() != user => {
                Err(Refusal::Forbidden("your token is for another name"))
            }
            Some(_) => Ok(()),
            None => Ok(user.may_be_chosen(self.key())?),
        }
    }
}
