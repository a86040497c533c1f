//! Ids, as clients and Redis write them, and what is reckoned with them.
//!
//! A line is an id, or a verb and an id: `since` and `last` begin a replay, `found`, `told` and
//! `more` go on with it, anything else is a step in a room.

use natterjack::chat::id::{Id, Origin};
use natterjack::chat::replay::{Cursor, Epochs, Past, Replay, Step};

/// Ids are written as they are read, and no id is too large to be reckoned with.
pub fn survives(bytes: &[u8]) {
    let mut heard = Cursor {
        epochs: Epochs::default(),
        at: 0,
    };
    let mut past = None;
    let mut replay = Replay::new(None, Epochs::default());
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
            "last" => replay = Replay::new(past, Epochs::until(Some(id))),
            "found" => {
                replay.found([id]);
            }
            "told" => replay.told(id),
            "more" => {
                replay.extend(Epochs::until(Some(id)));
            }
            _ => steps(&mut heard, id),
        }
        if let Some(left) = replay.left() {
            assert!(left.after < left.until);
            let mut nothing = replay.clone();
            assert!(!nothing.found([]) && !nothing.complete());
            assert_eq!(nothing.left(), None);
        }
    }
}

fn steps(heard: &mut Cursor, id: Id) {
    let last = heard.epochs.last;
    match heard.advance(id, 1) {
        Step::Next => assert_eq!((last.next(), heard.epochs.last), (id, id)),
        Step::Known => assert!(id <= last),
        Step::Lost { again } => {
            assert!(again.is_none() || id <= last);
            if id.epoch > last.epoch {
                heard.epochs.ends.push(last);
                heard.epochs.last = id;
            }
        }
    }
}
