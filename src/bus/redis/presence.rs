//! Who is where: tells Redis of the names of this instance and its places on the rosters, as they
//! change.
//!
//! None of that waits for a connection. What is lost on the way, refused, or forgotten by Redis is
//! found when this instance [compares](super::reconcile) what Redis holds with who is here.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use redis::Value;

use super::client::Client;
use super::lease_watch::LeaseWatch;
use super::reply::{self, Claimed};
use super::suspects::Suspects;
use crate::bus::{Away, Visitor};
use crate::chat::event::Refusal;
use crate::chat::id::Id;
use crate::chat::name::{Room, SessionKeyHash, User};
use crate::chat::peer::Peer;
use crate::chat::peers::Peers;
use crate::redis::error::Error;
use crate::redis::slot::Command;

/// The names and places of this instance.
#[derive(Debug)]
pub struct Presence {
    client: Arc<Client>,
    peers: Arc<Peers>,
    /// Which other instances are alive.
    pub leases: LeaseWatch,
    /// What may differ from what Redis holds.
    pub suspects: Suspects,
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
            suspects: Suspects::default(),
            missed: AtomicBool::new(false),
        }
    }

    /// Whether others may have been told that our peers have left.
    pub fn missed(&self) -> bool {
        self.missed.load(Ordering::Relaxed)
    }

    /// The same, and notes that they are told otherwise now.
    pub fn take_missed(&self) -> bool {
        self.missed.swap(false, Ordering::Relaxed)
    }

    /// Others may have been told that our peers have left.
    pub fn set_missed(&self) {
        self.missed.store(true, Ordering::Relaxed);
        self.suspects.add_all();
    }

    /// Claims a name for a peer. If its holder was away, returns since when.
    pub async fn claim(
        &self,
        peer: &Peer,
        user: &User,
        key_hash: Option<SessionKeyHash>,
    ) -> Result<Option<Away>, Refusal> {
        self.peers.begin_name_change(peer).await;
        let claimed = self.claim_changing(peer, user, key_hash).await;
        self.peers.end_name_change(peer).await;
        claimed
    }

    async fn claim_changing(
        &self,
        peer: &Peer,
        user: &User,
        key_hash: Option<SessionKeyHash>,
    ) -> Result<Option<Away>, Refusal> {
        let origin = self.peers.origin(peer);
        let claim = self.client.scripts.claim(user, origin, key_hash, true);
        let reply = self.client.pipeline.request(claim).await;
        let taken = || Refusal::NameTaken(user.to_string());
        match reply.as_ref().and_then(reply::claimed) {
            Some(Claimed::Taken) => Err(taken()),
            Some(Claimed::Granted { at, away }) => {
                // Redis has compared the key hashes, but this instance may know a holder that Redis has lost.
                if self.peers.claim(peer, user, key_hash, at).await {
                    return Ok(away);
                }
                self.release(peer, user, &[]);
                self.suspects.add_names();
                Err(taken())
            }
            None => {
                // It may have been granted, and the reply got lost.
                self.suspects.add_names();
                Err(Refusal::Unavailable)
            }
        }
    }

    /// Nothing waits any more for the holder of a name, who has come back, if this peer still has it.
    pub async fn returned(&self, peer: &Peer, user: &User) {
        let origin = self.peers.origin(peer);
        let returned = self.client.scripts.returned(user, origin);
        self.client.pipeline.request(returned).await;
    }

    /// Gives a name back. `heard`: how far its private conversations have been heard.
    pub fn release(&self, peer: &Peer, user: &User, heard: &[(Room, Id)]) {
        let origin = self.peers.origin(peer);
        let suspects = self.suspects.clone();
        let release = self
            .client
            .scripts
            .release(user.key(), origin, Some(user), heard);
        self.send(release, move || suspects.add_names());
    }

    /// Puts a peer on a room's roster and tells the room.
    ///
    /// # Errors
    /// The peer is banned or has been ended, or Redis can't be reached.
    pub async fn announce_join(
        &self,
        peer: &Peer,
        visitor: Visitor<'_>,
        room: &Room,
    ) -> Result<(), Refusal> {
        // One whose name was taken over would take the place of the newer connection.
        if peer.outbox.close_reason().is_some() {
            return Err(Refusal::Unavailable);
        }
        let origin = self.peers.origin(peer);
        let scripts = &self.client.scripts;
        let command = match visitor.user {
            Some(user) => scripts.join(room, user, origin, visitor),
            None => scripts.join_anonymous(room, origin, visitor),
        };
        let reply = self.client.pipeline.request(command).await;
        if matches!(reply, None | Some(Value::ServerError(_))) {
            self.suspects.add_room(room);
        }
        let reply = reply.ok_or(Refusal::Unavailable)?;
        reply::refused(room, &reply).map_or(Ok(()), Err)
    }

    /// Tells rooms that a peer has another name than the `old` one, which is free then.
    pub async fn announce_rename(
        &self,
        peer: &Peer,
        old: Option<&User>,
        user: &User,
        rooms: &[(Room, Visitor<'_>)],
    ) {
        self.peers.begin_name_change(peer).await;
        for (room, visitor) in rooms {
            if let Some(old) = old {
                self.announce_leave(peer, old, room);
            }
            // The caller has asked. One that is missing on the roster is found when it is compared.
            let _ = self.announce_join(peer, *visitor, room).await;
        }
        if let Some(old) = old.filter(|old| *old != user) {
            self.release(peer, old, &[]);
        }
        self.peers.end_name_change(peer).await;
    }

    /// Takes a peer off a room's roster and tells the room.
    pub fn announce_leave(&self, peer: &Peer, user: &User, room: &Room) {
        let origin = self.peers.origin(peer);
        let (suspects, suspect) = (self.suspects.clone(), room.clone());
        let leave = self.client.scripts.leave(room, user, origin);
        self.send(leave, move || suspects.add_room(&suspect));
    }

    /// Sends a command, if there is a connection. `on_error` is called if Redis refuses it.
    fn send(&self, command: Command, on_error: impl FnOnce() + Send + 'static) {
        let on_reply = |reply| {
            if let Some(Value::ServerError(_)) = reply {
                on_error();
            }
        };
        self.client.pipeline.send(command, Box::new(on_reply));
    }

    /// Removes the names and places of a dead instance, and tells the rooms who has left. Several
    /// instances may do so at the same time: each step may be repeated, the script that takes a name
    /// off a roster is the one that tells the room, and the lease goes last. An instance that was
    /// only frozen is told, and comes back.
    ///
    /// # Errors
    /// Redis does not answer; the next instance that finds it goes on from there.
    pub async fn expire(&self, dead: &Dead) -> Result<(), Error> {
        let (client, scripts) = (&self.client, &self.client.scripts);
        let Dead {
            instance, lease, ..
        } = dead;
        let rooms = client
            .request_early(scripts.mark_dead(instance, lease))
            .await?;
        let Some(rooms) = reply::texts(&rooms) else {
            // It has come back, or somebody else has cleaned up.
            return Ok(());
        };
        let mut left = 0;
        let rooms = rooms.iter().filter_map(|room| Room::new(room).ok());
        for room in rooms.chain(dead.rooms.iter().cloned()) {
            let expire = scripts.expire_room(instance, &room);
            left += reply::number(&client.request_early(expire).await?).unwrap_or(0);
        }
        let mut next = Some("0".to_string());
        while let Some(from) = next {
            let page = scripts.expire_names(instance, lease, &from);
            let page = client.request_early(page).await?;
            next = reply::text(&page).filter(|next| next != "0");
        }
        client
            .request_early(scripts.delete_instance(instance, lease))
            .await?;
        if left > 0 {
            log::info!("instance {instance} is dead: {left} of its people have left their rooms");
        }
        Ok(())
    }
}

/// An instance that is dead.
#[derive(Clone, Debug)]
pub struct Dead {
    /// Its id.
    pub instance: String,
    /// The value of its lease; empty if it has none.
    pub lease: String,
    /// Rooms in which it was found, besides those that it has noted.
    pub rooms: Vec<Room>,
}
