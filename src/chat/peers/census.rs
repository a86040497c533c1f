//! The peers as another place should know them, such as Redis: compared cheaply by sums, and in
//! detail only where the sums differ.

use std::collections::HashMap;

use async_lock::MutexGuard;
use sha1::{Digest, Sha1};

use super::{PeerEntry, Peers, Registry};
use crate::chat::id::Origin;
use crate::chat::name::{Room, SessionKeyHash, User};
use crate::chat::peer::Peer;

/// The names and rooms of this instance's peers. Nothing changes as long as it is held, so do not
/// await meanwhile.
#[derive(Debug)]
pub struct Census<'a>(MutexGuard<'a, Registry>);

/// A peer with a name.
#[derive(Clone, Debug)]
pub struct NamedPeer {
    /// Its name.
    pub user: User,
    /// The hash of its session key, if it has one.
    pub key_hash: Option<SessionKeyHash>,
    /// The connection.
    pub origin: Origin,
    key: u32,
}

impl Peers {
    /// Locks the registry for a look at it.
    pub async fn census(&self) -> Census<'_> {
        Census(self.registry.lock().await)
    }

    /// Notes that another place may know another name of this peer than the registry, until the
    /// change [ends](Self::end_name_change).
    pub async fn begin_name_change(&self, peer: &Peer) {
        self.registry
            .lock()
            .await
            .renaming
            .insert(peer.number, None);
    }

    /// The registry has the name that the other place has.
    pub async fn end_name_change(&self, peer: &Peer) {
        self.registry.lock().await.renaming.remove(&peer.number);
    }
}

impl Census<'_> {
    /// The sum over the names in a room, of its members and of the peers that join it.
    pub fn room_sum(&self, room: &Room) -> u64 {
        self.0.rooms.get(room).map_or(0, |members| members.sum)
    }

    /// The sum over all names.
    pub fn names_sum(&self) -> u64 {
        self.0.names_sum
    }

    /// The members of a room that have a name, by its key. During a takeover the newer connection
    /// counts.
    pub fn members(&self, room: &Room) -> HashMap<String, NamedPeer> {
        let mut members: HashMap<String, NamedPeer> = HashMap::new();
        for entry in self.0.entries_in(room) {
            if let Some(peer) = self.0.named_peer(entry) {
                let newer = |other: &NamedPeer| other.origin.peer < peer.origin.peer;
                let key = peer.user.key().to_string();
                if members.get(&key).is_none_or(newer) {
                    members.insert(key, peer);
                }
            }
        }
        members
    }

    /// Whether a member that was seen [before](Self::members) is still one, and neither about to go
    /// nor to change its name.
    pub fn is_member(&self, peer: &NamedPeer, room: &Room) -> bool {
        let entry = self.0.peers.get(peer.key as usize);
        entry.is_some_and(|entry| {
            entry.peer.number == peer.origin.peer
                && entry.peer.outbox.close_reason().is_none()
                && entry.user.as_ref() == Some(&peer.user)
                && entry.rooms.contains(room)
                && !self.is_changing_name(peer.origin.peer)
        })
    }

    /// Whether the name of the peer with this number is about to change.
    pub fn is_changing_name(&self, number: u64) -> bool {
        self.0.renaming.contains_key(&number)
    }

    /// Whether the peer with this number is about to join a room.
    pub fn is_joining(&self, number: u64, room: &Room) -> bool {
        let pending = self.0.joining.get(&number);
        pending.is_some_and(|pending| pending.room == *room)
    }

    /// All names and the peers that hold them.
    pub fn names(&self) -> Vec<NamedPeer> {
        let holders = self
            .0
            .names
            .values()
            .map(|&key| &self.0.peers[key as usize]);
        holders
            .filter_map(|entry| self.0.named_peer(entry))
            .collect()
    }

    /// The peer that holds a name.
    pub fn named(&self, user: &User) -> Option<NamedPeer> {
        let key = *self.0.names.get(user)?;
        self.0.named_peer(&self.0.peers[key as usize])
    }

    /// The number of the peer that holds a name.
    pub fn holder(&self, user: &User) -> Option<u64> {
        Some(self.0.named(user)?.number)
    }
}

impl Registry {
    fn named_peer(&self, entry: &PeerEntry) -> Option<NamedPeer> {
        Some(NamedPeer {
            user: entry.user.clone()?,
            key_hash: entry.key_hash,
            origin: self.origin(&entry.peer),
            key: entry.peer.key,
        })
    }
}

/// What one entry, a name's key and its connection, adds to a sum: 2^32 and the first 32 bits of
/// the SHA-1 of "KEY ORIGIN". Redis' scripts can compute that, too.
pub fn weight(key: &str, origin: Origin) -> u64 {
    let hash = Sha1::digest(format!("{key} {origin}"));
    let first = [hash[0], hash[1], hash[2], hash[3]];
    (1 << 32) + u64::from(u32::from_be_bytes(first))
}

#[cfg(test)]
pub(super) mod tests {
    use std::io::{self, IoSlice};
    use std::pin::pin;
    use std::sync::Arc;
    use std::task::{Context, Poll, Waker};

    use bytes::Bytes;

    use super::*;
    use crate::chat::address::Address;
    use crate::chat::close_reason::CloseReason;
    use crate::chat::dialect::Dialect;
    use crate::chat::event::{Event, EventKind};
    use crate::chat::id::Instance;
    use crate::chat::outbox::{OutboxLimits, TryWrite};
    use crate::chat::replay::Epochs;

    /// Takes everything.
    #[derive(Debug)]
    pub struct Nowhere;

    impl TryWrite for Nowhere {
        fn try_write(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
            Ok(bufs.iter().map(|buf| buf.len()).sum())
        }
    }

    /// Nobody else uses the registry, so nothing has to wait for it.
    pub fn now<T>(future: impl Future<Output = T>) -> T {
        let mut context = Context::from_waker(Waker::noop());
        match pin!(future).poll(&mut context) {
            Poll::Ready(value) => value,
            Poll::Pending => panic!("the registry is locked"),
        }
    }

    /// The sums, added up from scratch.
    fn sums(peers: &Peers, rooms: &[Room]) -> (u64, Vec<u64>) {
        let registry = &now(peers.census()).0;
        let weight_of = |key: u32| {
            let entry = &registry.peers[key as usize];
            let user = entry.user.as_ref()?;
            Some(weight(user.key(), peers.origin(&entry.peer)))
        };
        let names = registry.names.values();
        let sum = |room: &Room| -> u64 {
            let entries = registry.peers.iter();
            let members = entries.filter(|(_, entry)| entry.rooms.contains(room));
            let joining = registry.joining.values().filter(|pending| {
                let entry = &registry.peers[pending.key as usize];
                pending.room == *room && !entry.rooms.contains(room)
            });
            let keys = members.map(|(key, _)| key as u32);
            keys.chain(joining.map(|pending| pending.key))
                .filter_map(weight_of)
                .sum()
        };
        let names = names.filter_map(|&key| weight_of(key)).sum();
        (names, rooms.iter().map(sum).collect())
    }

    #[test]
    fn sums_follow_whatever_peers_do() {
        let rooms = ["attic", "lobby"].map(|room| Room::new(room).unwrap());
        // Two spellings of one name among them.
        let users = ["ann", "Ann", "bob"].map(|user| User::new(user).unwrap());
        arbtest::arbtest(|u| {
            let peers = peers();
            let mut here = Vec::new();
            for _ in 0..u.int_in_range(1..=60)? {
                let room = u.choose(&rooms)?;
                if here.is_empty() || u.ratio(1, 8)? {
                    here.push(add(&peers));
                    continue;
                }
                let place = u.choose_index(here.len())?;
                let peer = &here[place];
                let joins = now(peers.census()).0.joining.contains_key(&peer.number);
                match u.int_in_range(0..=4)? {
                    // A connection does one thing after the other.
                    0 if !joins => {
                        let hash = Some(SessionKeyHash::of("secret"));
                        let (user, at) = (u.choose(&users)?, u.int_in_range(0..=3)?);
                        now(peers.begin_name_change(peer));
                        if u.ratio(1, 4)? {
                            let reason = CloseReason::Replaced;
                            now(peers.close(user, peer.number, reason));
                        }
                        now(peers.claim(peer, user, hash, at));
                        now(peers.end_name_change(peer));
                    }
                    1 if !joins => drop(now(peers.begin_join(peer, room))),
                    2 if joins => {
                        let room = now(peers.census()).0.joining[&peer.number].room.clone();
                        let (announced, log) = (true, Epochs::default());
                        let joined = Event {
                            room,
                            user: None,
                            origin: Some(peers.origin(peer)),
                            kind: EventKind::Joined { announced, log },
                        };
                        match u.arbitrary()? {
                            true => now(peers.deliver(&mut vec![joined])),
                            false => drop(now(peers.cancel_join(peer))),
                        }
                    }
                    3 if !joins => drop(now(peers.leave(peer, room))),
                    4 => {
                        now(peers.remove(peer));
                        here.swap_remove(place);
                    }
                    _ => {}
                }
                let (names, expected) = sums(&peers, &rooms);
                let census = now(peers.census());
                let kept: Vec<u64> = rooms.iter().map(|room| census.room_sum(room)).collect();
                assert_eq!((census.names_sum(), kept), (names, expected));
            }
            Ok(())
        });
    }

    /// An empty registry.
    pub fn peers() -> Peers {
        Peers::new(Instance(7), OutboxLimits::new(1 << 20, 1 << 20))
    }

    /// Adds a peer of the typed dialect.
    pub fn add(peers: &Peers) -> Arc<Peer<Nowhere>> {
        let (dialect, address) = (Dialect::Typed, Address::new(1));
        now(peers.add(dialect, address, Nowhere, Bytes::new()))
    }

    #[test]
    fn who_was_given_a_name_last_keeps_it_whichever_answer_is_seen_first() {
        let (peers, ann) = (peers(), User::new("ann").unwrap());
        let [first, last] = [add(&peers), add(&peers)];
        let key = Some(SessionKeyHash::of("secret"));
        assert!(now(peers.claim(&last, &ann, key, 2)));
        assert!(now(peers.claim(&first, &ann, key, 1)));
        let reason = Some(CloseReason::Replaced);
        assert_eq!(
            (first.outbox.close_reason(), last.outbox.close_reason()),
            (reason, None)
        );
        assert!(now(peers.held(&last)).is_some());
    }

    #[test]
    fn a_name_that_is_taken_over_before_it_is_known_to_be_given_is_lost() {
        let (peers, ann) = (peers(), User::new("ann").unwrap());
        let (peer, reason) = (add(&peers), CloseReason::Replaced);
        now(peers.begin_name_change(&peer));
        now(peers.close(&ann, peer.number, reason));
        assert!(now(peers.claim(&peer, &ann, None, 1)));
        assert_eq!(peer.outbox.close_reason(), Some(reason));
        assert_eq!(now(peers.holder(&ann)), None);
    }

    #[test]
    fn an_entry_weighs_what_redis_computes() {
        let origin = Origin {
            instance: Instance(0xbeef),
            peer: 7,
        };
        // `printf 'ann 000000000000beef.7' | sha1sum`
        assert_eq!(weight("ann", origin), (1 << 32) + 0x7750_cf45);
    }
}
