//! The command line and the environment.
//!
//! A flag wins over its variable `NATTERJACK_*`, and the variable over `PORT` and `REDIS_*`. An
//! error is one line that names the setting, the value and what is allowed.

use std::str::FromStr;

use argh::FromArgs;
use log::LevelFilter;

use super::flags::Args;
use super::listen::{address, listen_addresses};
use super::setting::{Env, list, number, repeated, setting};
#[cfg(feature = "full")]
use super::tokens::{self, TokenRequest};
use super::{Config, Hosts, Networks, Origins, origins, redis};

/// Why the program ends before the server starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EarlyExit {
    /// Print this text on stdout: the help or the version.
    Print(String),
    /// `--check` with these settings.
    Check(Box<Config>),
    /// `--probe` with these settings.
    Probe(Box<Config>),
    /// `--issue` with these settings.
    #[cfg(feature = "full")]
    Issue(Box<Config>, TokenRequest),
    /// An error in the settings, as one line.
    Usage(String),
}

/// Reads the settings. `args` are without the program's name. `env` looks up a variable.
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
    // An empty variable counts as not set: so it can be unset in a file of settings.
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
    // argh knows only `--flag value`, not `--flag=value`.
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
        // Saturates on 32-bit machines.
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
        let more = [args.jwt_audience, args.jwt_issuer, args.jwt_name];
        config.tokens = tokens::settings(args.jwt_key, more, env)?;
    }
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

/// The files of the certificate, if any. One file without the other is an error.
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
