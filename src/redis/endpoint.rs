//! Where Redis is: one server, a node of a cluster, or the primary that sentinels name.
//!
//! Opens connections and signs them in. Verifies certificate and host name, by the built-in web
//! roots or the operator's own CA, and tells apart what trying again can mend from what it can't.

mod sentinel;
mod tls;

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use async_net::TcpStream;
use async_net::unix::UnixStream;
use futures_rustls::TlsConnector;
use futures_rustls::pki_types::ServerName;
use redis::cmd;
use rustix::fd::AsFd;
use rustix::net::sockopt;

use super::auth::{Credentials, Secret};
use super::cluster::Address;
use super::connection::{Certificate, Connection};
use super::error::{Boxed, Error, accept, answer_within};
use crate::config::{RedisAddress, RedisHost};
use crate::reactor::Async;
use crate::time::timeout;

/// A connection, from the look-up of the name to being signed in, is up after this time or given
/// up.
const CONNECT_TIME: Duration = Duration::from_secs(5);
/// The kernel probes a silent Redis after this time; well inside the ten minutes after which Azure
/// closes an idle connection.
const KEEPALIVE: Duration = Duration::from_secs(60);
/// The kernel gives up a connection on which nothing was acknowledged for so long.
const USER_TIMEOUT_MS: u32 = 20_000;

/// Where Redis is, and how to sign in there. Displays the address, never a secret.
pub struct Endpoint {
    host: RedisHost,
    /// With the names that the operator has given: one, or one for each sentinel.
    tls: Option<(TlsConnector, Vec<ServerName<'static>>)>,
    /// Who signs in.
    pub credentials: Credentials,
    client_name: String,
    /// Which of the sentinels is asked first, counted on and on.
    turn: AtomicUsize,
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Endpoint({self})")
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.host.fmt(f)
    }
}

impl Endpoint {
    /// Reads the certificates, once and for all.
    ///
    /// # Errors
    /// One line about an unreadable CA or an impossible host name.
    // There are two callers, and it is large.
    #[inline(never)]
    pub fn new(address: &RedisAddress, client_name: &str) -> Result<Endpoint, String> {
        let names: Vec<&String> = match &address.host {
            RedisHost::Tcp { host, .. } => vec![host],
            RedisHost::Sentinel(sentinels) => {
                sentinels.hosts.iter().map(|(host, _)| host).collect()
            }
            RedisHost::Unix(_) => Vec::new(),
        };
        let name = |host: &String| {
            let name = ServerName::try_from(host.clone());
            name.map_err(|_| format!("redis {host}: not a host name for TLS"))
        };
        let tls = match address.host.is_tls() {
            true => {
                let connector = tls::connector(address.ca.as_deref())?;
                let names = names.into_iter().map(name).collect::<Result<_, _>>()?;
                Some((connector, names))
            }
            false => None,
        };
        Ok(Endpoint {
            host: address.host.clone(),
            tls,
            credentials: Credentials::new(address),
            client_name: client_name.to_string(),
            turn: AtomicUsize::new(0),
        })
    }

    /// The host, as the operator has named it; empty for a socket on this machine.
    pub fn host_name(&self) -> &str {
        match &self.host {
            RedisHost::Tcp { host, .. } => host,
            _ => "",
        }
    }

    /// Connects and signs in.
    ///
    /// # Errors
    /// One line about what failed, without the address.
    pub fn connect(&self) -> Boxed<'_, Connection> {
        Box::pin(async {
            let connection = match &self.host {
                RedisHost::Sentinel(sentinels) => self.connect_by(sentinels).await,
                _ => self.connect_signed_in(None, 0).await,
            };
            connection.map_err(|error| self.hint(error))
        })
    }

    /// Opens a second connection to the server that this one leads to, and signs in. Sentinels may
    /// name another primary by now; they are not asked again.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    pub fn connect_beside<'a>(&'a self, connection: &'a Connection) -> Boxed<'a, Connection> {
        match &connection.primary {
            Some(primary) => self.connect_to_primary(primary),
            None => self.connect(),
        }
    }

    /// Connects to a node of the cluster, and signs in.
    ///
    /// # Errors
    /// One line about what failed, with the node's address.
    pub fn connect_to<'a>(&'a self, node: &'a Address) -> Boxed<'a, Connection> {
        Box::pin(async move {
            let connection = self.connect_signed_in(Some(node), 0).await;
            connection.map_err(|error| match error {
                Error::Transient(why) => Error::Transient(format!(
                    "node {node}: {why}; its nodes' addresses must be reachable from here"
                )),
                error => error.map(|why| format!("node {node}: {why}")),
            })
        })
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
        let replies = answer_within(CONNECT_TIME, connection.request(&hello)).await?;
        connection.reauthenticable = accept(&replies, "refused").is_ok();
        if !connection.reauthenticable {
            log::debug!("redis {self}: no RESP3, so new tokens need new connections");
        }
        Ok(())
    }

    /// Connects without signing in: to where the operator says, or to a node. Returns what TLS says
    /// of the other side; nothing without TLS.
    ///
    /// # Errors
    /// One line about what failed, without the address.
    pub fn certificate<'a>(
        &'a self,
        node: Option<&'a Address>,
        named_by: usize,
    ) -> Boxed<'a, Option<Certificate>> {
        Box::pin(async move {
            if self.tls.is_none() {
                return Ok(None);
            }
            let connection = connect_within(self.open(node, named_by)).await;
            let connection = connection.map_err(|error| self.hint(error))?;
            Ok(connection.certificate)
        })
    }

    /// Adds what may be wrong: a TLS port closes a connection without TLS, a plain one waits for the
    /// end of a line, and neither says why.
    fn hint(&self, error: Error) -> Error {
        let hint = match &self.host {
            RedisHost::Tcp { tls: false, .. } => "if this is a TLS port, use rediss://",
            RedisHost::Tcp { tls: true, .. } => "if this is no TLS port, use redis://",
            _ => return error,
        };
        match error {
            Error::Transient(why) => Error::Transient(format!("{why}; {hint}")),
            error => error,
        }
    }

    /// Connects and signs in: to where the operator says, or to the node that the host at this place
    /// among those named by the operator has sent us to.
    async fn connect_signed_in(
        &self,
        node: Option<&Address>,
        named_by: usize,
    ) -> Result<Connection, Error> {
        // Ahead of the rest: it takes its own time, and a connection should not wait for it.
        let secret = self.credentials.secret().await?;
        connect_within(async {
            let mut connection = self.open(node, named_by).await?;
            self.sign_in(&mut connection, secret.as_ref()).await?;
            Ok(connection)
        })
        .await
    }

    /// Connects, and no more than that.
    fn open<'a>(&'a self, node: Option<&'a Address>, named_by: usize) -> Boxed<'a, Connection> {
        Box::pin(async move {
            let unreachable =
                |error: io::Error| Error::Transient(format!("can't connect: {error}"));
            let target = match (node, &self.host) {
                (Some(node), _) => (node.host.as_str(), node.port),
                (None, RedisHost::Tcp { host, port, .. }) => (host.as_str(), *port),
                (None, RedisHost::Unix(path)) => {
                    let unix = UnixStream::connect(path).await.and_then(take_over);
                    return Ok(Connection::new(Box::new(unix.map_err(unreachable)?)));
                }
                (None, RedisHost::Sentinel(_)) => {
                    return Err(Error::Transient("no sentinel was asked".into()));
                }
            };
            let tcp = TcpStream::connect(target).await.and_then(take_over);
            let tcp = tcp.map_err(unreachable)?;
            set_socket_options(&tcp).map_err(unreachable)?;
            let Some((connector, names)) = &self.tls else {
                return Ok(Connection::new(Box::new(tcp)));
            };
            let name = tls::certified(node, &names[named_by]);
            let stream = connector.connect(name, tcp).await.map_err(tls::error)?;
            let certificate = tls::certificate(stream.get_ref().1);
            let mut connection = Connection::new(Box::new(stream));
            connection.certificate = Some(certificate);
            Ok(connection)
        })
    }

    /// Signs a connection in that has been made by [`open`](Self::open).
    fn sign_in<'a>(
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
            let ping = [cmd("PING").get_packed_command()];
            accept(&connection.request(&ping).await?, "refused")?;
            // For `CLIENT LIST`; a user who may not set a name does without one.
            let mut name = cmd("CLIENT");
            name.arg("SETNAME").arg(&self.client_name);
            connection.ask(name.get_packed_command()).await?;
            Ok(())
        })
    }
}

async fn connect_within(
    connection: impl Future<Output = Result<Connection, Error>>,
) -> Result<Connection, Error> {
    let slow = || Error::Transient(format!("no connection within {CONNECT_TIME:?}"));
    let connection = timeout(CONNECT_TIME, connection).await;
    connection.unwrap_or_else(|| Err(slow()))
}

/// Takes a connected stream over from async-net: replies come through the server's own reactor.
fn take_over<T: AsFd>(stream: impl Into<Arc<smol::Async<T>>>) -> io::Result<Async<T>> {
    let stream = Arc::into_inner(stream.into());
    let stream = stream.ok_or(io::ErrorKind::NotConnected)?;
    Async::new_nonblocking(stream.into_inner()?)
}

/// Small commands go out at once, and a Redis that vanishes is noticed.
fn set_socket_options(tcp: &impl AsFd) -> io::Result<()> {
    sockopt::set_tcp_nodelay(tcp, true)?;
    sockopt::set_socket_keepalive(tcp, true)?;
    sockopt::set_tcp_keepidle(tcp, KEEPALIVE)?;
    sockopt::set_tcp_user_timeout(tcp, USER_TIMEOUT_MS)?;
    Ok(())
}
