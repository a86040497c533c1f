//! What the connections of a server share.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_lock::{Semaphore, SemaphoreGuardArc};

use super::http::{Answer, STATUSES};
use super::per_ip::{PerIpLimiter, PerIpPermit};
use super::rate_limits::RateLimits;
use super::rejection_log::RejectionLog;
use super::tls::Tls;
use super::token::Authenticator;
use crate::bus::Bus;
use crate::chat::peers::Peers;
use crate::config::Config;
use crate::count::{Counter, Counters};

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
    /// NamedPeer only where the connections of one address are limited.
    per_ip: Option<Arc<PerIpLimiter>>,
    draining: AtomicBool,
    /// Checks tokens.
    pub authenticator: Authenticator,
    /// The message rates of names and addresses.
    pub(super) rate_limits: RateLimits,
    /// Logs refused connections.
    pub rejection_log: RejectionLog,
    /// NamedPeer where connections speak TLS.
    pub tls: Option<Tls>,
    /// Connections accepted.
    pub connections: Counter,
    /// Requests answered, by the status of the answer.
    pub requests: Counters<{ STATUSES.len() }>,
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
            requests: Counters::new(&STATUSES),
        }
    }

    /// A slot for one more peer from this address.
    ///
    /// # Errors
    /// 503 at the limit of peers, 429 at the limit of peers from one address.
    pub fn acquire_permit(&self, ip: IpAddr) -> Result<ConnectionPermit, Answer> {
        let permit = self.permits.try_acquire_arc();
        let permit = permit.ok_or_else(|| Answer::retry_later(503, "too many peers"))?;
        let per_ip_permit = match &self.per_ip {
            Some(per_ip) => Some(
                per_ip
                    .acquire(ip)
                    .ok_or_else(|| Answer::retry_later(429, "too many peers from your address"))?,
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
