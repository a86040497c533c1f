//! What somebody waits for while others flood: pings, pongs, fragments and texts, as fast as they are
//! taken. A closed client connects again.

use std::io::{Read, Write};
use std::net::SocketAddrV4;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::client::{open, until};
use crate::plan::Plan;
use crate::proc::Others;
use crate::table::{Goal, Table};
use crate::wire;

/// How many flood.
const FLOODERS: usize = 3;
/// Bytes of each of their writes.
const WRITE: usize = 600 * 1024;
/// Between two questions of who waits.
const PAUSE: Duration = Duration::from_millis(20);
/// More than that is too long to wait, in milliseconds.
const MOST: f64 = 100.0;
const KEY: [u8; 4] = [1, 2, 3, 4];
/// What is sent once, and what is then repeated: opcodes, and one letter or none.
const KINDS: [(&str, Option<u8>, u8, &[u8]); 4] = [
    ("pings", None, 0x89, b""),
    ("pongs", None, 0x8a, b""),
    ("fragments", Some(0x01), 0x00, b""),
    ("texts", None, 0x81, b"x"),
];

/// The longest round trip beside floods of each kind.
pub fn row(plan: &Plan, table: &mut Table) -> Result<f64, String> {
    let mut others = 0.0_f64;
    for (what, first, opcode, payload) in KINDS {
        let subject = plan.natterjack()?;
        let watch = Others::than(&subject.pids());
        let mut once = Vec::new();
        if let Some(first) = first {
            wire::put_masked(&mut once, first, b"", KEY);
        }
        let mut flood = Vec::new();
        while flood.len() < WRITE {
            wire::put_masked(&mut flood, opcode, payload, KEY);
        }
        let mut trips = beside(subject.address, &once, &flood, plan.time)
            .map_err(|error| format!("beside {what}: {error}"))?;
        others = others.max(watch.percent());
        trips.sort_by(f64::total_cmp);
        let (middle, worst) = (trips[trips.len() / 2], trips[trips.len() - 1]);
        let cells = [
            format!("{middle:.1}/{worst:.1} ms"),
            String::new(),
            String::new(),
        ];
        let work = format!("{FLOODERS} who flood with {what}: p50/max of others");
        table.goal(&work, cells, worst, Goal::Most(MOST, "100 ms"));
    }
    Ok(others)
}

/// Round trips in milliseconds, beside a flood that takes so long.
fn beside(
    address: SocketAddrV4,
    once: &[u8],
    flood: &[u8],
    time: Duration,
) -> std::io::Result<Vec<f64>> {
    let mut ann = open(address, "/chat/ann")?;
    ann.set_read_timeout(Some(time.max(Duration::from_secs(30))))?;
    until(&mut ann, b"Welcome ann!")?;
    let enough = Arc::new(AtomicBool::new(false));
    let flooders: Vec<_> = (0..FLOODERS)
        .map(|_| {
            let (enough, once, flood) = (enough.clone(), once.to_vec(), flood.to_vec());
            // Ends when it is told to: no write takes longer than the time-out.
            thread::spawn(move || {
                while !enough.load(Ordering::Relaxed) {
                    let _ = flood_one(address, &once, &flood, &enough);
                }
            })
        })
        .collect();
    let mut question = Vec::new();
    wire::put_masked(&mut question, 0x81, b"/who", KEY);
    let (began, mut trips) = (Instant::now(), Vec::new());
    while trips.is_empty() || began.elapsed() < time {
        thread::sleep(PAUSE);
        let asked = Instant::now();
        ann.write_all(&question)?;
        until(&mut ann, b"in lobby: ann")?;
        trips.push(asked.elapsed().as_secs_f64() * 1000.0);
    }
    enough.store(true, Ordering::Relaxed);
    for flooder in flooders {
        let _ = flooder.join();
    }
    Ok(trips)
}

/// Floods one connection until it is closed, and reads all that comes back.
fn flood_one(
    address: SocketAddrV4,
    once: &[u8],
    flood: &[u8],
    enough: &AtomicBool,
) -> std::io::Result<()> {
    let mut stream = open(address, "/ws")?;
    stream.set_write_timeout(Some(Duration::from_secs(1)))?;
    let mut reader = stream.try_clone()?;
    // Ends with the connection.
    let reader = thread::spawn(move || while matches!(reader.read(&mut [0; 1 << 16]), Ok(1..)) {});
    stream.write_all(once)?;
    while !enough.load(Ordering::Relaxed) && stream.write_all(flood).is_ok() {}
    let _ = stream.shutdown(std::net::Shutdown::Both);
    let _ = reader.join();
    Ok(())
}
