//! An instant that tasks wait for.

use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use super::Reactor;

/// A future that is ready at an instant, or up to a millisecond later. Cancel safe.
#[derive(Debug)]
pub struct Timer {
    /// `None` is never.
    at: Option<Instant>,
    /// Its number while it waits; 0 before.
    number: u64,
}

impl Timer {
    /// Ready after this time.
    pub fn after(time: Duration) -> Timer {
        let at = Instant::now().checked_add(time);
        Timer { at, number: 0 }
    }

    /// Ready at this instant.
    pub fn at(instant: Instant) -> Timer {
        let at = Some(instant);
        Timer { at, number: 0 }
    }

    /// What it waits with.
    fn key(&self) -> Option<(Instant, u64)> {
        self.at.zip((self.number > 0).then_some(self.number))
    }
}

impl Future for Timer {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        static NEWEST: AtomicU64 = AtomicU64::new(0);
        let Some(at) = self.at else {
            return Poll::Pending;
        };
        if at <= Instant::now() {
            return Poll::Ready(());
        }
        if self.number == 0 {
            self.number = NEWEST.fetch_add(1, Ordering::Relaxed) + 1;
        }
        let reactor = Reactor::get();
        let mut timers = reactor.timers.lock();
        let key = (at, self.number);
        let waker = timers.entry(key).or_insert_with(|| cx.waker().clone());
        waker.clone_from(cx.waker());
        let first = timers.first_key_value().map(|(first, _)| *first) == Some(key);
        drop(timers);
        // The thread that waits for events has counted on a later one.
        if first && reactor.waiting.load(Ordering::SeqCst) {
            reactor.interrupt();
        }
        Poll::Pending
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        if let Some(key) = self.key() {
            Reactor::get().timers.lock().remove(&key);
        }
    }
}
