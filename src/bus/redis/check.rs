//! Looks at everything about Redis that could keep messages from getting through, one step after
//! the other, and says of each how it went.

mod storage;

use std::collections::BTreeSet;
use std::fmt::Display;
use std::time::{Duration, Instant};

use async_net::resolve;
use redis::{Value, cmd};
use smol::future;

use super::client::Client;
use super::reply;
use super::scripts::Scripts;
use crate::certificate::{Certificate, SOON};
use crate::chat::id::Instance;
use crate::config::{Config, RedisAddress, RedisHost, Sentinels};
use crate::redis::cluster::Address;
use crate::redis::connection::{Connection, Primary};
use crate::redis::error::{Error, answer_within, no_answer, text_of};
use crate::redis::fence::Fence;
use crate::redis::node_connections::NodeConnections;
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
/// The oldest version that has sharded PUBSUB.
const SHARDS: (u32, u32) = (7, 0);
/// Clocks may differ by so many seconds.
const DRIFT: u64 = 30;

/// Looks at the Redis of these settings.
pub async fn check(address: &RedisAddress, config: &Config, report: &mut Report) {
    let scripts = Scripts::new(config, Instance(fastrand::u64(..)));
    let client = match Client::new(address, "natterjack-check", scripts) {
        Ok(client) => client,
        Err(why) => return report.fail(why),
    };
    let mut check = Check {
        client: &client,
        name: format!("redis {}", address.host),
        prefix: &config.prefix,
        report,
    };
    if let Err(error) = check.look(&address.host).await {
        check.fail(error.why());
    }
}

/// One Redis, and where the results go.
struct Check<'a> {
    client: &'a Client,
    /// Its name in the results.
    name: String,
    prefix: &'a str,
    report: &'a mut Report,
}

impl Check<'_> {
    fn ok(&mut self, what: impl Display) {
        self.report.ok(format_args!("{}: {what}", self.name));
    }

    fn warn(&mut self, what: impl Display) {
        self.report.warn(format_args!("{}: {what}", self.name));
    }

    fn fail(&mut self, what: impl Display) {
        self.report.fail(format_args!("{}: {what}", self.name));
    }

    /// Looks at the way to Redis, and at Redis itself.
    async fn look(&mut self, host: &RedisHost) -> Result<(), Error> {
        let endpoint = &self.client.endpoint;
        match host {
            RedisHost::Tcp { host, port, .. } => {
                let found = timeout(STEP_TIME, resolve((host.as_str(), *port))).await;
                let late = || format!("no answer from the name server within {STEP_TIME:?}");
                let found = found.ok_or_else(late)?;
                let found =
                    found.map_err(|error| format!("the name can't be looked up: {error}"))?;
                let found: Vec<_> = found.iter().map(|addr| addr.ip().to_string()).collect();
                self.ok(format_args!("the name is {}", found.join(", ")));
                self.tls(None, 0, &self.name.clone()).await?;
            }
            RedisHost::Sentinel(sentinels) => self.ask_sentinels(sentinels).await,
            _ => {}
        }
        let mut subscriber = endpoint.connect().await?;
        if let Some(Primary { address, named_by }) = &subscriber.primary {
            self.ok(format_args!("{address} is a primary"));
            let name = format!("redis {address}");
            let _ = self.tls(Some(address), *named_by, &name).await;
        }
        let user = endpoint.credentials.describe();
        self.ok(format_args!("connected, {user}"));
        let late = || Err("it does not answer in time".to_string().into());
        let looks = timeout(4 * STEP_TIME, self.look_inside(&mut subscriber)).await;
        looks.unwrap_or_else(late)
    }

    /// Looks at the certificate of a node, or of the configured Redis, if TLS is spoken there.
    async fn tls(
        &mut self,
        node: Option<&Address>,
        named_by: usize,
        name: &str,
    ) -> Result<(), Error> {
        let endpoint = &self.client.endpoint;
        let Some((version, certificate)) = endpoint.certificate(node, named_by).await? else {
            return Ok(());
        };
        match Certificate::read(&certificate) {
            // It has been verified all the same.
            None => self.report.ok(format_args!("{name}: {version}")),
            Some(certificate) => {
                let days = certificate.days_left(unix_millis() / 1000);
                let line =
                    format!("{name}: {version}, its certificate is valid for {days} more days");
                match days < SOON {
                    true => self.report.warn(format_args!("{line}; renew it")),
                    false => self.report.ok(line),
                }
            }
        }
        Ok(())
    }

    /// Asks every sentinel, also those that would only be asked should others be gone, and whether
    /// they agree.
    async fn ask_sentinels(&mut self, sentinels: &Sentinels) {
        let mut found = Vec::new();
        for (place, (host, port)) in sentinels.hosts.iter().enumerate() {
            let (host, port) = (host.clone(), *port);
            let sentinel = Address { host, port };
            let (name, of) = (format!("sentinel {sentinel}"), &sentinels.name);
            let endpoint = &self.client.endpoint;
            match endpoint.primary_from(sentinels, place, &mut None).await {
                Ok(primary) => {
                    let line = format_args!("{name}: the primary of {of} is {primary}");
                    self.report.ok(line);
                    found.push(primary);
                }
                // One that knows is enough to go on; whether there is one is told next.
                Err(error) => self.report.warn(format_args!("{name}: {}", error.why())),
            }
            let _ = self.tls(Some(&sentinel), place, &name).await;
        }
        found.dedup();
        if found.len() > 1 {
            self.report.warn(
                "the sentinels do not agree: one is cut off, or the primary is just changing",
            );
        }
    }

    /// Looks at a connected Redis: what it is, what it keeps, what it allows, and whether messages
    /// get through.
    async fn look_inside(&mut self, subscriber: &mut Connection) -> Result<(), Error> {
        let info = cmd("INFO").get_packed_command();
        let asked = [info.clone(), cmd("HELLO").arg(2).get_packed_command()];
        let replies = answer_within(STEP_TIME, subscriber.request(&asked)).await?;
        let hello = replies.get(1).unwrap_or(&Value::Nil);
        let says = replies.first().and_then(Info::read);
        let says_that = |field, value| {
            says.as_ref()
                .is_some_and(|info| info.get(field) == Some(value))
        };
        let cluster = says_that("cluster_enabled", "1");
        // The other nodes of a cluster say which of them are primaries.
        let replica = !cluster && says_that("role", "slave");
        match says
            .as_ref()
            .map(|info| info.get("redis_version").unwrap_or("0"))
        {
            None => {
                self.warn("it does not say what it is; let its user have +info to see more here, and to notice lost data");
            }
            Some(version) if numbers(version) < OLDEST => {
                self.fail(format_args!("version {version} is too old, 6.0 is needed"));
            }
            Some(version) => self.ok(format_args!("version {version}")),
        }
        if replica {
            self.fail("it is a replica, which takes no messages; name the primary");
        }
        if let Some(info) = says
            && !cluster
        {
            storage::look(&[(self.name.clone(), info)], &self.name, self.report);
        }
        if replica {
            return Ok(());
        }
        let client = self.client;
        let endpoint = &client.endpoint;
        let mut nodes =
            NodeConnections::connect(endpoint, subscriber, &[], &[], &mut Fence::default()).await?;
        let count = nodes.map.as_ref().map(|map| map.nodes.len());
        if let Some(count) = count {
            self.ok(format_args!(
                "a cluster, and each of its {count} primaries can be reached"
            ));
            let mut named = Vec::new();
            let addresses = nodes.map.iter().flat_map(|map| &map.nodes);
            for (node, connection) in addresses.zip(&mut nodes.connections) {
                let reply = answer_within(STEP_TIME, connection.ask(info.clone())).await?;
                let name = format!("{}: node {node}", self.name);
                named.extend(Info::read(&reply).map(|info| (name, info)));
            }
            storage::look(&named, &self.name, self.report);
        } else if cluster {
            self.fail(
                "it is a cluster, and does not say where its slots are; its user needs +cluster|slots",
            );
            return Ok(());
        }
        endpoint.enable_reauth(subscriber).await?;
        let carrier = client.pipeline.run(nodes);
        let looks = async {
            let shards = count.is_some() && knows(hello, SHARDS) == Some(true);
            self.permissions(
                count.is_some(),
                knows(hello, CHANNELS) == Some(false),
                shards,
            )
            .await?;
            self.round_trip(subscriber).await
        };
        future::or(looks, async { Err(carrier.await) }).await
    }

    /// Tries every command that is used, on keys of its own. The words are those of
    /// [`needed`](Scripts::needed).
    async fn permissions(&mut self, cluster: bool, old: bool, shards: bool) -> Result<(), Error> {
        // Some are tried on several keys, one after the other.
        let mut forbidden = BTreeSet::new();
        let mut passed = true;
        for (name, command) in self.client.scripts.acl_probe(shards) {
            match self.request(command).await? {
                Value::ServerError(error) if error.code() == "NOPERM" => {
                    forbidden.insert(name);
                }
                // No script is known by that hash: which it says after it has looked at permissions.
                Value::ServerError(error) if error.code() == "NOSCRIPT" => {}
                Value::ServerError(error) => {
                    passed = false;
                    self.fail(text_of(&error));
                }
                _ => {}
            }
        }
        if !forbidden.is_empty() {
            let forbidden = Vec::from_iter(forbidden).join(", ");
            let needed = self.client.scripts.needed(cluster, old, shards);
            self.fail(format_args!(
                "not allowed to {forbidden}; its user needs {needed}"
            ));
        } else if passed {
            self.ok("every command that is used is allowed");
        }
        Ok(())
    }

    /// Sends something to ourselves, from one connection to the other.
    async fn round_trip(&mut self, subscriber: &mut Connection) -> Result<(), Error> {
        let time = self.request(Command::on("", &cmd("TIME"))).await?;
        if let Some([seconds, _]) = reply::texts(&time).as_deref()
            && let Ok(theirs) = seconds.parse::<u64>()
            && let drift = theirs.abs_diff(unix_millis() / 1000)
            && drift > DRIFT
        {
            self.warn(format_args!(
                "its clock and ours differ by {drift} seconds; set both by NTP"
            ));
        }
        let channel = self.client.scripts.own_channel();
        subscriber
            .subscribe(std::slice::from_ref(&channel), &[])
            .await?;
        let started = Instant::now();
        let publish = Command::on(&channel, cmd("PUBLISH").arg(&channel).arg("check"));
        self.request(publish).await?;
        let heard = timeout(STEP_TIME, subscriber.replies.next()).await;
        let what = format!("what is published under {}", self.prefix);
        match heard {
            Some(Ok(push)) if reply::push(&push).is_some() => {
                let after = started.elapsed();
                self.ok(format_args!("{what} comes back, after {after:.1?}"));
            }
            _ => self.fail(format_args!("{what} does not come back")),
        }
        Ok(())
    }

    /// Asks where the command's keys are.
    async fn request(&self, command: Command) -> Result<Value, Error> {
        let commands = [command];
        let mut replies = answer_within(STEP_TIME, self.client.pipeline.replies(&commands)).await?;
        replies.pop().ok_or_else(|| no_answer(STEP_TIME))
    }
}

/// The first two numbers of a version.
fn numbers(version: &str) -> (u32, u32) {
    let mut parts = version.split('.').map(|part| part.parse().unwrap_or(0));
    (parts.next().unwrap_or(0), parts.next().unwrap_or(0))
}

/// Whether a Redis is of this version or later, by its answer to `HELLO`: this tells the version even to
/// users who may do nothing else. `None`: it does not say.
fn knows(hello: &Value, version: (u32, u32)) -> Option<bool> {
    match hello {
        Value::Array(words) => {
            let texts: Vec<_> = words.iter().filter_map(reply::text).collect();
            let says = texts.iter().skip_while(|text| *text != "version").nth(1)?;
            Some(numbers(says) >= version)
        }
        // Before 6.2, `HELLO` itself needed a permission.
        Value::ServerError(error) if error.code() == "NOPERM" => Some(false),
        _ => None,
    }
}
