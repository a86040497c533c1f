//! Two binaries in turn: every row is run once with each, again and again, so that both meet the same
//! machine. The table has the medians side by side.

use std::path::Path;

use crate::plan::Plan;
use crate::rows;
use crate::table::{Table, median};

/// Runs all rows or one, and compares `plan`'s binary with the old one.
pub fn table(plan: &Plan, old: &Path, only: Option<&str>) -> Result<Table, String> {
    let once = |server: &Path| Plan {
        server: server.to_path_buf(),
        runs: 1,
        ..plan.clone()
    };
    let (old, new) = (once(old), once(&plan.server));
    let mut table = Table::new(&[
        "server on one core",
        "old",
        "new",
        "new / old",
        "goal",
        "new met it",
    ]);
    let mut worst = 0.0_f64;
    for (name, row, runs) in rows::chosen(plan, only)? {
        let (mut olds, mut news) = (Vec::new(), Vec::new());
        let mut run = |plan: &Plan, tables: &mut Vec<Table>| {
            let mut table = Table::new(&[]);
            worst = worst.max(row(plan, &mut table)?);
            tables.push(table);
            Ok::<(), String>(())
        };
        for number in 1..=runs {
            eprintln!("{name}, old and new: run {number} of {runs}");
            // Each is first in turn.
            if number % 2 == 1 {
                run(&old, &mut olds)?;
                run(&new, &mut news)?;
            } else {
                run(&new, &mut news)?;
                run(&old, &mut olds)?;
            }
        }
        compare(&mut table, &olds, &news);
    }
    table.disturbed(worst);
    Ok(table)
}

/// Adds a line for each of the new tables' lines; all tables have the same lines.
fn compare(table: &mut Table, olds: &[Table], news: &[Table]) {
    let first = news.first().map_or(&[][..], Table::lines);
    // The first one has the columns' heads.
    for (at, line) in first.iter().enumerate().skip(1) {
        let cells = |tables: &[Table], column: usize| -> Vec<String> {
            let lines = tables.iter().filter_map(|table| table.lines().get(at));
            // A line that is missing, as of a file that is not there, would shift those below it.
            let same = lines.filter(|theirs| theirs.first() == line.first());
            same.filter_map(|line| line.get(column).cloned()).collect()
        };
        let [old, new] = [olds, news].map(|tables| middle(&cells(tables, 1)));
        let met = cells(news, 5);
        let yes = met.iter().filter(|met| *met == "yes").count();
        let met = match met.iter().all(String::is_empty) {
            true => String::new(),
            false => format!("{yes} of {}", met.len()),
        };
        let goal = line.get(4).cloned().unwrap_or_default();
        let ratio = ratio(&old, &new);
        table.line([line[0].clone(), old, new, ratio, goal, met]);
    }
}

/// The first cell with the median of all cells in place of each number.
fn middle(cells: &[String]) -> String {
    let all: Vec<Vec<f64>> = cells.iter().map(|cell| numbers(cell)).collect();
    let mut number = 0;
    let parts = parts(cells.first().map_or("", String::as_str));
    let parts = parts.into_iter().map(|part| {
        if part.parse::<f64>().is_err() {
            return part.to_owned();
        }
        let runs: Vec<f64> = all
            .iter()
            .filter_map(|run| run.get(number).copied())
            .collect();
        number += 1;
        let digits = part.split_once('.').map_or(0, |(_, digits)| digits.len());
        format!("{:.digits$}", median(&runs, |figure| *figure))
    });
    parts.collect()
}

/// How many times the old cell's numbers the new one's are.
fn ratio(old: &str, new: &str) -> String {
    let (old, new) = (numbers(old), numbers(new));
    if old.is_empty() || old.len() != new.len() {
        return String::new();
    }
    let ratios: Vec<String> = old
        .iter()
        .zip(new)
        .map(|(old, new)| match *old == 0.0 {
            true => "-".to_owned(),
            false => format!("{:.2}", new / old),
        })
        .collect();
    match ratios.iter().all(|ratio| ratio == "-") {
        true => String::new(),
        false => ratios.join("/") + " x",
    }
}

fn numbers(cell: &str) -> Vec<f64> {
    let parts = parts(cell).into_iter();
    parts.filter_map(|part| part.parse().ok()).collect()
}

/// The cell cut where numbers begin and end.
fn parts(cell: &str) -> Vec<&str> {
    let numeric = |letter: char| letter.is_ascii_digit() || letter == '.';
    let mut parts = Vec::new();
    let mut rest = cell;
    while let Some(first) = rest.chars().next() {
        let kind = numeric(first);
        let end = rest
            .find(|letter| numeric(letter) != kind)
            .unwrap_or(rest.len());
        let (part, more) = rest.split_at(end);
        parts.push(part);
        rest = more;
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_number_of_a_cell_is_compared() {
        let cells = ["1.0/20 ms", "3.0/10 ms", "2.0/40 ms"].map(str::to_owned);
        assert_eq!(middle(&cells), "2.0/20 ms");
        assert_eq!(ratio("2.0/20 ms", "1.0/25 ms"), "0.50/1.25 x");
        assert_eq!(ratio("0/0/0", "0/0/0"), "");
        assert_eq!(middle(&["with".to_owned()]), "with");
        assert_eq!(ratio("with", "with"), "");
    }
}
