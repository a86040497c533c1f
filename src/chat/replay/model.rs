//! Property tests: a room gets messages, drops old ones and starts new epochs while a peer reads
//! its log, or receives its messages with losses. The peer gets all messages once and in order, or
//! is told that some are missing.

use arbtest::arbitrary::{Result, Unstructured};
use arbtest::arbtest;

use super::*;

/// A room's log. It has the messages of its epoch from `first` to `last`.
#[derive(Debug)]
struct Log {
    epoch: u64,
    first: u64,
    last: u64,
}

impl Log {
    fn any(u: &mut Unstructured<'_>) -> Result<Log> {
        let last = u.int_in_range(0..=20)?;
        let first = u.int_in_range(1..=last + 1)?;
        Ok(Log {
            epoch: 7,
            first,
            last,
        })
    }

    fn last(&self) -> Option<Id> {
        (self.last > 0).then_some(Id {
            epoch: self.epoch,
            n: self.last,
        })
    }

    /// Lets the room change.
    fn change(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        match u.int_in_range(0..=15)? {
            0..=5 => self.last += u.int_in_range(1..=5)?,
            6 => self.first = u.int_in_range(self.first..=self.last + 1)?,
            7 => {
                let epoch = self.epoch + 1;
                *self = Log::any(u)?;
                self.epoch = epoch;
            }
            _ => {}
        }
        Ok(())
    }

    fn read(&self, stretch: Stretch, most: usize) -> Vec<Id> {
        (self.first..=self.last)
            .map(|n| Id {
                n,
                epoch: self.epoch,
            })
            .filter(|id| stretch.after < *id && *id <= stretch.until)
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
    until: Id,
}

/// Replays page by page, as a session does.
fn tell(u: &mut Unstructured<'_>, log: &mut Log, past: Option<Past>) -> Result<Told> {
    let until = log.last().unwrap_or(Id::START);
    let mut replay = Replay::new(past, log.last());
    let mut told = Told {
        complete: false,
        told: Vec::new(),
        hole: false,
        until,
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
        told.until = log.last().unwrap_or(Id::START);
        let grown = replay.extend(log.last());
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
    assert_eq!(stretch.after.epoch, stretch.until.epoch);
    let page = log.read(stretch, u.int_in_range(1..=5)?);
    let whole = replay.found(page.first().copied());
    Ok((page, whole))
}

#[test]
fn every_missed_message_is_replayed_or_reported_missing() {
    arbtest(|u| {
        let mut log = Log::any(u)?;
        let entered = log.last().unwrap_or(Id::START);
        let past = match u.int_in_range(0..=3)? {
            0 => None,
            1 => Some(Past::Last(u.int_in_range(0..=25)?)),
            2 => Some(Past::Since(Id::START)),
            _ => Some(Past::Since(Id {
                epoch: u.int_in_range(6..=8)?,
                n: u.int_in_range(0..=25)?,
            })),
        };
        // The message after which the peer must get all messages, and whether these are all that it
        // asked for.
        let (after, all) = match past {
            None => (entered.n, true),
            Some(Past::Last(n)) => (entered.n - n.min(entered.n), true),
            Some(Past::Since(since)) if since.epoch == entered.epoch && since <= entered => {
                (since.n, true)
            }
            Some(Past::Since(since)) if since.epoch == entered.epoch => (entered.n, false),
            Some(Past::Since(since)) => (0, since == Id::START),
        };
        let told = tell(u, &mut log, past)?;
        let owed = |n| Id { n, ..told.until };
        let owed: Vec<Id> = (after + 1..=told.until.n).map(owed).collect();
        let what = format!("{past:?} at {entered}: {told:?}");
        let mut neighbours = told.told.windows(2);
        assert!(neighbours.all(|two| two[1] == two[0].next()), "{what}");
        assert!(all || !told.complete, "{what}");
        if !told.hole {
            assert!(owed.ends_with(&told.told), "{what}");
        }
        if told.complete {
            let first = told.told.first();
            assert!(first.is_none_or(|id| id.n == after + 1), "{what}");
            assert!(told.hole || told.told.len() == owed.len(), "{what}");
        }
        Ok(())
    })
    .size_min(64)
    .size_max(256)
    .budget_ms(1000);
}

#[test]
fn messages_lost_by_the_channel_are_read_from_the_log() {
    arbtest(|u| {
        let mut log = Log::any(u)?;
        (log.first, log.last) = (1, 0);
        let (mut heard, mut got) = (Id::START, Vec::new());
        let mut said = Vec::new();
        while !u.is_empty() {
            if log.last > 0 && u.ratio(1, 20)? {
                (log.epoch, log.last) = (log.epoch + 1, 0);
            }
            log.last += 1;
            let id = Id {
                epoch: log.epoch,
                n: log.last,
            };
            said.push(id);
            // A message is lost, or comes once or twice; an old one may come again.
            let again = *u.choose(&said)?;
            let old = (again.epoch == id.epoch && u.arbitrary()?).then_some(again);
            let comes = u.int_in_range(0..=2)?;
            for id in std::iter::repeat_n(id, comes).chain(old) {
                match step(heard, id) {
                    Step::Known => continue,
                    Step::Next => got.push(id),
                    Step::Gap(after) => got.extend(log.read(Stretch { after, until: id }, 1000)),
                }
                heard = id;
            }
        }
        // Of an older epoch, only the last messages may be missing.
        let mut expected = said.clone();
        expected.retain(|id| got.contains(id) || id.epoch == heard.epoch && *id <= heard);
        assert_eq!(got, expected);
        for ids in said.chunk_by(|a, b| a.epoch == b.epoch) {
            let heard = ids.iter().filter(|id| got.contains(id)).count();
            assert!(ids[..heard].iter().all(|id| got.contains(id)));
        }
        Ok(())
    })
    .size_max(512)
    .budget_ms(500);
}
