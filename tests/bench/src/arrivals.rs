//! Many who come at once: people who all come in the same moment, or all come back in it, and
//! connections that say nothing beside people who do.

mod silence;
pub mod storm;

use crate::plan::Plan;
use crate::subject::Setting;
use crate::table::{Goal, Table, median};
use silence::SILENT;
use storm::Storm;

/// People who come at once.
pub const PEOPLE: usize = 5000;

/// Lines of the table.
pub fn rows(plan: &Plan, table: &mut Table) -> Result<f64, String> {
    let people = PEOPLE.min(plan.peers);
    let runs = plan.pairs(
        "all at once",
        || storm::at_once(&plan.discreet()?, people),
        || storm::at_once(&plan.limit(false)?, people),
    )?;
    let (ours, limit): (Vec<_>, Vec<_>) = runs.into_iter().unzip();
    let name = format!("{people} join one room at once: until the last is in");
    lines(table, &name, &ours, &limit, Goal::Most(300.0, "300 ms"));

    let run = |name: &str, storm: &dyn Fn() -> Result<Storm, String>| {
        let run = |number: usize| {
            eprintln!("{name}: run {number} of {}", plan.runs);
            storm()
        };
        (1..=plan.runs).map(run).collect::<Result<Vec<_>, _>>()
    };
    let back = run("all back", &|| storm::back(&plan.discreet()?, people))?;
    let name = format!("{people} cut and back with `since`: until the last has all");
    lines(table, &name, &back, &[], Goal::Most(500.0, "500 ms"));

    let restarted = run("all back after a restart", &|| {
        let mut subject = plan.natterjack_as(Setting {
            redis: 1,
            notices: false,
            ..Setting::default()
        })?;
        storm::back_after_restart(&mut subject, people, &plan.cores)
    })?;
    let name = "the same behind Redis, after a restart of the server";
    lines(table, name, &restarted, &[], Goal::Most(800.0, "800 ms"));

    silent(plan, table)?;
    let all = ours.iter().chain(&limit).chain(&back).chain(&restarted);
    Ok(all.fold(0.0, |worst, storm| worst.max(storm.others)))
}

/// Lines for one kind of storm, with the limit's beside it where there are any.
fn lines(table: &mut Table, name: &str, ours: &[Storm], limit: &[Storm], goal: Goal) {
    let mut line = |name: &str, figure: fn(&Storm) -> f64, unit: &str, goal: Goal| {
        let own = median(ours, figure);
        let cell = |figure: f64| format!("{figure:.1} {unit}").trim_end().to_owned();
        let [beside, ratio] = match limit {
            [] => [String::new(), String::new()],
            _ => {
                let limit = median(limit, figure);
                let ratio = match limit > 0.0 {
                    true => format!("{:.2} x", own / limit),
                    false => String::new(),
                };
                [cell(limit), ratio]
            }
        };
        table.goal(name, [cell(own), beside, ratio], own, goal);
    };
    line(name, |storm| storm.took, "ms", goal);
    line("  CPU for each", |storm| storm.cpu, "us", Goal::None);
    if ours.iter().any(|storm| storm.redis > 0.0) {
        line(
            "  Redis CPU for each",
            |storm| storm.redis,
            "us",
            Goal::None,
        );
    }
    line("  SYNs dropped", |storm| storm.dropped, "", Goal::Zero);
    if ours.iter().any(|storm| storm.again > 0.0) {
        line(
            "  refused, and came again",
            |storm| storm.again,
            "",
            Goal::Zero,
        );
    }
    let goal = Goal::Most(50.0, "50 ms");
    line(
        "  a bystander's worst wait",
        |storm| storm.waits.worst,
        "ms",
        goal,
    );
    let sum = |figure: fn(&Storm) -> u64| ours.iter().map(figure).sum::<u64>();
    let wrong = [
        sum(|storm| storm.wrong.lost),
        sum(|storm| storm.wrong.doubled),
        sum(|storm| storm.wrong.reordered),
    ];
    if limit.is_empty() {
        let cells = [
            wrong.map(|count| count.to_string()).join("/"),
            String::new(),
            String::new(),
        ];
        let all = wrong.iter().sum::<u64>() as f64;
        table.goal("  lost/doubled/reordered", cells, all, Goal::Zero);
    }
}

/// Requests beside connections that say nothing.
fn silent(plan: &Plan, table: &mut Table) -> Result<(), String> {
    let flood = |number: usize| {
        eprintln!("silent connections: run {number} of {}", plan.runs);
        silence::beside_silence(&plan.natterjack()?, plan.time, plan.peers)
    };
    let runs: Vec<_> = (1..=plan.runs).map(flood).collect::<Result<_, _>>()?;
    let one = |ours: String| [ours, String::new(), String::new()];
    let answered = median(&runs, |run| run.answered);
    let name = format!("{SILENT:.0} silent connections/s: requests that are answered beside them");
    let goal = Goal::Least(100.0, "100 %");
    table.goal(&name, one(format!("{answered:.1} %")), answered, goal);
    let (p50, max) = (median(&runs, |run| run.p50), median(&runs, |run| run.max));
    let times = format!("{p50:.2}/{max:.2} ms");
    table.goal("  p50/max", one(times), 0.0, Goal::None);
    Ok(())
}
