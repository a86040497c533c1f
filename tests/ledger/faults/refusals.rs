//! Redis refuses commands.

use std::time::Duration;

use super::Refusal;
use crate::ledger::world::World;
use crate::support::free_port;

impl Refusal {
    /// From now on.
    pub fn begin(self, world: &mut World) {
        world.refusals.push((world.now(), Duration::MAX));
        match self {
            // Sentinels' primary has one.
            Refusal::NoReplicas => set(world, "min-replicas-to-write", "2"),
            Refusal::NoScript => world.command_all(&["SCRIPT", "FLUSH"]),
            Refusal::ReadOnly => {
                let nowhere = free_port().to_string();
                world.command_all(&["REPLICAOF", "127.0.0.1", &nowhere]);
            }
            Refusal::Misconf => world.home.redis().fail_to_save(),
            Refusal::Busy => world.home.redis().run_endless_script(),
            Refusal::NoPermission => world.command_all(&["ACL", "SETUSER", "default", "-evalsha"]),
        }
    }

    /// All is well again.
    pub fn end(self, world: &mut World) {
        match self {
            Refusal::NoReplicas => set(world, "min-replicas-to-write", "0"),
            // Everybody has loaded them again, and they are gone again.
            Refusal::NoScript => world.command_all(&["SCRIPT", "FLUSH"]),
            Refusal::ReadOnly => world.command_all(&["REPLICAOF", "NO", "ONE"]),
            Refusal::Misconf => world.home.redis().save_again(),
            Refusal::Busy => world.home.redis().end_script(),
            Refusal::NoPermission => world.command_all(&["ACL", "SETUSER", "default", "+@all"]),
        }
        let now = world.now();
        world.refusals.last_mut().expect("it has begun").1 = now;
    }
}

fn set(world: &mut World, name: &str, value: &str) {
    world.command_all(&["CONFIG", "SET", name, value]);
}
