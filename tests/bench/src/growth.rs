//! How the cost grows: CPU per delivery against peers, rooms, the size of messages, and messages in
//! flight, and CPU per message against rooms of several sizes. A table, and charts of the same figures.

use std::path::Path;
use std::time::Duration;

use crate::chart::{self, Panel};
use crate::counts::Shape;
use crate::measure::{Fan, Heard, Pace, SIZE};
use crate::plan::Plan;
use crate::table::{Table, median};
use crate::wire;

/// People in all rooms together, at most.
const MOST: usize = 10_000;

/// What is made larger, and how a run of each size looks.
struct Curve {
    what: &'static str,
    around: &'static str,
    sizes: Vec<usize>,
    fan: fn(usize) -> (Shape, usize, Pace),
}

/// Measures all curves, writes the chart, and returns the table.
pub fn table(plan: &Plan, chart: &Path, most: usize) -> Result<Table, String> {
    // A server keeps up to a quarter of the files it may open for those who arrive.
    let most = most * 3 / 4;
    let curves = [
        Curve {
            what: "peers in a room",
            around: "160 messages of 64 bytes in flight",
            sizes: vec![10, 100, 1000, 5000, 15_000.min(most)],
            fan: |peers| (Shape::lobby(peers, 10), SIZE, Pace::InFlight(16)),
        },
        Curve {
            what: "rooms of two",
            around: "a message of 64 bytes in flight from each peer",
            sizes: vec![1, 10, 100, 1000, 10_000.min(most / 2)],
            fan: |rooms| {
                let shape = Shape {
                    rooms,
                    peers: 2,
                    authors: 2,
                };
                (shape, SIZE, Pace::InFlight(1))
            },
        },
        Curve {
            what: "bytes of a message",
            around: "1,000 peers, 10 messages in flight",
            sizes: vec![wire::SHORTEST, 64, 256, 1024, 4096, wire::LONGEST],
            fan: |size| (Shape::lobby(1000, 10), size, Pace::InFlight(1)),
        },
        Curve {
            what: "messages in flight",
            around: "1,000 peers, 64 bytes",
            sizes: vec![10, 40, 160, 640, 2560],
            fan: |all| (Shape::lobby(1000, 10), SIZE, Pace::InFlight(all / 10)),
        },
    ];
    let mut table = Table::new(&["what grows", "", "CPU", "deliveries/s", "lost or wrong"]);
    let mut panels = Vec::new();
    for curve in curves {
        let mut points = Vec::new();
        for size in curve.sizes {
            let (shape, bytes, pace) = (curve.fan)(size);
            let fan = Fan {
                shape,
                size: bytes,
                pace,
                time: plan.time,
            };
            let runs = measured(plan, curve.what, size, &fan)?;
            let cpu = line(&mut table, curve.what, size, &runs, 1);
            // Nothing at all was delivered, or nothing was used: no point of a curve.
            if cpu > 0.0 && cpu.is_finite() {
                points.push((size as f64, cpu));
            }
        }
        panels.push(Panel {
            across: curve.what.to_owned(),
            note: curve.around.to_owned(),
            points,
        });
    }
    let title = "natterjack: CPU per delivery, microseconds on one core";
    write(chart, title, &panels)?;
    let panels = rooms_and_people(plan, &mut table, most)?;
    let title = "natterjack: CPU per message, microseconds on one core";
    write(&chart.with_file_name("growth-rooms.svg"), title, &panels)?;
    Ok(table)
}

/// Rooms of several sizes, in which one message is in flight.
fn rooms_and_people(plan: &Plan, table: &mut Table, most: usize) -> Result<Vec<Panel>, String> {
    let most = most.min(MOST);
    let mut panels = Vec::new();
    for people in [2, 10, 100, 1000] {
        let what = format!("rooms of {people}");
        let mut points = Vec::new();
        for rooms in [1, 10, 100, 1000]
            .into_iter()
            .filter(|rooms| rooms * people <= most)
        {
            let fan = Fan {
                shape: Shape {
                    rooms,
                    peers: people,
                    authors: 1,
                },
                size: SIZE,
                pace: Pace::InFlight(1),
                // There are many points.
                time: plan.time.min(Duration::from_secs(1)),
            };
            let runs = measured(plan, &what, rooms, &fan)?;
            let cpu = line(table, &what, rooms, &runs, people - 1);
            if cpu > 0.0 && cpu.is_finite() {
                points.push((rooms as f64, cpu));
            }
        }
        panels.push(Panel {
            across: what,
            note: "a message of 64 bytes in flight in each".to_owned(),
            points,
        });
    }
    Ok(panels)
}

/// Several runs of one point.
fn measured(plan: &Plan, what: &str, size: usize, fan: &Fan) -> Result<Vec<Heard>, String> {
    let run = |number: usize| {
        eprintln!("{what} {size}: run {number} of {}", plan.runs);
        plan.heard(|| plan.natterjack(), fan)
    };
    (1..=plan.runs).map(run).collect()
}

/// Adds a point to the table and returns its CPU for so many deliveries, µs.
fn line(table: &mut Table, what: &str, size: usize, runs: &[Heard], deliveries: usize) -> f64 {
    let cpu = median(runs, |run| run.cpu) * deliveries as f64;
    let rate = median(runs, |run| run.rate);
    let wrong = runs.iter().map(|run| run.wrong);
    let wrong: u64 = wrong.map(|it| it.lost + it.doubled + it.reordered).sum();
    table.line([
        what.to_owned(),
        size.to_string(),
        format!("{cpu:.3} us"),
        format!("{:.3} M", rate / 1e6),
        wrong.to_string(),
    ]);
    cpu
}

fn write(chart: &Path, title: &str, panels: &[Panel]) -> Result<(), String> {
    let written = std::fs::write(chart, chart::svg(title, panels));
    written.map_err(|error| format!("{}: {error}", chart.display()))
}
