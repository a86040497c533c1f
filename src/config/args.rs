//! The command line and the environment.
//!
//! A flag wins over `NATTERJACK_…`, and this over `PORT` and `REDIS_…`. Whatever is wrong is said
//! in one line that names the setting, the value and what is allowed.

use std::fmt::Display;
use std::net::{SocketAddr, ToSocketAddrs};
use std::ops::RangeInclusive;
use std::str::FromStr;

use argh::FromArgs;
use log::LevelFilter;
use percent_encoding::percent_decode_str;
use url::Url;

use super::{Config, Origins, RedisAddress, RedisHost};

/// A small chat server that any WebSocket client can talk to. Alone it needs nothing else; many
/// behind one Redis are one chat.
#[derive(FromArgs, Debug, Default)]
struct Args {
    /// address and port to listen on (default 0.0.0.0:8080)
    #[argh(option, arg_name = "addr")]
    listen: Option<String>,
    /// redis://, rediss:// (TLS) or redis+unix:// (default: alone, in memory)
    #[argh(option, arg_name = "url")]
    redis: Option<String>,
    /// PEM file of the private CA that signed Redis' certificate
    #[argh(option, arg_name = "file")]
    redis_ca: Option<String>,
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
    /// connections that chat (default 10000, or what the file limit allows)
    #[argh(option, arg_name = "n")]
    max_peers: Option<String>,
    /// seconds of silence before a ping (default 25)
    #[argh(option, arg_name = "seconds")]
    ping: Option<String>,
    /// rooms of more people say nothing about who comes and goes (default 500)
    #[argh(option, arg_name = "n")]
    notices: Option<String>,
    /// threads that serve (default: the machine's cores, at most 4)
    #[argh(option, arg_name = "n")]
    threads: Option<String>,
    /// error, warn, info, debug or trace (default info)
    #[argh(option, arg_name = "level")]
    log: Option<String>,
    /// print the version
    #[argh(switch)]
    version: bool,
}

/// Reasons to stop before anything has begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stop {
    /// What was asked for is only this text, on stdout.
    Print(String),
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
    settings(args, &env).map_err(Stop::Usage)
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

/// A value, and where it came from.
struct Setting {
    name: String,
    value: String,
}

impl Setting {
    fn bad<T>(&self, allowed: impl Display) -> Result<T, String> {
        Err(format!(
            "{} \"{}\" is not allowed: {allowed}",
            self.name, self.value
        ))
    }
}

type Env<'a> = &'a dyn Fn(&str) -> Option<String>;

/// A flag, or its variable.
fn setting(flag: &str, given: Option<String>, env: Env<'_>) -> Option<Setting> {
    let variable = format!("NATTERJACK_{}", flag.replace('-', "_").to_ascii_uppercase());
    match given {
        Some(value) => Some(Setting {
            name: format!("--{flag}"),
            value,
        }),
        None => env(&variable).map(|value| Setting {
            name: variable,
            value,
        }),
    }
}

fn settings(args: Args, env: Env<'_>) -> Result<Config, String> {
    let mut config = Config {
        listen: listen(args.listen, env)?,
        ..Config::default()
    };
    let ca = setting("redis-ca", args.redis_ca, env).map(|ca| ca.value);
    config.redis = redis(args.redis, env)?;
    match (&mut config.redis, ca) {
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
    if let Some(peers) = number("max-peers", args.max_peers, 1..=MILLION)? {
        config.max_peers = peers;
    }
    if let Some(seconds) = number("ping", args.ping, 1..=3600)? {
        config.ping = seconds as u32;
    }
    if let Some(people) = number("notices", args.notices, 0..=MILLION)? {
        config.notices = people;
    }
    if let Some(threads) = number("threads", args.threads, 1..=64)? {
        config.threads = threads;
    }
    if let Some(level) = setting("log", args.log, env) {
        config.log = match LevelFilter::from_str(&level.value) {
            Ok(known) if known != LevelFilter::Off => known,
            _ => return level.bad("error, warn, info, debug or trace"),
        };
    }
    Ok(config)
}

fn number(setting: Option<Setting>, range: RangeInclusive<usize>) -> Result<Option<usize>, String> {
    let Some(setting) = setting else {
        return Ok(None);
    };
    match setting.value.parse() {
        Ok(number) if range.contains(&number) => Ok(Some(number)),
        _ => setting.bad(format!(
            "a whole number from {} to {}",
            range.start(),
            range.end()
        )),
    }
}

fn listen(given: Option<String>, env: Env<'_>) -> Result<SocketAddr, String> {
    let any = Config::default().listen;
    if let Some(listen) = setting("listen", given, env) {
        // `:8080` is how many other servers write it.
        let value = match listen.value.strip_prefix(':') {
            Some(port) => format!("{}:{port}", any.ip()),
            None => listen.value.clone(),
        };
        let found = value
            .to_socket_addrs()
            .ok()
            .and_then(|mut found| found.next());
        return found.map_or_else(|| listen.bad("ADDRESS:PORT, such as 127.0.0.1:8080"), Ok);
    }
    match env("PORT") {
        None => Ok(any),
        Some(value) => {
            let range = 0..=usize::from(u16::MAX);
            let port = number(
                Some(Setting {
                    name: "PORT".into(),
                    value,
                }),
                range,
            )?;
            Ok(SocketAddr::new(
                any.ip(),
                port.map_or(any.port(), |port| port as u16),
            ))
        }
    }
}

/// Where Redis is: a URL, or `REDIS_HOST`.
fn redis(given: Option<String>, env: Env<'_>) -> Result<Option<RedisAddress>, String> {
    let url = setting("redis", given, env).or_else(|| {
        env("REDIS_URL").map(|value| Setting {
            name: "REDIS_URL".into(),
            value,
        })
    });
    let address = match url {
        Some(url) => Some(redis_url(&url)?),
        None => redis_host(env)?,
    };
    Ok(address.map(|mut address| {
        address.username = address.username.or_else(|| env("REDIS_USERNAME"));
        address.password = address.password.or_else(|| env("REDIS_PASSWORD"));
        address
    }))
}

/// Never shows the value: there may be a password in it.
fn redis_url(setting: &Setting) -> Result<RedisAddress, String> {
    let bad = |why: &str| {
        let name = &setting.name;
        Err(format!(
            "{name} is not usable: {why}; redis://HOST:PORT, rediss:// or redis+unix://PATH"
        ))
    };
    let url = match Url::parse(&setting.value) {
        Ok(url) => url,
        Err(error) => {
            return bad(&format!(
                "{error} (a password with / or # goes into REDIS_PASSWORD)"
            ));
        }
    };
    let decoded = |part: &str| percent_decode_str(part).decode_utf8().map(String::from);
    let given = |part: &str| Some(part.to_string()).filter(|part| !part.is_empty());
    let (username, password) = (
        decoded(url.username()),
        url.password().map(decoded).transpose(),
    );
    let (Ok(username), Ok(password)) = (username, password) else {
        return bad("not UTF-8");
    };
    if url.fragment().is_some() {
        return bad("nothing may follow #");
    }
    let (host, database) = match url.scheme() {
        scheme @ ("redis" | "rediss") => {
            let host = match url.host() {
                Some(url::Host::Ipv6(address)) => address.to_string(),
                Some(host) if !host.to_string().is_empty() => host.to_string(),
                _ => return bad("no host"),
            };
            let (port, tls) = (url.port().unwrap_or(6379), scheme == "rediss");
            (
                RedisHost::Tcp { host, port, tls },
                url.path().trim_matches('/'),
            )
        }
        "redis+unix" | "unix" => match decoded(url.path()) {
            Ok(path) if path.len() > 1 && url.host_str().is_none_or(str::is_empty) => {
                (RedisHost::Unix(path.into()), "")
            }
            _ => return bad("no absolute path"),
        },
        _ => return bad("unknown scheme"),
    };
    if !matches!(database, "" | "0") {
        return bad("databases have no say in PUBSUB, share a Redis by --prefix");
    }
    let password = password.as_deref().and_then(given);
    Ok(RedisAddress {
        host,
        username: given(&username),
        password,
        ca: None,
    })
}

/// The ports on which Azure's two services speak TLS.
const AZURE_TLS_PORTS: [u16; 2] = [6380, 10000];

fn redis_host(env: Env<'_>) -> Result<Option<RedisAddress>, String> {
    let Some(value) = env("REDIS_HOST") else {
        return Ok(None);
    };
    let setting = Setting {
        name: "REDIS_HOST".into(),
        value,
    };
    let tls = match env("REDIS_TLS").as_deref() {
        None => None,
        Some("1") => Some(true),
        Some("0") => Some(false),
        Some(other) => return Err(format!("REDIS_TLS \"{other}\" is not allowed: 1 or 0")),
    };
    // An IPv6 address has colons of its own, and then it is in brackets.
    let (host, port) = match setting.value.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (setting.value.as_str(), None),
    };
    let port = match port.map(u16::from_str) {
        None => 6379,
        Some(Ok(port @ 1..)) => port,
        _ => return setting.bad("HOST:PORT"),
    };
    let host = host
        .trim_start_matches('[')
        .trim_end_matches(']')
        .to_string();
    if host.is_empty() || host.contains(['/', '@', ' ']) {
        return setting.bad("HOST:PORT");
    }
    let tls = tls.unwrap_or(AZURE_TLS_PORTS.contains(&port));
    let host = RedisHost::Tcp { host, port, tls };
    Ok(Some(RedisAddress {
        host,
        username: None,
        password: None,
        ca: None,
    }))
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

    fn redis(args: &[&str], env: &[(&str, &str)]) -> RedisAddress {
        config(args, env).unwrap().redis.unwrap()
    }

    #[test]
    fn flags_win_over_variables_and_these_over_port() {
        let port = |args: &[&str], env: &[(&str, &str)]| config(args, env).unwrap().listen.port();
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
        ];
        let some = config(&args, &[("NATTERJACK_MAX_PEERS", "6")]).unwrap();
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

    #[test]
    fn redis_is_found_by_url_or_by_host() {
        let tcp = |host: &str, port, tls| RedisHost::Tcp {
            host: host.into(),
            port,
            tls,
        };
        for (url, host) in [
            ("redis://pi", tcp("pi", 6379, false)),
            ("redis://pi:7000/0", tcp("pi", 7000, false)),
            ("rediss://a.example:6380", tcp("a.example", 6380, true)),
            ("redis://[::1]:7", tcp("::1", 7, false)),
            (
                "redis+unix:///run/redis.sock",
                RedisHost::Unix("/run/redis.sock".into()),
            ),
        ] {
            assert_eq!(redis(&["--redis", url], &[]).host, host, "{url}");
        }
        for (host, tls, expected) in [
            ("pi", None, tcp("pi", 6379, false)),
            ("a.example:6380", None, tcp("a.example", 6380, true)),
            ("a.example:10000", None, tcp("a.example", 10000, true)),
            ("a.example:6380", Some("0"), tcp("a.example", 6380, false)),
            ("a.example:6379", Some("1"), tcp("a.example", 6379, true)),
            ("[::1]:7000", None, tcp("::1", 7000, false)),
        ] {
            let mut env = vec![("REDIS_HOST", host)];
            env.extend(tls.map(|tls| ("REDIS_TLS", tls)));
            assert_eq!(redis(&[], &env).host, expected, "{env:?}");
        }
    }

    #[test]
    fn passwords_come_from_the_url_or_the_environment() {
        let env = [
            ("REDIS_PASSWORD", "p"),
            ("REDIS_USERNAME", "u"),
            ("REDIS_URL", "redis://a"),
        ];
        let signed = |redis: RedisAddress| (redis.username.unwrap(), redis.password.unwrap());
        assert_eq!(signed(redis(&[], &env)), ("u".into(), "p".into()));
        let url = ["--redis", "rediss://me:s%2Fcret@a"];
        assert_eq!(signed(redis(&url, &env)), ("me".into(), "s/cret".into()));
        let url = ["--redis", "rediss://:secret@a"];
        assert_eq!(signed(redis(&url, &env)), ("u".into(), "secret".into()));
    }

    #[test]
    fn an_unusable_redis_is_named_without_its_password() {
        for url in [
            "http://:hunter2@a",
            "redis://:hunter2@",
            "redis://:hunter2@a/3",
            "rediss://:hunter2@a#insecure",
            "redis://:hunter2/x@a:b",
            "redis+unix://hunter2",
            "hunter2",
        ] {
            let line = usage(&["--redis", url], &[]);
            assert!(line.starts_with("--redis is not usable: "), "{line}");
            assert!(!line.contains("hunter2") && !line.contains('\n'), "{line}");
        }
        assert!(usage(&[], &[("REDIS_HOST", "a:b")]).contains("REDIS_HOST \"a:b\""));
        assert!(usage(&[], &[("REDIS_HOST", "a"), ("REDIS_TLS", "yes")]).contains("REDIS_TLS"));
    }
}
