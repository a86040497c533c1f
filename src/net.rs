//! How sockets reach the chat: one port, one HTTP request each, and for those that upgrade one
//! connection's life.
//!
//! Knows nothing of how messages spread: it asks the [`Bus`].

mod address;
pub mod cors;
pub mod door;
pub mod doorbook;
pub mod forwarded;
pub mod http;
pub mod listener;
pub mod page;
pub mod peer;
pub mod pending;
#[cfg(feature = "tokens")]
pub mod publish;
mod rate_limits;
pub mod route;
mod session;
pub mod socket;
pub mod terms;
#[cfg_attr(not(feature = "tls"), path = "net/tls/without.rs")]
pub mod tls;
#[cfg_attr(not(feature = "tokens"), path = "net/token/without.rs")]
pub mod token;

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_lock::{Semaphore, SemaphoreGuardArc};

use crate::bus::Bus;
use crate::chat::peers::Peers;
use crate::config::Config;
use crate::count::{Counter, Counters};
use address::{Addresses, Share};
use doorbook::DoorBook;
use http::Answer;
use rate_limits::RateLimits;
use tls::Tls;
use token::Gate;

/// What every connection of a server shares.
#[derive(Debug)]
pub struct ServerContext {
    /// The settings.
    pub config: Config,
    /// Who is connected here.
    pub peers: Arc<Peers>,
    /// Where messages go, and come from.
    pub bus: Bus,
    seats: Arc<Semaphore>,
    /// Counted only where that is limited.
    addresses: Option<Arc<Addresses>>,
    draining: AtomicBool,
    /// Who may come in.
    pub gate: Gate,
    /// Who has said how much just now.
    rate_limits: RateLimits,
    /// Who was turned away at the door.
    pub door_book: DoorBook,
    /// What its connections speak, unless that is plain HTTP.
    pub tls: Option<Tls>,
    /// Connections accepted.
    pub connections: Counter,
    /// Requests answered, by the status of the answer.
    pub requests: Counters<{ http::STATUSES.len() }>,
}

/// A place for one peer, given back when dropped.
#[derive(Debug)]
pub struct Place {
    _seat: SemaphoreGuardArc,
    _share: Option<Share>,
}

impl ServerContext {
    /// A context without connections.
    pub fn new(
        config: Config,
        tls: Option<Tls>,
        gate: Gate,
        peers: Arc<Peers>,
        bus: Bus,
    ) -> ServerContext {
        let seats = Arc::new(Semaphore::new(config.max_peers));
        let addresses = config.max_peers_per_ip.map(Addresses::new).map(Arc::new);
        ServerContext {
            gate,
            rate_limits: RateLimits::new(config.rate, config.max_peers),
            config,
            peers,
            bus,
            seats,
            addresses,
            draining: AtomicBool::new(false),
            door_book: DoorBook::default(),
            tls,
            connections: Counter::default(),
            requests: Counters::new(&http::STATUSES),
        }
    }

    /// A place for one more peer, from this address.
    ///
    /// # Errors
    /// 503 at the limit of peers, 429 at the limit of peers from one address.
    pub fn place(&self, ip: IpAddr) -> Result<Place, Answer> {
        let seat = self.seats.try_acquire_arc();
        let seat = seat.ok_or_else(|| later(503, "too many peers"))?;
        let share = match &self.addresses {
            Some(addresses) => Some(
                addresses
                    .share(ip)
                    .ok_or_else(|| later(429, "too many peers from your address"))?,
            ),
            None => None,
        };
        Ok(Place {
            _seat: seat,
            _share: share,
        })
    }

    /// From here on whoever is let in is sent away at once, and the server says that it is not ready.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Release);
    }

    /// Whether the server shuts down.
    pub fn draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }
}

/// Not now, but it may be worth another try.
fn later(status: u16, why: &str) -> Answer {
    Answer::text(status, &format!("{why}, please try again later")).with("Retry-After", "5")
}
