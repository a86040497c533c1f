//! Followers by server-sent events beside as many typed peers: the same room, the same messages.

use std::time::Duration;

use crate::measure::{self, Pace};
use crate::plan::Plan;
use crate::rows::{account, millions, times};
use crate::subject::{Listeners, Subject};
use crate::table::{Goal, Table, median};

/// How much more than a typed peer a follower may cost.
const MORE: Goal = Goal::Most(1.1, "1.1 x");

/// Deliveries and idle peers. The column of the limit has the typed peers.
pub fn rows(plan: &Plan, table: &mut Table) -> Result<f64, String> {
    let start = |listeners| Ok::<Subject, String>(plan.discreet()?.before(listeners));
    let mut worst = 0.0_f64;
    for (pace, name) in [
        (Pace::PerSecond(20), "20 messages/s"),
        (Pace::InFlight(16), "160 in flight"),
    ] {
        let fan = plan.fan(1000, pace);
        let runs = plan.pairs(
            &format!("followers, {name}"),
            || plan.heard(|| start(Listeners::Events), &fan),
            || plan.heard(|| start(Listeners::Typed), &fan),
        )?;
        let ratio = median(&runs, |(ours, typed)| ours.cpu / typed.cpu);
        let us = |figure: f64| format!("{figure:.3} us");
        let cells = [
            us(median(&runs, |run| run.0.cpu)),
            us(median(&runs, |run| run.1.cpu)),
            format!("{ratio:.2} x"),
        ];
        let work = format!("{name} to 1,000 followers, beside typed peers: CPU per delivery");
        table.goal(&work, cells, ratio, MORE);
        let ratio = median(&runs, |(ours, typed)| ours.rate / typed.rate);
        let cells = [
            millions(median(&runs, |run| run.0.rate)),
            millions(median(&runs, |run| run.1.rate)),
            format!("{ratio:.2} x"),
        ];
        table.goal("  deliveries/s", cells, ratio, Goal::Least(0.9, "0.9 x"));
        table.goal("  p50/p99/max", times(&runs), 0.0, Goal::None);
        worst = worst.max(account(table, &runs));
    }
    let idle = |listeners| measure::idle(&start(listeners)?, plan.peers, Duration::ZERO);
    let runs = plan.pairs(
        "idle followers",
        || idle(Listeners::Events),
        || idle(Listeners::Typed),
    )?;
    let ratio = median(&runs, |(ours, typed)| ours.pss / typed.pss);
    let bytes = |figure: f64| format!("{figure:.0} B");
    let cells = [
        bytes(median(&runs, |run| run.0.pss)),
        bytes(median(&runs, |run| run.1.pss)),
        format!("{ratio:.2} x"),
    ];
    let work = "  idle: PSS per follower, beside typed peers";
    table.goal(work, cells, ratio, Goal::Most(1.0, "1 x"));
    Ok(worst)
}
