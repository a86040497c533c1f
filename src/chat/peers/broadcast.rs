//! The fan-out: events from the bus to the members of their rooms.

use bytes::Bytes;

use super::{Peers, Registry};
use crate::chat::dialect::{Dialect, Reply};
use crate::chat::event::{self, Event, EventKind};
use crate::chat::frame::Broadcast;
use crate::chat::id::{Instance, Origin};
use crate::chat::name::User;
use crate::chat::stats::ChatStats;

/// About this many bytes of a room's batch are rendered into one buffer. Well below the limit of an
/// outbox, so that one buffer that a socket takes in part does not close its peer.
const BUFFER_TARGET: usize = 48 * 1024;

impl Peers {
    /// Sends a batch of events to the members of their rooms, in order, and empties the batch.
    pub async fn deliver(&self, batch: &mut Vec<Event>) {
        let stats = self.stats();
        stats.batches.record(batch.len() as u64);
        // A stable sort: the order within a room stays.
        batch.sort_by(|a, b| a.room.cmp(&b.room));
        let mut registry = self.registry.lock().await;
        let mut parts = Vec::new();
        for events in batch.chunk_by(|a, b| a.room == b.room) {
            for mut events in event::pieces(events, BUFFER_TARGET) {
                while !events.is_empty() {
                    // A member that joins again must get the events before its join, and get them
                    // before its outbox buffers.
                    // One that is removed must get those before that, and none after it.
                    registry.remove(&events[0]);
                    registry.send_private_loss(&events[0]);
                    let apart = |at: &usize| {
                        let event = &events[*at];
                        registry.joins_again(event, self.instance)
                            || matches!(event.kind, EventKind::Moderated(_))
                            || matches!(event.kind, EventKind::Lost { .. })
                    };
                    let end = (1..events.len()).find(apart).unwrap_or(events.len());
                    let (now, rest) = events.split_at(end);
                    registry.broadcast(self.instance, now, &mut parts, stats);
                    events = rest;
                }
                registry.evict_slowest(&self.limits);
            }
        }
        self.announce_removals(&registry);
        batch.clear();
    }
}

impl Registry {
    /// Sends events of one room to its peers, rendered once per dialect, and completes the joins
    /// among the events. `parts` is scratch space.
    fn broadcast(
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
        let mut broadcasts = Dialect::ALL.map(|_| None);
        // Added once at the end: to update a shared counter for every peer would be slow.
        let mut sent = (0, 0);
        let mut now = None;
        let mut send = |key: u32, own: Option<&Broadcast>| {
            let peer = &self.peers[key as usize].peer;
            let dialect = peer.dialect();
            if dialect == Dialect::Events {
                // The clock is read once for all of them.
                peer.mark_active_at(*now.get_or_insert_with(|| peer.clock()));
            }
            let broadcast = own.unwrap_or_else(|| {
                broadcasts[dialect as usize]
                    .get_or_insert_with(|| Broadcast::render(dialect, here, events, &joined))
            });
            let (frames, bytes) = broadcast.parts_for(peer.number, parts);
            sent = (sent.0 + frames, sent.1 + bytes);
            peer.outbox.push_from(room, parts);
        };
        match room.ends() {
            // Of a private conversation, those who have the names.
            Some([one, other]) => {
                let other = Some(&other).filter(|other| **other != one);
                let keys = [Some(&one), other].into_iter().flatten();
                for key in keys.filter_map(|end| self.names.get(end)).copied() {
                    let strange = |event: &Event| self.is_of_earlier_holder(event, key);
                    if !events.iter().any(strange) {
                        send(key, None);
                        continue;
                    }
                    let own = events.iter().filter(|event| !strange(event));
                    let own: Vec<Event> = own.cloned().collect();
                    let dialect = self.peers[key as usize].peer.dialect();
                    send(key, Some(&Broadcast::render(dialect, here, &own, &joined)));
                }
            }
            None => {
                let members = self.rooms.get(room).into_iter();
                for key in members.flat_map(|room| &room.here) {
                    send(*key, None);
                }
            }
        }
        stats.sent.add(sent.0);
        stats.sent_bytes.add(sent.1);
    }

    /// Whether a private message was said to, or by, a connection that had the name of this peer before, and
    /// kept it with no key. Such a name may change hands while a message is on its way. The time alone does not
    /// tell, since the nodes of a cluster have clocks of their own; nor does the connection, since Redis may
    /// have gone back to when another one had the name.
    fn is_of_earlier_holder(&self, event: &Event, key: u32) -> bool {
        let EventKind::Said { at, to, holder, .. } = &event.kind else {
            return false;
        };
        let entry = &self.peers[key as usize];
        if *at >= entry.named_at / 1000 {
            return false;
        }
        let own = self.origin(&entry.peer);
        let is_other = |origin: Option<Origin>| origin.is_some_and(|origin| origin != own);
        let by_other = entry.key_hash.is_none() && is_other(event.origin);
        entry.user == *to && is_other(*holder) || entry.user == event.user && by_other
    }

    /// If messages of a private conversation are lost, tells its two users, each with the name of the other.
    fn send_private_loss(&self, event: &Event) {
        let (EventKind::Lost { .. }, Some([one, other])) = (&event.kind, event.room.ends()) else {
            return;
        };
        let tell = |end: &User, with: &User| {
            if let Some(peer) = self.named(end) {
                let incomplete = peer.frame(&Reply::Incomplete(with));
                peer.outbox.push_from(&event.room, incomplete.as_slice());
            }
        };
        tell(&one, &other);
        if one != other {
            tell(&other, &one);
        }
    }

    /// If this event is the join of a peer of ours, makes the peer a member and returns its number.
    /// Its outbox buffers from here on.
    fn complete_join(&mut self, event: &Event, here: Instance) -> Option<u64> {
        let EventKind::Joined { log, .. } = &event.kind else {
            return None;
        };
        let origin = event.origin.filter(|origin| origin.instance == here)?;
        // What is announced twice may come back after the next join has begun.
        if self.joining.get(&origin.peer)?.room != event.room {
            return None;
        }
        let pending = self.take_pending(origin.peer)?;
        let peer = &self.peers[pending.key as usize].peer;
        peer.outbox.begin_join(&pending.room);
        if !pending.room.is_conversation() {
            self.enter(pending.key, &pending.room);
        }
        // Only this function sets it, and only once.
        let _ = pending.signal.set_blocking(log.clone());
        Some(origin.peer)
    }

    /// Whether this event is the join of a peer that is a member already.
    fn joins_again(&self, event: &Event, here: Instance) -> bool {
        let is_join = matches!(event.kind, EventKind::Joined { .. });
        let origin = event.origin.filter(|from| is_join && from.instance == here);
        let pending = origin.and_then(|origin| self.joining.get(&origin.peer));
        pending.is_some_and(|join| self.peers[join.key as usize].rooms.contains(&join.room))
    }
}

#[cfg(test)]
mod tests {
    use super::super::census::tests::{add, now, peers};
    use super::*;
    use crate::chat::name::Room;
    use crate::chat::replay::Epochs;

    #[test]
    fn a_join_that_is_announced_twice_completes_no_other_one() {
        let peers = peers();
        let peer = add(&peers);
        let [attic, lobby] = ["attic", "lobby"].map(|room| Room::new(room).unwrap());
        let announce = |room: &Room| {
            let (announced, log) = (true, Epochs::default());
            let joined = Event {
                room: room.clone(),
                user: None,
                origin: Some(peers.origin(&peer)),
                kind: EventKind::Joined { announced, log },
            };
            now(peers.deliver(&mut vec![joined]));
        };
        let first = now(peers.begin_join(&peer, &attic));
        announce(&attic);
        assert!(first.is_initialized());
        let second = now(peers.begin_join(&peer, &lobby));
        announce(&attic);
        assert!(!second.is_initialized());
        announce(&lobby);
        assert!(second.is_initialized());
    }
}
