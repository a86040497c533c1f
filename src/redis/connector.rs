//! Opens connections to Redis and signs them in.
//!
//! Verifies certificate and host name, by the built-in web roots or the operator's own CA, and
//! tells apart what trying again can mend from what it can't.

mod tls;

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use async_net::TcpStream;
use async_net::unix::UnixStream;
use futures_rustls::TlsConnector;
use futures_rustls::pki_types::ServerName;
use redis::cmd;
use rustix::net::sockopt;

use super::auth::{Credentials, Secret};
use super::cluster::Address;
use super::connection::{Connection, Stream};
use super::error::{Boxed, Error, accept, no_answer};
use crate::config::{RedisAddress, RedisHost};
use crate::time::timeout;
use tls::{certified, connector, tls_error};

/// A connection, from the look-up of the name to being signed in, is up after this time or given
/// up.
const CONNECT_TIME: Duration = Duration::from_secs(5);
/// The kernel probes a silent Redis after this time; well inside the ten minutes after which Azure
/// closes an idle connection.
const KEEPALIVE: Duration = Duration::from_secs(60);
/// The kernel gives up a connection on which nothing was acknowledged for so long.
const USER_TIMEOUT_MS: u32 = 20_000;

/// Where Redis is, and how to sign in there. Displays the address, never a secret.
pub struct Connector {
    host: RedisHost,
    /// With the names that the operator has given: one, or one for each sentinel.
    tls: Option<(TlsConnector, Vec<ServerName<'static>>)>,
    /// Who signs in.
    pub credentials: Credentials,
    client_name: String,
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Connector({self})")
    }
}

impl fmt::Display for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.host)
    }
}

impl Connector {
    /// Reads the certificates, once and for all.
    ///
    /// # Errors
    /// One line about an unreadable CA or an impossible host name.
    // There are two callers, and it is large.
    #[inline(never)]
    pub fn new(address: &RedisAddress, client_name: &str) -> Result<Connector, String> {
        let names = match &address.host {
            RedisHost::Tcp { host, .. } => vec![host],
            RedisHost::Sentinel(sentinels) => {
                sentinels.hosts.iter().map(|(host, _)| host).collect()
            }
            RedisHost::Unix(_) => Vec::new(),
        };
        let tls = match address.host.is_tls() {
            true => {
                let name = |host: &String| {
                    ServerName::try_from(host.clone())
                        .map_err(|_| format!("redis {host}: not a host name for TLS"))
                };
                let names: Result<_, _> = names.into_iter().map(name).collect();
                Some((connector(address.ca.as_deref())?, names?))
            }
            false => None,
        };
        let client_name = client_name.to_string();
        Ok(Connector {
            host: address.host.clone(),
            tls,
            credentials: Credentials::new(address),
            client_name,
        })
    }

    /// The host, as the operator has named it; empty for a socket on this machine.
    pub fn host_name(&self) -> &str {
        match &self.host {
            RedisHost::Tcp { host, .. } => host,
            _ => "",
        }
    }

    /// Connects and signs in: to where the operator says, or to what the host at this place among
    /// those named by the operator has sent us to.
    ///
    /// # Errors
    /// One line about what failed, without the address.
    pub async fn connect(
        &self,
        node: Option<&Address>,
        named_by: usize,
    ) -> Result<Connection, Error> {
        // Ahead of the rest: it takes its own time, and a connection should not wait for it.
        let secret = self.credentials.secret().await?;
        let connection = async {
            let mut connection = self.open(node, named_by).await?;
            self.sign_in(&mut connection, secret.as_ref()).await?;
            Ok(connection)
        };
        let slow = || Error::Transient(format!("no connection within {CONNECT_TIME:?}"));
        let connection = timeout(CONNECT_TIME, connection).await;
        connection.unwrap_or_else(|| Err(slow()))
    }

    /// Where passwords change, switches a connection to RESP3, in which a subscriber can sign in
    /// again. A Redis without RESP3 is no error.
    ///
    /// # Errors
    /// A broken connection.
    pub async fn enable_reauth(&self, connection: &mut Connection) -> Result<(), Error> {
        if !self.credentials.changes() {
            return Ok(());
        }
        let hello = [cmd("HELLO").arg(3).get_packed_command()];
        let replies = timeout(CONNECT_TIME, connection.request(&hello)).await;
        let replies = replies.unwrap_or_else(|| Err(no_answer(CONNECT_TIME)))?;
        connection.reauthenticable = accept(&replies, "refused").is_ok();
        if !connection.reauthenticable {
            log::debug!("redis {self}: no RESP3, so new tokens need new connections");
        }
        Ok(())
    }

    /// Adds what may be wrong: a TLS port closes a connection without TLS, a plain one waits for the
    /// end of a line, and neither says why.
    pub fn hint(&self, error: Error) -> Error {
        match (&self.host, error) {
            (RedisHost::Tcp { tls: false, .. }, Error::Transient(why)) => {
                Error::Transient(format!("{why}; if this is a TLS port, use rediss://"))
            }
            (RedisHost::Tcp { tls: true, .. }, Error::Transient(why)) => {
                Error::Transient(format!("{why}; if this is no TLS port, use redis://"))
            }
            (_, error) => error,
        }
    }

    /// Connects, and no more than that.
    ///
    /// # Errors
    /// One line about what failed, without the address.
    pub fn open<'a>(&'a self, node: Option<&'a Address>, named_by: usize) -> Boxed<'a, Connection> {
        Box::pin(async move {
            let unreachable =
                |error: io::Error| Error::Transient(format!("can't connect: {error}"));
            let target = match (node, &self.host) {
                (Some(node), _) => Ok((node.host.as_str(), node.port)),
                (None, RedisHost::Tcp { host, port, .. }) => Ok((host.as_str(), *port)),
                (None, RedisHost::Unix(path)) => Err(path),
                (None, RedisHost::Sentinel(_)) => {
                    return Err(Error::Transient("no sentinel was asked".into()));
                }
            };
            let stream: Stream = match target {
                Err(path) => Box::new(UnixStream::connect(path).await.map_err(unreachable)?),
                Ok(target) => {
                    let tcp = TcpStream::connect(target).await.map_err(unreachable)?;
                    set_socket_options(&tcp).map_err(unreachable)?;
                    match &self.tls {
                        None => Box::new(tcp),
                        Some((connector, names)) => {
                            let name = certified(node, &names[named_by]);
                            let handshake = connector.connect(name, tcp).await;
                            Box::new(handshake.map_err(tls_error)?)
                        }
                    }
                }
            };
            Ok(Connection::new(stream))
        })
    }

    /// Signs a connection in that has been made by [`open`](Self::open).
    ///
    /// # Errors
    /// A broken connection, or a refusal.
    pub fn sign_in<'a>(
        &'a self,
        connection: &'a mut Connection,
        secret: Option<&'a (Arc<Secret>, bool)>,
    ) -> Boxed<'a, ()> {
        Box::pin(async move {
            if let Some((secret, new)) = secret {
                let replies = connection.request(&[secret.command()]).await?;
                accept(&replies, "sign-in refused")
                    .map_err(|error| self.credentials.refused(*new, error))?;
            }
            connection
                .check(cmd("PING").get_packed_command(), "refused")
                .await?;
            // For `CLIENT LIST`; a user who may not set a name does without one.
            let name = cmd("CLIENT")
                .arg("SETNAME")
                .arg(&self.client_name)
                .get_packed_command();
            connection.request(&[name]).await?;
            Ok(())
        })
    }
}

/// Small commands go out at once, and a Redis that vanishes is noticed.
fn set_socket_options(tcp: &TcpStream) -> io::Result<()> {
    tcp.set_nodelay(true)?;
    sockopt::set_socket_keepalive(tcp, true)?;
    sockopt::set_tcp_keepidle(tcp, KEEPALIVE)?;
    sockopt::set_tcp_user_timeout(tcp, USER_TIMEOUT_MS)?;
    Ok(())
}
