//! How sockets reach the chat: one port, one HTTP request each, and for those that upgrade one
//! connection's life.
//!
//! Knows nothing of how messages spread: it asks the [`Bus`].

pub mod http;
pub mod page;
pub mod peer;
pub mod route;
mod session;
pub mod socket;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_lock::{Semaphore, SemaphoreGuardArc};

use crate::bus::Bus;
use crate::chat::peers::Peers;
use crate::config::Config;

/// What every connection of a server shares.
#[derive(Debug)]
pub struct Hub {
    /// The settings.
    pub config: Config,
    /// Who is connected here.
    pub peers: Arc<Peers>,
    /// Where messages go, and come from.
    pub bus: Bus,
    seats: Arc<Semaphore>,
    draining: AtomicBool,
}

impl Hub {
    /// A hub without connections.
    pub fn new(config: Config, peers: Arc<Peers>, bus: Bus) -> Hub {
        let seats = Arc::new(Semaphore::new(config.max_peers));
        Hub {
            config,
            peers,
            bus,
            seats,
            draining: AtomicBool::new(false),
        }
    }

    /// A place for one more peer, given back when dropped; `None` at the limit of peers, or when
    /// the server shuts down.
    pub fn seat(&self) -> Option<SemaphoreGuardArc> {
        if self.draining() {
            None
        } else {
            self.seats.try_acquire_arc()
        }
    }

    /// From here on nobody is let in, and the server says that it is not ready.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Release);
    }

    /// Whether the server shuts down.
    pub fn draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }
}
