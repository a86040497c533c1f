//! Connections that say nothing, beside people who ask for something.

use std::io::{Read, Write};
use std::net::{SocketAddr, SocketAddrV4, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, connect, socket_with};

use crate::subject::Subject;
use crate::table::median;

/// Connections a second that say nothing.
pub const SILENT: f64 = 2000.0;
/// Threads that ask for `/healthz` meanwhile, again and again.
const ASKING: usize = 20;
/// Each rests so long between two requests.
const REST: Duration = Duration::from_millis(50);
/// A request that is not answered by then counts as one that is not.
const TIMEOUT: Duration = Duration::from_secs(1);

/// What becomes of those who ask while others say nothing.
pub struct Beside {
    /// Percent of the requests.
    pub answered: f64,
    /// Of those that were answered, in ms.
    pub p50: f64,
    pub max: f64,
}

/// Opens silent connections at their pace, at most so many, while requests are sent beside them.
pub fn beside_silence(subject: &Subject, time: Duration, most: usize) -> Result<Beside, String> {
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
