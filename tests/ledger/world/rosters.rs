//! Who is where: what everybody shows must be true.

use std::collections::BTreeSet;

use serde_json::json;

use super::{PEOPLE, ROOMS, Sketch, World};
use crate::ledger::book::Dialect;
use crate::ledger::home::Home;
use crate::support::Client;

/// Everybody with a name, or those in one room. Who only listens in the simple dialect has none.
pub fn names(room: Option<&str>) -> BTreeSet<String> {
    let named = |who: &&Sketch| who.1 != Dialect::Simple || who.3 > 0;
    let there = |who: &&Sketch| room.is_none_or(|room| who.2.contains(&room));
    let people = PEOPLE.iter().filter(named).filter(there);
    people.map(|who| who.0.to_string()).collect()
}

impl World {
    /// Every instance and Redis show exactly the peers that are connected.
    pub(super) fn rosters(&mut self) {
        self.typed_rosters();
        self.plain_rosters();
        if let Home::Alone(_) = self.home {
            return;
        }
        self.until("Redis knows who is where", |world| {
            let rooms = ROOMS.map(|room| (format!("{{chat:{room}}}:roster"), names(Some(room))));
            let owners = ("{chat-users}:owners".to_string(), names(None));
            let list = |(key, expected): (String, _)| {
                let found = world.home.list(&key, &["HKEYS", &key]);
                same(&key, found, expected)
            };
            let online = same("chat-users", world.home.online(), names(None));
            let all = rooms.into_iter().chain([owners]).map(list).chain([online]);
            let wrong: Vec<String> = all.filter_map(Result::err).collect();
            match wrong.is_empty() {
                true => Ok(()),
                false => Err(wrong.join("; ")),
            }
        });
    }

    fn typed_rosters(&mut self) {
        let steward = |instance| self.admit(&format!("steward-{instance}"), instance);
        let mut stewards: Vec<Client> = (0..self.instances.len()).map(steward).collect();
        self.until("every roster is true", |_| {
            // All are asked each time: who is silent for long is disconnected.
            let mut all = Ok(());
            for (instance, steward) in stewards.iter_mut().enumerate() {
                for room in ROOMS {
                    steward.put(json!({"type": "who", "room": room}));
                    let who = steward.gets_at_last(json!({"type": "who", "room": room}));
                    let found: Vec<String> = serde_json::from_value(who["users"].clone()).unwrap();
                    let what = format!("{room} on instance {instance}");
                    all = all.and(same(&what, found, names(Some(room))));
                }
            }
            all
        });
        stewards.into_iter().for_each(Client::leave);
    }

    fn plain_rosters(&mut self) {
        for (instance, addr) in self.stage.addrs.clone().into_iter().enumerate() {
            for room in ROOMS {
                let asker = format!("asker-{instance}");
                let target = format!("/chat/{asker}?room={room}");
                let mut client = Client::connect(addr, &target);
                client.hears_at_last(&format!("Welcome {asker}!"));
                let mut expected = names(Some(room));
                expected.insert(asker);
                let what = format!("/who in {room} on instance {instance}");
                self.until(&what, |_| {
                    client.say("/who");
                    let begin = format!("in {room}: ");
                    let found = loop {
                        if let Some(found) = client.next().strip_prefix(&begin) {
                            break found.to_string();
                        }
                    };
                    let found = found.split(", ").map(ToString::to_string);
                    same(&what, found.collect(), expected.clone())
                });
                client.leave();
            }
        }
    }
}

fn same(what: &str, found: Vec<String>, expected: BTreeSet<String>) -> Result<(), String> {
    let found: BTreeSet<String> = found.into_iter().collect();
    match found == expected {
        true => Ok(()),
        false => Err(format!("{what}: {found:?} instead of {expected:?}")),
    }
}
