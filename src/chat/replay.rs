//! Which messages a peer or an instance still has to get. Only arithmetic on ids.
//!
//! The messages of a room are numbered without gaps in each of its epochs. So two ids tell exactly
//! which messages lie between them. This module does not know who reads the log, nor when.

mod cursor;
mod epochs;

use super::id::Id;

pub use cursor::{Cursor, Step};
pub use epochs::Epochs;

/// Which older messages a peer wants when it joins a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Past {
    /// Everything after this message; [`Id::START`] for all there is.
    Since(Id),
    /// This many of the last messages.
    Last(u64),
}

/// A range of a room's log: the messages after `after`, up to `until` and including it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// The message before the first one.
    pub after: Id,
    /// The last message.
    pub until: Id,
}

/// What one peer still has to get of a room's log, page by page.
#[derive(Clone, Debug)]
pub struct Replay {
    /// The last message that it has got.
    after: Id,
    /// The messages up to which it gets them.
    epochs: Epochs,
    complete: bool,
}

impl Replay {
    /// For a peer that joined when the log was like this.
    pub fn new(past: Option<Past>, epochs: Epochs) -> Replay {
        let (complete, after) = match past {
            None => (true, epochs.last),
            Some(Past::Last(n)) => (true, epochs.back(n)),
            Some(Past::Since(since)) => match epochs.replay(since) {
                // This log knows nothing of what it has seen: it gets what there is.
                (false, _) if since.epoch > epochs.last.epoch => (false, epochs.start()),
                known => known,
            },
        };
        Replay {
            after,
            epochs,
            complete,
        }
    }

    /// What to read next from the log; `None` when nothing is left.
    pub fn left(&self) -> Option<Stretch> {
        let (after, until) = (self.after, self.epochs.last);
        self.epochs.next(after)?;
        Some(Stretch { after, until })
    }

    /// Extends the replay to where the log stands now. `false` if it has lost messages: then it is
    /// unknown which ones are missing.
    pub fn extend(&mut self, epochs: Epochs) -> bool {
        let whole = epochs.contain(self.epochs.last) || self.epochs.last == Id::START;
        self.after = epochs.replay(self.after).1;
        self.epochs = epochs;
        self.complete &= whole;
        whole
    }

    /// The message after which it goes on.
    pub fn after(&self) -> Id {
        self.after
    }

    /// The last message of the log.
    pub fn last_message(&self) -> Option<Id> {
        self.epochs.last_message()
    }

    /// Whether the log had all messages so far.
    pub fn complete(&self) -> bool {
        self.complete
    }

    /// Notes the messages that were read first of what is [left](Self::left). `false` if one is missing.
    pub fn found(&mut self, page: impl IntoIterator<Item = Id>) -> bool {
        let mut page = page.into_iter().peekable();
        if page.peek().is_none() {
            let whole = self.left().is_none();
            self.complete &= whole;
            self.after = self.epochs.last;
            return whole;
        }
        let mut before = self.after;
        let whole = page.all(|id| {
            let next = self.epochs.follows(before, id);
            before = id;
            next
        });
        self.complete &= whole;
        whole
    }

    /// Notes that the peer has got everything up to this message. Always goes forward, so that a
    /// damaged log with falling numbers is not read forever.
    pub fn told(&mut self, last: Id) {
        self.after = last.max(self.after.next());
    }
}

#[cfg(test)]
mod model;

#[cfg(test)]
mod tests {
    use super::*;

    fn id(epoch: u64, n: u64) -> Id {
        Id { epoch, n }
    }

    fn until(epoch: u64, n: u64) -> Epochs {
        Epochs::until(Some(id(epoch, n)))
    }

    /// A log that has the messages `kept` of epoch 7, read in pieces of `piece`.
    fn replayed(
        past: Past,
        last: Option<Id>,
        kept: std::ops::RangeInclusive<u64>,
        piece: u64,
    ) -> (Vec<u64>, bool) {
        let mut replay = Replay::new(Some(past), Epochs::until(last));
        let mut heard = Vec::new();
        while let Some(left) = replay.left() {
            let from = (left.after.n + 1).max(*kept.start());
            let to = left.until.n.min(*kept.end()).min(from + piece - 1);
            let found: Vec<u64> = (from..=to).collect();
            replay.found(found.iter().map(|n| id(7, *n)));
            if let Some(n) = found.last() {
                replay.told(id(7, *n));
            }
            heard.extend(found);
        }
        (heard, replay.complete())
    }

    #[test]
    fn a_peer_that_comes_back_gets_the_messages_it_missed() {
        use Past::{Last, Since};
        let now = Some(id(7, 9));
        let all = &[5, 6, 7, 8, 9][..];
        for (past, last, heard, complete) in [
            (Since(id(7, 6)), now, &all[2..], true),
            (Since(id(7, 9)), now, &[], true),
            (Since(id(7, 4)), now, all, true),
            // The log reaches back to 5 only.
            (Since(id(7, 3)), now, all, false),
            (Since(id(7, 0)), now, all, false),
            (Since(Id::START), now, all, false),
            // From another epoch, or after the end of the log.
            (Since(id(6, 100)), now, all, false),
            (Since(id(7, 10)), now, &[], false),
            (Since(id(8, 1)), now, all, false),
            // The room has no messages.
            (Since(id(7, 3)), None, &[], false),
            (Since(Id::START), None, &[], true),
            (Last(3), now, &all[2..], true),
            (Last(0), now, &[], true),
            (Last(u64::MAX), now, all, false),
            (Last(3), None, &[], true),
        ] {
            for piece in [1, 2, 100] {
                let expected = (heard.to_vec(), complete);
                assert_eq!(
                    replayed(past, last, 5..=9, piece),
                    expected,
                    "{past:?} of {last:?}"
                );
            }
        }
        assert_eq!(
            replayed(Since(Id::START), now, 1..=9, 4),
            ((1..=9).collect(), true)
        );
    }

    #[test]
    fn who_has_heard_a_lost_epoch_gets_what_came_after_it() {
        let epochs = Epochs {
            ends: vec![id(3, 3), id(5, 5)],
            last: id(8, 2),
        };
        let replay = Replay::new(Some(Past::Since(id(7, 1))), epochs);
        assert!(!replay.complete());
        let (after, until) = (id(5, 5), id(8, 2));
        assert_eq!(replay.left(), Some(Stretch { after, until }));
    }

    #[test]
    fn a_log_whose_numbers_fall_is_not_read_for_ever() {
        let mut replay = Replay::new(Some(Past::Since(id(7, 1))), until(7, 9));
        for _ in 0..8 {
            assert!(replay.left().is_some());
            replay.told(id(7, 1));
        }
        assert_eq!(replay.left(), None);
    }

    #[test]
    fn a_replay_can_go_on_to_what_was_said_meanwhile() {
        let mut replay = Replay::new(Some(Past::Since(id(7, 1))), until(7, 2));
        replay.told(id(7, 2));
        assert!(replay.extend(until(7, 2)));
        assert_eq!(replay.left(), None);
        assert!(replay.extend(until(7, 4)));
        let (after, last) = (id(7, 2), id(7, 4));
        assert_eq!(replay.left(), Some(Stretch { after, until: last }));
        // Nothing of epoch 7 is lost.
        let mut grown = until(8, 1);
        grown.ends.push(last);
        assert!(replay.extend(grown) && replay.complete());
        let last = id(8, 1);
        assert_eq!(replay.left(), Some(Stretch { after, until: last }));
        assert!(replay.found([id(7, 3), id(7, 4), id(8, 1)]));
        // Other messages of epoch 8 are lost.
        assert!(!replay.extend(until(9, 1)));
        assert!(!replay.complete() && replay.left().is_some());
        // There were no messages before, so none are missing.
        let mut fresh = Replay::new(None, Epochs::default());
        assert!(fresh.extend(Epochs::default()) && fresh.extend(until(7, 1)));
        assert!(fresh.complete() && fresh.left().is_some());
    }

    #[test]
    fn a_log_that_loses_its_beginning_while_it_is_read_is_noticed() {
        let replay = || Replay::new(Some(Past::Since(id(7, 1))), until(7, 9));
        let mut moved = replay();
        assert!(moved.found([id(7, 2), id(7, 3)]));
        moved.told(id(7, 4));
        assert!(!moved.found([id(7, 6)]));
        assert!(!moved.complete() && moved.left().is_some());
        let mut gone = replay();
        assert!(!gone.found([]));
        assert!(!gone.complete() && gone.left().is_none());
        let mut torn = replay();
        assert!(!torn.found([id(7, 2), id(7, 4)]) && !torn.complete());
    }
}
