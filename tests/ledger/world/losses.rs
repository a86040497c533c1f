//! Redis loses data. What is lost begins with a moment to which Redis goes back.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::{ROOMS, World};
use crate::ledger::book::{Id, Loss};
use crate::ledger::home::counter;
use crate::support::Redis;

/// What will be lost.
pub struct Losing {
    from: Duration,
    kept: BTreeMap<String, [Option<Id>; 2]>,
}

impl World {
    /// What is written to these rooms after this moment is lost, as soon as it has been made so.
    pub fn begins_to_lose(&mut self, rooms: &[&str], make: impl FnOnce(&mut World)) {
        let from = self.now();
        let least: Vec<Option<Id>> = rooms.iter().map(|room| self.last(room)).collect();
        make(self);
        let most = rooms.iter().map(|room| self.last(room));
        let kept = rooms.iter().zip(least.into_iter().zip(most));
        let kept = kept.map(|(room, (least, most))| (room.to_string(), [least, most]));
        let kept = kept.collect();
        self.losing = Some(Losing { from, kept });
    }

    /// The same for all that this Redis does not have, which has stopped following.
    pub fn begins_to_lose_what_is_not_in(&mut self, from: Duration, other: &Redis) {
        let last = |room| {
            let answer = other.command(&["GET", &counter(room)]);
            last_id(answer.lines().nth(1).unwrap_or_default())
        };
        let kept = ROOMS.map(|room| (room.to_string(), [last(room); 2]));
        let kept = kept.into();
        self.losing = Some(Losing { from, kept });
    }

    /// The last message of this room.
    fn last(&self, room: &str) -> Option<Id> {
        last_id(&self.home.get(&counter(room)))
    }

    /// It is lost in this moment.
    pub fn loses(&mut self) {
        let Losing { from, kept } = self.losing.take().expect("something is about to be lost");
        self.lose(from, kept);
    }

    /// Redis forgets everything.
    pub fn forget_everything(&mut self) {
        let kept = ROOMS.map(|room| (room.to_string(), [None; 2]));
        self.lose(self.now(), kept.into());
        self.command_all(&["FLUSHALL"]);
        // One node after the other.
        let to = self.now();
        self.losses.last_mut().expect("it was just added").to = to;
    }

    pub(super) fn lose(&mut self, from: Duration, kept: BTreeMap<String, [Option<Id>; 2]>) {
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

/// The last message, as a room's counter has it.
fn last_id(counter: &str) -> Option<Id> {
    counter.split(' ').next()?.parse().ok()
}
