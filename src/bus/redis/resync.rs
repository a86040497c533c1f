//! Resync: asks Redis where a room stands, after a reconnect or where the channel does not go on with
//! the next message, and reads from the log what the channel has not brought. If some of it is lost,
//! typed peers are told so in its place, before what follows.

use std::mem;

use redis::Value;

use super::reply::{self, Logged, Synced};
use super::subscriber::Subscriber;
use super::tombstones::{self, Direction};
use crate::chat::close_reason::CloseReason;
use crate::chat::event::{Event, EventKind};
use crate::chat::id::Id;
use crate::chat::name::Room;
use crate::chat::replay::{Cursor, Stretch};
use crate::redis::error::Error;
use crate::redis::pipeline::BATCH;
use crate::redis::slot::Command;

/// How many messages are read from a room's log at once.
const PAGE: usize = 200;
/// How many rooms' logs are read at once.
const ROOMS: usize = 32;

impl Subscriber {
    /// Reads from the logs what was said while nobody here was listening, and hands it on. The channels
    /// must be subscribed to already, so that nothing falls in between.
    ///
    /// Where no log is kept, they must not be subscribed to yet: what comes by them would be taken for
    /// lost. The next message shows if another one falls in between.
    ///
    /// # Errors
    /// Redis does not answer.
    pub async fn resync(&self) -> Result<(), Error> {
        let mut lost = 0;
        for rooms in self.subscriptions.cursors().chunks(ROOMS) {
            let sync = |(room, heard): &(Room, Cursor)| self.sync(room, heard, None);
            let commands: Vec<_> = rooms.iter().flat_map(sync).collect();
            let replies = self.client.pipeline.request_early(&commands).await?;
            for ((room, heard), replies) in rooms.iter().zip(replies.chunks(2)) {
                let whole = self.catch_up(room, heard, replies, None, None).await?;
                lost += usize::from(!whole);
            }
        }
        if lost > 0 {
            log::warn!("redis has lost messages of {lost} rooms; they can't be delivered any more");
        }
        Ok(())
    }

    /// Reads messages from the logs that the channels have not brought.
    ///
    /// # Errors
    /// Redis does not answer.
    pub async fn check_for_gaps(&self) -> Result<(), Error> {
        for rooms in self.subscriptions.cursors().chunks(BATCH) {
            let last = |(room, _): &(Room, Cursor)| self.client.scripts.last(room);
            let commands: Vec<_> = rooms.iter().map(last).collect();
            let replies = self.client.pipeline.request_early(&commands).await?;
            let revision = |(room, _): &(Room, Cursor)| self.client.scripts.revision(room);
            let commands: Vec<_> = rooms.iter().map(revision).collect();
            let revisions = self.client.pipeline.request_early(&commands).await?;
            for (((room, heard), reply), revision) in rooms.iter().zip(&replies).zip(&revisions) {
                let revision = reply::text(revision).and_then(|text| text.parse().ok());
                let last = reply::last(reply).is_some_and(|last| last != heard.epochs.last);
                if last || revision.is_some() && revision != self.subscriptions.revision(room) {
                    self.sync_room(room, None, None, None).await?;
                }
            }
        }
        self.close_replaced().await?;
        self.read_inbox().await
    }

    /// Goes on in a room: hands on the messages up to `next`, which the channel has brought as `event`
    /// or named as the last one, or all that the log has. `again`: the channel has brought another
    /// message under this number than was heard.
    ///
    /// # Errors
    /// Redis does not answer.
    pub(super) async fn sync_room(
        &self,
        room: &Room,
        again: Option<u64>,
        next: Option<Id>,
        event: Option<Event>,
    ) -> Result<(), Error> {
        let Some(heard) = self.subscriptions.cursor(room) else {
            return Ok(());
        };
        let sync = self.sync(room, &heard, again);
        let replies = self.client.pipeline.request_early(&sync).await?;
        // Without a log, what has not been heard may still come.
        let logs = self.client.scripts.keeps_log(room);
        let next = next.or((!logs).then_some(heard.epochs.last));
        if !self.catch_up(room, &heard, &replies, next, event).await? {
            log::warn!("redis has lost messages of a room; they can't be delivered any more");
        }
        Ok(())
    }

    /// Asks what moderators have done in a room and where its log stands, in this order: what is taken back
    /// in between comes by the channel.
    fn sync(&self, room: &Room, heard: &Cursor, again: Option<u64>) -> [Command; 2] {
        let scripts = &self.client.scripts;
        let revision = self.subscriptions.revision(room);
        [
            scripts.sync_moderation(room, revision),
            scripts.sync_room(room, heard, again, PAGE),
        ]
    }

    /// Hands on what comes after `heard`, by the answers to these. `false` if the log no longer has all of
    /// it.
    async fn catch_up(
        &self,
        room: &Room,
        heard: &Cursor,
        replies: &[Value],
        next: Option<Id>,
        event: Option<Event>,
    ) -> Result<bool, Error> {
        let senseless = || Error::Transient("an answer that makes no sense".into());
        let [moderation, synced] = replies else {
            return Err(senseless());
        };
        let moderation = reply::synced_moderation(moderation).ok_or_else(senseless)?;
        let revision = moderation.revision;
        self.catch_up_moderation(room, moderation).await?;
        let Synced {
            epochs,
            at,
            messages,
        } = reply::synced(room, synced).ok_or_else(senseless)?;
        let (mut whole, after) = epochs.replay(heard.epochs.last);
        let until = match next {
            None => epochs.last,
            Some(next) if epochs.contain(next) => next.max(after),
            // Redis knows no such message: it is forged, or was lost in this moment.
            Some(_) => after,
        };
        // A gap is told once, however much is missing in it.
        let mut told = !whole;
        // The clock of Redis may have gone back since a message.
        let mut at = at.max(heard.at);
        // The connection may break at any step: nothing is handed on twice.
        let heard_until = |last: Id, at: u64| {
            let epochs = epochs.up_to(last);
            self.subscriptions.set_cursor(room, Cursor { epochs, at });
        };
        if told {
            self.deliver_loss(room).await?;
            heard_until(after, at);
        }
        let (mut last, mut page) = (after, messages);
        if revision > 0 {
            page = self.page(room, after, until).await?;
        }
        loop {
            let before = last;
            for message in page {
                let (message, taken_back) = (message.event, message.revision);
                // Other ids than these: the log was tampered with.
                let id = message.id().filter(|id| last < *id && *id <= until);
                let Some(id) = id else { continue };
                if !epochs.follows(last, id) {
                    whole = false;
                    if !mem::replace(&mut told, true) {
                        self.deliver_loss(room).await?;
                    }
                }
                at = at.max(message.said_at());
                // What was taken back after the answer comes by the channel.
                if taken_back <= revision {
                    self.deliver(message).await;
                    told = false;
                }
                last = id;
                heard_until(last, at);
            }
            if last == before || last >= until {
                break;
            }
            page = self.page(room, last, until).await?;
        }
        // Without a log, there is still what the channel has brought.
        let event = event.filter(|event| last < until && event.id() == Some(until));
        let follows = match event {
            Some(_) => epochs.follows(last, until),
            None => epochs.next(last).is_none_or(|next| next > until),
        };
        if !follows {
            whole = false;
            if !told {
                self.deliver_loss(room).await?;
            }
        }
        if let Some(event) = event {
            at = at.max(event.said_at());
            self.deliver(event).await;
        }
        heard_until(until, at);
        Ok(whole)
    }

    /// Tells typed peers that messages are lost, and who is there.
    async fn deliver_loss(&self, room: &Room) -> Result<(), Error> {
        let roster = self.client.scripts.roster(room);
        let roster = reply::roster(self.client.request_early(roster).await?).unwrap_or_default();
        let kind = EventKind::Lost {
            count: roster.count,
            users: roster.users,
            last: roster.last,
        };
        self.deliver(Event {
            room: room.clone(),
            user: None,
            origin: None,
            kind,
        })
        .await;
        Ok(())
    }

    /// Reads the next messages, and what stands in the place of some.
    async fn page(&self, room: &Room, after: Id, until: Id) -> Result<Vec<Logged>, Error> {
        let (stretch, scripts) = (Stretch { after, until }, &self.client.scripts);
        let read = [
            scripts.read(room, stretch, PAGE),
            scripts.tombstones(room, stretch, PAGE),
        ];
        let replies = self.client.pipeline.request_early(&read).await?;
        let [portion, graves] = &replies[..] else {
            return Ok(Vec::new());
        };
        let page = tombstones::merge(room, portion, graves, Direction::Forward, PAGE);
        Ok(page.unwrap_or_default())
    }

    /// Hands an event on.
    pub(super) async fn deliver(&self, event: Event) {
        // Fails only when the fan-out is gone, and then the process is on its way out.
        let _ = self.feed.send(event).await;
    }

    /// Disconnects the peers whose names were taken over without the channel saying so.
    ///
    /// # Errors
    /// Redis does not answer.
    pub async fn close_replaced(&self) -> Result<(), Error> {
        let replaced = self.client.scripts.replaced();
        let replaced = self.client.request_early(replaced).await?;
        for (user, origin) in reply::replaced(replaced).unwrap_or_default() {
            let reason = CloseReason::Replaced;
            self.peers.close(&user, origin.peer, reason).await;
        }
        Ok(())
    }
}
