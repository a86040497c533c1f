//! The bus of many instances behind one Redis.
//!
//! Two connections: one for commands, pipelined, and one that is subscribed to the channels of the
//! rooms that have peers here. In a cluster there is one for commands to each node that has slots, and,
//! with sharded PUBSUB, one that is subscribed to the rooms of that node; without it, what is published
//! on any node is heard on all. They live and die together: when one breaks or
//! falls silent, all are made again, the channels subscribed and the names registered again.
//! Everything that waits for Redis waits with a limit, and no queue is without one.
//!
//! The `supervisor` connects and runs one `session` after the other, which is a race of all loops.
//! The `client` sends messages, the `subscriber` hears them, and `resync` reads from the logs
//! what it has not heard. `presence` tells Redis of names and rosters, `reconcile` compares them with
//! what Redis holds, and the `heartbeat` keeps the lease.

mod check;
mod client;
mod conversations;
pub mod foreign;
mod health;
mod heartbeat;
mod inbox;
mod invitations;
mod lease_watch;
mod left_rooms;
mod listeners;
mod log_limit;
pub mod message;
mod missed_moderation;
mod moderators;
mod own_lines;
mod presence;
mod reauth;
mod reconcile;
pub mod reply;
mod resync;
mod scripts;
mod sending;
mod session;
mod subscriber;
mod subscriptions;
mod supervisor;
mod suspects;
mod tombstones;

use std::sync::Arc;

use smol::channel::Sender;

use super::{Away, NewMessage};
use crate::chat::event::{Event, Refusal};
use crate::chat::name::{Room, SessionKeyHash, User};
use crate::chat::peer::Peer;
use crate::chat::peers::{Departed, Peers};
use crate::config::{Config, RedisAddress};
use crate::count::Counter;
use crate::count::text::{MetricsText, seconds};
use client::Client;
use health::Health;
use heartbeat::Canary;
use log_limit::LogLimit;
use presence::Presence;
use scripts::Scripts;
use sending::Sending;
use subscriber::Subscriber;

pub(super) use check::check;

/// Many instances, one chat.
#[derive(Debug)]
pub struct Redis {
    pub(super) peers: Arc<Peers>,
    pub(super) client: Arc<Client>,
    pub(super) presence: Presence,
    pub(super) subscriber: Subscriber,
    canary: Canary,
    log_limit: LogLimit,
    pub(super) health: Health,
    connects: Counter,
}

impl Redis {
    pub(super) fn new(
        address: &RedisAddress,
        config: &Config,
        peers: Arc<Peers>,
        feed: Sender<Event>,
    ) -> Result<Redis, String> {
        let scripts = Scripts::new(config, peers.instance);
        let name = format!("natterjack-{}", peers.instance);
        let client = Arc::new(Client::new(address, &name, scripts)?);
        Ok(Redis {
            presence: Presence::new(client.clone(), peers.clone()),
            subscriber: Subscriber::new(client.clone(), peers.clone(), feed),
            canary: Canary::new(),
            log_limit: LogLimit::default(),
            health: Health::default(),
            connects: Counter::default(),
            client,
            peers,
        })
    }

    /// Claims a name for a peer. If its holder was away, returns since when.
    pub(super) async fn claim(
        &self,
        peer: &Peer,
        user: &User,
        key_hash: Option<SessionKeyHash>,
    ) -> Result<Option<Away>, Refusal> {
        let away = self.presence.claim(peer, user, key_hash).await?;
        // While Redis' reply was on its way, others may have spoken to the user for the first time.
        self.subscriber.inbox.came(user);
        Ok(away)
    }

    /// Removes a peer and releases its name.
    pub(super) async fn remove(&self, peer: &Peer) -> Departed {
        let departed = self.peers.remove(peer).await;
        if let Some(user) = &departed.user {
            // Without a key nothing waits for anybody.
            let heard = match departed.key_hash {
                Some(_) => self.subscriber.subscriptions.conversations(user),
                None => Vec::new(),
            };
            self.presence.release(peer, user, &heard);
        }
        departed
    }

    /// Publishes a message for a room.
    pub(super) async fn publish(&self, room: &Room, message: NewMessage) {
        self.log_limit.note(room);
        let heard = self.subscriber.subscriptions.heard_until(room);
        self.client.publish(room, message, heard).await;
    }

    /// Publishes a message in the private conversation with its recipient.
    pub(super) async fn send_private(self: &Arc<Redis>, to: User, mut message: NewMessage) {
        let bytes = message.text.as_str().len();
        if !self.client.pipeline.reserve(bytes).await {
            return message.receipt.refuse(&Refusal::Unavailable);
        }
        message.to = Some(to.clone());
        let sending = Sending {
            bus: self.clone(),
            room: Room::conversation(&message.user, &to),
            to,
            message,
        };
        sending.start();
    }

    /// Writes the metrics.
    pub(super) fn write_metrics(&self, text: &mut MetricsText) {
        text.counter(
            "natterjack_redis_connects_total",
            "How often Redis was connected.",
            self.connects.get(),
        );
        let (waiting, waiting_bytes) = self.client.pipeline.waiting();
        text.gauge(
            "natterjack_publish_queue_messages",
            "Messages that wait to be published, or for word that they are.",
            waiting,
        );
        text.gauge(
            "natterjack_publish_queue_bytes",
            "Bytes of their texts.",
            waiting_bytes,
        );
        text.histogram(
            "natterjack_publish_duration_seconds",
            "From a message's acceptance to word that it is published.",
            &self.client.pipeline.delays,
            seconds,
        );
        text.histogram(
            "natterjack_canary_duration_seconds",
            "From one connection to Redis to the other.",
            &self.canary.round_trips,
            seconds,
        );
    }
}
