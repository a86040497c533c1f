//! `make bench`: starts natterjack, talks to it with a load generator of its own, and prints one
//! table, with the limit beside it: a bare epoll loop that does the same system calls. Loopback
//! only, bounded in time and counts; ends only what it started.

mod arrivals;
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

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

const USAGE: &str = "usage: natterjack-bench [--data FOLDER] [--quick | --others | --row NAME | --growth CHART.svg | --held idle|talk|deaf] PATH-OF-NATTERJACK";
/// Files that a process needs besides its peers' sockets.
const SPARE: u64 = 64;

/// What is measured.
#[derive(Clone, Copy, PartialEq)]
enum Work<'a> {
    /// The whole table.
    All,
    /// One row of it, or a few lines that belong together.
    Row(&'a str),
    /// The same with short runs.
    Quick,
    /// Other servers beside natterjack.
    Others,
    /// How the cost grows, with a chart.
    Growth(&'a Path),
    /// What it holds where it has little: `idle` peers, or `talk`.
    Held(&'a str),
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let allowed = proc::raise_file_limit();
    let (data, words) = match words[..] {
        ["--data", folder, ..] => (PathBuf::from(folder), &words[2..]),
        _ => (
            Path::new(env!("CARGO_MANIFEST_DIR")).join("target"),
            &words[..],
        ),
    };
    let bench = |path, work| bench(path, work, &data, allowed);
    let done = match *words {
        // What the harness starts itself.
        ["limit", "each"] => limit::run(false),
        ["limit", "batched"] => limit::run(true),
        ["--quick", path] => bench(path, Work::Quick),
        ["--row", row, path] => bench(path, Work::Row(row)),
        ["--growth", chart, path] => bench(path, Work::Growth(Path::new(chart))),
        ["--held", work, path] => bench(path, Work::Held(work)),
        ["--others", path] => bench(path, Work::Others),
        [path] if !path.starts_with('-') => bench(path, Work::All),
        _ => Err(USAGE.to_owned()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(line) => {
            eprintln!("natterjack-bench: {line}");
            ExitCode::FAILURE
        }
    }
}

fn bench(path: &str, work: Work<'_>, data: &Path, allowed: u64) -> Result<(), String> {
    let cores = proc::cores();
    if cores.len() < 2 {
        println!("Only one core: server and generator share it, so rates say little.");
    }
    let peers = 10_000.min(allowed.saturating_sub(SPARE) as usize);
    if peers < 10_000 {
        println!("The file limit allows {peers} idle peers only; raise it with ulimit -n.");
    }
    proc::pin(proc::Side::Generator, &cores);
    let plan = plan::Plan {
        server: PathBuf::from(path),
        data: data.to_path_buf(),
        cores,
        peers,
        runs: 3,
        patient: matches!(work, Work::All | Work::Row(_)),
        time: Duration::from_millis(match work {
            Work::All | Work::Row(_) => 3000,
            Work::Quick => 800,
            Work::Others => 2000,
            Work::Growth(_) => 1500,
            // Many of the periods in which a core's share is handed out.
            Work::Held(_) => 10_000,
        }),
        hold: Duration::from_secs(if work == Work::Quick { 2 } else { 10 }),
    };
    let table = match work {
        Work::Others => others::table(&plan)?,
        Work::Growth(chart) => growth::table(&plan, chart, allowed as usize)?,
        Work::Held(work) => held::table(&plan, work)?,
        Work::Row(row) => rows::table(&plan, Some(row))?,
        Work::All | Work::Quick => rows::table(&plan, None)?,
    };
    println!("{}", machine(plan.cores.len()));
    println!(
        "Medians of {} runs of {} s; 64-byte texts.\n",
        plan.runs,
        plan.time.as_secs_f64()
    );
    table.print();
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
