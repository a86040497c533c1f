//! One pair of connections, from its making to its end.

mod subscriber;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use redis::Value;
use smol::channel::{self, Receiver, Sender};
use smol::{Timer, future};

use super::reauth::reauthenticate;
use super::reply::{self, Lease};
use super::resync::{notify_incomplete, register_names, resync};
use super::{Redis, health, lease_expiry};
use crate::chat::dialect::{Dialect, Reply};
use crate::redis::connection::{Connection, Writer};
use crate::redis::error::{Error, no_answer};
use crate::redis::node_connections::NodeConnections;
use crate::redis::pipeline::{BATCH, REPLY_TIME, Task, race};
use crate::time::timeout;
use subscriber::subscriber;

/// How often the lease is renewed and the canary sent.
pub const PULSE: Duration = Duration::from_secs(3);
/// A canary that has not come back for so long is dead, and with it the subscription.
const CANARY_TIME: Duration = Duration::from_secs(9);
/// A connection that is not ready after this time is given up.
const READY_TIME: Duration = Duration::from_secs(30);
/// Connections for commands and one that is subscribed.
pub struct Session<'a> {
    /// Carries commands and replies.
    carrier: Task<'a>,
    nodes: usize,
    cluster: bool,
    subscription: Connection,
}

impl<'a> Session<'a> {
    /// Connects, subscribes to every room with peers here, registers every name, reads what was
    /// said meanwhile, and only then lets callers at it.
    ///
    /// # Errors
    /// Why not.
    pub async fn open(bus: &'a Redis) -> Result<Session<'a>, Error> {
        let mut subscription = bus.connect().await?;
        let unmapped_nodes = bus.known_nodes().unmapped_nodes.clone();
        let ready = bus.scripts.load();
        let nodes =
            NodeConnections::connect(&bus.endpoint, &mut subscription, &unmapped_nodes, ready)
                .await?;
        let connector = bus.endpoint.connector();
        connector.enable_reauth(&mut subscription).await?;
        bus.pipeline.connect(nodes.map());
        let cluster = nodes.map().is_some();
        bus.set_mapped(nodes.map().map_or(&[], |map| &map.nodes));
        let connections = nodes.into_connections();
        let nodes = connections.len();
        let mut carrier = bus.pipeline.run(connections);
        let prepared = timeout(READY_TIME, prepare(bus, &mut subscription));
        let slow = || Error::Transient(format!("not ready within {READY_TIME:?}"));
        let prepared = async { prepared.await.unwrap_or_else(|| Err(slow())) };
        future::or(prepared, async { Err(carrier.as_mut().await) }).await?;
        Ok(Session {
            carrier,
            nodes,
            cluster,
            subscription,
        })
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
        let Connection {
            commands,
            replies,
            primary,
            reauthenticable,
        } = self.subscription;
        let state = State::default();
        let (dead_sender, dead_receiver) = channel::bounded(1);
        race(vec![
            self.carrier,
            Box::pin(subscriber(bus, replies, &state, self.cluster)),
            Box::pin(write_subscriptions(bus, commands)),
            Box::pin(heartbeat(bus, &state, dead_sender, self.nodes)),
            Box::pin(expire_leases(bus, dead_receiver)),
            Box::pin(health::watch(bus)),
            Box::pin(send_rosters(bus, again)),
            Box::pin(reauthenticate(bus, reauthenticable)),
            Box::pin(bus.endpoint.primary_changed(primary.as_ref())),
        ])
        .await
    }
}

/// Restores the state at Redis and hands on what was said meanwhile, before the gate opens.
async fn prepare(bus: &Redis, subscription: &mut Connection) -> Result<(), Error> {
    let renew = bus.scripts.renew_lease(bus.lease_grace.margin());
    let pulse = bus.pipeline.request_early(&[renew]).await?;
    if let Some((Lease::Reaped, _)) = pulse.first().and_then(reply::pulse) {
        bus.missed.store(true, Ordering::Relaxed);
    }

    let rooms = bus.subscriptions.wanted();
    let mut channels = vec![bus.scripts.own_channel()];
    channels.extend(rooms.iter().map(|room| bus.scripts.channel(room)));
    for channels in channels.chunks(BATCH) {
        subscription.subscribe(channels).await?;
    }

    register_names(bus).await?;
    // The lobby's keys may be elsewhere, and out of reach now.
    let [names, _] = bus.scripts.try_join();
    health::note(bus, &bus.pipeline.request_early(&[names]).await?);
    resync(bus).await?;
    bus.subscriptions
        .up(&rooms, |room| bus.scripts.channel(room));
    bus.pipeline.open();
    bus.lease_grace.on_reply(Duration::ZERO);
    Ok(())
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

/// Subscribes and unsubscribes as peers come and go.
async fn write_subscriptions(bus: &Redis, mut commands: Writer) -> Error {
    loop {
        let out = bus.subscriptions.take().await;
        if let Err(error) = commands.write(&out).await {
            return error;
        }
    }
}

/// Renews the lease and watches the canary: it goes out on one connection and must come back on
/// the other, so no dead subscription hides behind a living connection. Finds whose lease has run
/// out, and registers our names again when it was ours.
async fn heartbeat(bus: &Redis, state: &State, find: Sender<Vec<String>>, nodes: usize) -> Error {
    let ping = redis::cmd("PING").get_packed_command();
    loop {
        Timer::after(PULSE).await;
        let asked = Instant::now();
        *state.sent() = Some(asked);
        let renew = bus.scripts.renew_lease(bus.lease_grace.margin());
        let Some(reply) = bus.pipeline.request(renew).await else {
            return no_answer(REPLY_TIME);
        };
        // A single Redis has answered already if it is alive.
        if nodes > 1
            && let Err(error) = bus.pipeline.request_all_nodes(&ping).await
        {
            return error;
        }
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
            if let Err(error) = register_names(bus).await {
                return error;
            }
        }
    }
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
