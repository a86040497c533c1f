//! Peers, names and rooms, behind the lock of [`Peers`](super::peers::Peers). Only map operations
//! and pushes to outboxes: nothing in here waits.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::Arc;

use async_lock::OnceCell;
use bytes::Bytes;
use slab::Slab;

use super::close_reason::CloseReason;
use super::dialect::Dialect;
use super::event::{Event, EventKind};
use super::frame::{self, Broadcast};
use super::id::{Id, Instance};
use super::name::{Room, SessionKeyHash, User};
use super::outbox::OutboxLimits;
use super::peer::Peer;
use super::stats::ChatStats;

/// The peers connected to this instance.
#[derive(Debug, Default)]
pub(super) struct Registry {
    pub peers: Slab<PeerEntry>,
    pub names: HashMap<User, usize>,
    rooms: HashMap<Room, Members>,
    /// Joins that are on the bus and not back yet, by the number of the peer.
    joining: HashMap<u64, PendingJoin>,
}

#[derive(Debug)]
pub(super) struct PeerEntry {
    pub peer: Arc<Peer>,
    pub user: Option<User>,
    /// The hash of the session key. A client with this key may take the name over.
    pub key_hash: Option<SessionKeyHash>,
    pub rooms: Vec<Membership>,
    pinged: bool,
    /// Whether its socket took nothing at the last sweep, although bytes wait.
    stalled: bool,
    /// Since which second of the registry's clock it is `stalled`.
    stalled_since: u32,
}

/// A room of a peer, and the index of the peer in that room's list.
#[derive(Debug)]
pub(super) struct Membership {
    pub room: Room,
    at: usize,
}

/// The peers of this instance in a room.
#[derive(Debug, Default)]
struct Members {
    /// Their keys. 32 bits are enough, and every batch reads the whole list.
    here: Vec<u32>,
    /// How many peers are joining.
    joining: usize,
    /// How many members and joining peers have a name.
    named: usize,
}

/// A peer that becomes a member when its own join event returns from the bus.
#[derive(Debug)]
struct PendingJoin {
    key: usize,
    room: Room,
    signal: JoinSignal,
}

/// Set when the peer has joined, to the id of the room's last message before that.
pub(super) type JoinSignal = Arc<OnceCell<Option<Id>>>;

impl Registry {
    pub fn add(&mut self, peer: Arc<Peer>) -> usize {
        self.peers.insert(PeerEntry {
            peer,
            user: None,
            key_hash: None,
            rooms: Vec::new(),
            pinged: false,
            stalled: false,
            stalled_since: 0,
        })
    }

    /// Gives a peer a name. It replaces the peer's older one, which may be another spelling of the
    /// same name. If another peer has the name with the same key hash, that peer loses it and is
    /// closed; its events still carry the name until it has left. `false` if the other peer has
    /// another key hash, or none.
    pub fn claim(&mut self, key: usize, user: &User, key_hash: Option<SessionKeyHash>) -> bool {
        if let Some(&other) = self.names.get(user)
            && other != key
        {
            let other = &self.peers[other];
            if key_hash.is_none() || other.key_hash != key_hash {
                return false;
            }
            other.peer.outbox.close(CloseReason::Replaced);
        }
        self.names.insert(user.clone(), key);
        let entry = &mut self.peers[key];
        entry.key_hash = key_hash;
        match entry.user.replace(user.clone()) {
            Some(old) if old == *user => {}
            Some(old) => self.release_name(key, &old),
            None => {
                for membership in &entry.rooms {
                    if let Some(members) = self.rooms.get_mut(&membership.room) {
                        members.named += 1;
                    }
                }
            }
        }
        true
    }

    /// Frees a name, if this peer has it.
    pub fn release_name(&mut self, key: usize, user: &User) {
        if self.names.get(user) == Some(&key) {
            self.names.remove(user);
        }
    }

    /// Starts a join: the peer becomes a member when its join event returns.
    pub fn begin_join(&mut self, key: usize, room: &Room) -> (u64, JoinSignal) {
        let number = self.peers[key].peer.number;
        let signal = JoinSignal::default();
        let pending = PendingJoin {
            key,
            room: room.clone(),
            signal: signal.clone(),
        };
        self.joining.insert(number, pending);
        let members = self.rooms.entry(room.clone()).or_default();
        members.joining += 1;
        members.named += usize::from(self.peers[key].is_new(room));
        (number, signal)
    }

    /// Ends a join that is not complete; `false` if there is none.
    pub fn cancel_join(&mut self, peer: u64) -> bool {
        let Some(pending) = self.take_pending(peer) else {
            return false;
        };
        self.forget_if_empty(&pending.room);
        true
    }

    fn take_pending(&mut self, peer: u64) -> Option<PendingJoin> {
        let pending = self.joining.remove(&peer)?;
        if let Some(members) = self.rooms.get_mut(&pending.room) {
            members.joining -= 1;
            members.named -= usize::from(self.peers[pending.key].is_new(&pending.room));
        }
        Some(pending)
    }

    /// If this event is the join of a peer of ours, makes the peer a member and returns its number.
    /// Its outbox buffers from here on.
    fn complete_join(&mut self, event: &Event, here: Instance) -> Option<u64> {
        let EventKind::Joined { last, .. } = &event.kind else {
            return None;
        };
        let origin = event.origin.filter(|origin| origin.instance == here)?;
        let pending = self.take_pending(origin.peer)?;
        let entry = &self.peers[pending.key];
        entry.peer.outbox.begin_join(&pending.room);
        if !entry.is_in(&pending.room) {
            self.enter(pending.key, &pending.room);
        }
        // Only this function sets it, and only once.
        let _ = pending.signal.set_blocking(*last);
        Some(origin.peer)
    }

    /// Whether this event is the join of a peer that is a member already.
    fn joins_again(&self, event: &Event, here: Instance) -> bool {
        let EventKind::Joined { .. } = event.kind else {
            return false;
        };
        let origin = event.origin.filter(|origin| origin.instance == here);
        let pending = origin.and_then(|origin| self.joining.get(&origin.peer));
        pending.is_some_and(|pending| self.peers[pending.key].is_in(&pending.room))
    }

    /// Adds a peer to a room.
    fn enter(&mut self, key: usize, room: &Room) {
        let members = self.rooms.entry(room.clone()).or_default();
        let entry = &mut self.peers[key];
        // Most peers are in one room as long as they live.
        entry.rooms.reserve_exact(1);
        entry.rooms.push(Membership {
            room: room.clone(),
            at: members.here.len(),
        });
        members.here.push(key as u32);
        members.named += usize::from(entry.user.is_some());
    }

    /// Removes a peer from a room; `false` if it is not a member. The last member of the list moves
    /// into the gap, so the cost does not depend on the room's size.
    pub fn leave(&mut self, key: usize, room: &Room) -> bool {
        let entry = &mut self.peers[key];
        let place = entry.rooms.iter().position(|place| place.room == *room);
        let (Some(place), Some(members)) = (place, self.rooms.get_mut(room)) else {
            return false;
        };
        let at = entry.rooms.swap_remove(place).at;
        members.named -= usize::from(entry.user.is_some());
        members.here.swap_remove(at);
        if let Some(&moved) = members.here.get(at) {
            let rooms = &mut self.peers[moved as usize].rooms;
            if let Some(place) = rooms.iter_mut().find(|place| place.room == *room) {
                place.at = at;
            }
        }
        self.forget_if_empty(room);
        true
    }

    fn forget_if_empty(&mut self, room: &Room) {
        let empty = |members: &Members| members.here.is_empty() && members.joining == 0;
        if self.rooms.get(room).is_some_and(empty) {
            self.rooms.remove(room);
        }
    }

    /// How many peers with a name are in a room or joining it.
    pub fn people(&self, room: &Room) -> usize {
        self.rooms.get(room).map_or(0, |members| members.named)
    }

    /// Whether the peer with this name is in a room or joining it.
    pub fn has(&self, room: &Room, user: &User) -> bool {
        self.names.get(user).is_some_and(|&key| {
            let entry = &self.peers[key];
            let pending = self.joining.get(&entry.peer.number);
            entry.is_in(room) || pending.is_some_and(|pending| pending.room == *room)
        })
    }

    /// The names in a room, in no order, and whether another connection has taken each over.
    pub fn names_in(&self, room: &Room) -> impl Iterator<Item = (&User, bool)> {
        self.entries_in(room).filter_map(|(key, entry)| {
            let user = entry.user.as_ref()?;
            Some((user, self.names.get(user) != Some(&key)))
        })
    }

    /// How many rooms there are.
    pub fn rooms(&self) -> usize {
        self.rooms.len()
    }

    /// The peers in a room, in no order.
    pub fn peers_in(&self, room: &Room) -> impl Iterator<Item = &Arc<Peer>> {
        self.entries_in(room).map(|(_, entry)| &entry.peer)
    }

    fn entries_in(&self, room: &Room) -> impl Iterator<Item = (usize, &PeerEntry)> {
        let members = self.rooms.get(room).map_or(&[][..], |room| &room.here);
        let entry = |&key: &u32| (key as usize, &self.peers[key as usize]);
        members.iter().map(entry)
    }

    /// Sends a room's events to its peers, rendered once per dialect, and completes the joins among
    /// the events. `parts` is scratch space.
    pub fn broadcast(
        &mut self,
        here: Instance,
        mut events: &[Event],
        parts: &mut Vec<Bytes>,
        stats: &ChatStats,
    ) {
        // A member that joins again must get the events before its join, and get them before its
        // outbox buffers.
        while let Some(at) = (1..events.len()).find(|&at| self.joins_again(&events[at], here)) {
            let (before, rest) = events.split_at(at);
            self.broadcast_at_once(here, before, parts, stats);
            events = rest;
        }
        self.broadcast_at_once(here, events, parts, stats);
    }

    fn broadcast_at_once(
        &mut self,
        here: Instance,
        events: &[Event],
        parts: &mut Vec<Bytes>,
        stats: &ChatStats,
    ) {
        let joined = events
            .iter()
            .filter_map(|event| self.complete_join(event, here));
        let joined: Vec<u64> = joined.collect();
        let Some(room) = events.first().map(|event| &event.room) else {
            return;
        };
        let Some(members) = self.rooms.get(room) else {
            return;
        };
        let mut broadcasts = Dialect::ALL.map(|_| None);
        // Added once at the end: to update a shared counter for every peer would be slow.
        let mut sent = (0, 0);
        for &member in &members.here {
            let peer = &self.peers[member as usize].peer;
            let dialect = peer.dialect();
            let broadcast = broadcasts[dialect as usize]
                .get_or_insert_with(|| Broadcast::render(dialect, here, events, &joined));
            let (frames, bytes) = broadcast.parts_for(peer.number, parts);
            sent = (sent.0 + frames, sent.1 + bytes);
            peer.outbox.push_from(room, parts);
        }
        stats.sent.add(sent.0);
        stats.sent_bytes.add(sent.1);
    }

    /// If the total is above its limit, closes the peers with the longest queues.
    pub fn evict_slowest(&self, limits: &OutboxLimits) {
        if !limits.exceeded() {
            return;
        }
        let entry = self.peers.iter().map(|(_, entry)| &entry.peer.outbox);
        let waiting = entry.filter(|outbox| outbox.close_reason().is_none());
        let mut behind: Vec<_> = waiting.map(|outbox| (outbox.queued(), outbox)).collect();
        behind.sort_unstable_by_key(|(queued, _)| Reverse(*queued));
        let mut gone = 0;
        for (_, outbox) in behind.iter().take_while(|(queued, _)| *queued > 0) {
            if limits.well_below() {
                break;
            }
            outbox.close(CloseReason::Slow);
            gone += 1;
        }
        if gone > 0 {
            log::warn!("{gone} slow readers were let go: too much waited for all together");
        }
    }
}

impl PeerEntry {
    fn is_in(&self, room: &Room) -> bool {
        self.rooms.iter().any(|place| place.room == *room)
    }

    /// Whether it would add a name to the room.
    fn is_new(&self, room: &Room) -> bool {
        self.user.is_some() && !self.is_in(room)
    }

    /// Pings the peer after `silence` seconds, and closes it after twice as many. Also closes it if
    /// its socket took nothing for that long although bytes wait: a peer may send and never read.
    /// Returns in how many seconds to look at it again.
    pub fn sweep(&mut self, silence: u32) -> u32 {
        let silent = self.peer.idle_seconds();
        let mut next = silence.saturating_sub(silent);
        if silent < silence {
            self.pinged = false;
        } else if !self.pinged {
            self.pinged = true;
            self.peer.outbox.push(&[frame::ping()]);
            next = silence;
        } else if silent >= 2 * silence {
            self.peer.outbox.close(CloseReason::Silent);
            next = silence;
        } else {
            next = 2 * silence - silent;
        }
        let stalled = self.peer.outbox.is_stalled();
        let now = self.peer.clock();
        if !stalled || !self.stalled {
            self.stalled_since = now;
        } else if now - self.stalled_since >= 2 * silence {
            self.peer.outbox.close(CloseReason::Slow);
        }
        self.stalled = stalled;
        if stalled { 0 } else { next }
    }
}
