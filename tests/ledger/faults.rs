//! What can go wrong, and when: a plan made from a seed, so that what was found can be looked for
//! again. A fault begins, lasts a while and is mended; two may overlap, unless they strike the
//! same place.

use std::time::Duration;

use fastrand::Rng;

use super::people::Cut;
use super::world::{INSTANCES, World};

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

/// How many kinds there are.
const KINDS: usize = 13;

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
pub fn each_once(rng: &mut Rng) -> Vec<Step> {
    let mut kinds: Vec<usize> = (0..KINDS).collect();
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
pub fn at_random(rng: &mut Rng, time: Duration) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut planned = Duration::ZERO;
    while planned < time {
        let any = |rng: &mut Rng| match rng.u8(..4) {
            0 => KINDS - 1,
            _ => rng.usize(..KINDS),
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
            | Fault::ScriptsForgotten => Place::Redis,
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
            Fault::RedisKilled => world.redis.kill(),
            Fault::RedisFrozen => world.redis.freeze(),
            Fault::SubscriptionsKilled => world.order(&["CLIENT", "KILL", "TYPE", "pubsub"]),
            Fault::CommandsKilled => world.order(&["CLIENT", "KILL", "TYPE", "normal"]),
            Fault::ScriptsForgotten => world.order(&["SCRIPT", "FLUSH"]),
            Fault::EverythingForgotten => world.forget_everything(),
            Fault::NetworkCut(i) => world.proxies[i].cut(),
            Fault::NetworkStalled(i) => world.proxies[i].stall(),
            Fault::AnswerCut(i, bytes) => world.proxies[i].cut_after(bytes),
            Fault::AnswerStalled(i, bytes) => world.proxies[i].stall_after(bytes),
            Fault::InstanceKilled(i) => world.kill(i),
            Fault::InstanceStopped(i) => world.instances[i].signal("TERM"),
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
            Fault::RedisKilled => world.redis.restart(),
            Fault::RedisFrozen => world.redis.thaw(),
            Fault::NetworkCut(i)
            | Fault::NetworkStalled(i)
            | Fault::AnswerCut(i, _)
            | Fault::AnswerStalled(i, _) => world.proxies[i].heal(),
            Fault::InstanceKilled(i) => world.start_again(i),
            Fault::InstanceStopped(i) => world.stopped(i),
            Fault::SubscriptionsKilled
            | Fault::CommandsKilled
            | Fault::ScriptsForgotten
            | Fault::EverythingForgotten
            | Fault::PeopleCut(_) => {}
        }
    }
}
