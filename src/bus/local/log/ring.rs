//! One room's last messages, with their numbers.

use std::collections::VecDeque;
use std::mem::size_of;

use super::super::heap;
use crate::chat::event::{Event, EventKind, Text};
use crate::chat::id::Id;
use crate::chat::moderation::Author;
use crate::chat::name::{Email, Room, SessionKeyHash, User};

/// A room's places for messages grow by a half, but by no more than so many.
const MOST_PLACES: usize = 1000;

/// One room's last messages.
#[derive(Debug)]
pub struct Ring {
    pub last: Id,
    /// Numbered without a gap up to the last, where no run of messages has ended.
    pub messages: VecDeque<Message>,
    /// The runs before, oldest first. Almost always there are none.
    pub ended: Vec<Run>,
    pub turn: u64,
    /// The one or two users of a private conversation.
    pub parties: Vec<Party>,
}

/// A user of a private conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Party {
    /// The name.
    pub user: User,
    /// Whose the name is: another holder of it does not get these messages.
    pub holder: SessionKeyHash,
    /// The last message before the conversation was this holder's.
    pub begun: Id,
    /// If messages wait for the user: the last one before them.
    pub waiting_after: Option<Id>,
}

/// Messages that are numbered without a gap. A run without messages tells how far its epoch went.
#[derive(Debug)]
pub struct Run {
    pub last: Id,
    pub len: usize,
}

/// A message without what its place says.
#[derive(Debug)]
pub struct Message {
    pub user: Option<User>,
    pub words: Words,
    pub at: u64,
    /// The recipient, in a private conversation.
    pub to: Option<Box<User>>,
    pub author: Option<Author>,
}

/// What a message says.
#[derive(Debug)]
pub enum Words {
    Said {
        text: Text,
        email: Option<Email>,
    },
    /// It was taken back by this user.
    Deleted(User),
}

impl Ring {
    /// Without messages yet; the first one will have this id.
    pub fn new(first: Id, turn: u64) -> Ring {
        Ring {
            last: first,
            messages: VecDeque::new(),
            ended: Vec::new(),
            turn,
            parties: Vec::new(),
        }
    }

    pub fn push(&mut self, message: Message, id: Id) {
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

    /// Notes that the epoch of this id went up to it. With number 0 it has just begun.
    pub fn add_end(&mut self, id: Id) {
        if id > self.last {
            let (last, len) = (self.last, self.run_len());
            if last.n > 0 {
                self.ended.push(Run { last, len });
            }
            self.last = id;
            return;
        }
        let at = self.ended.partition_point(|run| run.last < id);
        let next = self.ended.get(at).map_or(self.last, |run| run.last);
        // Otherwise its epoch is known to have gone further.
        if next.epoch != id.epoch {
            self.ended.insert(at, Run { last: id, len: 0 });
        }
    }

    /// Forgets the oldest message, and returns how many bytes it took beside its place.
    pub fn pop(&mut self) -> usize {
        if let Some(run) = self.ended.iter_mut().find(|run| run.len > 0) {
            run.len -= 1;
        }
        // Of the runs without messages only the last is needed: the one before the oldest message.
        let empty = self.ended.iter().take_while(|run| run.len == 0).count();
        self.ended.drain(..empty.saturating_sub(1));
        self.messages.pop_front().as_ref().map_or(0, Message::bytes)
    }

    pub fn take_back(&mut self, from: Id, epoch: u64) {
        // Others of them may have been taken back already.
        if self.last.epoch != from.epoch || self.last < from {
            return;
        }
        while self.run_len() > 0 && self.last >= from {
            self.messages.pop_back();
            self.last.n -= 1;
        }
        self.add_end(Id::before_all(epoch));
    }

    /// This message is damaged. Which [end](Self::add_end) tells that it is missing; none if it is there,
    /// or a later number shows it.
    pub fn end_for_damaged(&self, id: Id) -> Option<Id> {
        let next = self.first_after(id);
        let there = next > 0 && self.id_at(next - 1) == id;
        let goes_on = next < self.messages.len() && self.id_at(next).epoch == id.epoch;
        match there || goes_on {
            true => None,
            // Before all others.
            false if next == 0 && !self.messages.is_empty() => Some(id),
            false => Some(self.last.next()),
        }
    }

    /// How many messages the current run has.
    pub fn run_len(&self) -> usize {
        self.messages.len() - self.ended.iter().map(|run| run.len).sum::<usize>()
    }

    /// The messages from this place on, with their ids.
    pub fn numbered(&self, from: usize) -> impl Iterator<Item = (Id, &Message)> {
        let messages = self.messages.range(from..).enumerate();
        messages.map(move |(at, message)| (self.id_at(from + at), message))
    }

    /// The place of the first message after this id.
    pub fn first_after(&self, id: Id) -> usize {
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
    pub fn id_at(&self, at: usize) -> Id {
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

    /// The message with this id.
    pub fn find(&mut self, id: Id) -> Option<&mut Message> {
        let place = self.first_after(id).checked_sub(1)?;
        let found = self.id_at(place) == id;
        self.messages.get_mut(place).filter(|_| found)
    }

    /// What its messages' places take.
    pub fn table(&self) -> usize {
        heap::allocation(self.messages.capacity() * size_of::<Message>())
            + heap::allocation(self.ended.capacity() * size_of::<Run>())
            + heap::allocation(self.parties.capacity() * size_of::<Party>())
    }

    pub fn bytes(&self) -> usize {
        self.table() + self.messages.iter().map(Message::bytes).sum::<usize>()
    }
}

impl Message {
    /// The message that an event of a log is.
    pub fn of(event: Event) -> Option<(Room, Message)> {
        let (words, at, to, author) = match event.kind {
            EventKind::Said {
                text,
                email,
                at,
                to,
                author,
                ..
            } => (Words::Said { text, email }, at, to.map(Box::new), author),
            EventKind::Deleted { at, by, .. } => (Words::Deleted(by), at, None, None),
            _ => return None,
        };
        let message = Message {
            user: event.user,
            words,
            at,
            to,
            author,
        };
        Some((event.room, message))
    }

    /// What it takes beside its place.
    pub fn bytes(&self) -> usize {
        let user = self.user.as_ref().map(User::as_str);
        let to = self.to.as_ref().map(|to| to.as_str());
        let (text, other) = match &self.words {
            Words::Said { text, email } => (Some(text.as_str()), email.as_ref().map(Email::as_str)),
            Words::Deleted(by) => (None, Some(by.as_str())),
        };
        let parts = [user, other, to, text];
        parts.into_iter().flatten().map(heap::shared).sum()
    }

    pub fn event(&self, room: &Room, id: Id) -> Event {
        let at = self.at;
        let kind = match &self.words {
            Words::Said { text, email } => EventKind::Said {
                text: text.clone(),
                email: email.clone(),
                id: Some(id),
                at,
                to: self.to.as_deref().cloned(),
                holder: None,
                author: self.author,
            },
            Words::Deleted(by) => EventKind::Deleted {
                id,
                at,
                by: by.clone(),
                start: None,
            },
        };
        Event {
            room: room.clone(),
            user: self.user.clone(),
            origin: None,
            kind,
        }
    }
}
