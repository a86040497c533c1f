//! Chats as they are: 500 rooms of ten, in which somebody says something now and then.

use crate::counts::Shape;
use crate::measure::{Fan, Heard, Pace, SIZE};
use crate::plan::Plan;
use crate::rows::{account, times};
use crate::table::{Goal, Table, median};

const ROOMS: usize = 500;
const PEERS: usize = 10;

/// How fast they talk, from seldom to as fast as it goes.
pub const PACES: [(Pace, &str); 3] = [
    (Pace::PerSecond(100), "0.2 messages/s each"),
    (Pace::PerSecond(1000), "2 messages/s each"),
    (Pace::InFlight(1), "one in flight each"),
];

/// Alone beside the limit at three paces, and through Redis beside the same alone.
pub fn rows(plan: &Plan, table: &mut Table) -> Result<f64, String> {
    let mut worst = 0.0_f64;
    for (pace, name) in PACES {
        let fan = fan(plan, pace);
        let runs = plan.pairs(
            &format!("rooms of ten, {name}"),
            || plan.heard(|| plan.natterjack(), &fan),
            || plan.heard(|| plan.limit(false), &fan),
        )?;
        let ratio = median(&runs, |(ours, limit)| ours.cpu / limit.cpu);
        let cells = [
            us(median(&runs, |run| message(&run.0))),
            us(median(&runs, |run| message(&run.1))),
            format!("{ratio:.2} x"),
        ];
        let work = format!("{ROOMS} rooms of ten, {name}: CPU per message");
        table.goal(&work, cells, ratio, Goal::Most(1.15, "1.15 x"));
        table.goal("  p50/p99/max", times(&runs), 0.0, Goal::None);
        worst = worst.max(account(table, &runs));
    }
    let fan = fan(plan, Pace::PerSecond(100));
    let runs = plan.pairs(
        "rooms of ten, through Redis",
        || plan.heard(|| plan.with_redis(), &fan),
        || plan.heard(|| plan.natterjack(), &fan),
    )?;
    let ratio = median(&runs, |(redis, alone)| redis.cpu / alone.cpu);
    let cells = [
        us(median(&runs, |run| message(&run.0))),
        us(median(&runs, |run| message(&run.1))),
        format!("{ratio:.2} x"),
    ];
    let work = "the same at 0.2 messages/s through Redis, beside alone: CPU per message";
    table.goal(work, cells, ratio, Goal::Most(1.5, "1.5 x"));
    let redis = median(&runs, |run| run.0.redis);
    let cells = [format!("{redis:.0} us"), String::new(), String::new()];
    table.goal("  Redis CPU", cells, redis, Goal::Most(60.0, "60 us"));
    Ok(worst.max(account(table, &runs)))
}

/// Somebody in each room talks.
pub fn fan(plan: &Plan, pace: Pace) -> Fan {
    Fan {
        shape: Shape {
            rooms: ROOMS,
            peers: PEERS,
            authors: 1,
        },
        size: SIZE,
        pace,
        time: plan.time,
    }
}

/// CPU per message, µs, by what a delivery costs: everybody hears it but its author.
pub fn message(heard: &Heard) -> f64 {
    heard.cpu * (PEERS - 1) as f64
}

fn us(figure: f64) -> String {
    format!("{figure:.0} us")
}
