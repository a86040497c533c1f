//! Lets connections in: one loop for each listener, all with the same bound of pending connections.

use std::sync::Arc;
use std::time::Duration;

use smol::Timer;

use crate::net::door::Door;
use crate::net::listener::{self, Listener};
use crate::net::porch::Porch;

/// The pause after a failed accept; it doubles up to [`PAUSE_MOST`].
const PAUSE: Duration = Duration::from_millis(10);
/// The longest pause between two attempts to accept.
const PAUSE_MOST: Duration = Duration::from_secs(1);

/// Accepts for as long as it is polled. Every handshake happens in a task of its own.
pub async fn accept_loop(listener: Listener, door: Door, porch: Arc<Porch>) {
    let hub = door.hub.clone();
    let tls = hub.tls.as_ref();
    let mut pause = PAUSE;
    loop {
        match listener::accept(&listener, tls).await {
            Ok((socket, from)) => {
                pause = PAUSE;
                let socket = Arc::new(socket);
                let guest = porch.enter(&socket).await;
                // Ends with its answer, or when the peer's own task begins.
                let receive = door.clone().receive(socket, from, guest);
                door.runtime.spawn(receive).detach();
            }
            Err(error) => {
                log::warn!("can't accept connections: {error}");
                Timer::after(pause).await;
                pause = (pause * 2).min(PAUSE_MOST);
            }
        }
    }
}
