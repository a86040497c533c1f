//! What must hold in each state.

use super::instance::Shown;
use super::redis::Redis;
use super::{INSTANCES, Id, Message, World};

impl World {
    pub fn ids_are_given_once(&self) -> bool {
        let given = &self.given;
        (0..given.len()).all(|i| (0..i).all(|j| given[i].0 != given[j].0))
    }

    pub fn is_logged_once(&self) -> bool {
        let log = &self.redis.room.log;
        (0..log.len()).all(|i| (0..i).all(|j| log[i].1 != log[j].1))
    }

    pub fn is_in_order(&self) -> bool {
        (0..INSTANCES).all(|from| {
            let of_it = self
                .redis
                .room
                .log
                .iter()
                .filter(|(_, message)| message.from == from);
            let numbers: Vec<u8> = of_it.map(|(_, message)| message.number).collect();
            numbers.is_sorted()
        })
    }

    /// A message may come again only where Redis has lost it the first time, or behind a gap on the
    /// same node. An id may be no higher than the one before only behind a gap.
    pub fn is_shown_once(&self, same_node: bool) -> bool {
        let log = &self.redis.room.log;
        self.instances.iter().all(|instance| {
            let mut before: Option<Id> = None;
            let mut shown: Vec<(Id, Message)> = Vec::new();
            instance.shown.iter().all(|next| {
                let &Shown::Chat(id, message) = next else {
                    before = None;
                    return true;
                };
                let again = shown.iter().find(|(_, other)| *other == message);
                let fine = before.is_none_or(|before| before < id)
                    && again.is_none_or(|first| same_node || !log.contains(first));
                before = Some(id);
                shown.push((id, message));
                fine
            })
        })
    }

    /// Between two messages that are shown without a gap, nothing is missing that the log has.
    pub fn skips_nothing(&self) -> bool {
        let log = &self.redis.room.log;
        let place = |shown: &Shown| {
            log.iter()
                .position(|&(id, message)| *shown == Shown::Chat(id, message))
        };
        self.instances.iter().all(|instance| {
            instance
                .shown
                .windows(2)
                .all(|two| match (place(&two[0]), place(&two[1])) {
                    (Some(one), Some(next)) => next == one + 1,
                    _ => true,
                })
        })
    }

    /// Somebody who saw a message, and everything before it, comes back with its id: the replay is
    /// complete if Redis still has that message, and else says that it is not.
    pub fn replays_are_complete(&self) -> bool {
        let redis = self.checked();
        self.given.iter().all(|given| match redis.replayed(given) {
            None => !redis.says_complete(given.0),
            Some(whole) => whole && redis.says_complete(given.0),
        })
    }

    /// The same where one id may stand for two messages: for one that is lost and was shown, a
    /// replay is never complete; for the other it need not be.
    pub fn no_replay_is_taken_for_complete(&self) -> bool {
        let redis = self.checked();
        let mut shown = self.instances.iter().flat_map(|instance| &instance.shown);
        shown.all(|shown| match *shown {
            Shown::Chat(id, message) => {
                !redis.says_complete(id) || redis.replayed(&(id, message)) == Some(true)
            }
            Shown::Gap => true,
        })
    }

    /// Each script begins with this. Nobody who heard what was lost need be alive.
    fn checked(&self) -> Redis {
        let mut redis = self.redis.clone();
        redis.check_epoch(None, None);
        redis
    }

    pub fn all_is_shown(&self) -> bool {
        self.instances.iter().all(|instance| {
            instance.settled == instance.said
                && self
                    .redis
                    .room
                    .log
                    .iter()
                    .all(|(id, message)| instance.shown.contains(&Shown::Chat(*id, *message)))
        })
    }
}

impl Redis {
    fn says_complete(&self, since: Id) -> bool {
        self.room.replay(Some(since)).0
    }

    /// Whether exactly what follows a message in the log is replayed after its id; `None` if the
    /// log does not have it.
    fn replayed(&self, given: &(Id, Message)) -> Option<bool> {
        let log = &self.room.log;
        let place = log.iter().position(|entry| entry == given)?;
        let (_, after) = self.room.replay(Some(given.0));
        let follows = log
            .iter()
            .filter(|(id, _)| after.is_none_or(|after| *id > after));
        Some(follows.eq(&log[place + 1..]))
    }
}
