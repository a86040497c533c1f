//! Redis Sentinel: asked at every connect which Redis is the primary now ("Guidelines
//! for Redis clients with support for Redis Sentinel").
//!
//! The sentinels are asked in turn, and the first that knows is believed; what it names must call
//! itself a primary. It is asked again and again afterwards: in a planned failover the old primary
//! goes on taking messages that nobody will ever read, for ten seconds and more.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use redis::{ServerError, Value, cmd};
use smol::Timer;

use super::cluster::Address;
use super::connection::{Connection, Primary};
use super::connector::Connector;
use super::error::{Boxed, Error, accept, no_answer};
use crate::config::Sentinels;
use crate::time::timeout;

/// A sentinel that has not answered within this time, from the look-up of its name on, is passed
/// over: there are others.
const REPLY_TIME: Duration = Duration::from_secs(2);

/// How often a sentinel is asked whether the primary is still the same.
const LOOK: Duration = Duration::from_secs(1);

/// The sentinels that the operator has named, asked in turn.
#[derive(Debug)]
pub struct Sentinel {
    hosts: Vec<(String, u16)>,
    /// What they call the primary that is asked for.
    name: String,
    /// Which of them is asked first, counted on and on.
    turn: AtomicUsize,
}

impl Sentinel {
    /// None of them asked yet.
    pub fn new(sentinels: Sentinels) -> Sentinel {
        let Sentinels { hosts, name, .. } = sentinels;
        Sentinel {
            hosts,
            name,
            turn: AtomicUsize::new(0),
        }
    }

    /// Connects to the current primary, and signs in there.
    ///
    /// # Errors
    /// One line that names the sentinels if none knows, or the primary if it can't be used.
    pub fn connect<'a>(&'a self, connector: &'a Connector) -> Boxed<'a, Connection> {
        Box::pin(async move {
            let primary = self.find(connector).await?;
            let connection = connect_to(connector, &primary).await;
            let turn = match &connection {
                Ok(_) => {
                    log::info!("redis {connector}: the primary is {}", primary.address);
                    primary.named_by
                }
                // It may be cut off from the others, and behind the times.
                Err(_) => primary.named_by + 1,
            };
            self.turn.store(turn, Ordering::Relaxed);
            connection
        })
    }

    /// Ends with one line when another Redis has become the primary and can be reached.
    pub async fn primary_changed(&self, connector: &Connector, primary: &Primary) -> Error {
        let (mut place, mut connection) = (primary.named_by, None);
        loop {
            Timer::after(LOOK).await;
            let address = match self.primary_over(connector, place, &mut connection).await {
                Ok(address) => address,
                Err(_) => {
                    (place, connection) = ((place + 1) % self.hosts.len(), None);
                    continue;
                }
            };
            if address == primary.address {
                continue;
            }
            let named_by = place;
            let other = Primary { address, named_by };
            // A sentinel that was cut off may still name a primary of the past.
            if connect_to(connector, &other).await.is_ok() {
                self.turn.store(place, Ordering::Relaxed);
                return Error::Transient(format!("the primary is now {}", other.address));
            }
        }
    }

    /// Asks one sentinel after the other, beginning with the one that was right last time.
    async fn find(&self, connector: &Connector) -> Result<Primary, Error> {
        let count = self.hosts.len();
        let turn = self.turn.load(Ordering::Relaxed);
        let (mut why, mut fatal) = (Vec::new(), true);
        for named_by in (turn..turn + count).map(|place| place % count) {
            match self.primary_from(connector, named_by).await {
                Ok(address) => return Ok(Primary { address, named_by }),
                Err(error) => {
                    fatal &= matches!(error, Error::Fatal(_));
                    let (host, port) = &self.hosts[named_by];
                    why.push(format!("sentinel {host}:{port}: {}", error.why()));
                }
            }
        }
        let why = format!("no sentinel knows the primary: {}", why.join("; "));
        Err(match fatal {
            true => Error::Fatal(why),
            false => Error::Transient(why),
        })
    }

    /// Asks the sentinel at this place which Redis is the primary.
    ///
    /// # Errors
    /// One line about what failed, without the sentinel's address.
    pub async fn primary_from(
        &self,
        connector: &Connector,
        place: usize,
    ) -> Result<Address, Error> {
        self.primary_over(connector, place, &mut None).await
    }

    /// The same over a connection to it, which is made if there is none.
    async fn primary_over(
        &self,
        connector: &Connector,
        place: usize,
        connection: &mut Option<Connection>,
    ) -> Result<Address, Error> {
        let (host, port) = self.hosts[place].clone();
        let sentinel = Address { host, port };
        let question = cmd("SENTINEL")
            .arg("GET-MASTER-ADDR-BY-NAME")
            .arg(&self.name)
            .get_packed_command();
        let question = [question];
        let reply = timeout(REPLY_TIME, async {
            let connection = match connection {
                Some(connection) => connection,
                None => connection.insert(connector.open(Some(&sentinel), place).await?),
            };
            let mut replies = connection.request(&question).await?;
            // Most sentinels want no password; to those that do, the one of Redis is given.
            if wants_password(&replies)
                && let Some(secret) = connector.credentials.secret().await?
            {
                connector.sign_in(connection, Some(&secret)).await?;
                replies = connection.request(&question).await?;
            }
            Ok(replies)
        });
        let replies = reply.await.unwrap_or_else(|| Err(no_answer(REPLY_TIME)))?;
        match replies.first() {
            Some(Value::ServerError(error)) if is_unknown(error) => {
                return Err(Error::Fatal("it is no sentinel".into()));
            }
            Some(Value::Nil) => {
                let why = format!("no such master \"{}\"", self.name);
                return Err(Error::Fatal(why));
            }
            _ => accept(&replies, "refused")?,
        }
        let senseless = || Error::Fatal("its answer makes no sense".into());
        replies.first().and_then(address).ok_or_else(senseless)
    }
}

/// Connects to a primary that a sentinel has named, makes sure that it is one, and signs in.
///
/// # Errors
/// One line about what failed, with the primary's address.
pub fn connect_to<'a>(connector: &'a Connector, primary: &'a Primary) -> Boxed<'a, Connection> {
    Box::pin(async move {
        let Primary { address, named_by } = primary;
        let named = |why| format!("primary {address}: {why}");
        let connection = connector.connect(Some(address), *named_by).await;
        let mut connection = connection.map_err(|error| error.map(named))?;
        let role = [cmd("ROLE").get_packed_command()];
        let role = connection
            .request(&role)
            .await
            .map_err(|error| error.map(named))?;
        match role.first() {
            // A user who may not ask finds out by writing.
            Some(Value::ServerError(_)) => {}
            Some(Value::Array(role)) if matches!(role.first(), Some(Value::BulkString(role)) if role == b"master") =>
                {}
            _ => {
                let why = "the sentinels' choice is a replica; it is asked for again";
                return Err(Error::Transient(named(why.into())));
            }
        }
        connection.primary = Some(primary.clone());
        Ok(connection)
    })
}

fn is_unknown(error: &ServerError) -> bool {
    let details = error.details().unwrap_or_default();
    details.starts_with("unknown command")
}

fn wants_password(replies: &[Value]) -> bool {
    matches!(replies.first(), Some(Value::ServerError(error)) if error.code() == "NOAUTH")
}

fn address(reply: &Value) -> Option<Address> {
    let Value::Array(reply) = reply else {
        return None;
    };
    let [Value::BulkString(host), Value::BulkString(port)] = &reply[..] else {
        return None;
    };
    let host = String::from_utf8(host.clone()).ok()?;
    let port = std::str::from_utf8(port).ok()?.parse().ok()?;
    (!host.is_empty()).then_some(Address { host, port })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_host_and_a_port() {
        let parsed = |reply: &str| redis::parse_redis_value(reply.as_bytes()).unwrap();
        let found = address(&parsed("*2\r\n$5\r\nfd00:\r\n$4\r\n6379\r\n")).unwrap();
        assert_eq!((found.host.as_str(), found.port), ("fd00:", 6379));
        for bad in [
            "*0\r\n",
            "+OK\r\n",
            "*1\r\n$1\r\na\r\n",
            "*2\r\n$1\r\na\r\n$5\r\n70000\r\n",
            "*2\r\n$0\r\n\r\n$1\r\n1\r\n",
            "*2\r\n$1\r\na\r\n:1\r\n",
        ] {
            assert!(address(&parsed(bad)).is_none(), "{bad:?}");
        }
    }
}
