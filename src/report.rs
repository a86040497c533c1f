//! The results of `--check`: one line on stdout for each, as it is found.

use std::fmt::Display;
use std::io::Write;

/// The results so far.
#[derive(Debug, Default)]
pub struct Report {
    failed: bool,
}

impl Report {
    /// Reports that something is as it should be.
    pub fn ok(&mut self, what: impl Display) {
        self.line("ok  ", &what);
    }

    /// Reports that something works, but not well, and what to do.
    pub fn warn(&mut self, what: impl Display) {
        self.line("warn", &what);
    }

    /// Reports that something does not work, and what to do.
    pub fn fail(&mut self, what: impl Display) {
        self.failed = true;
        self.line("FAIL", &what);
    }

    /// Whether nothing has failed.
    pub fn passed(&self) -> bool {
        !self.failed
    }

    // Not inlined: it has many callers.
    #[inline(never)]
    fn line(&self, grade: &str, what: &dyn Display) {
        // One line, even if another server's answer has several.
        let line = what.to_string().replace(char::is_control, "\u{fffd}");
        // If stdout is closed, the exit code still tells the result.
        let _ = writeln!(std::io::stdout(), "{grade}  {line}");
    }
}
