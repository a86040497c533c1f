//! The peers of this instance, their names and rooms, and the fan-out to them.
//!
//! One registry behind one async mutex. Nothing awaits while the mutex is locked. So every peer of
//! a room sees events in the order of the calls to [`Peers::deliver`].
//!
//! A peer becomes a member when its own join event returns from the bus. That event separates
//! history from live.

mod broadcast;
mod census;
mod removal;
mod rooms;
mod sweep;

use std::collections::HashMap;
use std::mem;
use std::sync::Arc;

use async_lock::{Mutex, Semaphore};
use bytes::Bytes;
use slab::Slab;

use super::address::Address;
use super::close_reason::CloseReason;
use super::dialect::{Dialect, Reply};
use super::frame::Framing;
use super::id::{Instance, Origin};
use super::name::{Room, SessionKeyHash, User};
use super::outbox::{Outbox, OutboxLimits, TryWrite};
use super::peer::Peer;
use super::stats::ChatStats;
use crate::count::text::MetricsText;
use census::weight;
use rooms::{Members, PendingJoin};

pub use census::{Census, NamedPeer};
pub use removal::Removed;

/// The registry of this instance's peers.
#[derive(Debug)]
pub struct Peers {
    /// The id of this instance.
    pub instance: Instance,
    registry: Mutex<Registry>,
    limits: Arc<OutboxLimits>,
    /// Tells that peers were removed from rooms.
    removals: Semaphore,
}

/// What the lock guards.
#[derive(Debug)]
struct Registry {
    instance: Instance,
    /// Each peer at its [key](Peer::key).
    peers: Slab<PeerEntry>,
    /// The number of the newest peer.
    newest: u64,
    names: HashMap<User, u32>,
    /// The sum over all names and the peers that hold them.
    names_sum: u64,
    rooms: HashMap<Room, Members>,
    /// Joins that are on the bus and not back yet, by the number of the peer.
    joining: HashMap<u64, PendingJoin>,
    /// Peers whose names are about to change, by their numbers: the name that another connection has
    /// taken over before this place knew that the peer had it.
    renaming: HashMap<u64, Option<User>>,
    /// Peers that moderators have removed from rooms, of which these are to be told.
    removed: Vec<Removed>,
}

#[derive(Debug)]
struct PeerEntry {
    peer: Arc<Peer>,
    user: Option<User>,
    /// What its name adds to the sums; 0 without a name.
    weight: u64,
    /// The hash of the session key. A client with this key may take the name over.
    key_hash: Option<SessionKeyHash>,
    /// When it was given the name, in microseconds of Redis' time.
    named_at: u64,
    rooms: Vec<Room>,
    pinged: bool,
    /// Since which second of the peers' clock every sweep has found that its socket takes nothing,
    /// although bytes wait.
    stalled_since: Option<u32>,
}

/// A peer that has been removed.
#[derive(Debug)]
pub struct Departed {
    /// Its name.
    pub user: Option<User>,
    /// The hash of its session key, unless another connection here has the name now.
    pub key_hash: Option<SessionKeyHash>,
    /// The rooms where it was a member.
    pub rooms: Vec<Room>,
}

impl Peers {
    /// An empty registry, whose outboxes share these limits.
    pub fn new(instance: Instance, limits: OutboxLimits) -> Peers {
        Peers {
            instance,
            registry: Mutex::new(Registry::new(instance)),
            limits: Arc::new(limits),
            removals: Semaphore::new(0),
        }
    }

    /// The origin of a peer's events.
    pub fn origin(&self, peer: &Peer) -> Origin {
        Origin {
            instance: self.instance,
            peer: peer.number,
        }
    }

    /// The origin of messages that no connection has sent. Peers are counted from 1, so it is no
    /// peer's.
    pub fn origin_of_none(&self) -> Origin {
        Origin {
            instance: self.instance,
            peer: 0,
        }
    }

    /// Adds a peer with the next number, without a name and in no room. Only the task that adds it
    /// [removes](Self::remove) it, as the last thing it asks of the registry. The outbox buffers,
    /// and begins with `first`, the [answer to the handshake](Outbox::start_buffering).
    pub async fn add<S: TryWrite + 'static>(
        &self,
        dialect: Dialect,
        address: Address,
        socket: S,
        first: Bytes,
    ) -> Arc<Peer<S>> {
        let outbox = Outbox::new(socket, Framing::of(dialect), self.limits.clone());
        outbox.start_buffering(first);
        let mut registry = self.registry.lock().await;
        registry.newest += 1;
        let number = registry.newest;
        let place = registry.peers.vacant_entry();
        let peer = Arc::new(Peer::new(
            number,
            place.key() as u32,
            dialect,
            address,
            outbox,
        ));
        place.insert(PeerEntry {
            peer: peer.clone(),
            user: None,
            weight: 0,
            key_hash: None,
            named_at: 0,
            rooms: Vec::new(),
            pinged: false,
            stalled_since: None,
        });
        peer
    }

    /// Gives a peer a name, in place of its older one, which may be another spelling of the same
    /// name. `at`: when that was decided, in microseconds of Redis' time; 0 on a lone server, where nothing
    /// comes late. If another peer here has the name and [loses it](SessionKeyHash::takes_over) to this one, that
    /// peer is closed with [`CloseReason::Replaced`]; its events still carry the name until it has left. If
    /// another one anywhere has taken the name over since, this peer is closed so.
    /// `false` if another one here, with another key, keeps the name.
    pub async fn claim(
        &self,
        peer: &Peer,
        user: &User,
        key_hash: Option<SessionKeyHash>,
        at: u64,
    ) -> bool {
        let mut registry = self.registry.lock().await;
        let registry = &mut *registry;
        let lost = registry.renaming.get_mut(&peer.number);
        let mut replaced = lost.is_some_and(|lost| lost.take().as_ref() == Some(user));
        if let Some(&other) = registry.names.get(user)
            && other != peer.key
        {
            let other = &registry.peers[other as usize];
            if !key_hash.is_some_and(|key_hash| key_hash.takes_over(other.key_hash)) {
                return false;
            }
            replaced |= other.named_at > at;
            if !replaced {
                other.peer.outbox.close(CloseReason::Replaced);
            }
        }
        let weight = weight(user.key(), self.origin(peer));
        match replaced {
            true => peer.outbox.close(CloseReason::Replaced),
            false => registry.hold_name(peer, user, weight),
        }
        let entry = &mut registry.peers[peer.key as usize];
        (entry.key_hash, entry.named_at) = (key_hash, at);
        let before = mem::replace(&mut entry.weight, weight);
        let old = entry.user.replace(user.clone());
        for room in &entry.rooms {
            if let Some(members) = registry.rooms.get_mut(room) {
                members.remove_name(before);
                members.add_name(weight);
            }
        }
        if let Some(old) = old.filter(|old| old != user) {
            registry.release_name(peer, &old, before);
        }
        true
    }

    /// Removes a peer from its rooms and from the registry, and frees its name. From here on it
    /// gets nothing.
    pub async fn remove(&self, peer: &Peer) -> Departed {
        let mut registry = self.registry.lock().await;
        registry.take_pending(peer.number);
        registry.renaming.remove(&peer.number);
        let rooms = registry.peers[peer.key as usize].rooms.clone();
        for room in &rooms {
            registry.leave(peer, room);
        }
        let entry = registry.peers.remove(peer.key as usize);
        let mut held = false;
        if let Some(user) = &entry.user {
            held = registry.names.get(user) == Some(&peer.key);
            registry.release_name(peer, user, entry.weight);
        }
        Departed {
            user: entry.user,
            key_hash: entry.key_hash.filter(|_| held),
            rooms,
        }
    }

    /// How many peers there are.
    pub async fn count(&self) -> usize {
        self.registry.lock().await.peers.len()
    }

    /// Writes the gauges and the counters.
    pub async fn write_metrics(&self, text: &mut MetricsText) {
        let registry = self.registry.lock().await;
        let (peers, users) = (registry.peers.len(), registry.names.len());
        let rooms = registry.rooms.len();
        drop(registry);
        text.gauge("natterjack_peers", "Connections that chat.", peers);
        text.gauge("natterjack_users", "Names claimed on this instance.", users);
        text.gauge(
            "natterjack_rooms",
            "Rooms with peers on this instance.",
            rooms,
        );
        text.gauge(
            "natterjack_outbox_bytes",
            "Bytes that wait for slow sockets, all together.",
            self.limits.queued(),
        );
        self.stats().write_metrics(text);
    }

    /// The counters since the start.
    pub fn stats(&self) -> &ChatStats {
        &self.limits.stats
    }

    /// The peer here that has this name.
    pub async fn holder(&self, user: &User) -> Option<Origin> {
        let registry = self.registry.lock().await;
        registry.named(user).map(|peer| registry.origin(peer))
    }

    /// The name of a peer and the hash of its session key, if it holds the name with one.
    pub async fn held(&self, peer: &Peer) -> Option<(User, SessionKeyHash)> {
        let registry = self.registry.lock().await;
        let PeerEntry { user, key_hash, .. } = registry.peers.get(peer.key as usize)?;
        let user = user.as_ref()?;
        let holds = registry.names.get(user) == Some(&peer.key);
        holds.then_some((user.clone(), (*key_hash)?))
    }

    /// Whose these names are, if peers here have them: the hash of the session key or token or, where there
    /// is none, that of the connection.
    pub async fn holders<const N: usize>(&self, users: [&User; N]) -> [Option<SessionKeyHash>; N] {
        let registry = self.registry.lock().await;
        users.map(|user| {
            let entry = &registry.peers[*registry.names.get(user)? as usize];
            let connection = || SessionKeyHash::of(&registry.origin(&entry.peer).to_string());
            Some(entry.key_hash.unwrap_or_else(connection))
        })
    }

    /// Sends a reply to every peer whose dialect has words for it.
    pub async fn send_to_all(&self, reply: &Reply<'_>) {
        for peer in self.all().await {
            peer.send(reply);
        }
    }

    /// Closes the connection with this name, if it has this number. One whose name was taken over no
    /// longer has it from here on; nor does one that is about to be given it.
    pub async fn close(&self, user: &User, number: u64, reason: CloseReason) {
        let mut registry = self.registry.lock().await;
        let key = registry.names.get(user).copied();
        let entry = key.map(|key| &registry.peers[key as usize]);
        let Some(entry) = entry.filter(|entry| entry.peer.number == number) else {
            if reason == CloseReason::Replaced
                && let Some(lost) = registry.renaming.get_mut(&number)
            {
                *lost = Some(user.clone());
            }
            return;
        };
        let (peer, weight) = (entry.peer.clone(), entry.weight);
        peer.outbox.close(reason);
        if reason == CloseReason::Replaced {
            registry.release_name(&peer, user, weight);
        }
    }

    /// All peers.
    pub async fn all(&self) -> Vec<Arc<Peer>> {
        let registry = self.registry.lock().await;
        let peers = registry.peers.iter();
        peers.map(|(_, entry)| entry.peer.clone()).collect()
    }
}

impl Registry {
    fn new(instance: Instance) -> Registry {
        Registry {
            instance,
            peers: Slab::new(),
            newest: 0,
            names: HashMap::new(),
            names_sum: 0,
            rooms: HashMap::new(),
            joining: HashMap::new(),
            renaming: HashMap::new(),
            removed: Vec::new(),
        }
    }

    fn origin(&self, peer: &Peer) -> Origin {
        Origin {
            instance: self.instance,
            peer: peer.number,
        }
    }

    /// The peer that has a name.
    fn named(&self, user: &User) -> Option<&Peer> {
        let key = *self.names.get(user)?;
        Some(&self.peers[key as usize].peer)
    }

    /// Gives a name, which adds this much to the sum, to a peer instead of the one that has it.
    fn hold_name(&mut self, peer: &Peer, user: &User, weight: u64) {
        if let Some(other) = self.names.insert(user.clone(), peer.key) {
            self.names_sum -= self.peers[other as usize].weight;
        }
        self.names_sum += weight;
    }

    /// Frees a name, which adds this much to the sum, if this peer has it.
    fn release_name(&mut self, peer: &Peer, user: &User, weight: u64) {
        if self.names.get(user) == Some(&peer.key) {
            self.names.remove(user);
            self.names_sum -= weight;
        }
    }
}
