//! Ten people in a room of their own who notice what others do to the server: they say something in
//! turn, so that none of them says more than is allowed, and all wait for it. A thread of their own, so
//! that the generator's work is no part of what they wait for.

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
const PAUSE: Duration = Duration::from_millis(6);
/// So many people.
const PEOPLE: usize = 10;
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
        let mut crowd = Crowd::new(subject, Shape::lobby(PEOPLE, PEOPLE), SIZE, true)?;
        crowd.only = "beside";
        for at in 0..PEOPLE {
            crowd.connect(at, &format!("bystander-{at}"), "")?;
        }
        let deadline = Instant::now() + TIMEOUT;
        while crowd.open < PEOPLE {
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
    for author in (0..PEOPLE).cycle() {
        crowd.say(author, Instant::now())?;
        crowd.flush_author(author)?;
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
    Err("nobody talks".to_owned())
}
