//! The measurements: each takes a running server and returns figures of one run.

use std::time::{Duration, Instant};

use rustix::time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec};
use rustix::time::{timerfd_create, timerfd_settime};

use crate::counts::{Shape, Wrong};
use crate::crowd::Crowd;
use crate::proc::{self, Others};
use crate::subject::Subject;

/// Bytes of each text, where nothing else is said.
pub const SIZE: usize = 64;

/// Texts to rooms.
#[derive(Clone, Copy)]
pub struct Fan {
    /// Everybody, and who talks.
    pub shape: Shape,
    /// Bytes of each text.
    pub size: usize,
    /// How fast the texts come.
    pub pace: Pace,
    /// How long it is measured, after a warm-up.
    pub time: Duration,
}

/// How fast texts come.
#[derive(Clone, Copy)]
pub enum Pace {
    /// Each author always has so many on their way.
    InFlight(usize),
    /// One author sends at fixed times, without waiting for deliveries.
    PerSecond(u32),
}

/// Figures of a `Fan`.
#[derive(Clone, Copy, Debug)]
pub struct Heard {
    /// Deliveries per second.
    pub rate: f64,
    /// CPU of the server per delivery, µs, of all its instances.
    pub cpu: f64,
    /// CPU of all its Redis per message, µs, …
    pub redis: f64,
    /// … and of the busiest of them.
    pub busiest: f64,
    /// Milliseconds until a peer had heard it: median, 99 of 100, all.
    pub p50: f64,
    /// See `p50`.
    pub p99: f64,
    /// See `p50`.
    pub max: f64,
    /// What went wrong.
    pub wrong: Wrong,
    /// Share of the server's core that it used, percent.
    pub busy: f64,
    /// CPU of the generator, percent of a core.
    pub generator: f64,
    /// CPU that others used meanwhile, percent of a core.
    pub others: f64,
}

/// Texts to rooms whose peers are there already.
pub fn fan(subject: &Subject, fan: &Fan) -> Result<Heard, String> {
    let (in_flight, every) = match fan.pace {
        Pace::InFlight(each) => (each, None),
        Pace::PerSecond(rate) => (0, Some(Duration::from_secs(1) / rate)),
    };
    let mut crowd = Crowd::new(subject, fan.shape, fan.size, every.is_some())?;
    crowd.join(fan.shape.all_peers())?;
    crowd.wait(Duration::from_millis(300))?;
    let timer = ticking(every.unwrap_or(Duration::from_secs(1)))?;
    crowd.tick(&timer)?;
    let pids = subject.pids();
    let used = || -> Vec<_> { pids.iter().map(|pid| proc::used(*pid).cpu).collect() };
    let warm = Instant::now() + Duration::from_millis(500);
    let (mut due, mut turn) = (Instant::now() + every.unwrap_or_default(), 0);
    let own = std::process::id();
    let mut start: Option<(Instant, Vec<Duration>, Duration, Others)> = None;
    crowd.heard.clear();
    if every.is_none() {
        crowd.heard.extend(0..fan.shape.all_authors());
    }
    let mut talking = Vec::new();
    let (began, before, own_before, others) = loop {
        let now = Instant::now();
        if now >= warm && start.is_none() {
            start = Some((now, used(), proc::used(own).cpu, Others::than(&pids)));
            crowd.counts.measuring = true;
        }
        if let Some(done) = start.take_if(|start| now >= start.0 + fan.time) {
            break done;
        }
        std::mem::swap(&mut talking, &mut crowd.heard);
        if let Some(every) = every {
            talking.clear();
            // The time it was due counts: a generator that is late must not hide it.
            while due <= now {
                crowd.say(turn, due)?;
                due += every;
                talking.push(turn);
                turn = (turn + 1) % fan.shape.all_authors();
            }
        }
        for author in talking.drain(..) {
            while crowd.counts.in_flight(author) < in_flight {
                crowd.say(author, now)?;
            }
            crowd.flush_author(author)?;
        }
        if crowd.turn(Duration::from_millis(100))? {
            let _ = rustix::io::read(&timer, &mut [0; 8]);
        }
    };
    let (seconds, after) = (began.elapsed().as_secs_f64(), used());
    let others = others.percent();
    let generator = (proc::used(own).cpu - own_before).as_secs_f64() / seconds * 100.0;
    crowd.counts.measuring = false;
    // What is on its way gets three seconds.
    let deadline = Instant::now() + Duration::from_secs(3);
    while !crowd.counts.settled() && Instant::now() < deadline {
        crowd.turn(Duration::from_millis(20))?;
    }
    crowd.wait(Duration::from_millis(20))?;
    let counts = &crowd.counts;
    let spent = |at: usize| match (before.get(at), after.get(at)) {
        (Some(before), Some(after)) => (*after - *before).as_secs_f64() * 1e6,
        _ => 0.0,
    };
    let each = |at| spent(at) / counts.messages.max(1) as f64;
    let instances = subject.instances.len();
    let served: f64 = (0..instances).map(spent).sum();
    let redis: Vec<f64> = (instances..pids.len()).map(each).collect();
    let millis = |share: f64| counts.took.share(share).as_secs_f64() * 1e3;
    Ok(Heard {
        rate: counts.deliveries as f64 / seconds,
        cpu: served / counts.deliveries.max(1) as f64,
        redis: redis.iter().sum(),
        busiest: redis.into_iter().fold(0.0, f64::max),
        p50: millis(0.5),
        p99: millis(0.99),
        max: counts.took.max.as_secs_f64() * 1e3,
        wrong: counts.wrong(),
        busy: served / seconds / 1e4,
        generator,
        others,
    })
}

fn ticking(every: Duration) -> Result<std::os::fd::OwnedFd, String> {
    let set = || -> Result<_, rustix::io::Errno> {
        let timer = timerfd_create(
            TimerfdClockId::Monotonic,
            TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC,
        )?;
        let time = Timespec {
            tv_sec: every.as_secs() as i64,
            tv_nsec: i64::from(every.subsec_nanos()),
        };
        let both = Itimerspec {
            it_interval: time,
            it_value: time,
        };
        timerfd_settime(&timer, TimerfdTimerFlags::empty(), &both)?;
        Ok(timer)
    };
    set().map_err(|error| format!("timer: {error}"))
}

/// Figures of peers that come and go.
#[derive(Clone, Copy, Debug)]
pub struct Churn {
    /// Connections per second.
    pub rate: f64,
    /// CPU of the server for each, µs.
    pub cpu: f64,
    /// CPU of the generator, percent of a core.
    pub generator: f64,
    /// CPU that others used meanwhile, percent of a core.
    pub others: f64,
}

/// Fifty at a time connect, upgrade, are welcomed by name, leave, and wait for the server to close.
pub fn churn(subject: &Subject, time: Duration) -> Result<Churn, String> {
    let mut crowd = Crowd::new(subject, Shape::lobby(50, 1), SIZE, false)?;
    crowd.brief = true;
    let (pid, own) = (subject.pids()[0], std::process::id());
    let warm = Instant::now() + Duration::from_millis(300);
    let mut next = 0_u32;
    let mut start: Option<(Instant, [Duration; 2], u64, Others)> = None;
    loop {
        let now = Instant::now();
        match &start {
            None if now >= warm => {
                let spent = [pid, own].map(|pid| proc::used(pid).cpu);
                start = Some((now, spent, crowd.left, Others::than(&[pid])))
            }
            Some((began, [cpu, own_cpu], left, others)) if now >= *began + time => {
                let done = (crowd.left - left) as f64;
                let generator = (proc::used(own).cpu - *own_cpu).as_secs_f64();
                return Ok(Churn {
                    generator: generator / began.elapsed().as_secs_f64() * 100.0,
                    rate: done / began.elapsed().as_secs_f64(),
                    cpu: (proc::used(pid).cpu - *cpu).as_secs_f64() * 1e6 / done.max(1.0),
                    others: others.percent(),
                });
            }
            _ => {}
        }
        for place in 0..50 {
            if crowd.vacant(place) {
                next += 1;
                crowd.connect(place, &format!("guest{next:07}"), "")?;
            }
        }
        crowd.turn(Duration::from_millis(100))?;
    }
}

/// Figures of peers that only sit there.
#[derive(Clone, Copy, Debug)]
pub struct Idle {
    /// Bytes of the server for each peer, by PSS.
    pub pss: f64,
    /// Bytes in the kernel's TCP buffers, both ends of each connection.
    pub buffers: f64,
    /// Bytes of kernel objects, both ends of each connection; of the whole machine, so about.
    pub objects: f64,
    /// Seconds until everybody was in.
    pub joined: f64,
    /// CPU of the server for each join, µs, of the first and of the second half.
    pub cpu: (f64, f64),
    /// Wake-ups of the server per second.
    pub wakes: f64,
    /// CPU of the server, milliseconds per second.
    pub rest: f64,
    /// Bytes that the server wrote to disks, from its start on.
    pub written: u64,
}

/// Named peers join the lobby, one instant after another, and say nothing. Where their memory alone is
/// asked for, they are not watched.
pub fn idle(subject: &Subject, peers: usize, hold: Duration) -> Result<Idle, String> {
    let pid = subject.pids()[0];
    let mut crowd = Crowd::new(subject, Shape::lobby(peers, 1), SIZE, false)?;
    let (before, kernel) = (proc::memory(pid).1, proc::kernel_memory());
    let (began, cpu) = (Instant::now(), proc::used(pid).cpu);
    crowd.join(peers / 2)?;
    let half = proc::used(pid).cpu;
    crowd.join(peers)?;
    let joined = began.elapsed().as_secs_f64();
    crowd.wait(Duration::from_millis(1500))?;
    let all = proc::used(pid);
    let (after, kernel_after) = (proc::memory(pid).1, proc::kernel_memory());
    let since = Instant::now();
    crowd.wait(hold)?;
    let (seconds, later) = (since.elapsed().as_secs_f64(), proc::used(pid));
    let each = |after: u64, before: u64| after.saturating_sub(before) as f64 / peers as f64;
    let per_join = |time: Duration| time.as_secs_f64() * 2e6 / peers as f64;
    Ok(Idle {
        pss: each(after, before),
        buffers: each(kernel_after.0, kernel.0),
        objects: each(kernel_after.1, kernel.1),
        joined,
        cpu: (per_join(half - cpu), per_join(all.cpu - half)),
        wakes: (later.wakes - all.wakes) as f64 / seconds,
        written: later.written,
        rest: (later.cpu - all.cpu).as_secs_f64() * 1e3 / seconds,
    })
}
