//! Which messages a peer or an instance still has to get. Only arithmetic on ids.
//!
//! The messages of a room are numbered without gaps. So two ids of one epoch tell exactly which
//! messages lie between them. This module does not know who reads the log, nor when.

use super::id::Id;

/// Which older messages a peer wants when it joins a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Past {
    /// Everything after this message; [`Id::START`] for all there is.
    Since(Id),
    /// This many of the last messages.
    Last(u64),
}

/// A range of a room's log: the messages after `after`, up to `until` and including it. Both are of
/// one epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// The message before the first one.
    pub after: Id,
    /// The last message.
    pub until: Id,
}

/// What one peer still has to get of a room's log, page by page.
#[derive(Clone, Copy, Debug)]
pub struct Replay {
    /// The last message that it has got.
    after: Id,
    until: Id,
    complete: bool,
}

impl Replay {
    /// For a peer that joined right after the message `last`; `None`: the room was empty.
    pub fn new(past: Option<Past>, last: Option<Id>) -> Replay {
        let until = last.unwrap_or(Id::START);
        let (n, complete) = match past {
            None => (until.n, true),
            Some(Past::Last(n)) => (until.n.saturating_sub(n), true),
            Some(Past::Since(since)) if since.epoch == until.epoch => {
                (since.n.min(until.n), since <= until)
            }
            // Another epoch's messages are gone, and nobody knows how many there were.
            Some(Past::Since(since)) => (0, since == Id::START),
        };
        Replay {
            after: Id { n, ..until },
            until,
            complete,
        }
    }

    /// What to read next from the log; `None` when nothing is left.
    pub fn left(&self) -> Option<Stretch> {
        let (after, until) = (self.after, self.until);
        (after < until).then_some(Stretch { after, until })
    }

    /// Extends the replay to the message `last`. `false` if the log has a new epoch, or fewer
    /// messages than before: then it is unknown which messages are missing.
    pub fn extend(&mut self, last: Option<Id>) -> bool {
        let until = last.unwrap_or(Id::START);
        let grown = until.epoch == self.until.epoch && until >= self.until;
        let whole = grown || self.until == Id::START;
        if until.epoch != self.until.epoch {
            self.after = Id::before_all(until.epoch);
        }
        self.until = until;
        self.complete &= whole;
        whole
    }

    /// Whether the log had all messages so far.
    pub fn complete(&self) -> bool {
        self.complete
    }

    /// Notes the first message that the log has of what is [left](Self::left); `None` if it has
    /// none of it. `false` if messages are missing.
    pub fn found(&mut self, first: Option<Id>) -> bool {
        let whole = self.after >= self.until || first == Some(self.after.next());
        self.complete &= whole;
        if first.is_none() {
            self.after = self.until;
        }
        whole
    }

    /// Notes that the peer has got everything up to this message. Always goes forward, so that a
    /// damaged log with falling numbers is not read forever.
    pub fn told(&mut self, last: Id) {
        self.after = last.max(self.after.next());
    }
}

/// How a message follows the last one that was received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The next one.
    Next,
    /// One that was received before.
    Known,
    /// Messages are missing before it: those after this id.
    Gap(Id),
}

/// Compares a message with the last one that was received in its room.
pub fn step(heard: Id, id: Id) -> Step {
    let before = if heard.epoch == id.epoch {
        heard
    } else {
        Id::before_all(id.epoch)
    };
    if id.n <= before.n {
        Step::Known
    } else if id.n == before.n + 1 {
        Step::Next
    } else {
        Step::Gap(before)
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

    /// A log that has the messages `kept` of epoch 7, read in pieces of `piece`.
    fn replayed(
        past: Past,
        last: Option<Id>,
        kept: std::ops::RangeInclusive<u64>,
        piece: u64,
    ) -> (Vec<u64>, bool) {
        let mut replay = Replay::new(Some(past), last);
        let mut heard = Vec::new();
        while let Some(left) = replay.left() {
            assert_eq!(left.after.epoch, left.until.epoch);
            let from = (left.after.n + 1).max(*kept.start());
            let to = left.until.n.min(*kept.end()).min(from + piece - 1);
            let found: Vec<u64> = (from..=to).collect();
            replay.found(found.first().map(|n| id(7, *n)));
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
    fn a_log_whose_numbers_fall_is_not_read_for_ever() {
        let mut replay = Replay::new(Some(Past::Since(id(7, 1))), Some(id(7, 9)));
        for _ in 0..8 {
            assert!(replay.left().is_some());
            replay.told(id(7, 1));
        }
        assert_eq!(replay.left(), None);
    }

    #[test]
    fn a_replay_can_go_on_to_what_was_said_meanwhile() {
        let mut replay = Replay::new(Some(Past::Since(id(7, 1))), Some(id(7, 2)));
        replay.told(id(7, 2));
        assert!(replay.extend(Some(id(7, 2))));
        assert_eq!(replay.left(), None);
        assert!(replay.extend(Some(id(7, 4))));
        let (after, until) = (id(7, 2), id(7, 4));
        assert_eq!(replay.left(), Some(Stretch { after, until }));
        // Other messages of epoch 7 are lost.
        assert!(!replay.extend(Some(id(8, 1))));
        assert!(!replay.complete());
        let (after, until) = (id(8, 0), id(8, 1));
        assert_eq!(replay.left(), Some(Stretch { after, until }));
        // There were no messages before, so none are missing.
        let mut fresh = Replay::new(None, None);
        assert!(fresh.extend(None) && fresh.extend(Some(id(7, 1))));
        assert!(fresh.complete() && fresh.left().is_some());
    }

    #[test]
    fn a_log_that_loses_its_beginning_while_it_is_read_is_noticed() {
        let replay = || Replay::new(Some(Past::Since(id(7, 1))), Some(id(7, 9)));
        let mut moved = replay();
        assert!(moved.found(Some(id(7, 2))));
        moved.told(id(7, 4));
        assert!(!moved.found(Some(id(7, 6))));
        assert!(!moved.complete() && moved.left().is_some());
        let mut gone = replay();
        assert!(!gone.found(None));
        assert!(!gone.complete() && gone.left().is_none());
    }

    #[test]
    fn every_message_has_one_place() {
        for (heard, then, expected) in [
            (id(7, 3), id(7, 4), Step::Next),
            (id(7, 3), id(7, 3), Step::Known),
            (id(7, 3), id(7, 1), Step::Known),
            (id(7, 3), id(7, 5), Step::Gap(id(7, 3))),
            (id(7, 3), id(8, 1), Step::Next),
            (id(7, 3), id(8, 2), Step::Gap(id(8, 0))),
            (id(7, 3), id(6, 1), Step::Next),
            (Id::START, id(7, 1), Step::Next),
            (Id::START, id(7, 9), Step::Gap(id(7, 0))),
        ] {
            assert_eq!(step(heard, then), expected, "{then} after {heard}");
        }
    }
}
