//! Other servers, doing the same work in the same runs: each figure, and how many times
//! natterjack's it is. What is not installed is skipped with a line that says so.

use std::path::{Path, PathBuf};

use crate::measure::{self, Pace};
use crate::plan::Plan;
use crate::subject::{Speech, Subject};
use crate::table::{Table, median};

/// Another server: its name, what it speaks, and how it is started.
struct Other {
    name: &'static str,
    speech: Speech,
    command: Vec<String>,
}

/// What one server did in one run.
struct Run {
    rate: f64,
    busy: f64,
    steady: f64,
    pss: f64,
    churn: f64,
    wrong: u64,
    /// CPU that nobody of ours used, percent of a core.
    others: f64,
}

/// Runs all of them in turn, so many times.
pub fn table(plan: &Plan) -> Result<Table, String> {
    let others = installed()?;
    let mut runs: Vec<Vec<Run>> = others.iter().map(|_| Vec::new()).collect();
    let mut own = Vec::new();
    for number in 1..=plan.runs {
        eprintln!("natterjack: run {number} of {}", plan.runs);
        own.push(run(plan, || plan.discreet())?);
        for (other, runs) in others.iter().zip(&mut runs) {
            eprintln!("{}: run {number} of {}", other.name, plan.runs);
            let command: Vec<&str> = other.command.iter().map(String::as_str).collect();
            match run(plan, || Subject::other(&command, other.speech, &plan.cores)) {
                Ok(run) => runs.push(run),
                Err(error) => eprintln!("  {error}"),
            }
        }
    }
    let mut table = Table::new(&[
        "server on one core",
        "160 in flight: deliveries/s",
        "CPU each",
        "20/s: CPU each",
        "idle PSS",
        "churn: CPU each",
        "lost or wrong",
    ]);
    let names = others.iter().map(|other| other.name);
    for (name, runs) in std::iter::once("natterjack")
        .chain(names)
        .zip(std::iter::once(&own).chain(&runs))
    {
        table.line(cells(name, runs, &own));
    }
    let disturbed = runs
        .iter()
        .flatten()
        .chain(&own)
        .fold(0.0_f64, |worst, run| worst.max(run.others));
    table.disturbed(disturbed);
    Ok(table)
}

fn cells(name: &str, runs: &[Run], own: &[Run]) -> Vec<String> {
    if runs.is_empty() {
        return vec![name.to_owned(), "did not run".to_owned()];
    }
    let cell = |figure: &dyn Fn(&Run) -> f64, unit: &str, digits: usize| {
        let ratios: Vec<f64> = runs
            .iter()
            .zip(own)
            .map(|(run, own)| figure(run) / figure(own))
            .collect();
        let (figure, ratio) = (median(runs, figure), median(&ratios, |ratio| *ratio));
        format!("{figure:.digits$} {unit} ({ratio:.2} x)")
    };
    vec![
        name.to_owned(),
        cell(&|run| run.rate / 1e6, "M", 2),
        cell(&|run| run.busy, "us", 3),
        cell(&|run| run.steady, "us", 2),
        cell(&|run| run.pss, "B", 0),
        cell(&|run| run.churn, "us", 0),
        runs.iter().map(|run| run.wrong).sum::<u64>().to_string(),
    ]
}

fn run(plan: &Plan, start: impl Fn() -> Result<Subject, String>) -> Result<Run, String> {
    let fan = |pace| measure::fan(&start()?, &plan.fan(1000, pace));
    let saturated = fan(Pace::InFlight(16)).map_err(|error| format!("160 in flight: {error}"))?;
    let steady = fan(Pace::PerSecond(20)).map_err(|error| format!("20 messages/s: {error}"))?;
    let idle = measure::idle(&start()?, plan.peers, plan.hold)
        .map_err(|error| format!("idle: {error}"))?;
    let churn = measure::churn(&start()?, plan.time).map_err(|error| format!("churn: {error}"))?;
    let wrong = [saturated.wrong, steady.wrong];
    let others = saturated.others.max(steady.others).max(churn.others);
    Ok(Run {
        others,
        rate: saturated.rate,
        busy: saturated.cpu,
        steady: steady.cpu,
        pss: idle.pss,
        churn: churn.cpu,
        wrong: wrong
            .iter()
            .map(|wrong| wrong.lost + wrong.doubled + wrong.reordered)
            .sum(),
    })
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
