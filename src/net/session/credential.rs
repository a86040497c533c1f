//! What entitles a connection to its name.

use crate::chat::event::Refusal;
use crate::chat::name::{Room, SessionKeyHash, User};
use crate::net::token::Grant;

/// The credential that takes the name over from an older connection.
pub(super) enum Credential {
    /// A session key. Only connections that speak JSON have one.
    Key(Box<str>),
    /// What a token grants. `None` is no credential at all; it is part of this variant so that the
    /// enum fits into two words.
    Token(Option<Box<Grant>>),
}

impl Credential {
    /// The session key that the peer is sent; empty where it has none.
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

    pub(super) fn key_hash(&self) -> Option<SessionKeyHash> {
        match self {
            Credential::Key(key) => Some(SessionKeyHash::of(key)),
            Credential::Token(grant) => grant.as_ref().map(|_| SessionKeyHash::for_token()),
        }
    }

    /// Whether the connection is a moderator of a room.
    pub(super) fn moderates(&self, room: &Room) -> bool {
        self.grant().is_some_and(|grant| grant.moderates(room))
    }

    /// Checks that the token, if there is one, allows a room.
    pub(super) fn may_enter(&self, room: &Room) -> Result<(), Refusal> {
        match self.grant() {
            Some(grant) if !grant.allows_room(room) => {
                Err(Refusal::Forbidden("your token is not for this room"))
            }
            _ => Ok(()),
        }
    }

    /// Checks that the connection may use a name: that of its token, if it has one, otherwise any
    /// name but another guest's.
    pub(super) fn may_use_name(&self, user: &User) -> Result<(), Refusal> {
        match self.grant() {
            Some(grant) if grant.user != *user => {
                Err(Refusal::Forbidden("your token is for another name"))
            }
            Some(_) => Ok(()),
            None => user.may_be_chosen(self.key()).map_err(Refusal::BadName),
        }
    }
}
