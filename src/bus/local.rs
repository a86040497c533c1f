//! The bus of a server that runs alone: a counter per room and one bounded channel.

use std::collections::HashMap;
use std::sync::Arc;

use async_lock::Mutex;
use smol::channel::Sender;

use super::{Claim, Draft, now};
use crate::chat::dialect::{Letter, Roster};
use crate::chat::event::{Event, Id, Refusal, What};
use crate::chat::name::{Lock, Room, User};
use crate::chat::peer::Peer;
use crate::chat::peers::{Peers, Seat};

/// This process alone.
#[derive(Debug)]
pub struct Local {
    pub(super) peers: Arc<Peers>,
    feed: Sender<Event>,
    /// Rooms up to this size say who comes and goes.
    notices: usize,
    log: Mutex<Log>,
}

/// Where each room's count stands, as long as somebody is in it.
#[derive(Debug, Default)]
struct Log {
    last: HashMap<Room, Id>,
    newest_epoch: u64,
    /// The last private message.
    letter: Option<Id>,
}

impl Local {
    /// A bus between `peers`, whose events go to `feed`.
    pub(super) fn new(peers: Arc<Peers>, feed: Sender<Event>, notices: usize) -> Local {
        Local {
            peers,
            feed,
            notices,
            log: Mutex::default(),
        }
    }

    pub(super) async fn claim(&self, seat: &Seat, user: &User, lock: Option<Lock>) -> Claim {
        if self.peers.claim(seat, user, lock).await {
            return Claim::Granted;
        }
        if lock.is_none() || self.peers.lock_of(user).await != lock {
            return Claim::Taken;
        }
        self.peers.take_over(seat, user, lock).await;
        Claim::Granted
    }

    pub(super) async fn unsubscribe(&self, room: &Room) {
        if !self.peers.occupied(room).await {
            self.log.lock().await.last.remove(room);
        }
    }

    pub(super) async fn appear(&self, peer: &Peer, user: &User, room: &Room) {
        let aloud = self.peers.people(room).await <= self.notices;
        let log = self.log.lock().await;
        let last = log.last.get(room).copied();
        self.notice(peer, user, room, What::Joined { aloud, last })
            .await;
    }

    pub(super) async fn vanish(&self, peer: &Peer, user: &User, room: &Room) {
        // Who leaves is no longer counted.
        if self.peers.people(room).await < self.notices {
            self.notice(peer, user, room, What::Left).await;
        }
    }

    pub(super) async fn publish(&self, room: &Room, draft: Draft) {
        // Held until the channel has taken the event, so that the channel's order is the log's.
        // Whoever else wants to publish would have to wait for the channel anyway.
        let mut log = self.log.lock().await;
        let (id, at) = log.next(room);
        let what = What::Said {
            text: draft.text,
            email: draft.email,
            id: Some(id),
            at,
        };
        self.send(Event {
            room: room.clone(),
            user: draft.user,
            origin: Some(draft.origin),
            what,
        })
        .await;
        log.last.insert(room.clone(), id);
        drop(log);
        draft.receipt.accept(id);
    }

    pub(super) async fn tell(&self, to: &str, draft: Draft) {
        let (id, at) = self.log.lock().await.next_letter();
        let letter = Letter {
            from: draft.user,
            email: draft.email,
            text: draft.text,
            id,
            at,
        };
        if self.peers.tell(to, &letter).await {
            draft.receipt.delivered(to, &letter);
        } else {
            draft.receipt.refuse(&Refusal::NoSuchUser(to.to_string()));
        }
    }

    pub(super) async fn roster(&self, room: &Room) -> Roster {
        let mut roster = self.peers.roster(room, self.notices).await;
        roster.last = self.log.lock().await.last.get(room).copied();
        roster
    }

    async fn notice(&self, peer: &Peer, user: &User, room: &Room, what: What) {
        self.send(Event {
            room: room.clone(),
            user: user.clone(),
            origin: Some(self.peers.origin(peer)),
            what,
        })
        .await;
    }

    /// Fails only when the fan-out is gone, and then nobody is left to hear it.
    async fn send(&self, event: Event) {
        let _ = self.feed.send(event).await;
    }
}

impl Log {
    /// The next id of a room and the time now. A room that nobody was in begins a new epoch.
    fn next(&mut self, room: &Room) -> (Id, u64) {
        let now = now();
        let id = match self.last.get(room) {
            Some(last) => last.next(),
            None => {
                self.newest_epoch = now.max(self.newest_epoch + 1);
                Id::first(self.newest_epoch)
            }
        };
        (id, now)
    }

    fn next_letter(&mut self) -> (Id, u64) {
        let now = now();
        let id = self.letter.map_or(Id::first(now), Id::next);
        self.letter = Some(id);
        (id, now)
    }
}
