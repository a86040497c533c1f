//! The settings, as plain values: read from the command line and the environment by [`args`], or
//! written down by whoever uses the library. Nothing else reads the environment.

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
pub use tokens::TokenRequest;

/// Everything that can be set, with its limits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Where to listen: page, health and WebSocket on each of these. `[::]` is every address of
    /// this machine, IPv6 and IPv4.
    pub listen: Vec<SocketAddr>,
    /// The Redis that makes many instances one chat; without, the server runs alone.
    pub redis: Option<RedisAddress>,
    /// What every key and channel in Redis begins with.
    pub prefix: String,
    /// Messages a room's log keeps; older ones are forgotten.
    pub history: usize,
    /// Pages of which sites may connect.
    pub origins: Origins,
    /// The names that this server goes by; a request for another is answered with 421.
    pub hosts: Hosts,
    /// Bytes of a frame; a longer one closes its connection with 1009.
    pub max_message: usize,
    /// Connections that chat; one more is answered with 503.
    pub max_peers: usize,
    /// The same from one address, an IPv6 one being a /64; one more is answered with 429.
    pub max_peers_per_ip: Option<usize>,
    /// Whose `X-Forwarded-For` and `Forwarded` are believed: reverse proxies.
    pub trust_proxy: Networks,
    /// Messages a second under one name, however many connections say them, with bursts of three
    /// times as many; faster ones are refused. 0: no limit.
    pub rate: u32,
    /// Bytes that wait for one peer's socket; more, and the peer is let go with 1013.
    pub outbox: usize,
    /// Bytes that wait for all peers' sockets together; more, and those furthest behind are let go
    /// with 1013.
    pub max_queued: usize,
    /// Seconds of silence before a ping; after as many again, the peer is dead.
    pub ping: u32,
    /// Rooms of more people say nothing about who comes and goes, and list nobody.
    pub notices: usize,
    /// Threads that serve.
    pub threads: usize,
    /// The certificate under which the port speaks TLS; without, it speaks plain HTTP.
    pub tls: Option<TlsFiles>,
    /// File of the key that tokens are verified with; without, names are first come, first served.
    #[cfg(feature = "full")]
    pub jwt_key: Option<PathBuf>,
    /// The audience that a token must be for; without, tokens must be for none in particular.
    #[cfg(feature = "full")]
    pub jwt_audience: Option<String>,
    /// The issuer that a token must be from.
    #[cfg(feature = "full")]
    pub jwt_issuer: Option<String>,
    /// The claim of a token that holds the user's name; without, `sub`.
    #[cfg(feature = "full")]
    pub jwt_name: Option<String>,
    /// Where to listen for those who ask for metrics.
    pub metrics: Option<SocketAddr>,
    /// How much is logged.
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
            jwt_key: None,
            #[cfg(feature = "full")]
            jwt_audience: None,
            #[cfg(feature = "full")]
            jwt_issuer: None,
            #[cfg(feature = "full")]
            jwt_name: None,
            metrics: None,
            log: LevelFilter::Info,
        }
    }
}

/// Where a certificate is, and its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The server's own certificate and those between it and its CA, in this order, in PEM.
    pub cert: PathBuf,
    /// Its key, not encrypted, in PEM.
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
    /// What a shell runs to get the password, or a token that ends, instead; see its flag.
    #[cfg(feature = "full")]
    pub auth_command: Option<String>,
    /// PEM file of a private CA; the built-in web roots if none.
    pub ca: Option<PathBuf>,
}

impl RedisAddress {
    /// Whether TLS is spoken there.
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
    /// On the network.
    Tcp {
        /// Its name or address; with TLS also the name in its certificate.
        host: String,
        /// Its port.
        port: u16,
        /// Whether to speak TLS.
        tls: bool,
    },
    /// On this machine, at this path.
    Unix(PathBuf),
    /// Where sentinels say.
    Sentinel(Sentinels),
}

/// Who knows which Redis is the primary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sentinels {
    /// Their names or addresses, with TLS also the names in their certificates, and their ports.
    /// At least one, at most 16.
    pub hosts: Vec<(String, u16)>,
    /// How they call the primary, whichever it is.
    pub name: String,
    /// Whether to speak TLS, to them and to Redis.
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
