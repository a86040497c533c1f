//! Pending: where connections are between their accept and their answer, or their peer_key.
//!
//! It holds so many and no more, so a flood costs bounded memory. When it is full, one of them makes
//! room: first of all who has never said anything, then who keeps us waiting. Who has sent a whole
//! head is answered, however many say nothing.
//!
//! Silent, a connection costs some 2 KB (4 KB over TLS). One that speaks may cost up to
//! [`MOST_BYTES`].

mod queue;

use std::future::poll_fn;
use std::io::IoSlice;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::{Duration, Instant};

use async_lock::{Semaphore, SemaphoreGuardArc};

use super::http::Answer;
use super::socket::Socket;
use crate::chat::outbox::TryWrite;
use crate::time::timeout;
pub use queue::Stage;
use queue::{Evicted, EvictionQueue, GracePeriods};

/// What one connection may take at most before it has its answer: a head, in a buffer that doubles,
/// and over TLS a record that is not complete.
pub const MOST_BYTES: usize = 64 * 1024;

/// So many silent connections a second are let in at most, where all places are taken by such: by
/// then 4,096 of them have had a quarter of a second each, in which the head of an honest one comes.
const SILENT_RATE: u32 = 16 * 1024;

/// A permit for one connection, until it is dropped.
pub type PendingPermit = SemaphoreGuardArc;

/// Everybody who is pending.
#[derive(Debug)]
pub struct PendingConnections {
    grace: GracePeriods,
    permits: Arc<Semaphore>,
    queue: Mutex<EvictionQueue>,
}

/// One connection pending; it has left when this is dropped.
#[derive(Debug)]
pub struct Pending {
    pending_connections: Arc<PendingConnections>,
    number: u64,
}

impl PendingConnections {
    /// None yet, of at most so many. Each has a `grace` time for each step once it speaks.
    pub fn new(permits: usize, grace: Duration) -> PendingConnections {
        PendingConnections {
            grace: GracePeriods {
                silent: Duration::from_secs(1) * permits as u32 / SILENT_RATE,
                step: grace,
            },
            permits: Arc::new(Semaphore::new(permits)),
            queue: Mutex::default(),
        }
    }

    /// A permit for one more connection. If need be somebody makes room who has had fair time, and then it
    /// is there at once: nobody waits until the task of who was evicted has noticed. Cancel safe.
    pub async fn permit(&self) -> PendingPermit {
        loop {
            if let Some(permit) = self.permits.try_acquire_arc() {
                return permit;
            }
            let evicted = self.lock().evict(&self.grace, Instant::now());
            let patience = match evicted {
                Ok(evicted) => return self.close_evicted(evicted),
                Err(patience) => patience,
            };
            if let Some(permit) = timeout(patience, self.permits.acquire_arc()).await {
                return permit;
            }
        }
    }

    /// Lets a connection in, which has not said anything yet.
    pub fn enter(
        self: &Arc<PendingConnections>,
        permit: PendingPermit,
        socket: &Arc<Socket>,
    ) -> Pending {
        Pending {
            pending_connections: self.clone(),
            number: self.lock().enter(permit, socket.clone(), Instant::now()),
        }
    }

    /// A poisoned lock is taken all the same: every change is one step.
    fn lock(&self) -> MutexGuard<'_, EvictionQueue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says why, where that is of use, and ends the connection. Its task is woken, and ends.
    fn close_evicted(&self, evicted: Evicted) -> PendingPermit {
        if let Some(answer) = eviction_answer(evicted.stage) {
            // Nothing has been sent before, so the socket has room for it. Amid a handshake nothing
            // can be said.
            let _ = evicted
                .socket
                .try_write(&[IoSlice::new(&answer.bytes(false))]);
        }
        evicted.socket.shutdown();
        if let Some(waker) = evicted.waker {
            waker.wake();
        }
        evicted.permit
    }
}

/// What a connection that makes room is told.
pub fn eviction_answer(stage: Stage) -> Option<Answer> {
    match stage {
        Stage::Silent | Stage::Answered => None,
        Stage::Speaking => Some(Answer::text(
            408,
            "not complete yet, and others are waiting",
        )),
        Stage::Busy => {
            let line = "others are waiting: it may still be published; with the same ref= it is safe to try again";
            Some(Answer::retry_later(503, line))
        }
    }
}

impl Pending {
    /// It has come so far, and has fair time again.
    pub fn set_stage(&self, stage: Stage) {
        self.pending_connections
            .lock()
            .change(self.number, stage, Instant::now());
    }

    /// Waits until it has to make room, and tells how far it had come. Cancel safe.
    pub async fn evicted(&self) -> Stage {
        poll_fn(|cx| {
            match self
                .pending_connections
                .lock()
                .evicted(self.number, cx.waker())
            {
                Some(stage) => Poll::Ready(stage),
                None => Poll::Pending,
            }
        })
        .await
    }

    /// Leaves the pending connections. `false`: it has had to make room.
    pub fn leave(&self) -> bool {
        self.pending_connections.lock().leave(self.number)
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        self.leave();
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};

    use smol::{Async, future};

    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    /// The pending connections, and the clients of all who have come to it.
    struct Scene(Arc<PendingConnections>, Vec<TcpStream>);

    impl Scene {
        fn new(permits: usize, grace: Duration) -> Scene {
            Scene(
                Arc::new(PendingConnections::new(permits, grace)),
                Vec::new(),
            )
        }

        /// Whether there is room, or somebody who must make some, at once.
        fn has_room(&self) -> bool {
            let permit = async { Some(self.0.permit().await) };
            smol::block_on(future::or(permit, async { None })).is_some()
        }

        /// Lets one more in.
        fn enter(&mut self) -> Pending {
            let permit = smol::block_on(self.0.permit());
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            self.1
                .push(TcpStream::connect(listener.local_addr().unwrap()).unwrap());
            let (server, _) = listener.accept().unwrap();
            let socket = Socket::new(Async::new(server).unwrap(), None);
            self.0.enter(permit, &Arc::new(socket))
        }

        /// What a client is told until its connection ends.
        fn told(&mut self, client: usize) -> String {
            let mut told = String::new();
            self.1[client].read_to_string(&mut told).unwrap();
            told
        }
    }

    fn evicted(pending: &Pending) -> Option<Stage> {
        let evicted = async { Some(pending.evicted().await) };
        smol::block_on(future::or(evicted, async { None }))
    }

    #[test]
    fn who_says_nothing_makes_room_first_and_without_a_word() {
        let mut scene = Scene::new(3, HOUR);
        let [one, two, three] = [(); 3].map(|()| scene.enter());
        one.set_stage(Stage::Speaking);
        // Nobody has read yet what it says.
        scene.1[1].write_all(b"GET").unwrap();
        let four = scene.enter();
        assert_eq!(evicted(&three), Some(Stage::Silent));
        assert_eq!(scene.told(2), "");
        let five = scene.enter();
        assert_eq!(evicted(&four), Some(Stage::Silent));
        assert!(!three.leave() && !four.leave());
        for pending in [one, two, five] {
            assert_eq!(evicted(&pending), None);
            assert!(pending.leave());
        }
    }

    #[test]
    fn who_speaks_has_fair_time_for_each_step() {
        let mut scene = Scene::new(1, HOUR);
        let one = scene.enter();
        for stage in [Stage::Speaking, Stage::Busy, Stage::Answered] {
            one.set_stage(stage);
            assert!(!scene.has_room());
        }
        assert!(one.leave());
        assert!(scene.has_room());
    }

    #[test]
    fn who_is_worked_for_makes_room_last_and_is_told_why() {
        let mut scene = Scene::new(3, Duration::ZERO);
        let [one, two, three] = [(); 3].map(|()| scene.enter());
        one.set_stage(Stage::Busy);
        two.set_stage(Stage::Speaking);
        three.set_stage(Stage::Answered);
        let [four, five, six] = [(); 3].map(|()| {
            let pending = scene.enter();
            pending.set_stage(Stage::Busy);
            pending
        });
        assert_eq!(evicted(&two), Some(Stage::Speaking));
        assert!(scene.told(1).starts_with("HTTP/1.1 408 "));
        assert_eq!(evicted(&three), Some(Stage::Answered));
        assert_eq!(scene.told(2), "", "it has had its answer");
        assert_eq!(evicted(&one), Some(Stage::Busy));
        assert!(scene.told(0).starts_with("HTTP/1.1 503 "));
        assert!([four, five, six].iter().all(Pending::leave));
    }
}
