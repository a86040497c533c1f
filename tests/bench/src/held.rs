//! What natterjack holds where it has little: its memory and its share of a core are limited from
//! outside, by `tests/bench/pi.sh`. Nothing stands beside it, and there are no goals.

use std::time::Duration;

use crate::counts::Shape;
use crate::crowd::Crowd;
use crate::deaf;
use crate::measure::{Heard, Pace, SIZE};
use crate::plan::Plan;
use crate::proc;
use crate::table::{Table, median};

/// Idle peers come in steps of so many, …
const STEP: usize = 250;
/// … and are watched so long when all are there: longer than it takes until each got a ping.
const WATCHED: Duration = Duration::from_secs(60);

/// Runs one kind of work: `idle`, `talk` or `deaf`.
pub fn table(plan: &Plan, work: &str) -> Result<Table, String> {
    let mut table = Table::new(&["with little memory and a slow core", "natterjack"]);
    match work {
        "idle" => idle(plan, &mut table)?,
        "talk" => talk(plan, &mut table)?,
        "deaf" => deaf::row(plan, &mut table)?,
        _ => return Err("what is held is idle, talk or deaf".to_owned()),
    }
    Ok(table)
}

fn idle(plan: &Plan, table: &mut Table) -> Result<(), String> {
    let subject = plan.natterjack()?;
    let pid = subject.pids()[0];
    let mut crowd = Crowd::new(&subject, Shape::lobby(plan.peers, 1), SIZE, false)?;
    let began = std::time::Instant::now();
    let (mut memory, mut failed) = (proc::memory(pid), None);
    while crowd.open < plan.peers && failed.is_none() {
        failed = crowd.join((crowd.open + STEP).min(plan.peers)).err();
        // A server that is gone has none.
        memory = match proc::memory(pid) {
            (0, _) => memory,
            now => now,
        };
    }
    let joined = began.elapsed().as_secs_f64();
    if failed.is_none() {
        failed = crowd.wait(WATCHED).err();
        memory = proc::memory(pid);
    }
    let work = format!("idle peers with names in the lobby, of {}", plan.peers);
    table.note(&work, crowd.open.to_string());
    table.note("  joined within", format!("{joined:.1} s"));
    let mib = |bytes: u64| format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20));
    table.note("  the server's memory then, RSS", mib(memory.0));
    table.note("  PSS", mib(memory.1));
    let end = failed.unwrap_or_else(|| format!("all stayed, {} pings answered", crowd.pings));
    table.note("  and then", end);
    Ok(())
}

fn talk(plan: &Plan, table: &mut Table) -> Result<(), String> {
    for (name, pace) in [
        ("160 in flight, 1,000 peers", Pace::InFlight(16)),
        ("10 messages/s to 1,000 peers", Pace::PerSecond(10)),
    ] {
        let runs: Vec<Heard> = (0..plan.runs)
            .map(|_| plan.heard(|| plan.natterjack(), &plan.fan(1000, pace)))
            .collect::<Result<_, _>>()?;
        let of = |figure: fn(&Heard) -> f64| median(&runs, figure);
        table.note(
            &format!("{name}: deliveries/s"),
            format!("{:.0}", of(|h| h.rate)),
        );
        table.note("  CPU per delivery", format!("{:.3} us", of(|h| h.cpu)));
        table.note("  of a core", format!("{:.0} %", of(|h| h.busy)));
        let times = [of(|h| h.p50), of(|h| h.p99), of(|h| h.max)];
        let times = times.map(|ms| format!("{ms:.1}")).join("/");
        table.note("  p50/p99/max", format!("{times} ms"));
        let wrong = |h: &Heard| h.wrong.lost + h.wrong.doubled + h.wrong.reordered;
        let wrong: u64 = runs.iter().map(wrong).sum();
        table.note("  lost, doubled or out of order", wrong.to_string());
        let others = runs.iter().fold(0.0, |most, h| h.others.max(most));
        table.note("  others' CPU meanwhile, at most", format!("{others:.0} %"));
    }
    Ok(())
}
