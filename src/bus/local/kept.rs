//! What a lone server keeps: the rooms' logs, and the references of the messages in them.

use std::iter;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::journal::folder::Read;
use super::journal::record::{Known, Record};
use super::journal::writer::{Live, Pieces, What};
use super::journal::{Journal, Message};
use super::log::Log;
use super::references::References;
use crate::chat::event::EventKind;
use crate::chat::id::Id;
use crate::chat::replay::Stretch;
use crate::config::Config;
use crate::time::unix_millis;

/// How many messages are made into lines at once.
const PIECE: usize = 200;

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
    /// The key of the references' hashes.
    key: u128,
}

impl Kept {
    /// Nothing yet.
    pub fn new(config: &Config) -> Kept {
        let key = fastrand::u128(..);
        Kept(Arc::new(Mutex::new(State {
            log: Log::new(config.history, config.max_history),
            references: References::new(key),
            key,
        })))
    }

    /// Locks it. After a panic it is used all the same, since it is always consistent.
    pub fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads what was kept before a restart. Where the server did not stop in good order, each room
    /// begins a new epoch with its next message.
    ///
    /// # Errors
    /// One line about why the folder can't be used.
    pub fn open(&self, path: &Path) -> Result<(Journal, Read), String> {
        let now = unix_millis();
        let mut state = self.lock();
        let opened = Journal::open(path, |record| state.restore(record, now))?;
        if !opened.1.stopped {
            state.log.begin_epochs();
        }
        Ok(opened)
    }

    /// Makes the lines of everything that is kept.
    pub fn live(&self) -> Live {
        let kept = self.clone();
        Arc::new(move |what| kept.pieces(what))
    }

    fn pieces(&self, what: What) -> Pieces {
        let (rooms, clients, key) = {
            let state = self.lock();
            (state.log.rooms(), state.references.clients(), state.key)
        };
        let mut first = Vec::new();
        Record::Key(key).write(&mut first);
        if what == What::Beginning {
            return Box::new(iter::once(first));
        }
        let kept = self.clone();
        let messages = rooms.into_iter().flat_map(move |room| {
            let (kept, mut after) = (kept.clone(), Id::START);
            iter::from_fn(move || {
                let until = Id::LAST;
                let events = kept.lock().log.read(&room, Stretch { after, until }, PIECE);
                after = events.last()?.id()?;
                let mut lines = Vec::new();
                for event in events {
                    Record::Message(event, None).write(&mut lines);
                }
                Some(lines)
            })
        });
        let kept = self.clone();
        let references = clients.into_iter().map(move |client| {
            let now = unix_millis();
            let mut lines = Vec::new();
            for (reference, id, age) in kept.lock().references.known(client) {
                let at = now.saturating_sub(age.as_millis() as u64);
                Record::Reference(reference, Known { id, at }).write(&mut lines);
            }
            lines
        });
        Box::new(iter::once(first).chain(messages).chain(references))
    }

    /// Forgets messages that could not be written.
    pub fn take_back(&self, journal: &Journal, mut messages: Vec<Message>) -> Vec<Message> {
        let mut state = self.lock();
        messages.extend(journal.take_waiting());
        for message in messages.iter().filter(|message| !message.repeated) {
            state.log.take_back(&message.room, message.id);
            if let Some(reference) = message.reference {
                state.references.forget(reference);
            }
        }
        messages
    }
}

impl State {
    /// Takes what a record says.
    fn restore(&mut self, record: Record, now: u64) {
        let age = |at: u64| Duration::from_millis(now.saturating_sub(at));
        match record {
            Record::Message(event, reference) => {
                if let (
                    Some(reference),
                    EventKind::Said {
                        id: Some(id), at, ..
                    },
                ) = (reference, &event.kind)
                {
                    self.references.restore(reference, *id, age(*at));
                }
                self.log.restore(event);
            }
            Record::Reference(reference, Known { id, at }) => {
                self.references.restore(reference, id, age(at));
            }
            Record::Key(key) => {
                if key != self.key {
                    self.key = key;
                    self.references = References::new(key);
                }
            }
            Record::Stopped => {}
        }
    }
}
