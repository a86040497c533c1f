//! What is in the table, each row with its goal. Ratios are taken within each run and beside the
//! limit of the same run; the medians of all runs are printed.

use crate::arrivals;
use crate::cluster;
use crate::flood;
use crate::followers;
use crate::instances;
use crate::journal;
use crate::measure::{self, Heard, Idle, Pace};
use crate::plan::Plan;
use crate::private;
use crate::proc;
use crate::rooms;
use crate::secure;
use crate::subject::Subject;
use crate::table::{Goal, Table, median};
use crate::threads;

/// Adds lines to the table and returns how much others used of a core meanwhile, percent.
pub type Row = fn(&Plan, &mut Table) -> Result<f64, String>;

/// Everything, by the names that `--row` takes.
const ROWS: [(&str, Row); 17] = [
    ("steady", steady),
    ("saturated", saturated),
    ("redis", through_redis),
    ("cluster", cluster::rows),
    ("instances", instances::rows),
    ("latency", latency),
    ("rooms", rooms::rows),
    ("private", private::rows),
    ("idle", idle),
    ("churn", churn),
    ("flood", flood::row),
    ("arrivals", arrivals::rows),
    ("start", start),
    ("threads", threads::rows),
    ("tls", secure::rows),
    ("journal", journal::rows),
    ("followers", followers::rows),
];

/// These take long and change seldom: where all rows are run, each of these is run once.
pub const ONCE: [&str; 6] = [
    "cluster",
    "instances",
    "threads",
    "tls",
    "journal",
    "followers",
];

/// All rows or one, and how often each is run.
pub fn chosen(plan: &Plan, only: Option<&str>) -> Result<Vec<(&'static str, Row, usize)>, String> {
    let wanted = |name: &str| only.is_none_or(|only| only == name);
    let rows = ROWS.into_iter().filter(|(name, _)| wanted(name));
    let rows: Vec<_> = rows
        .map(|(name, row)| match only.is_none() && ONCE.contains(&name) {
            true => (name, row, 1),
            false => (name, row, plan.runs),
        })
        .collect();
    match rows.is_empty() {
        true => Err(format!(
            "the rows are: {}",
            ROWS.map(|(name, _)| name).join(", ")
        )),
        false => Ok(rows),
    }
}

/// Runs everything, or one row.
pub fn table(plan: &Plan, only: Option<&str>) -> Result<Table, String> {
    let mut table = Table::new(&[
        "server on one core",
        "natterjack",
        "the limit",
        "ratio",
        "goal",
        "met",
    ]);
    let mut worst = 0.0_f64;
    for (name, row, runs) in chosen(plan, only)? {
        let plan = Plan {
            runs,
            ..plan.clone()
        };
        // The others count all the same.
        match row(&plan, &mut table) {
            Ok(others) => worst = worst.max(others),
            Err(error) => table.note(&format!("the row {name} is not measured"), error),
        }
    }
    table.disturbed(worst);
    Ok(table)
}

/// What went wrong in natterjack's runs, and the most that others used in any.
pub fn account(table: &mut Table, runs: &[(Heard, Heard)]) -> f64 {
    let sum = |count: fn(&Heard) -> u64| runs.iter().map(|(ours, _)| count(ours)).sum::<u64>();
    let (lost, doubled) = (sum(|ours| ours.wrong.lost), sum(|ours| ours.wrong.doubled));
    let wrong = format!("{lost}/{doubled}/{}", sum(|ours| ours.wrong.reordered));
    let all = lost + doubled + sum(|ours| ours.wrong.reordered);
    let cells = [wrong, String::new(), String::new()];
    table.goal("  lost/doubled/reordered", cells, all as f64, Goal::Zero);
    runs.iter().fold(0.0, |worst, (ours, limit)| {
        worst.max(ours.others).max(limit.others)
    })
}

/// How long it took until peers had heard it, of both.
pub fn times(runs: &[(Heard, Heard)]) -> [String; 3] {
    let all = |pick: fn(&(Heard, Heard)) -> Heard| {
        let of = |figure: fn(&Heard) -> f64| median(runs, |run| figure(&pick(run)));
        format!(
            "{:.2}/{:.2}/{:.2} ms",
            of(|h| h.p50),
            of(|h| h.p99),
            of(|h| h.max)
        )
    };
    [all(|run| run.0), all(|run| run.1), String::new()]
}

fn steady(plan: &Plan, table: &mut Table) -> Result<f64, String> {
    let fan = plan.fan(1000, Pace::PerSecond(20));
    let each = || plan.heard(|| plan.limit(false), &fan);
    let ours = || plan.heard(|| plan.natterjack(), &fan);
    let runs = plan.pairs("20 messages/s", ours, each)?;
    let ratio = median(&runs, |(ours, limit)| ours.cpu / limit.cpu);
    let us = |figure: f64| format!("{figure:.2} us");
    let cells = [
        us(median(&runs, |r| r.0.cpu)),
        us(median(&runs, |r| r.1.cpu)),
        format!("{ratio:.2} x"),
    ];
    table.goal(
        "20 messages/s to 1,000 peers: CPU per delivery",
        cells,
        ratio,
        Goal::Most(1.05, "1.05 x"),
    );
    table.goal("  p50/p99/max", times(&runs), 0.0, Goal::None);
    Ok(account(table, &runs))
}

fn saturated(plan: &Plan, table: &mut Table) -> Result<f64, String> {
    let fan = plan.fan(1000, Pace::InFlight(16));
    let batched = || plan.heard(|| plan.limit(true), &fan);
    let ours = || plan.heard(|| plan.natterjack(), &fan);
    let runs = plan.pairs("160 in flight", ours, batched)?;
    let ratio = median(&runs, |(ours, limit)| ours.cpu / limit.cpu);
    let us = |figure: f64| format!("{figure:.4} us");
    let cells = [
        us(median(&runs, |r| r.0.cpu)),
        us(median(&runs, |r| r.1.cpu)),
        format!("{ratio:.2} x"),
    ];
    table.goal(
        "160 in flight, 1,000 peers: CPU per delivery",
        cells,
        ratio,
        Goal::Most(1.05, "1.05 x"),
    );
    let (ours, limit) = (median(&runs, |r| r.0.rate), median(&runs, |r| r.1.rate));
    let cells = [
        millions(ours),
        millions(limit),
        format!("{:.2} x", median(&runs, |r| r.0.rate / r.1.rate)),
    ];
    table.goal("  deliveries/s", cells, ours, Goal::Least(15e6, "15 M"));
    let busy = [
        percent(median(&runs, |r| r.0.busy)),
        percent(median(&runs, |r| r.1.busy)),
        String::new(),
    ];
    table.goal("  server's core in use", busy, 0.0, Goal::None);
    Ok(account(table, &runs))
}

fn through_redis(plan: &Plan, table: &mut Table) -> Result<f64, String> {
    let fan = plan.fan(1000, Pace::InFlight(16));
    let batched = || plan.heard(|| plan.limit(true), &fan);
    let ours = || plan.heard(|| plan.with_redis(), &fan);
    let runs = plan.pairs("through Redis", ours, batched)?;
    let (ours, limit) = (median(&runs, |r| r.0.rate), median(&runs, |r| r.1.rate));
    let cells = [
        millions(ours),
        millions(limit),
        format!("{:.2} x", median(&runs, |r| r.0.rate / r.1.rate)),
    ];
    table.goal(
        "the same through Redis on this core: deliveries/s",
        cells,
        ours,
        Goal::Least(10e6, "10 M"),
    );
    let redis = median(&runs, |r| r.0.redis);
    let cells = [format!("{redis:.1} us"), String::new(), String::new()];
    table.goal(
        "  Redis CPU per message",
        cells,
        redis,
        Goal::Most(15.0, "15 us"),
    );
    Ok(account(table, &runs))
}

fn latency(plan: &Plan, table: &mut Table) -> Result<f64, String> {
    let fan = plan.fan(200, Pace::PerSecond(100));
    let each = || plan.heard(|| plan.limit(false), &fan);
    let ours = || plan.heard(|| plan.natterjack(), &fan);
    let runs = plan.pairs("100 messages/s", ours, each)?;
    let ratio = median(&runs, |(ours, limit)| ours.p99 / limit.p99);
    let [ours, limit, _] = times(&runs);
    let cells = [ours, limit, format!("{ratio:.2} x")];
    table.goal(
        "100 messages/s to 200 peers: p50/p99/max",
        cells,
        ratio,
        Goal::Most(1.2, "1.2 x"),
    );
    Ok(account(table, &runs))
}

fn idle(plan: &Plan, table: &mut Table) -> Result<f64, String> {
    let of = |start: Result<Subject, String>| measure::idle(&start?, plan.peers, plan.hold);
    let ours = || Ok((of(plan.natterjack())?, of(plan.with_redis())?));
    let runs = plan.pairs("idle peers", ours, || of(plan.limit(false)))?;
    let (alone, redis, limit): (Vec<_>, Vec<_>, Vec<_>) = runs
        .into_iter()
        .map(|((alone, redis), limit)| (alone, redis, limit))
        .collect();
    let name = |peers: usize| format!("{},{:03}", peers / 1000, peers % 1000);
    let cells = |runs: &[Idle], figure: fn(&Idle) -> f64, unit: &str| {
        let (ours, limit) = (median(runs, figure), median(&limit, figure));
        (
            [
                format!("{ours:.0} {unit}"),
                format!("{limit:.0} {unit}"),
                String::new(),
            ],
            ours,
        )
    };
    let (bytes, ours) = cells(&alone, |idle| idle.pss, "B");
    let work = format!("{} idle peers in the lobby: PSS per peer", name(plan.peers));
    table.goal(&work, bytes, ours, Goal::Most(1850.0, "1850 B"));
    let (bytes, ours) = cells(&redis, |idle| idle.pss, "B");
    table.goal("  with Redis", bytes, ours, Goal::Most(1950.0, "1950 B"));
    let (bytes, _) = cells(&alone, |idle| idle.objects, "B");
    table.goal(
        "  kernel objects per connection, both ends",
        bytes,
        0.0,
        Goal::None,
    );
    let (bytes, _) = cells(&alone, |idle| idle.buffers, "B");
    table.goal(
        "  kernel TCP buffers per connection, both ends",
        bytes,
        0.0,
        Goal::None,
    );
    let (wakes, ours) = cells(&alone, |idle| idle.wakes, "/s");
    table.goal("  wake-ups", wakes, ours, Goal::Most(2.0, "2 /s"));
    let (wakes, ours) = cells(&redis, |idle| idle.wakes, "/s");
    table.goal(
        "  wake-ups with Redis",
        wakes,
        ours,
        Goal::Most(2.0, "2 /s"),
    );
    let (written, ours) = cells(&alone, |idle| idle.written as f64, "B");
    table.goal("  written to disks", written, ours, Goal::Zero);
    let (written, ours) = cells(&redis, |idle| idle.written as f64, "B");
    table.goal("  with Redis", written, ours, Goal::Zero);
    let rest = |runs| format!("{:.2} ms/s", median(runs, |idle: &Idle| idle.rest));
    table.goal(
        "  CPU",
        [rest(&alone), rest(&limit), String::new()],
        0.0,
        Goal::None,
    );
    // A join costs the same for any number of members: the second half costs what the first did.
    for (name, runs) in [("", &alone), (" with Redis", &redis)] {
        let [first, second] = [
            median(runs, |idle| idle.cpu.0),
            median(runs, |idle| idle.cpu.1),
        ];
        let seconds = |runs| format!("{:.2} s", median(runs, |idle: &Idle| idle.joined));
        let work = format!("  their joins{name}, notices on as by default");
        table.goal(
            &work,
            [seconds(runs), seconds(&limit), String::new()],
            0.0,
            Goal::None,
        );
        let cells = [
            format!("{first:.0}, {second:.0} us"),
            String::new(),
            format!("{:.2} x", second / first),
        ];
        let work = "  CPU per join: first half, second half";
        table.goal(work, cells, second / first, Goal::Most(1.5, "1.5 x"));
    }
    Ok(0.0)
}

fn churn(plan: &Plan, table: &mut Table) -> Result<f64, String> {
    let limit = || plan.churned(|| plan.limit(false));
    let runs = plan.pairs("churn", || plan.churned(|| plan.discreet()), limit)?;
    let (ours, limit) = (median(&runs, |r| r.0.cpu), median(&runs, |r| r.1.cpu));
    let ratio = format!(
        "{:.2} x",
        median(&runs, |(ours, limit)| ours.cpu / limit.cpu)
    );
    let cells = [format!("{ours:.1} us"), format!("{limit:.1} us"), ratio];
    let work = "connect, upgrade, name, leave: CPU per connection";
    table.goal(work, cells, ours, Goal::Most(25.0, "25 us"));
    let (ours, limit) = (median(&runs, |r| r.0.rate), median(&runs, |r| r.1.rate));
    let cells = [
        format!("{ours:.0} /s"),
        format!("{limit:.0} /s"),
        format!("{:.2} x", ours / limit),
    ];
    table.goal("  connections", cells, 0.0, Goal::None);
    // Fifty come and go at a time, and each is announced to those who are there.
    let told: Vec<_> = (0..plan.runs)
        .map(|_| plan.churned(|| plan.natterjack()))
        .collect::<Result<_, _>>()?;
    table.note(
        "  CPU per connection with notices",
        format!("{:.1} us", median(&told, |churn| churn.cpu)),
    );
    Ok(runs.iter().fold(0.0, |worst, (ours, limit)| {
        worst.max(ours.others).max(limit.others)
    }))
}

fn start(plan: &Plan, table: &mut Table) -> Result<f64, String> {
    let begin = || {
        let subject = plan.natterjack()?;
        Ok((
            proc::memory(subject.pids()[0]).0 as f64,
            subject.ready_after.as_secs_f64() * 1e3,
        ))
    };
    let runs: Vec<(f64, f64)> = (0..plan.runs.max(3))
        .map(|_| begin())
        .collect::<Result<_, String>>()?;
    let (rss, ready) = (median(&runs, |run| run.0), median(&runs, |run| run.1));
    let mib = rss / f64::from(1 << 20);
    let one = |ours: String| [ours, String::new(), String::new()];
    table.goal(
        "memory at start, RSS",
        one(format!("{mib:.2} MiB")),
        mib,
        Goal::Most(4.0, "4 MiB"),
    );
    table.goal(
        "  until the first answer",
        one(format!("{ready:.1} ms")),
        0.0,
        Goal::None,
    );
    let small = plan
        .server
        .ancestors()
        .nth(2)
        .map(|target| target.join("small/natterjack"));
    let sizes = [
        (
            "release binary",
            Some(plan.server.clone()),
            Goal::Most(3.7, "3.7 MB"),
        ),
        ("smallest build", small, Goal::Most(0.8, "0.8 MB")),
    ];
    for (name, path, goal) in sizes {
        if let Some(size) = path.and_then(|path| std::fs::metadata(path).ok()) {
            let mb = size.len() as f64 / 1e6;
            table.goal(name, one(format!("{mb:.2} MB")), mb, goal);
        }
    }
    Ok(0.0)
}

/// In millions.
pub fn millions(figure: f64) -> String {
    format!("{:.2} M", figure / 1e6)
}

fn percent(figure: f64) -> String {
    format!("{figure:.0} %")
}
