//! Redis Sentinel: somebody to ask, at every connect, which Redis is the primary now ("Guidelines
//! for Redis clients with support for Redis Sentinel").
//!
//! The sentinels are asked in turn, and the first that knows is believed; what it names must call
//! itself a primary. It is asked again and again afterwards: in a planned failover the old primary
//! goes on taking messages that nobody will ever read, for ten seconds and more.

use std::sync::atomic::Ordering;
use std::time::Duration;

use redis::{ServerError, Value, cmd};
use smol::{Timer, future};

use super::cluster::Address;
use super::connection::{Connection, Endpoint};
use super::error::{Boxed, Error, accept};
use crate::config::Sentinels;
use crate::time::timeout;

/// A sentinel that has not answered within this time, from the look-up of its name on, is passed
/// over: there are others.
const ANSWER_TIME: Duration = Duration::from_secs(2);

/// How often a sentinel is asked whether the primary is still the same.
const LOOK: Duration = Duration::from_secs(1);

/// A primary, and which of the sentinels has named it.
#[derive(Clone, Debug)]
pub struct Primary {
    /// Where it is, as the sentinel says.
    pub address: Address,
    /// The place of the sentinel among those the operator has named.
    pub named_by: usize,
}

/// Connects to the primary of now, and signs in there.
///
/// # Errors
/// One line that names the sentinels if none knows, or the primary if it can't be used.
pub fn connect<'a>(endpoint: &'a Endpoint, sentinels: &'a Sentinels) -> Boxed<'a, Connection> {
    Box::pin(async move {
        let primary = find(endpoint, sentinels).await?;
        let connection = reach(endpoint, &primary).await;
        let turn = match &connection {
            Ok(_) => {
                log::info!("redis {endpoint}: the primary is {}", primary.address);
                primary.named_by
            }
            // It may be cut off from the others, and behind the times.
            Err(_) => primary.named_by + 1,
        };
        endpoint.turn.store(turn, Ordering::Relaxed);
        connection
    })
}

/// Connects to a primary that has been found, makes sure that it is one, and signs in.
///
/// # Errors
/// One line about what failed, with the primary's address.
pub fn reach<'a>(endpoint: &'a Endpoint, primary: &'a Primary) -> Boxed<'a, Connection> {
    Box::pin(async move {
        let Primary { address, named_by } = primary;
        let named = |why| format!("primary {address}: {why}");
        let connection = endpoint.connect_within(Some(address), *named_by).await;
        let mut connection = connection.map_err(|error| error.map(named))?;
        let role = [cmd("ROLE").get_packed_command()];
        let role = connection
            .request(&role)
            .await
            .map_err(|error| error.map(named))?;
        match role.first() {
            // Whoever may not ask finds out by writing.
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

/// Ends, with one line, when another has become the primary, and can be reached. Without sentinels,
/// never.
pub async fn replaced(endpoint: &Endpoint, primary: Option<&Primary>) -> String {
    let (Some(sentinels), Some(primary)) = (endpoint.sentinels(), primary) else {
        return future::pending().await;
    };
    let (mut place, mut connection) = (primary.named_by, None);
    loop {
        Timer::after(LOOK).await;
        let address = match primary_over(endpoint, sentinels, place, &mut connection).await {
            Ok(address) => address,
            Err(_) => {
                (place, connection) = ((place + 1) % sentinels.hosts.len(), None);
                continue;
            }
        };
        if address == primary.address {
            continue;
        }
        let named_by = place;
        let other = Primary { address, named_by };
        // One that was cut off may still speak of a primary of the past.
        if reach(endpoint, &other).await.is_ok() {
            endpoint.turn.store(place, Ordering::Relaxed);
            return format!("the primary is now {}", other.address);
        }
    }
}

/// Asks one sentinel after the other, beginning with the one that was right last time.
async fn find(endpoint: &Endpoint, sentinels: &Sentinels) -> Result<Primary, Error> {
    let count = sentinels.hosts.len();
    let turn = endpoint.turn.load(Ordering::Relaxed);
    let (mut why, mut lasting) = (Vec::new(), true);
    for named_by in (turn..turn + count).map(|place| place % count) {
        match primary_from(endpoint, sentinels, named_by).await {
            Ok(address) => return Ok(Primary { address, named_by }),
            Err(error) => {
                lasting &= matches!(error, Error::Fatal(_));
                let (host, port) = &sentinels.hosts[named_by];
                let (Error::Fatal(reason) | Error::Transient(reason)) = error;
                why.push(format!("sentinel {host}:{port}: {reason}"));
            }
        }
    }
    let why = format!("no sentinel knows the primary: {}", why.join("; "));
    Err(match lasting {
        true => Error::Fatal(why),
        false => Error::Transient(why),
    })
}

/// Asks the sentinel at this place which Redis is the primary.
///
/// # Errors
/// One line about what failed, without the sentinel's address.
pub async fn primary_from(
    endpoint: &Endpoint,
    sentinels: &Sentinels,
    place: usize,
) -> Result<Address, Error> {
    primary_over(endpoint, sentinels, place, &mut None).await
}

/// The same over a connection to it, which is made if there is none.
async fn primary_over(
    endpoint: &Endpoint,
    sentinels: &Sentinels,
    place: usize,
    connection: &mut Option<Connection>,
) -> Result<Address, Error> {
    let slow = || Error::Transient(format!("no answer within {ANSWER_TIME:?}"));
    let (host, port) = sentinels.hosts[place].clone();
    let sentinel = Address { host, port };
    let question = cmd("SENTINEL")
        .arg("GET-MASTER-ADDR-BY-NAME")
        .arg(&sentinels.name)
        .get_packed_command();
    let question = [question];
    let reply = timeout(ANSWER_TIME, async {
        let connection = match connection {
            Some(connection) => connection,
            None => connection.insert(endpoint.open(Some(&sentinel), place).await?),
        };
        let mut replies = connection.request(&question).await?;
        // Most sentinels want no password; to those that do, the one of Redis is given.
        if wants_password(&replies)
            && let Some(secret) = endpoint.credentials.secret().await?
        {
            endpoint.sign_in(connection, Some(&secret)).await?;
            replies = connection.request(&question).await?;
        }
        Ok(replies)
    });
    let replies = reply.await.unwrap_or_else(|| Err(slow()))?;
    match replies.first() {
        Some(Value::ServerError(error)) if is_unknown(error) => {
            return Err(Error::Fatal("it is no sentinel".into()));
        }
        Some(Value::Nil) => {
            let why = format!("no such master \"{}\"", sentinels.name);
            return Err(Error::Fatal(why));
        }
        _ => accept(&replies, "refused")?,
    }
    let senseless = || Error::Fatal("its answer makes no sense".into());
    replies.first().and_then(address).ok_or_else(senseless)
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
