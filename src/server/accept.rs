//! Lets connections in: one loop for each listener, all with the same bound of pending connections.

use std::sync::Arc;
use std::time::Duration;

use smol::{Timer, future};

use crate::net::handshake::Handshake;
use crate::net::listener::{self, Listener};
use crate::net::pending::PendingConnections;

/// So many connections are accepted in a row, then everybody else has a turn: those who are here
/// don't wait for thousands who come at once. A TLS handshake takes about a millisecond.
const IN_A_ROW: usize = 16;
/// The pause after a failed accept; it doubles up to [`PAUSE_MOST`].
const PAUSE: Duration = Duration::from_millis(10);
/// The longest pause between two attempts to accept.
const PAUSE_MOST: Duration = Duration::from_secs(1);

/// Accepts for as long as it is polled. Every handshake happens in a task of its own.
///
/// Cancel safe: what has been accepted is served, since nothing is waited for in between.
pub async fn accept_loop(
    listener: Listener,
    handshake: Handshake,
    pending_connections: Arc<PendingConnections>,
) {
    let context = handshake.context.clone();
    let tls = context.tls.as_ref();
    let mut pause = PAUSE;
    loop {
        for _ in 0..IN_A_ROW {
            // Room first: nobody is accepted who has to wait afterwards.
            let permit = pending_connections.permit().await;
            match listener::accept(&listener, tls).await {
                Ok((socket, from)) => {
                    pause = PAUSE;
                    let socket = Arc::new(socket);
                    let pending = pending_connections.enter(permit, &socket);
                    // Ends with its answer, when the peer's own task begins, or when it has to make
                    // room.
                    let run = handshake.clone().run(socket, from, pending);
                    handshake.runtime.spawn(run).detach();
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
