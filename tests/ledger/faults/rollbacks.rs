//! Redis goes back in time.

use std::thread;
use std::time::Duration;

use crate::ledger::home::{Home, counter};
use crate::ledger::world::{ROOMS, World};
use crate::support::{Proxy, Redis, sentinels_have};

/// What was written so long ago has arrived at a replica.
const SYNC: Duration = Duration::from_secs(1);

impl World {
    /// Redis has to go back to this moment.
    pub fn saves(&mut self) {
        self.until_calm();
        self.begins_to_lose(&ROOMS, |world| {
            world.saved = Some(world.home.redis().save());
        });
    }

    /// It goes back, in a restart.
    pub fn rolls_back(&mut self) {
        self.home.redis().kill();
        self.loses();
        let saved = self.saved.take().expect("it has been saved");
        self.home.redis().go_back_to(&saved);
    }

    /// It goes back, and connections see nothing but a short stall.
    pub fn rolls_back_alive(&mut self) {
        self.home.ways().iter().for_each(Proxy::stall);
        self.loses();
        let saved = self.saved.take().expect("it has been saved");
        self.home.redis().become_another(&saved);
        self.home.ways().iter().for_each(Proxy::heal);
    }

    /// From now on a replica lags behind.
    pub fn replica_lags(&mut self) {
        self.until_calm();
        let replica = Redis::on_tcp();
        replica.follow(self.home.redis());
        let from = self.now();
        // What was written in this moment may not have arrived.
        replica.lead();
        self.begins_to_lose_what_is_not_in(from.saturating_sub(SYNC), &replica);
        self.replica = Some(replica);
    }

    /// It takes the place of Redis.
    pub fn replica_leads(&mut self) {
        self.home.ways().iter().for_each(Proxy::cut);
        self.loses();
        let replica = self.replica.take().expect("one lags behind");
        for way in self.home.ways() {
            way.lead_to(replica.port());
            way.heal();
        }
        *self.home.redis() = replica;
    }

    /// From now on the replica of the primary of this key lags behind.
    pub fn laggard(&mut self, key: &str) {
        self.until_calm();
        let primary = match &self.home {
            Home::Cluster(nodes, _) => {
                nodes.wait_until_ready();
                nodes.node_of_key(key)
            }
            _ => {
                self.home.in_step();
                self.home.primary()
            }
        };
        let rooms = ROOMS.into_iter().filter(|room| match &self.home {
            Home::Cluster(nodes, _) => nodes.node_of_key(&counter(room)) == primary,
            _ => true,
        });
        let rooms: Vec<&str> = rooms.collect();
        self.begins_to_lose(&rooms, |world| {
            // What has been written so far has arrived.
            thread::sleep(Duration::from_millis(200));
            world.home.lag(primary, true);
        });
        self.struck = Some(primary);
    }

    /// The primary is killed, and the replica takes its place.
    pub fn laggard_leads(&mut self, key: &str) {
        let dead = self.struck.take().expect("one has a laggard");
        match &mut self.home {
            Home::Cluster(nodes, _) => nodes.kill(dead),
            home => home.watch().1[dead].kill(),
        }
        self.loses();
        match &mut self.home {
            Home::Cluster(nodes, _) => {
                nodes.has_failed_over(key, dead);
                nodes.restart(dead);
            }
            home => {
                sentinels_have("the sentinels choose the other", || {
                    (home.primary() != dead).then_some(())
                });
                home.watch().1[dead].restart();
            }
        }
        self.home.lag(dead, false);
        match &self.home {
            Home::Cluster(nodes, _) => nodes.wait_until_ready(),
            home => home.in_step(),
        }
    }
}
