//! The settings as plain values. [`args`] reads them from the command line and the environment; a
//! program that uses the library can set them itself. Nothing else reads the environment.

pub mod args;
mod flags;
mod host;
mod listen;
mod networks;
mod origins;
#[cfg_attr(not(feature = "full"), path = "config/without_redis.rs")]
mod redis;
mod setting;
#[cfg(feature = "full")]
mod tokens;

use std::fmt;
use std::net::{Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use log::LevelFilter;

pub use host::{Authority, Hosts};
pub use networks::Networks;
pub use origins::Origins;
#[cfg(feature = "full")]
pub use tokens::{TokenRequest, TokenSettings};

/// All settings. A limit says what happens when it is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Addresses to listen on. `[::]` is every address of this machine, IPv6 and IPv4.
    pub listen: Vec<SocketAddr>,
    /// The Redis that makes many instances one chat. `None`: the server runs alone.
    pub redis: Option<RedisAddress>,
    /// The prefix of every key and channel in Redis.
    pub prefix: String,
    /// Messages that a room's log keeps. Older ones are deleted.
    pub history: usize,
    /// The sites whose pages may connect.
    pub origins: Origins,
    /// The host names of this server. A request for another one is answered with 421.
    pub hosts: Hosts,
    /// Bytes of the longest frame. A longer one closes its connection with 1009.
    pub max_message: usize,
    /// Chat connections. One more is answered with 503.
    pub max_peers: usize,
    /// Chat connections from one address, for IPv6 from one /64. One more is answered with 429.
    pub max_peers_per_ip: Option<usize>,
    /// Reverse proxies, whose `X-Forwarded-For` and `Forwarded` are believed.
    pub trust_proxy: Networks,
    /// Messages per second of one user on all its connections, with bursts of three times as many.
    /// Excess messages are refused. 0: no limit.
    pub rate: u32,
    /// Bytes that may wait for one socket. Above it the peer is closed with 1013.
    pub outbox: usize,
    /// Bytes that may wait for all sockets together. Above it the peers with the longest queues are
    /// closed with 1013.
    pub max_queued: usize,
    /// Seconds of silence before a ping. After as many more the peer is closed.
    pub ping: u32,
    /// Users in a room. Larger rooms don't announce joins and leaves, and don't list their users.
    pub notices: usize,
    /// Threads that serve.
    pub threads: usize,
    /// The certificate for TLS. `None`: plain HTTP.
    pub tls: Option<TlsFiles>,
    /// How tokens are verified. `None`: no tokens are needed.
    #[cfg(feature = "full")]
    pub tokens: Option<TokenSettings>,
    /// The address to listen on for metrics.
    pub metrics: Option<SocketAddr>,
    /// The lowest level that is logged.
    pub log: LevelFilter,
}

impl Default for Config {
    fn default() -> Config {
        let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get());
        Config {
            listen: vec![(Ipv6Addr::UNSPECIFIED, 8080).into()],
            redis: None,
            prefix: "chat".into(),
            history: 1000,
            origins: Origins::default(),
            hosts: Hosts::default(),
            max_message: 16 * 1024,
            max_peers: 10_000,
            max_peers_per_ip: None,
            trust_proxy: Networks::default(),
            rate: 20,
            outbox: 256 * 1024,
            max_queued: 64 * 1024 * 1024,
            ping: 25,
            notices: 500,
            threads: cores.min(4),
            tls: None,
            #[cfg(feature = "full")]
            tokens: None,
            metrics: None,
            log: LevelFilter::Info,
        }
    }
}

/// The files of a certificate and its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The server's certificate, then its intermediate certificates, in PEM.
    pub cert: PathBuf,
    /// Its key in PEM, not encrypted.
    pub key: PathBuf,
}

/// How to reach Redis.
#[derive(Clone, PartialEq, Eq)]
pub struct RedisAddress {
    /// Where it is.
    pub host: RedisHost,
    /// The user to sign in as; Redis' own `default` if none.
    pub username: Option<String>,
    /// The password; a secret, never shown.
    pub password: Option<String>,
    /// A shell command that prints the password or a token, instead of `password`.
    #[cfg(feature = "full")]
    pub auth_command: Option<String>,
    /// PEM file of a private CA. `None`: the built-in web roots.
    pub ca: Option<PathBuf>,
}

impl RedisAddress {
    /// Whether to speak TLS with it.
    pub fn is_tls(&self) -> bool {
        self.host.is_tls()
    }
}

impl fmt::Debug for RedisAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RedisAddress({})", self.host)
    }
}

/// Where Redis is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RedisHost {
    /// TCP.
    Tcp {
        /// Its name or address; with TLS also the name in its certificate.
        host: String,
        /// Its port.
        port: u16,
        /// Whether to speak TLS.
        tls: bool,
    },
    /// A Unix socket at this path.
    Unix(PathBuf),
    /// At the address that sentinels give.
    Sentinel(Sentinels),
}

/// The sentinels, which know which Redis is the primary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sentinels {
    /// Their names or addresses, and their ports. With TLS the names must be in their certificates.
    /// At least one, at most 16.
    pub hosts: Vec<(String, u16)>,
    /// Their name for the primary.
    pub name: String,
    /// Whether to speak TLS with them and with Redis.
    pub tls: bool,
}

impl RedisHost {
    fn is_tls(&self) -> bool {
        match self {
            RedisHost::Tcp { tls, .. } => *tls,
            RedisHost::Sentinel(sentinels) => sentinels.tls,
            RedisHost::Unix(_) => false,
        }
    }
}

impl fmt::Display for RedisHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = |f: &mut fmt::Formatter<'_>, host: &str, port: u16| match host.contains(':') {
            true => write!(f, "[{host}]:{port}"),
            false => write!(f, "{host}:{port}"),
        };
        match self {
            RedisHost::Tcp { host, port, .. } => place(f, host, *port)?,
            RedisHost::Unix(path) => return write!(f, "{}", path.display()),
            RedisHost::Sentinel(sentinels) => {
                write!(f, "{} by sentinels ", sentinels.name)?;
                for (count, (host, port)) in sentinels.hosts.iter().enumerate() {
                    f.write_str(if count == 0 { "" } else { ", " })?;
                    place(f, host, *port)?;
                }
            }
        }
        f.write_str(if self.is_tls() { " (TLS)" } else { "" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_shown() {
        let host = RedisHost::Tcp {
            host: "::1".into(),
            port: 6380,
            tls: true,
        };
        let password = Some("hunter2".to_string());
        let address = RedisAddress {
            host,
            username: None,
            password,
            #[cfg(feature = "full")]
            auth_command: None,
            ca: None,
        };
        assert_eq!(format!("{address:?}"), "RedisAddress([::1]:6380 (TLS))");
    }
}
