//! Names on the bus, and private messages, which go by names.

use super::{Away, Bus, Conversation, NewMessage};
use crate::chat::event::Refusal;
use crate::chat::name::{Room, SessionKeyHash, User};
use crate::chat::peer::Peer;
use crate::chat::peers::Departed;

impl Bus {
    /// Claims a name for a seated peer, instead of the one it may have had. A name under a lock can
    /// be taken over from an older connection by another claim with the same lock. Takes no longer
    /// than some seconds. If its holder was away, returns since when.
    ///
    /// # Errors
    /// Somebody else has the name, or the bus can't be reached.
    pub async fn claim(
        &self,
        peer: &Peer,
        user: &User,
        key_hash: Option<SessionKeyHash>,
    ) -> Result<Option<Away>, Refusal> {
        match self {
            Bus::Local(bus) => bus.claim(peer, user, key_hash).await,
            #[cfg(feature = "full")]
            Bus::Redis(bus) => bus.claim(peer, user, key_hash).await,
        }
    }

    /// The holder of a name, who was away, has been sent all private messages that waited. If another peer
    /// has taken the name over meanwhile, they go on waiting for that one.
    pub async fn returned(&self, peer: &Peer, user: &User) {
        match self {
            Bus::Local(bus) => bus.returned(peer, user).await,
            #[cfg(feature = "full")]
            Bus::Redis(bus) => bus.presence.returned(peer, user).await,
        }
    }

    /// Takes a peer out of everything, and lets its rooms know.
    pub async fn depart(&self, peer: &Peer) {
        // The name first: a peer that sees a user leave may want to claim it at once.
        let Departed { user, rooms, .. } = match self {
            Bus::Local(bus) => bus.remove(peer).await,
            #[cfg(feature = "full")]
            Bus::Redis(bus) => bus.remove(peer).await,
        };
        for room in &rooms {
            self.left(peer, user.as_ref(), room).await;
        }
    }

    /// Ends what [`enter`](Self::enter) has begun in a private conversation, where nobody is told of it.
    pub fn leave_conversation(&self, room: &Room) {
        #[cfg(feature = "full")]
        if let Bus::Redis(bus) = self {
            bus.subscriber.keep_open(room);
        }
        self.unsubscribe(room);
    }

    /// Whether somebody has spoken in a private conversation, over Redis lately and to people here.
    pub fn has_begun(&self, room: &Room) -> bool {
        match self {
            Bus::Local(bus) => bus.kept.lock().log.last(room).is_some(),
            #[cfg(feature = "full")]
            Bus::Redis(bus) => bus.subscriber.conversations.is_known(room),
        }
    }

    /// Hands over a message for one user, wherever connected; refused by its receipt when there is
    /// no such user.
    pub async fn send_private(&self, to: User, message: NewMessage) {
        match self {
            Bus::Local(bus) => bus.send_private(to, message).await,
            #[cfg(feature = "full")]
            Bus::Redis(bus) => bus.send_private(to, message).await,
        }
    }

    /// The private conversations of a peer's user, or only the one with this other user; `None` when the
    /// bus can't be asked now.
    pub async fn conversations(
        &self,
        user: &User,
        with: Option<&User>,
    ) -> Option<Vec<Conversation>> {
        match self {
            Bus::Local(bus) => Some(bus.conversations(user, with).await),
            #[cfg(feature = "full")]
            Bus::Redis(bus) => bus.client.conversations(user, with).await,
        }
    }
}
