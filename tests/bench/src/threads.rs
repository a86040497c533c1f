//! What more threads are good for: the same work on one and on two, which share the machine's cores
//! with the generator.

use crate::counts::Shape;
use crate::measure::{Fan, Pace, SIZE};
use crate::plan::Plan;
use crate::subject::{Setting, Subject};
use crate::table::{Goal, Table, median};

/// Small rooms that talk all at once.
const ROOMS: usize = 500;

/// How much of a core the generator itself uses.
const GENERATOR: &str = "  the generator, of a core";

/// Lines of the table.
pub fn rows(plan: &Plan, table: &mut Table) -> Result<f64, String> {
    let on = |threads: usize, notices: bool| -> Result<Subject, String> {
        plan.natterjack_as(Setting {
            threads,
            notices,
            spread: true,
            ..Setting::default()
        })
    };
    table.section([
        "one and two threads, sharing all cores with the generator",
        "two",
        "one",
    ]);
    let churned = |threads| plan.churned(|| on(threads, false));
    let runs = plan.pairs("churn on two threads", || churned(2), || churned(1))?;
    let mut worst = disturbance(&runs, |churn| churn.others);
    let name = "connect, upgrade, name, leave: connections/s";
    let least = Goal::Least(1.1, "1.1 x");
    line(table, name, &runs, |churn| churn.rate / 1e3, "k", least);
    line(
        table,
        "  CPU each",
        &runs,
        |churn| churn.cpu,
        "us",
        Goal::None,
    );
    line(
        table,
        GENERATOR,
        &runs,
        |churn| churn.generator,
        "%",
        Goal::None,
    );
    let small = Shape {
        rooms: ROOMS,
        peers: 2,
        authors: 2,
    };
    let work = [
        ("500 rooms of 2 who talk", small, Pace::InFlight(1)),
        (
            "160 in flight, 1,000 peers in one room",
            Shape::lobby(1000, 10),
            Pace::InFlight(16),
        ),
        (
            "20 messages/s to 1,000 peers",
            Shape::lobby(1000, 1),
            Pace::PerSecond(20),
        ),
    ];
    for (name, shape, pace) in work {
        let fan = Fan {
            shape,
            size: SIZE,
            pace,
            time: plan.time,
        };
        let heard = |threads| plan.heard(|| on(threads, true), &fan);
        let runs = plan.pairs(name, || heard(2), || heard(1))?;
        worst = worst.max(disturbance(&runs, |heard| heard.others));
        let goal = match pace {
            Pace::InFlight(1) => least,
            _ => Goal::None,
        };
        let deliveries = format!("{name}: deliveries");
        line(
            table,
            &deliveries,
            &runs,
            |heard| heard.rate / 1e6,
            "M/s",
            goal,
        );
        line(
            table,
            "  CPU each",
            &runs,
            |heard| heard.cpu,
            "us",
            Goal::None,
        );
        line(
            table,
            "  half of them within",
            &runs,
            |heard| heard.p50,
            "ms",
            Goal::None,
        );
        line(
            table,
            "  99 of 100 within",
            &runs,
            |heard| heard.p99,
            "ms",
            Goal::None,
        );
        line(
            table,
            GENERATOR,
            &runs,
            |heard| heard.generator,
            "%",
            Goal::None,
        );
    }
    Ok(worst)
}

/// A figure of two settings, such as two threads and one, and their ratio, which is judged.
pub fn line<T>(
    table: &mut Table,
    name: &str,
    runs: &[(T, T)],
    figure: impl Fn(&T) -> f64,
    unit: &str,
    goal: Goal,
) {
    let two = median(runs, |(two, _)| figure(two));
    let one = median(runs, |(_, one)| figure(one));
    let ratio = median(runs, |(two, one)| figure(two) / figure(one));
    let cells = [
        format!("{two:.3} {unit}"),
        format!("{one:.3} {unit}"),
        format!("{ratio:.2} x"),
    ];
    table.goal(name, cells, ratio, goal);
}

/// The most that others used in any run.
pub fn disturbance<T>(runs: &[(T, T)], others: impl Fn(&T) -> f64) -> f64 {
    let all = runs
        .iter()
        .flat_map(|(two, one)| [others(two), others(one)]);
    all.fold(0.0, f64::max)
}
