//! How the chat spreads: inside this process, or over Redis to many.
//!
//! Which of the two it is gets decided once, at start; no caller asks. Both keep the same
//! promises: every message of a room has one place in one order, every peer of the room hears it
//! once, a name belongs to one connection at a time. Both end in the one [fan-out](fanout) loop,
//! the only place from where a room is spoken to.

pub mod fanout;
mod local;
pub mod redis;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use smol::channel::Receiver;
use smol::{Timer, future};

use crate::chat::dialect::{Reply, Roster};
use crate::chat::event::{Event, Origin, Text};
use crate::chat::name::{Room, User};
use crate::chat::peer::{Peer, Receipt};
use crate::chat::peers::{Peers, Seat};
use crate::config::Config;

pub use local::Local;
pub use redis::Redis;

/// The way from one peer to the others.
#[derive(Debug)]
pub enum Bus {
    /// This process alone: nothing to set up, nothing that can fail.
    Local(Local),
    /// Many instances, one chat.
    Redis(Arc<Redis>),
}

/// A message on its way to the bus.
#[derive(Debug)]
pub struct Draft {
    /// Where it is to be said.
    pub room: Room,
    /// By whom.
    pub user: User,
    /// On which connection.
    pub origin: Origin,
    /// The words.
    pub text: Text,
    /// Who is told when it can't be sent.
    pub receipt: Receipt,
}

/// What became of a claim to a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// It is the peer's now.
    Granted,
    /// Somebody else has it.
    Taken,
    /// The bus can't be asked now.
    Unreachable,
}

/// Waits for `future`, but no longer than `limit`; `None` when the time is over, and the future is
/// dropped then. Whatever waits for another machine waits in here.
pub async fn within<T>(limit: Duration, future: impl Future<Output = T>) -> Option<T> {
    let timer = async {
        Timer::after(limit).await;
        None
    };
    future::or(async { Some(future.await) }, timer).await
}

impl Bus {
    /// The bus the settings ask for, and the events it brings, which somebody must hand to
    /// [`fanout::run`].
    ///
    /// # Errors
    /// One line about what is wrong with the settings of Redis.
    pub fn new(config: &Config, peers: Arc<Peers>) -> Result<(Bus, Receiver<Event>), String> {
        let (feed, events) = smol::channel::bounded(fanout::BATCH);
        let bus = match &config.redis {
            None => Bus::Local(Local::new(peers, feed, config.notices)),
            Some(redis) => Bus::Redis(Arc::new(Redis::new(redis, config, peers, feed)?)),
        };
        Ok((bus, events))
    }

    /// Claims a name for a seated peer. Takes no longer than a few seconds.
    pub async fn claim(&self, seat: &Seat, peer: &Peer, user: &User) -> Claim {
        match self {
            Bus::Local(bus) => bus.claim(seat, user).await,
            Bus::Redis(bus) => bus.claim(seat, peer, user).await,
        }
    }

    /// Lets a named peer into a room and the room know. `welcome` is the first it hears there, and
    /// everything that is said in the room from then on follows. `false`: the bus can't be
    /// reached. Takes no longer than some seconds.
    pub async fn enter(
        &self,
        seat: &Seat,
        peer: &Peer,
        user: &User,
        room: &Room,
        welcome: &Reply<'_>,
    ) -> bool {
        match self {
            Bus::Local(bus) => bus.enter(seat, peer, user, room, welcome).await,
            Bus::Redis(bus) => bus.enter(seat, peer, user, room, welcome).await,
        }
    }

    /// Takes a peer out of everything, and lets its rooms know.
    pub async fn depart(&self, seat: Seat, peer: &Peer) {
        match self {
            Bus::Local(bus) => bus.depart(seat, peer).await,
            Bus::Redis(bus) => bus.depart(seat, peer).await,
        }
    }

    /// Hands over a message. Messages of one caller stay in order. Waits while the bus works but
    /// is busy, so a fast sender is slowed down; a message that can't be sent is refused by its
    /// receipt, never dropped in silence.
    pub async fn publish(&self, draft: Draft) {
        match self {
            Bus::Local(bus) => bus.publish(draft).await,
            Bus::Redis(bus) => bus.publish(draft).await,
        }
    }

    /// Says something to one user only, wherever connected; refused by the receipt when there is
    /// no such user.
    pub async fn tell(&self, from: &User, to: String, text: Text, receipt: Receipt) {
        match self {
            Bus::Local(bus) => bus.tell(from, to, &text, receipt).await,
            Bus::Redis(bus) => bus.tell(from, to, &text, receipt).await,
        }
    }

    /// Who is in a room; `None` when the bus can't be asked now.
    pub async fn roster(&self, room: &Room) -> Option<Roster> {
        match self {
            Bus::Local(bus) => Some(bus.roster(room).await),
            Bus::Redis(bus) => bus.roster(room).await,
        }
    }

    /// Whether messages get through.
    ///
    /// # Errors
    /// One line about why not.
    pub fn health(&self) -> Result<(), String> {
        match self {
            Bus::Local(_) => Ok(()),
            Bus::Redis(bus) => bus.health(),
        }
    }

    /// Waits until everything handed over so far is out. May wait for ever when the bus is away:
    /// give it a deadline.
    pub async fn drain(&self) {
        match self {
            Bus::Local(_) => {}
            Bus::Redis(bus) => bus.drain().await,
        }
    }

    /// Says goodbye to the other instances. Give it a deadline, too.
    pub async fn close(&self) {
        match self {
            Bus::Local(_) => {}
            Bus::Redis(bus) => bus.close().await,
        }
    }
}
