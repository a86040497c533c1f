//! Visitors come for a moment and leave during all faults, each under a name of its own. None of them
//! may be left in the end.

use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use fastrand::Rng;

use super::{Phase, Stage};
use crate::ledger::line::Line;
use crate::ledger::world::ROOMS;

/// One after another, until people are asked to bring to an end what they have begun. Their names begin
/// with this one.
pub fn come_and_go(name: &str, stage: &Arc<Stage>, seed: u64) -> JoinHandle<()> {
    let (name, stage) = (name.to_string(), stage.clone());
    let mut rng = Rng::with_seed(seed);
    thread::spawn(move || {
        for number in 0.. {
            if ![Phase::Listen, Phase::Talk].contains(&*stage.phase.lock().unwrap()) {
                return;
            }
            let room = ROOMS[rng.usize(..ROOMS.len())];
            let target = format!("/chat/{name}-{number}?room={room}");
            let instance = rng.usize(..stage.addrs.len());
            let stay = Duration::from_millis(rng.u64(20..1000));
            if let Ok(mut line) = Line::connect(&stage.addrs, instance, &target) {
                let end = Instant::now() + stay;
                // Some leave before they are let in.
                while Instant::now() < end && line.next(end).is_ok() {}
                if rng.bool() {
                    line.close();
                }
            }
            thread::sleep(Duration::from_millis(rng.u64(20..300)));
        }
    })
}
