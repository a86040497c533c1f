//! Redis Sentinel: asked at every connect which Redis is the primary now ("Guidelines
//! for Redis clients with support for Redis Sentinel").
//!
//! The sentinels are asked in turn, and the first that knows is believed; what it names must call
//! itself a primary. It is asked again and again afterwards: in a planned failover the old primary
//! goes on taking messages that nobody will ever read, for ten seconds and more.

use std::sync::atomic::Ordering;
use std::time::Duration;

use redis::{Value, cmd};
use smol::future;

use super::Endpoint;
use crate::config::{RedisHost, Sentinels};
use crate::reactor::Timer;
use crate::redis::cluster::Address;
use crate::redis::connection::{Connection, Primary};
use crate::redis::error::{Boxed, Error, accept, answer_within};

/// A sentinel that has not answered within this time, from the look-up of its name on, is passed
/// over: there are others.
const REPLY_TIME: Duration = Duration::from_secs(2);

/// How often a sentinel is asked whether the primary is still the same.
const LOOK: Duration = Duration::from_secs(1);

impl Endpoint {
    /// Connects to the current primary, and signs in there.
    ///
    /// # Errors
    /// One line that names the sentinels if none knows, or the primary if it can't be used.
    pub(super) async fn connect_by(&self, sentinels: &Sentinels) -> Result<Connection, Error> {
        let primary = self.find_primary(sentinels).await?;
        let connection = self.connect_to_primary(&primary).await;
        let turn = match &connection {
            Ok(_) => {
                log::info!("redis {self}: the primary is {}", primary.address);
                primary.named_by
            }
            // It may be cut off from the others, and behind the times.
            Err(_) => primary.named_by + 1,
        };
        self.turn.store(turn, Ordering::Relaxed);
        connection
    }

    /// Ends with one line when another Redis has become the primary and can be reached. Without
    /// sentinels, never.
    pub async fn primary_changed(&self, primary: Option<&Primary>) -> Error {
        let (RedisHost::Sentinel(sentinels), Some(primary)) = (&self.host, primary) else {
            return future::pending().await;
        };
        let (mut place, mut connection) = (primary.named_by, None);
        loop {
            Timer::after(LOOK).await;
            let named = self.primary_from(sentinels, place, &mut connection).await;
            let Ok(address) = named else {
                (place, connection) = ((place + 1) % sentinels.hosts.len(), None);
                continue;
            };
            if address == primary.address {
                continue;
            }
            let named_by = place;
            let other = Primary { address, named_by };
            // A sentinel that was cut off may still name a primary of the past.
            if self.connect_to_primary(&other).await.is_ok() {
                self.turn.store(place, Ordering::Relaxed);
                return Error::Transient(format!("the primary is now {}", other.address));
            }
        }
    }

    /// Asks one sentinel after the other, beginning with the one that was right last time.
    async fn find_primary(&self, sentinels: &Sentinels) -> Result<Primary, Error> {
        let count = sentinels.hosts.len();
        let turn = self.turn.load(Ordering::Relaxed);
        let (mut why, mut fatal) = (Vec::new(), true);
        for named_by in (turn..turn + count).map(|place| place % count) {
            match self.primary_from(sentinels, named_by, &mut None).await {
                Ok(address) => return Ok(Primary { address, named_by }),
                Err(error) => {
                    fatal &= matches!(error, Error::Fatal(_));
                    let (host, port) = &sentinels.hosts[named_by];
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

    /// Asks the sentinel at this place which Redis is the primary, over a connection to it, which
    /// is made if there is none.
    ///
    /// # Errors
    /// One line about what failed, without the sentinel's address.
    pub async fn primary_from(
        &self,
        sentinels: &Sentinels,
        place: usize,
        connection: &mut Option<Connection>,
    ) -> Result<Address, Error> {
        let (host, port) = sentinels.hosts[place].clone();
        let sentinel = Address { host, port };
        let mut question = cmd("SENTINEL");
        question.arg("GET-MASTER-ADDR-BY-NAME").arg(&sentinels.name);
        let question = [question.get_packed_command()];
        let replies = answer_within(REPLY_TIME, async {
            let connection = match connection {
                Some(connection) => connection,
                None => connection.insert(self.open(Some(&sentinel), place).await?),
            };
            let replies = connection.request(&question).await?;
            // Most sentinels want no password; to those that do, the one of Redis is given.
            if matches!(&replies[..], [Value::ServerError(error)] if error.code() == "NOAUTH")
                && let Some(secret) = self.credentials.secret().await?
            {
                self.sign_in(connection, Some(&secret)).await?;
                return connection.request(&question).await;
            }
            Ok(replies)
        });
        let replies = replies.await?;
        match &replies[..] {
            [Value::ServerError(error)]
                if error
                    .details()
                    .is_some_and(|why| why.starts_with("unknown command")) =>
            {
                Err(Error::Fatal("it is no sentinel".into()))
            }
            [Value::Nil] => {
                let why = format!("no such master \"{}\"", sentinels.name);
                Err(Error::Fatal(why))
            }
            replies => {
                accept(replies, "refused")?;
                let senseless = || Error::Fatal("its answer makes no sense".into());
                replies.first().and_then(address).ok_or_else(senseless)
            }
        }
    }

    /// Connects to a primary that a sentinel has named, makes sure that it is one, and signs in.
    ///
    /// # Errors
    /// One line about what failed, with the primary's address.
    pub(super) fn connect_to_primary<'a>(&'a self, primary: &'a Primary) -> Boxed<'a, Connection> {
        Box::pin(async move {
            let Primary { address, named_by } = primary;
            let connection = async {
                let mut connection = self.connect_signed_in(Some(address), *named_by).await?;
                let master = Value::BulkString(b"master".to_vec());
                match connection.ask(cmd("ROLE").get_packed_command()).await? {
                    // A user who may not ask finds out by writing.
                    Value::ServerError(_) => {}
                    Value::Array(role) if role.first() == Some(&master) => {}
                    _ => {
                        let why = "the sentinels' choice is a replica; it is asked for again";
                        return Err(Error::Transient(why.into()));
                    }
                }
                connection.primary = Some(primary.clone());
                Ok(connection)
            };
            let named = |why| format!("primary {address}: {why}");
            connection.await.map_err(|error: Error| error.map(named))
        })
    }
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
        use crate::redis::resp::parsed;
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
