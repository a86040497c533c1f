//! One set of connections, from its making to its end: those for commands, and one that is subscribed.

use std::convert::Infallible;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use smol::channel;
use smol::future;

use super::heartbeat::{expire_leases, heartbeat};
use super::log_limit::limit_logs;
use super::reauth::reauthenticate;
use super::reconcile::Reconciliation;
use super::reply::{self, Lease};
use super::subscriptions::Connections;
use super::{Redis, health, listeners};
use crate::chat::dialect::Reply;
use crate::redis::connection::Connection;
use crate::redis::error::Error;
use crate::redis::fence::Fence;
use crate::redis::known_nodes::KnownNodes;
use crate::redis::node_connections::NodeConnections;
use crate::redis::pipeline::{BATCH, Task, race};
use crate::time::timeout;

/// A connection that is not ready after this time is given up.
const READY_TIME: Duration = Duration::from_secs(30);

/// Connects, ends the connections of before, subscribes to every room with peers here, has names and
/// rosters [compared](super::reconcile), reads the messages missed meanwhile, and only then opens the
/// gate to callers and calls `ready`. From then on runs all loops until one ends: a connection breaks
/// or falls silent, or it can't sign in again with a new token. `again`: peers have been told that
/// their messages wait.
///
/// # Errors
/// Why it ended.
pub async fn run(
    bus: &Redis,
    known: &mut KnownNodes,
    fence: &mut Fence,
    again: bool,
    ready: impl FnOnce(),
) -> Result<Infallible, Error> {
    let client = &bus.client;
    let mut first = bus.connect(known).await?;
    let (endpoint, load) = (&client.endpoint, client.scripts.load());
    let unmapped = &known.unmapped;
    let nodes = NodeConnections::connect(endpoint, &mut first, unmapped, &load, fence).await?;
    let map = nodes.map.as_ref();
    known.set_mapped(map.map_or(&[], |map| &map.nodes));
    let (count, cluster) = (nodes.connections.len(), map.is_some());
    let shards = nodes.map.clone().filter(|_| nodes.sharded);
    let mut subscribed = vec![first];
    for node in shards.iter().flat_map(|map| &map.nodes) {
        subscribed.push(endpoint.connect_to(node).await?);
    }
    for connection in &mut subscribed {
        endpoint.enable_reauth(connection).await?;
    }
    client.scripts.sharded.store(shards.is_some(), Relaxed);
    let mut carrier = client.pipeline.run(nodes);
    let (dead, expired) = channel::bounded(1);
    let mut reconciliation = Reconciliation::new(bus, dead.clone());
    let connections = Connections::new(shards);
    let prepared = timeout(
        READY_TIME,
        prepare(bus, &mut subscribed, connections, &mut reconciliation),
    );
    let slow = || Error::Transient(format!("not ready within {READY_TIME:?}"));
    let prepared = async { prepared.await.unwrap_or_else(|| Err(slow())) };
    future::or(prepared, async { Err(carrier.as_mut().await) }).await?;
    ready();
    if again {
        // Before any message goes out: a peer must not hear it while it believes that it waits.
        let over = Reply::Status(true);
        bus.peers.send_to_all(&over).await;
    }
    bus.canary.restart();
    let subscriptions = &bus.subscriber.subscriptions;
    let (presence, canary) = (&bus.presence, &bus.canary);
    let reauthenticable = subscribed.iter().all(|one| one.reauthenticable);
    let primary = subscribed[0].primary.clone();
    let halves = subscribed.into_iter();
    let (replies, writers): (Vec<_>, Vec<_>) =
        halves.map(|one| (one.replies, one.commands)).unzip();
    let heartbeat = heartbeat(client, presence, canary, subscriptions, dead);
    let reauth = reauthenticate(client, subscriptions, reauthenticable);
    let mut loops = vec![
        carrier,
        task((bus.subscriber).run(canary, presence, replies, cluster)),
        task(heartbeat),
        Box::pin(expire_leases(presence, expired)),
        Box::pin(health::watch(client, &bus.health)),
        Box::pin(listeners::watch(client, subscriptions, count)),
        Box::pin(limit_logs(client, &bus.log_limit)),
        Box::pin(bus.subscriber.conversations.close_idle(subscriptions)),
        Box::pin(bus.subscriber.open_unheard()),
        Box::pin(reconciliation.run(again)),
        task(reauth),
        Box::pin(client.endpoint.primary_changed(primary.as_ref())),
    ];
    for (connection, commands) in writers.into_iter().enumerate() {
        loops.push(task(subscriptions.write(connection, commands)));
    }
    Err(race(loops).await)
}

/// A loop that ends only with an error.
fn task<'a>(run: impl Future<Output = Result<Infallible, Error>> + Send + 'a) -> Task<'a> {
    Box::pin(async {
        let Err(error) = run.await;
        error
    })
}

/// Restores the state at Redis and hands on what was said meanwhile, before the gate opens.
async fn prepare(
    bus: &Redis,
    subscribed: &mut [Connection],
    connections: Connections,
    reconciliation: &mut Reconciliation<'_>,
) -> Result<(), Error> {
    let client = &bus.client;
    let asked = Instant::now();
    let pulse = client.request_early(client.scripts.renew_lease()).await?;
    if let Some((lease, leases)) = reply::pulse(&pulse) {
        bus.presence.leases.see(asked, Instant::now(), leases);
        if lease == Lease::Expired {
            bus.presence.set_missed();
        }
    }

    let logs = client.scripts.keeps_logs();
    if !logs {
        bus.subscriber.resync().await?;
    }
    let rooms = bus.subscriber.subscriptions.wanted();
    let own = [client.scripts.own_channel()];
    subscribed[0].subscribe(&own, &[]).await?;
    let channels = rooms.iter().map(|room| client.scripts.channels(room));
    let channels: Vec<_> = channels.collect();
    for (place, connection) in subscribed.iter_mut().enumerate() {
        let here = |channels: &&[String; 2]| connections.of(channels) == place;
        let here: Vec<_> = channels.iter().filter(here).cloned().collect();
        for channels in here.chunks(BATCH) {
            let envelopes = channels.iter().map(|[_, envelopes]| envelopes.clone());
            let sharded: Vec<_> = envelopes.filter(|_| place > 0).collect();
            connection
                .subscribe(channels.as_flattened(), &sharded)
                .await?;
        }
    }

    // Names that others have now are not claimed again.
    bus.subscriber.close_replaced().await?;
    reconciliation.prepare().await?;
    // Not those of the lobby: their node may be out of reach now.
    let [names, _] = client.scripts.try_join();
    let tried = client.request_early(names).await?;
    health::note(client, &bus.health, &[tried]);
    if logs {
        bus.subscriber.resync().await?;
    }
    bus.subscriber.read_inbox().await?;
    bus.subscriber.subscriptions.up(connections, &rooms);
    client.pipeline.open();
    Ok(())
}
