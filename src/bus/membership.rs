//! Who is in a room: joining, leaving, and telling the room of it. The same on both buses.

use std::time::Duration;

use super::Bus;
use crate::chat::address::Address;
use crate::chat::event::Refusal;
use crate::chat::name::{Room, User};
use crate::chat::peer::Peer;
use crate::chat::peers::Peers;
use crate::chat::replay::Epochs;
use crate::time::timeout;

/// How long a peer may take to enter a room, once that has been announced.
const ENTER_TIME: Duration = Duration::from_secs(3);
/// How often its join is announced: the first time may have been lost with a connection.
const ENTER_ATTEMPTS: usize = 2;

/// Who enters a room.
#[derive(Clone, Copy, Debug, Default)]
pub struct Visitor<'a> {
    /// The name; of a peer without one, only the instances hear.
    pub user: Option<&'a User>,
    /// Where the peer comes from, if it can be banned by that.
    pub address: Option<Address>,
    /// Whether it is a moderator of the room, and can't be banned.
    pub moderator: bool,
}

#[cfg_attr(not(feature = "full"), expect(unused_variables))]
impl Bus {
    /// Joins a room and, if the peer has a name, announces it. From then on its outbox
    /// [buffers](crate::chat::outbox::Outbox::begin_join), so that it first gets the room's state.
    /// Returns where the room's log stood before the join. Takes no longer than some seconds.
    ///
    /// # Errors
    /// The peer is banned or has been ended, or the bus can't be reached.
    pub async fn enter(
        &self,
        peer: &Peer,
        visitor: Visitor<'_>,
        room: &Room,
    ) -> Result<Epochs, Refusal> {
        if !self.subscribe(room).await {
            self.unsubscribe(room);
            return Err(Refusal::Unavailable);
        }
        let joined = self.join(peer, visitor, room).await;
        match joined {
            Ok(_) => {}
            Err(Refusal::Banned(_)) => self.unsubscribe(room),
            Err(_) => self.left(peer, visitor.user, room).await,
        }
        joined
    }

    /// The same for a peer that is in the room already. The outbox buffers what comes after the last
    /// message of the log that is returned.
    ///
    /// # Errors
    /// Those of [`enter`](Self::enter).
    pub async fn join(
        &self,
        peer: &Peer,
        visitor: Visitor<'_>,
        room: &Room,
    ) -> Result<Epochs, Refusal> {
        let joining = self.peers().begin_join(peer, room).await;
        for _ in 0..ENTER_ATTEMPTS {
            match self.announce_join(peer, visitor, room).await {
                Ok(()) => {
                    if let Some(log) = timeout(ENTER_TIME, joining.wait()).await {
                        return Ok(log.clone());
                    }
                }
                Err(Refusal::Unavailable) => {}
                Err(banned) => {
                    self.peers().cancel_join(peer).await;
                    return Err(banned);
                }
            }
        }
        // It may have entered in the last moment.
        match self.peers().cancel_join(peer).await {
            true => Err(Refusal::Unavailable),
            false => Ok(joining.wait().await.clone()),
        }
    }

    /// Takes a peer out of a room, if it is there, and lets the room know if it has a name.
    pub async fn leave(&self, peer: &Peer, user: Option<&User>, room: &Room) {
        if self.peers().leave(peer, room).await {
            self.left(peer, user, room).await;
        }
    }

    pub(super) async fn left(&self, peer: &Peer, user: Option<&User>, room: &Room) {
        if let Some(user) = user {
            self.announce_leave(peer, user, room).await;
        }
        self.unsubscribe(room);
    }

    pub(super) fn peers(&self) -> &Peers {
        match self {
            Bus::Local(bus) => &bus.peers,
            #[cfg(feature = "full")]
            Bus::Redis(bus) => &bus.peers,
        }
    }

    /// Counts a peer into a room and waits until what is said there arrives here. `false`: the bus
    /// can't be reached. Either way, [`unsubscribe`](Self::unsubscribe) must follow one day.
    async fn subscribe(&self, room: &Room) -> bool {
        match self {
            Bus::Local(_) => true,
            #[cfg(feature = "full")]
            Bus::Redis(bus) => bus.subscriber.subscriptions.enter(room).await,
        }
    }

    pub(super) fn unsubscribe(&self, room: &Room) {
        #[cfg(feature = "full")]
        if let Bus::Redis(bus) = self {
            bus.subscriber.subscriptions.leave(room);
        }
    }

    /// Tells a room that somebody has come; of a peer without a name, only the instances hear.
    async fn announce_join(
        &self,
        peer: &Peer,
        visitor: Visitor<'_>,
        room: &Room,
    ) -> Result<(), Refusal> {
        match self {
            Bus::Local(bus) => bus.announce_join(peer, visitor, room).await,
            #[cfg(feature = "full")]
            Bus::Redis(bus) => bus.presence.announce_join(peer, visitor, room).await,
        }
    }

    /// Tells rooms that a peer has another name than the `old` one, and frees the old one. The caller has
    /// asked whether the peer may [enter](Self::may_enter) them under this name.
    pub async fn announce_rename(
        &self,
        peer: &Peer,
        old: Option<&User>,
        user: &User,
        rooms: &[(Room, Visitor<'_>)],
    ) {
        match self {
            Bus::Local(bus) => {
                for (room, visitor) in rooms {
                    bus.announce_rename(peer, old, *visitor, room).await;
                }
            }
            #[cfg(feature = "full")]
            Bus::Redis(bus) => bus.presence.announce_rename(peer, old, user, rooms).await,
        }
    }

    /// Tells a room that somebody has gone, if it had been told of the coming.
    async fn announce_leave(&self, peer: &Peer, user: &User, room: &Room) {
        match self {
            Bus::Local(bus) => bus.announce_leave(peer, user, room).await,
            #[cfg(feature = "full")]
            Bus::Redis(bus) => bus.presence.announce_leave(peer, user, room),
        }
    }
}
