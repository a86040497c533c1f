//! An instance: what it has sent, and what its clients have been shown.

use std::collections::VecDeque;

use super::{Command, Id, Message, Reply};

/// What an instance's clients have been shown, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Shown {
    Chat(Id, Message),
    /// `complete:false`: something may be missing here.
    Gap,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Instance {
    /// How many messages its clients have said.
    pub said: u8,
    /// Numbers up to this one are answered.
    pub settled: u8,
    /// Numbers up to this one are answered or in flight.
    pub sent: u8,
    /// After an `Again` nothing is sent until all that is in flight has been answered.
    pub going_back: bool,
    /// The ids that were acknowledged, by number; `None` for a repetition or a refusal.
    pub acked: Vec<Option<Id>>,
    /// The last id that its clients have been shown, or are known to have missed.
    pub heard: Option<Id>,
    pub shown: Vec<Shown>,
    /// A `Sync` is in flight.
    pub syncing: bool,
    /// It asks for a `Sync` as soon as it can, because of this number, if any.
    pub wants_sync: Option<Option<u8>>,
    pub commands: VecDeque<Command>,
    pub replies: VecDeque<Reply>,
    /// Published messages on their way; a message that begins an epoch looks like any other.
    pub pushes: VecDeque<(Id, Message)>,
}

impl Instance {
    pub fn unsettled(&self) -> u8 {
        self.sent - self.settled
    }

    pub fn take_reply(&mut self, reply: Reply) {
        match reply {
            Reply::Published { number, id } => self.settle(number, id),
            Reply::Refused { number } => self.settle(number, None),
            Reply::Again => {
                self.going_back = true;
                self.end_going_back();
            }
            Reply::Synced {
                complete,
                last,
                entries,
            } => {
                self.syncing = false;
                if !complete {
                    self.shown.push(Shown::Gap);
                }
                for (id, message) in entries {
                    self.shown.push(Shown::Chat(id, message));
                }
                self.heard = last;
            }
        }
    }

    /// A message has its answer, unless one before it is sent again: then so is this one.
    fn settle(&mut self, number: u8, id: Option<Id>) {
        if !self.going_back {
            self.settled = number;
            self.acked.push(id);
        }
        self.end_going_back();
    }

    /// Sends again from the first number without an answer, once nothing is in flight.
    fn end_going_back(&mut self) {
        let in_flight = self
            .commands
            .iter()
            .any(|command| matches!(command, Command::Publish { .. }))
            || self
                .replies
                .iter()
                .any(|reply| !matches!(reply, Reply::Synced { .. }));
        if self.going_back && !in_flight {
            self.going_back = false;
            self.sent = self.settled;
        }
    }

    /// A message comes by the channel. What comes while a `Sync` is in flight waits behind it, so
    /// this is only called in between.
    pub fn take_push(&mut self, id: Id, message: Message) {
        match self.heard {
            Some(heard) if heard.epoch == id.epoch && id.n == heard.n + 1 => {
                self.heard = Some(id);
                self.shown.push(Shown::Chat(id, message));
            }
            // The log has been read beyond it.
            Some(heard) if heard >= id && self.shown.contains(&Shown::Chat(id, message)) => {}
            Some(heard) if heard.epoch == id.epoch && heard >= id => {
                self.wants_sync = Some(Some(id.n))
            }
            _ => self.wants_sync = Some(None),
        }
    }
}
