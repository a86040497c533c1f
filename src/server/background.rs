//! The background: tasks for which messages do not wait.

use std::time::{Duration, Instant};

use crate::net::context::Runtime;
use crate::reactor::next_turn;

/// How long background tasks run before the others have a turn, so that connected peers don't wait
/// for thousands who come or go.
const PORTION: Duration = Duration::from_micros(500);

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

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use smol::Executor;
    use smol::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;
    use crate::reactor::{Async, block_on};

    #[test]
    fn messages_pass_while_thousands_arrive() {
        let runtime: Runtime = Arc::new(Executor::new());
        let background: Runtime = Arc::new(Executor::new());
        let arrived = Arc::new(AtomicUsize::new(0));
        for _ in 0..2000 {
            let arrived = arrived.clone();
            let arrive = async move {
                let started = Instant::now();
                while started.elapsed() < PORTION / 5 {}
                arrived.fetch_add(1, Ordering::Relaxed);
            };
            background.spawn(arrive).detach();
        }
        let _portions = runtime.spawn(run_in_portions(background.clone()));
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
