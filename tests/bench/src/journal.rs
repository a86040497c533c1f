//! The journal: natterjack with `--data`, beside the same without, and beside SQLite, which keeps the
//! same messages on the same disk.

mod spoken;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::counts::Shape;
use crate::disk::Disk;
use crate::measure::{self, Fan, Heard, Pace, SIZE};
use crate::plan::Plan;
use crate::proc;
use crate::rows::{account, millions, times};
use crate::subject::{Setting, Subject};
use crate::table::{Goal, Table, median};

/// So many bytes of files are read at a start.
const LOG: u64 = 16 << 20;

/// A folder for `--data`, which is removed in the end.
struct Data(PathBuf);

impl Data {
    /// An empty one.
    fn new(plan: &Plan) -> Result<Data, String> {
        let folder = plan.data.join(format!("journal-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        let made = fs::create_dir_all(&folder);
        made.map_err(|error| format!("{}: {error}", folder.display()))?;
        Ok(Data(folder))
    }

    /// Natterjack, which keeps messages there.
    fn natterjack(&self, plan: &Plan) -> Result<Subject, String> {
        plan.natterjack_as(Setting {
            data: Some(&self.0),
            ..Setting::default()
        })
    }

    /// Its files, and what they take.
    fn files(&self) -> Vec<(PathBuf, u64)> {
        let files = fs::read_dir(&self.0).into_iter().flatten().flatten();
        files
            .filter_map(|file| Some((file.path(), file.metadata().ok()?.len())))
            .collect()
    }

    /// What all of them take.
    fn size(&self) -> u64 {
        self.files().iter().map(|(_, size)| size).sum()
    }
}

impl Drop for Data {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Lines of the table.
pub fn rows(plan: &Plan, table: &mut Table) -> Result<f64, String> {
    fs::create_dir_all(&plan.data).map_err(|error| format!("{}: {error}", plan.data.display()))?;
    let disk = Disk::of(&plan.data).map_err(|error| format!("the disk: {error}"))?;
    let head = format!("with --data on {}, server on one core", disk.file_system());
    table.section([&head, "with", "without"]);
    let mut worst = saturated(plan, table)?;
    for (name, peers, rate) in [
        ("100 messages/s to 200 peers", 200, 100),
        ("20 messages/s to 1,000 peers", 1000, 20),
    ] {
        worst = worst.max(paced(
            plan,
            table,
            name,
            &plan.fan(peers, Pace::PerSecond(rate)),
        )?);
    }
    start(plan, table)?;
    spoken::rows(plan, table, &disk)?;
    Ok(worst)
}

/// With and without, in turn.
fn runs(plan: &Plan, name: &str, fan: &Fan) -> Result<Vec<(Heard, Heard)>, String> {
    let with = || {
        let data = Data::new(plan)?;
        plan.heard(|| data.natterjack(plan), fan)
    };
    plan.pairs(name, with, || plan.heard(|| plan.natterjack(), fan))
}

fn saturated(plan: &Plan, table: &mut Table) -> Result<f64, String> {
    let name = "160 in flight, 1,000 peers";
    let runs = runs(plan, name, &plan.fan(1000, Pace::InFlight(16)))?;
    let ratio = median(&runs, |(with, without)| with.rate / without.rate);
    let cells = [
        millions(median(&runs, |run| run.0.rate)),
        millions(median(&runs, |run| run.1.rate)),
        format!("{ratio:.2} x"),
    ];
    let goal = Goal::Least(0.9, "0.9 x");
    table.goal(&format!("{name}: deliveries/s"), cells, ratio, goal);
    let cells = [
        format!("{:.4} us", median(&runs, |run| run.0.cpu)),
        format!("{:.4} us", median(&runs, |run| run.1.cpu)),
        format!("{:.2} x", median(&runs, |run| run.0.cpu / run.1.cpu)),
    ];
    table.goal("  CPU per delivery", cells, 0.0, Goal::None);
    Ok(account(table, &runs))
}

fn paced(plan: &Plan, table: &mut Table, name: &str, fan: &Fan) -> Result<f64, String> {
    let runs = runs(plan, name, fan)?;
    let of = |figure: fn(&Heard) -> f64| median(&runs, |(a, b)| figure(a) / figure(b));
    let (p50, p99) = (of(|heard| heard.p50), of(|heard| heard.p99));
    let [with, without, _] = times(&runs);
    let cells = [with, without, format!("{p50:.2}, {p99:.2} x")];
    let name = format!("{name}: p50/p99/max");
    table.goal(&name, cells, p50, Goal::Most(1.1, "1.1 x (p50)"));
    Ok(account(table, &runs))
}

fn start(plan: &Plan, table: &mut Table) -> Result<(), String> {
    let ready = |subject: Subject| subject.ready_after.as_secs_f64() * 1e3;
    let memory = |subject: &Subject| {
        let pid = subject.pids()[0];
        [proc::memory(pid).0, proc::anonymous_memory(pid)]
            .map(|bytes| bytes as f64 / f64::from(1 << 20))
    };
    let without = || plan.natterjack();
    let empty = || {
        let data = Data::new(plan)?;
        data.natterjack(plan).map(|subject| memory(&subject))
    };
    let other = || without().map(|subject| memory(&subject));
    let runs = plan.pairs("memory", empty, other)?;
    let goal = Goal::Most(0.2, "+0.2 MiB");
    for (at, name, goal) in [
        (0, "memory at start, RSS", goal),
        (1, "  without the program's file and libraries", Goal::None),
    ] {
        let more = median(&runs, |(with, without)| with[at] - without[at]);
        let [with, without] = [
            median(&runs, |run| run.0[at]),
            median(&runs, |run| run.1[at]),
        ]
        .map(|mib| format!("{mib:.2} MiB"));
        table.goal(name, [with, without, format!("{more:+.2} MiB")], more, goal);
    }

    let data = Data::new(plan)?;
    fill(plan, &data)?;
    let size = data.size() as f64 / f64::from(1 << 20);
    let again = || full(plan, &data.0).map(ready);
    let runs = plan.pairs("start", again, || without().map(ready))?;
    let (with, without) = (median(&runs, |run| run.0), median(&runs, |run| run.1));
    let cells = [
        format!("{with:.0} ms"),
        format!("{without:.0} ms"),
        String::new(),
    ];
    let name = format!("until the first answer, with {size:.0} MiB of files");
    table.goal(&name, cells, with, Goal::Most(300.0, "300 ms"));
    Ok(())
}

/// Natterjack with a log as large as may be.
fn full(plan: &Plan, data: &Path) -> Result<Subject, String> {
    plan.natterjack_as(Setting {
        data: Some(data),
        history: Some(1_000_000),
        ..Setting::default()
    })
}

/// Has texts said until there are enough of them, and cuts the file as a power cut would.
fn fill(plan: &Plan, data: &Data) -> Result<(), String> {
    let subject = full(plan, &data.0)?;
    let fan = Fan {
        shape: Shape::lobby(2, 1),
        size: SIZE,
        pace: Pace::InFlight(1000),
        time: Duration::from_millis(500),
    };
    for _ in 0..20 {
        if data.size() >= LOG {
            break;
        }
        measure::fan(&subject, &fan)?;
    }
    drop(subject);
    let largest = data.files().into_iter().max_by_key(|(_, size)| *size);
    let (path, size) = largest.ok_or("there is no file")?;
    let size = size.saturating_sub(data.size().saturating_sub(LOG));
    let file = File::options().write(true).open(&path);
    let cut = file.and_then(|file| file.set_len(size));
    cut.map_err(|error| format!("{}: {error}", path.display()))
}
