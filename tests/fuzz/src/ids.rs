//! Ids, as clients and Redis write them, and what is reckoned with them.
//!
//! A line is an id, or a verb and an id: `since` and `last` begin a replay, `found`, `told` and
//! `more` go on with it, anything else is a step in a room.

use natterjack::chat::id::{Id, Origin};
use natterjack::chat::replay::{Past, Replay, Step, step};

/// Ids are written as they are read, and no id is too large to be reckoned with.
pub fn survives(bytes: &[u8]) {
    let mut heard = Id::START;
    let mut past = None;
    let mut replay = Replay::new(None, None);
    for line in String::from_utf8_lossy(bytes).lines() {
        let (verb, text) = line.split_once(' ').unwrap_or(("", line));
        if let Ok(origin) = text.parse::<Origin>() {
            assert_eq!(origin.to_string().parse(), Ok(origin));
        }
        if let Ok(n) = text.parse() {
            past = Some(Past::Last(n));
        }
        let Ok(id) = text.parse::<Id>() else {
            continue;
        };
        assert_eq!(id.to_string().parse(), Ok(id));
        assert!(id.next() > id || id.n == u64::MAX);
        match verb {
            "since" => past = Some(Past::Since(id)),
            "last" => replay = Replay::new(past, Some(id)),
            "found" => {
                replay.found(Some(id));
            }
            "told" => replay.told(id),
            "more" => {
                replay.extend(Some(id));
            }
            _ => heard = steps(heard, id),
        }
        if let Some(left) = replay.left() {
            assert!(left.after < left.until);
            let mut nothing = replay;
            assert!(!nothing.found(None) && !nothing.complete());
            assert_eq!(nothing.left(), None);
        }
    }
}

fn steps(heard: Id, id: Id) -> Id {
    match step(heard, id) {
        Step::Known => return heard,
        Step::Next => assert_eq!(step(id, id), Step::Known),
        Step::Gap(after) => {
            assert!(after.epoch == id.epoch && after.next() < id);
            assert_eq!(step(heard, after.next()), Step::Next);
        }
    }
    id
}
