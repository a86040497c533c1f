//! The command line and the environment.
//!
//! A flag wins over `NATTERJACK_…`, and this over `PORT` and `REDIS_…`. Whatever is wrong is said
//! in one line that names the setting, the value and what is allowed.

use std::str::FromStr;

use argh::FromArgs;
use log::LevelFilter;

use super::listen::{address, listen_addresses};
use super::setting::{Env, list, number, repeated, setting};
#[cfg(feature = "full")]
use super::tokens::{self, TokenRequest};
use super::{Config, Hosts, Networks, Origins, origins, redis};

/// A small chat server that any WebSocket client can talk to. Alone it needs nothing else; many
/// behind one Redis are one chat.
#[derive(FromArgs, Debug, Default)]
struct Args {
    /// address and port to listen on, [::] for every one of IPv6 and IPv4; repeatable (default
    /// [::]:8080)
    #[argh(option, arg_name = "addr")]
    listen: Vec<String>,
    /// redis://, rediss:// (TLS), redis+unix:// or redis+sentinel:// (default: alone, in memory)
    #[argh(option, arg_name = "url")]
    redis: Option<String>,
    /// PEM file of the private CA that signed Redis' certificate
    #[argh(option, arg_name = "file")]
    redis_ca: Option<String>,
    /// shell command that prints the password or token for Redis; run again before a token ends
    #[cfg(feature = "full")]
    #[argh(option, arg_name = "cmd")]
    redis_auth_command: Option<String>,
    /// what every key and channel in Redis begins with (default chat)
    #[argh(option, arg_name = "name")]
    prefix: Option<String>,
    /// messages kept per room (default 1000)
    #[argh(option, arg_name = "n")]
    history: Option<String>,
    /// a site whose pages may connect, besides the server's own; repeatable, * for any
    #[argh(option, arg_name = "origin")]
    origin: Vec<String>,
    /// a name that this server goes by, requests for others being refused; repeatable (default: any)
    #[argh(option, arg_name = "name")]
    host: Vec<String>,
    /// bytes of the longest frame (default 16384)
    #[argh(option, arg_name = "bytes")]
    max_message: Option<String>,
    /// messages a second under one name, 0 for no limit (default 20)
    #[argh(option, arg_name = "n")]
    rate: Option<String>,
    /// kibibytes that may wait for one peer's socket (default 256)
    #[argh(option, arg_name = "kib")]
    outbox: Option<String>,
    /// mebibytes that may wait for all sockets together (default 64)
    #[argh(option, arg_name = "mib")]
    max_queued: Option<String>,
    /// connections that chat (default 10000, or what the file limit allows)
    #[argh(option, arg_name = "n")]
    max_peers: Option<String>,
    /// the same from one address (default: no limit)
    #[argh(option, arg_name = "n")]
    max_peers_per_ip: Option<String>,
    /// a reverse proxy whose X-Forwarded-For is believed, an address or ADDRESS/BITS; repeatable
    #[argh(option, arg_name = "addr")]
    trust_proxy: Vec<String>,
    /// seconds of silence before a ping (default 25)
    #[argh(option, arg_name = "seconds")]
    ping: Option<String>,
    /// rooms of more people say nothing about who comes and goes (default 500)
    #[argh(option, arg_name = "n")]
    notices: Option<String>,
    /// threads that serve (default: the machine's cores, at most 4)
    #[argh(option, arg_name = "n")]
    threads: Option<String>,
    /// PEM file of the server's certificate and those above it: speak TLS (default: plain)
    #[cfg(feature = "full")]
    #[argh(option, arg_name = "file")]
    tls_cert: Option<String>,
    /// PEM file of the certificate's key
    #[cfg(feature = "full")]
    #[argh(option, arg_name = "file")]
    tls_key: Option<String>,
    /// file of an HS256 secret, of a public key (P-256, Ed25519, RSA), or of a JWKS with several: who
    /// connects needs a JSON Web Token (default: names first come, first served)
    #[cfg(feature = "full")]
    #[argh(option, arg_name = "file")]
    jwt_key: Option<String>,
    /// the audience that a token must have, its aud (default: it must have none)
    #[cfg(feature = "full")]
    #[argh(option, arg_name = "name")]
    jwt_audience: Option<String>,
    /// who must have issued a token, its iss (default: anybody with the key)
    #[cfg(feature = "full")]
    #[argh(option, arg_name = "name")]
    jwt_issuer: Option<String>,
    /// the claim of a token that is the user's name (default: sub)
    #[cfg(feature = "full")]
    #[argh(option, arg_name = "claim")]
    jwt_name: Option<String>,
    /// print a token for this user, signed with --jwt-key (a secret, or a private key), and exit
    #[cfg(feature = "full")]
    #[argh(option, arg_name = "name")]
    issue: Option<String>,
    /// with --issue: days until the token ends (default: 30)
    #[cfg(feature = "full")]
    #[argh(option, arg_name = "n")]
    days: Option<String>,
    /// with --issue: the rooms that it is for, with commas between (default: all)
    #[cfg(feature = "full")]
    #[argh(option, arg_name = "rooms")]
    rooms: Option<String>,
    /// with --issue: its bearer is a moderator
    #[cfg(feature = "full")]
    #[argh(switch, long = "mod")]
    moderator: bool,
    /// address and port of a listener of its own, for Prometheus (default: none)
    #[argh(option, arg_name = "addr")]
    metrics: Option<String>,
    /// error, warn, info, debug or trace (default info)
    #[argh(option, arg_name = "level")]
    log: Option<String>,
    /// look at everything that could be wrong, say so, and exit
    #[argh(switch)]
    check: bool,
    /// ask the server that runs with these settings whether it is ready, and exit
    #[argh(switch)]
    probe: bool,
    /// print the version
    #[argh(switch)]
    version: bool,
}

/// Reasons to stop before anything has begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EarlyExit {
    /// What was asked for is only this text, on stdout.
    Print(String),
    /// What was asked for is only a look at these settings.
    Check(Box<Config>),
    /// What was asked for is only whether the server with these settings is ready.
    Probe(Box<Config>),
    /// What was asked for is only a token, by these settings.
    #[cfg(feature = "full")]
    Issue(Box<Config>, TokenRequest),
    /// One line about what is wrong.
    Usage(String),
}

/// Reads the settings. `args` does not hold the program's name; `env` looks up a variable.
///
/// # Errors
/// See [`EarlyExit`].
pub fn read(args: &[String], env: impl Fn(&str) -> Option<String>) -> Result<Config, EarlyExit> {
    let args = parse(args)?;
    if args.version {
        return Err(EarlyExit::Print(format!(
            "natterjack {}",
            env!("CARGO_PKG_VERSION")
        )));
    }
    // An empty variable counts as none: that is how one is unset in a file of settings.
    let env = |name: &str| env(name).filter(|value| !value.is_empty());
    let (check, probe) = (args.check, args.probe);
    #[cfg(feature = "full")]
    let request = tokens::request(&args.issue, &args.days, &args.rooms, args.moderator, check)
        .map_err(EarlyExit::Usage)?;
    let config = settings(args, &env).map_err(EarlyExit::Usage)?;
    #[cfg(feature = "full")]
    if let Some(request) = request {
        return Err(EarlyExit::Issue(Box::new(config), request));
    }
    match (check, probe) {
        (true, _) => Err(EarlyExit::Check(Box::new(config))),
        (_, true) => Err(EarlyExit::Probe(Box::new(config))),
        _ => Ok(config),
    }
}

fn parse(args: &[String]) -> Result<Args, EarlyExit> {
    // argh knows `--flag value` only.
    let split = args.iter().flat_map(|arg| match arg.split_once('=') {
        Some((flag, value)) if flag.starts_with("--") => vec![flag, value],
        _ => vec![arg.as_str()],
    });
    let split: Vec<&str> = split.collect();
    Args::from_args(&["natterjack"], &split).map_err(|early| match early.status {
        Ok(()) => EarlyExit::Print(early.output.trim_end().to_string()),
        Err(()) => {
            let line = early
                .output
                .lines()
                .map(str::trim)
                .filter(|line| !line.is_empty());
            let line = line
                .take_while(|line| !line.starts_with("Run "))
                .collect::<Vec<_>>();
            EarlyExit::Usage(format!("{}; see --help", line.join(" ")))
        }
    })
}

fn settings(args: Args, env: Env<'_>) -> Result<Config, String> {
    let mut config = Config {
        listen: listen_addresses(args.listen, env)?,
        ..Config::default()
    };
    let ca = setting("redis-ca", args.redis_ca, env).map(|ca| ca.value);
    config.redis = redis::address(args.redis, env)?;
    #[cfg(feature = "full")]
    redis::auth_command(&mut config.redis, args.redis_auth_command, env)?;
    match (&mut config.redis, ca) {
        (Some(redis), Some(_)) if !redis.is_tls() => {
            return Err("--redis-ca is for TLS: rediss://, or REDIS_TLS=1".into());
        }
        (Some(redis), ca) => redis.ca = ca.map(Into::into),
        (None, Some(_)) => return Err("--redis-ca needs --redis".into()),
        (None, None) => {}
    }
    if let Some(prefix) = setting("prefix", args.prefix, env) {
        let odd = |c: char| c.is_control() || c.is_whitespace() || "{}".contains(c);
        if prefix.value.is_empty() || prefix.value.len() > 64 || prefix.value.contains(odd) {
            return prefix.bad("1 to 64 bytes without white space and braces");
        }
        config.prefix = prefix.value;
    }
    config.origins = Origins::new(&list("origin", args.origin, env))
        .map_err(|origin| format!("--origin \"{origin}\" is not allowed: {}", origins::ALLOWED))?;
    config.hosts = Hosts::new(&list("host", args.host, env))
        .map_err(|host| format!("--host \"{host}\" is not allowed: NAME or NAME:PORT"))?;

    const MILLION: usize = 1_000_000;
    let number = |flag, given, range| number(setting(flag, given, env), range);
    if let Some(history) = number("history", args.history, 0..=MILLION)? {
        config.history = history;
    }
    if let Some(bytes) = number("max-message", args.max_message, 64..=16 * 1024 * 1024)? {
        config.max_message = bytes;
    }
    if let Some(rate) = number("rate", args.rate, 0..=MILLION)? {
        config.rate = rate as u32;
    }
    if let Some(kib) = number("outbox", args.outbox, 1..=1024 * 1024)? {
        config.outbox = kib * 1024;
    }
    if let Some(mib) = number("max-queued", args.max_queued, 1..=1024 * 1024)? {
        // As much as there is, where 32 bits can't count it.
        config.max_queued = mib.saturating_mul(1024 * 1024);
    }
    if let Some(peers) = number("max-peers", args.max_peers, 1..=MILLION)? {
        config.max_peers = peers;
    }
    config.max_peers_per_ip = number("max-peers-per-ip", args.max_peers_per_ip, 1..=MILLION)?;
    let proxies = repeated("trust-proxy", args.trust_proxy, env);
    config.trust_proxy = Networks::of(&proxies)?;
    if let Some(seconds) = number("ping", args.ping, 1..=3600)? {
        config.ping = seconds as u32;
    }
    if let Some(people) = number("notices", args.notices, 0..=MILLION)? {
        config.notices = people;
    }
    if let Some(threads) = number("threads", args.threads, 1..=64)? {
        config.threads = threads;
    }
    #[cfg(feature = "full")]
    {
        config.tls = tls(args.tls_cert, args.tls_key, env)?;
    }
    #[cfg(feature = "full")]
    tokens::settings(
        &mut config,
        args.jwt_key,
        [args.jwt_audience, args.jwt_issuer, args.jwt_name],
        env,
    )?;
    if let Some(metrics) = setting("metrics", args.metrics, env) {
        if !cfg!(feature = "full") {
            return Err(format!("{}: this build has no metrics", metrics.name));
        }
        config.metrics = Some(address(&metrics)?);
    }
    if let Some(level) = setting("log", args.log, env) {
        config.log = match LevelFilter::from_str(&level.value) {
            Ok(known) if known != LevelFilter::Off => known,
            _ => return level.bad("error, warn, info, debug or trace"),
        };
    }
    Ok(config)
}

/// Where the certificate is, if there is one. One file without the other is a mistake.
#[cfg(feature = "full")]
fn tls(
    cert: Option<String>,
    key: Option<String>,
    env: Env<'_>,
) -> Result<Option<super::TlsFiles>, String> {
    match (setting("tls-cert", cert, env), setting("tls-key", key, env)) {
        (Some(cert), Some(key)) => Ok(Some(super::TlsFiles {
            cert: cert.value.into(),
            key: key.value.into(),
        })),
        (Some(cert), None) => Err(format!(
            "{} needs --tls-key, the file of its key",
            cert.name
        )),
        (None, Some(key)) => Err(format!("{} needs --tls-cert, the certificate", key.name)),
        (None, None) => Ok(None),
    }
}

#[cfg(test)]
mod tests;
