//! The address of Redis: a URL, or `REDIS_HOST`.

use percent_encoding::percent_decode_str;

use super::values::NAME;
use super::{Authority, RedisAddress, RedisHost, Sentinels};

/// Reads a URL.
///
/// # Errors
/// One line that never shows the value: it may contain a password.
pub fn redis_url(value: &str) -> Result<RedisAddress, String> {
    parse(value).map_err(|why| {
        format!(
            "{NAME} is not usable: {why}; redis://HOST:PORT, rediss://, redis+unix://PATH or redis+sentinel://HOST,HOST/NAME"
        )
    })
}

fn parse(value: &str) -> Result<RedisAddress, String> {
    let (scheme, rest) = value.split_once("://").ok_or("no scheme")?;
    if rest.contains('#') {
        return Err("nothing may follow # (a password with # goes into REDIS_PASSWORD)".into());
    }
    let rest = rest.split('?').next().unwrap_or_default();
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let (user, hosts) = authority.rsplit_once('@').unwrap_or(("", authority));
    let (username, password) = user.split_once(':').unwrap_or((user, ""));
    // Empty is the same as none.
    let decoded = |part: &str| match percent_decode_str(part).decode_utf8() {
        Ok(part) => Ok(Some(part.into_owned()).filter(|part| !part.is_empty())),
        Err(_) => Err("not UTF-8"),
    };
    let (username, password) = (decoded(username)?, decoded(password)?);
    let name = path.trim_matches('/');
    let hosts = |default: u16| {
        let hosts = hosts.split(',').map(|host| {
            let host = Authority::parse(host)
                .ok_or("not HOST:PORT (a password with / goes into REDIS_PASSWORD)")?;
            Ok((host.name().to_string(), host.port().unwrap_or(default)))
        });
        hosts.collect::<Result<Vec<_>, &str>>()
    };
    let host = match scheme {
        "redis" | "rediss" => {
            if !matches!(name, "" | "0") {
                return Err("databases have no say in PUBSUB, share a Redis by --prefix".into());
            }
            let Ok([(host, port)]) = <[_; 1]>::try_from(hosts(REDIS_PORT)?) else {
                return Err("more than one host".into());
            };
            let tls = scheme == "rediss";
            RedisHost::Tcp { host, port, tls }
        }
        "redis+unix" | "unix" => match decoded(path)? {
            Some(path) if path.len() > 1 && authority.is_empty() => RedisHost::Unix(path.into()),
            _ => return Err("no absolute path".into()),
        },
        "redis+sentinel" | "rediss+sentinel" => {
            let hosts = hosts(SENTINEL_PORT)?;
            if hosts.len() > MOST_SENTINELS {
                return Err("more than 16 sentinels".into());
            }
            // Sentinels allow only these characters.
            let allowed = |c: char| c.is_ascii_alphanumeric() || ".-_".contains(c);
            if name.is_empty() || !name.chars().all(allowed) {
                return Err("the name of the primary must follow the sentinels".into());
            }
            RedisHost::Sentinel(Sentinels {
                hosts,
                name: name.into(),
                tls: scheme == "rediss+sentinel",
            })
        }
        _ => return Err("unknown scheme".into()),
    };
    Ok(RedisAddress {
        host,
        username,
        password,
        auth_command: None,
        ca: None,
    })
}

/// The default port of Redis.
const REDIS_PORT: u16 = 6379;
/// The default port of sentinels.
const SENTINEL_PORT: u16 = 26379;
/// The most sentinels. Usually there are three or five, and each one that is down costs time.
const MOST_SENTINELS: usize = 16;

/// The ports on which Azure's two services speak TLS.
const AZURE_TLS_PORTS: [u16; 2] = [6380, 10000];

/// The address of `REDIS_HOST`, if it is set.
///
/// # Errors
/// One line that names the variable, and what is allowed.
pub fn redis_host(env: &dyn Fn(&str) -> Option<String>) -> Result<Option<RedisAddress>, String> {
    let Some(value) = env("REDIS_HOST") else {
        return Ok(None);
    };
    // An IPv6 address contains colons, so it is in brackets.
    let (host, port) = match value.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port.parse().unwrap_or(0)),
        _ => (value.as_str(), REDIS_PORT),
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    if port == 0 || host.is_empty() || host.contains(['/', '@', ' ']) {
        return Err(format!("REDIS_HOST \"{value}\" is not allowed: HOST:PORT"));
    }
    let tls = match env("REDIS_TLS").as_deref() {
        None => AZURE_TLS_PORTS.contains(&port),
        Some("1") => true,
        Some("0") => false,
        Some(other) => return Err(format!("REDIS_TLS \"{other}\" is not allowed: 1 or 0")),
    };
    let host = host.to_string();
    Ok(Some(RedisAddress {
        host: RedisHost::Tcp { host, port, tls },
        username: None,
        password: None,
        auth_command: None,
        ca: None,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use argh::EarlyExit;

    use crate::config::args::read;

    fn try_redis(args: &[&str], env: &[(&str, &str)]) -> Result<RedisAddress, EarlyExit> {
        let args: Vec<String> = args.iter().map(ToString::to_string).collect();
        let look_up = |name: &str| {
            let mut env = env.iter();
            env.find(|(key, _)| *key == name)
                .map(|(_, value)| value.to_string())
        };
        read(&args, look_up).map(|config| config.redis.expect("an address"))
    }

    fn redis(args: &[&str], env: &[(&str, &str)]) -> RedisAddress {
        try_redis(args, env).unwrap()
    }

    fn usage(args: &[&str], env: &[(&str, &str)]) -> String {
        match try_redis(args, env) {
            Err(EarlyExit { output, .. }) => output,
            other => panic!("{args:?} {env:?}: {other:?}"),
        }
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
    fn sentinels_are_several_hosts_and_a_name() {
        let found = |url: &str| match redis(&["--redis", url], &[]).host {
            RedisHost::Sentinel(found) => found,
            other => panic!("{url}: {other}"),
        };
        let one = found("redis+sentinel://pi/pond");
        assert_eq!((one.name.as_str(), one.tls), ("pond", false));
        assert_eq!(one.hosts, [("pi".to_string(), 26379)]);
        let many = "rediss+sentinel://me:a%2Cb@pi,[::1]:7,10.0.0.1:26380/my.pond-1_a";
        let three = found(many);
        let hosts = [("pi", 26379), ("::1", 7), ("10.0.0.1", 26380)];
        assert_eq!(
            three.hosts,
            hosts.map(|(host, port)| (host.to_string(), port))
        );
        assert_eq!((three.name.as_str(), three.tls), ("my.pond-1_a", true));
        let signed = redis(&["--redis", many], &[]);
        assert_eq!(signed.username.as_deref(), Some("me"));
        assert_eq!(signed.password.as_deref(), Some("a,b"));
        assert_eq!(
            signed.host.to_string(),
            "my.pond-1_a by sentinels pi:26379, [::1]:7, 10.0.0.1:26380 (TLS)"
        );
        let most = vec!["pi"; 16].join(",");
        assert_eq!(
            found(&format!("redis+sentinel://{most}/pond")).hosts.len(),
            16
        );
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
    fn a_command_is_instead_of_a_password() {
        let command = ["--redis-auth-command", "echo x"];
        let with = |url| [&command[..], &["--redis", url]].concat();
        let address = redis(&with("redis://me@a"), &[]);
        assert_eq!(address.auth_command.as_deref(), Some("echo x"));
        assert_eq!(address.username.as_deref(), Some("me"));
        for (args, env) in [
            (with("redis://:hunter2@a"), vec![]),
            (with("redis://a"), vec![("REDIS_PASSWORD", "hunter2")]),
        ] {
            let line = usage(&args, &env);
            assert!(
                line.starts_with("--redis-auth-command is instead of a password, and there is one"),
                "{line}"
            );
            assert!(!line.contains("hunter2") && !line.contains('\n'), "{line}");
        }
        assert_eq!(usage(&command, &[]), "--redis-auth-command needs --redis");
        let empty = ["--redis-auth-command", " ", "--redis", "redis://a"];
        assert_eq!(usage(&empty, &[]), "--redis-auth-command is empty");
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
            "redis+sentinel://:hunter2@a,b",
            "redis+sentinel://:hunter2@a,b/",
            "redis+sentinel://:hunter2@a,,b/pond",
            "redis+sentinel://:hunter2@a:b,c/pond",
            "redis+sentinel://:hunter2@a,c:b/pond",
            "redis+sentinel://:hunter2@a/pond/0",
            "redis+sentinel://:hunter2@a/the pond",
            "redis+sentinel://:hunter2@/pond",
            "redis+sentinel://:hunter2@a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q/pond",
            "redis+sentinel:hunter2",
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
