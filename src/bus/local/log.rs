//! What was said, kept in memory: a ring of messages per room.
//!
//! Bounded twice: each room keeps as many messages as the settings say, and all of them together
//! take no more than `--max-history` of memory; beyond that, the rooms that have been silent longest
//! are forgotten first, so that nobody can fill the memory by making up rooms. A room that was
//! forgotten begins a new epoch.

mod conversations;
mod ring;

use std::collections::BTreeMap;
use std::mem::size_of;

use super::heap;
use crate::bus::{Conversation, Deletion};
use crate::chat::event::{Event, EventKind, Refusal};
use crate::chat::id::Id;
use crate::chat::moderation::{self};
use crate::chat::name::Room;
use crate::chat::replay::{Epochs, Stretch};
use crate::time::unix_millis;
use ring::{Message, Ring, Words};

pub use ring::Party;

/// How many bytes all logs together may take, where the settings don't say.
const LOG_BYTES: usize = 16 * 1024 * 1024;
/// What a room takes in the two trees, beside its name and its messages. A node of a tree has room
/// for 11, and is at least about half full.
const ROOM_BYTES: usize = (size_of::<(Room, Ring)>() + size_of::<(u64, Room)>()) * 2 + 8;

/// All rooms' logs.
#[derive(Debug)]
pub struct Log {
    /// Messages a room keeps.
    history: usize,
    /// How many bytes of their memory are counted. The rest is lost between pieces of memory of
    /// different sizes. Where short messages give way to long ones, up to half as much again is lost
    /// for a while.
    max_bytes: usize,
    /// Trees: they grow and shrink by small pieces, unlike tables.
    rooms: BTreeMap<Room, Ring>,
    /// The rooms by when they were last spoken in.
    silent: BTreeMap<u64, Room>,
    turn: u64,
    bytes: usize,
    newest_epoch: u64,
}

impl Log {
    /// Empty logs that keep `history` messages each, and together take this many bytes.
    pub fn new(history: usize, max_bytes: Option<usize>) -> Log {
        Log {
            history,
            max_bytes: max_bytes.unwrap_or(LOG_BYTES) / 16 * 15,
            rooms: BTreeMap::new(),
            silent: BTreeMap::new(),
            turn: 0,
            bytes: 0,
            newest_epoch: 0,
        }
    }

    /// The room's last message.
    pub fn last(&self, room: &Room) -> Option<Id> {
        self.epochs(room).last_message()
    }

    /// How many messages are kept, in all rooms.
    pub fn messages(&self) -> u64 {
        let rooms = self.rooms.values();
        rooms.map(|ring| ring.messages.len() as u64).sum()
    }

    /// Where the room's log stands.
    pub fn epochs(&self, room: &Room) -> Epochs {
        let Some(ring) = self.rooms.get(room) else {
            return Epochs::default();
        };
        let mut ends: Vec<Id> = ring.ended.iter().map(|run| run.last).collect();
        // A run may have ended in its epoch, where messages are missing.
        ends.push(ring.last);
        ends.dedup_by(|later, end| {
            let same = later.epoch == end.epoch;
            if same {
                *end = *later;
            }
            same
        });
        let last = ends.pop().unwrap_or(ring.last);
        Epochs { ends, last }
    }

    /// The id of the room's next message.
    pub fn next(&mut self, room: &Room) -> Id {
        match self.rooms.get(room) {
            Some(ring) => ring.last.next(),
            None => Id::first(self.new_epoch()),
        }
    }

    /// An epoch that is later than all others.
    fn new_epoch(&mut self) -> u64 {
        self.newest_epoch = unix_millis().max(self.newest_epoch + 1);
        self.newest_epoch
    }

    /// Takes a message back, and returns the event of that. `now`: in milliseconds since 1970.
    ///
    /// # Errors
    /// There is no such message, or it is somebody else's, or too old.
    pub fn delete(&mut self, room: &Room, deletion: &Deletion, now: u64) -> Result<Event, Refusal> {
        let ring = self.rooms.get_mut(room).ok_or(Refusal::NoSuchMessage)?;
        let message = ring.find(deletion.id).ok_or(Refusal::NoSuchMessage)?;
        let Words::Said { text, .. } = &message.words else {
            return Err(Refusal::NoSuchMessage);
        };
        let start = Some(moderation::start(text.as_str()).into());
        let age = now.saturating_sub(message.at);
        deletion.check(message.author == Some(deletion.author), age)?;
        self.bytes -= message.bytes();
        message.words = Words::Deleted(deletion.by.clone());
        message.author = None;
        self.bytes += message.bytes();
        let mut event = message.event(room, deletion.id);
        if let EventKind::Deleted { start: told, .. } = &mut event.kind {
            *told = start;
        }
        Ok(event)
    }

    /// The sum of the numbers of the messages of a room that were taken back and not forgotten since.
    pub fn deletions(&self, room: &Room) -> u64 {
        let Some(ring) = self.rooms.get(room) else {
            return 0;
        };
        let deleted = ring
            .numbered(0)
            .filter(|(_, message)| matches!(message.words, Words::Deleted(_)));
        deleted.map(|(id, _)| id.n).sum()
    }

    /// Keeps a message that was kept before a restart, or takes it back, as then. They come in the order in
    /// which they were said.
    pub fn restore(&mut self, event: Event) {
        let Some(id) = event.id() else {
            return;
        };
        if let EventKind::Deleted { by, .. } = &event.kind
            && let Some(ring) = self.rooms.get_mut(&event.room)
            && let Some(message) = ring.find(id)
        {
            self.bytes -= message.bytes();
            message.words = Words::Deleted(by.clone());
            message.author = None;
            self.bytes += message.bytes();
            return;
        }
        if self.last(&event.room).is_none_or(|last| last < id) {
            self.newest_epoch = self.newest_epoch.max(id.epoch);
            self.keep(event, id);
        }
    }

    /// Forgets everything that was restored.
    pub fn clear(&mut self) {
        self.rooms.clear();
        self.silent.clear();
        self.bytes = 0;
    }

    /// How far a room's epochs went, where that is not the id of a message that is kept; oldest first.
    pub fn ends(&self, room: &Room) -> Vec<Id> {
        let Some(ring) = self.rooms.get(room) else {
            return Vec::new();
        };
        let ended = ring.ended.iter().filter(|run| run.len == 0);
        let last = Some(ring.last).filter(|_| ring.run_len() == 0);
        ended.map(|run| run.last).chain(last).collect()
    }

    /// Keeps an [end](Self::ends) that was kept before a restart, of a room that has its messages
    /// already.
    pub fn restore_end(&mut self, room: &Room, id: Id) {
        let Some(ring) = self.rooms.get_mut(room) else {
            return;
        };
        self.newest_epoch = self.newest_epoch.max(id.epoch);
        self.bytes -= ring.table();
        ring.add_end(id);
        self.bytes += ring.table();
    }

    /// A message is damaged, or one of an unknown room. Who comes back from before it must be told that
    /// something is missing: where numbers do not show that, one more number counts as given out.
    pub fn lose(&mut self, message: Option<&(Room, Id)>) {
        let known = message.filter(|(room, _)| self.rooms.contains_key(room));
        for (room, ring) in &mut self.rooms {
            let end = match known {
                Some((other, id)) if room == other => ring.end_for_damaged(*id),
                Some(_) => None,
                None => Some(ring.last.next()),
            };
            if let Some(end) = end.filter(|_| ring.last.n > 0) {
                self.bytes -= ring.table();
                ring.add_end(end);
                self.bytes += ring.table();
            }
        }
    }

    /// Begins a new epoch in each room, and returns it: numbers may have been given out that are not
    /// known here. It begins before its first message, so that it is later than those that people may
    /// have heard of.
    pub fn begin_epochs(&mut self) -> u64 {
        let epoch = self.new_epoch();
        self.restore_epoch(epoch);
        epoch
    }

    /// Begins this epoch in each room, as before a restart.
    pub fn restore_epoch(&mut self, epoch: u64) {
        self.newest_epoch = self.newest_epoch.max(epoch);
        for ring in self.rooms.values_mut() {
            self.bytes -= ring.table();
            ring.add_end(Id::before_all(epoch));
            self.bytes += ring.table();
        }
    }

    /// Forgets the messages of a room from this one on. Their numbers are not given out again.
    pub fn take_back(&mut self, room: &Room, from: Id) {
        let epoch = self.new_epoch();
        let Some(ring) = self.rooms.get_mut(room) else {
            return;
        };
        self.bytes -= ring.bytes();
        ring.take_back(from, epoch);
        self.bytes += ring.bytes();
    }

    /// Keeps a message that has the [next](Self::next) id. Anything else is not kept.
    pub fn keep(&mut self, event: Event, id: Id) {
        let Some((room, message)) = Message::of(event) else {
            return;
        };
        let most = match room.ends() {
            Some(_) => Conversation::MOST,
            None => self.history,
        };
        let turn = self.turn + 1;
        let ring = self.rooms.entry(room.clone()).or_insert_with(|| {
            self.bytes += room_bytes(&room);
            Ring::new(id, turn)
        });
        // The room that was spoken in last has its place already.
        if ring.turn != self.turn {
            self.silent.remove(&ring.turn);
            self.silent.insert(turn, room);
            (ring.turn, self.turn) = (turn, turn);
        }
        self.bytes -= ring.table();
        self.bytes += message.bytes();
        ring.push(message, id);
        if ring.messages.len() > most {
            self.bytes -= ring.pop();
        }
        self.bytes += ring.table();
        while self.bytes > self.max_bytes && self.forget_one() {}
    }

    /// Forgets the room that has been silent longest or, when it is the last one, its oldest
    /// message.
    fn forget_one(&mut self) -> bool {
        let Some(oldest) = self.silent.first_entry() else {
            return false;
        };
        let Some(ring) = self.rooms.get_mut(oldest.get()) else {
            return false;
        };
        if self.turn == ring.turn {
            self.bytes -= ring.pop();
            return !ring.messages.is_empty();
        }
        self.bytes -= room_bytes(oldest.get()) + ring.bytes();
        self.rooms.remove(&oldest.remove());
        true
    }

    /// All rooms, those that were silent longest first.
    pub fn rooms(&self) -> Vec<Room> {
        self.silent.values().cloned().collect()
    }

    /// The first messages of a stretch that are still there, up to `most`.
    pub fn read(&self, room: &Room, stretch: Stretch, most: usize) -> Vec<Event> {
        let Some(ring) = self.rooms.get(room) else {
            return Vec::new();
        };
        let messages = ring.numbered(ring.first_after(stretch.after));
        messages
            .take_while(|(id, _)| *id <= stretch.until)
            .take(most)
            .map(|(id, message)| message.event(room, id))
            .collect()
    }

    /// The last messages before one, or before now; up to `most`, in order.
    pub fn history_before(&self, room: &Room, before: Option<Id>, most: usize) -> Vec<Event> {
        let Some(ring) = self.rooms.get(room) else {
            return Vec::new();
        };
        let end = match before.map(Id::previous) {
            None => ring.messages.len(),
            Some(last) => last.map_or(0, |last| ring.first_after(last)),
        };
        let messages = ring.numbered(end.saturating_sub(most));
        messages
            .take(end.min(most))
            .map(|(id, message)| message.event(room, id))
            .collect()
    }
}

fn room_bytes(room: &Room) -> usize {
    ROOM_BYTES + heap::shared(room.as_str())
}

#[cfg(test)]
mod tests;
