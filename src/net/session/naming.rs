//! The name of a connection: claimed, changed, forgotten.

use std::time::Instant;

use super::Session;
use super::credential::Credential;
use crate::bus::Away;
use crate::chat::dialect::{Dialect, Reply};
use crate::chat::event::Refusal;
use crate::chat::name::{User, hex};

/// How many guests' names are tried. There are two thousand million.
const GUEST_ATTEMPTS: usize = 5;

impl Session<'_> {
    /// The name is not to wait for its holder: from now on it has no session key or token.
    pub(super) async fn forget(&mut self) -> Result<(), Refusal> {
        match &self.user {
            Some(user) => self.bus().claim(self.peer, user, None).await.map(drop),
            None => Ok(()),
        }
    }

    /// Claims a name. If its holder was away, returns since when.
    pub(super) async fn claim(&mut self, user: User) -> Result<Option<Away>, Refusal> {
        // Only these clients can be told it. A name without a key is free as soon as it is left.
        let new_key = self.peer.dialect() == Dialect::Typed
            && matches!(self.credential, Credential::Token(None));
        if new_key {
            self.credential = Credential::Key(new_session_key()?);
        }
        let key_hash = self.credential.key_hash();
        let away = self.bus().claim(self.peer, &user, key_hash).await?;
        let named = self.peer.frame(&Reply::Named {
            user: &user,
            session: self.credential.key(),
        });
        self.peer.outbox.push_before_buffered(named.as_slice());
        let limits = &self.context.rate_limits;
        let from = self.peer.address;
        self.rate.rename(limits, from, &user, Instant::now());
        self.user = Some(user);
        if new_key && self.ended().is_some() {
            // It has not been told its key, and could not come back with it.
            self.forget().await?;
        }
        Ok(away)
    }

    /// The connection's name. If it has none, it claims one.
    pub(super) async fn ensure_name(&mut self) -> Result<User, Refusal> {
        self.ensure_claim().await?;
        self.user.clone().ok_or(Refusal::Unavailable)
    }

    /// Claims the name that the connection's token grants, or else a guest's name, which its session key
    /// entitles it to, if it has none yet. If its holder was away, returns since when.
    pub(super) async fn ensure_claim(&mut self) -> Result<Option<Away>, Refusal> {
        for _ in 0..GUEST_ATTEMPTS {
            if self.user.is_some() {
                break;
            }
            let (name, only) = match &self.credential {
                Credential::Token(Some(grant)) => (grant.user.clone(), true),
                Credential::Key(key) => (User::guest(key), false),
                Credential::Token(None) => {
                    let key = new_session_key()?;
                    let name = User::guest(&key);
                    self.credential = Credential::Key(key);
                    (name, false)
                }
            };
            match self.claim(name).await {
                // Another key gives another guest's name.
                Err(Refusal::NameTaken(_)) if !only => self.credential = Credential::Token(None),
                done => return done,
            }
        }
        Ok(None)
    }

    /// Takes another name. In the rooms it looks as if one user left and another one joined.
    pub(super) async fn rename(&mut self, user: User) -> Result<(), Refusal> {
        self.credential.may_use_name(&user)?;
        for joined in &self.rooms {
            if !self.credential.moderates(&joined.room) {
                self.bus().may_enter(&joined.room, &user).await?;
            }
        }
        let old = self.user.take();
        if let Err(refusal) = self.claim(user).await {
            self.user = old;
            return Err(refusal);
        }
        let Some(user) = &self.user else {
            return Ok(());
        };
        let visits = self.rooms.iter().map(|joined| {
            let visitor = self.visitor(Some(user), &joined.room);
            (joined.room.clone(), visitor)
        });
        let rooms: Vec<_> = visits.collect();
        let (bus, old) = (self.bus(), old.as_ref());
        bus.announce_rename(self.peer, old, user, &rooms).await;
        Ok(())
    }
}

/// A session key that can't be guessed: 128 bits in hexadecimal digits.
fn new_session_key() -> Result<Box<str>, Refusal> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|_| Refusal::Unavailable)?;
    Ok(hex(&bytes).into())
}
