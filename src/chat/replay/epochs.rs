//! The epochs of a room's log.
//!
//! A new epoch begins when Redis may have lost the end of the one before it. Each epoch knows where
//! the one before it ended. So an id of an earlier epoch tells which messages came after it: none is
//! missing if its epoch went at least as far as this id.

use super::Id;

/// Where a room's log stands: its last message, and the end of each earlier epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Epochs {
    /// The last id of each earlier epoch, in order; as many as are known.
    pub ends: Vec<Id>,
    /// The last message; [`Id::START`] in a room where nothing has been said.
    pub last: Id,
}

impl Default for Epochs {
    fn default() -> Epochs {
        Epochs::until(None)
    }
}

impl Epochs {
    /// A log with one epoch.
    pub fn until(last: Option<Id>) -> Epochs {
        Epochs {
            ends: Vec::new(),
            last: last.unwrap_or(Id::START),
        }
    }

    /// The last message, or where its epoch began if nothing has been said since then.
    pub fn last(&self) -> Option<Id> {
        Some(self.last).filter(|last| *last != Id::START)
    }

    /// The last message, also if an epoch has begun since then.
    pub fn last_message(&self) -> Option<Id> {
        self.all_ends().rfind(|end| end.n > 0)
    }

    /// The same log, when this was its last message.
    pub fn up_to(&self, last: Id) -> Epochs {
        let ends = self.ends.iter().copied();
        Epochs {
            ends: ends.filter(|end| end.epoch < last.epoch).collect(),
            last,
        }
    }

    /// The ends of all epochs, with the last message.
    fn all_ends(&self) -> impl DoubleEndedIterator<Item = Id> {
        self.ends.iter().copied().chain([self.last])
    }

    /// The end of the epoch of this id, if it is known.
    fn end_of(&self, id: Id) -> Option<Id> {
        self.all_ends().find(|end| end.epoch == id.epoch)
    }

    /// Before all messages that are known to have been there.
    pub fn start(&self) -> Id {
        let first = self.ends.first().unwrap_or(&self.last);
        Id::before_all(first.epoch)
    }

    /// Whether the message of this id is one of these.
    pub fn contain(&self, id: Id) -> bool {
        self.end_of(id).is_some_and(|end| id <= end)
    }

    /// For somebody who has got everything up to `since`: whether it is known what comes after it,
    /// and after which message to go on.
    pub fn replay(&self, since: Id) -> (bool, Id) {
        match self.end_of(since) {
            Some(end) => (since <= end, since.min(end)),
            // An epoch that has been forgotten, or was cut off with the end of another one.
            None => {
                let before = self.all_ends().rfind(|end| *end < since);
                (since == Id::START, before.unwrap_or(self.start()))
            }
        }
    }

    /// The message that comes after this one, if there is one.
    pub fn next(&self, id: Id) -> Option<Id> {
        match self.end_of(id) {
            Some(end) if id < end => Some(id.next()),
            _ => {
                let mut later = self.all_ends().filter(|end| end.epoch > id.epoch);
                Some(Id::first(later.find(|end| end.n > 0)?.epoch))
            }
        }
    }

    /// Whether no message is known to have been before this one.
    pub fn begin_at(&self, id: Id) -> bool {
        self.next(self.start()).is_none_or(|first| id <= first)
    }

    /// Whether nothing is missing between these two messages of the log. It may have messages behind the
    /// end of an epoch: those that came between the loss of another end and its discovery.
    pub fn follows(&self, before: Id, id: Id) -> bool {
        id == before.next() || self.next(before) == Some(id)
    }

    /// The place before the last `count` messages.
    pub fn back(&self, mut count: u64) -> Id {
        for end in self.all_ends().rev() {
            match end.n.checked_sub(count) {
                Some(n) => return Id { n, ..end },
                None => count -= end.n,
            }
        }
        self.start()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(epoch: u64, n: u64) -> Id {
        Id { epoch, n }
    }

    /// Three messages, then five, then none, then two.
    fn log() -> Epochs {
        Epochs {
            ends: vec![id(3, 3), id(5, 5), id(6, 0)],
            last: id(8, 2),
        }
    }

    #[test]
    fn an_id_of_an_earlier_epoch_tells_what_came_after_it() {
        for (since, expected) in [
            (id(8, 1), (true, id(8, 1))),
            (id(8, 2), (true, id(8, 2))),
            (id(5, 1), (true, id(5, 1))),
            (id(5, 5), (true, id(5, 5))),
            (id(6, 0), (true, id(6, 0))),
            (Id::START, (true, id(3, 0))),
            // These have been lost.
            (id(8, 3), (false, id(8, 2))),
            (id(5, 6), (false, id(5, 5))),
            (id(6, 1), (false, id(6, 0))),
            // These epochs are not known.
            (id(9, 1), (false, id(8, 2))),
            (id(7, 1), (false, id(6, 0))),
            (id(4, 9), (false, id(3, 3))),
            (id(2, 1), (false, id(3, 0))),
        ] {
            assert_eq!(log().replay(since), expected, "{since}");
            assert_eq!(log().contain(since), expected.0 && since != Id::START);
        }
        assert_eq!(Epochs::default().replay(Id::START), (true, Id::START));
        assert_eq!(Epochs::default().replay(id(3, 1)), (false, Id::START));
    }

    #[test]
    fn messages_are_counted_over_epochs() {
        let all = [3, 5, 8].map(|epoch| (1..=3).map(move |n| id(epoch, n)));
        let mut all: Vec<Id> = all.into_iter().flatten().collect();
        all.retain(|id| log().contain(*id));
        all.extend([id(5, 4), id(5, 5)]);
        all.sort();
        let first = |after: Id| all.iter().find(|id| **id > after).copied();
        for after in [id(3, 0), id(3, 3), id(3, 4), id(4, 1), id(5, 5), id(6, 0)] {
            assert_eq!(log().next(after), first(after), "{after}");
        }
        for after in [id(8, 2), id(9, 1)] {
            assert_eq!(log().next(after), None);
        }
        assert_eq!(Epochs::default().next(Id::START), None);
        for count in 0..=all.len() {
            let next = log().next(log().back(count as u64));
            let expected = count.checked_sub(1).map(|n| all[all.len() - 1 - n]);
            assert_eq!(next, expected);
        }
        assert_eq!(log().back(100), id(3, 0));
        assert!(log().begin_at(id(3, 1)) && !log().begin_at(id(3, 2)));
        assert!(Epochs::default().begin_at(id(8, 1)));
    }
}
