//! Who was turned away at the door, for the operator: one line a second at most, with a count. A
//! flood of bad connections must not fill a disk.

use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use smol::Timer;

use super::http::Answer;

/// The time between two lines.
const PAUSE: Duration = Duration::from_secs(1);

/// Notes who was turned away, and writes it down when it is time.
#[derive(Debug, Default)]
pub struct RejectionLog(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// A line has been written less than [`PAUSE`] ago.
    pausing: bool,
    /// How many have come since.
    more: u64,
    /// The last of them.
    last: String,
}

impl RejectionLog {
    /// Notes an answer that turned somebody away. `true`: [`flush_until_quiet`](Self::flush_until_quiet) must be called
    /// by somebody who has time.
    #[must_use]
    pub fn record(&self, from: IpAddr, answer: &Answer) -> bool {
        // Who looks for what is not there, or the wrong way, is no trouble.
        if matches!(answer.status, 404 | 405 | 426) || !log::log_enabled!(log::Level::Info) {
            return false;
        }
        self.write(format!(
            "{from} was turned away: {} {}",
            answer.status,
            answer.line()
        ))
    }

    /// The same for somebody with whom there is no TLS.
    #[must_use]
    pub fn record_tls_failure(&self, from: IpAddr, why: &str) -> bool {
        self.write(format!("{from} was turned away: no TLS, {why}"))
    }

    /// The same for somebody who had to make room.
    #[must_use]
    pub fn record_eviction(&self, from: IpAddr, why: &str) -> bool {
        self.write(format!("{from} was turned away: {why}"))
    }

    fn write(&self, line: String) -> bool {
        let mut state = self.lock();
        if state.pausing {
            state.more += 1;
            state.last = line;
            return false;
        }
        state.pausing = true;
        log::info!("{line}");
        true
    }

    /// Writes down, after a while, who else was turned away meanwhile. Ends when that is nobody.
    pub async fn flush_until_quiet(&self) {
        loop {
            Timer::after(PAUSE).await;
            let mut state = self.lock();
            match std::mem::take(&mut state.more) {
                0 => {
                    state.pausing = false;
                    return;
                }
                1 => log::info!("{}", state.last),
                more => log::info!("{}, and {} more within a second", state.last, more - 1),
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
