//! The bus of many instances behind one Redis.
//!
//! Two connections: one for commands, pipelined, and one that is subscribed to the channels of the
//! rooms that have peers here. In a cluster there is one for commands to each node that has slots;
//! what is published on any node is heard on all. They live and die together: when one breaks or
//! falls silent, all are made anew, the channels subscribed and the names registered again.
//! Everything that waits for Redis waits with a limit, and no queue is without one.

mod check;
mod health;
mod inbox;
mod lease_expiry;
pub mod message;
mod reauth;
pub mod reply;
mod resync;
mod scripts;
mod session;
mod subscriptions;

use std::panic::AssertUnwindSafe;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ::redis::Value;
use event_listener::EventListener;
use smol::Timer;
use smol::channel::Sender;
use smol::future::FutureExt;

use super::{Claim, NewMessage, Stats};
use crate::chat::dialect::{Dialect, PrivateMessage, Reply, Roster};
use crate::chat::event::{Event, Refusal};
use crate::chat::id::{Id, Instance};
use crate::chat::name::{Room, SessionKeyHash, User};
use crate::chat::peer::{Peer, Receipt};
use crate::chat::peers::{PeerKey, Peers};
use crate::chat::replay::Stretch;
use crate::config::{Config, RedisAddress};
use crate::count::{Counter, Histogram};
use crate::redis::cluster::Address;
use crate::redis::connection::Connection;
use crate::redis::endpoint::Endpoint;
use crate::redis::error::Error;
use crate::redis::pipeline::{DELAYS, OnReply, Payload, Pipeline, REPLY_TIME};
use crate::report::Report;
use crate::time::timeout;
use health::Health;
use inbox::Inbox;
use lease_expiry::LeaseGrace;
use scripts::{Publication, Scripts};
use session::Session;
use subscriptions::Subscriptions;

/// The first pause before connecting again; it doubles up to [`PAUSE_MOST`], and each pause is
/// drawn between half and all of that, so that many instances do not come back at once.
const PAUSE_FIRST: Duration = Duration::from_millis(100);
/// The longest pause between two attempts.
const PAUSE_MOST: Duration = Duration::from_secs(3);

/// Nodes that no map of the cluster knows yet; more are forgotten.
const MOST_UNMAPPED: usize = 16;

/// Many instances, one chat.
#[derive(Debug)]
pub struct Redis {
    pub(super) peers: Arc<Peers>,
    feed: Sender<Event>,
    endpoint: Endpoint,
    scripts: Arc<Scripts>,
    pipeline: Pipeline<Publication>,
    subscriptions: Subscriptions,
    inbox: Inbox,
    lease_grace: LeaseGrace,
    /// Others may have been told that our peers have left.
    missed: AtomicBool,
    known_nodes: Mutex<KnownNodes>,
    health: Health,
    connects: Counter,
    /// Round trips of the canary, in microseconds.
    canary: Histogram<15>,
}

/// What is known of a cluster from before.
#[derive(Debug, Default)]
struct KnownNodes {
    /// Its nodes: should the one that the operator has named be gone, another will know the rest.
    nodes: Vec<Address>,
    /// Nodes that others have sent us to, and no map knows yet.
    unmapped_nodes: Vec<Address>,
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
        let scripts = Arc::new(scripts);
        let publisher = scripts.clone();
        Ok(Redis {
            endpoint: Endpoint::new(address, &format!("natterjack-{}", peers.instance))?,
            scripts,
            pipeline: Pipeline::new(move |first, more| publisher.publish(first, more)),
            subscriptions: Subscriptions::default(),
            inbox: Inbox::default(),
            lease_grace: LeaseGrace::default(),
            missed: AtomicBool::new(false),
            known_nodes: Mutex::default(),
            health: Health::default(),
            connects: Counter::default(),
            canary: Histogram::new(&DELAYS),
            peers,
            feed,
        })
    }

    /// Looks at the Redis of these settings, and reports how it is.
    pub(super) async fn check(address: &RedisAddress, config: &Config, report: &mut Report) {
        let instance = Instance(fastrand::u64(..));
        let scripts = Scripts::new(&config.prefix, instance, config.history, config.notices);
        check::check(address, config, Arc::new(scripts), report).await;
    }

    /// Connects, and connects again for as long as the task lives. `first` hears how the first
    /// attempt went: `Err` is what trying again can't mend, and the task ends with it. Later on,
    /// even a wrong password is only a reason to wait.
    ///
    /// # Errors
    /// What trying again can't mend, as long as Redis has never been reached.
    pub async fn run(&self, first: Sender<Result<(), String>>) -> String {
        let (mut reached, mut told) = (false, false);
        let mut pause = PAUSE_FIRST;
        loop {
            let error = match Session::open(self).await {
                Ok(session) => {
                    self.health.set_connection(None);
                    self.connects.add(1);
                    log::info!("redis {}: connected", self.endpoint);
                    let _ = first.try_send(Ok(()));
                    // A bug costs a connection, not the chat.
                    let run = AssertUnwindSafe(session.run(self, told))
                        .catch_unwind()
                        .await;
                    self.endpoint.credentials().ended();
                    (reached, told, pause) = (true, false, PAUSE_FIRST);
                    self.lease_grace.lost();
                    self.subscriptions.down();
                    run.unwrap_or_else(|_| Error::Transient("internal error".into()))
                }
                Err(Error::Fatal(error)) if !reached => {
                    let error = format!("redis {}: {error}", self.endpoint);
                    let _ = first.try_send(Err(error.clone()));
                    return error;
                }
                Err(error) => error,
            };
            self.pipeline.disconnect();
            let error = match error {
                // Nobody need know, unless the connections can't be made again at once.
                Error::NewNode(node) if self.add_unmapped(&node) => {
                    log::info!("redis {}: slots are now at {node}", self.endpoint);
                    continue;
                }
                Error::NewToken => {
                    log::debug!("redis {}: connecting with the new token", self.endpoint);
                    continue;
                }
                error => error.why(),
            };
            if reached && !told {
                told = true;
                let waiting = Reply::Status(false);
                self.peers.send_to_all(Dialect::Typed, &waiting).await;
            }
            let broke = self.health.set_connection(Some(error.clone()));
            if broke || !reached && first.receiver_count() > 0 {
                log::warn!(
                    "redis {}: {error}; trying again until it works",
                    self.endpoint
                );
            }
            let _ = first.try_send(Ok(()));
            first.close();
            Timer::after(pause.mul_f32(0.5 + fastrand::f32() / 2.0)).await;
            pause = (pause * 2).min(PAUSE_MOST);
        }
    }

    /// A connection to where the operator says, or to another node of the cluster that was there.
    async fn connect(&self) -> Result<Connection, Error> {
        let why = match self.endpoint.connect().await {
            Err(Error::Transient(why)) => why,
            done => return done,
        };
        let nodes = self.known_nodes().nodes.clone();
        for node in nodes {
            if let Ok(connection) = self.endpoint.connect_to(&node).await {
                return Ok(connection);
            }
        }
        Err(Error::Transient(why))
    }

    fn known_nodes(&self) -> MutexGuard<'_, KnownNodes> {
        self.known_nodes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a node that no map knows yet; `false` if it has been noted already, so that it must
    /// have been tried in vain.
    fn add_unmapped(&self, node: &Address) -> bool {
        let mut known_nodes = self.known_nodes();
        if known_nodes.unmapped_nodes.contains(node) {
            return false;
        }
        known_nodes.unmapped_nodes.truncate(MOST_UNMAPPED - 1);
        known_nodes.unmapped_nodes.insert(0, node.clone());
        true
    }

    /// These nodes are connected.
    fn set_mapped(&self, nodes: &[Address]) {
        let mut known_nodes = self.known_nodes();
        known_nodes
            .unmapped_nodes
            .retain(|stranger| !nodes.contains(stranger));
        known_nodes.nodes = nodes.to_vec();
    }

    pub(super) fn health(&self) -> Result<(), String> {
        let health = self.health.check();
        health.map_err(|error| format!("redis {}: {error}", self.endpoint))
    }

    pub(super) fn health_changed(&self) -> EventListener {
        self.health.changed()
    }

    pub(super) fn stats(&self) -> Stats {
        let (waiting, waiting_bytes) = self.pipeline.waiting();
        Stats {
            waiting,
            waiting_bytes,
            connects: self.connects.get(),
            publish: self.pipeline.delays.read(),
            canary: self.canary.read(),
        }
    }

    pub(super) fn name(&self) -> String {
        format!("redis {}", self.endpoint)
    }

    pub(super) async fn claim(
        &self,
        peer_key: &PeerKey,
        peer: &Peer,
        user: &User,
        key_hash: Option<SessionKeyHash>,
    ) -> Claim {
        let origin = self.peers.origin(peer);
        let margin = self.lease_grace.margin();
        let claim = self.scripts.claim(user, origin, key_hash, true, margin);
        let reply = self.pipeline.request(claim).await;
        let claim = match reply.as_ref().and_then(reply::number) {
            Some(0) => return Claim::Taken,
            // Redis has compared the locks, but this instance may know a holder that Redis has lost.
            Some(1 | 2) if self.peers.claim(peer_key, user, key_hash).await => {
                return Claim::Granted;
            }
            Some(_) => Claim::Taken,
            None => Claim::Unreachable,
        };
        // Perhaps it was granted all the same, and the answer got lost.
        self.release(peer, user);
        claim
    }

    pub(super) fn release(&self, peer: &Peer, user: &User) {
        let origin = self.peers.origin(peer);
        self.pipeline
            .send(self.scripts.release(user, origin), OnReply::Ignore);
    }

    pub(super) async fn subscribe(&self, room: &Room) -> bool {
        let first = || self.track_room(room, true);
        let subscribed = self
            .subscriptions
            .enter(room, self.scripts.channel(room), first);
        timeout(REPLY_TIME, subscribed).await.unwrap_or(false)
    }

    pub(super) fn unsubscribe(&self, room: &Room) {
        self.subscriptions.leave(room, || {
            self.track_room(room, false);
            self.scripts.channel(room)
        });
    }

    fn track_room(&self, room: &Room, has_peers: bool) {
        let command = self.scripts.track_rooms(&[room], has_peers);
        self.pipeline.send(command, OnReply::Ignore);
    }

    pub(super) async fn announce_join(
        &self,
        peer: &Peer,
        user: Option<&User>,
        room: &Room,
    ) -> bool {
        let origin = self.peers.origin(peer);
        let command = match user {
            Some(user) => self.scripts.join(room, user, origin),
            None => self.scripts.join_anonymous(room, origin),
        };
        self.pipeline.request(command).await.is_some()
    }

    pub(super) fn announce_leave(&self, peer: &Peer, user: &User, room: &Room) {
        let origin = self.peers.origin(peer);
        self.pipeline
            .send(self.scripts.leave(room, user, origin), OnReply::Ignore);
    }

    pub(super) async fn publish(&self, room: &Room, message: NewMessage) {
        let bytes = message.text.as_str().len();
        if !self.pipeline.reserve(bytes).await {
            return message.receipt.refuse(&Refusal::Unavailable);
        }
        self.pipeline.send_reserved(bytes, |sequence| {
            let publication = self.scripts.publication(room, &message, sequence);
            let on_reply = OnReply::call(move |reply| published(message.receipt, reply));
            (Payload::Part(publication), on_reply)
        });
    }

    pub(super) async fn send_private(&self, to: String, message: NewMessage) {
        // What is no name nobody has.
        let Ok(user) = User::new(&to) else {
            return message.receipt.refuse(&Refusal::NoSuchUser(to));
        };
        let bytes = message.text.as_str().len();
        if !self.pipeline.reserve(bytes).await {
            return message.receipt.refuse(&Refusal::Unavailable);
        }
        self.pipeline.send_reserved(bytes, |sequence| {
            let command = self.scripts.send_private(&user, &to, &message, sequence);
            let on_reply = OnReply::call(move |reply| delivered(&to, message, reply));
            (Payload::Command(command), on_reply)
        });
    }

    pub(super) async fn roster(&self, room: &Room) -> Option<Roster> {
        reply::roster(self.pipeline.request(self.scripts.roster(room)).await?)
    }

    pub(super) async fn read(
        &self,
        room: &Room,
        stretch: Stretch,
        most: usize,
    ) -> Option<Vec<Event>> {
        let reply = self
            .pipeline
            .request(self.scripts.read(room, stretch, most))
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
            .pipeline
            .request(self.scripts.up_to(room, last.flatten(), most))
            .await?;
        let mut messages = reply::messages(room, &reply)?;
        messages.reverse();
        Some(messages)
    }

    pub(super) async fn drain(&self) {
        self.pipeline.drained().await;
    }

    pub(super) fn reject_pending(&self) {
        self.pipeline.reject_pending();
    }

    pub(super) async fn close(&self) {
        // Where somebody could not be taken leave of in time, the lease is left to run out: whoever
        // finds it will.
        if self.peers.count().await == 0 {
            self.pipeline.send(self.scripts.retire(), OnReply::Ignore);
        }
        self.pipeline.drained().await;
    }
}

/// Tells the sender whether a message for a room was published.
fn published(receipt: Receipt, reply: Option<Value>) {
    match reply {
        None | Some(Value::ServerError(_)) => receipt.refuse(&Refusal::Unavailable),
        Some(value) => {
            if let Some(id) = reply::id(&value) {
                receipt.accept(id);
            }
        }
    }
}

/// Tells the sender whether a private message found its user.
fn delivered(to: &str, message: NewMessage, reply: Option<Value>) {
    let NewMessage {
        user,
        email,
        text,
        receipt,
        ..
    } = message;
    match reply {
        None | Some(Value::ServerError(_)) => receipt.refuse(&Refusal::Unavailable),
        Some(value) => match reply::stamp(&value) {
            Some((id, at)) => {
                let message = PrivateMessage {
                    from: user,
                    email,
                    text,
                    id,
                    at,
                };
                receipt.delivered(to, &message);
            }
            None => receipt.refuse(&Refusal::NoSuchUser(to.to_string())),
        },
    }
}
