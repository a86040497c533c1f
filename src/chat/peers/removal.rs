//! Members that a moderator removes from a room.

use std::mem;
use std::sync::Arc;

use super::{Peers, Registry};
use crate::chat::address::Address;
use crate::chat::close_reason::CloseReason;
use crate::chat::dialect::{Dialect, Reply};
use crate::chat::event::{Event, EventKind};
use crate::chat::name::{Room, User};
use crate::chat::peer::Peer;

/// A peer that is no longer a member of a room, of which the room is to be told.
#[derive(Debug)]
pub struct Removed {
    /// The peer.
    pub peer: Arc<Peer>,
    /// Its name.
    pub user: User,
    /// The room.
    pub room: Room,
}

impl Peers {
    /// The address of the peer with this name.
    pub async fn address(&self, user: &User) -> Option<Address> {
        let registry = self.registry.lock().await;
        Some(registry.named(user)?.address)
    }

    /// The rooms in which a peer is a member.
    pub async fn rooms(&self, peer: &Peer) -> Vec<Room> {
        let registry = self.registry.lock().await;
        registry.peers[peer.key as usize].rooms.clone()
    }

    /// Waits for peers that have been removed from rooms, since the last call.
    pub async fn removed(&self) -> Vec<Removed> {
        self.removals.acquire().await.forget();
        mem::take(&mut self.registry.lock().await.removed)
    }

    /// Announces that there are such peers.
    pub(super) fn announce_removals(&self, registry: &Registry) {
        if !registry.removed.is_empty() {
            self.removals.add_permits(1);
        }
    }
}

impl Registry {
    /// Removes the member that this event names, after telling it so. A typed peer stays connected;
    /// the connection of another one ends, and is a member until then.
    pub(super) fn remove(&mut self, event: &Event) {
        let EventKind::Moderated(measure) = &event.kind else {
            return;
        };
        if !measure.action.removes() {
            return;
        }
        let entries = self.entries_in(&event.room);
        let own = entries.filter(|entry| entry.user.as_ref() == Some(&measure.user));
        let own: Vec<Arc<Peer>> = own.map(|entry| entry.peer.clone()).collect();
        for peer in own {
            peer.send(&Reply::Removed(&event.room, measure));
            if peer.dialect() != Dialect::Typed {
                peer.outbox.close(CloseReason::Removed);
                continue;
            }
            self.leave(&peer, &event.room);
            peer.mark_removed();
            self.removed.push(Removed {
                peer,
                user: measure.user.clone(),
                room: event.room.clone(),
            });
        }
    }
}
