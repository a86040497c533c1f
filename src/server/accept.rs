//! Accepts connections: one loop for each listener, all with the same limit of pending connections.

use std::sync::Arc;
use std::time::Duration;

use smol::future;

use crate::net::admission::Admission;
use crate::net::context::ServerContext;
use crate::net::listener::{self, Listener};
use crate::reactor::Timer;

/// How many connections are accepted in a row before those accepted so far have a turn.
const IN_A_ROW: usize = 16;
/// The pause after a failed accept; it doubles up to [`PAUSE_MOST`].
const PAUSE: Duration = Duration::from_millis(10);
/// The longest pause between two attempts to accept.
const PAUSE_MOST: Duration = Duration::from_secs(1);

/// Accepts connections for as long as it is polled. Each handshake runs in a task of its own.
///
/// Cancel safe: an accepted connection is served, since there is no await in between.
pub async fn accept_loop(
    listener: Listener,
    context: Arc<ServerContext>,
    admission: Arc<Admission>,
) {
    let tls = context.tls.as_ref();
    let mut pause = PAUSE;
    loop {
        for _ in 0..IN_A_ROW {
            // The permit comes first, so that no accepted connection has to wait afterwards.
            let permit = admission.pending.permit().await;
            match listener::accept(&listener, tls).await {
                Ok((socket, from)) => {
                    pause = PAUSE;
                    admission.admit(permit, socket, from);
                }
                Err(error) => {
                    drop(permit);
                    log::warn!("can't accept connections: {error}");
                    Timer::after(pause).await;
                    pause = (pause * 2).min(PAUSE_MOST);
                }
            }
        }
        future::yield_now().await;
    }
}
