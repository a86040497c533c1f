//! What a token grants.

use std::time::Duration;

use smol::future;

use crate::chat::close_reason::CloseReason;
use crate::chat::name::{Room, User};
use crate::chat::peer::Peer;
use crate::net::http::Answer;
use crate::reactor::Timer;
use crate::time::unix_millis;

/// The clock is read at least this often while waiting for a token to expire, since it may be set.
const LOOK: Duration = Duration::from_secs(600);

/// Rooms that a token names.
#[derive(Debug, PartialEq, Eq)]
pub enum Rooms {
    /// Every room.
    All,
    /// These rooms.
    These(Box<[Room]>),
}

impl Rooms {
    /// No room.
    pub fn none() -> Rooms {
        Rooms::These(Box::new([]))
    }

    /// Whether a room is among them.
    pub fn contain(&self, room: &Room) -> bool {
        match self {
            Rooms::All => true,
            Rooms::These(rooms) => rooms.contains(room),
        }
    }
}

/// What a token allows a connection.
#[derive(Debug, PartialEq, Eq)]
pub struct Grant {
    /// The only name that its connection may use.
    pub user: User,
    /// The rooms that its connection may join.
    pub rooms: Rooms,
    /// The rooms in which its bearer is a moderator.
    pub moderates: Rooms,
    /// When it expires, in milliseconds since 1970, including the leeway. `None` is never.
    pub expires: Option<u64>,
}

impl Grant {
    /// Whether its connection may join a room.
    pub fn allows_room(&self, room: &Room) -> bool {
        self.rooms.contain(room)
    }

    /// Whether its bearer is a moderator of a room.
    pub fn moderates(&self, room: &Room) -> bool {
        self.allows_room(room) && self.moderates.contain(room)
    }

    /// Checks that it allows this name and this room.
    ///
    /// # Errors
    /// 403.
    pub fn check(&self, user: Option<&User>, room: Option<&Room>) -> Result<(), Answer> {
        if user.is_some_and(|user| *user != self.user) {
            return Err(Answer::text(403, "the token is for another name"));
        }
        if room.is_some_and(|room| !self.allows_room(room)) {
            return Err(Answer::text(403, "the token is not for this room"));
        }
        Ok(())
    }
}

/// Ends a peer when its token expires, and never returns.
pub async fn expire(peer: &Peer, expires: Option<u64>) -> CloseReason {
    let Some(expires) = expires else {
        return future::pending().await;
    };
    loop {
        match Duration::from_millis(expires.saturating_sub(unix_millis())) {
            Duration::ZERO => break,
            left => Timer::after(left.min(LOOK)).await,
        };
    }
    peer.outbox.close(CloseReason::Expired);
    future::pending().await
}
