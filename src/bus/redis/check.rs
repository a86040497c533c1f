//! Looks at everything about Redis that could keep messages from getting through, one step after
//! the other, and says of each how it went.

mod sentinels;
mod storage;

use std::fmt::Display;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_net::resolve;
use redis::{Value, cmd};
use smol::future;

use super::reply;
use super::scripts::{Publication, Scripts};
use crate::certificate::{Certificate, SOON};
use crate::chat::id::Instance;
use crate::config::{Config, RedisAddress, RedisHost};
use crate::redis::connection::Connection;
use crate::redis::endpoint::Endpoint;
use crate::redis::error::{Boxed, Error, no_answer};
use crate::redis::node_connections::NodeConnections;
use crate::redis::pipeline::Pipeline;
use crate::redis::slot::Command;
use crate::report::Report;
use crate::time::{timeout, unix_millis};
use storage::Info;

/// Any step is given up after this time.
const STEP_TIME: Duration = Duration::from_secs(5);
/// The oldest version that has everything we use.
const OLDEST: (u32, u32) = (6, 0);
/// The oldest version in which channels are a matter of permission, and saying hello is not.
const CHANNELS: (u32, u32) = (6, 2);
/// Clocks may differ by so many seconds.
const DRIFT: u64 = 30;

/// Looks at the Redis of these settings.
pub async fn check(address: &RedisAddress, config: &Config, report: &mut Report) {
    let host = &address.host;
    let scripts = Arc::new(Scripts::new(config, Instance(fastrand::u64(..))));
    let endpoint = match Endpoint::new(address, "natterjack-check") {
        Ok(endpoint) => endpoint,
        Err(why) => return report.fail(why),
    };
    if let RedisHost::Tcp {
        host: name, port, ..
    } = host
    {
        match timeout(STEP_TIME, resolve((name.as_str(), *port))).await {
            Some(Ok(found)) => {
                let found: Vec<_> = found.iter().map(|addr| addr.ip().to_string()).collect();
                report.ok(format_args!(
                    "redis {host}: the name is {}",
                    found.join(", ")
                ));
            }
            Some(Err(error)) => {
                return report.fail(format_args!(
                    "redis {host}: the name can't be looked up: {error}"
                ));
            }
            None => {
                return report.fail(format_args!(
                    "redis {host}: no answer from the name server within {STEP_TIME:?}"
                ));
            }
        }
        match endpoint.connector().certificate(None, 0).await {
            Ok(None) => {}
            Ok(Some((version, certificate))) => tls(
                &format_args!("redis {host}"),
                &version,
                &certificate,
                report,
            ),
            Err(error) => {
                let why = error.why();
                return report.fail(format_args!("redis {host}: {why}"));
            }
        }
    }
    if let RedisHost::Sentinel(sentinels) = host {
        sentinels::check_all(&endpoint, sentinels, report).await;
    }
    let mut subscriber = match endpoint.connect().await {
        Ok(subscriber) => subscriber,
        Err(error) => {
            let why = error.why();
            return report.fail(format_args!("redis {host}: {why}"));
        }
    };
    if let Some(primary) = &subscriber.primary {
        sentinels::found(&endpoint, host, primary, report).await;
    }
    let user = endpoint.credentials().describe();
    report.ok(format_args!("redis {host}: connected, {user}"));
    let looks = async {
        let (kind, info) = about(host, &mut subscriber, report).await?;
        if kind != Kind::Cluster
            && let Some(info) = info
        {
            let name = format!("redis {host}");
            storage::look(&[(&name, info)], &name, report);
        }
        if kind == Kind::Replica {
            return Ok(());
        }
        let mut nodes =
            NodeConnections::connect(&endpoint, &mut subscriber, &[], Vec::new()).await?;
        if let Some(map) = nodes.map() {
            let count = map.nodes.len();
            report.ok(format_args!(
                "redis {host}: a cluster, and each of its {count} primaries can be reached"
            ));
            let each = about_each(host, &mut nodes).await?;
            storage::look(&each, &format_args!("redis {host}"), report);
        } else if kind == Kind::Cluster {
            report.fail(format_args!(
                "redis {host}: it is a cluster, and does not say where its slots are; its user needs +cluster|slots"
            ));
            return Ok(());
        }
        let old = version(&mut subscriber)
            .await?
            .is_some_and(|it| it < CHANNELS);
        let needed = scripts.needed(nodes.map().is_some(), old);
        endpoint.connector().enable_reauth(&mut subscriber).await?;
        let publisher = scripts.clone();
        let pipeline = Pipeline::new(move |first, more| publisher.publish(first, more));
        pipeline.connect(nodes.map());
        let carrier = pipeline.run(nodes.into_connections());
        let looks = async {
            permissions(host, &pipeline, &scripts, &needed, report).await?;
            round_trip(host, &pipeline, &mut subscriber, &scripts, config, report).await
        };
        future::or(looks, async { Err(carrier.await) }).await
    };
    let result = timeout(4 * STEP_TIME, looks).await;
    match result {
        Some(Ok(())) => {}
        Some(Err(error)) => {
            let why = error.why();
            report.fail(format_args!("redis {host}: {why}"));
        }
        None => report.fail(format_args!("redis {host}: it does not answer in time")),
    }
}

fn tls(host: &impl Display, version: &str, certificate: &[u8], report: &mut Report) {
    let Some(found) = Certificate::read(certificate) else {
        // It has been verified all the same.
        return report.ok(format_args!("{host}: {version}"));
    };
    let days = found.days_left(unix_millis() / 1000);
    let line = format!("{host}: {version}, its certificate is valid for {days} more days");
    if days < SOON {
        report.warn(format_args!("{line}; renew it"));
    } else {
        report.ok(line);
    }
}

/// What kind of Redis it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// One that has everything, as far as it says.
    Single,
    /// A node of a cluster.
    Cluster,
    /// One that takes no messages.
    Replica,
}

/// What kind of Redis it is, and what it says of itself; nothing if its user may not ask.
async fn about(
    host: &RedisHost,
    connection: &mut Connection,
    report: &mut Report,
) -> Result<(Kind, Option<Info>), Error> {
    let reply = request(connection, cmd("INFO").get_packed_command()).await?;
    let Some(info) = Info::read(&reply) else {
        report.warn(format_args!(
            "redis {host}: it does not say what it is; let its user have +info to see more here"
        ));
        return Ok((Kind::Single, None));
    };
    let (cluster, replica) = (
        info.get("cluster_enabled") == Some("1"),
        info.get("role") == Some("slave"),
    );
    let version = info.get("redis_version").unwrap_or("0");
    if numbers(version) < OLDEST {
        report.fail(format_args!(
            "redis {host}: version {version} is too old, 6.0 is needed"
        ));
    } else {
        report.ok(format_args!("redis {host}: version {version}"));
    }
    // The other nodes of a cluster say which of them are primaries.
    let replica = replica && !cluster;
    if replica {
        report.fail(format_args!(
            "redis {host}: it is a replica, which takes no messages; name the primary"
        ));
    }
    let kind = match (cluster, replica) {
        (true, _) => Kind::Cluster,
        (_, true) => Kind::Replica,
        _ => Kind::Single,
    };
    Ok((kind, Some(info)))
}

/// What each node of a cluster says of itself, and its name in a line.
async fn about_each(
    host: &RedisHost,
    nodes: &mut NodeConnections<'_>,
) -> Result<Vec<(String, Info)>, Error> {
    let info = cmd("INFO").get_packed_command();
    let replies = timeout(STEP_TIME, nodes.request_each(&info)).await;
    let replies = replies.unwrap_or_else(|| Err(no_answer(STEP_TIME)))?;
    let named = replies.iter().filter_map(|(node, reply)| {
        let name = format!("redis {host}: node {node}");
        Info::read(reply).map(|info| (name, info))
    });
    Ok(named.collect())
}

/// The first two numbers of a version.
fn numbers(version: &str) -> (u32, u32) {
    let mut parts = version.split('.').map(|part| part.parse().unwrap_or(0));
    (parts.next().unwrap_or(0), parts.next().unwrap_or(0))
}

/// The version of Redis. `HELLO` tells it even to users who may do nothing else.
async fn version(connection: &mut Connection) -> Result<Option<(u32, u32)>, Error> {
    let words = match request(connection, cmd("HELLO").arg(2).get_packed_command()).await? {
        Value::Array(words) => words,
        // Before 6.2, `HELLO` itself needed a permission.
        Value::ServerError(error) if error.code() == "NOPERM" => return Ok(Some(OLDEST)),
        _ => return Ok(None),
    };
    let words: Vec<_> = words.iter().map(reply::text).collect();
    let name = words
        .iter()
        .position(|word| word.as_deref() == Some("version"));
    let version = name.and_then(|name| words.get(name + 1)?.as_deref());
    Ok(version.map(numbers))
}

/// Tries every command that is used, on keys of its own.
async fn permissions(
    host: &RedisHost,
    pipeline: &Pipeline<Publication>,
    scripts: &Scripts,
    needed: &str,
    report: &mut Report,
) -> Result<(), Error> {
    let mut forbidden = Vec::new();
    let mut others = Vec::new();
    for (name, command) in scripts.acl_probe() {
        match request_nodes(pipeline, command).await? {
            Value::ServerError(error) if error.code() == "NOPERM" => forbidden.push(name),
            // No script is known by that hash: which it says after it has looked at permissions.
            Value::ServerError(error) if error.code() == "NOSCRIPT" => {}
            Value::ServerError(error) => others.push(error.to_string()),
            _ => {}
        }
    }
    for error in &others {
        report.fail(format_args!("redis {host}: {error}"));
    }
    // Some are tried on several keys, one after the other.
    forbidden.sort_unstable();
    forbidden.dedup();
    if !forbidden.is_empty() {
        report.fail(format_args!(
            "redis {host}: not allowed to {}; its user needs {needed}",
            forbidden.join(", ")
        ));
    } else if others.is_empty() {
        report.ok(format_args!(
            "redis {host}: every command that is used is allowed"
        ));
    }
    Ok(())
}

/// Sends something to ourselves, from one connection to the other.
async fn round_trip(
    host: &RedisHost,
    pipeline: &Pipeline<Publication>,
    subscriber: &mut Connection,
    scripts: &Scripts,
    config: &Config,
    report: &mut Report,
) -> Result<(), Error> {
    if let Value::Array(time) = request_nodes(pipeline, Command::on("", &cmd("TIME"))).await?
        && let Some(Value::BulkString(seconds)) = time.first()
        && let Ok(theirs) = String::from_utf8_lossy(seconds).parse::<u64>()
        && let drift = theirs.abs_diff(unix_millis() / 1000)
        && drift > DRIFT
    {
        report.warn(format_args!(
            "redis {host}: its clock and ours differ by {drift} seconds; set both by NTP"
        ));
    }
    let channel = scripts.own_channel();
    subscriber.subscribe(std::slice::from_ref(&channel)).await?;
    let started = Instant::now();
    let mut publish = cmd("PUBLISH");
    publish.arg(&channel).arg("check");
    request_nodes(pipeline, Command::on(&channel, &publish)).await?;
    let heard = timeout(STEP_TIME, subscriber.replies.next()).await;
    match heard {
        Some(Ok(push)) if reply::push(&push).is_some() => report.ok(format_args!(
            "redis {host}: what is published under {} comes back, after {:.1?}",
            config.prefix,
            started.elapsed()
        )),
        _ => report.fail(format_args!(
            "redis {host}: what is published under {} does not come back",
            config.prefix
        )),
    }
    Ok(())
}

/// Asks where the command's keys are.
async fn request_nodes(pipeline: &Pipeline<Publication>, command: Command) -> Result<Value, Error> {
    let commands = [command];
    let replies = timeout(STEP_TIME, pipeline.replies(&commands)).await;
    let mut replies = replies.unwrap_or_else(|| Err(no_answer(STEP_TIME)))?;
    replies.pop().ok_or_else(|| no_answer(STEP_TIME))
}

/// Boxed, so that its code is in the binary once.
fn request(connection: &mut Connection, command: Vec<u8>) -> Boxed<'_, Value> {
    Box::pin(async {
        let command = [command];
        let replies = timeout(STEP_TIME, connection.request(&command)).await;
        let mut replies = replies.unwrap_or_else(|| Err(no_answer(STEP_TIME)))?;
        replies.pop().ok_or_else(|| no_answer(STEP_TIME))
    })
}
