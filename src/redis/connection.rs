//! One connection to Redis, over TCP, TLS or a unix socket, with one request after the other.

use std::io;
use std::time::Duration;

use redis::{Value, cmd};
use smol::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};

use super::cluster::Address;
use super::error::{Boxed, Error, accept, text_of};
use super::reply::{self, Push};
use super::resp::Replies;
use crate::time::timeout;

/// A write that Redis does not take within this time ends the connection.
const WRITE_TIME: Duration = Duration::from_secs(10);

/// The replies of a connection.
pub type Reader = Replies<ReadHalf<Stream>>;

/// The writing half of a connection.
pub struct Writer(WriteHalf<Stream>);

impl Writer {
    /// Writes commands.
    ///
    /// # Errors
    /// The connection is lost, or Redis takes nothing.
    pub async fn write(&mut self, commands: &[u8]) -> Result<(), Error> {
        match timeout(WRITE_TIME, self.write_all(commands)).await {
            Some(Ok(())) => Ok(()),
            Some(Err(error)) => Err(format!("connection lost: {error}").into()),
            None => Err(format!("nothing is taken within {WRITE_TIME:?}").into()),
        }
    }

    async fn write_all(&mut self, commands: &[u8]) -> io::Result<()> {
        self.0.write_all(commands).await?;
        self.0.flush().await
    }
}

/// A signed-in connection.
pub struct Connection {
    /// Its replies.
    pub replies: Reader,
    /// Where commands go.
    pub commands: Writer,
    /// The primary that it leads to, where a sentinel has named it.
    pub primary: Option<Primary>,
    /// Whether it can sign in again while it is subscribed.
    pub reauthenticable: bool,
    /// The other side's certificate, where TLS is spoken.
    pub certificate: Option<Certificate>,
}

/// The version of TLS, and a certificate in DER form.
pub type Certificate = (&'static str, Vec<u8>);

/// A stream of TCP, TLS or a unix socket.
pub type Stream = Box<dyn Transport>;

/// A stream of bytes both ways.
pub trait Transport: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Transport for T {}

/// The primary that a sentinel has named, and which of the sentinels it was.
#[derive(Clone, Debug)]
pub struct Primary {
    /// Its address, as the sentinel says.
    pub address: Address,
    /// The place of the sentinel among those the operator has named.
    pub named_by: usize,
}

impl Connection {
    /// Not signed in yet.
    pub fn new(stream: Stream) -> Connection {
        let (read, write) = smol::io::split(stream);
        Connection {
            replies: Replies::new(read),
            commands: Writer(write),
            primary: None,
            reauthenticable: false,
            certificate: None,
        }
    }

    /// Sends commands and waits for their replies, in order.
    ///
    /// # Errors
    /// A broken connection.
    pub fn request<'a>(&'a mut self, commands: &'a [Vec<u8>]) -> Boxed<'a, Vec<Value>> {
        Box::pin(async move {
            self.send(&commands.concat()).await?;
            let mut replies = Vec::with_capacity(commands.len());
            for _ in commands {
                replies.push(self.replies.next().await.map_err(broken)?);
            }
            Ok(replies)
        })
    }

    /// Sends one command and waits for its reply.
    ///
    /// # Errors
    /// A broken connection.
    pub async fn ask(&mut self, command: Vec<u8>) -> Result<Value, Error> {
        let mut replies = self.request(&[command]).await?;
        Ok(replies.pop().unwrap_or(Value::Nil))
    }

    /// Subscribes to channels, and to those in `sharded` one by one: a cluster takes only those of one
    /// slot together. What is published on the first before the last is confirmed is skipped: it stands
    /// in a log.
    ///
    /// # Errors
    /// A broken connection, or Redis refuses.
    pub async fn subscribe(
        &mut self,
        channels: &[String],
        sharded: &[String],
    ) -> Result<(), Error> {
        let mut commands = cmd("SUBSCRIBE").arg(channels).get_packed_command();
        for channel in sharded {
            let mut subscribe = cmd("SSUBSCRIBE");
            subscribe.arg(channel).write_packed_command(&mut commands);
        }
        self.send(&commands).await?;
        let mut missing = channels.len() + sharded.len();
        while missing > 0 {
            let reply = self.replies.next().await.map_err(broken)?;
            if let Value::ServerError(error) = &reply
                && error.code() == "MOVED"
            {
                // The map is older than the slot's last move.
                return Err(text_of(error).into());
            }
            accept(std::slice::from_ref(&reply), "refused")?;
            if let Some(Push::Subscribed { .. }) = reply::push(&reply) {
                missing -= 1;
            }
        }
        Ok(())
    }

    async fn send(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.commands.write_all(bytes).await.map_err(broken)
    }
}

fn broken(error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::InvalidData => Error::Fatal(error.to_string()),
        io::ErrorKind::UnexpectedEof => Error::Transient("it closed the connection".into()),
        _ => Error::Transient(error.to_string()),
    }
}
