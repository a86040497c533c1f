//! One set of connections, from its making to its end.

use std::time::Duration;

use smol::channel;
use smol::future;

use super::heartbeat::{expire_leases, heartbeat};
use super::reauth::reauthenticate;
use super::reply::{self, Lease};
use super::{Redis, health};
use crate::chat::dialect::{Dialect, Reply};
use crate::redis::connection::Connection;
use crate::redis::error::Error;
use crate::redis::node_connections::NodeConnections;
use crate::redis::pipeline::{BATCH, Task, race};
use crate::time::timeout;

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
    /// Connects, subscribes to every room with peers here, registers every name, reads the messages
    /// missed meanwhile, and only then opens the gate to callers.
    ///
    /// # Errors
    /// Why that failed.
    pub async fn open(bus: &'a Redis) -> Result<Session<'a>, Error> {
        let mut subscription = bus.connect().await?;
        let client = &bus.client;
        let unmapped = bus.known_nodes.unmapped();
        let ready = client.scripts.load();
        let nodes =
            NodeConnections::connect(&client.endpoint, &mut subscription, &unmapped, ready).await?;
        let connector = bus.client.endpoint.connector();
        connector.enable_reauth(&mut subscription).await?;
        bus.client.pipeline.connect(nodes.map());
        let cluster = nodes.map().is_some();
        bus.known_nodes
            .set_mapped(nodes.map().map_or(&[], |map| &map.nodes));
        let connections = nodes.into_connections();
        let nodes = connections.len();
        let mut carrier = bus.client.pipeline.run(connections);
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

    /// Runs all loops until one ends: a connection breaks or falls silent, or it can't sign in again
    /// with a new token. `again`: peers have been told that their messages wait.
    pub async fn run(self, bus: &Redis, again: bool) -> Error {
        if again {
            // Before any message goes out: a peer must not hear it while it believes that it waits.
            let over = Reply::Status(true);
            bus.peers.send_to_all(Dialect::Typed, &over).await;
        }
        let Connection {
            commands,
            replies,
            primary,
            reauthenticable,
        } = self.subscription;
        bus.canary.reset();
        let subscriptions = &bus.subscriber.subscriptions;
        let (client, presence, canary) = (&bus.client, &bus.presence, &bus.canary);
        let (dead_sender, dead_receiver) = channel::bounded(1);
        race(vec![
            self.carrier,
            Box::pin(bus.subscriber.run(canary, replies, self.cluster)),
            Box::pin(bus.subscriber.write_subscriptions(commands)),
            Box::pin(heartbeat(
                client,
                presence,
                canary,
                subscriptions,
                dead_sender,
                self.nodes,
            )),
            Box::pin(expire_leases(presence, dead_receiver)),
            Box::pin(health::watch(client, &bus.health)),
            Box::pin(send_rosters(bus, again)),
            Box::pin(reauthenticate(client, subscriptions, reauthenticable)),
            Box::pin(client.endpoint.primary_changed(primary.as_ref())),
        ])
        .await
    }
}

/// Restores the state at Redis and hands on what was said meanwhile, before the gate opens.
async fn prepare(bus: &Redis, subscription: &mut Connection) -> Result<(), Error> {
    let client = &bus.client;
    let pulse = client.request_early(bus.presence.renew_lease()).await?;
    if let Some((Lease::Reaped, _)) = reply::pulse(&pulse) {
        bus.presence.set_missed();
    }

    let rooms = bus.subscriber.subscriptions.wanted();
    let mut channels = vec![client.scripts.own_channel()];
    channels.extend(rooms.iter().map(|room| client.scripts.channel(room)));
    for channels in channels.chunks(BATCH) {
        subscription.subscribe(channels).await?;
    }

    bus.presence.register_names(&rooms).await?;
    // Not those of the lobby: their node may be out of reach now.
    let [names, _] = client.scripts.try_join();
    let tried = client.request_early(names).await?;
    health::note(client, &bus.health, &[tried]);
    bus.subscriber.resync().await?;
    bus.subscriber
        .subscriptions
        .up(&rooms, |room| client.scripts.channel(room));
    client.pipeline.open();
    bus.presence.lease_grace.on_reply(Duration::ZERO);
    Ok(())
}

/// Sends typed peers the current rosters. Never ends by itself.
async fn send_rosters(bus: &Redis, again: bool) -> Error {
    if again {
        for room in bus.subscriber.subscriptions.wanted() {
            if let Some(roster) = bus.client.roster(&room).await {
                let who = Reply::Who(&room, &roster);
                bus.peers.send_to_room(&room, Dialect::Typed, &who).await;
            }
        }
    }
    bus.subscriber.notify_incomplete().await;
    future::pending().await
}
