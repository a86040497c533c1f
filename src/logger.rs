//! One line on stderr for each thing worth knowing.
//!
//! In the systemd journal, which keeps the time itself, a line begins with its priority instead
//! (sd-daemon(3)).

use std::io::Write;
use std::sync::OnceLock;
use std::time::SystemTime;

use humantime::format_rfc3339_seconds;
use log::{Level, LevelFilter, Log, Metadata, Record};

struct Stderr {
    /// Whether it is the journal.
    journal: bool,
}

static LOGGER: OnceLock<Stderr> = OnceLock::new();

/// Starts logging, to stderr or to the journal behind it. Lines of other crates are only shown when
/// they warn. How much is logged can be changed by [`log::set_max_level`].
pub fn start(level: LevelFilter, journal: bool) {
    // A second start changes the level only.
    let _ = log::set_logger(LOGGER.get_or_init(|| Stderr { journal }));
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
                true => format!("<{}>{level}: {}", priority(record.level()), record.args()),
                false => {
                    let now = format_rfc3339_seconds(SystemTime::now());
                    format!("{now} {level}: {}", record.args())
                }
            };
            // One line, whatever somebody out there put into it, and harmless on a terminal.
            if line.contains(char::is_control) {
                line = line.replace(char::is_control, "\u{fffd}");
            }
            line.push('\n');
            // In one piece, or lines of several processes mix. Whoever closed stderr does not want
            // to know.
            let _ = std::io::stderr().write_all(line.as_bytes());
        }
    }

    fn flush(&self) {}
}

/// As syslog counts them.
fn priority(level: Level) -> u8 {
    match level {
        Level::Error => 3,
        Level::Warn => 4,
        Level::Info => 6,
        Level::Debug | Level::Trace => 7,
    }
}
