//! How sockets reach the chat: one port, one HTTP request per connection, and for an upgraded
//! connection its life as a peer.
//!
//! It does not know how messages spread: it asks the [`Bus`].

pub mod cors;
pub mod forwarded;
pub mod handshake;
pub mod http;
pub mod listener;
pub mod page;
pub mod peer;
pub mod pending;
mod per_ip;
#[cfg(feature = "tokens")]
pub mod publish;
mod rate_limits;
pub mod rejection_log;
pub mod route;
mod session;
pub mod socket;
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
use http::Answer;
use per_ip::{PerIpLimiter, PerIpPermit};
use rate_limits::RateLimits;
use rejection_log::RejectionLog;
use tls::Tls;
use token::Authenticator;

/// What every connection of a server shares.
#[derive(Debug)]
pub struct ServerContext {
    /// The settings.
    pub config: Config,
    /// The peers connected to this instance.
    pub peers: Arc<Peers>,
    /// Publishes messages and delivers them.
    pub bus: Bus,
    permits: Arc<Semaphore>,
    /// Present only where the connections of one address are limited.
    per_ip: Option<Arc<PerIpLimiter>>,
    draining: AtomicBool,
    /// Checks tokens.
    pub authenticator: Authenticator,
    /// The message rates of names and addresses.
    rate_limits: RateLimits,
    /// Logs refused connections.
    pub rejection_log: RejectionLog,
    /// Present where connections speak TLS.
    pub tls: Option<Tls>,
    /// Connections accepted.
    pub connections: Counter,
    /// Requests answered, by the status of the answer.
    pub requests: Counters<{ http::STATUSES.len() }>,
}

/// A counted slot for one peer, given back when dropped.
#[derive(Debug)]
pub struct ConnectionPermit {
    _permit: SemaphoreGuardArc,
    _per_ip: Option<PerIpPermit>,
}

impl ServerContext {
    /// The context of a server that has no connections yet.
    pub fn new(
        config: Config,
        tls: Option<Tls>,
        authenticator: Authenticator,
        peers: Arc<Peers>,
        bus: Bus,
    ) -> ServerContext {
        let permits = Arc::new(Semaphore::new(config.max_peers));
        let per_ip = config.max_peers_per_ip.map(PerIpLimiter::new).map(Arc::new);
        ServerContext {
            authenticator,
            rate_limits: RateLimits::new(config.rate, config.max_peers),
            config,
            peers,
            bus,
            permits,
            per_ip,
            draining: AtomicBool::new(false),
            rejection_log: RejectionLog::default(),
            tls,
            connections: Counter::default(),
            requests: Counters::new(&http::STATUSES),
        }
    }

    /// A slot for one more peer from this address.
    ///
    /// # Errors
    /// 503 at the limit of peers, 429 at the limit of peers from one address.
    pub fn acquire_permit(&self, ip: IpAddr) -> Result<ConnectionPermit, Answer> {
        let permit = self.permits.try_acquire_arc();
        let permit = permit.ok_or_else(|| retry_later(503, "too many peers"))?;
        let per_ip_permit = match &self.per_ip {
            Some(per_ip) => Some(
                per_ip
                    .acquire(ip)
                    .ok_or_else(|| retry_later(429, "too many peers from your address"))?,
            ),
            None => None,
        };
        Ok(ConnectionPermit {
            _permit: permit,
            _per_ip: per_ip_permit,
        })
    }

    /// From now on new peers are closed at once, and `/readyz` says that the server is not ready.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Release);
    }

    /// Whether the server shuts down.
    pub fn draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }
}

/// A refusal after which the client may try again.
fn retry_later(status: u16, why: &str) -> Answer {
    Answer::text(status, &format!("{why}, please try again later")).with("Retry-After", "5")
}
