//! What moderators do on a lone server, and taking messages back.

use std::time::Duration;

use super::journal::Record;
use super::kept::Message;
use super::{Local, Visitor};
use crate::bus::Deletion;
use crate::chat::address::Address;
use crate::chat::event::{Event, EventKind, Refusal};
use crate::chat::id::Id;
use crate::chat::moderation::{Ban, Measure};
use crate::chat::name::{Room, User};
use crate::chat::peer::{Outcome, Receipt};
use crate::time::{timeout, unix_millis};

/// How long the disk may take.
const DISK_TIME: Duration = Duration::from_secs(10);

impl Local {
    /// Lets a visitor into a room.
    ///
    /// # Errors
    /// The visitor is banned.
    pub(super) fn admit(&self, visitor: Visitor<'_>, room: &Room) -> Result<(), Refusal> {
        let Visitor {
            user,
            address,
            moderator,
        } = visitor;
        match user {
            Some(user) if moderator => {
                self.kept.lock().moderation.note_moderator(room, user);
                return Ok(());
            }
            Some(user) => self.kept.lock().moderation.forget_moderator(room, user),
            None => {}
        }
        self.check_ban(room, user, address)
    }

    /// Checks whether a user, or a peer from this address, may enter a room. Where a banned user tries it,
    /// the address is banned, too.
    ///
    /// # Errors
    /// It is banned.
    pub(in crate::bus) fn check_ban(
        &self,
        room: &Room,
        user: Option<&User>,
        address: Option<Address>,
    ) -> Result<(), Refusal> {
        let mut kept = self.kept.lock();
        let checked = kept.moderation.check(room, user, address);
        if checked.is_err()
            && let (Some(user), Some(address)) = (user, address)
            && kept.moderation.note_address(room, user, address)
            && let Some(journal) = &self.journal
        {
            journal.note(&Record::Address(room.clone(), user.clone(), address));
        }
        checked
    }

    pub(in crate::bus) fn is_muted(&self, room: &Room, user: &User) -> bool {
        self.kept.lock().moderation.is_muted(room, user)
    }

    pub(in crate::bus) fn banned(&self, room: &Room) -> Vec<Ban> {
        self.kept.lock().moderation.banned(room)
    }

    pub(in crate::bus) fn deletions(&self, room: &Room) -> u64 {
        self.kept.lock().log.deletions(room)
    }

    /// See [`Bus::moderate`](crate::bus::Bus::moderate).
    pub(in crate::bus) async fn moderate(
        &self,
        room: &Room,
        measure: Measure,
    ) -> Result<(), Refusal> {
        self.can_write().await?;
        let address = match measure.action.removes() {
            true => self.peers.address(&measure.user).await,
            false => None,
        };
        let order = self.announced.lock().await;
        let written = {
            let (mut kept, now) = (self.kept.lock(), unix_millis());
            kept.moderation.act(room, measure.clone(), address, now)?;
            let until = measure.seconds.map(|seconds| now + seconds * 1000);
            self.journal.as_ref().map(|journal| {
                let (message, written) = note(room, Id::START, &measure.by);
                let record = Record::Measure(room.clone(), measure.clone(), until);
                journal.append(&record, message);
                if let Some(address) = address {
                    let user = measure.user.clone();
                    journal.note(&Record::Address(room.clone(), user, address));
                }
                written
            })
        };
        self.send(Event {
            room: room.clone(),
            user: Some(measure.user.clone()),
            origin: None,
            kind: EventKind::Moderated(measure.into()),
        })
        .await;
        drop(order);
        wait(written).await
    }

    /// See [`Bus::delete`](crate::bus::Bus::delete).
    pub(in crate::bus) async fn delete(
        &self,
        room: &Room,
        deletion: Deletion,
    ) -> Result<(), Refusal> {
        self.can_write().await?;
        let order = self.announced.lock().await;
        let (event, written) = {
            let mut kept = self.kept.lock();
            let event = kept.log.delete(room, &deletion, unix_millis())?;
            let written = self.journal.as_ref().map(|journal| {
                let (message, written) = note(room, deletion.id, &deletion.by);
                journal.append(&Record::Message(event.clone(), None), message);
                written
            });
            (event, written)
        };
        self.send(event).await;
        drop(order);
        wait(written).await
    }

    async fn can_write(&self) -> Result<(), Refusal> {
        match &self.journal {
            Some(journal) => journal.ready().await,
            None => Ok(()),
        }
    }
}

/// What the journal tells when a record is on the disk. Nothing is taken back if it can't be written: it is
/// written with everything else as soon as the disk works again.
fn note(room: &Room, id: Id, by: &User) -> (Message, Outcome) {
    let (receipt, written) = Receipt::to_caller(None);
    let message = Message {
        room: room.clone(),
        id,
        reference: None,
        user: by.clone(),
        receipt,
        repeated: true,
    };
    (message, written)
}

async fn wait(written: Option<Outcome>) -> Result<(), Refusal> {
    let Some(written) = written else {
        return Ok(());
    };
    match timeout(DISK_TIME, written.wait()).await {
        Some(Ok(_)) => Ok(()),
        _ => Err(Refusal::Unavailable),
    }
}
