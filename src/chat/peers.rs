//! Who is connected here, in which rooms, and the fan-out to them.
//!
//! One [registry](super::registry) behind one async mutex, and nothing awaits while it is held. So
//! the order in which [`Peers::deliver`] runs is the order that every peer of a room sees.

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

/// About this many bytes of a room's batch are rendered into one buffer. Well below an outbox's
/// limit, so that a peer is not ended for one buffer that its socket took half of.
const BUFFER_TARGET: usize = 48 * 1024;

/// The sweep looks at this many peers before it lets others at the registry.
const SWEEP_SLICE: usize = 256;

/// Where a peer sits in the registry. Held by the one task that added it and will remove it.
#[derive(Debug)]
pub struct PeerKey(usize);

/// The registry of this instance's peers.
#[derive(Debug)]
pub struct Peers {
    /// This instance, as it signs events.
    pub instance: Instance,
    registry: Mutex<Registry>,
    limits: Arc<OutboxLimits>,
    numbers: AtomicU64,
    started: Instant,
}

/// A peer's way into a room.
#[derive(Debug)]
pub struct Joining {
    peer: u64,
    signal: JoinSignal,
}

impl Joining {
    /// Waits until the peer has entered, and returns the room's last message before. Give it a
    /// deadline, and [give up](Peers::cancel_join) then.
    pub async fn wait(&self) -> Option<Id> {
        *self.signal.wait().await
    }
}

/// What a peer leaves behind.
#[derive(Debug)]
pub struct Departure {
    /// The name it had claimed.
    pub user: Option<User>,
    /// The rooms it was in.
    pub rooms: Vec<Room>,
}

/// How much there is of everything, on this instance.
#[derive(Clone, Copy, Debug)]
pub struct ChatGauges {
    /// Connections that chat.
    pub peers: usize,
    /// Those with a name.
    pub users: usize,
    /// Rooms with peers here.
    pub rooms: usize,
    /// Bytes that wait for all sockets together.
    pub queued: usize,
}

/// A name, and whose it is.
#[derive(Debug)]
pub struct NamedPeer {
    /// The name.
    pub user: User,
    /// Its lock, if it has one.
    pub key_hash: Option<SessionKeyHash>,
    /// Its connection.
    pub origin: Origin,
    /// The rooms it is in.
    pub rooms: Vec<Room>,
}

impl Peers {
    /// An empty registry of peers for whose sockets so much may wait.
    pub fn new(instance: Instance, limits: OutboxLimits) -> Peers {
        Peers {
            instance,
            registry: Mutex::default(),
            limits: Arc::new(limits),
            numbers: AtomicU64::new(1),
            started: Instant::now(),
        }
    }

    /// A new peer, with the next number. It hears nothing before it is [seated](Self::add).
    pub fn peer<S: TryWrite + 'static>(&self, dialect: Dialect, socket: S) -> Arc<Peer<S>> {
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        let outbox = Outbox::new(socket, self.limits.clone());
        Arc::new(Peer::new(number, dialect, outbox, self.started))
    }

    /// How a peer signs its events.
    pub fn origin(&self, peer: &Peer) -> Origin {
        Origin {
            instance: self.instance,
            peer: peer.number,
        }
    }

    /// How what no connection causes is signed: peers are counted from 1, so none takes it for its
    /// own.
    pub fn origin_of_none(&self) -> Origin {
        Origin {
            instance: self.instance,
            peer: 0,
        }
    }

    /// Seats a peer: it has no name and is in no room yet.
    pub async fn add(&self, peer: Arc<Peer>) -> PeerKey {
        PeerKey(self.registry.lock().await.add(peer))
    }

    /// Gives a peer a name, instead of the one it may have had. A peer here that has the name under
    /// the same lock is ended as [`CloseReason::Replaced`]; `false` if it has it under another, or none.
    pub async fn claim(
        &self,
        key: &PeerKey,
        user: &User,
        key_hash: Option<SessionKeyHash>,
    ) -> bool {
        self.registry.lock().await.claim(key.0, user, key_hash)
    }

    /// Lets a peer into a room as soon as its own join, which is now to be put on the bus,
    /// comes by: so it hears what comes after, nothing that was before, and everybody agrees on
    /// which is which. From then on its outbox is [buffered](Outbox::begin_join).
    pub async fn begin_join(&self, key: &PeerKey, room: &Room) -> Joining {
        let (peer, signal) = self.registry.lock().await.begin_join(key.0, room);
        Joining { peer, signal }
    }

    /// Does not let a peer in any more; `false` if it has just entered.
    pub async fn cancel_join(&self, joining: &Joining) -> bool {
        self.registry.lock().await.cancel_join(joining.peer)
    }

    /// Takes a peer out of a room; `false` if it was not there.
    pub async fn leave(&self, key: &PeerKey, room: &Room) -> bool {
        self.registry.lock().await.leave(key.0, room)
    }

    /// Takes a peer out of its rooms, its name and its seat: from here on it hears nothing.
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

    /// How many peers are seated.
    pub async fn count(&self) -> usize {
        self.registry.lock().await.peers.len()
    }

    /// What there is to be counted at this moment.
    pub async fn gauges(&self) -> ChatGauges {
        let registry = self.registry.lock().await;
        ChatGauges {
            peers: registry.peers.len(),
            users: registry.names.len(),
            rooms: registry.rooms(),
            queued: self.limits.queued(),
        }
    }

    /// What has been counted so far.
    pub fn stats(&self) -> &ChatStats {
        &self.limits.stats
    }

    /// How many peers with a name this instance has in a room, or about to be there.
    pub async fn people(&self, room: &Room) -> usize {
        self.registry.lock().await.people(room)
    }

    /// Whether a peer of this name is in a room, or about to be there.
    pub async fn has(&self, room: &Room, user: &User) -> bool {
        self.registry.lock().await.has(room, user)
    }

    /// Who of this instance is in a room; above `most` only how many.
    pub async fn roster(&self, room: &Room, most: usize) -> Roster {
        let registry = self.registry.lock().await;
        let count = registry.people(room);
        let mut users = Vec::new();
        if count <= most {
            let mut names: Vec<(&User, bool)> = registry.names_in(room).collect();
            names.sort_unstable();
            // While one connection takes a name over from another, both are there: the new one counts.
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

    /// Gives the peer of that name a private message; `false` if nobody here has the name.
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

    /// Tells every peer of this dialect.
    pub async fn send_to_all(&self, dialect: Dialect, reply: &Reply<'_>) {
        for peer in self.all().await {
            if peer.dialect() == dialect {
                peer.send(reply);
            }
        }
    }

    /// Tells every peer of this dialect in a room.
    pub async fn send_to_room(&self, room: &Room, dialect: Dialect, reply: &Reply<'_>) {
        let registry = self.registry.lock().await;
        let peers = registry.peers_in(room);
        peers
            .filter(|peer| peer.dialect() == dialect)
            .for_each(|peer| peer.send(reply));
    }

    /// Ends the connection that has this name, if it has this number.
    pub async fn close(&self, user: &User, number: u64, reason: CloseReason) {
        let registry = self.registry.lock().await;
        if let Some(&key) = registry.names.get(user)
            && registry.peers[key].peer.number == number
        {
            registry.peers[key].peer.outbox.close(reason);
        }
    }

    /// Every seated peer.
    pub async fn all(&self) -> Vec<Arc<Peer>> {
        let registry = self.registry.lock().await;
        let peers = registry.peers.iter();
        peers.map(|(_, entry)| entry.peer.clone()).collect()
    }

    /// Every name claimed here.
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

    /// Sends a batch of events to everybody who is to hear them, in order, and empties the batch.
    pub async fn deliver(&self, batch: &mut Vec<Event>) {
        let stats = self.stats();
        stats.batches.record(batch.len() as u64);
        // Stable: the order within a room stays.
        batch.sort_by(|a, b| a.room.cmp(&b.room));
        let mut registry = self.registry.lock().await;
        let mut parts = Vec::new();
        for events in batch.chunk_by(|a, b| a.room == b.room).flat_map(buffers) {
            registry.broadcast(self.instance, events, &mut parts, stats);
            registry.evict_slowest(&self.limits);
        }
        batch.clear();
    }

    /// Whether more waits for all sockets together than may: [evict_slowest](Self::evict_slowest) them. One
    /// load; for those to ask who have made one peer be told something.
    pub fn over_limit(&self) -> bool {
        self.limits.exceeded()
    }

    /// Lets go of the peers furthest behind, as [`CloseReason::Slow`], until clearly less waits for all
    /// sockets together than may; nobody, as long as it is not too much.
    pub async fn evict_slowest(&self) {
        self.registry.lock().await.evict_slowest(&self.limits);
    }

    /// Looks at every peer once: pings whoever has been silent for `silence` seconds, ends whoever
    /// stayed silent for as long again, or whose socket took nothing all that time although
    /// something waits. Returns after how many seconds somebody is to be looked at again.
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

/// Cuts a room's events into runs of about [`BUFFER_TARGET`] bytes.
fn buffers(events: &[Event]) -> impl Iterator<Item = &[Event]> {
    let mut size = 0;
    let mut fill = move |event: &Event| {
        let full = size > BUFFER_TARGET;
        size = if full { 0 } else { size } + event.approx_size();
        !full
    };
    events.chunk_by(move |event, _| fill(event))
}
