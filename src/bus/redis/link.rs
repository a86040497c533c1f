//! One connection to Redis: TCP, TLS or a unix socket, signed in.
//!
//! Verifies certificate and host name, by the built-in web roots or the operator's own CA, and
//! tells apart what trying again can mend from what it can't.

use std::fmt;
use std::io;
use std::net::IpAddr;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use async_net::TcpStream;
use async_net::unix::UnixStream;
use futures_rustls::TlsConnector;
use futures_rustls::pki_types::pem::PemObject;
use futures_rustls::pki_types::{CertificateDer, ServerName};
use futures_rustls::rustls::{self, ClientConfig, RootCertStore};
use redis::{Value, cmd};
use rustix::net::sockopt;
use smol::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};

use super::cluster::Address;
use super::queue::passing_error;
use super::resp::Replies;
use super::sentinel::{self, Primary};
use crate::bus::within;
use crate::config::{RedisAddress, RedisHost, Sentinels};

/// A connection, from the look-up of the name to being signed in, is up after this time or given
/// up.
const CONNECT_TIME: Duration = Duration::from_secs(5);
/// The kernel asks a silent Redis for a sign of life after this long; well inside the ten minutes
/// after which Azure closes an idle connection …
const KEEPALIVE: Duration = Duration::from_secs(60);
/// … and gives up a connection on which nothing was acknowledged for so long.
const USER_TIMEOUT_MS: u32 = 20_000;

/// Why there is no connection.
#[derive(Debug)]
pub enum Trouble {
    /// Trying again will not mend it: a wrong password, a certificate nobody trusts.
    Lasting(String),
    /// Trying again may.
    Passing(String),
}

impl Trouble {
    /// The same with other words.
    pub fn map(self, change: impl Fn(String) -> String) -> Trouble {
        match self {
            Trouble::Lasting(why) => Trouble::Lasting(change(why)),
            Trouble::Passing(why) => Trouble::Passing(change(why)),
        }
    }
}

/// Where Redis is, and how to sign in there. Displays the address, never a secret.
pub struct Endpoint {
    host: RedisHost,
    /// With the names that the operator has given: one, or one for each sentinel.
    tls: Option<(TlsConnector, Vec<ServerName<'static>>)>,
    auth: Option<(String, String)>,
    client_name: String,
    /// Which sentinel is asked first, counted on and on.
    pub turn: AtomicUsize,
}

/// A signed-in connection.
pub struct Link {
    /// Its answers.
    pub replies: Replies<ReadHalf<Stream>>,
    /// Where commands go.
    pub commands: WriteHalf<Stream>,
    /// Where a sentinel has led us.
    pub primary: Option<Primary>,
}

/// What becomes of something. Boxed, so that its code is in the binary once, and not with everybody
/// who waits for it.
pub type Boxed<'a, T> = Pin<Box<dyn Future<Output = Result<T, Trouble>> + Send + 'a>>;

/// Whatever carries the bytes.
type Stream = Box<dyn Bytes>;

/// A stream of bytes both ways.
pub trait Bytes: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Bytes for T {}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Endpoint({self})")
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.host)
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
        let names = match &address.host {
            RedisHost::Tcp { host, .. } => vec![host],
            RedisHost::Sentinel(sentinels) => {
                sentinels.hosts.iter().map(|(host, _)| host).collect()
            }
            RedisHost::Unix(_) => Vec::new(),
        };
        let tls = match address.is_tls() {
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
        let auth = address.password.clone().map(|password| {
            (
                address.username.clone().unwrap_or_else(|| "default".into()),
                password,
            )
        });
        let client_name = client_name.to_string();
        Ok(Endpoint {
            host: address.host.clone(),
            tls,
            auth,
            client_name,
            turn: AtomicUsize::new(0),
        })
    }

    /// Connects and signs in.
    ///
    /// # Errors
    /// One line about what failed, without the address.
    pub fn connect(&self) -> Boxed<'_, Link> {
        Box::pin(async {
            let link = match &self.host {
                RedisHost::Sentinel(sentinels) => sentinel::connect(self, sentinels).await,
                _ => self.connect_within(None, 0).await,
            };
            link.map_err(|trouble| self.hint(trouble))
        })
    }

    /// Connects once more to where this connection leads, and signs in: should there be another
    /// primary by now, it is not this one's.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    pub fn connect_beside<'a>(&'a self, link: &'a Link) -> Boxed<'a, Link> {
        match &link.primary {
            Some(primary) => sentinel::reach(self, primary),
            None => self.connect(),
        }
    }

    /// Connects to a node of the cluster, and signs in.
    ///
    /// # Errors
    /// One line about what failed, with the node's address.
    pub fn connect_to<'a>(&'a self, node: &'a Address) -> Boxed<'a, Link> {
        Box::pin(async move {
            let link = self.connect_within(Some(node), 0).await;
            link.map_err(|trouble| match trouble {
                Trouble::Lasting(why) => Trouble::Lasting(format!("node {node}: {why}")),
                Trouble::Passing(why) => Trouble::Passing(format!(
                    "node {node}: {why}; its nodes' addresses must be reachable from here"
                )),
            })
        })
    }

    /// The sentinels, if they are who knows where Redis is.
    pub fn sentinels(&self) -> Option<&Sentinels> {
        match &self.host {
            RedisHost::Sentinel(sentinels) => Some(sentinels),
            _ => None,
        }
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
    pub async fn connect_within(
        &self,
        node: Option<&Address>,
        named_by: usize,
    ) -> Result<Link, Trouble> {
        let link = async {
            let mut link = self.open(node, named_by).await?;
            self.sign_in(&mut link).await?;
            Ok(link)
        };
        let slow = || Trouble::Passing(format!("no connection within {CONNECT_TIME:?}"));
        let link = within(CONNECT_TIME, link).await;
        link.unwrap_or_else(|| Err(slow()))
    }

    /// A TLS port hangs up on whoever does not speak TLS, a plain one waits for the end of a
    /// line, and neither says why.
    fn hint(&self, trouble: Trouble) -> Trouble {
        match (&self.host, trouble) {
            (RedisHost::Tcp { tls: false, .. }, Trouble::Passing(why)) => {
                Trouble::Passing(format!("{why}; if this is a TLS port, use rediss://"))
            }
            (RedisHost::Tcp { tls: true, .. }, Trouble::Passing(why)) => {
                Trouble::Passing(format!("{why}; if this is no TLS port, use redis://"))
            }
            (_, trouble) => trouble,
        }
    }

    /// Connects and, where TLS is spoken, tells its version and the server's certificate. As
    /// [`connect_within`](Self::connect_within), to where the operator says or to a node.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    pub fn certificate<'a>(
        &'a self,
        node: Option<&'a Address>,
        named_by: usize,
    ) -> Boxed<'a, Option<(String, Vec<u8>)>> {
        Box::pin(self.look_at_certificate(node, named_by))
    }

    async fn look_at_certificate(
        &self,
        node: Option<&Address>,
        named_by: usize,
    ) -> Result<Option<(String, Vec<u8>)>, Trouble> {
        let target = match (node, &self.host) {
            (Some(node), _) => Some((node.host.as_str(), node.port)),
            (None, RedisHost::Tcp { host, port, .. }) => Some((host.as_str(), *port)),
            (None, _) => None,
        };
        let (Some(target), Some((connector, names))) = (target, &self.tls) else {
            return Ok(None);
        };
        let name = certified(node, &names[named_by]);
        let handshake = async {
            let tcp = TcpStream::connect(target).await;
            let tcp = tcp.map_err(|error| Trouble::Passing(format!("can't connect: {error}")))?;
            let tls = connector.connect(name, tcp).await;
            tls.map_err(tls_trouble)
        };
        let slow = || Trouble::Passing(format!("no connection within {CONNECT_TIME:?}"));
        let tls = within(CONNECT_TIME, handshake).await;
        let tls = tls
            .unwrap_or_else(|| Err(slow()))
            .map_err(|trouble| self.hint(trouble))?;
        let (_, session) = tls.get_ref();
        let version = match session.protocol_version() {
            Some(rustls::ProtocolVersion::TLSv1_3) => "TLS 1.3",
            _ => "TLS 1.2",
        };
        let chain = session.peer_certificates().unwrap_or_default();
        let certificate = chain.first().map(|first| first.to_vec());
        Ok(Some((version.into(), certificate.unwrap_or_default())))
    }

    /// Connects, and no more than that.
    ///
    /// # Errors
    /// One line about what failed, without the address.
    pub async fn open(&self, node: Option<&Address>, named_by: usize) -> Result<Link, Trouble> {
        let unreachable = |error: io::Error| Trouble::Passing(format!("can't connect: {error}"));
        let target = match (node, &self.host) {
            (Some(node), _) => Ok((node.host.as_str(), node.port)),
            (None, RedisHost::Tcp { host, port, .. }) => Ok((host.as_str(), *port)),
            (None, RedisHost::Unix(path)) => Err(path),
            (None, RedisHost::Sentinel(_)) => {
                return Err(Trouble::Passing("no sentinel was asked".into()));
            }
        };
        let stream: Stream = match target {
            Err(path) => Box::new(UnixStream::connect(path).await.map_err(unreachable)?),
            Ok(target) => {
                let tcp = TcpStream::connect(target).await.map_err(unreachable)?;
                watch(&tcp).map_err(unreachable)?;
                match &self.tls {
                    None => Box::new(tcp),
                    Some((connector, names)) => {
                        let name = certified(node, &names[named_by]);
                        let handshake = connector.connect(name, tcp).await;
                        Box::new(handshake.map_err(tls_trouble)?)
                    }
                }
            }
        };
        let (read, write) = smol::io::split(stream);
        Ok(Link {
            replies: Replies::new(read),
            commands: write,
            primary: None,
        })
    }

    /// Whether there is something to sign in with.
    pub fn has_password(&self) -> bool {
        self.auth.is_some()
    }

    /// Signs a connection in that has been made by [`open`](Self::open).
    ///
    /// # Errors
    /// A broken connection, or a refusal.
    pub async fn sign_in(&self, link: &mut Link) -> Result<(), Trouble> {
        if let Some((username, password)) = &self.auth {
            // The form with a user name is for ACLs; `default` is also what the old form means.
            let mut auth = cmd("AUTH");
            if username != "default" {
                auth.arg(username);
            }
            link.check(auth.arg(password).get_packed_command(), "sign-in refused")
                .await?;
        }
        link.check(cmd("PING").get_packed_command(), "refused")
            .await?;
        // For `CLIENT LIST`; whoever may not set a name does without one.
        let name = cmd("CLIENT")
            .arg("SETNAME")
            .arg(&self.client_name)
            .get_packed_command();
        link.ask(&[name]).await?;
        Ok(())
    }
}

impl Link {
    /// Asks some things at once and waits for their answers, in order.
    ///
    /// # Errors
    /// A broken connection.
    pub fn ask<'a>(&'a mut self, commands: &'a [Vec<u8>]) -> Boxed<'a, Vec<Value>> {
        Box::pin(async move {
            self.say(&commands.concat()).await?;
            let mut answers = Vec::with_capacity(commands.len());
            for _ in commands {
                answers.push(self.replies.next().await.map_err(broken)?);
            }
            Ok(answers)
        })
    }

    /// Subscribes to channels. What is published on the first of them before the last one is
    /// confirmed is skipped: it stands in a log.
    ///
    /// # Errors
    /// A broken connection, or Redis refuses.
    pub async fn subscribe(&mut self, channels: &[String]) -> Result<(), Trouble> {
        self.say(&cmd("SUBSCRIBE").arg(channels).get_packed_command())
            .await?;
        let mut missing = channels.len();
        while missing > 0 {
            let answer = self.replies.next().await.map_err(broken)?;
            accept(std::slice::from_ref(&answer), "refused")?;
            let Value::Array(push) = answer else {
                continue;
            };
            if matches!(push.first(), Some(Value::BulkString(kind)) if kind == b"subscribe") {
                missing -= 1;
            }
        }
        Ok(())
    }

    async fn say(&mut self, bytes: &[u8]) -> Result<(), Trouble> {
        self.commands.write_all(bytes).await.map_err(broken)?;
        self.commands.flush().await.map_err(broken)
    }

    /// Asks something that must succeed.
    async fn check(&mut self, command: Vec<u8>, refused: &str) -> Result<(), Trouble> {
        let answers = self.ask(&[command]).await?;
        accept(&answers, refused)
    }
}

/// The name that a node's certificate must have. Most clusters and sentinels announce
/// nodes by addresses, and certificates are for the name under which the operator knows them.
fn certified(node: Option<&Address>, name: &ServerName<'static>) -> ServerName<'static> {
    let announced = node.and_then(|node| {
        let address = node.host.parse::<IpAddr>().is_ok();
        let named = matches!(name, ServerName::DnsName(_));
        (!address || !named).then(|| ServerName::try_from(node.host.clone()).ok())
    });
    announced.flatten().unwrap_or_else(|| name.clone())
}

fn broken(error: io::Error) -> Trouble {
    match error.kind() {
        io::ErrorKind::InvalidData => Trouble::Lasting(error.to_string()),
        io::ErrorKind::UnexpectedEof => Trouble::Passing("it closed the connection".into()),
        _ => Trouble::Passing(error.to_string()),
    }
}

/// Makes sure that no answer is an error.
pub fn accept(answers: &[Value], refused: &str) -> Result<(), Trouble> {
    for answer in answers {
        let Value::ServerError(error) = answer else {
            continue;
        };
        let text = format!("{refused}: {error}");
        let busy = error
            .details()
            .is_some_and(|text| text.contains("max number of clients"));
        return Err(match error.code() {
            "NOAUTH" => Trouble::Lasting(format!("{text}; set REDIS_PASSWORD")),
            "MOVED" => Trouble::Lasting(format!(
                "{text}; it is a cluster: let its user have +cluster|slots"
            )),
            // Its memory or its disk is full, or somebody's script keeps it from working.
            "OOM" | "MISCONF" | "BUSY" => Trouble::Passing(text),
            _ if busy || passing_error(answer).is_some() => Trouble::Passing(text),
            _ => Trouble::Lasting(text),
        });
    }
    Ok(())
}

/// Small commands go out at once, and a Redis that vanishes is noticed.
fn watch(tcp: &TcpStream) -> io::Result<()> {
    tcp.set_nodelay(true)?;
    sockopt::set_socket_keepalive(tcp, true)?;
    sockopt::set_tcp_keepidle(tcp, KEEPALIVE)?;
    sockopt::set_tcp_user_timeout(tcp, USER_TIMEOUT_MS)?;
    Ok(())
}

fn connector(ca: Option<&Path>) -> Result<TlsConnector, String> {
    let mut roots = RootCertStore::empty();
    match ca {
        None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
        Some(path) => {
            let unreadable = |error: &dyn fmt::Display| {
                format!(
                    "--redis-ca {}: no certificate to be read: {error}",
                    path.display()
                )
            };
            let certificates =
                CertificateDer::pem_file_iter(path).map_err(|error| unreadable(&error))?;
            for certificate in certificates {
                let certificate = certificate.map_err(|error| unreadable(&error))?;
                roots.add(certificate).map_err(|error| unreadable(&error))?;
            }
            if roots.is_empty() {
                return Err(unreadable(&"the file holds none in PEM form"));
            }
        }
    }
    let config = ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

fn tls_trouble(error: io::Error) -> Trouble {
    use rustls::Error::{AlertReceived, InvalidCertificate, InvalidMessage, PeerIncompatible};
    let inner = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match inner {
        Some(InvalidCertificate(why)) => Trouble::Lasting(format!(
            "its certificate is not trusted: {why}; --redis-ca names a private CA"
        )),
        Some(InvalidMessage(_)) => Trouble::Lasting("it does not speak TLS on this port".into()),
        Some(error @ (AlertReceived(_) | PeerIncompatible(_))) => {
            Trouble::Lasting(format!("TLS refused: {error}"))
        }
        _ => Trouble::Passing(format!("TLS failed: {error}")),
    }
}
