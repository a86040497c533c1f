//! Who is where: the names of this instance, its places on the rosters, and what becomes of those
//! of a dead instance.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::client::Client;
use super::lease_watch::LeaseWatch;
use super::reply;
use crate::chat::close_reason::CloseReason;
use crate::chat::event::Refusal;
use crate::chat::name::{Room, SessionKeyHash, User};
use crate::chat::peer::Peer;
use crate::chat::peers::{NamedPeer, Peers};
use crate::redis::error::Error;
use crate::redis::pipeline::BATCH;

/// The names and places of this instance.
#[derive(Debug)]
pub struct Presence {
    client: Arc<Client>,
    peers: Arc<Peers>,
    /// Which other instances are alive.
    pub leases: LeaseWatch,
    /// Others may have been told that our peers have left.
    missed: AtomicBool,
}

impl Presence {
    /// None yet.
    pub fn new(client: Arc<Client>, peers: Arc<Peers>) -> Presence {
        Presence {
            client,
            peers,
            leases: LeaseWatch::default(),
            missed: AtomicBool::new(false),
        }
    }

    /// Whether others may have been told that our peers have left.
    pub fn missed(&self) -> bool {
        self.missed.load(Ordering::Relaxed)
    }

    /// Others may have been told that our peers have left.
    pub fn set_missed(&self) {
        self.missed.store(true, Ordering::Relaxed);
    }

    /// Claims a name for a peer.
    pub async fn claim(
        &self,
        peer: &Peer,
        user: &User,
        key_hash: Option<SessionKeyHash>,
    ) -> Result<(), Refusal> {
        let origin = self.peers.origin(peer);
        let claim = self.client.scripts.claim(user, origin, key_hash, true);
        let reply = self.client.pipeline.request(claim).await;
        let taken = || Refusal::NameTaken(user.to_string());
        let refusal = match reply.as_ref().and_then(reply::number) {
            Some(0) => return Err(taken()),
            // Redis has compared the key hashes, but this instance may know a holder that Redis has lost.
            Some(1 | 2) if self.peers.claim(peer, user, key_hash).await => return Ok(()),
            Some(_) => taken(),
            None => Refusal::Unavailable,
        };
        // It may have been granted, and the reply got lost.
        self.release(peer, user);
        Err(refusal)
    }

    /// Gives a name back.
    pub fn release(&self, peer: &Peer, user: &User) {
        let origin = self.peers.origin(peer);
        self.client.send(self.client.scripts.release(user, origin));
    }

    /// Puts a peer on a room's roster and tells the room, instead of the `old` name if it had one.
    /// `false`: Redis can't be reached.
    pub async fn announce_join(
        &self,
        peer: &Peer,
        old: Option<&User>,
        user: Option<&User>,
        room: &Room,
    ) -> bool {
        if let Some(old) = old {
            self.announce_leave(peer, old, room);
        }
        let origin = self.peers.origin(peer);
        let command = match user {
            Some(user) => self.client.scripts.join(room, user, origin),
            None => self.client.scripts.join_anonymous(room, origin),
        };
        self.client.pipeline.request(command).await.is_some()
    }

    /// Takes a peer off a room's roster and tells the room.
    pub fn announce_leave(&self, peer: &Peer, user: &User, room: &Room) {
        let origin = self.peers.origin(peer);
        let leave = self.client.scripts.leave(room, user, origin);
        self.client.send(leave);
    }

    /// Claims every name of this instance again and puts it on its rooms' rosters. Announces a join
    /// only if others have been told that our peers had left. A peer whose name another peer got
    /// meanwhile is disconnected. Can be repeated.
    ///
    /// # Errors
    /// Redis does not answer.
    pub async fn register_names(&self, rooms: &[Room]) -> Result<(), Error> {
        let announced = self.missed.swap(false, Ordering::Relaxed);
        let done = self.claim_names(rooms, announced).await;
        if done.is_err() && announced {
            self.set_missed();
        }
        done
    }

    async fn claim_names(&self, rooms: &[Room], announced: bool) -> Result<(), Error> {
        let (client, scripts) = (&self.client, &self.client.scripts);
        for rooms in rooms.chunks(BATCH) {
            let track = scripts.track_rooms(rooms, true);
            client.request_early(track).await?;
        }
        for present in self.peers.named_peers().await.chunks(BATCH) {
            let claim = |one: &NamedPeer| scripts.claim(&one.user, one.origin, one.key_hash, false);
            let claims: Vec<_> = present.iter().map(claim).collect();
            let replies = client.pipeline.request_early(&claims).await?;
            let mut joins = Vec::new();
            for (one, reply) in present.iter().zip(&replies) {
                let NamedPeer { user, origin, .. } = one;
                if reply::number(reply) == Some(0) {
                    let reason = CloseReason::Replaced;
                    self.peers.close(user, origin.peer, reason).await;
                    continue;
                }
                let join = |room| scripts.restore_member(room, user, *origin, announced);
                joins.extend(one.rooms.iter().map(join));
            }
            for joins in joins.chunks(BATCH) {
                client.pipeline.request_early(joins).await?;
            }
        }
        // Last: an interrupted registration is repeated as a whole, with its announcements.
        client.request_early(scripts.clear_dead()).await?;
        Ok(())
    }

    /// Removes the names and places of a dead instance, whose lease has this value, and tells the
    /// rooms who has left. Several instances may do so at the same time: each step may be repeated,
    /// the script that takes a name off a roster is the one that tells the room, and the lease goes
    /// last. An instance that was only frozen is told, and comes back.
    ///
    /// # Errors
    /// Redis does not answer; the next instance that finds the lease goes on from there.
    pub async fn expire(&self, dead: &str, lease: &str) -> Result<(), Error> {
        let (client, scripts) = (&self.client, &self.client.scripts);
        let rooms = client.request_early(scripts.mark_dead(dead, lease)).await?;
        let Some(rooms) = reply::texts(&rooms) else {
            // It has come back, or somebody else has cleaned up.
            return Ok(());
        };
        let mut left = 0;
        for room in rooms.iter().filter_map(|room| Room::new(room).ok()) {
            let expire = scripts.expire_room(dead, &room);
            left += reply::number(&client.request_early(expire).await?).unwrap_or(0);
        }
        let mut next = Some("0".to_string());
        while let Some(from) = next {
            let page = client
                .request_early(scripts.expire_names(dead, lease, &from))
                .await?;
            next = reply::text(&page).filter(|next| next != "0");
        }
        client
            .request_early(scripts.delete_instance(dead, lease))
            .await?;
        if left > 0 {
            log::info!("instance {dead} is dead: {left} of its people have left their rooms");
        }
        Ok(())
    }
}
