//! The command line and the environment.
//!
//! A flag wins over `NATTERJACK_…`, and this over `PORT` and `REDIS_…`. Whatever is wrong is said
//! in one line that names the setting, the value and what is allowed.

use std::str::FromStr;

use argh::FromArgs;
use log::LevelFilter;

use super::listen::{address, listen};
use super::setting::{Env, number, setting};
use super::{Config, Origins, redis};

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
    #[cfg(feature = "redis")]
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
    /// bytes of the longest frame (default 16384)
    #[argh(option, arg_name = "bytes")]
    max_message: Option<String>,
    /// messages a second from one peer, 0 for no limit (default 20)
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
    #[cfg(feature = "tls")]
    #[argh(option, arg_name = "file")]
    tls_cert: Option<String>,
    /// PEM file of the certificate's key
    #[cfg(feature = "tls")]
    #[argh(option, arg_name = "file")]
    tls_key: Option<String>,
    /// file of an HS256 secret, or a public P-256 or Ed25519 key: who connects needs a JSON Web
    /// Token (default: names first come, first served)
    #[cfg(feature = "tokens")]
    #[argh(option, arg_name = "file")]
    jwt_key: Option<String>,
    /// address and port of a listener of its own, for Prometheus (default: none)
    #[argh(option, arg_name = "addr")]
    metrics: Option<String>,
    /// error, warn, info, debug or trace (default info)
    #[argh(option, arg_name = "level")]
    log: Option<String>,
    /// look at everything that could be wrong, say so, and exit
    #[argh(switch)]
    check: bool,
    /// print the version
    #[argh(switch)]
    version: bool,
}

/// Reasons to stop before anything has begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stop {
    /// What was asked for is only this text, on stdout.
    Print(String),
    /// What was asked for is only a look at these settings.
    Check(Box<Config>),
    /// One line about what is wrong.
    Usage(String),
}

/// Reads the settings. `args` does not hold the program's name; `env` looks up a variable.
///
/// # Errors
/// See [`Stop`].
pub fn read(args: &[String], env: impl Fn(&str) -> Option<String>) -> Result<Config, Stop> {
    let args = parse(args)?;
    if args.version {
        return Err(Stop::Print(format!(
            "natterjack {}",
            env!("CARGO_PKG_VERSION")
        )));
    }
    // An empty variable counts as none: that is how one is unset in a file of settings.
    let env = |name: &str| env(name).filter(|value| !value.is_empty());
    let check = args.check;
    match settings(args, &env) {
        Ok(config) if check => Err(Stop::Check(Box::new(config))),
        Ok(config) => Ok(config),
        Err(line) => Err(Stop::Usage(line)),
    }
}

fn parse(args: &[String]) -> Result<Args, Stop> {
    // argh knows `--flag value` only.
    let split = args.iter().flat_map(|arg| match arg.split_once('=') {
        Some((flag, value)) if flag.starts_with("--") => vec![flag, value],
        _ => vec![arg.as_str()],
    });
    let split: Vec<&str> = split.collect();
    Args::from_args(&["natterjack"], &split).map_err(|early| match early.status {
        Ok(()) => Stop::Print(early.output.trim_end().to_string()),
        Err(()) => {
            let line = early
                .output
                .lines()
                .map(str::trim)
                .filter(|line| !line.is_empty());
            let line = line
                .take_while(|line| !line.starts_with("Run "))
                .collect::<Vec<_>>();
            Stop::Usage(format!("{}; see --help", line.join(" ")))
        }
    })
}

fn settings(args: Args, env: Env<'_>) -> Result<Config, String> {
    let mut config = Config {
        listen: listen(args.listen, env)?,
        ..Config::default()
    };
    let ca = setting("redis-ca", args.redis_ca, env).map(|ca| ca.value);
    config.redis = redis::address(args.redis, env)?;
    #[cfg(feature = "redis")]
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
    let variable = env("NATTERJACK_ORIGIN").filter(|_| args.origin.is_empty());
    let listed = variable
        .iter()
        .flat_map(|list| list.split(',').map(|one| one.trim().to_string()));
    let origins: Vec<String> = args.origin.into_iter().chain(listed).collect();
    config.origins = Origins::new(&origins).map_err(|origin| {
        format!("--origin \"{origin}\" is not allowed: * or scheme://host[:port]")
    })?;

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
    if let Some(seconds) = number("ping", args.ping, 1..=3600)? {
        config.ping = seconds as u32;
    }
    if let Some(people) = number("notices", args.notices, 0..=MILLION)? {
        config.notices = people;
    }
    if let Some(threads) = number("threads", args.threads, 1..=64)? {
        config.threads = threads;
    }
    #[cfg(feature = "tls")]
    {
        config.tls = tls(args.tls_cert, args.tls_key, env)?;
    }
    #[cfg(feature = "tokens")]
    {
        let file = setting("jwt-key", args.jwt_key, env);
        config.jwt_key = file.map(|file| file.value.into());
    }
    if let Some(metrics) = setting("metrics", args.metrics, env) {
        if !cfg!(feature = "metrics") {
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
#[cfg(feature = "tls")]
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
mod tests {
    use super::*;

    fn config(args: &[&str], env: &[(&str, &str)]) -> Result<Config, Stop> {
        let args: Vec<String> = args.iter().map(ToString::to_string).collect();
        read(&args, |name| {
            env.iter()
                .find(|(key, _)| *key == name)
                .map(|(_, value)| value.to_string())
        })
    }

    fn usage(args: &[&str], env: &[(&str, &str)]) -> String {
        match config(args, env) {
            Err(Stop::Usage(line)) => line,
            other => panic!("{args:?} {env:?}: {other:?}"),
        }
    }

    #[test]
    fn flags_win_over_variables_and_these_over_port() {
        let port = |args: &[&str], env: &[(&str, &str)]| {
            let listen = config(args, env).unwrap().listen;
            assert_eq!(listen.len(), 1);
            listen[0].port()
        };
        let both = [("PORT", "1"), ("NATTERJACK_LISTEN", "127.0.0.1:2")];
        assert_eq!(port(&[], &[]), 8080);
        assert_eq!(port(&[], &both[..1]), 1);
        assert_eq!(port(&[], &both), 2);
        assert_eq!(port(&["--listen", ":3"], &both), 3);
        assert_eq!(port(&["--listen=[::1]:4"], &both), 4);
        assert_eq!(port(&[], &[("NATTERJACK_LISTEN", ""), ("PORT", "5")]), 5);
    }

    #[test]
    fn every_number_has_its_flag_and_its_variable() {
        let args = [
            "--max-message=100",
            "--rate=0",
            "--outbox=1",
            "--ping=2",
            "--threads=3",
            "--history=4",
            "--notices=5",
            "--max-queued=7",
            "--max-peers-per-ip=8",
        ];
        let some = config(&args, &[("NATTERJACK_MAX_PEERS", "6")]).unwrap();
        assert_eq!(some.max_queued, 7 * 1024 * 1024);
        assert_eq!(some.max_peers_per_ip, Some(8));
        assert_eq!(
            (some.max_message, some.rate, some.outbox, some.ping),
            (100, 0, 1024, 2)
        );
        assert_eq!(
            (some.threads, some.history, some.notices, some.max_peers),
            (3, 4, 5, 6)
        );
        let origins = [("NATTERJACK_ORIGIN", "https://a.example, https://b.example")];
        assert!(
            config(&[], &origins)
                .unwrap()
                .origins
                .allow("https://b.example", None)
        );
    }

    #[test]
    fn a_bad_value_is_named_in_one_line() {
        for (args, says) in [
            (
                &["--rate", "fast"][..],
                "--rate \"fast\" is not allowed: a whole number from 0",
            ),
            (&["--rate", "-1"], "--rate \"-1\" is not allowed"),
            (
                &["--ping", "0"],
                "--ping \"0\" is not allowed: a whole number from 1 to 3600",
            ),
            (
                &["--max-queued", "0"],
                "--max-queued \"0\" is not allowed: a whole number from 1 to",
            ),
            (
                &["--listen", "nowhere"],
                "--listen \"nowhere\" is not allowed: ADDRESS:PORT",
            ),
            (
                &["--log", "off"],
                "--log \"off\" is not allowed: error, warn, info",
            ),
            (&["--prefix", "a b"], "--prefix \"a b\" is not allowed"),
            (
                &["--origin", "me"],
                "--origin \"me\" is not allowed: * or scheme://host",
            ),
            (&["--redis-ca", "x"], "--redis-ca needs --redis"),
            (&["--nonsense"], "--nonsense"),
            (&["stray"], "stray"),
            (&["--rate"], "--rate"),
        ] {
            let line = usage(args, &[]);
            assert!(
                line.contains(says) && !line.contains('\n'),
                "{args:?}: {line}"
            );
        }
        let line = usage(&[], &[("NATTERJACK_RATE", "x")]);
        assert!(
            line.starts_with("NATTERJACK_RATE \"x\" is not allowed"),
            "{line}"
        );
        assert!(usage(&[], &[("PORT", "66000")]).starts_with("PORT \"66000\""));
    }

    #[cfg(feature = "tls")]
    #[test]
    fn a_certificate_and_its_key_come_together() {
        let variable = [("NATTERJACK_TLS_KEY", "k")];
        let files = config(&["--tls-cert", "c"], &variable)
            .unwrap()
            .tls
            .unwrap();
        assert_eq!((files.cert, files.key), ("c".into(), "k".into()));
        assert!(usage(&["--tls-cert", "c"], &[]).starts_with("--tls-cert needs --tls-key"));
        assert!(usage(&[], &variable).starts_with("NATTERJACK_TLS_KEY needs --tls-cert"));
    }

    #[cfg(feature = "redis")]
    #[test]
    fn a_ca_is_of_no_use_without_tls() {
        let plain = ["--redis-ca", "x", "--redis", "redis://localhost"];
        assert!(usage(&plain, &[]).starts_with("--redis-ca is for TLS"));
        let tls = ["--redis-ca", "x", "--redis", "rediss://localhost"];
        assert!(config(&tls, &[]).is_ok());
    }

    #[test]
    fn help_and_version_are_asked_for() {
        let Err(Stop::Print(help)) = config(&["--help"], &[]) else {
            panic!("no help")
        };
        assert!(help.contains("--max-peers"), "{help}");
        let version = format!("natterjack {}", env!("CARGO_PKG_VERSION"));
        assert_eq!(
            config(&["--version"], &[]).unwrap_err(),
            Stop::Print(version)
        );
    }
}
