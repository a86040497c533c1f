//! One line on stderr for each thing worth knowing.
//!
//! In the systemd journal, which keeps the time itself, a line begins with its priority instead
//! (sd-daemon(3)).

use std::io::Write;
use std::sync::OnceLock;
use std::time::{SystemTime, UNIX_EPOCH};

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
                false => format!("{} {level}: {}", Utc::now(), record.args()),
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

/// Seconds since 1970, displayed as RFC 3339.
struct Utc(u64);

impl Utc {
    fn now() -> Utc {
        Utc(SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .as_secs())
    }
}

impl std::fmt::Display for Utc {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (days, second) = (self.0 / 86_400, self.0 % 86_400);
        // Days into years of 365.2425 days that begin in March, so that the leap day comes last:
        // http://howardhinnant.github.io/date_algorithms.html#civil_from_days
        let days = days + 719_468;
        let (era, day) = (days / 146_097, days % 146_097);
        let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
        let day = day - (365 * year + year / 4 - year / 100);
        let month = (5 * day + 2) / 153;
        let (day, month) = (day - (153 * month + 2) / 5 + 1, (month + 2) % 12 + 1);
        let year = era * 400 + year + u64::from(month <= 2);
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        write!(
            f,
            "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_become_dates() {
        for (seconds, date) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_795_305_600, "2026-11-22T00:00:00Z"),
            (4_107_542_399, "2100-02-28T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(Utc(seconds).to_string(), date);
        }
    }
}
