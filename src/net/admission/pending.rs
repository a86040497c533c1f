//! Pending connections: those between their accept and their answer or their task as a peer.
//!
//! Their number is limited, so a flood costs limited memory. At the limit one of them is evicted for
//! the next one: first silent ones, then those that are slow to send or receive. A client that has
//! sent a whole head is answered, however many others are silent.
//!
//! A silent connection costs about 2 KB (4 KB over TLS). One that sends may cost up to
//! [`MAX_BYTES`].

use std::collections::{BTreeMap, BTreeSet};
use std::future::poll_fn;
use std::io::IoSlice;
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use async_lock::{Semaphore, SemaphoreGuardArc};

use crate::chat::outbox::TryWrite;
use crate::mutex::Mutex;
use crate::net::http::Answer;
use crate::net::socket::Socket;
use crate::time::timeout;

/// The most memory of a pending connection: a head in a buffer that doubles, and over TLS an
/// incomplete record.
pub const MAX_BYTES: usize = 64 * 1024;

/// The most silent connections that are evicted per second. With 4,096 pending connections, each has
/// a quarter of a second to send its head.
const SILENT_RATE: u32 = 16 * 1024;

/// A slot for one pending connection, given back when dropped.
pub type PendingPermit = SemaphoreGuardArc;

/// The stage of a pending connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Nothing has been received. Evicted first: browsers open such connections in advance, and open
    /// another one when they need it.
    Silent,
    /// A part of the head has been received. The network may be slow, so it has a grace period.
    Speaking,
    /// The answer is being sent.
    Answered,
    /// The server handles its request. Evicted last, when all others are handled, too.
    Busy,
}

/// All pending connections of a server.
#[derive(Debug)]
pub struct PendingConnections {
    /// How long a connection is safe from eviction: while it is silent, and at each later stage.
    grace: [Duration; 2],
    permits: Arc<Semaphore>,
    queue: Mutex<Queue>,
}

/// One pending connection, which is removed when this is dropped.
#[derive(Debug)]
pub struct Pending {
    all: Arc<PendingConnections>,
    number: u64,
}

/// All pending connections, in the order of their eviction.
#[derive(Debug, Default)]
struct Queue {
    entries: BTreeMap<u64, Entry>,
    /// Those that can be evicted, the next one first.
    order: BTreeSet<Key>,
    /// Counts the changes of stages.
    steps: u64,
}

/// The rank of a stage, the number of the step that led there, and the number of the connection.
type Key = (u8, u64, u64);

#[derive(Debug)]
struct Entry {
    /// `None` if it has been evicted and its task has not noticed yet.
    connection: Option<(Arc<Socket>, PendingPermit)>,
    stage: Stage,
    step: u64,
    since: Instant,
    /// Wakes its task.
    waker: Option<Waker>,
}

impl PendingConnections {
    /// At most `max` connections. After its first bytes, each has a grace period at each stage.
    pub fn new(max: usize, grace: Duration) -> PendingConnections {
        let silent = Duration::from_secs(1) * max as u32 / SILENT_RATE;
        PendingConnections {
            grace: [silent, grace],
            permits: Arc::new(Semaphore::new(max)),
            queue: Mutex::default(),
        }
    }

    /// Waits for a slot for one more connection. If need be a connection whose grace period is over
    /// is evicted, and its slot is free at once, before its task has noticed. Cancel safe.
    pub async fn permit(&self) -> PendingPermit {
        loop {
            if let Some(permit) = self.permits.try_acquire_arc() {
                return permit;
            }
            let evicted = self.queue.lock().evict(self.grace);
            let wait = match evicted {
                Ok((permit, waker)) => {
                    // Not under the lock, since the task takes it when it ends.
                    waker.into_iter().for_each(Waker::wake);
                    return permit;
                }
                Err(wait) => wait,
            };
            if let Some(permit) = timeout(wait, self.permits.acquire_arc()).await {
                return permit;
            }
        }
    }

    /// Adds a connection that has not sent anything yet.
    pub fn enter(self: &Arc<Self>, permit: PendingPermit, socket: &Arc<Socket>) -> Pending {
        let mut queue = self.queue.lock();
        let number = queue.steps;
        let entry = Entry {
            connection: Some((socket.clone(), permit)),
            stage: Stage::Silent,
            step: number,
            since: Instant::now(),
            waker: None,
        };
        queue.entries.insert(number, entry);
        queue.set_stage(number, Stage::Silent);
        Pending {
            all: self.clone(),
            number,
        }
    }
}

impl Pending {
    /// Sets the stage, which begins a new grace period.
    pub fn set_stage(&self, stage: Stage) {
        self.all.queue.lock().set_stage(self.number, stage);
    }

    /// Waits until it is evicted, and returns at which stage. Cancel safe.
    pub async fn evicted(&self) -> Stage {
        poll_fn(
            |cx| match self.all.queue.lock().entries.get_mut(&self.number) {
                Some(entry) if entry.connection.is_none() => Poll::Ready(entry.stage),
                Some(entry) => {
                    entry.waker = Some(cx.waker().clone());
                    Poll::Pending
                }
                None => Poll::Pending,
            },
        )
        .await
    }

    /// Removes it. `false`: it has been evicted.
    pub fn leave(&self) -> bool {
        let mut queue = self.all.queue.lock();
        let Some(entry) = queue.entries.remove(&self.number) else {
            return false;
        };
        queue.order.remove(&entry.key(self.number));
        entry.connection.is_some()
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        self.leave();
    }
}

impl Queue {
    /// Sets the stage of a connection, which becomes the last of its rank.
    fn set_stage(&mut self, number: u64, stage: Stage) {
        let entry = self.entries.get_mut(&number);
        let Some(entry) = entry.filter(|entry| entry.connection.is_some()) else {
            return;
        };
        self.order.remove(&entry.key(number));
        self.steps += 1;
        (entry.stage, entry.step, entry.since) = (stage, self.steps, Instant::now());
        self.order.insert(entry.key(number));
    }

    /// Closes the next connection, with an answer where it can have one. Returns its slot, and the
    /// waker of its task, which then ends.
    ///
    /// # Errors
    /// How long the next connection is still safe.
    fn evict(&mut self, grace: [Duration; 2]) -> Result<(PendingPermit, Option<Waker>), Duration> {
        // No connection of a rank is evicted while there is one of a lower rank.
        while let Some(&(rank, _, number)) = self.order.first() {
            let grace = grace[usize::from(rank.min(1))];
            let Some(entry) = self.entries.get_mut(&number) else {
                break;
            };
            let left = grace.saturating_sub(entry.since.elapsed());
            if !left.is_zero() {
                return Err(left);
            }
            let Some((socket, permit)) = entry.connection.take() else {
                break;
            };
            let has_sent = match entry.stage {
                Stage::Silent => !socket.is_silent(),
                Stage::Speaking => socket.has_unhandled_input(),
                Stage::Answered => socket.has_input(),
                Stage::Busy => false,
            };
            if has_sent {
                // Its task had no time to handle what it has sent.
                let silent = entry.stage == Stage::Silent;
                let stage = if silent { Stage::Speaking } else { entry.stage };
                entry.connection = Some((socket, permit));
                self.set_stage(number, stage);
                continue;
            }
            self.order.pop_first();
            if let Some(answer) = eviction_answer(entry.stage) {
                // Nothing has been sent before, so the socket takes it. During a TLS handshake it
                // can't be sent.
                let _ = socket.try_write(&[IoSlice::new(&answer.bytes(false))]);
            }
            socket.shutdown();
            return Ok((permit, entry.waker.take()));
        }
        Err(grace[1])
    }
}

impl Entry {
    fn key(&self, number: u64) -> Key {
        let rank = match self.stage {
            Stage::Silent => 0,
            Stage::Speaking | Stage::Answered => 1,
            Stage::Busy => 2,
        };
        (rank, self.step, number)
    }
}

/// The answer to an evicted connection.
pub(super) fn eviction_answer(stage: Stage) -> Option<Answer> {
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

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};

    use smol::future;

    use super::*;
    use crate::reactor::{Async, block_on};

    const HOUR: Duration = Duration::from_secs(3600);

    /// Pending connections and their clients.
    struct Scene(Arc<PendingConnections>, Vec<TcpStream>);

    impl Scene {
        fn new(permits: usize, grace: Duration) -> Scene {
            Scene(
                Arc::new(PendingConnections::new(permits, grace)),
                Vec::new(),
            )
        }

        /// Whether there is a slot, or a connection to evict, at once.
        fn has_room(&self) -> bool {
            let permit = async { Some(self.0.permit().await) };
            block_on(future::or(permit, async { None })).is_some()
        }

        /// Adds a connection.
        fn enter(&mut self) -> Pending {
            let permit = block_on(self.0.permit());
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            self.1
                .push(TcpStream::connect(listener.local_addr().unwrap()).unwrap());
            let (server, _) = listener.accept().unwrap();
            let socket = Socket::new(Async::new(server).unwrap(), None);
            self.0.enter(permit, &Arc::new(socket))
        }

        fn socket(&self, pending: &Pending) -> Arc<Socket> {
            let queue = self.0.queue.lock();
            let connection = queue.entries[&pending.number].connection.as_ref();
            connection.unwrap().0.clone()
        }

        /// What a client receives until its connection ends.
        fn received(&mut self, client: usize) -> String {
            let mut received = String::new();
            self.1[client].read_to_string(&mut received).unwrap();
            received
        }
    }

    fn evicted(pending: &Pending) -> Option<Stage> {
        let evicted = async { Some(pending.evicted().await) };
        block_on(future::or(evicted, async { None }))
    }

    #[test]
    fn silent_connections_are_evicted_first_without_an_answer() {
        let mut scene = Scene::new(3, HOUR);
        let [one, two, three] = [(); 3].map(|()| scene.enter());
        one.set_stage(Stage::Speaking);
        // Its task has not read this yet.
        scene.1[1].write_all(b"GET").unwrap();
        let four = scene.enter();
        assert_eq!(evicted(&three), Some(Stage::Silent));
        assert_eq!(scene.received(2), "");
        let five = scene.enter();
        assert_eq!(evicted(&four), Some(Stage::Silent));
        assert!(!three.leave() && !four.leave());
        for pending in [one, two, five] {
            assert_eq!(evicted(&pending), None);
            assert!(pending.leave());
        }
    }

    #[test]
    fn a_connection_whose_request_is_being_read_is_not_evicted() {
        let mut scene = Scene::new(3, Duration::ZERO);
        let [one, two, three] = [(); 3].map(|()| scene.enter());
        two.set_stage(Stage::Speaking);
        three.set_stage(Stage::Speaking);
        for (client, pending) in [&one, &two].into_iter().enumerate() {
            scene.1[client].write_all(b"GET").unwrap();
            block_on(scene.socket(pending).read(&mut |_| {})).unwrap();
        }
        // Their tasks have not set the stage since.
        let four = scene.enter();
        assert_eq!(evicted(&three), Some(Stage::Speaking));
        assert!(one.leave() && two.leave() && four.leave());
    }

    #[test]
    fn each_stage_has_a_grace_period() {
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
    fn a_request_being_handled_is_evicted_last_with_an_answer() {
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
        assert!(scene.received(1).starts_with("HTTP/1.1 408 "));
        assert_eq!(evicted(&three), Some(Stage::Answered));
        assert_eq!(scene.received(2), "", "it has had its answer");
        assert_eq!(evicted(&one), Some(Stage::Busy));
        assert!(scene.received(0).starts_with("HTTP/1.1 503 "));
        assert!([four, five, six].iter().all(Pending::leave));
    }
}
