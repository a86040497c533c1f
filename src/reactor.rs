//! Where tasks wait for sockets and for the time: one epoll instance for the process, which the
//! threads that run the tasks drive themselves.
//!
//! [`block_on`] runs a future, and waits for events while the future has nothing to do. smol's own
//! `block_on` does the same with a reactor that also has a helper thread. That thread takes over
//! whenever one wake-up is handled for longer than 50 µs, as a message to ten peers is, and then
//! every message costs two switches between threads. Here nobody takes over: of several threads in
//! [`block_on`] one waits for events, and the others until they are woken.
//!
//! Each socket is registered once, for both directions, edge-triggered. So a message costs no
//! system call to be told of the next one.

mod source;
mod sources;
mod timer;

use std::collections::BTreeMap;
use std::future;
use std::mem;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use rustix::buffer::spare_capacity;
use rustix::event::{EventfdFlags, Timespec, epoll, eventfd};
use rustix::fd::OwnedFd;
use rustix::io;

use crate::mutex::Mutex;
pub use source::Async;
use sources::Sources;
pub use timer::Timer;

/// The most events of one turn.
const EVENTS: usize = 1024;
/// The key of the interrupter.
const INTERRUPT: u64 = u64::MAX;

/// What the threads share.
struct Reactor {
    epoll: OwnedFd,
    /// Ends the wait for events early. It is edge-triggered, so it is never read.
    interrupter: OwnedFd,
    sources: Mutex<Sources>,
    /// The wakers of timers, in the order in which they fire. The number tells timers of the same
    /// instant apart.
    timers: Mutex<BTreeMap<(Instant, u64), Waker>>,
    /// Held by the thread that waits for events.
    turn: Mutex<()>,
    /// Whether that thread has looked at the timers and waits, or is about to.
    waiting: AtomicBool,
    /// Threads that wait while another one waits for events.
    parked: Mutex<Vec<Thread>>,
    /// Those who wait for the next turn.
    later: Mutex<Vec<Waker>>,
}

/// What one turn brings. Empty between turns.
#[derive(Default)]
struct Turn {
    events: Vec<epoll::Event>,
    wakers: Vec<Waker>,
}

/// Runs a future to its end on this thread. Serves all sockets and timers meanwhile.
///
/// # Panics
/// The process can't have another two files, at its first call.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    let reactor = Reactor::get();
    let parker = Arc::new(Parker {
        thread: thread::current(),
        woken: AtomicBool::new(false),
        waiting: AtomicBool::new(false),
    });
    let waker = Waker::from(parker.clone());
    let mut future = pin!(future);
    let mut turn = Turn::default();
    let _leaving = Leaving(reactor);
    loop {
        // It is polled for all that has woken it so far, such as the last events.
        parker.woken.swap(false, Ordering::SeqCst);
        if let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return value;
        }
        if reactor.try_turn(&mut turn, &parker) {
            continue;
        }
        reactor.parked.lock().push(parker.thread.clone());
        // The thread that had the turn may have left in between, and saw nobody to wake.
        if !reactor.try_turn(&mut turn, &parker) && !parker.woken.load(Ordering::SeqCst) {
            thread::park();
        }
        let this = parker.thread.id();
        reactor.parked.lock().retain(|thread| thread.id() != this);
    }
}

/// Waits until a thread has found nothing more to do, or has done much, and has looked for events.
/// The tasks that these wake come first. Cancel safe.
pub async fn next_turn() {
    let reactor = Reactor::get();
    let mut asked = false;
    future::poll_fn(|cx| {
        if mem::replace(&mut asked, true) {
            return Poll::Ready(());
        }
        reactor.later.lock().push(cx.waker().clone());
        // Another thread waits for events.
        if reactor.waiting.load(Ordering::SeqCst) {
            reactor.interrupt();
        }
        Poll::Pending
    })
    .await;
}

/// Has another thread wait for events when this one leaves, even by a panic.
struct Leaving(&'static Reactor);

impl Drop for Leaving {
    fn drop(&mut self) {
        self.0
            .parked
            .lock()
            .drain(..)
            .for_each(|thread| thread.unpark());
    }
}

/// Wakes a thread in [`block_on`], which waits for events or is parked.
struct Parker {
    thread: Thread,
    /// The future is to be polled once more.
    woken: AtomicBool,
    /// The thread waits for events, or is about to.
    waiting: AtomicBool,
}

impl Wake for Parker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.woken.swap(true, Ordering::SeqCst) {
            return;
        }
        if self.waiting.load(Ordering::SeqCst) {
            Reactor::get().interrupt();
        } else {
            self.thread.unpark();
        }
    }
}

impl Reactor {
    fn get() -> &'static Reactor {
        static REACTOR: OnceLock<Reactor> = OnceLock::new();
        REACTOR.get_or_init(|| Reactor::new().expect("epoll and eventfd need two files"))
    }

    fn new() -> io::Result<Reactor> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let interrupter = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let key = epoll::EventData::new_u64(INTERRUPT);
        let flags = epoll::EventFlags::IN | epoll::EventFlags::ET;
        epoll::add(&epoll, &interrupter, key, flags)?;
        Ok(Reactor {
            epoll,
            interrupter,
            sources: Mutex::default(),
            timers: Mutex::default(),
            turn: Mutex::default(),
            waiting: AtomicBool::new(false),
            parked: Mutex::default(),
            later: Mutex::default(),
        })
    }

    /// Ends the wait for events.
    fn interrupt(&self) {
        // It fails only when it has been called 2^64 times.
        let _ = io::write(&self.interrupter, &1u64.to_ne_bytes());
    }

    /// Waits for events, unless the thread was woken, and wakes those who wait for them. Returns
    /// `false` if another thread waits for events.
    fn try_turn(&self, turn: &mut Turn, parker: &Parker) -> bool {
        let Some(mine) = self.turn.try_lock() else {
            return false;
        };
        let Turn { events, wakers } = turn;
        // From here on a wake-up and a new timer interrupt the wait, and those before are seen here.
        parker.waiting.store(true, Ordering::SeqCst);
        self.waiting.store(true, Ordering::SeqCst);
        let at_once = parker.woken.load(Ordering::SeqCst) || !self.later.lock().is_empty();
        let timeout = match at_once {
            true => Some(Duration::ZERO),
            false => self.until_next_timer(),
        };
        events.reserve(EVENTS);
        // A signal may end it early.
        let _ = epoll::wait(
            &self.epoll,
            spare_capacity(events),
            timeout.map(millis).as_ref(),
        );
        self.waiting.store(false, Ordering::SeqCst);
        parker.waiting.store(false, Ordering::SeqCst);
        self.collect_events(events, wakers);
        self.collect_timers(wakers);
        wakers.append(&mut self.later.lock());
        // Those who are woken may wait for events while this thread runs tasks.
        drop(mine);
        wakers.drain(..).for_each(Waker::wake);
        true
    }

    fn until_next_timer(&self) -> Option<Duration> {
        let timers = self.timers.lock();
        let ((next, _), _) = timers.first_key_value()?;
        Some(next.saturating_duration_since(Instant::now()))
    }

    fn collect_events(&self, events: &mut Vec<epoll::Event>, wakers: &mut Vec<Waker>) {
        let events = events.drain(..).map(|event| {
            let (flags, data) = (event.flags, event.data);
            (flags, data.u64())
        });
        self.sources.lock().tell(events, wakers);
    }

    fn collect_timers(&self, wakers: &mut Vec<Waker>) {
        let mut timers = self.timers.lock();
        if timers.is_empty() {
            return;
        }
        let now = Instant::now();
        while let Some(next) = timers.first_entry()
            && next.key().0 <= now
        {
            wakers.push(next.remove());
        }
    }
}

/// Rounded up, since epoll counts milliseconds and a timer must not be early.
fn millis(time: Duration) -> Timespec {
    let millis = time.as_nanos().div_ceil(1_000_000).min(i32::MAX as u128) as i64;
    Timespec {
        tv_sec: millis / 1000,
        tv_nsec: (millis % 1000 * 1_000_000) as _,
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;

    use smol::channel::{Sender, bounded};
    use smol::future;
    use smol::io::AsyncReadExt;

    use super::*;

    const SOON: Duration = Duration::from_millis(20);

    /// A thread in [`block_on`] until the sender is dropped.
    fn bystander() -> (thread::JoinHandle<()>, Sender<()>) {
        let (stop, stopped) = bounded::<()>(1);
        let wait = move || assert!(block_on(stopped.recv()).is_err());
        let thread = thread::spawn(wait);
        (thread, stop)
    }

    #[test]
    fn every_timer_fires_and_none_is_early() {
        let start = Instant::now();
        let fire = async |times| {
            Timer::at(start + SOON * times).await;
            assert!(start.elapsed() >= SOON * times);
        };
        block_on(future::zip(fire(3), future::zip(fire(1), fire(2))));
    }

    #[test]
    fn a_timer_is_noticed_by_the_thread_that_waits_already() {
        let (thread, stop) = bystander();
        block_on(async {
            for _ in 0..20 {
                Timer::after(Duration::from_millis(1)).await;
            }
        });
        drop(stop);
        thread.join().unwrap();
    }

    #[test]
    fn a_thread_that_ends_leaves_the_events_to_another() {
        for _ in 0..100 {
            let (first, stop) = bystander();
            let (second, ended) = (thread::spawn(|| block_on(Timer::after(SOON))), stop);
            drop(ended);
            first.join().unwrap();
            second.join().unwrap();
        }
    }

    #[test]
    fn nothing_that_comes_is_missed() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let mut ours = Async::new(ours).unwrap();
        let writer = thread::spawn(move || {
            for _ in 0..2000 {
                theirs.write_all(b"abc").unwrap();
            }
        });
        let mut all = Vec::new();
        block_on(ours.read_to_end(&mut all)).unwrap();
        writer.join().unwrap();
        assert_eq!(all, b"abc".repeat(2000));
    }

    #[test]
    fn who_is_told_of_an_end_that_is_none_goes_on_to_wait() {
        let (near, mut far) = UnixStream::pair().unwrap();
        let mut near = Async::new(near).unwrap();
        near.is_told_of_an_end();
        let nothing = block_on(future::poll_once(near.read(&mut [0])));
        assert!(nothing.is_none());
        far.write_all(b"x").unwrap();
        assert_eq!(block_on(near.read(&mut [0])).unwrap(), 1);
    }

    #[test]
    fn the_end_that_comes_with_the_last_bytes_is_told_too() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let ours = Async::new(ours).unwrap();
        theirs.write_all(b"abc").unwrap();
        drop(theirs);
        let read = async {
            future::poll_fn(|cx| ours.poll_readable(cx)).await;
            ours.get_ref().read(&mut [0; 8]).unwrap()
        };
        let both = async {
            (
                read.await,
                future::poll_fn(|cx| ours.poll_readable(cx)).await,
            )
        };
        let late = async {
            Timer::after(Duration::from_secs(10)).await;
            panic!("the end is not told");
        };
        assert_eq!(block_on(future::or(both, late)), (3, ()));
        assert_eq!(ours.get_ref().read(&mut [0; 8]).unwrap(), 0);
    }

    #[test]
    fn a_full_file_is_written_to_when_it_is_read() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let ours = Async::new(ours).unwrap();
        let mut theirs = Async::new(theirs).unwrap();
        let much = vec![7; 4 << 20];
        let expected = much.len();
        let writer = thread::spawn(move || {
            let mut ours = ours;
            block_on(smol::io::AsyncWriteExt::write_all(&mut ours, &much)).unwrap();
        });
        let mut all = Vec::new();
        block_on(theirs.read_to_end(&mut all)).unwrap();
        writer.join().unwrap();
        assert_eq!(all.len(), expected);
    }
}
