//! What was said, kept in memory: a ring of messages per room.
//!
//! Bounded twice: each room keeps as many messages as the settings say, and all of them together
//! take no more than `--max-history` of memory; beyond that, the rooms that have been silent longest
//! are forgotten first, so that nobody can fill the memory by making up rooms. A room that was
//! forgotten begins a new epoch.

use std::collections::{BTreeMap, VecDeque};
use std::mem::size_of;

use super::heap;
use crate::chat::event::{Event, EventKind, Text};
use crate::chat::id::Id;
use crate::chat::name::{Email, Room, User};
use crate::chat::replay::{Epochs, Stretch};
use crate::time::unix_millis;

/// How many bytes all logs together may take, where the settings don't say.
const LOG_BYTES: usize = 16 * 1024 * 1024;
/// A room's places for messages grow by a half, but by no more than so many.
const MOST_PLACES: usize = 1000;
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
    /// The last private message.
    last_private: Option<Id>,
}

/// One room's last messages.
#[derive(Debug)]
struct Ring {
    last: Id,
    /// Numbered without a gap up to the last, where no run of messages has ended.
    messages: VecDeque<Message>,
    /// The runs before, oldest first. Almost always there are none.
    ended: Vec<Run>,
    turn: u64,
}

/// Messages that are numbered without a gap. A run without messages tells how far its epoch went.
#[derive(Debug)]
struct Run {
    last: Id,
    len: usize,
}

/// A message without what its place says.
#[derive(Debug)]
struct Message {
    user: Option<User>,
    text: Text,
    email: Option<Email>,
    at: u64,
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
            last_private: None,
        }
    }

    /// The room's last message.
    pub fn last(&self, room: &Room) -> Option<Id> {
        self.epochs(room).last_message()
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

    /// The id of the next private message.
    pub fn next_private(&mut self) -> Id {
        let id = self
            .last_private
            .map_or_else(|| Id::first(unix_millis()), Id::next);
        self.last_private = Some(id);
        id
    }

    /// Keeps a message that was kept before a restart. They come in the order in which they were said.
    pub fn restore(&mut self, event: Event) {
        let Some(id) = event.id() else {
            return;
        };
        if self.last(&event.room).is_none_or(|last| last < id) {
            self.newest_epoch = self.newest_epoch.max(id.epoch);
            self.keep(event, id);
        }
    }

    /// Begins a new epoch in each room: numbers may have been given out that are not known here. It
    /// begins before its first message, so that it is later than those that people may have heard of.
    pub fn begin_epochs(&mut self) {
        let epoch = self.new_epoch();
        for ring in self.rooms.values_mut() {
            self.bytes -= ring.table();
            ring.begin_epoch(epoch);
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
        let EventKind::Said {
            text, email, at, ..
        } = event.kind
        else {
            return;
        };
        let message = Message {
            user: event.user,
            text,
            email,
            at,
        };
        let turn = self.turn + 1;
        let ring = self.rooms.entry(event.room.clone()).or_insert_with(|| {
            self.bytes += room_bytes(&event.room);
            Ring {
                last: id,
                messages: VecDeque::new(),
                ended: Vec::new(),
                turn,
            }
        });
        // The room that was spoken in last has its place already.
        if ring.turn != self.turn {
            self.silent.remove(&ring.turn);
            self.silent.insert(turn, event.room);
            (ring.turn, self.turn) = (turn, turn);
        }
        self.bytes -= ring.table();
        self.bytes += message.bytes();
        ring.push(message, id);
        if ring.messages.len() > self.history {
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
            .map(|(id, message)| message.said(room, id))
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
            .map(|(id, message)| message.said(room, id))
            .collect()
    }
}

impl Ring {
    fn push(&mut self, message: Message, id: Id) {
        if self.messages.len() == self.messages.capacity() {
            let more = (self.messages.len() / 2).clamp(1, MOST_PLACES);
            self.messages.reserve_exact(more);
        }
        // The first message of a room has its id already.
        if id != self.last && id != self.last.next() {
            let (last, len) = (self.last, self.run_len());
            self.ended.push(Run { last, len });
        }
        self.messages.push_back(message);
        self.last = id;
    }

    /// The next message is the first one of this epoch.
    fn begin_epoch(&mut self, epoch: u64) {
        let (last, len) = (self.last, self.run_len());
        if last.n > 0 {
            self.ended.push(Run { last, len });
        }
        self.last = Id::before_all(epoch);
    }

    /// Forgets the oldest message, and returns how many bytes it took beside its place.
    fn pop(&mut self) -> usize {
        if let Some(run) = self.ended.iter_mut().find(|run| run.len > 0) {
            run.len -= 1;
        }
        // Of the runs without messages only the last is needed: the one before the oldest message.
        let empty = self.ended.iter().take_while(|run| run.len == 0).count();
        self.ended.drain(..empty.saturating_sub(1));
        self.messages.pop_front().as_ref().map_or(0, Message::bytes)
    }

    fn take_back(&mut self, from: Id, epoch: u64) {
        // Others of them may have been taken back already.
        if self.last.epoch != from.epoch || self.last < from {
            return;
        }
        while self.run_len() > 0 && self.last >= from {
            self.messages.pop_back();
            self.last.n -= 1;
        }
        self.begin_epoch(epoch);
    }

    /// How many messages the current run has.
    fn run_len(&self) -> usize {
        self.messages.len() - self.ended.iter().map(|run| run.len).sum::<usize>()
    }

    /// The messages from this place on, with their ids.
    fn numbered(&self, from: usize) -> impl Iterator<Item = (Id, &Message)> {
        let messages = self.messages.range(from..).enumerate();
        messages.map(move |(at, message)| (self.id_at(from + at), message))
    }

    /// The place of the first message after this id.
    fn first_after(&self, id: Id) -> usize {
        let (mut from, mut to) = (0, self.messages.len());
        while from < to {
            let middle = from + (to - from) / 2;
            match self.id_at(middle) <= id {
                true => from = middle + 1,
                false => to = middle,
            }
        }
        from
    }

    /// The id of the message at this place.
    fn id_at(&self, at: usize) -> Id {
        let mut end = 0;
        let mut last = self.last;
        for run in &self.ended {
            end += run.len;
            if at < end {
                last = run.last;
                let n = last.n - (end - 1 - at) as u64;
                return Id { n, ..last };
            }
        }
        let n = last.n - (self.messages.len() - 1 - at) as u64;
        Id { n, ..last }
    }

    /// What its messages' places take.
    fn table(&self) -> usize {
        heap::allocation(self.messages.capacity() * size_of::<Message>())
            + heap::allocation(self.ended.capacity() * size_of::<Run>())
    }

    fn bytes(&self) -> usize {
        self.table() + self.messages.iter().map(Message::bytes).sum::<usize>()
    }
}

impl Message {
    /// What it takes beside its place.
    fn bytes(&self) -> usize {
        let user = self.user.as_ref().map(User::as_str);
        let email = self.email.as_ref().map(Email::as_str);
        let parts = [user, email, Some(self.text.as_str())];
        parts.into_iter().flatten().map(heap::shared).sum()
    }

    fn said(&self, room: &Room, id: Id) -> Event {
        Event {
            room: room.clone(),
            user: self.user.clone(),
            origin: None,
            kind: EventKind::Said {
                text: self.text.clone(),
                email: self.email.clone(),
                id: Some(id),
                at: self.at,
            },
        }
    }
}

fn room_bytes(room: &Room) -> usize {
    ROOM_BYTES + heap::shared(room.as_str())
}

#[cfg(test)]
mod tests;
