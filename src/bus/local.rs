//! The bus of a server that runs alone: a log per room and one bounded channel.

mod announced;
mod heap;
mod log;
mod references;

use std::sync::Arc;

use async_lock::Mutex;
use smol::channel::Sender;

use super::NewMessage;
use crate::chat::dialect::Roster;
use crate::chat::event::{Event, EventKind, Refusal};
use crate::chat::name::{Room, User};
use crate::chat::peer::Peer;
use crate::chat::peers::Peers;
use crate::chat::replay::Epochs;
use crate::config::Config;
use crate::time::unix_millis;
use announced::Announced;
use log::Log;
use references::References;

/// This process alone.
#[derive(Debug)]
pub struct Local {
    pub(super) peers: Arc<Peers>,
    feed: Sender<Event>,
    /// Rooms up to this size announce joins and leaves.
    notices: usize,
    pub(super) state: Mutex<State>,
}

/// What the events are made from. Locked until the channel has taken an event, so that the
/// channel's order is that of the log and of what has been announced. Another event would have to
/// wait for the channel anyway.
#[derive(Debug)]
pub struct State {
    pub log: Log,
    references: References,
    announced: Announced,
}

impl Local {
    /// A bus between `peers`, whose events go to `feed`.
    pub(super) fn new(peers: Arc<Peers>, feed: Sender<Event>, config: &Config) -> Local {
        Local {
            peers,
            feed,
            notices: config.notices,
            state: Mutex::new(State {
                log: Log::new(config.history, config.max_history),
                references: References::new(),
                announced: Announced::default(),
            }),
        }
    }

    /// Tells a room that a peer has joined it, or has another name than the `old` one.
    pub(super) async fn announce_join(
        &self,
        peer: &Peer,
        old: Option<&User>,
        user: Option<&User>,
        room: &Room,
    ) {
        let mut state = self.state.lock().await;
        // The peer is counted, also while its name changes.
        let small = self.peers.people(room).await <= self.notices;
        if let Some(old) = old {
            self.leave(&mut state, peer, old, room, small).await;
        }
        let announced = &mut state.announced;
        if let Some(old) = user.and_then(|user| announced.written_otherwise(room, user)) {
            self.notice(peer, Some(&old), room, EventKind::Left).await;
        }
        let announced = user.is_some_and(|user| announced.joins(room, user, peer.number, small));
        // A room that begins a new epoch has forgotten all messages of the one before.
        let log = Epochs::until(state.log.last(room));
        self.notice(peer, user, room, EventKind::Joined { announced, log })
            .await;
    }

    pub(super) async fn announce_leave(&self, peer: &Peer, user: &User, room: &Room) {
        let mut state = self.state.lock().await;
        // The peer is no longer counted.
        let small = self.peers.people(room).await < self.notices;
        self.leave(&mut state, peer, user, room, small).await;
    }

    async fn leave(&self, state: &mut State, peer: &Peer, user: &User, room: &Room, small: bool) {
        let elsewhere = self.peers.has(room, user).await;
        let announced = &mut state.announced;
        if announced.leaves(room, user, peer.number, small, elsewhere) {
            self.notice(peer, Some(user), room, EventKind::Left).await;
        }
    }

    pub(super) async fn publish(&self, room: &Room, message: NewMessage) {
        let mut state = self.state.lock().await;
        let reference = state.references.of(&message, Some(room));
        if let Some(known) = reference.and_then(|reference| state.references.find(reference)) {
            return message.receipt.accept(known);
        }
        let id = state.log.next(room);
        let kind = EventKind::Said {
            text: message.text,
            email: message.email,
            id: Some(id),
            at: unix_millis(),
        };
        let event = Event {
            room: room.clone(),
            user: Some(message.user),
            origin: Some(message.origin),
            kind,
        };
        self.send(event.clone()).await;
        state.log.keep(event, id);
        if let Some(reference) = reference {
            state.references.keep(reference, id);
        }
        drop(state);
        message.receipt.accept(id);
    }

    pub(super) async fn send_private(&self, to: &str, message: NewMessage) {
        let mut state = self.state.lock().await;
        let reference = state.references.of(&message, None);
        if let Some(known) = reference.and_then(|reference| state.references.find(reference)) {
            return message.receipt.accept(known);
        }
        let id = state.log.next_private();
        let (private, receipt) = message.into_private(id, unix_millis());
        if !self.peers.send_private(to, &private).await {
            return receipt.refuse(&Refusal::NoSuchUser(to.to_string()));
        }
        if let Some(reference) = reference {
            state.references.keep(reference, id);
        }
        receipt.delivered(to, &private);
    }

    pub(super) async fn roster(&self, room: &Room) -> Roster {
        let mut roster = self.peers.roster(room, self.notices).await;
        roster.last = self.state.lock().await.log.last(room);
        roster
    }

    async fn notice(&self, peer: &Peer, user: Option<&User>, room: &Room, kind: EventKind) {
        self.send(Event {
            room: room.clone(),
            user: user.cloned(),
            origin: Some(self.peers.origin(peer)),
            kind,
        })
        .await;
    }

    /// Fails only when the fan-out is gone, and then nobody is left to hear it.
    async fn send(&self, event: Event) {
        let _ = self.feed.send(event).await;
    }
}
