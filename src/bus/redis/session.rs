//! One pair of connections, from its making to its end.

mod subscriber;

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::{Duration, Instant};

use redis::Value;
use smol::channel::{self, Receiver, Sender};
use smol::io::{AsyncWriteExt, ReadHalf, WriteHalf};
use smol::{Timer, future};

use super::reauth::reauthenticate;
use super::reply::{self, Lease};
use super::requester::{BATCH, Requester};
use super::resync::{notify_incomplete, register_names, resync};
use super::scripts::Publication;
use super::{ANSWER_TIME, Redis, health, lease_expiry};
use crate::chat::dialect::{Dialect, Reply};
use crate::redis::connection::{Connection, Transport};
use crate::redis::error::{Error, no_answer};
use crate::redis::node_connections::NodeConnections;
use crate::redis::resp::Replies;
use crate::time::timeout;
use subscriber::subscriber;

/// How often the lease is renewed and the canary sent.
pub const PULSE: Duration = Duration::from_secs(3);
/// A canary that has not come back for so long is dead, and with it the subscription.
const CANARY_TIME: Duration = Duration::from_secs(9);
/// A connection that is not ready after this time is given up.
const READY_TIME: Duration = Duration::from_secs(30);
/// A write that Redis does not take within this time ends the connection.
const WRITE_TIME: Duration = Duration::from_secs(10);

/// One of the session's loops. It ends when the session must end.
type Task<'a> = Pin<Box<dyn Future<Output = Error> + Send + 'a>>;
type Reader = Replies<ReadHalf<Box<dyn Transport>>>;
type Writer = WriteHalf<Box<dyn Transport>>;

/// Connections for commands and one that is subscribed.
pub struct Session<'a> {
    nodes: NodeConnections<'a>,
    subscriber: Connection,
}

impl<'a> Session<'a> {
    /// Connects, subscribes to every room with peers here, registers every name, reads what was
    /// said meanwhile, and only then lets callers at it.
    ///
    /// # Errors
    /// Why not.
    pub async fn open(bus: &'a Redis) -> Result<Session<'a>, Error> {
        let mut subscriber = bus.connect().await?;
        let unmapped_nodes = bus.known_nodes().unmapped_nodes.clone();
        let ready = bus.scripts.load();
        let nodes =
            NodeConnections::connect(&bus.endpoint, &mut subscriber, &unmapped_nodes, ready)
                .await?;
        bus.endpoint
            .connector()
            .enable_reauth(&mut subscriber)
            .await?;
        let mut session = Session { nodes, subscriber };
        let slow = || Error::Transient(format!("not ready within {READY_TIME:?}"));
        timeout(READY_TIME, session.prepare(bus))
            .await
            .unwrap_or_else(|| Err(slow()))?;
        Ok(session)
    }

    async fn prepare(&mut self, bus: &Redis) -> Result<(), Error> {
        let mut requester = Requester::Connecting(&mut self.nodes);
        let pulse = requester
            .request(&[bus.scripts.renew_lease(bus.lease_grace.margin())])
            .await?;
        if let Some((Lease::Reaped, _)) = pulse.first().and_then(reply::pulse) {
            bus.missed.store(true, Ordering::Relaxed);
        }

        let rooms = bus.subscriptions.wanted();
        let mut channels = vec![bus.scripts.own_channel()];
        channels.extend(rooms.iter().map(|room| bus.scripts.channel(room)));
        for channels in channels.chunks(BATCH) {
            self.subscriber.subscribe(channels).await?;
        }

        register_names(bus, &mut requester).await?;
        // The lobby's keys may be elsewhere, and out of reach now.
        let [names, _] = bus.scripts.try_join();
        health::note(bus, &requester.request(&[names]).await?);
        resync(bus, &mut requester).await?;
        bus.subscriptions
            .up(&rooms, |room| bus.scripts.channel(room));
        bus.queue.up(self.nodes.map());
        bus.set_mapped(self.nodes.map().map_or(&[], |map| &map.nodes));
        bus.lease_grace.on_reply(Duration::ZERO);
        Ok(())
    }

    /// Carries messages until one of the connections breaks or falls silent, or the token changes and
    /// they can't follow. `again`: there were some before, and peers have been told that messages
    /// wait.
    pub async fn run(self, bus: &Redis, again: bool) -> Error {
        if again {
            // Ahead of all that waits: it must not arrive while its peer still thinks that it waits.
            let over = Reply::Status(true);
            bus.peers.send_to_all(Dialect::Typed, &over).await;
        }
        let Session {
            nodes,
            subscriber: subscription,
        } = self;
        let Connection {
            commands,
            replies,
            primary,
            reauthenticable,
        } = subscription;
        let state = State::default();
        let cluster = nodes.map().is_some();
        let connections = nodes.into_connections();
        let (dead_sender, dead_receiver) = channel::bounded(1);
        let nodes = connections.len();
        let mut tasks: Vec<Task<'_>> = Vec::new();
        for (node, connection) in connections.into_iter().enumerate() {
            tasks.push(Box::pin(write_requests(bus, node, connection.commands)));
            tasks.push(Box::pin(read_replies(bus, node, connection.replies)));
        }
        let others: [Task<'_>; 9] = [
            Box::pin(subscriber(bus, replies, &state, cluster)),
            Box::pin(write_subscriptions(bus, commands)),
            Box::pin(heartbeat(bus, &state, dead_sender, nodes)),
            Box::pin(expire_leases(bus, dead_receiver)),
            Box::pin(health::watch(bus)),
            Box::pin(send_rosters(bus, again)),
            Box::pin(retry_slots(bus)),
            Box::pin(reauthenticate(bus, reauthenticable)),
            Box::pin(bus.endpoint.primary_changed(primary.as_ref())),
        ];
        tasks.extend(others);
        race(tasks).await
    }
}

/// What the one half of a session knows and the other wants to.
struct State {
    /// When the canary was last heard.
    canary: Mutex<Instant>,
    /// When it was last sent.
    sent: Mutex<Option<Instant>>,
    /// Others have been told that our peers had left.
    reaped: AtomicBool,
}

impl Default for State {
    fn default() -> State {
        State {
            canary: Mutex::new(Instant::now()),
            sent: Mutex::default(),
            reaped: AtomicBool::new(false),
        }
    }
}

impl State {
    fn sent(&self) -> MutexGuard<'_, Option<Instant>> {
        self.sent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn canary(&self) -> MutexGuard<'_, Instant> {
        self.canary.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tells typed peers who is where by now. Never ends by itself.
async fn send_rosters(bus: &Redis, again: bool) -> Error {
    if again {
        for room in bus.subscriptions.wanted() {
            if let Some(roster) = bus.roster(&room).await {
                let who = Reply::Who(&room, &roster);
                bus.peers.send_to_room(&room, Dialect::Typed, &who).await;
            }
        }
    }
    notify_incomplete(bus).await;
    future::pending().await
}

/// Runs all tasks until one ends.
async fn race(mut tasks: Vec<Task<'_>>) -> Error {
    future::poll_fn(|cx| {
        for task in &mut tasks {
            if let Poll::Ready(error) = task.as_mut().poll(cx) {
                return Poll::Ready(error);
            }
        }
        Poll::Pending
    })
    .await
}

/// Tries again what could not be done because its slot was on its way. Never ends by itself.
async fn retry_slots(bus: &Redis) -> Error {
    bus.queue.retry().await;
    future::pending().await
}

/// Writes what waits for a node, all of it at once.
async fn write_requests(bus: &Redis, node: usize, mut commands: Writer) -> Error {
    let mut out = Vec::new();
    loop {
        out.clear();
        let publish = |first: &Publication, more: &[&Publication]| bus.scripts.publish(first, more);
        bus.queue.take(node, &mut out, publish).await;
        if let Err(error) = write(&mut commands, &out).await {
            return error;
        }
    }
}

/// Reads a node's answers.
async fn read_replies(bus: &Redis, node: usize, mut replies: Reader) -> Error {
    loop {
        let reply = match replies.next().await {
            Ok(reply) => reply,
            Err(error) => return format!("connection lost: {error}").into(),
        };
        if let Err(broken) = bus.queue.on_reply(node, reply) {
            return broken;
        }
    }
}

/// Subscribes and unsubscribes as peers come and go.
async fn write_subscriptions(bus: &Redis, mut commands: Writer) -> Error {
    loop {
        let out = bus.subscriptions.take().await;
        if let Err(error) = write(&mut commands, &out).await {
            return error;
        }
    }
}

/// Renews the lease and watches the canary: it goes out on one connection and must come back on
/// the other, so no dead subscription hides behind a living connection. Finds whose lease has run
/// out, and registers our names again when it was ours.
async fn heartbeat(bus: &Redis, state: &State, find: Sender<Vec<String>>, nodes: usize) -> Error {
    loop {
        Timer::after(PULSE).await;
        let asked = Instant::now();
        *state.sent() = Some(asked);
        let reply = bus
            .request(bus.scripts.renew_lease(bus.lease_grace.margin()))
            .await;
        // A single Redis has answered already if it is alive.
        let alive = nodes == 1 || alive(bus).await;
        let (Some(reply), true) = (reply, alive) else {
            return no_answer(ANSWER_TIME);
        };
        let Some((lease, dead)) = reply::pulse(&reply) else {
            return match reply {
                Value::ServerError(error) => format!("refused: {error}").into(),
                _ => "an answer that makes no sense".to_string().into(),
            };
        };
        bus.lease_grace.on_reply(asked.elapsed());
        if state.canary().elapsed() > CANARY_TIME {
            return format!("nothing comes back on the subscription since {CANARY_TIME:?}").into();
        }
        // Full while the last ones are still being buried: they will be found again.
        let _ = find.try_send(dead);
        let reaped = state.reaped.swap(false, Ordering::Relaxed) || lease == Lease::Reaped;
        if reaped {
            bus.missed.store(true, Ordering::Relaxed);
        }
        if reaped || lease == Lease::None {
            log::warn!("redis no longer knows our names: registering them again");
            if let Err(error) = register_names(bus, &mut Requester::Connected(bus)).await {
                return error;
            }
        }
    }
}

/// Whether every node answers.
async fn alive(bus: &Redis) -> bool {
    let ping = redis::cmd("PING").get_packed_command();
    let replies = timeout(ANSWER_TIME, bus.queue.request_all(&ping)).await;
    replies.flatten().is_some()
}

/// Gives up what dead instances have left. Never ends by itself.
async fn expire_leases(bus: &Redis, found: Receiver<Vec<String>>) -> Error {
    while let Ok(dead) = found.recv().await {
        for instance in dead {
            if lease_expiry::expire(bus, &instance).await.is_err() {
                // The lease is still there, so somebody will go on.
                break;
            }
        }
    }
    future::pending().await
}

async fn write(out: &mut Writer, bytes: &[u8]) -> Result<(), Error> {
    let write = async {
        out.write_all(bytes).await?;
        out.flush().await
    };
    match timeout(WRITE_TIME, write).await {
        Some(Ok(())) => Ok(()),
        Some(Err(error)) => Err(format!("connection lost: {error}").into()),
        None => Err(format!("nothing is taken within {WRITE_TIME:?}").into()),
    }
}
