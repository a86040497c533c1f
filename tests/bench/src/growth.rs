//! How the cost grows: CPU per delivery against peers, rooms, the size of messages, and messages in
//! flight. A table, and a chart of the same figures.

use std::path::Path;

use crate::chart::{self, Panel};
use crate::counts::Shape;
use crate::measure::{Fan, Pace, SIZE};
use crate::plan::Plan;
use crate::table::{Table, median};
use crate::wire;

/// What is made larger, and how a run of each size looks.
struct Curve {
    what: &'static str,
    around: &'static str,
    sizes: Vec<usize>,
    fan: fn(usize) -> (Shape, usize, Pace),
}

/// Measures all curves, writes the chart, and returns the table.
pub fn table(plan: &Plan, chart: &Path, most: usize) -> Result<Table, String> {
    // A server keeps some of the files it may open for those who arrive.
    let most = most * 9 / 10;
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
    let mut table = Table::new(&[
        "what grows",
        "",
        "CPU per delivery",
        "deliveries/s",
        "lost or wrong",
    ]);
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
            let mut runs = Vec::new();
            for number in 1..=plan.runs {
                eprintln!("{} {size}: run {number} of {}", curve.what, plan.runs);
                runs.push(plan.heard(|| plan.natterjack(), &fan)?);
            }
            let (cpu, rate) = (median(&runs, |run| run.cpu), median(&runs, |run| run.rate));
            let wrong = runs.iter().map(|run| run.wrong);
            let wrong: u64 = wrong.map(|it| it.lost + it.doubled + it.reordered).sum();
            table.line([
                curve.what.to_owned(),
                size.to_string(),
                format!("{cpu:.3} us"),
                format!("{:.3} M", rate / 1e6),
                wrong.to_string(),
            ]);
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
    std::fs::write(chart, chart::svg(title, &panels))
        .map_err(|error| format!("{}: {error}", chart.display()))?;
    Ok(table)
}
