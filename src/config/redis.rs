//! Where Redis is.

use std::fmt;
use std::path::PathBuf;

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
    /// Whether to speak TLS with it.
    pub fn is_tls(&self) -> bool {
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
