//! What is found by looking at everything: a line on stdout for each thing, as it is found.

use std::fmt::Display;
use std::io::Write;

/// Findings so far.
#[derive(Debug, Default)]
pub struct Report {
    failed: bool,
}

impl Report {
    /// It is as it should be.
    pub fn ok(&mut self, what: impl Display) {
        self.line("ok  ", &what);
    }

    /// It will do, but not well; and what to do about it.
    pub fn warn(&mut self, what: impl Display) {
        self.line("warn", &what);
    }

    /// It will not do; and what to do about it.
    pub fn fail(&mut self, what: impl Display) {
        self.failed = true;
        self.line("FAIL", &what);
    }

    /// Whether all of it will do.
    pub fn passed(&self) -> bool {
        !self.failed
    }

    // Called from everywhere: in the binary once.
    #[inline(never)]
    fn line(&self, grade: &str, what: &dyn Display) {
        // One line, whatever a server out there has answered.
        let line = what.to_string().replace(char::is_control, "\u{fffd}");
        // Whoever closed stdout has the exit code.
        let _ = writeln!(std::io::stdout(), "{grade}  {line}");
    }
}
