//! Writes one line to stderr for each log message.
//!
//! In the systemd journal, which records the time itself, a line begins with its priority instead
//! (sd-daemon(3)).

use std::io::Write;
use std::time::SystemTime;

use humantime::format_rfc3339_seconds;
use log::{Level, LevelFilter, Log, Metadata, Record};

struct Stderr {
    /// Whether stderr is the journal.
    journal: bool,
}

/// Starts logging. Lines of other crates are only shown from warnings on. [`log::set_max_level`]
/// changes the level.
pub fn start(level: LevelFilter, journal: bool) {
    // A second start changes the level only.
    let _ = log::set_boxed_logger(Box::new(Stderr { journal }));
    log::set_max_level(level);
}

impl Log for Stderr {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let ours = metadata.target().starts_with(env!("CARGO_PKG_NAME"));
        ours || metadata.level() <= LevelFilter::Warn
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            let level = record.level().as_str().to_ascii_lowercase();
            let mut line = match self.journal {
                true => {
                    // The priority in syslog.
                    let priority = match record.level() {
                        Level::Error => 3,
                        Level::Warn => 4,
                        Level::Info => 6,
                        Level::Debug | Level::Trace => 7,
                    };
                    format!("<{priority}>{level}: {}", record.args())
                }
                false => {
                    let now = format_rfc3339_seconds(SystemTime::now());
                    format!("{now} {level}: {}", record.args())
                }
            };
            // One line without control characters, even if a client's text has some.
            if line.contains(char::is_control) {
                line = line.replace(char::is_control, "\u{fffd}");
            }
            line.push('\n');
            // Written at once, so that lines of several processes do not mix. If stderr is closed,
            // the line is dropped.
            let _ = std::io::stderr().write_all(line.as_bytes());
        }
    }

    fn flush(&self) {}
}
