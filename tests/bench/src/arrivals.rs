//! Many who come at once: people who all come back in the same moment, and connections that say
//! nothing beside people who do.

use std::io::{Read, Write};
use std::net::{SocketAddr, SocketAddrV4, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, connect, socket_with};

use crate::counts::Shape;
use crate::crowd::Crowd;
use crate::measure::SIZE;
use crate::plan::Plan;
use crate::proc::Others;
use crate::subject::Subject;
use crate::table::{Goal, Table, median};

/// People who come at once.
const PEOPLE: usize = 5000;
/// They connect so many at a time, as fast as that goes.
const AT_A_TIME: usize = 50;
/// Connections a second that say nothing.
const SILENT: f64 = 2000.0;
/// Threads that ask for `/healthz` meanwhile, again and again.
const ASKING: usize = 20;
/// Each rests so long between two requests.
const REST: Duration = Duration::from_millis(50);
/// A request that is not answered by then counts as one that is not.
const TIMEOUT: Duration = Duration::from_secs(1);

/// Lines of the table.
pub fn rows(plan: &Plan, table: &mut Table) -> Result<f64, String> {
    let people = PEOPLE.min(plan.peers);
    let come = |number: usize| {
        eprintln!("all at once: run {number} of {}", plan.runs);
        all_at_once(&plan.discreet()?, people)
    };
    let runs: Vec<_> = (1..=plan.runs).map(come).collect::<Result<_, _>>()?;
    let ms = median(&runs, |run| run.0);
    let name = format!("{people} people who come at once: until the last is welcome");
    let one = |ours: String| [ours, String::new(), String::new()];
    let goal = Goal::Most(1000.0, "1000 ms");
    table.goal(&name, one(format!("{ms:.0} ms")), ms, goal);
    let worst = runs.iter().fold(0.0_f64, |worst, run| worst.max(run.1));

    let flood = |number: usize| {
        eprintln!("silent connections: run {number} of {}", plan.runs);
        beside_silence(&plan.natterjack()?, plan.time, plan.peers)
    };
    let runs: Vec<_> = (1..=plan.runs).map(flood).collect::<Result<_, _>>()?;
    let answered = median(&runs, |run| run.answered);
    let name = format!("{SILENT:.0} silent connections/s: requests that are answered beside them");
    let goal = Goal::Least(100.0, "100 %");
    table.goal(&name, one(format!("{answered:.1} %")), answered, goal);
    let (p50, max) = (median(&runs, |run| run.p50), median(&runs, |run| run.max));
    let times = format!("{p50:.2}/{max:.2} ms");
    table.goal("  p50/max", one(times), 0.0, Goal::None);
    Ok(worst)
}

/// How long it takes until all of them have their welcome, in ms, and what others used of a core.
fn all_at_once(subject: &Subject, people: usize) -> Result<(f64, f64), String> {
    let mut crowd = Crowd::new(subject, Shape::lobby(people, 1), SIZE, false)?;
    let others = Others::than(&subject.pids());
    let began = Instant::now();
    for number in 0..people {
        crowd.connect(number, &format!("person-{number:05}"))?;
        // Each of them speaks as soon as it is connected: they are no flood that says nothing.
        if number % AT_A_TIME == 0 {
            crowd.turn(Duration::ZERO)?;
        }
    }
    while crowd.open < people {
        crowd.turn(Duration::from_millis(100))?;
        if began.elapsed() > Duration::from_secs(60) {
            return Err(format!(
                "only {} of {people} got in within 60 s",
                crowd.open
            ));
        }
    }
    Ok((began.elapsed().as_secs_f64() * 1e3, others.percent()))
}

/// What becomes of those who ask while others say nothing.
struct Beside {
    /// Percent of the requests.
    answered: f64,
    /// Of those that were answered, in ms.
    p50: f64,
    max: f64,
}

/// Opens silent connections at their pace, at most so many, while requests are sent beside them.
fn beside_silence(subject: &Subject, time: Duration, most: usize) -> Result<Beside, String> {
    let over = AtomicBool::new(false);
    let address = subject.address;
    let asking = || {
        let mut asked = Vec::new();
        while !over.load(Ordering::Relaxed) {
            asked.push(ask(address));
            thread::sleep(REST);
        }
        asked
    };
    let (opened, asked) = thread::scope(|scope| {
        let threads: Vec<_> = (0..ASKING).map(|_| scope.spawn(asking)).collect();
        let opened = say_nothing(address, time, most);
        over.store(true, Ordering::Relaxed);
        let asked = threads.into_iter().flat_map(|thread| thread.join());
        (opened, asked.flatten().collect::<Vec<_>>())
    });
    opened?;
    let mut times: Vec<f64> = asked.iter().filter_map(|time| *time).collect();
    times.sort_by(f64::total_cmp);
    Ok(Beside {
        answered: times.len() as f64 * 100.0 / asked.len().max(1) as f64,
        p50: median(&times, |time| *time),
        max: times.last().copied().unwrap_or(f64::NAN),
    })
}

/// Connects and says nothing, at the pace, and keeps every connection until the end.
fn say_nothing(address: SocketAddrV4, time: Duration, most: usize) -> Result<(), String> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let began = Instant::now();
    let mut silent = Vec::new();
    while began.elapsed() < time {
        let due = (began.elapsed().as_secs_f64() * SILENT) as usize;
        while silent.len() < due.min(most) {
            let open = socket_with(AddressFamily::INET, SocketType::STREAM, flags, None);
            let socket = open.map_err(|error| format!("silent connection: {error}"))?;
            match connect(&socket, &address) {
                Ok(()) | Err(Errno::INPROGRESS) => silent.push(socket),
                Err(error) => return Err(format!("silent connection: {error}")),
            }
        }
        thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

/// One request; how long it took, in ms, if it was answered in time.
fn ask(address: SocketAddrV4) -> Option<f64> {
    let began = Instant::now();
    let mut stream = TcpStream::connect_timeout(&SocketAddr::V4(address), TIMEOUT).ok()?;
    let left = TIMEOUT.checked_sub(began.elapsed())?;
    stream.set_read_timeout(Some(left)).ok()?;
    let get = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";
    stream.write_all(get).ok()?;
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).ok()?;
    (answer == *b"HTTP/1.1 200").then(|| began.elapsed().as_secs_f64() * 1e3)
}
