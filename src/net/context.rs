//! What the connections of a server share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use smol::Executor;

use super::http::STATUSES;
use super::rate_limits::RateLimits;
use super::tls::Tls;
use super::token::Authenticator;
use crate::bus::Bus;
use crate::chat::peers::Peers;
use crate::config::Config;
use crate::count::text::MetricsText;
use crate::count::{Counter, Counters};

/// Runs tasks. Any number of threads may run it.
pub type Runtime = Arc<Executor<'static>>;

/// What every connection of a server shares.
#[derive(Debug)]
pub struct ServerContext {
    /// The settings.
    pub config: Config,
    /// The peers connected to this instance.
    pub peers: Arc<Peers>,
    /// Publishes messages and delivers them.
    pub bus: Bus,
    draining: AtomicBool,
    /// Checks tokens.
    pub authenticator: Authenticator,
    /// The rates of names and addresses.
    pub(super) rate_limits: RateLimits,
    /// Runs what may have to be done for thousands at once, in portions between which messages pass:
    /// arrivals, until they are answered or become peers, and departures.
    pub background: Runtime,
    /// Present where connections speak TLS.
    pub tls: Option<Tls>,
    /// Connections accepted.
    pub connections: Counter,
    /// Requests answered, by the status of the answer.
    pub requests: Counters,
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
        ServerContext {
            authenticator,
            rate_limits: RateLimits::new(config.rate, config.max_peers),
            config,
            peers,
            bus,
            draining: AtomicBool::new(false),
            background: Runtime::default(),
            tls,
            connections: Counter::default(),
            requests: Counters::new(&STATUSES),
        }
    }

    /// From now on new peers are closed at once, and `/readyz` says that the server is not ready.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Release);
    }

    /// Whether the server shuts down.
    pub fn draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    /// Writes all metrics of the server.
    pub async fn write_metrics(&self, text: &mut MetricsText) {
        text.gauge(
            "natterjack_peers_limit",
            "Connections that may chat.",
            self.config.max_peers,
        );
        text.gauge(
            "natterjack_outbox_limit_bytes",
            "Bytes that may wait for all sockets together.",
            self.config.max_queued,
        );
        self.peers.write_metrics(text).await;
        text.counter(
            "natterjack_connections_total",
            "Connections accepted.",
            self.connections.get(),
        );
        text.counters(
            "natterjack_http_requests_total",
            "Requests, by the status of the answer. 101: an upgrade.",
            "code",
            &self.requests,
        );
        if let Some(tls) = &self.tls {
            tls.write_metrics(text);
        }
        self.bus.write_metrics(text);
    }
}
