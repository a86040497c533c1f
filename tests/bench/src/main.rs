//! `make bench`: starts natterjack, talks to it with a load generator of its own, and prints one
//! table, with the limit beside it: a bare epoll loop that does the same system calls. Loopback
//! only, bounded in time and counts; ends only what it started.

mod arguments;
mod arrivals;
mod beside;
mod bystander;
mod chart;
mod client;
mod cluster;
mod counts;
mod crowd;
mod deaf;
mod disk;
mod flood;
mod followers;
mod growth;
mod held;
mod instances;
mod journal;
mod limit;
mod line;
mod measure;
mod nats;
mod others;
mod plan;
mod private;
mod proc;
mod rooms;
mod rows;
mod secure;
mod subject;
mod table;
mod threads;
mod wire;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use arguments::{Arguments, Work};

/// Files that a process needs besides its peers' sockets.
const SPARE: u64 = 64;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let allowed = proc::raise_file_limit();
    let done = match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        // What the harness starts itself.
        ["limit", "each"] => limit::run(false),
        ["limit", "batched"] => limit::run(true),
        _ => Arguments::read(&words).and_then(|asked| bench(&asked, allowed)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(line) => {
            eprintln!("natterjack-bench: {line}");
            ExitCode::FAILURE
        }
    }
}

fn bench(asked: &Arguments, allowed: u64) -> Result<(), String> {
    let began = Instant::now();
    let cores = proc::cores();
    if cores.len() < 2 {
        println!("Only one core: server and generator share it, so rates say little.");
    }
    let peers = 10_000.min(allowed.saturating_sub(SPARE) as usize);
    if peers < 10_000 {
        println!("The file limit allows {peers} idle peers only; raise it with ulimit -n.");
    }
    proc::pin(proc::Side::Generator, &cores);
    let (time, hold) = match (&asked.work, asked.quick) {
        (Work::Rows, true) => (800, 2),
        // One row has more time than each of all.
        (Work::Rows, false) if asked.row.is_some() => (3000, 10),
        (Work::Rows | Work::Others, _) => (2000, 4),
        (Work::Growth(_), _) => (1500, 0),
        // Many of the periods in which a core's share is handed out.
        (Work::Held(_), _) => (10_000, 0),
    };
    let plan = plan::Plan {
        server: asked.server.clone(),
        data: asked.data.clone(),
        cores,
        peers,
        runs: 3,
        patient: asked.work == Work::Rows && !asked.quick,
        time: Duration::from_millis(time),
        hold: Duration::from_secs(hold),
    };
    let only = asked.row.as_deref();
    let table = match (&asked.work, &asked.beside) {
        (Work::Others, _) => others::table(&plan)?,
        (Work::Growth(chart), _) => growth::table(&plan, chart, allowed as usize)?,
        (Work::Held(work), _) => held::table(&plan, work)?,
        (Work::Rows, Some(old)) => beside::table(&plan, old, only)?,
        (Work::Rows, None) => rows::table(&plan, only)?,
    };
    println!("{}", machine(plan.cores.len()));
    let time = plan.time.as_secs_f64();
    println!("Medians of {} runs of {time} s; 64-byte texts.", plan.runs);
    if asked.work == Work::Rows && only.is_none() {
        println!("One run of these rows: {}.", rows::ONCE.join(", "));
    }
    println!();
    table.print();
    let seconds = began.elapsed().as_secs();
    println!("\nIt took {} min {} s.", seconds / 60, seconds % 60);
    Ok(())
}

/// The machine's processor and kernel.
fn machine(cores: usize) -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let info = read("/proc/cpuinfo");
    let model = info
        .lines()
        .find(|line| line.starts_with("model name") || line.starts_with("Model"));
    let model = model
        .and_then(|line| line.split_once(": "))
        .map_or("unknown processor", |(_, name)| name);
    let kernel = read("/proc/sys/kernel/osrelease");
    format!("{model}, {cores} cores, Linux {}.", kernel.trim())
}
