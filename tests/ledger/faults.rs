//! The plan of faults. It is made from a seed, so that a run can be repeated. A fault begins, lasts a
//! while and is mended. Two may overlap, unless they strike the same place.

use std::time::Duration;

use fastrand::Rng;

use super::home::key_of;
use super::people::Cut;
use super::world::{INSTANCES, ROOMS, World};
use crate::support::eventually;

/// Something that goes wrong.
#[derive(Clone, Copy, Debug)]
pub enum Fault {
    /// Redis is killed, and started again with the data it had.
    RedisKilled,
    /// Redis hangs: it takes connections, and answers nothing.
    RedisFrozen,
    /// All subscriptions are cut.
    SubscriptionsKilled,
    /// All connections for commands are cut.
    CommandsKilled,
    /// Redis forgets its scripts.
    ScriptsForgotten,
    /// Redis forgets everything. Comes alone and in a quiet moment: this one is data loss.
    EverythingForgotten,
    /// An instance can't reach Redis.
    NetworkCut(usize),
    /// What an instance and Redis say to each other does not arrive.
    NetworkStalled(usize),
    /// The same, but after so many more bytes of answers, which may be in the midst of one.
    AnswerCut(usize, usize),
    /// And the same.
    AnswerStalled(usize, usize),
    /// An instance is killed, and started again.
    InstanceKilled(usize),
    /// An instance is stopped in good order, and started again.
    InstanceStopped(usize),
    /// The primary of these keys is killed; its replica takes over, and it comes back as a replica.
    PrimaryKilled(usize),
    /// The replica of the primary of these keys takes over in good order.
    PrimaryReplaced(usize),
    /// The primary is killed; sentinels make its replica the primary, and it comes back as a replica.
    PrimaryLost,
    /// The operator has sentinels make the replica the primary, and lets nothing be written until
    /// that is done.
    PrimaryLeft,
    /// The slot of these keys moves to the next primary.
    SlotMoved(usize),
    /// The same, but it is half way for a while: some keys are there and some here.
    SlotHalfWay(usize),
    /// Some people's connections break, or fall silent; they come back after two seconds.
    PeopleCut(u64),
}

/// What a fault strikes. Two that strike the same can't overlap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Redis,
    Network(usize),
    Instance(usize),
    People,
    Everywhere,
}

/// What happens to one Redis, to what stands behind it, and to people.
pub const ONE_REDIS: [usize; 13] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12];
/// What happens to a cluster, and to what stands behind it.
pub const CLUSTER: [usize; 10] = [2, 3, 4, 10, 11, 12, 13, 14, 15, 16];
/// What happens to a primary and its replica, and to what stands behind them. Connections are not
/// cut: the sentinels' would be too, and they would take the primary for dead, which goes on taking
/// messages until it hears of that.
pub const WATCHED: [usize; 6] = [4, 10, 11, 12, 17, 18];
/// The kind that strikes people.
const PEOPLE: usize = 12;

/// A fault in its time.
#[derive(Clone, Copy, Debug)]
pub struct Incident {
    pub fault: Fault,
    /// From the beginning of the step.
    pub after: Duration,
    pub lasts: Duration,
}

/// A pause, and then one or two faults.
#[derive(Clone, Debug)]
pub struct Step {
    pub pause: Duration,
    pub incidents: Vec<Incident>,
}

/// Every fault once, in some order, and each of them short.
pub fn each_once(kinds: &[usize], rng: &mut Rng) -> Vec<Step> {
    let mut kinds = kinds.to_vec();
    rng.shuffle(&mut kinds);
    let mut steps = Vec::new();
    while let Some(kind) = kinds.pop() {
        let mut incidents = vec![Incident::new(kind, Duration::ZERO, true, rng)];
        if let Some(&next) = kinds.last().filter(|_| rng.bool()) {
            let next = Incident::new(next, seconds(rng, 0.0, 0.5), true, rng);
            if next.goes_with(&incidents[0]) {
                incidents.push(next);
                kinds.pop();
            }
        }
        let pause = seconds(rng, 0.3, 0.8);
        steps.push(Step { pause, incidents });
    }
    steps
}

/// Any faults, as many as fill so much time; people are cut again and again.
pub fn at_random(kinds: &[usize], rng: &mut Rng, time: Duration) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut planned = Duration::ZERO;
    while planned < time {
        let any = |rng: &mut Rng| match rng.u8(..4) {
            0 => PEOPLE,
            _ => kinds[rng.usize(..kinds.len())],
        };
        let kind = any(rng);
        let mut incidents = vec![Incident::new(kind, Duration::ZERO, false, rng)];
        if rng.u8(..3) == 0 {
            let other = any(rng);
            let after = seconds(rng, 0.0, 1.5);
            let other = Incident::new(other, after, false, rng);
            if other.goes_with(&incidents[0]) {
                incidents.push(other);
            }
        }
        let pause = seconds(rng, 0.3, 2.0);
        let ends = incidents.iter().map(|one| one.after + one.lasts);
        planned += pause + ends.max().unwrap_or_default();
        steps.push(Step { pause, incidents });
    }
    steps
}

fn seconds(rng: &mut Rng, from: f32, to: f32) -> Duration {
    Duration::from_secs_f32(from + rng.f32() * (to - from))
}

impl Incident {
    fn new(kind: usize, after: Duration, short: bool, rng: &mut Rng) -> Incident {
        let instance = rng.usize(..INSTANCES);
        let bytes = rng.usize(1..600);
        let part = rng.usize(..=ROOMS.len());
        let (fault, from, to) = match kind {
            0 => (Fault::RedisKilled, 0.2, 3.0),
            1 => (Fault::RedisFrozen, 0.5, 12.0),
            2 => (Fault::SubscriptionsKilled, 0.0, 0.0),
            3 => (Fault::CommandsKilled, 0.0, 0.0),
            4 => (Fault::ScriptsForgotten, 0.0, 0.0),
            5 => (Fault::EverythingForgotten, 0.0, 0.0),
            6 => (Fault::NetworkCut(instance), 0.2, 4.0),
            7 => (Fault::NetworkStalled(instance), 0.5, 12.0),
            8 => (Fault::AnswerCut(instance, bytes), 0.2, 3.0),
            9 => (Fault::AnswerStalled(instance, bytes), 0.5, 6.0),
            10 => (Fault::InstanceKilled(instance), 0.5, 4.0),
            11 => (Fault::InstanceStopped(instance), 0.5, 4.0),
            13 => (Fault::PrimaryKilled(part), 0.2, 6.0),
            14 => (Fault::PrimaryReplaced(part), 0.0, 0.0),
            15 => (Fault::SlotMoved(part), 0.0, 0.0),
            16 => (Fault::SlotHalfWay(part), 0.0, 2.0),
            17 => (Fault::PrimaryLost, 0.2, 6.0),
            18 => (Fault::PrimaryLeft, 0.0, 0.0),
            _ => (Fault::PeopleCut(rng.u64(..)), 0.0, 2.0),
        };
        let to = if short { f32::min(to, 2.5) } else { to };
        let lasts = seconds(rng, from, to);
        Incident {
            fault,
            after,
            lasts,
        }
    }

    fn goes_with(&self, other: &Incident) -> bool {
        let places = [self.fault.place(), other.fault.place()];
        places[0] != places[1] && !places.contains(&Place::Everywhere)
    }
}

impl Fault {
    fn place(self) -> Place {
        match self {
            Fault::RedisKilled
            | Fault::RedisFrozen
            | Fault::SubscriptionsKilled
            | Fault::CommandsKilled
            | Fault::ScriptsForgotten
            | Fault::PrimaryKilled(_)
            | Fault::PrimaryReplaced(_)
            | Fault::PrimaryLost
            | Fault::PrimaryLeft
            | Fault::SlotMoved(_)
            | Fault::SlotHalfWay(_) => Place::Redis,
            Fault::EverythingForgotten => Place::Everywhere,
            Fault::NetworkCut(i)
            | Fault::NetworkStalled(i)
            | Fault::AnswerCut(i, _)
            | Fault::AnswerStalled(i, _) => Place::Network(i),
            Fault::InstanceKilled(i) | Fault::InstanceStopped(i) => Place::Instance(i),
            Fault::PeopleCut(_) => Place::People,
        }
    }

    /// Lets it happen.
    pub fn begin(self, world: &mut World) {
        match self {
            Fault::RedisKilled => world.home.redis().kill(),
            Fault::RedisFrozen => world.home.redis().freeze(),
            Fault::SubscriptionsKilled => world.command_all(&["CLIENT", "KILL", "TYPE", "pubsub"]),
            Fault::CommandsKilled => world.command_all(&["CLIENT", "KILL", "TYPE", "normal"]),
            Fault::ScriptsForgotten => world.command_all(&["SCRIPT", "FLUSH"]),
            Fault::EverythingForgotten => world.forget_everything(),
            Fault::NetworkCut(i) => world.home.way(i).cut(),
            Fault::NetworkStalled(i) => world.home.way(i).stall(),
            Fault::AnswerCut(i, bytes) => world.home.way(i).cut_after(bytes),
            Fault::AnswerStalled(i, bytes) => world.home.way(i).stall_after(bytes),
            Fault::InstanceKilled(i) => world.kill(i),
            Fault::InstanceStopped(i) => world.instances[i].signal("TERM"),
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
                world.home.in_step();
                world.home.watch().1[primary].kill();
                world.struck = Some(primary);
            }
            Fault::PrimaryLeft => {
                let primary = world.home.primary();
                world.home.in_step();
                // Longer than it takes until everybody has gone over to the other. What is written
                // after that is lost.
                let (_, redis) = world.home.watch();
                redis[primary].command(&["CLIENT", "PAUSE", "6000", "WRITE"]);
                world.home.in_step();
                let (sentinels, _) = world.home.watch();
                sentinels.fail_over();
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
            Fault::PrimaryKilled(part) => {
                let dead = world.struck.take().expect("one was killed");
                let nodes = world.home.nodes();
                nodes.has_failed_over(&key_of(part), dead);
                nodes.restart(dead);
                nodes.wait_until_ready();
            }
            Fault::PrimaryLost => {
                let dead = world.struck.take().expect("one was killed");
                eventually("the sentinels choose the other", || {
                    (world.home.primary() != dead).then_some(())
                });
                world.home.watch().1[dead].restart();
                world.home.in_step();
            }
            Fault::PrimaryLeft => world.home.in_step(),
            Fault::SlotHalfWay(part) => {
                let from = world.struck.take().expect("it is on its way");
                let nodes = world.home.nodes();
                let next = nodes.next_primary(&key_of(part));
                nodes.move_keys(&key_of(part), from, next);
                nodes.finish_move(&key_of(part), from, next);
            }
            Fault::SubscriptionsKilled
            | Fault::CommandsKilled
            | Fault::ScriptsForgotten
            | Fault::PrimaryReplaced(_)
            | Fault::SlotMoved(_)
            | Fault::EverythingForgotten
            | Fault::PeopleCut(_) => {}
        }
    }
}
