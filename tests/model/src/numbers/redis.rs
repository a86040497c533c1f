//! Redis: what it holds of the room, and what its scripts do with it.

use super::{INSTANCES, Id, Message, Reply};

/// What Redis holds of the room.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Room {
    /// The last id, and the replication id of the node that gave it.
    pub counter: Option<(Id, u8)>,
    /// The last id of each earlier epoch.
    pub chain: Vec<Id>,
    pub log: Vec<(Id, Message)>,
    /// For each instance the last of its own numbers that has been published.
    pub seen: [u8; INSTANCES],
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Redis {
    pub room: Room,
    /// What a rollback goes back to.
    pub saved: Room,
    /// The replication id: another after each restart and each promotion.
    pub node: u8,
    /// For epochs: goes on by one with each.
    pub time: u8,
}

impl Redis {
    /// What every script of a room does first: begins an epoch if the counter can't be trusted.
    pub fn check_epoch(&mut self, heard: Option<Id>, again: Option<u8>) {
        let room = &mut self.room;
        let Some((last, node)) = room.counter else {
            // A log without its counter goes on behind the log.
            let last = room.log.last().map(|(id, _)| *id);
            return self.begin(last, heard);
        };
        let again = heard.zip(again);
        let is_again = again.is_some_and(|(heard, _)| heard.epoch == last.epoch);
        if node != self.node || heard.is_some_and(|heard| heard > last) || is_again {
            self.begin(Some(last), heard);
        }
        // Somebody has heard other messages under these numbers.
        if let Some((heard, again)) = again {
            for end in &mut self.room.chain {
                if end.epoch == heard.epoch {
                    end.n = end.n.min(again - 1);
                }
            }
        }
    }

    fn begin(&mut self, last: Option<Id>, heard: Option<Id>) {
        self.time += 1;
        let least = last.max(heard).map_or(0, |id| id.epoch + 1);
        let epoch = self.time.max(least);
        self.time = epoch;
        self.room.chain.extend(last);
        self.room.counter = Some((Id { epoch, n: 0 }, self.node));
    }

    /// `publish.lua`.
    pub fn publish(
        &mut self,
        message: Message,
        before: u8,
        heard: Option<Id>,
    ) -> (Reply, Option<Id>) {
        let number = message.number;
        let seen = self.room.seen[message.from];
        if number <= seen {
            return (Reply::Published { number, id: None }, None);
        }
        if before > seen {
            return (Reply::Again, None);
        }
        self.check_epoch(heard, None);
        let (last, node) = self.room.counter.expect("check_epoch sets it");
        let id = Id {
            n: last.n + 1,
            ..last
        };
        self.room.counter = Some((id, node));
        self.room.log.push((id, message));
        self.room.seen[message.from] = number;
        (
            Reply::Published {
                number,
                id: Some(id),
            },
            Some(id),
        )
    }

    /// `sync_room.lua`: what came after `heard`, and whether that is all.
    pub fn sync(&mut self, heard: Option<Id>, again: Option<u8>) -> Reply {
        self.check_epoch(heard, again);
        let room = &self.room;
        let last = room.counter.map(|(id, _)| id);
        let (complete, after) = room.replay(heard);
        let entries = room
            .log
            .iter()
            .filter(|(id, _)| after.is_none_or(|after| *id > after));
        Reply::Synced {
            complete,
            last,
            entries: entries.copied().collect(),
        }
    }
}

impl Room {
    /// Whether the log has all that came after `since`, and after which id to read it.
    pub fn replay(&self, since: Option<Id>) -> (bool, Option<Id>) {
        let Some(since) = since else {
            return (true, None);
        };
        let mut ends = self
            .chain
            .iter()
            .copied()
            .chain(self.counter.map(|(id, _)| id));
        let Some(end) = ends.clone().find(|end| end.epoch == since.epoch) else {
            // An epoch that this Redis has forgotten: what there is of later ones follows, and of
            // earlier ones what it had been cut off from.
            let before = ends.rfind(|end| end.epoch < since.epoch);
            return (false, before);
        };
        (since <= end, Some(since.min(end)))
    }
}
