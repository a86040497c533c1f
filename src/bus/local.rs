//! The bus of a server that runs alone: a counter per room and one bounded channel.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use async_lock::Mutex;
use smol::channel::Sender;

use super::{Claim, Draft};
use crate::chat::dialect::{Reply, Roster};
use crate::chat::event::{Event, Id, Refusal, Text, What};
use crate::chat::name::{Room, User};
use crate::chat::peer::{Peer, Receipt};
use crate::chat::peers::{Peers, Seat};

/// This process alone.
#[derive(Debug)]
pub struct Local {
    peers: Arc<Peers>,
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

    pub(super) async fn claim(&self, seat: &Seat, user: &User) -> Claim {
        if self.peers.claim(seat, user).await {
            Claim::Granted
        } else {
            Claim::Taken
        }
    }

    pub(super) async fn enter(
        &self,
        seat: &Seat,
        peer: &Peer,
        user: &User,
        room: &Room,
        welcome: &Reply<'_>,
    ) -> bool {
        let (entry, count) = self.peers.expect(seat, room, welcome).await;
        let aloud = count <= self.notices;
        self.notice(peer, user, room, What::Joined { aloud }).await;
        entry.wait().await;
        true
    }

    pub(super) async fn depart(&self, seat: Seat, peer: &Peer) {
        let departure = self.peers.remove(seat).await;
        let Some(user) = departure.user else { return };
        for (room, count) in departure.rooms {
            if count == 1 {
                self.log.lock().await.last.remove(&room);
            }
            if count <= self.notices {
                self.notice(peer, &user, &room, What::Left).await;
            }
        }
    }

    pub(super) async fn publish(&self, draft: Draft) {
        // Held until the channel has taken the event, so that the channel's order is the log's.
        // Whoever else wants to publish would have to wait for the channel anyway.
        let mut log = self.log.lock().await;
        let (id, at) = log.next(&draft.room);
        let what = What::Said {
            text: draft.text,
            id: Some(id),
            at,
        };
        let event = Event {
            room: draft.room,
            user: draft.user,
            origin: Some(draft.origin),
            what,
        };
        let room = event.room.clone();
        self.send(event).await;
        log.last.insert(room, id);
    }

    pub(super) async fn tell(&self, from: &User, to: String, text: &Text, receipt: Receipt) {
        if !self.peers.tell(&to, &Reply::Private { from, text }).await {
            receipt.refuse(&Refusal::NoSuchUser(to));
        }
    }

    pub(super) async fn roster(&self, room: &Room) -> Roster {
        self.peers.roster(room, self.notices).await
    }

    async fn notice(&self, peer: &Peer, user: &User, room: &Room, what: What) {
        let origin = Some(self.peers.origin(peer));
        self.send(Event {
            room: room.clone(),
            user: user.clone(),
            origin,
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
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let now = now.as_millis() as u64;
        let id = match self.last.get(room) {
            Some(last) => Id {
                n: last.n + 1,
                ..*last
            },
            None => {
                self.newest_epoch = now.max(self.newest_epoch + 1);
                Id {
                    epoch: self.newest_epoch,
                    n: 1,
                }
            }
        };
        (id, now)
    }
}
