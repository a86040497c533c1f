//! The bus of a server that runs alone: a log per room and one bounded channel. With `--data` a
//! [`journal`] keeps on disk what is in memory.

mod announced;
mod away;
mod heap;
#[cfg_attr(not(feature = "full"), path = "local/journal/without.rs")]
pub mod journal;
mod kept;
mod log;
mod moderation;
mod moderators;
mod names;
mod private;
mod references;

use std::sync::Arc;

use async_lock::Mutex;
use smol::channel::Sender;
use smol::future::{self, Boxed};

use super::{NewMessage, Visitor};
use crate::chat::dialect::Roster;
use crate::chat::event::{Event, EventKind, Refusal};
use crate::chat::id::Id;
use crate::chat::name::{Room, User};
use crate::chat::peer::Peer;
use crate::chat::peers::Peers;
use crate::config::Config;
use crate::count::text::MetricsText;
use crate::time::unix_millis;
use announced::Announced;
use journal::Journal;
use journal::Record;
use kept::{Kept, Message};
use private::Ends;

/// This process alone.
#[derive(Debug)]
pub struct Local {
    pub(super) peers: Arc<Peers>,
    feed: Sender<Event>,
    /// Rooms up to this size announce joins and leaves.
    notices: usize,
    pub(super) kept: Kept,
    /// Locked until the channel has taken an event, so that the channel's order is that of the log
    /// and of what has been announced.
    announced: Mutex<Announced>,
    /// Locked while a name changes hands: nobody gets one that its holder has just left.
    names: Mutex<()>,
    journal: Option<Journal>,
}

impl Local {
    /// A bus between `peers`, whose events go to `feed`. Reads what was kept before a restart.
    ///
    /// # Errors
    /// One line about why the folder for that can't be used.
    pub(super) fn new(
        peers: Arc<Peers>,
        feed: Sender<Event>,
        config: &Config,
    ) -> Result<Local, String> {
        let kept = Kept::new(config);
        Ok(Local {
            peers,
            feed,
            notices: config.notices,
            journal: Journal::open(config, &kept)?,
            kept,
            announced: Mutex::default(),
            names: Mutex::default(),
        })
    }

    /// Tells a room that a peer has joined it.
    pub(super) async fn announce_join(
        &self,
        peer: &Peer,
        visitor: Visitor<'_>,
        room: &Room,
    ) -> Result<(), Refusal> {
        let mut announced = self.announced.lock().await;
        // One whose name was taken over would take the place of the newer connection.
        if peer.outbox.close_reason().is_some() {
            return Err(Refusal::Unavailable);
        }
        self.admit(visitor, room)?;
        self.joined(&mut announced, peer, None, visitor.user, room)
            .await;
        Ok(())
    }

    /// Tells a room that a peer has another name than the `old` one.
    pub(super) async fn announce_rename(
        &self,
        peer: &Peer,
        old: Option<&User>,
        visitor: Visitor<'_>,
        room: &Room,
    ) {
        let mut announced = self.announced.lock().await;
        // The caller has asked.
        let _ = self.admit(visitor, room);
        self.joined(&mut announced, peer, old, visitor.user, room)
            .await;
    }

    async fn joined(
        &self,
        announced: &mut Announced,
        peer: &Peer,
        old: Option<&User>,
        user: Option<&User>,
        room: &Room,
    ) {
        // The peer is counted, also while its name changes.
        let small = self.peers.people(room).await <= self.notices;
        if let Some(old) = old {
            self.leave(announced, peer, old, room, small).await;
        }
        // Its new name may be another connection's by now.
        if peer.outbox.close_reason().is_some() {
            return;
        }
        if let Some(old) = user.and_then(|user| announced.written_otherwise(room, user)) {
            self.notice(peer, Some(&old), room, EventKind::Left).await;
        }
        let announced = user.is_some_and(|user| announced.joins(room, user, peer.number, small));
        let log = self.kept.lock().log.epochs(room);
        self.notice(peer, user, room, EventKind::Joined { announced, log })
            .await;
    }

    pub(super) async fn announce_leave(&self, peer: &Peer, user: &User, room: &Room) {
        let mut announced = self.announced.lock().await;
        // The peer is no longer counted.
        let small = self.peers.people(room).await < self.notices;
        self.leave(&mut announced, peer, user, room, small).await;
    }

    async fn leave(
        &self,
        announced: &mut Announced,
        peer: &Peer,
        user: &User,
        room: &Room,
        small: bool,
    ) {
        let elsewhere = self.peers.has(room, user).await;
        if announced.leaves(room, user, peer.number, small, elsewhere) {
            self.notice(peer, Some(user), room, EventKind::Left).await;
        }
    }

    pub(super) async fn publish(&self, room: &Room, message: NewMessage) {
        self.publish_between(room, message, None).await;
    }

    /// The same in a private conversation, between these two.
    async fn publish_between(&self, room: &Room, message: NewMessage, ends: Option<Ends>) {
        if let Some(journal) = &self.journal
            && let Err(refusal) = journal.ready().await
        {
            return message.receipt.refuse(&refusal);
        }
        let order = self.announced.lock().await;
        if let Some(event) = self.keep(room, message, ends) {
            self.send(event).await;
        }
        drop(order);
    }

    /// Keeps a message and returns it as an event, unless it is a repeated one. Its sender is told
    /// when it is on the disk, or at once if there is no journal.
    fn keep(&self, room: &Room, message: NewMessage, ends: Option<Ends>) -> Option<Event> {
        let mut kept = self.kept.lock();
        let reference = kept.references.of(&message, room);
        let known = reference.and_then(|reference| kept.references.find(reference));
        let before = kept.log.last(room).unwrap_or(Id::START);
        let too_many = |ends: &Ends| ends.too_many_wait(&kept, room);
        if known.is_none() && ends.as_ref().is_some_and(too_many) {
            message.receipt.refuse(&Refusal::Unavailable);
            return None;
        }
        let id = known.unwrap_or_else(|| kept.log.next(room));
        let author = Some(message.author());
        let (user, receipt) = (message.user.clone(), message.receipt);
        let event = Event {
            room: room.clone(),
            user: Some(message.user),
            origin: Some(message.origin),
            kind: EventKind::Said {
                text: message.text,
                email: message.email,
                id: Some(id),
                at: unix_millis(),
                to: message.to,
                holder: message.holder,
                author,
            },
        };
        if known.is_none() {
            kept.log.keep(event.clone(), id);
            if let Some(reference) = reference {
                kept.references.keep(reference, id);
            }
        }
        match &self.journal {
            None => receipt.accept(id),
            Some(journal) => {
                let message = Message {
                    room: room.clone(),
                    id,
                    reference,
                    user,
                    receipt,
                    repeated: known.is_some(),
                };
                match known {
                    Some(_) => journal.accept(message),
                    None => {
                        let record = Record::Message(event.clone(), reference);
                        journal.append(&record, message);
                    }
                }
            }
        }
        if let (None, Some(ends)) = (known, ends) {
            let journal = |record: Record| self.note(&record);
            ends.note(&mut kept, room, before, journal);
        }
        known.is_none().then_some(event)
    }

    /// Notes something on the disk, if there is a journal.
    fn note(&self, record: &Record) {
        if let Some(journal) = &self.journal {
            journal.note(record);
        }
    }

    /// Writes the journal until the server stops. Without a journal it ends at once.
    pub async fn run(&self) {
        let Some(journal) = &self.journal else {
            return;
        };
        while let Err(messages) = journal.run(&self.kept).await {
            for message in messages {
                if !message.repeated {
                    self.send(Event {
                        room: message.room,
                        user: Some(message.user.clone()),
                        origin: None,
                        kind: EventKind::Deleted {
                            id: message.id,
                            at: 0,
                            by: message.user,
                            start: None,
                        },
                    })
                    .await;
                }
                message.receipt.refuse(&Refusal::Unavailable);
            }
        }
    }

    pub(super) async fn roster(&self, room: &Room) -> Roster {
        let mut roster = self.peers.roster(room, self.notices).await;
        roster.last = self.kept.lock().log.last(room);
        roster
    }

    /// Whether messages can be kept.
    ///
    /// # Errors
    /// One line about why not.
    pub(super) fn health(&self) -> Result<(), String> {
        self.journal.as_ref().map_or(Ok(()), Journal::health)
    }

    /// Ends as soon as the [health](Self::health) may have changed.
    pub(super) fn health_changed(&self) -> Boxed<()> {
        match &self.journal {
            Some(journal) => journal.health_changed(),
            None => Box::pin(future::pending()),
        }
    }

    /// Waits until everything is on the disk. Give it a deadline.
    pub(super) async fn written(&self) {
        if let Some(journal) = &self.journal {
            journal.written().await;
        }
    }

    /// Notes on the disk that the server stops in good order. Give it a deadline.
    pub(super) async fn stop(&self) {
        if let Some(journal) = &self.journal {
            journal.stop().await;
        }
    }

    /// Writes the metrics.
    pub(super) fn write_metrics(&self, text: &mut MetricsText) {
        if let Some(journal) = &self.journal {
            journal.write_metrics(text);
        }
    }

    async fn notice(&self, peer: &Peer, user: Option<&User>, room: &Room, kind: EventKind) {
        self.send(Event {
            room: room.clone(),
            user: user.cloned(),
            origin: Some(self.peers.origin(peer)),
            kind,
        })
        .await;
    }

    /// Fails only when the fan-out is gone, and then nobody is left to hear it.
    async fn send(&self, event: Event) {
        let _ = self.feed.send(event).await;
    }
}
