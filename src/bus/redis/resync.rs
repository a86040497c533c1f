//! Resync: reads messages from the logs that the channels have not brought, after a reconnect or a
//! gap.

use super::message::InstanceMessage;
use super::reply;
use super::subscriber::Subscriber;
use super::subscriptions::Cursor;
use crate::chat::dialect::{Dialect, Reply};
use crate::chat::event::{Event, EventKind};
use crate::chat::id::Id;
use crate::chat::name::Room;
use crate::chat::replay::{Step, Stretch};
use crate::redis::error::Error;
use crate::redis::pipeline::BATCH;

/// How many messages are read from a room's log at once.
const PAGE: usize = 200;
/// How many rooms' logs are read at once.
const ROOMS: usize = 32;

impl Subscriber {
    /// Reads from the logs what was said while nobody here was listening, and hands it on. The channels
    /// must be subscribed to already, so that nothing falls in between.
    ///
    /// # Errors
    /// Redis does not answer.
    pub async fn resync(&self) -> Result<(), Error> {
        let mut lost = 0;
        for rooms in self.subscriptions.all_heard().chunks(ROOMS) {
            let requests = |(room, heard): &(Room, Cursor)| {
                [
                    self.client.scripts.last(room),
                    self.client.scripts.read_from(room, heard.id, PAGE),
                ]
            };
            let commands: Vec<_> = rooms.iter().flat_map(requests).collect();
            let replies = self.client.pipeline.request_early(&commands).await?;
            for ((room, heard), replies) in rooms.iter().zip(replies.chunks(2)) {
                let last = replies.first().and_then(reply::id);
                let found = replies.get(1).and_then(|log| reply::messages(room, log));
                let found = found.unwrap_or_default();
                if !self.resync_room(room, *heard, last, found).await? {
                    self.subscriptions.mark_incomplete(room);
                    lost += 1;
                }
            }
        }
        if lost > 0 {
            log::warn!("redis has lost messages of {lost} rooms; they can't be delivered any more");
        }
        self.read_inbox().await
    }

    /// Reads messages from the logs that the channels have not brought.
    ///
    /// # Errors
    /// Redis does not answer.
    pub async fn check_for_gaps(&self) -> Result<(), Error> {
        for rooms in self.subscriptions.all_heard().chunks(BATCH) {
            let last = |(room, _): &(Room, Cursor)| self.client.scripts.last(room);
            let commands: Vec<_> = rooms.iter().map(last).collect();
            let replies = self.client.pipeline.request_early(&commands).await?;
            for ((room, _), reply) in rooms.iter().zip(&replies) {
                if let Some(last) = reply::id(reply)
                    && let Step::Gap(after) = self.subscriptions.step(room, last.next())
                {
                    self.fill_gap(room, after, last).await?;
                }
            }
        }
        self.read_inbox().await
    }

    /// Goes on in one room after `heard`. `last` is where the log stands, and `found` the messages from
    /// `heard` on, with it. `false` if the log no longer has all of them.
    async fn resync_room(
        &self,
        room: &Room,
        heard: Cursor,
        last: Option<Id>,
        mut found: Vec<Event>,
    ) -> Result<bool, Error> {
        let Some(last) = last else {
            self.subscriptions.set_heard(room, Id::START, None);
            return Ok(heard.id == Id::START);
        };
        let replaced = match found.first().map(|event| (event.id(), &event.kind)) {
            Some((Some(id), EventKind::Said { at, .. })) if id == heard.id => {
                heard.at.is_some_and(|then| then != *at)
            }
            _ => false,
        };
        if replaced || last.epoch == heard.id.epoch && last < heard.id {
            // The log was rewritten under ids that we already delivered; start a new epoch.
            let begin = self.client.scripts.new_epoch(room, last.epoch);
            let begin = reply::id(&self.client.request_early(begin).await?).unwrap_or(last);
            let begin = Id::before_all(begin.epoch);
            self.subscriptions.set_heard(room, begin, None);
            return Ok(false);
        }
        let mut whole = heard.id.epoch == last.epoch || heard.id == Id::START;
        found.retain(|event| event.id() != Some(heard.id));
        for event in found {
            whole &= self.deliver(room, event).await;
        }
        let Step::Gap(after) = self.subscriptions.step(room, last.next()) else {
            return Ok(whole);
        };
        whole &= self.read_gap(room, Stretch { after, until: last }).await?;
        Ok(whole)
    }

    /// Reads a stretch of a room's log that the channel has not brought, and hands it on. `false` if
    /// the log no longer has all of it.
    ///
    /// # Errors
    /// Redis does not answer.
    pub async fn read_gap(&self, room: &Room, mut stretch: Stretch) -> Result<bool, Error> {
        let mut whole = true;
        while stretch.after < stretch.until {
            let read = self.client.scripts.read(room, stretch, PAGE);
            let reply = self.client.request_early(read).await?;
            let found = reply::messages(room, &reply).unwrap_or_default();
            // Falling ids: the log was tampered with. It is not read for ever.
            let last = found.last().and_then(Event::id);
            let Some(last) = last.filter(|last| *last > stretch.after) else {
                self.subscriptions.set_heard(room, stretch.until, None);
                return Ok(false);
            };
            for event in found {
                whole &= self.deliver(room, event).await;
            }
            stretch.after = last;
        }
        Ok(whole)
    }

    /// Hands on a message from the log, unless it has been heard. `false` if some before it are missing.
    pub(super) async fn deliver(&self, room: &Room, event: Event) -> bool {
        let (Some(id), EventKind::Said { at, .. }) = (event.id(), &event.kind) else {
            return true;
        };
        let step = self.subscriptions.hear(room, id, *at);
        match step {
            Step::Known => return true,
            Step::Next => {}
            Step::Gap(_) => self.subscriptions.set_heard(room, id, Some(*at)),
        }
        // Fails only when the fan-out is gone, and then the process is on its way out.
        let _ = self.feed.send(event).await;
        step == Step::Next
    }

    /// Tells typed peers in rooms that have lost messages so, and who is there.
    pub async fn notify_incomplete(&self) {
        for room in self.subscriptions.take_incomplete() {
            if let Some(roster) = self.client.roster(&room).await {
                let lost = Reply::Joined {
                    user: None,
                    room: &room,
                    roster: &roster,
                    complete: false,
                };
                self.peers.send_to_room(&room, Dialect::Typed, &lost).await;
            }
        }
    }

    /// Reads the private messages that the channel has not brought, and hands them on.
    ///
    /// # Errors
    /// Redis does not answer.
    pub async fn read_inbox(&self) -> Result<(), Error> {
        let mut last = None;
        loop {
            let after = last.unwrap_or_else(|| self.inbox.last());
            let page = self.client.scripts.inbox(after);
            let page = self.client.request_early(page).await?;
            for note in reply::inbox(&page).unwrap_or_default() {
                if let InstanceMessage::Private(to, message) = note {
                    last = Some(message.id);
                    self.peers.send_private(&to, &message).await;
                }
            }
            if last.is_none_or(|last| last <= after) {
                break;
            }
        }
        if let Some(last) = last {
            self.inbox.read(last);
        }
        Ok(())
    }
}
