//! Redis loses data. What is lost begins with a moment to which Redis goes back.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::{ROOMS, World};
use crate::ledger::book::{Id, Loss};
use crate::ledger::home::counter;

/// What will be lost.
pub struct Losing {
    from: Duration,
    kept: BTreeMap<String, Option<Id>>,
}

impl World {
    /// What is written to these rooms from now on will be lost.
    pub fn begins_to_lose(&mut self, rooms: &[&str]) {
        let from = self.now();
        let last = |room: &str| {
            let key = counter(room);
            let counter = self.home.get(&key);
            counter.split(' ').next()?.parse().ok()
        };
        let kept = rooms.iter().map(|room| (room.to_string(), last(room)));
        let kept = kept.collect();
        self.losing = Some(Losing { from, kept });
    }

    /// It is lost in this moment.
    pub fn loses(&mut self) {
        let Losing { from, kept } = self.losing.take().expect("something is about to be lost");
        self.lose(from, kept);
    }

    /// Redis forgets everything.
    pub fn forget_everything(&mut self) {
        let kept = ROOMS.map(|room| (room.to_string(), None));
        self.lose(self.now(), kept.into());
        self.command_all(&["FLUSHALL"]);
    }

    fn lose(&mut self, from: Duration, kept: BTreeMap<String, Option<Id>>) {
        let date = SystemTime::now().duration_since(UNIX_EPOCH);
        let date = date.expect("it is after 1970").as_millis() as u64;
        let to = self.now();
        self.losses.push(Loss {
            from,
            to,
            date,
            kept,
        });
    }

    /// Waits until every instance is ready, and everybody is there.
    pub fn until_calm(&mut self) {
        self.until("every instance is ready", World::ready);
        self.until("everybody is there", World::all_here);
    }
}
