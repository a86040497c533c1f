//! Accepts connections: one loop for each listener, all with the same limit of pending connections.

use std::sync::Arc;
use std::time::{Duration, Instant};

use smol::future;

use crate::net::admission::Admission;
use crate::net::context::{Runtime, ServerContext};
use crate::net::listener::{self, Listener};
use crate::reactor::{Timer, next_turn};

/// How many connections are accepted in a row before those accepted so far have a turn.
const IN_A_ROW: usize = 16;
/// How long background tasks run before the others have a turn, so that connected peers don't wait
/// for thousands who come or go.
const PORTION: Duration = Duration::from_micros(500);
/// The pause after a failed accept; it doubles up to [`PAUSE_MOST`].
const PAUSE: Duration = Duration::from_millis(10);
/// The longest pause between two attempts to accept.
const PAUSE_MOST: Duration = Duration::from_secs(1);

/// Runs the tasks of `background`, in portions, for as long as it is polled.
pub async fn run_in_portions(background: Runtime) {
    let mut until = Instant::now();
    loop {
        background.tick().await;
        if Instant::now() >= until {
            next_turn().await;
            until = Instant::now() + PORTION;
        }
    }
}

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

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use smol::Executor;
    use smol::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;
    use crate::reactor::{Async, block_on};

    #[test]
    fn messages_pass_while_thousands_arrive() {
        let runtime: Runtime = Arc::new(Executor::new());
        let arrivals: Runtime = Arc::new(Executor::new());
        let arrived = Arc::new(AtomicUsize::new(0));
        for _ in 0..2000 {
            let arrived = arrived.clone();
            let arrive = async move {
                let started = Instant::now();
                while started.elapsed() < PORTION / 5 {}
                arrived.fetch_add(1, Ordering::Relaxed);
            };
            arrivals.spawn(arrive).detach();
        }
        let _arriving = runtime.spawn(run_in_portions(arrivals.clone()));
        let (near, far) = UnixStream::pair().unwrap();
        let (mut near, mut far) = (Async::new(near).unwrap(), Async::new(far).unwrap());
        let _echo = runtime.spawn(async move {
            let mut byte = [0];
            while far.read_exact(&mut byte).await.is_ok() {
                far.write_all(&byte).await.unwrap();
            }
        });
        let messages = async {
            for _ in 0..20 {
                near.write_all(b"x").await.unwrap();
                near.read_exact(&mut [0]).await.unwrap();
            }
            arrived.load(Ordering::Relaxed)
        };
        let arrived = block_on(runtime.run(messages));
        assert!(
            arrived < 2000,
            "they pass only after all {arrived} arrivals"
        );
    }
}
