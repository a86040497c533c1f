//! How far an instance has heard a room.

use super::{Epochs, Id};

/// What of a room has been delivered to the peers here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cursor {
    /// The last message that was delivered, or is known to be lost, with the epochs before it.
    pub epochs: Epochs,
    /// The time of that message, or when the log was read. What was published before may still come by
    /// the channel, late or once more.
    pub at: u64,
}

/// How a message follows those that have been heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The next one.
    Next,
    /// One that has been heard, or has been read from the log.
    Known,
    /// Messages are missing before it, or another message has been heard under this number: Redis
    /// must be asked where the room stands.
    Lost {
        /// The number, if it has been heard before.
        again: Option<u64>,
    },
}

impl Cursor {
    /// Notes a message that comes by the channel, if it is the next one. `at`: its time.
    pub fn advance(&mut self, id: Id, at: u64) -> Step {
        let last = self.epochs.last;
        if id > last && id == last.next() {
            (self.epochs.last, self.at) = (id, at);
            return Step::Next;
        }
        if id <= last && at <= self.at {
            return Step::Known;
        }
        let again = (last.epoch == id.epoch && id <= last).then_some(id.n);
        Step::Lost { again }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(epoch: u64, n: u64) -> Id {
        Id { epoch, n }
    }

    #[test]
    fn every_message_has_one_place() {
        for (last, then, expected) in [
            (id(7, 3), id(7, 4), Step::Next),
            (id(7, 3), id(7, 3), Step::Lost { again: Some(3) }),
            (id(7, 3), id(7, 1), Step::Lost { again: Some(1) }),
            (id(7, 3), id(7, 5), Step::Lost { again: None }),
            (id(7, 3), id(8, 1), Step::Lost { again: None }),
            (id(7, 3), id(6, 1), Step::Lost { again: None }),
            (Id::START, id(7, 1), Step::Lost { again: None }),
        ] {
            let epochs = Epochs::until(Some(last));
            let mut cursor = Cursor { epochs, at: 100 };
            assert_eq!(cursor.advance(then, 101), expected, "{then} after {last}");
            let moved = if expected == Step::Next { then } else { last };
            assert_eq!(cursor.epochs.last, moved);
        }
    }

    #[test]
    fn what_has_been_heard_may_come_again() {
        let epochs = Epochs::until(Some(id(8, 2)));
        let mut cursor = Cursor { epochs, at: 100 };
        for known in [id(7, 4), id(8, 1), id(8, 2)] {
            assert_eq!(cursor.advance(known, 100), Step::Known);
        }
        // It was published later, so it is another message.
        assert_eq!(cursor.advance(id(8, 2), 101), Step::Lost { again: Some(2) });
        assert_eq!(cursor.advance(id(8, 3), 101), Step::Next);
        assert_eq!(cursor.advance(id(8, 2), 101), Step::Known);
    }
}
