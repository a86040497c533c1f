//! How instances end, and start again.

use std::time::{Duration, Instant};

use super::World;
use crate::ledger::home::Home;
use crate::support::Program;

impl World {
    /// Ends an instance as a power cut would.
    pub fn kill(&mut self, instance: usize) {
        self.ends.push(self.now());
        self.instances[instance].kill();
    }

    /// Asks an instance to stop in good order.
    pub fn stop(&mut self, instance: usize) {
        self.ends.push(self.now());
        self.instances[instance].signal("TERM");
    }

    /// Starts an instance in the place of one that is gone.
    pub fn start_again(&mut self, instance: usize) {
        if let Home::Alone(_) = self.home {
            self.loses_what_is_not_on_disk();
        }
        self.launch(instance);
    }

    /// Starts an instance.
    pub(super) fn launch(&mut self, instance: usize) {
        let new = self.home.start(instance, self.stage.addrs[instance]);
        let mut old = std::mem::replace(&mut self.instances[instance], new);
        self.logs.extend(log(instance, &mut old));
    }

    /// Waits for an instance that was asked to stop, and starts another in its place.
    pub fn stopped(&mut self, instance: usize) {
        let begun = Instant::now();
        let status = self.instances[instance].wait();
        if !status.success() || begun.elapsed() > Duration::from_secs(10) {
            self.wrong.push(format!(
                "instance {instance} stopped with {status} after {:.2?}",
                begun.elapsed()
            ));
        }
        self.start_again(instance);
    }
}

/// What an instance has logged.
pub(super) fn log(instance: usize, program: &mut Program) -> Vec<String> {
    let lines = program.log().iter();
    lines
        .map(|line| format!("instance {instance}: {line}"))
        .collect()
}
