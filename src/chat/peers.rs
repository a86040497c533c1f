//! The peers of this instance, their rooms, and the fan-out to them.
//!
//! One `registry` behind one async mutex. Nothing awaits while the mutex is
//! locked. So every peer of a room sees events in the order of the calls to [`Peers::deliver`].
//!
//! A peer becomes a member when its own join event returns from the bus. That event separates
//! history from live.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use async_lock::Mutex;

use super::close_reason::CloseReason;
use super::dialect::{Dialect, PrivateMessage, Reply, Roster};
use super::event::Event;
use super::id::{Id, Instance, Origin};
use super::name::{Room, SessionKeyHash, User};
use super::outbox::{Outbox, OutboxLimits, TryWrite};
use super::peer::Peer;
use super::registry::{JoinSignal, Registry};
use super::stats::ChatStats;
use crate::count::text::MetricsText;

/// About this many bytes of a room's batch are rendered into one buffer. Well below the limit of an
/// outbox, so that one buffer that a socket takes in part does not close its peer.
const BUFFER_TARGET: usize = 48 * 1024;

/// The sweep looks at this many peers before it unlocks the registry for others.
const SWEEP_SLICE: usize = 256;

/// The key of a peer in the registry. Only the task that added the peer has it, and removes it with
/// it.
#[derive(Debug)]
pub struct PeerKey(usize);

/// The registry of this instance's peers.
#[derive(Debug)]
pub struct Peers {
    /// The id of this instance.
    pub instance: Instance,
    registry: Mutex<Registry>,
    limits: Arc<OutboxLimits>,
    numbers: AtomicU64,
    started: Instant,
}

/// A join that has begun. Ends with [`wait`](Self::wait) or with [`Peers::cancel_join`].
#[derive(Debug)]
pub struct Joining {
    peer: u64,
    signal: JoinSignal,
}

impl Joining {
    /// Waits until the peer is a member, and returns the id of the room's last message before. Give
    /// it a deadline, and [cancel](Peers::cancel_join) after that.
    pub async fn wait(&self) -> Option<Id> {
        *self.signal.wait().await
    }
}

/// The name and the rooms of a peer that was removed.
#[derive(Debug)]
pub struct Departure {
    /// Its name.
    pub user: Option<User>,
    /// The rooms where it was a member.
    pub rooms: Vec<Room>,
}

/// A name and its connection.
#[derive(Debug)]
pub struct NamedPeer {
    /// The name.
    pub user: User,
    /// The hash of its session key, if it has one.
    pub key_hash: Option<SessionKeyHash>,
    /// The connection that has it.
    pub origin: Origin,
    /// The rooms it is in.
    pub rooms: Vec<Room>,
}

impl Peers {
    /// An empty registry, whose outboxes share these limits.
    pub fn new(instance: Instance, limits: OutboxLimits) -> Peers {
        Peers {
            instance,
            registry: Mutex::default(),
            limits: Arc::new(limits),
            numbers: AtomicU64::new(1),
            started: Instant::now(),
        }
    }

    /// A new peer, with the next number. It gets nothing before it is [added](Self::add).
    pub fn peer<S: TryWrite + 'static>(&self, dialect: Dialect, socket: S) -> Arc<Peer<S>> {
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        let outbox = Outbox::new(socket, self.limits.clone());
        Arc::new(Peer::new(number, dialect, outbox, self.started))
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

    /// Adds a peer, without a name and in no room.
    pub async fn add(&self, peer: Arc<Peer>) -> PeerKey {
        PeerKey(self.registry.lock().await.add(peer))
    }

    /// Gives a peer a name, in place of its older one. If another peer here has the name with the
    /// same key hash, that peer is closed with [`CloseReason::Replaced`]. `false` if the other one
    /// has another key hash, or none.
    pub async fn claim(
        &self,
        key: &PeerKey,
        user: &User,
        key_hash: Option<SessionKeyHash>,
    ) -> bool {
        self.registry.lock().await.claim(key.0, user, key_hash)
    }

    /// Starts a join. The caller must now publish the join event; the peer becomes a member when
    /// this event returns. So it gets exactly the events after its join. From then on its outbox
    /// [buffers](Outbox::begin_join).
    pub async fn begin_join(&self, key: &PeerKey, room: &Room) -> Joining {
        let (peer, signal) = self.registry.lock().await.begin_join(key.0, room);
        Joining { peer, signal }
    }

    /// Cancels a join; `false` if the peer has just become a member.
    pub async fn cancel_join(&self, joining: &Joining) -> bool {
        self.registry.lock().await.cancel_join(joining.peer)
    }

    /// Removes a peer from a room; `false` if it is not a member.
    pub async fn leave(&self, key: &PeerKey, room: &Room) -> bool {
        self.registry.lock().await.leave(key.0, room)
    }

    /// Removes a peer from its rooms and from the registry, and frees its name. From here on it
    /// gets nothing.
    pub async fn remove(&self, key: PeerKey) -> Departure {
        let mut registry = self.registry.lock().await;
        let entry = &registry.peers[key.0];
        let number = entry.peer.number;
        let user = entry.user.clone();
        let rooms: Vec<Room> = entry.rooms.iter().map(|place| place.room.clone()).collect();
        registry.cancel_join(number);
        for room in &rooms {
            registry.leave(key.0, room);
        }
        if let Some(user) = &user {
            registry.release_name(key.0, user);
        }
        registry.peers.remove(key.0);
        Departure { user, rooms }
    }

    /// How many peers there are.
    pub async fn count(&self) -> usize {
        self.registry.lock().await.peers.len()
    }

    /// Writes the gauges and the counters.
    pub async fn write_metrics(&self, text: &mut MetricsText) {
        let registry = self.registry.lock().await;
        for (name, help, value) in [
            (
                "natterjack_peers",
                "Connections that chat.",
                registry.peers.len(),
            ),
            (
                "natterjack_users",
                "Names claimed on this instance.",
                registry.names.len(),
            ),
            (
                "natterjack_rooms",
                "Rooms with peers on this instance.",
                registry.rooms(),
            ),
            (
                "natterjack_outbox_bytes",
                "Bytes that wait for slow sockets, all together.",
                self.limits.queued(),
            ),
        ] {
            text.gauge(name, help, value);
        }
        drop(registry);
        self.stats().write_metrics(text);
    }

    /// The counters since the start.
    pub fn stats(&self) -> &ChatStats {
        &self.limits.stats
    }

    /// How many peers with a name are in a room of this instance or joining it.
    pub async fn people(&self, room: &Room) -> usize {
        self.registry.lock().await.people(room)
    }

    /// Whether a peer with this name is in a room or joining it.
    pub async fn has(&self, room: &Room, user: &User) -> bool {
        self.registry.lock().await.has(room, user)
    }

    /// The names in a room of this instance. If they are more than `most`, only their count.
    pub async fn roster(&self, room: &Room, most: usize) -> Roster {
        let registry = self.registry.lock().await;
        let count = registry.people(room);
        let mut users = Vec::new();
        if count <= most {
            let mut names: Vec<(&User, bool)> = registry.names_in(room).collect();
            names.sort_unstable();
            // During a takeover both connections have the name. The new one counts.
            names.dedup_by_key(|(user, _)| *user);
            users.extend(names.into_iter().map(|(user, _)| user.to_string()));
            users.sort_unstable();
        }
        Roster {
            count,
            users,
            last: None,
        }
    }

    /// Sends a private message to the peer with this name; `false` if no peer here has it.
    pub async fn send_private(&self, to: &str, message: &PrivateMessage) -> bool {
        let Ok(user) = User::new(to) else {
            return false;
        };
        let registry = self.registry.lock().await;
        let Some(&key) = registry.names.get(&user) else {
            return false;
        };
        registry.peers[key]
            .peer
            .send(&Reply::Private { to, message });
        registry.evict_slowest(&self.limits);
        true
    }

    /// Sends a reply to every peer with this dialect.
    pub async fn send_to_all(&self, dialect: Dialect, reply: &Reply<'_>) {
        for peer in self.all().await {
            if peer.dialect() == dialect {
                peer.send(reply);
            }
        }
    }

    /// Sends a reply to every peer of a room with this dialect.
    pub async fn send_to_room(&self, room: &Room, dialect: Dialect, reply: &Reply<'_>) {
        let registry = self.registry.lock().await;
        let peers = registry.peers_in(room);
        peers
            .filter(|peer| peer.dialect() == dialect)
            .for_each(|peer| peer.send(reply));
    }

    /// Closes the connection with this name, if it has this number.
    pub async fn close(&self, user: &User, number: u64, reason: CloseReason) {
        let registry = self.registry.lock().await;
        if let Some(&key) = registry.names.get(user)
            && registry.peers[key].peer.number == number
        {
            registry.peers[key].peer.outbox.close(reason);
        }
    }

    /// All peers.
    pub async fn all(&self) -> Vec<Arc<Peer>> {
        let registry = self.registry.lock().await;
        let peers = registry.peers.iter();
        peers.map(|(_, entry)| entry.peer.clone()).collect()
    }

    /// All peers with a name.
    pub async fn named_peers(&self) -> Vec<NamedPeer> {
        let registry = self.registry.lock().await;
        let named = registry.peers.iter().filter_map(|(_, entry)| {
            Some(NamedPeer {
                user: entry.user.clone()?,
                key_hash: entry.key_hash,
                origin: self.origin(&entry.peer),
                rooms: entry.rooms.iter().map(|place| place.room.clone()).collect(),
            })
        });
        named.collect()
    }

    /// Sends a batch of events to the members of their rooms, in order, and empties the batch.
    pub async fn deliver(&self, batch: &mut Vec<Event>) {
        let stats = self.stats();
        stats.batches.record(batch.len() as u64);
        // A stable sort: the order within a room stays.
        batch.sort_by(|a, b| a.room.cmp(&b.room));
        let mut registry = self.registry.lock().await;
        let mut parts = Vec::new();
        for events in batch.chunk_by(|a, b| a.room == b.room).flat_map(buffers) {
            registry.broadcast(self.instance, events, &mut parts, stats);
            registry.evict_slowest(&self.limits);
        }
        batch.clear();
    }

    /// Whether the queues together are above their limit: then call
    /// [`evict_slowest`](Self::evict_slowest). One atomic load, so it can be asked after every
    /// reply.
    pub fn over_limit(&self) -> bool {
        self.limits.exceeded()
    }

    /// If the queues together are above their limit, closes the peers with the longest queues with
    /// [`CloseReason::Slow`], until the total is clearly below the limit.
    pub async fn evict_slowest(&self) {
        self.registry.lock().await.evict_slowest(&self.limits);
    }

    /// Looks at every peer once. Pings peers that sent nothing for `silence` seconds, and closes
    /// those that sent nothing for twice as long, or whose socket took nothing that long although
    /// bytes wait. Returns in how many seconds to call it again.
    pub async fn sweep(&self, silence: u32) -> u32 {
        let mut from = 0;
        let mut next = silence;
        loop {
            let mut registry = self.registry.lock().await;
            let end = registry.peers.capacity();
            for at in from..end.min(from + SWEEP_SLICE) {
                if let Some(entry) = registry.peers.get_mut(at) {
                    next = next.min(entry.sweep(silence));
                }
            }
            registry.evict_slowest(&self.limits);
            from += SWEEP_SLICE;
            if from >= end {
                return next;
            }
        }
    }
}

/// Splits a room's events into runs of about [`BUFFER_TARGET`] bytes.
fn buffers(events: &[Event]) -> impl Iterator<Item = &[Event]> {
    let mut size = 0;
    let mut fill = move |event: &Event| {
        let full = size > BUFFER_TARGET;
        size = if full { 0 } else { size } + event.approx_size();
        !full
    };
    events.chunk_by(move |event, _| fill(event))
}
