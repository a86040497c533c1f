//! Who is in which room, and joining in two steps.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_lock::OnceCell;

use super::{PeerEntry, Peers, Registry};
use crate::chat::dialect::{Dialect, Reply, Roster};
use crate::chat::name::{Room, User};
use crate::chat::peer::Peer;
use crate::chat::replay::Epochs;

/// The peers of this instance in a room.
#[derive(Debug, Default)]
pub(super) struct Members {
    /// Their keys.
    pub here: BTreeSet<u32>,
    /// How many members and joining peers have a name.
    pub named: usize,
    /// The sum over their names.
    pub sum: u64,
}

/// A peer that becomes a member when its own join event returns from the bus.
#[derive(Debug)]
pub(super) struct PendingJoin {
    pub key: u32,
    pub room: Room,
    pub signal: JoinSignal,
}

/// Set when the peer has joined, to where the room's log stood before that. Give the wait a
/// deadline, and [cancel](Peers::cancel_join) the join after that.
pub type JoinSignal = Arc<OnceCell<Epochs>>;

impl Peers {
    /// Starts a join. The caller must now publish the join event; the peer becomes a member when
    /// this event returns. So it gets exactly the events after its join. From then on its outbox
    /// [buffers](crate::chat::outbox::Outbox::begin_join).
    pub async fn begin_join(&self, peer: &Peer, room: &Room) -> JoinSignal {
        let mut registry = self.registry.lock().await;
        let entry = &registry.peers[peer.key as usize];
        if entry.is_new(room) {
            let weight = entry.weight;
            let members = registry.rooms.entry(room.clone()).or_default();
            members.add_name(weight);
        }
        let signal = JoinSignal::default();
        let pending = PendingJoin {
            key: peer.key,
            room: room.clone(),
            signal: signal.clone(),
        };
        registry.joining.insert(peer.number, pending);
        signal
    }

    /// Cancels a join that is not complete; `false` if the peer has just become a member.
    pub async fn cancel_join(&self, peer: &Peer) -> bool {
        let mut registry = self.registry.lock().await;
        registry.take_pending(peer.number).is_some()
    }

    /// Removes a peer from a room; `false` if it is not a member.
    pub async fn leave(&self, peer: &Peer, room: &Room) -> bool {
        self.registry.lock().await.leave(peer, room)
    }

    /// How many peers with a name are in a room of this instance or joining it.
    pub async fn people(&self, room: &Room) -> usize {
        self.registry.lock().await.people(room)
    }

    /// Whether a peer with this name is in a room or joining it.
    pub async fn has(&self, room: &Room, user: &User) -> bool {
        let registry = self.registry.lock().await;
        registry.names.get(user).is_some_and(|&key| {
            let entry = &registry.peers[key as usize];
            let pending = registry.joining.get(&entry.peer.number);
            entry.rooms.contains(room) || pending.is_some_and(|pending| pending.room == *room)
        })
    }

    /// The names in a room of this instance. If they are more than `most`, only their count.
    pub async fn roster(&self, room: &Room, most: usize) -> Roster {
        let registry = self.registry.lock().await;
        let count = registry.people(room);
        let mut users = Vec::new();
        if count <= most {
            let entries = registry.entries_in(room);
            let mut names: Vec<(&User, bool)> = entries
                .filter_map(|entry| {
                    let user = entry.user.as_ref()?;
                    Some((user, registry.names.get(user) != Some(&entry.peer.key)))
                })
                .collect();
            names.sort_unstable_by_key(|&(user, taken)| (user.key(), taken));
            // During a takeover both connections have the name. The new one counts.
            names.dedup_by_key(|(user, _)| *user);
            users.extend(names.into_iter().map(|(user, _)| user.to_string()));
            users.sort_unstable();
        }
        Roster {
            // Those who are still joining are counted, but not listed: their presence follows.
            count: if count <= most { users.len() } else { count },
            users,
            last: None,
        }
    }

    /// Sends a reply to every peer of a room with this dialect.
    pub async fn send_to_room(&self, room: &Room, dialect: Dialect, reply: &Reply<'_>) {
        let registry = self.registry.lock().await;
        for entry in registry.entries_in(room) {
            if entry.peer.dialect() == dialect {
                entry.peer.send(reply);
            }
        }
    }
}

impl Members {
    /// Adds what a name weighs; 0 is no name.
    pub fn add_name(&mut self, weight: u64) {
        self.named += usize::from(weight > 0);
        self.sum = self.sum.wrapping_add(weight);
    }

    pub fn remove_name(&mut self, weight: u64) {
        self.named -= usize::from(weight > 0);
        self.sum = self.sum.wrapping_sub(weight);
    }
}

impl Registry {
    fn people(&self, room: &Room) -> usize {
        self.rooms.get(room).map_or(0, |members| members.named)
    }

    pub(super) fn entries_in(&self, room: &Room) -> impl Iterator<Item = &PeerEntry> {
        let keys = self.rooms.get(room).into_iter().flat_map(|room| &room.here);
        keys.map(|&key| &self.peers[key as usize])
    }

    /// Ends a join that is not complete, if there is one.
    pub(super) fn take_pending(&mut self, number: u64) -> Option<PendingJoin> {
        let pending = self.joining.remove(&number)?;
        let entry = &self.peers[pending.key as usize];
        if let Some(members) = self.rooms.get_mut(&pending.room)
            && entry.is_new(&pending.room)
        {
            members.remove_name(entry.weight);
        }
        self.forget_if_empty(&pending.room);
        Some(pending)
    }

    /// Makes a peer a member, if it is not one yet.
    pub(super) fn enter(&mut self, key: u32, room: &Room) {
        let entry = &mut self.peers[key as usize];
        if entry.rooms.contains(room) {
            return;
        }
        // Most peers are in one room as long as they live.
        entry.rooms.reserve_exact(1);
        entry.rooms.push(room.clone());
        let weight = entry.weight;
        let members = self.rooms.entry(room.clone()).or_default();
        members.here.insert(key);
        members.add_name(weight);
    }

    /// Removes a peer from a room; `false` if it is not a member.
    pub(super) fn leave(&mut self, peer: &Peer, room: &Room) -> bool {
        let entry = &mut self.peers[peer.key as usize];
        let place = entry.rooms.iter().position(|other| other == room);
        let (Some(place), Some(members)) = (place, self.rooms.get_mut(room)) else {
            return false;
        };
        entry.rooms.swap_remove(place);
        members.here.remove(&peer.key);
        members.remove_name(entry.weight);
        self.forget_if_empty(room);
        true
    }

    fn forget_if_empty(&mut self, room: &Room) {
        let empty = |members: &Members| members.here.is_empty() && members.named == 0;
        if self.rooms.get(room).is_some_and(empty) {
            self.rooms.remove(room);
        }
    }
}

impl PeerEntry {
    /// Whether it would add a name to the room. A private conversation has no members.
    fn is_new(&self, room: &Room) -> bool {
        self.user.is_some() && !self.rooms.contains(room) && !room.is_conversation()
    }
}
