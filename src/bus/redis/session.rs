//! One set of connections, from its making to its end: those for commands, and one that is subscribed.

use std::convert::Infallible;
use std::time::{Duration, Instant};

use smol::channel;
use smol::future;

use super::heartbeat::{expire_leases, heartbeat};
use super::log_limit::limit_logs;
use super::reauth::reauthenticate;
use super::reconcile::Reconciliation;
use super::reply::{self, Lease};
use super::{Redis, health, listeners};
use crate::chat::dialect::{Dialect, Reply};
use crate::redis::connection::Connection;
use crate::redis::error::Error;
use crate::redis::known_nodes::KnownNodes;
use crate::redis::node_connections::NodeConnections;
use crate::redis::pipeline::{BATCH, Task, race};
use crate::time::timeout;

/// A connection that is not ready after this time is given up.
const READY_TIME: Duration = Duration::from_secs(30);

/// Connects, subscribes to every room with peers here, registers every name, reads the messages
/// missed meanwhile, and only then opens the gate to callers and calls `ready`. From then on runs all
/// loops until one ends: a connection breaks or falls silent, or it can't sign in again with a new
/// token. `again`: peers have been told that their messages wait.
///
/// # Errors
/// Why it ended.
pub async fn run(
    bus: &Redis,
    known: &mut KnownNodes,
    again: bool,
    ready: impl FnOnce(),
) -> Result<Infallible, Error> {
    let client = &bus.client;
    let mut subscription = bus.connect(known).await?;
    let (endpoint, first) = (&client.endpoint, client.scripts.load());
    let unmapped = &known.unmapped;
    let nodes = NodeConnections::connect(endpoint, &mut subscription, unmapped, &first).await?;
    endpoint.enable_reauth(&mut subscription).await?;
    let map = nodes.map.as_ref();
    known.set_mapped(map.map_or(&[], |map| &map.nodes));
    let (count, cluster) = (nodes.connections.len(), map.is_some());
    let mut carrier = client.pipeline.run(nodes);
    let (dead, expired) = channel::bounded(1);
    let mut reconciliation = Reconciliation::new(bus, dead.clone());
    let prepared = timeout(
        READY_TIME,
        prepare(bus, &mut subscription, &mut reconciliation),
    );
    let slow = || Error::Transient(format!("not ready within {READY_TIME:?}"));
    let prepared = async { prepared.await.unwrap_or_else(|| Err(slow())) };
    future::or(prepared, async { Err(carrier.as_mut().await) }).await?;
    ready();
    if again {
        // Before any message goes out: a peer must not hear it while it believes that it waits.
        let over = Reply::Status(true);
        bus.peers.send_to_all(Dialect::Typed, &over).await;
    }
    bus.canary.restart();
    let subscriptions = &bus.subscriber.subscriptions;
    let (presence, canary) = (&bus.presence, &bus.canary);
    let (subscriber, replies) = (&bus.subscriber, subscription.replies);
    let heartbeat = heartbeat(client, presence, canary, dead);
    let reauth = reauthenticate(client, subscriptions, subscription.reauthenticable);
    let primary = subscription.primary.as_ref();
    let loops = vec![
        carrier,
        task(subscriber.run(canary, presence, replies, cluster)),
        task(subscriptions.write(subscription.commands)),
        task(heartbeat),
        Box::pin(expire_leases(presence, expired)),
        Box::pin(health::watch(client, &bus.health)),
        Box::pin(listeners::watch(client, subscriptions, count)),
        Box::pin(limit_logs(client, &bus.log_limit)),
        Box::pin(reconciliation.run(again)),
        task(reauth),
        Box::pin(client.endpoint.primary_changed(primary)),
    ];
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
    subscription: &mut Connection,
    reconciliation: &mut Reconciliation<'_>,
) -> Result<(), Error> {
    let client = &bus.client;
    let asked = Instant::now();
    let pulse = client.request_early(client.scripts.renew_lease()).await?;
    if let Some((lease, leases)) = reply::pulse(&pulse) {
        bus.presence.leases.see(asked, Instant::now(), leases);
        if lease == Lease::Reaped {
            bus.presence.set_missed();
        }
    }

    let rooms = bus.subscriber.subscriptions.wanted();
    let mut channels = vec![client.scripts.own_channel()];
    channels.extend(rooms.iter().flat_map(|room| client.scripts.channels(room)));
    for channels in channels.chunks(BATCH) {
        subscription.subscribe(channels).await?;
    }

    reconciliation.prepare().await?;
    // Not those of the lobby: their node may be out of reach now.
    let [names, _] = client.scripts.try_join();
    let tried = client.request_early(names).await?;
    health::note(client, &bus.health, &[tried]);
    bus.subscriber.resync().await?;
    bus.subscriber.subscriptions.up(&rooms);
    client.pipeline.open();
    Ok(())
}
