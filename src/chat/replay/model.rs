//! Property tests: a room gets messages, drops old ones, loses its last ones and starts new epochs
//! while a peer reads its log, or an instance receives its messages with losses. Each gets all messages
//! once and in order, or is told that some are missing.

use arbtest::arbitrary::{Result, Unstructured};
use arbtest::arbtest;

use super::*;

/// A room, as Redis has it.
#[derive(Clone, Debug)]
struct Log {
    /// All messages that have not been lost, also those that the log has dropped.
    all: Vec<Id>,
    /// How many it has dropped.
    dropped: usize,
    epochs: Epochs,
}

impl Log {
    fn any(u: &mut Unstructured<'_>) -> Result<Log> {
        let mut log = Log {
            all: Vec::new(),
            dropped: 0,
            epochs: Epochs::default(),
        };
        if u.ratio(3, 4)? {
            log.begin();
            for _ in 0..u.int_in_range(0..=10)? {
                log.change(u)?;
            }
        }
        Ok(log)
    }

    fn begin(&mut self) {
        self.epochs.ends.extend(self.epochs.last());
        self.epochs.last = Id::before_all(self.epochs.last.epoch.max(4) + 1);
    }

    fn say(&mut self) -> Id {
        if self.epochs.last == Id::START {
            self.begin();
        }
        self.epochs.last = self.epochs.last.next();
        self.all.push(self.epochs.last);
        self.epochs.last
    }

    /// Loses its last messages.
    fn lose(&mut self, count: u64) {
        let count = count.min(self.epochs.last.n);
        self.epochs.last.n -= count;
        self.all.truncate(self.all.len() - count as usize);
        self.dropped = self.dropped.min(self.all.len());
        self.begin();
    }

    /// Lets the room change.
    fn change(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        match u.int_in_range(0..=19)? {
            0..=5 => {
                for _ in 0..u.int_in_range(1..=5)? {
                    self.say();
                }
            }
            6 => self.dropped = u.int_in_range(self.dropped..=self.all.len())?,
            7 => self.lose(u.int_in_range(0..=3)?),
            8 if u.ratio(1, 3)? => {
                // All is lost, also the ends of epochs.
                self.begin();
                *self = Log {
                    all: Vec::new(),
                    dropped: 0,
                    epochs: Epochs::until(Some(self.epochs.last)),
                };
            }
            _ => {}
        }
        Ok(())
    }

    fn read(&self, stretch: Stretch, most: usize) -> Vec<Id> {
        let kept = self.all[self.dropped..].iter().copied();
        kept.filter(|id| stretch.after < *id && *id <= stretch.until)
            .take(most)
            .collect()
    }
}

/// The result of a replay.
#[derive(Debug)]
struct Told {
    /// Whether the peer was told at the beginning that no messages are missing.
    complete: bool,
    told: Vec<Id>,
    /// Whether the peer was closed, because messages were missing later.
    hole: bool,
    /// All messages up to the end of the replay.
    all: Vec<Id>,
}

/// Replays page by page, as a session does.
fn tell(u: &mut Unstructured<'_>, log: &mut Log, past: Option<Past>) -> Result<Told> {
    let mut replay = Replay::new(past, log.epochs.clone());
    let mut told = Told {
        complete: false,
        told: Vec::new(),
        hole: false,
        all: log.all.clone(),
    };
    let (mut page, _) = read(u, log, &mut replay)?;
    told.complete = replay.complete();
    for round in 0.. {
        while replay.left().is_some() && !told.hole {
            // The socket may take only a part of a page.
            let taken = match u.is_empty() {
                // The random data are used up: take everything, so that the test ends.
                true => page.len(),
                false => u.int_in_range(0..=page.len())?,
            };
            for id in page.drain(..taken) {
                told.told.push(id);
                replay.told(id);
            }
            let (next, whole) = read(u, log, &mut replay)?;
            page = next;
            told.hole |= !whole;
        }
        if told.hole || round == 3 || u.ratio(1, 3)? {
            break;
        }
        log.change(u)?;
        told.all.clone_from(&log.all);
        let grown = replay.extend(log.epochs.clone());
        let (next, whole) = read(u, log, &mut replay)?;
        page = next;
        told.hole |= !(grown && whole);
    }
    Ok(told)
}

fn read(u: &mut Unstructured<'_>, log: &mut Log, replay: &mut Replay) -> Result<(Vec<Id>, bool)> {
    log.change(u)?;
    let Some(stretch) = replay.left() else {
        return Ok((Vec::new(), true));
    };
    let page = log.read(stretch, u.int_in_range(1..=5)?);
    let whole = replay.found(page.iter().copied());
    Ok((page, whole))
}

#[test]
fn every_missed_message_is_replayed_or_reported_missing() {
    arbtest(|u| {
        let mut log = Log::any(u)?;
        let entered = log.clone();
        let past = match u.int_in_range(0..=3)? {
            0 => None,
            1 => Some(Past::Last(u.int_in_range(0..=25)?)),
            2 => Some(Past::Since(Id::START)),
            _ => Some(Past::Since(Id {
                epoch: u.int_in_range(4..=log.epochs.last.epoch.max(4) + 1)?,
                n: u.int_in_range(0..=10)?,
            })),
        };
        // How many messages the peer has, or does not want; `None` if some of its messages are lost.
        let has = match past {
            None => Some(entered.all.len()),
            Some(Past::Last(n)) => Some(entered.all.len().saturating_sub(n as usize)),
            Some(Past::Since(Id::START)) => Some(0),
            Some(Past::Since(id)) => {
                let here = entered.epochs.contain(id);
                here.then(|| entered.all.partition_point(|other| *other <= id))
            }
        };
        let told = tell(u, &mut log, past)?;
        let what = format!("{past:?} of {entered:?}: {told:?}");
        assert!(told.told.is_sorted_by(|one, next| one < next), "{what}");
        assert!(has.is_some() || !told.complete, "{what}");
        if !told.hole {
            assert!(told.all.ends_with(&told.told), "{what}");
            let owed = &told.all[has.unwrap_or(0)..];
            assert!(told.told.len() <= owed.len(), "{what}");
            assert!(!told.complete || told.told == owed, "{what}");
        }
        Ok(())
    })
    .size_min(64)
    .size_max(512)
    .budget_ms(1000);
}

/// What an instance's peers have been shown.
#[derive(Debug, PartialEq)]
enum Shown {
    Message(Id),
    Loss,
}

/// Reads the log where the channel does not go on, as the subscriber does.
fn sync(heard: &Cursor, log: &Log, at: u64, shown: &mut Vec<Shown>) -> Cursor {
    let (whole, after) = log.epochs.replay(heard.epochs.last);
    let until = log.epochs.last;
    if !whole {
        shown.push(Shown::Loss);
    }
    let mut last = after;
    for id in log.read(Stretch { after, until }, 1000) {
        if !log.epochs.follows(last, id) {
            shown.push(Shown::Loss);
        }
        shown.push(Shown::Message(id));
        last = id;
    }
    if log.epochs.next(last).is_some() {
        shown.push(Shown::Loss);
    }
    let epochs = log.epochs.clone();
    Cursor { epochs, at }
}

#[test]
fn messages_lost_by_the_channel_are_read_from_the_log() {
    arbtest(|u| {
        let mut log = Log::any(u)?;
        let mut heard = Cursor {
            epochs: log.epochs.clone(),
            at: 0,
        };
        let (begin, mut shown) = (log.epochs.last, Vec::new());
        // What is on its way, with its time.
        let mut channel = std::collections::VecDeque::new();
        let mut at = 0;
        while !u.is_empty() {
            at += 1;
            match u.int_in_range(0..=9)? {
                0..=4 => channel.push_back((log.say(), at)),
                5 => log.lose(u.int_in_range(0..=3)?),
                // The connection breaks. What comes first by the next one may have been read.
                6 => {
                    let lost = u.int_in_range(0..=channel.len())?;
                    channel.drain(..lost);
                    heard = sync(&heard, &log, at, &mut shown);
                }
                _ => {
                    if let Some((id, said)) = channel.pop_front() {
                        match heard.advance(id, said) {
                            Step::Next => shown.push(Shown::Message(id)),
                            Step::Known => {}
                            Step::Lost { .. } => heard = sync(&heard, &log, at, &mut shown),
                        }
                    }
                }
            }
        }
        sync(&heard, &log, at, &mut shown);
        let what = format!("{log:?}: {shown:?}");
        let place = |shown: &Shown| {
            let is = |id: &Id| *shown == Shown::Message(*id);
            log.all.iter().position(is)
        };
        for two in shown.windows(2) {
            if let [Some(one), Some(next)] = [place(&two[0]), place(&two[1])] {
                assert_eq!(next, one + 1, "{what}");
            }
        }
        let owed = log.all.iter().filter(|id| **id > begin);
        for id in owed {
            let is = |shown: &&Shown| **shown == Shown::Message(*id);
            assert_eq!(shown.iter().filter(is).count(), 1, "{id} in {what}");
        }
        Ok(())
    })
    .size_max(512)
    .budget_ms(500);
}
