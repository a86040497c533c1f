//! What a lone server keeps: the rooms' logs, and the references of the messages in them.

use std::sync::{Arc, MutexGuard};

use super::away::Away;
use super::log::Log;
use super::moderation::Moderation;
use super::references::{Reference, References};
use crate::chat::id::Id;
use crate::chat::name::{Room, User};
use crate::chat::peer::Receipt;
use crate::config::Config;
use crate::mutex::Mutex;

/// Everything that is kept. It is locked for short times only, and never while something is waited
/// for.
#[derive(Clone, Debug)]
pub struct Kept(Arc<Mutex<State>>);

/// What is kept.
#[derive(Debug)]
pub struct State {
    /// The rooms' messages.
    pub log: Log,
    /// Their references.
    pub references: References,
    /// The names that wait for their holders.
    pub away: Away,
    /// Who is banned and muted.
    pub moderation: Moderation,
    /// The key of the references' hashes.
    pub key: u128,
}

impl Kept {
    /// Nothing yet.
    pub fn new(config: &Config) -> Kept {
        let key = fastrand::u128(..);
        Kept(Arc::new(Mutex::new(State {
            log: Log::new(config.history, config.max_history),
            references: References::new(key),
            away: Away::new(config),
            moderation: Moderation::default(),
            key,
        })))
    }

    /// Locks it. After a panic it is used all the same, since it is always consistent.
    pub fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock()
    }

    /// Forgets messages, unless they were accepted before: these and those that wait, which nobody can
    /// add to meanwhile. Returns all of them.
    pub fn take_back(
        &self,
        mut messages: Vec<Message>,
        waiting: impl FnOnce() -> Vec<Message>,
    ) -> Vec<Message> {
        let mut state = self.lock();
        messages.extend(waiting());
        for message in messages.iter().filter(|message| !message.repeated) {
            state.log.take_back(&message.room, message.id);
            if let Some(reference) = message.reference {
                state.references.forget(reference);
            }
        }
        messages
    }
}

/// A message whose sender waits until it is on the disk.
#[derive(Debug)]
pub struct Message {
    /// Its room.
    pub room: Room,
    /// Its id.
    pub id: Id,
    /// Its reference.
    pub reference: Option<Reference>,
    /// Its author.
    pub user: User,
    /// Tells its sender.
    pub receipt: Receipt,
    /// It was accepted before, and was said again.
    pub repeated: bool,
}
