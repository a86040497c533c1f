//! How each fault begins, and how it is mended.

use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use fastrand::Rng;

use super::Fault;
use crate::ledger::home::key_of;
use crate::ledger::people::Cut;
use crate::ledger::world::World;
use crate::support::{Proxy, sentinels_have};

/// Longer than a busy machine takes until a replica is in step and another node is the primary, in
/// milliseconds.
const PAUSE: &str = "120000";

impl Fault {
    /// Lets it happen.
    pub fn begin(self, world: &mut World) {
        match self {
            Fault::RedisKilled => world.home.redis().kill(),
            Fault::RedisFrozen => world.home.redis().freeze(),
            Fault::SubscriptionsKilled => world.command_all(&["CLIENT", "KILL", "TYPE", "pubsub"]),
            Fault::CommandsKilled => world.command_all(&["CLIENT", "KILL", "TYPE", "normal"]),
            Fault::ScriptsForgotten => world.command_all(&["SCRIPT", "FLUSH"]),
            Fault::EverythingForgotten(seed) => {
                world.until_calm();
                Fault::PeopleCut(seed).begin(world);
            }
            Fault::NetworkCut(i) => world.home.way(i).cut(),
            Fault::NetworkStalled(i) => world.home.way(i).stall(),
            Fault::AnswerCut(i, bytes) => world.home.way(i).cut_after(bytes),
            Fault::AnswerStalled(i, bytes) => world.home.way(i).stall_after(bytes),
            Fault::InstanceKilled(i) => world.kill(i),
            Fault::InstanceStopped(i) => world.stop(i),
            Fault::FilesDamaged(..) | Fault::KilledAtStart(_) => world.kill(0),
            Fault::DiskFails(errno) => world.disk_fails(errno),
            Fault::DiskSlow(millis) => world.home.disk().failing.is_slow(millis),
            Fault::PrimaryKilled(part) => {
                let nodes = world.home.nodes();
                nodes.wait_until_ready();
                let primary = nodes.node_of_key(&key_of(part));
                nodes.kill(primary);
                world.struck = Some(primary);
            }
            Fault::PrimaryReplaced(part) => {
                let nodes = world.home.nodes();
                nodes.wait_until_ready();
                let primary = nodes.node_of_key(&key_of(part));
                nodes.fail_over_to(nodes.replica_of(primary));
            }
            Fault::PrimaryLost => {
                let primary = world.home.primary();
                // What is written after the replica is in step would be lost.
                let redis = &world.home.watch().1[primary];
                redis.command(&["CLIENT", "PAUSE", PAUSE, "WRITE"]);
                world.home.in_step();
                world.home.watch().1[primary].kill();
                world.struck = Some(primary);
            }
            Fault::PrimaryLeft => {
                let primary = world.home.primary();
                world.home.in_step();
                // What is written after the replica is in step would be lost.
                let (_, redis) = world.home.watch();
                redis[primary].command(&["CLIENT", "PAUSE", PAUSE, "WRITE"]);
                world.home.in_step();
                let (sentinels, _) = world.home.watch();
                sentinels.fail_over();
                world.home.follow();
                // A replica takes nothing from its primary either while it pauses.
                world.home.watch().1[primary].command(&["CLIENT", "UNPAUSE"]);
            }
            Fault::SlotMoved(part) => {
                let nodes = world.home.nodes();
                let next = nodes.next_primary(&key_of(part));
                nodes.move_slot_of_key(&key_of(part), next);
            }
            Fault::SlotHalfWay(part) => {
                let nodes = world.home.nodes();
                let next = nodes.next_primary(&key_of(part));
                let from = nodes.begin_move(&key_of(part), next);
                nodes.move_these(&[&key_of(part)], from, next);
                world.struck = Some(from);
            }
            Fault::PeopleCut(seed) => {
                let mut rng = Rng::with_seed(seed);
                for person in world.people.iter().filter(|person| person.fragile) {
                    match rng.u8(..4) {
                        0 => {}
                        1 | 2 => person.cut(Cut::Broken),
                        _ => person.cut(Cut::Silent),
                    }
                }
            }
            Fault::RolledBack(seed) | Fault::RolledBackAlive(seed) => {
                world.saves();
                Fault::PeopleCut(seed).begin(world);
            }
            Fault::ReplicaLags(seed) => {
                world.replica_lags();
                Fault::PeopleCut(seed).begin(world);
            }
            Fault::LaggardLeads(part, seed) => {
                world.laggard(&key_of(part));
                Fault::PeopleCut(seed).begin(world);
            }
            Fault::NetworkHeld(i, notices, seed) => {
                world.home.way(i).hold();
                Fault::PeopleCut(seed).begin(world);
                if let Some(after) = notices {
                    thread::sleep(Duration::from_millis(after));
                    world.home.way(i).give_up_held();
                }
            }
            Fault::FarRefusal(why, way) => {
                let way = Duration::from_millis(way);
                world.home.ways().iter().for_each(|one| one.delay(way));
                world.stage.hurry.store(true, Ordering::Relaxed);
                // Until there is something in flight.
                thread::sleep(2 * way);
                why.begin(world);
            }
            Fault::RefusalOfLeavers(why, seed) => {
                why.begin(world);
                Fault::PeopleCut(seed).begin(world);
            }
        }
    }

    /// Mends it.
    pub fn end(self, world: &mut World) {
        match self {
            Fault::RedisKilled => world.home.redis().restart(),
            Fault::RedisFrozen => world.home.redis().thaw(),
            Fault::NetworkCut(i)
            | Fault::NetworkStalled(i)
            | Fault::AnswerCut(i, _)
            | Fault::AnswerStalled(i, _) => world.home.way(i).heal(),
            Fault::InstanceKilled(i) => world.start_again(i),
            Fault::InstanceStopped(i) => world.stopped(i),
            Fault::FilesDamaged(damage, seed) => world.damage_files(damage, seed),
            Fault::KilledAtStart(after) => {
                world.start_again(0);
                thread::sleep(Duration::from_millis(after));
                world.kill(0);
                world.start_again(0);
            }
            Fault::DiskFails(_) => world.disk_works_again(),
            Fault::DiskSlow(_) => world.home.disk().failing.heals(),
            Fault::PrimaryKilled(part) => {
                let dead = world.struck.take().expect("one was killed");
                let nodes = world.home.nodes();
                nodes.has_failed_over(&key_of(part), dead);
                nodes.restart(dead);
                nodes.wait_until_ready();
            }
            Fault::PrimaryLost => {
                let dead = world.struck.take().expect("one was killed");
                sentinels_have("the sentinels choose the other", || {
                    (world.home.primary() != dead).then_some(())
                });
                world.home.watch().1[dead].restart();
                world.home.in_step();
            }
            Fault::EverythingForgotten(_) => world.forget_everything(),
            Fault::PrimaryLeft => world.home.in_step(),
            Fault::SlotHalfWay(part) => {
                let from = world.struck.take().expect("it is on its way");
                let nodes = world.home.nodes();
                let next = nodes.next_primary(&key_of(part));
                nodes.move_keys(&key_of(part), from, next);
                nodes.finish_move(&key_of(part), from, next);
            }
            Fault::RolledBack(_) => world.rolls_back(),
            Fault::RolledBackAlive(_) => world.rolls_back_alive(),
            Fault::ReplicaLags(_) => world.replica_leads(),
            Fault::LaggardLeads(part, _) => world.laggard_leads(&key_of(part)),
            Fault::NetworkHeld(i, ..) => world.home.way(i).let_go(),
            Fault::FarRefusal(why, way) => {
                why.end(world);
                thread::sleep(Duration::from_millis(2 * way));
                world.stage.hurry.store(false, Ordering::Relaxed);
                let near = |one: &Proxy| one.delay(Duration::ZERO);
                world.home.ways().iter().for_each(near);
            }
            Fault::RefusalOfLeavers(why, _) => why.end(world),
            Fault::SubscriptionsKilled
            | Fault::CommandsKilled
            | Fault::ScriptsForgotten
            | Fault::PrimaryReplaced(_)
            | Fault::SlotMoved(_)
            | Fault::PeopleCut(_) => {}
        }
    }
}
