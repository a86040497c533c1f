//! Other servers, doing the same work in the same runs: each figure, and how many times
//! natterjack's it is. What is not installed is skipped with a line that says so; what a server can't
//! do has no figure.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::arrivals::{PEOPLE, storm};
use crate::measure::{self, Fan, Pace};
use crate::plan::Plan;
use crate::rooms;
use crate::subject::{Speech, Subject};
use crate::table::{Table, median};

/// Another server: its name, what it speaks, and how it is started.
struct Other {
    name: &'static str,
    speech: Speech,
    command: Vec<String>,
}

/// A name, and how it is started: where a batch may go out at once, or each message by itself.
type Server<'a> = (&'a str, Box<dyn Fn(bool) -> Result<Subject, String> + 'a>);

/// What one server did in one run. What it could not do is not a number.
struct Run {
    rate: f64,
    busy: f64,
    steady: f64,
    rooms: [f64; 3],
    pss: f64,
    churn: f64,
    joined: f64,
    join: f64,
    wait: f64,
    wrong: u64,
    /// CPU that nobody of ours used, percent of a core.
    others: f64,
}

/// A line: what it is called, its unit and digits, the figure, and whether natterjack's is to be the
/// least of all servers' (the limit is none).
type Line = (&'static str, &'static str, usize, fn(&Run) -> f64, bool);

const LINES: [Line; 11] = [
    (
        "160 in flight, 1,000 peers: deliveries/s",
        "M",
        2,
        |run| run.rate / 1e6,
        false,
    ),
    ("  CPU per delivery", "us", 3, |run| run.busy, false),
    (
        "20/s to 1,000: CPU per delivery",
        "us",
        2,
        |run| run.steady,
        false,
    ),
    (
        "500 rooms of ten, 0.2/s each: CPU per message",
        "us",
        0,
        |run| run.rooms[0],
        true,
    ),
    ("  2/s each", "us", 0, |run| run.rooms[1], true),
    ("  one in flight each", "us", 0, |run| run.rooms[2], true),
    ("idle peers: PSS of each", "B", 0, |run| run.pss, false),
    (
        "connect, upgrade, name, leave: CPU",
        "us",
        0,
        |run| run.churn,
        false,
    ),
    (
        "5,000 join one room at once: the last is in",
        "ms",
        0,
        |run| run.joined,
        false,
    ),
    ("  CPU for each", "us", 1, |run| run.join, false),
    ("  a bystander's worst wait", "ms", 1, |run| run.wait, false),
];

/// Runs all of them in turn, so many times.
pub fn table(plan: &Plan) -> Result<Table, String> {
    let others = installed()?;
    let mut servers: Vec<Server<'_>> = vec![
        ("natterjack", Box::new(|_| plan.discreet())),
        ("the limit", Box::new(|batched| plan.limit(batched))),
    ];
    for other in &others {
        let start = |_| {
            let command: Vec<&str> = other.command.iter().map(String::as_str).collect();
            Subject::other(&command, other.speech, &plan.cores)
        };
        servers.push((other.name, Box::new(start)));
    }
    let mut runs: Vec<Vec<Run>> = servers.iter().map(|_| Vec::new()).collect();
    for number in 1..=plan.runs {
        for ((name, start), runs) in servers.iter().zip(&mut runs) {
            eprintln!("{name}: run {number} of {}", plan.runs);
            runs.push(run(plan, start));
        }
    }
    let names = servers.iter().map(|(name, _)| *name);
    let heads: Vec<&str> = ["server on one core"]
        .into_iter()
        .chain(names)
        .chain(["goal", "met"])
        .collect();
    let mut table = Table::new(&heads);
    for line in LINES {
        table.line(cells(line, &runs));
    }
    let wrong = runs.iter().map(|runs| {
        let all = runs.iter().map(|run| run.wrong);
        all.sum::<u64>().to_string()
    });
    table.line(["lost or wrong".to_owned()].into_iter().chain(wrong));
    let disturbed = runs.iter().flatten().map(|run| run.others);
    table.disturbed(disturbed.fold(0.0, f64::max));
    Ok(table)
}

fn cells((name, unit, digits, figure, least): Line, runs: &[Vec<Run>]) -> Vec<String> {
    // Those that could not do it once are not compared.
    let of = |runs: &[Run]| match runs.iter().any(|run| figure(run).is_nan()) {
        true => f64::NAN,
        false => median(runs, figure),
    };
    let mut cells = vec![name.to_owned()];
    for (at, all) in runs.iter().enumerate() {
        let both: Vec<f64> = all
            .iter()
            .zip(&runs[0])
            .map(|(run, own)| figure(run) / figure(own))
            .collect();
        let (figure, ratio) = (of(all), median(&both, |ratio| *ratio));
        cells.push(match at {
            _ if figure.is_nan() => "-".to_owned(),
            0 => format!("{figure:.digits$} {unit}"),
            _ => format!("{figure:.digits$} {unit} ({ratio:.2} x)"),
        });
    }
    if least {
        let others = runs[2..]
            .iter()
            .map(|runs| of(runs))
            .fold(f64::MAX, f64::min);
        let met = if of(&runs[0]) < others { "yes" } else { "NO" };
        cells.extend(["below every other", met].map(str::to_owned));
    }
    cells
}

fn run(plan: &Plan, start: &dyn Fn(bool) -> Result<Subject, String>) -> Run {
    let (mut wrong, mut disturbed) = (0, 0.0_f64);
    let mut heard = |what: &str, fan: &Fan| {
        let heard = start(matches!(fan.pace, Pace::InFlight(16)))
            .and_then(|subject| measure::fan(&subject, fan));
        let heard = done(what, heard)?;
        wrong += heard.wrong.lost + heard.wrong.doubled + heard.wrong.reordered;
        disturbed = disturbed.max(heard.others);
        Some(heard)
    };
    let busy = heard("160 in flight", &plan.fan(1000, Pace::InFlight(16)));
    let steady = heard("20 messages/s", &plan.fan(1000, Pace::PerSecond(20)));
    let rooms = rooms::PACES.map(|(pace, name)| {
        let heard = heard(name, &rooms::fan(plan, pace));
        heard.map_or(f64::NAN, |heard| rooms::message(&heard))
    });
    let idle = start(false).and_then(|subject| measure::idle(&subject, plan.peers, Duration::ZERO));
    let idle = done("idle", idle);
    let churn = start(false).and_then(|subject| measure::churn(&subject, plan.time));
    let churn = done("churn", churn);
    let people = PEOPLE.min(plan.peers);
    let storm = start(false).and_then(|subject| storm::at_once(&subject, people));
    let storm = done("all at once", storm);
    for others in [churn.map(|it| it.others), storm.map(|it| it.others)] {
        disturbed = disturbed.max(others.unwrap_or(0.0));
    }
    let nan = f64::NAN;
    Run {
        rate: busy.map_or(nan, |heard| heard.rate),
        busy: busy.map_or(nan, |heard| heard.cpu),
        steady: steady.map_or(nan, |heard| heard.cpu),
        rooms,
        pss: idle.map_or(nan, |idle| idle.pss),
        churn: churn.map_or(nan, |churn| churn.cpu),
        joined: storm.map_or(nan, |storm| storm.took),
        join: storm.map_or(nan, |storm| storm.cpu),
        wait: storm.map_or(nan, |storm| storm.waits.worst),
        wrong,
        others: disturbed,
    }
}

/// What came of it, or a line that says why nothing did.
fn done<T>(what: &str, result: Result<T, String>) -> Option<T> {
    result
        .inspect_err(|error| eprintln!("  {what}: {error}"))
        .ok()
}

/// Those that are here.
fn installed() -> Result<Vec<Other>, String> {
    let peers = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers");
    let text = |path: PathBuf| path.to_string_lossy().into_owned();
    let axum = peers.join("axum/target/release/axum-chat");
    let node = peers.join("node");
    let all = [
        (
            "axum + tokio",
            Speech::Greeting,
            axum.clone(),
            vec![text(axum)],
        ),
        (
            "node ws",
            Speech::Greeting,
            node.join("node_modules/ws"),
            vec!["node".to_owned(), text(node.join("chat.js"))],
        ),
        (
            "nginx + nchan",
            Speech::Plain,
            PathBuf::from("/usr/lib/nginx/modules/ngx_nchan_module.so"),
            vec!["sh".to_owned(), text(peers.join("nchan.sh"))],
        ),
        (
            "nats-server, no WebSocket",
            Speech::Nats,
            PathBuf::from("/usr/sbin/nats-server"),
            vec!["sh".to_owned(), text(peers.join("nats.sh"))],
        ),
    ];
    let mut here = Vec::new();
    for (name, speech, needs, command) in all {
        match needs.exists() {
            true => here.push(Other {
                name,
                speech,
                command,
            }),
            false => println!("{name} is not installed: skipped."),
        }
    }
    match here.is_empty() {
        true => Err("no other server is installed: `make bench-others` does it".to_owned()),
        false => Ok(here),
    }
}
