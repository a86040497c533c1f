//! The porch: where connections are between their accept and their answer, or their seat.
//!
//! It holds so many and no more, so a flood costs bounded memory. When it is full, whoever has been
//! on it longest, and had fair time, makes room: those who come and say nothing can't keep others
//! out.

use std::collections::BTreeMap;
use std::io::IoSlice;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_lock::{Semaphore, SemaphoreGuardArc};

use super::http::Answer;
use super::socket::Socket;
use crate::bus::within;
use crate::chat::outbox::TryWrite;

/// Everybody who is on the porch.
#[derive(Debug)]
pub struct Porch {
    /// How long each may stay, however many want to come.
    fair: Duration,
    places: Arc<Semaphore>,
    line: Mutex<Line>,
}

/// In the order in which they came.
#[derive(Debug, Default)]
struct Line {
    waiting: BTreeMap<u64, Waiting>,
    next: u64,
}

#[derive(Debug)]
struct Waiting {
    socket: Arc<Socket>,
    since: Instant,
    heard: bool,
}

/// One connection on the porch; it has left when this is dropped.
#[derive(Debug)]
pub struct Guest {
    porch: Arc<Porch>,
    number: u64,
    _place: SemaphoreGuardArc,
}

impl Porch {
    /// An empty porch for so many, each of whom may stay for a `fair` time at least.
    pub fn new(places: usize, fair: Duration) -> Porch {
        Porch {
            fair,
            places: Arc::new(Semaphore::new(places)),
            line: Mutex::default(),
        }
    }

    /// Lets a connection in as soon as there is room, and makes some if need be. Takes no longer
    /// than the fair time, and what those who are let go take to notice.
    pub async fn enter(self: &Arc<Porch>, socket: &Arc<Socket>) -> Guest {
        let place = loop {
            if let Some(place) = within(self.patience(), self.places.acquire_arc()).await {
                break place;
            }
            if self.let_oldest_go() {
                break self.places.acquire_arc().await;
            }
        };
        let mut line = self.lock();
        let number = line.next;
        line.next += 1;
        let waiting = Waiting {
            socket: socket.clone(),
            since: Instant::now(),
            heard: false,
        };
        line.waiting.insert(number, waiting);
        Guest {
            porch: self.clone(),
            number,
            _place: place,
        }
    }

    /// A poisoned lock is taken all the same: every change below is one step.
    fn lock(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How long whoever came first may still stay.
    fn patience(&self) -> Duration {
        let line = self.lock();
        let stayed = line
            .waiting
            .values()
            .next()
            .map(|oldest| oldest.since.elapsed());
        self.fair.saturating_sub(stayed.unwrap_or_default())
    }

    /// Lets go of whoever came first, if the fair time is over: with 408 if no head has come yet.
    /// Its task finds the connection closed, and ends.
    fn let_oldest_go(&self) -> bool {
        let mut line = self.lock();
        let oldest = line.waiting.first_entry();
        let Some(oldest) = oldest.filter(|oldest| oldest.get().since.elapsed() >= self.fair) else {
            return false;
        };
        let Waiting { socket, heard, .. } = oldest.remove();
        if !heard {
            // Nothing has been sent before, so the socket has room for it. Amid a handshake nothing
            // can be said.
            let _ = socket.try_write(&[IoSlice::new(&crowded().bytes(false))]);
        }
        socket.cut();
        true
    }
}

/// What whoever makes room is told.
pub fn crowded() -> Answer {
    Answer::text(408, "no complete head yet, and others are waiting")
}

impl Guest {
    /// Its head has come, or what there is instead of one. `false`: too late, it has been let go.
    pub fn heard(&self) -> bool {
        match self.porch.lock().waiting.get_mut(&self.number) {
            Some(waiting) => waiting.heard = true,
            None => return false,
        }
        true
    }

    /// Leaves the porch. `false`: it has been let go already.
    pub fn leave(self) -> bool {
        self.gone()
    }

    fn gone(&self) -> bool {
        self.porch.lock().waiting.remove(&self.number).is_some()
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.gone();
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::net::{TcpListener, TcpStream};

    use smol::Async;

    use super::*;

    /// Both ends of a connection.
    fn connection() -> (TcpStream, Arc<Socket>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (server, _) = listener.accept().unwrap();
        (
            client,
            Arc::new(Socket::new(Async::new(server).unwrap(), None)),
        )
    }

    fn heard(mut client: &TcpStream) -> String {
        let mut heard = String::new();
        client.read_to_string(&mut heard).unwrap();
        heard
    }

    #[test]
    fn who_came_first_makes_room_and_nobody_else() {
        let porch = Arc::new(Porch::new(2, Duration::ZERO));
        let enter = |socket: &Arc<Socket>| smol::block_on(porch.enter(socket));
        let [one, two, three, four] = std::array::from_fn(|_| connection());
        let first = enter(&one.1);
        let second = enter(&two.1);
        assert!(first.heard() && second.heard());
        drop(first);
        let third = enter(&three.1);
        let more = smol::future::or(async { Some(porch.enter(&four.1).await) }, async { None });
        assert!(
            smol::block_on(more).is_none(),
            "its task has not noticed yet"
        );
        assert_eq!(heard(&two.0), "", "it was being answered");
        assert!(!second.leave());
        let fourth = enter(&four.1);
        assert!(third.leave() && fourth.leave());
        assert!(porch.lock().waiting.is_empty());
    }

    #[test]
    fn who_has_said_nothing_yet_is_told_why() {
        let porch = Arc::new(Porch::new(1, Duration::ZERO));
        let [one, two] = std::array::from_fn(|_| connection());
        let first = smol::block_on(porch.enter(&one.1));
        let second = async { Some(porch.enter(&two.1).await) };
        let let_go = async {
            while first.porch.lock().waiting.contains_key(&first.number) {
                smol::future::yield_now().await;
            }
            assert!(!first.heard());
            drop(first);
            smol::future::pending().await
        };
        let second = smol::block_on(smol::future::or(second, let_go)).unwrap();
        assert!(heard(&one.0).starts_with("HTTP/1.1 408 "));
        assert!(second.leave());
    }

    #[test]
    fn everybody_has_fair_time() {
        let porch = Arc::new(Porch::new(1, Duration::from_secs(3600)));
        let [one, two] = std::array::from_fn(|_| connection());
        let first = smol::block_on(porch.enter(&one.1));
        let second = async { Some(porch.enter(&two.1).await) };
        let second = smol::future::or(second, async { None });
        assert!(smol::block_on(second).is_none());
        assert!(first.heard() && first.leave());
        assert!(smol::block_on(porch.enter(&two.1)).leave());
    }
}
