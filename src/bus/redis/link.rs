//! One connection to Redis: TCP, TLS or a unix socket, signed in.
//!
//! Verifies certificate and host name, by the built-in web roots or the operator's own CA, and
//! tells apart what trying again can mend from what it can't.

use std::fmt;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
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

use super::answer::{self, News};
use super::queue::passing_error;
use super::resp::Replies;
use super::token::{Login, Proof};
use crate::bus::within;
use crate::config::{RedisAddress, RedisHost};

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

/// Where Redis is, and how to sign in there. Displays the address, never a secret.
pub struct Endpoint {
    host: RedisHost,
    tls: Option<(TlsConnector, ServerName<'static>)>,
    /// Who signs in.
    pub login: Login,
    client_name: String,
}

/// A signed-in connection.
pub struct Link {
    /// Its answers.
    pub replies: Replies<ReadHalf<Stream>>,
    /// Where commands go.
    pub commands: WriteHalf<Stream>,
    /// Whether it can be signed in anew while it is subscribed.
    pub renewable: bool,
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
        let tls = match &address.host {
            RedisHost::Tcp {
                host, tls: true, ..
            } => {
                let name = ServerName::try_from(host.clone())
                    .map_err(|_| format!("redis {}: not a host name for TLS", address.host))?;
                Some((connector(address.ca.as_deref())?, name))
            }
            _ => None,
        };
        let client_name = client_name.to_string();
        Ok(Endpoint {
            host: address.host.clone(),
            tls,
            login: Login::new(address),
            client_name,
        })
    }

    /// Connects and signs in.
    ///
    /// # Errors
    /// One line about what failed, without the address.
    pub fn connect(&self) -> Boxed<'_, Link> {
        Box::pin(async {
            // Ahead of the rest: it takes its own time, and a connection should not wait for it.
            let proof = self.login.proof().await?;
            let link = async {
                let mut link = self.open().await?;
                self.sign_in(&mut link, proof.as_ref())
                    .await
                    .map_err(|trouble| self.hint(trouble))?;
                Ok(link)
            };
            let slow = || Trouble::Passing(format!("no connection within {CONNECT_TIME:?}"));
            let link = within(CONNECT_TIME, link)
                .await
                .unwrap_or_else(|| Err(slow()));
            link.map_err(|trouble| self.hint(trouble))
        })
    }

    /// Connects and signs in for a subscription. Where passwords change, the connection speaks
    /// RESP3, in which a subscriber may sign in anew; a Redis that does not is no trouble.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    pub fn connect_subscriber(&self) -> Boxed<'_, Link> {
        Box::pin(async move {
            let mut link = self.connect().await?;
            if self.login.changes() {
                let hello = [cmd("HELLO").arg(3).get_packed_command()];
                let slow = || Trouble::Passing(format!("no answer within {CONNECT_TIME:?}"));
                let answers = within(CONNECT_TIME, link.ask(&hello)).await;
                let answers = answers.unwrap_or_else(|| Err(slow()))?;
                link.renewable = accept(&answers, "refused").is_ok();
                if !link.renewable {
                    log::debug!("redis {self}: no RESP3, so new tokens need new connections");
                }
            }
            Ok(link)
        })
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

    /// Connects and, where TLS is spoken, tells its version and the server's certificate.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    pub fn certificate(&self) -> Boxed<'_, Option<(String, Vec<u8>)>> {
        Box::pin(self.look_at_certificate())
    }

    async fn look_at_certificate(&self) -> Result<Option<(String, Vec<u8>)>, Trouble> {
        let (RedisHost::Tcp { host, port, .. }, Some((connector, name))) = (&self.host, &self.tls)
        else {
            return Ok(None);
        };
        let handshake = async {
            let tcp = TcpStream::connect((host.as_str(), *port)).await;
            let tcp = tcp.map_err(|error| Trouble::Passing(format!("can't connect: {error}")))?;
            let tls = connector.connect(name.clone(), tcp).await;
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

    async fn open(&self) -> Result<Link, Trouble> {
        let unreachable = |error: io::Error| Trouble::Passing(format!("can't connect: {error}"));
        let stream: Stream = match &self.host {
            RedisHost::Unix(path) => {
                Box::new(UnixStream::connect(path).await.map_err(unreachable)?)
            }
            RedisHost::Tcp { host, port, .. } => {
                let tcp = TcpStream::connect((host.as_str(), *port))
                    .await
                    .map_err(unreachable)?;
                watch(&tcp).map_err(unreachable)?;
                match &self.tls {
                    None => Box::new(tcp),
                    Some((connector, name)) => {
                        let handshake = connector.connect(name.clone(), tcp).await;
                        Box::new(handshake.map_err(tls_trouble)?)
                    }
                }
            }
        };
        let (read, write) = smol::io::split(stream);
        Ok(Link {
            replies: Replies::new(read),
            commands: write,
            renewable: false,
        })
    }

    async fn sign_in(
        &self,
        link: &mut Link,
        proof: Option<&(Arc<Proof>, bool)>,
    ) -> Result<(), Trouble> {
        if let Some((proof, new)) = proof {
            let answers = link.ask(&[proof.command()]).await?;
            accept(&answers, "sign-in refused")
                .map_err(|trouble| self.login.refused(*new, trouble))?;
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
            if answer::news(&answer) == Some(News::Subscribed) {
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
