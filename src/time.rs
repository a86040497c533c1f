//! Deadlines and the time of day, for every floor.

use std::future::Future;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use smol::future;

use crate::reactor::Timer;

/// Waits for `future`, but no longer than `limit`. Returns `None` when the time is over; the
/// future is dropped then.
pub async fn timeout<T>(limit: Duration, future: impl Future<Output = T>) -> Option<T> {
    let timer = async {
        Timer::after(limit).await;
        None
    };
    future::or(async { Some(future.await) }, timer).await
}

/// Milliseconds since 1970.
pub fn unix_millis() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.unwrap_or_default().as_millis() as u64
}
