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
use crate::chat::replay::Stretch;
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
    /// Numbered without a gap, up to the last.
    messages: VecDeque<Message>,
    turn: u64,
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
        self.rooms.get(room).map(|ring| ring.last)
    }

    /// The id of the room's next message.
    pub fn next(&mut self, room: &Room) -> Id {
        if let Some(last) = self.last(room) {
            return last.next();
        }
        self.newest_epoch = unix_millis().max(self.newest_epoch + 1);
        Id::first(self.newest_epoch)
    }

    /// The id of the next private message.
    pub fn next_private(&mut self) -> Id {
        let id = self
            .last_private
            .map_or_else(|| Id::first(unix_millis()), Id::next);
        self.last_private = Some(id);
        id
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
                turn,
            }
        });
        // The room that was spoken in last has its place already.
        if ring.turn != self.turn {
            self.silent.remove(&ring.turn);
            self.silent.insert(turn, event.room);
            (ring.turn, self.turn) = (turn, turn);
        }
        ring.last = id;
        self.bytes -= ring.table();
        self.bytes += message.bytes();
        ring.push(message);
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

    /// The first messages of a stretch that are still there, up to `most`.
    pub fn read(&self, room: &Room, stretch: Stretch, most: usize) -> Vec<Event> {
        let wanted = |(id, _): &(Id, &Message)| stretch.after < *id && *id <= stretch.until;
        self.messages(room)
            .skip_while(|message| !wanted(message))
            .take_while(wanted)
            .take(most)
            .map(|(id, message)| message.said(room, id))
            .collect()
    }

    /// The last messages before one, or before now; up to `most`, in order.
    pub fn history_before(&self, room: &Room, before: Option<Id>, most: usize) -> Vec<Event> {
        let mut found: Vec<Event> = self
            .messages(room)
            .rev()
            .skip_while(|(id, _)| before.is_some_and(|before| *id >= before))
            .take(most)
            .map(|(id, message)| message.said(room, id))
            .collect();
        found.reverse();
        found
    }

    fn messages(&self, room: &Room) -> impl DoubleEndedIterator<Item = (Id, &Message)> {
        self.rooms.get(room).into_iter().flat_map(Ring::numbered)
    }
}

impl Ring {
    fn push(&mut self, message: Message) {
        if self.messages.len() == self.messages.capacity() {
            let more = (self.messages.len() / 2).clamp(1, MOST_PLACES);
            self.messages.reserve_exact(more);
        }
        self.messages.push_back(message);
    }

    /// Forgets the oldest message, and returns how many bytes it took beside its place.
    fn pop(&mut self) -> usize {
        self.messages.pop_front().as_ref().map_or(0, Message::bytes)
    }

    fn numbered(&self) -> impl DoubleEndedIterator<Item = (Id, &Message)> {
        let first = self.last.n + 1 - self.messages.len() as u64;
        let messages = self.messages.iter().enumerate();
        messages.map(move |(at, message)| {
            let n = first + at as u64;
            (Id { n, ..self.last }, message)
        })
    }

    /// What its messages' places take.
    fn table(&self) -> usize {
        heap::allocation(self.messages.capacity() * size_of::<Message>())
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
