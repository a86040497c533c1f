//! How the chat spreads: inside this process, or over Redis to many.
//!
//! Which of the two it is gets decided once, at start; no caller asks. Both keep the same
//! promises: every message of a room has one place in one order, every peer of the room hears it
//! once, a name belongs to one connection at a time. Both end in the one [fan-out](fanout) loop,
//! the only place from where a room is spoken to.

mod conversation;
pub mod fanout;
pub mod local;
mod membership;
mod moderation;
mod names;
mod new_message;
#[cfg(feature = "full")]
pub mod redis;

use std::sync::Arc;
use std::time::Duration;

use smol::channel::Receiver;
use smol::future::Boxed;

use crate::chat::dialect::Roster;
use crate::chat::event::Event;
use crate::chat::id::Id;
use crate::chat::name::Room;
use crate::chat::peers::Peers;
use crate::chat::replay::{Epochs, Stretch};
use crate::config::Config;
use crate::count::text::MetricsText;
use crate::report::Report;
use crate::time::timeout;

pub use conversation::{Away, Conversation};
pub use local::Local;
pub use membership::Visitor;
pub use moderation::Deletion;
pub use new_message::NewMessage;
#[cfg(feature = "full")]
pub use redis::Redis;

/// The way from one peer to the others.
#[derive(Debug)]
pub enum Bus {
    /// This process alone, with a journal on its disk or without.
    Local(Arc<Local>),
    /// Many instances, one chat. The smallest build has no such bus, and its settings no Redis.
    #[cfg(feature = "full")]
    Redis(Arc<Redis>),
}

/// Looks at what the bus of these settings needs, and reports how it is.
pub async fn check(config: &Config, report: &mut Report) {
    match &config.redis {
        #[cfg(feature = "full")]
        Some(redis) => redis::check(redis, config, report).await,
        _ => {
            report.ok("alone: no redis is set, and none is needed");
            match &config.data {
                #[cfg(feature = "full")]
                Some(path) => local::journal::check::check(path, report),
                None if config.keep_names > 0 => {
                    report.warn("data: kept only in memory, so --keep-names ends with the server; --data names a folder");
                }
                _ => report.ok("data: kept only in memory; --data names a folder"),
            }
        }
    }
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
            #[cfg(feature = "full")]
            Some(redis) => {
                if let Some(data) = &config.data {
                    let data = data.display();
                    log::info!("--data {data} is not used: redis keeps what is said");
                }
                Bus::Redis(Arc::new(Redis::new(redis, config, peers, feed)?))
            }
            _ => Bus::Local(Arc::new(Local::new(peers, feed, config)?)),
        };
        Ok((bus, events))
    }

    /// Hands over a message for a room. Messages of one caller stay in order. Waits while the bus
    /// works but is busy, so a fast sender is slowed down; a message that can't be sent is refused
    /// by its receipt, never dropped in silence.
    pub async fn publish(&self, room: &Room, message: NewMessage) {
        match self {
            Bus::Local(bus) => bus.publish(room, message).await,
            #[cfg(feature = "full")]
            Bus::Redis(bus) => bus.publish(room, message).await,
        }
    }

    /// Reads from a room's log the first messages of a stretch, up to `most`, in order; fewer if
    /// they are large, none only if the log has none of them. `None` when the bus can't be asked now.
    pub async fn read(&self, room: &Room, stretch: Stretch, most: usize) -> Option<Vec<Event>> {
        match self {
            Bus::Local(bus) => Some(bus.kept.lock().log.read(room, stretch, most)),
            #[cfg(feature = "full")]
            Bus::Redis(bus) => bus.client.read(room, stretch, most).await,
        }
    }

    /// Reads from a room's log the last messages before one, or before now, up to `most`, in
    /// order; fewer if they have more than 64 KiB. `None` when the bus can't be asked now.
    pub async fn history_before(
        &self,
        room: &Room,
        id: Option<Id>,
        most: usize,
    ) -> Option<Vec<Event>> {
        match self {
            Bus::Local(bus) => Some(bus.kept.lock().log.history_before(room, id, most)),
            #[cfg(feature = "full")]
            Bus::Redis(bus) => bus.client.history_before(room, id, most).await,
        }
    }

    /// Where a room's log stands; `None` when the bus can't be asked now.
    pub async fn epochs(&self, room: &Room) -> Option<Epochs> {
        match self {
            Bus::Local(bus) => Some(bus.kept.lock().log.epochs(room)),
            #[cfg(feature = "full")]
            Bus::Redis(bus) => bus.client.epochs(room).await,
        }
    }

    /// The members of a room; `None` when the bus can't be asked now.
    pub async fn roster(&self, room: &Room) -> Option<Roster> {
        match self {
            Bus::Local(bus) => Some(bus.roster(room).await),
            #[cfg(feature = "full")]
            Bus::Redis(bus) => bus.client.roster(room).await,
        }
    }

    /// Whether messages get through.
    ///
    /// # Errors
    /// One line about why not.
    pub fn health(&self) -> Result<(), String> {
        match self {
            Bus::Local(bus) => bus.health(),
            #[cfg(feature = "full")]
            Bus::Redis(bus) => {
                let health = bus.health.check();
                health.map_err(|error| format!("redis {}: {error}", bus.client.endpoint))
            }
        }
    }

    /// Ends as soon as messages no longer get through, or do so again.
    pub fn health_changed(&self) -> Boxed<()> {
        match self {
            Bus::Local(bus) => bus.health_changed(),
            #[cfg(feature = "full")]
            Bus::Redis(bus) => Box::pin(bus.health.changed()),
        }
    }

    /// Writes the metrics of the bus.
    pub fn write_metrics(&self, text: &mut MetricsText) {
        let up = usize::from(self.health().is_ok());
        text.gauge("natterjack_bus_up", "Whether messages get through.", up);
        match self {
            Bus::Local(bus) => bus.write_metrics(text),
            #[cfg(feature = "full")]
            Bus::Redis(bus) => bus.write_metrics(text),
        }
    }

    /// What it is, for people: `alone`, or which Redis.
    pub fn name(&self) -> String {
        match self {
            Bus::Local(_) => "alone".into(),
            #[cfg(feature = "full")]
            Bus::Redis(bus) => format!("redis {}", bus.client.endpoint),
        }
    }

    /// Waits until everything handed over so far is out, but no longer than `limit`. Then refuses
    /// what is left, and from now on what can't be handed on at once.
    pub async fn drain(&self, limit: Duration) {
        match self {
            Bus::Local(bus) => drop(timeout(limit, bus.written()).await),
            #[cfg(feature = "full")]
            Bus::Redis(bus) => {
                timeout(limit, bus.client.pipeline.drained()).await;
                bus.client.pipeline.reject_pending();
            }
        }
    }

    /// Tells the other instances, or the journal, that this one stops. The caller sets a deadline.
    pub async fn close(&self) {
        match self {
            Bus::Local(bus) => bus.stop().await,
            #[cfg(feature = "full")]
            Bus::Redis(bus) => {
                // While peers are left, the lease runs out by itself, and another instance cleans up.
                if bus.peers.count().await == 0 {
                    for command in bus.client.scripts.retire() {
                        bus.client.send(command);
                    }
                }
                bus.client.pipeline.drained().await;
            }
        }
    }
}
