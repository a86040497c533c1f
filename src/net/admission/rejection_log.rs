//! Logs refused connections: one line a second at most, with a count, so that a flood of bad
//! connections does not fill a disk.

use std::fmt::Display;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use smol::Executor;

use crate::mutex::Mutex;
use crate::reactor::Timer;

/// The time between two lines.
const PAUSE: Duration = Duration::from_secs(1);

/// Logs refused connections.
#[derive(Debug)]
pub(super) struct RejectionLog {
    runtime: Arc<Executor<'static>>,
    /// How many connections were refused since the last line, and the line of the last one. Present
    /// for [`PAUSE`] after a line.
    suppressed: Mutex<Option<(u64, String)>>,
}

impl RejectionLog {
    /// A log that has no lines yet.
    pub(super) fn new(runtime: Arc<Executor<'static>>) -> RejectionLog {
        RejectionLog {
            runtime,
            suppressed: Mutex::default(),
        }
    }

    /// Logs a refused connection, now or at the end of the pause.
    pub(super) fn record(self: &Arc<Self>, from: IpAddr, why: impl Display) {
        if !log::log_enabled!(log::Level::Info) {
            return;
        }
        let line = format!("{from} was turned away: {why}");
        let mut suppressed = self.suppressed.lock();
        if let Some((count, last)) = &mut *suppressed {
            (*count, *last) = (*count + 1, line);
            return;
        }
        *suppressed = Some((0, String::new()));
        log::info!("{line}");
        let this = self.clone();
        // Ends after a pause in which no connection was refused.
        self.runtime
            .spawn(async move { this.flush().await })
            .detach();
    }

    async fn flush(&self) {
        loop {
            Timer::after(PAUSE).await;
            let mut suppressed = self.suppressed.lock();
            let (count, last) = suppressed.take().unwrap_or_default();
            match count {
                0 => return,
                1 => log::info!("{last}"),
                more => log::info!("{last}, and {} more within a second", more - 1),
            }
            *suppressed = Some((0, String::new()));
        }
    }
}
