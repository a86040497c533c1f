//! Two people in a room of their own who notice what others do to the server: one says something, and
//! the other waits for it, again and again. A thread of their own, so that the generator's work is no
//! part of what they wait for.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::process::setpriority_process;

use crate::counts::Shape;
use crate::crowd::Crowd;
use crate::measure::SIZE;
use crate::subject::Subject;

/// Between a message that was heard and the next one.
const PAUSE: Duration = Duration::from_millis(5);
/// A message that takes longer is an error.
const TIMEOUT: Duration = Duration::from_secs(30);

/// They are there, and talk until they are asked how long they waited.
pub struct Bystander {
    over: Arc<AtomicBool>,
    thread: JoinHandle<Result<Waits, String>>,
}

/// How long a message took, in milliseconds.
#[derive(Clone, Copy)]
pub struct Waits {
    pub p50: f64,
    pub worst: f64,
}

impl Bystander {
    /// Has them join and begin to talk.
    pub fn of(subject: &Subject) -> Result<Self, String> {
        let mut crowd = Crowd::new(subject, Shape::lobby(2, 1), SIZE, true)?;
        crowd.only = "beside";
        for at in 0..2 {
            crowd.connect(at, &format!("bystander-{at}"), "")?;
        }
        let deadline = Instant::now() + TIMEOUT;
        while crowd.open < 2 {
            crowd.turn(Duration::from_millis(100))?;
            if Instant::now() > deadline {
                return Err("the bystanders do not get in".to_owned());
            }
        }
        // Some servers greet before they deliver.
        crowd.wait(Duration::from_millis(100))?;
        let over = Arc::new(AtomicBool::new(false));
        let told = over.clone();
        // Ends when it is told to, or when the server does.
        let thread = thread::spawn(move || talk(crowd, &told));
        Ok(Self { over, thread })
    }

    /// Ends their talk.
    pub fn waits(self) -> Result<Waits, String> {
        self.over.store(true, Ordering::Relaxed);
        let waits = self.thread.join();
        waits.unwrap_or_else(|_| Err("the bystanders failed".to_owned()))
    }
}

fn talk(mut crowd: Crowd, over: &AtomicBool) -> Result<Waits, String> {
    // The generator works on the same core. Where the system does not allow to go first there, the turn
    // of the generator is a wait as well.
    let _ = setpriority_process(None, -10);
    crowd.counts.measuring = true;
    loop {
        crowd.say(0, Instant::now())?;
        crowd.flush_author(0)?;
        let deadline = Instant::now() + TIMEOUT;
        while !crowd.counts.settled() {
            crowd.turn(Duration::from_millis(100))?;
            if Instant::now() > deadline {
                return Err("a bystander's message does not come".to_owned());
            }
        }
        if over.load(Ordering::Relaxed) {
            let took = &crowd.counts.took;
            return Ok(Waits {
                p50: took.share(0.5).as_secs_f64() * 1e3,
                worst: took.max.as_secs_f64() * 1e3,
            });
        }
        thread::sleep(PAUSE);
    }
}
