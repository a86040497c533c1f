//! The bus of many instances behind one Redis.
//!
//! Two connections: one for commands, pipelined, and one that is subscribed to the channels of the
//! rooms that have peers here. In a cluster there is one for commands to each node that has slots;
//! what is published on any node is heard on all. They live and die together: when one breaks or
//! falls silent, all are made again, the channels subscribed and the names registered again.
//! Everything that waits for Redis waits with a limit, and no queue is without one.
//!
//! The `supervisor` connects and runs one `session` after the other, which is a race of all loops.
//! The `publisher` sends messages, the `subscriber` hears them, and `resync` reads from the logs
//! what it has not heard. `presence` keeps names and rosters, and the `heartbeat` the lease.

mod check;
mod client;
mod health;
mod heartbeat;
mod inbox;
mod lease_expiry;
pub mod message;
mod metrics;
mod presence;
mod publisher;
mod reauth;
pub mod reply;
mod resync;
mod scripts;
mod session;
mod subscriber;
mod subscriptions;
mod supervisor;

use std::sync::Arc;

use event_listener::EventListener;
use smol::channel::Sender;

use super::{Claim, NewMessage};
use crate::chat::dialect::Roster;
use crate::chat::event::Event;
use crate::chat::id::{Id, Instance};
use crate::chat::name::{Room, SessionKeyHash, User};
use crate::chat::peer::Peer;
use crate::chat::peers::{PeerKey, Peers};
use crate::chat::replay::Stretch;
use crate::config::{Config, RedisAddress};
use crate::count::Counter;
use crate::redis::known_nodes::KnownNodes;
use crate::report::Report;
use client::Client;
use health::Health;
use heartbeat::Canary;
use presence::Presence;
use scripts::Scripts;
use subscriber::Subscriber;

/// Many instances, one chat.
#[derive(Debug)]
pub struct Redis {
    pub(super) peers: Arc<Peers>,
    client: Arc<Client>,
    presence: Presence,
    subscriber: Subscriber,
    canary: Canary,
    health: Health,
    known_nodes: KnownNodes,
    connects: Counter,
}

impl Redis {
    pub(super) fn new(
        address: &RedisAddress,
        config: &Config,
        peers: Arc<Peers>,
        feed: Sender<Event>,
    ) -> Result<Redis, String> {
        let scripts = Scripts::new(
            &config.prefix,
            peers.instance,
            config.history,
            config.notices,
        );
        let name = format!("natterjack-{}", peers.instance);
        let client = Arc::new(Client::new(address, &name, scripts)?);
        Ok(Redis {
            presence: Presence::new(client.clone(), peers.clone()),
            subscriber: Subscriber::new(client.clone(), peers.clone(), feed),
            canary: Canary::default(),
            health: Health::default(),
            known_nodes: KnownNodes::default(),
            connects: Counter::default(),
            client,
            peers,
        })
    }

    /// Looks at the Redis of these settings, and reports how it is.
    pub(super) async fn check(address: &RedisAddress, config: &Config, report: &mut Report) {
        let instance = Instance(fastrand::u64(..));
        let scripts = Scripts::new(&config.prefix, instance, config.history, config.notices);
        check::check(address, config, Arc::new(scripts), report).await;
    }

    pub(super) fn health(&self) -> Result<(), String> {
        let health = self.health.check();
        health.map_err(|error| format!("redis {}: {error}", self.client.endpoint))
    }

    pub(super) fn health_changed(&self) -> EventListener {
        self.health.changed()
    }

    pub(super) fn name(&self) -> String {
        format!("redis {}", self.client.endpoint)
    }

    pub(super) async fn claim(
        &self,
        peer_key: &PeerKey,
        peer: &Peer,
        user: &User,
        key_hash: Option<SessionKeyHash>,
    ) -> Claim {
        self.presence.claim(peer_key, peer, user, key_hash).await
    }

    pub(super) fn release(&self, peer: &Peer, user: &User) {
        self.presence.release(peer, user);
    }

    pub(super) async fn subscribe(&self, room: &Room) -> bool {
        self.subscriber.subscribe(room).await
    }

    pub(super) fn unsubscribe(&self, room: &Room) {
        self.subscriber.unsubscribe(room);
    }

    pub(super) async fn announce_join(
        &self,
        peer: &Peer,
        user: Option<&User>,
        room: &Room,
    ) -> bool {
        self.presence.announce_join(peer, user, room).await
    }

    pub(super) fn announce_leave(&self, peer: &Peer, user: &User, room: &Room) {
        self.presence.announce_leave(peer, user, room);
    }

    pub(super) async fn publish(&self, room: &Room, message: NewMessage) {
        self.client.publish(room, message).await;
    }

    pub(super) async fn send_private(&self, to: String, message: NewMessage) {
        self.client.send_private(to, message).await;
    }

    pub(super) async fn roster(&self, room: &Room) -> Option<Roster> {
        self.client.roster(room).await
    }

    pub(super) async fn read(
        &self,
        room: &Room,
        stretch: Stretch,
        most: usize,
    ) -> Option<Vec<Event>> {
        let reply = self
            .client
            .pipeline
            .request(self.client.scripts.read(room, stretch, most))
            .await?;
        reply::messages(room, &reply)
    }

    pub(super) async fn history_before(
        &self,
        room: &Room,
        id: Option<Id>,
        most: usize,
    ) -> Option<Vec<Event>> {
        let last = id.map(Id::previous);
        if last == Some(None) {
            // Nothing is before the beginning.
            return Some(Vec::new());
        }
        let reply = self
            .client
            .pipeline
            .request(self.client.scripts.up_to(room, last.flatten(), most))
            .await?;
        let mut messages = reply::messages(room, &reply)?;
        messages.reverse();
        Some(messages)
    }

    pub(super) async fn drain(&self) {
        self.client.pipeline.drained().await;
    }

    pub(super) fn reject_pending(&self) {
        self.client.pipeline.reject_pending();
    }

    pub(super) async fn close(&self) {
        // While peers are left, the lease runs out by itself, and another instance cleans up.
        if self.peers.count().await == 0 {
            self.client.send(self.client.scripts.retire());
        }
        self.client.pipeline.drained().await;
    }
}
