//! The plan of faults. It is made from a seed, so that a run can be repeated.

use std::time::Duration;

use fastrand::Rng;

use super::{Damage, Fault, Place, Refusal};
use crate::ledger::world::{INSTANCES, ROOMS};
use crate::support::FailingDisk;

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
        let seed = rng.u64(..);
        let way = *rng.choice(&[20, 200]).expect("there are two");
        // In a short time no instance notices a partition.
        let notices = (short || rng.bool()).then(|| rng.u64(100..800));
        let (fault, from, to) = match kind {
            0 => (Fault::RedisKilled, 0.2, 3.0),
            1 => (Fault::RedisFrozen, 0.5, 12.0),
            2 => (Fault::SubscriptionsKilled, 0.0, 0.0),
            3 => (Fault::CommandsKilled, 0.0, 0.0),
            4 => (Fault::ScriptsForgotten, 0.0, 0.0),
            5 => (Fault::EverythingForgotten(seed), 0.0, 3.0),
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
            19 => (Fault::RolledBack(seed), 0.3, 4.0),
            20 => (Fault::RolledBackAlive(seed), 0.3, 4.0),
            21 => (Fault::ReplicaLags(seed), 0.3, 4.0),
            22 => (Fault::NetworkHeld(instance, notices, seed), 1.0, 13.0),
            23 => (Fault::FarRefusal(Refusal::NoReplicas, way), 0.0, 1.0),
            24 => (Fault::FarRefusal(Refusal::NoScript, way), 0.0, 1.0),
            25 => (Fault::FarRefusal(Refusal::ReadOnly, way), 0.0, 1.0),
            26 => (Fault::RefusalOfLeavers(Refusal::Misconf, seed), 0.5, 4.0),
            27 => (Fault::RefusalOfLeavers(Refusal::Busy, seed), 0.5, 4.0),
            28 => (
                Fault::RefusalOfLeavers(Refusal::NoPermission, seed),
                0.5,
                4.0,
            ),
            29 => (Fault::LaggardLeads(part, seed), 0.3, 4.0),
            30 => (Fault::InstanceKilled(0), 0.0, 4.0),
            31 => (Fault::InstanceStopped(0), 0.5, 4.0),
            32 => (Fault::FilesDamaged(Damage::Torn, seed), 0.0, 3.0),
            33 => (Fault::FilesDamaged(Damage::Flipped, seed), 0.0, 3.0),
            34 => (Fault::DiskFails(FailingDisk::FULL), 0.2, 6.0),
            35 => (Fault::DiskFails(FailingDisk::BROKEN), 0.2, 6.0),
            36 => (Fault::DiskSlow(seed % 2000), 1.0, 6.0),
            37 => (Fault::KilledAtStart(seed % 150), 0.0, 2.0),
            _ => (Fault::PeopleCut(seed), 0.0, 2.0),
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
