//! The same over TLS, beside nginx with nchan: everything of one core, full handshakes with an ECDSA
//! P-256 certificate, no session that is taken up again.

use std::path::Path;
use std::time::Duration;

use crate::measure::{self, Pace};
use crate::plan::Plan;
use crate::subject::{Setting, Speech, Subject};
use crate::table::{Goal, Table, median};

/// Idle peers over TLS; the generator needs more memory for each than the server.
const IDLE: usize = 4000;

/// Lines of the table.
pub fn rows(plan: &Plan, table: &mut Table) -> Result<f64, String> {
    let secured = |threads: usize| {
        plan.natterjack_as(Setting {
            tls: true,
            notices: false,
            threads,
            spread: threads > 1,
            ..Setting::default()
        })
    };
    let nchan = Path::new("/usr/lib/nginx/modules/ngx_nchan_module.so").exists();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/nchan.sh");
    let script = script.to_string_lossy().into_owned();
    let folder = crate::line::certificate()?;
    let folder = folder.to_string_lossy().into_owned();
    let other = || {
        let command = ["sh", &script, &folder];
        Subject::other(&command, Speech::Plain, &plan.cores).map(Subject::over_tls)
    };
    // What stands beside ours, where it is installed.
    let beside = |figure: &dyn Fn(Subject) -> Result<f64, String>| match nchan {
        true => (0..plan.runs)
            .map(|_| figure(other()?))
            .collect::<Result<Vec<f64>, String>>(),
        false => Ok(vec![f64::NAN]),
    };
    table.section([
        "over TLS, server on one core",
        "natterjack",
        "nginx + nchan",
    ]);
    let mut line = |name: &str, ours: &[f64], theirs: &[f64], unit: &str, goal: Goal| {
        let (ours, theirs) = (median(ours, |f| *f), median(theirs, |f| *f));
        let digits = if ours < 100.0 { 2 } else { 0 };
        let cells = match theirs.is_nan() {
            true => [
                format!("{ours:.digits$} {unit}"),
                String::new(),
                String::new(),
            ],
            false => [
                format!("{ours:.digits$} {unit}"),
                format!("{theirs:.digits$} {unit}"),
                format!("{:.2} x", ours / theirs),
            ],
        };
        table.goal(name, cells, ours, goal);
    };
    let ours = |figure: &dyn Fn(Subject) -> Result<f64, String>, threads| {
        let run = |number| {
            eprintln!("over TLS: run {number} of {}", plan.runs);
            figure(secured(threads)?)
        };
        (1..=plan.runs)
            .map(run)
            .collect::<Result<Vec<f64>, String>>()
    };

    let peers = plan.peers.min(IDLE);
    let idle = |subject: Subject| Ok(measure::idle(&subject, peers, Duration::ZERO)?.pss);
    let name = format!("{peers} idle peers in the lobby: PSS per peer");
    let goal = Goal::Most(5000.0, "5000 B");
    line(&name, &ours(&idle, 1)?, &beside(&idle)?, "B", goal);

    let mut worst = 0.0_f64;
    for (name, pace) in [
        ("20 messages/s to 1,000 peers", Pace::PerSecond(20)),
        ("160 in flight, 1,000 peers", Pace::InFlight(16)),
    ] {
        let mut runs = (Vec::new(), Vec::new());
        for number in 1..=plan.runs {
            eprintln!("{name} over TLS: run {number} of {}", plan.runs);
            let fan = plan.fan(1000, pace);
            runs.0.push(plan.heard(|| secured(1), &fan)?);
            if nchan {
                runs.1.push(plan.heard(other, &fan)?);
            }
        }
        let both = [&runs.0, &runs.1];
        worst = both
            .iter()
            .flat_map(|runs| runs.iter())
            .fold(worst, |worst, heard| worst.max(heard.others));
        let all = |figure: fn(&measure::Heard) -> f64| {
            both.map(|runs| match runs.is_empty() {
                true => vec![f64::NAN],
                false => runs.iter().map(figure).collect(),
            })
        };
        let [own, their] = all(|heard| heard.cpu);
        let what = format!("{name}: CPU per delivery");
        line(&what, &own, &their, "us", Goal::None);
        let [own, their] = all(|heard| heard.rate / 1e3);
        line("  deliveries/s", &own, &their, "k", Goal::None);
        let [own, their] = all(|heard| heard.p99);
        line("  p99", &own, &their, "ms", Goal::None);
        let [own, their] = all(|heard| heard.generator);
        line("  the generator, of a core", &own, &their, "%", Goal::None);
        let wrong = |heard: &measure::Heard| {
            (heard.wrong.lost + heard.wrong.doubled + heard.wrong.reordered) as f64
        };
        let own: Vec<f64> = runs.0.iter().map(wrong).collect();
        line(
            "  lost/doubled/reordered",
            &own,
            &[f64::NAN],
            "",
            Goal::Zero,
        );
    }

    // Who connects, shakes hands, upgrades, is welcomed by name and leaves.
    let cpu = |subject: Subject| Ok(measure::churn(&subject, plan.time)?.cpu);
    let rate = |subject: Subject| Ok(measure::churn(&subject, plan.time)?.rate);
    let name = "handshake, upgrade, name, leave: CPU per connection";
    line(name, &ours(&cpu, 1)?, &beside(&cpu)?, "us", Goal::None);
    let (one, two) = (ours(&rate, 1)?, ours(&rate, 2)?);
    line(
        "  a second, on one core",
        &one,
        &[f64::NAN],
        "/s",
        Goal::None,
    );
    let name = "  two threads, sharing all cores with the generator";
    line(name, &two, &[f64::NAN], "/s", Goal::None);
    Ok(worst)
}
