//! What more threads are good for: the same work on one and on two, which share the machine's cores
//! with the generator.

use crate::measure::{Fan, Pace, SIZE};
use crate::plan::Plan;
use crate::subject::{Setting, Subject};
use crate::table::{Goal, Table, median};
use crate::tally::Shape;

/// Small rooms that talk all at once.
const ROOMS: usize = 500;

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
    let cells = |one: f64, two: f64, ratio: f64, unit: &str| {
        [
            format!("{two:.3} {unit}"),
            format!("{one:.3} {unit}"),
            format!("{ratio:.2} x"),
        ]
    };
    table.section([
        "one and two threads, sharing all cores with the generator",
        "two",
        "one",
    ]);
    let churned = |threads| plan.churned(|| on(threads, false));
    let runs = plan.pairs("churn on two threads", || churned(2), || churned(1))?;
    let rate = median(&runs, |(two, one)| two.rate / one.rate);
    let thousands = |pick: fn(&(_, _)) -> f64| median(&runs, pick) / 1e3;
    table.goal(
        "connect, upgrade, name, leave: connections/s",
        cells(thousands(|r| r.1.rate), thousands(|r| r.0.rate), rate, "k"),
        rate,
        Goal::Least(1.1, "1.1 x"),
    );
    let (one, two) = (median(&runs, |r| r.1.cpu), median(&runs, |r| r.0.cpu));
    let each = cells(one, two, two / one, "us");
    table.goal("  CPU each", each, 0.0, Goal::None);
    let generator = |two: f64, one: f64| {
        let percent = |share: f64| format!("{share:.0} % of a core");
        [percent(two), percent(one), String::new()]
    };
    let (one, two) = (
        median(&runs, |r| r.1.generator),
        median(&runs, |r| r.0.generator),
    );
    table.goal("  the generator", generator(two, one), 0.0, Goal::None);
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
        let rate = median(&runs, |(two, one)| two.rate / one.rate);
        let millions = |pick: fn(&(_, _)) -> f64| median(&runs, pick) / 1e6;
        let goal = match pace {
            Pace::InFlight(1) => Goal::Least(1.1, "1.1 x"),
            _ => Goal::None,
        };
        let rates = cells(millions(|r| r.1.rate), millions(|r| r.0.rate), rate, "M/s");
        table.goal(&format!("{name}: deliveries"), rates, rate, goal);
        let (one, two) = (median(&runs, |r| r.1.cpu), median(&runs, |r| r.0.cpu));
        let each = cells(one, two, two / one, "us");
        table.goal("  CPU each", each, 0.0, Goal::None);
        let (one, two) = (median(&runs, |r| r.1.p50), median(&runs, |r| r.0.p50));
        let half = cells(one, two, two / one, "ms");
        table.goal("  half of them within", half, 0.0, Goal::None);
        let (one, two) = (median(&runs, |r| r.1.p99), median(&runs, |r| r.0.p99));
        let most = cells(one, two, two / one, "ms");
        table.goal("  99 of 100 within", most, 0.0, Goal::None);
        let (one, two) = (
            median(&runs, |r| r.1.generator),
            median(&runs, |r| r.0.generator),
        );
        table.goal("  the generator", generator(two, one), 0.0, Goal::None);
    }
    Ok(0.0)
}
