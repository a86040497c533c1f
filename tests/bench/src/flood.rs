//! What bystanders notice while others flood the server as fast as they can: a neighbour with messages to a
//! room, and connections with pings, pongs, fragments and texts. A closed client connects again.

use std::io::{Read, Write};
use std::net::SocketAddrV4;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crate::bystander::{Bystander, Waits};
use crate::client::open;
use crate::plan::Plan;
use crate::proc::Others;
use crate::subject::{Setting, Subject};
use crate::table::{Goal, Table, median};
use crate::wire;

/// Bytes of each write of those who flood.
const WRITE: usize = 600 * 1024;
const KEY: [u8; 4] = [1, 2, 3, 4];

/// A flood.
struct Flood {
    who: &'static str,
    /// Where those who flood connect, each once.
    targets: &'static [&'static str],
    /// The opcode of what is sent once.
    first: Option<u8>,
    /// What is then repeated: its opcode, and one letter or none.
    opcode: u8,
    payload: &'static [u8],
}

/// Floods of a neighbour: nobody's, to compare with, and one who has a listener in the room.
const NOBODY: Flood = flood("nobody floods", &[], wire::TEXT, b"x");
const NEIGHBOUR: Flood = flood(
    "one who floods another room",
    &["/chat/flooder?room=loud"],
    wire::TEXT,
    b"x",
);
const LISTENER: &str = "/chat/listener?room=loud";
/// Those who flood without joining a room.
const THREE: &[&str] = &["/ws", "/ws", "/ws"];
const CONNECTIONS: [Flood; 4] = [
    flood("3 who flood with pings", THREE, wire::PING, b""),
    flood("3 who flood with pongs", THREE, wire::PONG, b""),
    Flood {
        first: Some(0x01),
        ..flood("3 who flood with fragments", THREE, 0x00, b"")
    },
    flood("3 who flood with texts", THREE, wire::TEXT, b"x"),
];

const fn flood(
    who: &'static str,
    targets: &'static [&'static str],
    opcode: u8,
    payload: &'static [u8],
) -> Flood {
    Flood {
        who,
        targets,
        first: None,
        opcode,
        payload,
    }
}

/// The longest waits beside floods of each kind.
pub fn row(plan: &Plan, table: &mut Table) -> Result<f64, String> {
    let free = || plan.natterjack();
    let limited = || {
        plan.natterjack_as(Setting {
            limited: true,
            ..Setting::default()
        })
    };
    type Start<'a> = &'a dyn Fn() -> Result<Subject, String>;
    let starts: [(&Flood, &str, Start<'_>); 3] = [
        (&NOBODY, "", &free),
        (&NEIGHBOUR, ", --rate as by default", &limited),
        (&NEIGHBOUR, ", --rate 0", &free),
    ];
    let mut worst = 0.0_f64;
    for (flood, name, start) in starts {
        let name = format!("{}{name}: p50/max of bystanders", flood.who);
        let runs = plan.pairs(
            &name,
            || beside(&start()?, flood, plan.time),
            || beside(&plan.limit(false)?, flood, plan.time),
        )?;
        let (ours, limit): (Vec<_>, Vec<_>) = runs.into_iter().unzip();
        let max = median(&ours, |run| run.0.worst);
        let cells = [times(&ours), times(&limit), String::new()];
        table.goal(&name, cells, max, Goal::Most(50.0, "50 ms"));
        let others = ours.iter().chain(&limit).map(|run| run.1);
        worst = others.fold(worst, f64::max);
    }
    for flood in &CONNECTIONS {
        let (waits, others) = beside(&plan.natterjack()?, flood, plan.time)?;
        let name = format!("{}: p50/max of bystanders", flood.who);
        let cells = [times(&[(waits, others)]), String::new(), String::new()];
        table.goal(&name, cells, waits.worst, Goal::Most(100.0, "100 ms"));
        worst = worst.max(others);
    }
    Ok(worst)
}

fn times(runs: &[(Waits, f64)]) -> String {
    let of = |figure: fn(&Waits) -> f64| median(runs, |run| figure(&run.0));
    format!("{:.1}/{:.1} ms", of(|w| w.p50), of(|w| w.worst))
}

/// How long bystanders wait beside a flood that takes so long, and what others used of a core.
fn beside(subject: &Subject, flood: &Flood, time: Duration) -> Result<(Waits, f64), String> {
    let address = subject.address;
    let mut bytes = Vec::new();
    while bytes.len() < WRITE {
        wire::put_masked(&mut bytes, flood.opcode, flood.payload, KEY);
    }
    let mut once = Vec::new();
    if let Some(first) = flood.first {
        wire::put_masked(&mut once, first, b"", KEY);
    }
    let enough = Arc::new(AtomicBool::new(false));
    let bystander = Bystander::of(subject)?;
    let watch = Others::than(&subject.pids());
    let clients = flood.targets.iter().map(|target| (*target, true));
    let listener = flood.targets.contains(&NEIGHBOUR.targets[0]);
    let clients = clients.chain(listener.then_some((LISTENER, false)));
    let threads: Vec<_> = clients
        .map(|(target, floods)| {
            let (enough, once) = (enough.clone(), once.clone());
            let bytes = if floods { bytes.clone() } else { Vec::new() };
            // Ends when it is told to: no read or write takes longer than the time-out.
            thread::spawn(move || {
                while !enough.load(Ordering::Relaxed) {
                    let _ = flood_one(address, target, &once, &bytes, &enough);
                }
            })
        })
        .collect();
    thread::sleep(time);
    let others = watch.percent();
    let waits = bystander.waits();
    enough.store(true, Ordering::Relaxed);
    for thread in threads {
        let _ = thread.join();
    }
    let waits = waits.map_err(|error| format!("{}: {error}", flood.who))?;
    Ok((waits, others))
}

/// Floods one connection until it is closed, and reads all that comes back. Where nothing is to be
/// sent, it only reads.
fn flood_one(
    address: SocketAddrV4,
    target: &str,
    once: &[u8],
    bytes: &[u8],
    enough: &AtomicBool,
) -> std::io::Result<()> {
    let timeout = Some(Duration::from_secs(1));
    let mut stream = open(address, target)?;
    stream.set_write_timeout(timeout)?;
    if bytes.is_empty() {
        stream.set_read_timeout(timeout)?;
        while !enough.load(Ordering::Relaxed) && stream.read(&mut [0; 1 << 16])? > 0 {}
        return Ok(());
    }
    let mut reader = stream.try_clone()?;
    // Ends with the connection.
    let reader = thread::spawn(move || while matches!(reader.read(&mut [0; 1 << 16]), Ok(1..)) {});
    stream.write_all(once)?;
    while !enough.load(Ordering::Relaxed) && stream.write_all(bytes).is_ok() {}
    let _ = stream.shutdown(std::net::Shutdown::Both);
    let _ = reader.join();
    Ok(())
}
