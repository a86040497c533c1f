//! What moderators do and what is taken back in a room: each heard once by this instance, by the channel or, if
//! that has not brought it, from Redis.

use std::time::Duration;

use super::message::Revision;
use super::reply::{Logged, SyncedModeration};
use super::subscriber::Subscriber;
use super::subscriptions::Follows;
use super::tombstones;
use crate::chat::event::{Event, EventKind};
use crate::chat::id::Id;
use crate::chat::moderation::Action;
use crate::chat::name::Room;
use crate::chat::replay::Stretch;
use crate::redis::error::Error;
use crate::redis::slot::Command;

/// A log has no more tombstones than messages, or about so.
const TOMBSTONES_MOST: usize = 100_000;

impl Subscriber {
    /// How something that comes by the channel follows what has been heard.
    pub(super) fn follows(&self, event: &Event, revision: Option<Revision>) -> Option<Follows> {
        let heard = self.subscriptions.heard_until(&event.room);
        let measure = match &event.kind {
            // The message itself has not come yet. Both are in the log.
            EventKind::Deleted { id, .. } if heard.is_none_or(|heard| heard < *id) => {
                self.subscriptions.revision(&event.room)?;
                return Some(Follows::Lost);
            }
            EventKind::Moderated(measure) => Some(&**measure),
            _ => None,
        };
        self.subscriptions
            .hear_done(&event.room, revision?, measure)
    }

    /// Somebody joins a room whose moderation is at this revision: reads what is missing.
    pub(super) async fn check_revision(
        &self,
        room: &Room,
        revision: Option<Revision>,
    ) -> Result<(), Error> {
        let Some(Revision { at, .. }) = revision else {
            return Ok(());
        };
        match self.subscriptions.revision(room) {
            Some(known) if known == at => Ok(()),
            None if at == 0 => {
                self.subscriptions.set_moderation(room, 0, [].into_iter());
                Ok(())
            }
            _ => {
                let last = self.subscriptions.heard_log(room).map(|log| log.last);
                self.sync_room(room, None, last, None).await
            }
        }
    }

    /// If a user who was removed is connected here, bans the address, too.
    pub(super) async fn ban_address(&self, event: &Event) {
        if let Some(ban) = self.address_to_ban(event).await {
            self.client.send(ban);
        }
    }

    async fn address_to_ban(&self, event: &Event) -> Option<Command> {
        let EventKind::Moderated(measure) = &event.kind else {
            return None;
        };
        let address = match measure.action.removes() {
            true => self.peers.address(&measure.user).await?,
            false => return None,
        };
        let scripts = &self.client.scripts;
        Some(scripts.ban_address(&event.room, &measure.user, address))
    }

    /// Hands on what has been done in a room and not been heard.
    ///
    /// # Errors
    /// Redis does not answer.
    pub(super) async fn catch_up_moderation(
        &self,
        room: &Room,
        synced: SyncedModeration,
    ) -> Result<(), Error> {
        let SyncedModeration {
            revision,
            now,
            entries,
        } = synced;
        let heard = self.subscriptions.revision(room);
        if heard == Some(revision) {
            return Ok(());
        }
        let measures = entries
            .iter()
            .filter_map(|entry| Some((entry, entry.measure()?)));
        let measures: Vec<_> = measures.collect();
        let muted = measures.iter().filter_map(|(entry, measure)| {
            let left = Duration::from_millis(entry.left(now)?);
            (measure.action == Action::Mute).then(|| (measure.user.clone(), left))
        });
        let Some(heard) = heard else {
            self.subscriptions.set_moderation(room, revision, muted);
            return Ok(());
        };
        self.subscriptions.set_moderation(room, heard, muted);
        let mut missed = self.missed_deletions(room, heard, revision).await?;
        for (entry, measure) in measures {
            let over = measure.action == Action::Mute && entry.left(now) == Some(0);
            if entry.revision > heard && !over {
                let event = Event {
                    room: room.clone(),
                    user: Some(measure.user.clone()),
                    origin: None,
                    kind: EventKind::Moderated(measure.into()),
                };
                let revision = entry.revision;
                missed.push(Logged { event, revision });
            }
        }
        missed.sort_by_key(|missed| missed.revision);
        for Logged { event, revision } in missed {
            if let Some(ban) = self.address_to_ban(&event).await {
                self.client.request_early(ban).await?;
            }
            self.deliver(event).await;
            // The connection may break at any step: nothing is handed on twice.
            self.subscriptions.set_revision(room, revision);
        }
        self.subscriptions.set_revision(room, revision);
        Ok(())
    }

    /// What was taken back from one revision to another, of the messages that have been heard.
    async fn missed_deletions(
        &self,
        room: &Room,
        from: u64,
        to: u64,
    ) -> Result<Vec<Logged>, Error> {
        let Some(until) = self.subscriptions.heard_until(room) else {
            return Ok(Vec::new());
        };
        let after = Id::START;
        let (stretch, scripts) = (Stretch { after, until }, &self.client.scripts);
        let graves = scripts.tombstones(room, stretch, TOMBSTONES_MOST);
        let graves = self.client.request_early(graves).await?;
        let mut graves = tombstones::tombstones(room, &graves).unwrap_or_default();
        graves.retain(|grave| from < grave.revision && grave.revision <= to);
        Ok(graves)
    }
}
