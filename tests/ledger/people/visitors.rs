//! Visitors come for a moment and leave during all faults, each under a name of its own. None of them
//! may be left in the end.

use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use fastrand::Rng;
use serde_json::json;

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

/// Somebody speaks in a room of its own, so much that the files of a lone server grow and are replaced.
pub fn speak_without_end(name: &str, stage: &Arc<Stage>) -> JoinHandle<()> {
    let (name, stage) = (name.to_string(), stage.clone());
    let text = "x".repeat(1500);
    thread::spawn(move || {
        let phase = || *stage.phase.lock().unwrap();
        while [Phase::Listen, Phase::Talk].contains(&phase()) {
            let speak = || {
                let mut line =
                    Line::connect(&stage.addrs, 0, &format!("/ws?user={name}&session={name}"))?;
                line.say(&json!({"type": "join", "room": "shed"}).to_string())?;
                while phase() == Phase::Talk {
                    line.say(&json!({"type": "chat", "room": "shed", "text": text}).to_string())?;
                    let end = Instant::now() + Duration::from_millis(10);
                    while Instant::now() < end {
                        line.next(end)?;
                    }
                }
                Ok::<(), String>(())
            };
            let _ = speak();
            thread::sleep(Duration::from_millis(50));
        }
    })
}
