//! Several instances behind one Redis: rooms of ten whose peers are spread over one to eight of them.
//! Beside what a message costs there stands a model that knows the costs of one and of two: each
//! further instance that listens to a room costs as much as the second.

use crate::measure::Heard;
use crate::plan::Plan;
use crate::rooms::{self, PACES};
use crate::rows::account;
use crate::subject::Setting;
use crate::table::{Goal, Table, median};

/// Peers of every room are on each of them.
const INSTANCES: [usize; 4] = [1, 2, 4, 8];

/// Lines of the table, at two paces.
pub fn rows(plan: &Plan, table: &mut Table) -> Result<f64, String> {
    table.section([
        "500 rooms of ten through one Redis, over 1 to 8 instances",
        "measured",
        "the model",
    ]);
    let mut worst = 0.0_f64;
    for (pace, name) in &PACES[..2] {
        let fan = rooms::fan(plan, *pace);
        let run = |number: usize| {
            eprintln!(
                "one to eight instances, {name}: run {number} of {}",
                plan.runs
            );
            let through = |instances| {
                let setting = Setting {
                    redis: 1,
                    instances,
                    ..Setting::default()
                };
                plan.heard(|| plan.natterjack_as(setting), &fan)
            };
            INSTANCES.into_iter().map(through).collect()
        };
        let runs: Vec<Vec<Heard>> = (1..=plan.runs).map(run).collect::<Result<_, _>>()?;
        for (at, instances) in INSTANCES.into_iter().enumerate() {
            let work = format!("{name}, over {instances}: CPU of all per message");
            line(table, &work, &runs, at, rooms::message);
            line(table, "  CPU of Redis", &runs, at, |heard| heard.redis);
        }
        let all: Vec<_> = runs.concat().into_iter().map(|run| (run, run)).collect();
        worst = worst.max(account(table, &all));
    }
    Ok(worst)
}

/// A figure of that many instances, beside what those of one and of two let expect.
fn line(table: &mut Table, work: &str, runs: &[Vec<Heard>], at: usize, figure: fn(&Heard) -> f64) {
    let measured = |at: usize| median(runs, |run| figure(&run[at]));
    let [one, two, measured] = [0, 1, at].map(measured);
    let expected = one + (INSTANCES[at] - 1) as f64 * (two - one);
    let cells = [
        format!("{measured:.0} us"),
        format!("{expected:.0} us"),
        format!("{:.2} x", measured / expected),
    ];
    table.goal(work, cells, 0.0, Goal::None);
}
