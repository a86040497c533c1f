//! The table: plain text, aligned, one line for each goal.

/// CPU that others on the machine may use during a run, percent of a core, before it is repeated.
pub const DISTURBED: f64 = 15.0;

/// What a figure should be.
#[derive(Clone, Copy)]
pub enum Goal {
    /// At most that.
    Most(f64, &'static str),
    /// At least that.
    Least(f64, &'static str),
    /// Nothing.
    Zero,
    /// Said for the record.
    None,
}

impl Goal {
    fn cells(self, figure: f64) -> [String; 2] {
        let met = |met: bool| if met { "yes" } else { "NO" }.to_owned();
        match self {
            Self::Most(goal, text) => [format!("<= {text}"), met(figure <= goal)],
            Self::Least(goal, text) => [format!(">= {text}"), met(figure >= goal)],
            Self::Zero => ["0".to_owned(), met(figure == 0.0)],
            Self::None => [String::new(), String::new()],
        }
    }
}

/// Lines of cells; the first column is aligned left, the others right.
pub struct Table {
    lines: Vec<Vec<String>>,
}

impl Table {
    /// With these column heads.
    pub fn new(heads: &[&str]) -> Self {
        Self {
            lines: vec![heads.iter().map(|head| (*head).to_owned()).collect()],
        }
    }

    /// Adds a line.
    pub fn line(&mut self, cells: impl IntoIterator<Item = String>) {
        self.lines.push(cells.into_iter().collect());
    }

    /// What is in it.
    pub fn lines(&self) -> &[Vec<String>] {
        &self.lines
    }

    /// Adds a goal's line: work, natterjack's figure, what stands beside it, their ratio, and
    /// whether `judged` is what it should be.
    pub fn goal(
        &mut self,
        work: &str,
        [ours, beside, ratio]: [String; 3],
        judged: f64,
        goal: Goal,
    ) {
        let [goal, met] = goal.cells(judged);
        self.line([work.to_owned(), ours, beside, ratio, goal, met]);
    }

    /// Begins a part of the table whose columns are others.
    pub fn section(&mut self, heads: [&str; 3]) {
        self.line([String::new()]);
        self.line(heads.map(str::to_owned));
    }

    /// Adds a line that only says something.
    pub fn note(&mut self, work: &str, said: String) {
        self.line([work.to_owned(), said]);
    }

    /// Says how much others on the machine used of a core during a run, at most.
    pub fn disturbed(&mut self, percent: f64) {
        self.note(
            "others' CPU during a run, at most",
            format!("{percent:.0} %"),
        );
        if percent > DISTURBED {
            self.note("  too much: measure on a quiet machine", String::new());
        }
    }

    /// Prints it.
    pub fn print(&self) {
        let columns = self.lines.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            let cells = self.lines.iter().filter_map(|line| line.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        for (number, line) in self.lines.iter().enumerate() {
            let mut out = String::new();
            for (column, cell) in line.iter().enumerate() {
                let width = widths[column];
                match column {
                    0 => out += &format!("{cell:<width$}"),
                    _ => out += &format!("  {cell:>width$}"),
                }
            }
            println!("{}", out.trim_end());
            if number == 0 {
                println!(
                    "{}",
                    "-".repeat(widths.iter().sum::<usize>() + 2 * (columns - 1))
                );
            }
        }
    }
}

/// The middle one.
pub fn median<T>(runs: &[T], figure: impl Fn(&T) -> f64) -> f64 {
    let mut figures: Vec<f64> = runs.iter().map(figure).collect();
    figures.sort_by(f64::total_cmp);
    match figures.len() {
        0 => f64::NAN,
        count if count % 2 == 1 => figures[count / 2],
        count => (figures[count / 2 - 1] + figures[count / 2]) / 2.0,
    }
}

#[cfg(test)]
mod tests {
    use super::median;

    #[test]
    fn the_middle_one_is_found() {
        assert_eq!(median(&[3.0, 1.0, 2.0], |x| *x), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0], |x| *x), 2.5);
    }
}
