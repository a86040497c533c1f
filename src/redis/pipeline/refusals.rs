//! The errors that Redis answers, in the log: of each kind a line, and while more of it come, one every
//! few seconds with a count. So a Redis that refuses every message does not fill a disk.

use std::collections::BTreeMap;
use std::mem;
use std::time::Duration;

use event_listener::Event;
use redis::ServerError;

use crate::mutex::Mutex;
use crate::reactor::Timer;
use crate::redis::error::{Error, text_of};

/// The time between two lines about errors of one kind.
const PAUSE: Duration = Duration::from_secs(5);
/// How many kinds are told apart. Redis has some dozens.
const KINDS: usize = 100;

/// Logs errors.
#[derive(Default)]
pub struct Refusals {
    /// For each kind that was logged within [`PAUSE`], by its code: how many have come since, and the
    /// last of them.
    kinds: Mutex<BTreeMap<String, (u64, String)>>,
    /// There is a kind.
    noted: Event,
}

impl Refusals {
    /// Logs an error, now or at the end of the pause.
    pub fn log(&self, error: &ServerError) {
        if self.note(error) {
            // Redis names the command, never its arguments.
            log::warn!("redis refuses: {}", text_of(error));
        }
    }

    /// Notes an error. Returns whether it is the first of its kind.
    fn note(&self, error: &ServerError) -> bool {
        let mut kinds = self.kinds.lock();
        if let Some((count, last)) = kinds.get_mut(error.code()) {
            (*count, *last) = (*count + 1, text_of(error));
            return false;
        }
        let first = kinds.len() < KINDS;
        if first {
            kinds.insert(error.code().to_string(), (0, String::new()));
            self.noted.notify(1);
        }
        first
    }

    /// Logs what has been held back, when it is time. Never ends by itself.
    pub async fn run(&self) -> Error {
        loop {
            let noted = self.noted.listen();
            if self.kinds.lock().is_empty() {
                noted.await;
            }
            Timer::after(PAUSE).await;
            for line in self.flush() {
                log::warn!("redis refuses: {line}");
            }
        }
    }

    /// The lines about what has come in the pause. A kind that has not is forgotten.
    fn flush(&self) -> Vec<String> {
        let mut kinds = self.kinds.lock();
        kinds.retain(|_, (count, _)| *count > 0);
        let lines = kinds.values_mut().map(|(count, last)| {
            let (count, last) = (mem::take(count), mem::take(last));
            match count {
                1 => last,
                _ => format!("{last}, and {} more like it within {PAUSE:?}", count - 1),
            }
        });
        lines.collect()
    }
}

#[cfg(test)]
mod tests {
    use redis::Value;

    use super::*;
    use crate::redis::resp;

    #[test]
    fn errors_of_one_kind_share_a_line() {
        let refusals = Refusals::default();
        let note = |error: &str| match resp::parsed(&format!("-{error}\r\n")) {
            Value::ServerError(error) => refusals.note(&error),
            other => panic!("{other:?}"),
        };
        assert!(note("OOM one"));
        assert!(note("BUSY one"));
        assert!(!note("OOM two"));
        assert_eq!(refusals.flush(), ["OOM two"]);
        assert!(!note("OOM three") && !note("OOM four") && !note("OOM five"));
        assert!(note("BUSY two"), "the pause is over");
        let line = "OOM five, and 2 more like it within 5s";
        assert_eq!(refusals.flush(), [line]);
        assert!(refusals.flush().is_empty());
        assert!(note("OOM six"));
    }
}
