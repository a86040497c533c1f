//! The command line and the environment.
//!
//! A flag wins over its variable `NATTERJACK_*`, and the variable over `PORT` and `REDIS_*`. An
//! error is one line that names the setting, the value and what is allowed.

use std::net::Ipv6Addr;

use argh::{EarlyExit, FromArgs};

use super::Config;
use super::redis_url::redis_host;
use super::values::{NAME, number};

/// The flags with a value that have no variable, because they are for one run.
const NO_VARIABLE: [&str; 3] = ["--issue", "--days", "--rooms"];

/// Flags that need another one, and why.
const NEEDS: [(&str, &str, &str); 8] = [
    ("--tls-cert", "--tls-key", ", the file of its key"),
    ("--tls-key", "--tls-cert", ", the certificate"),
    ("--jwt-audience", "--jwt-key", ""),
    ("--jwt-issuer", "--jwt-key", ""),
    ("--jwt-name", "--jwt-key", ""),
    ("--days", "--issue", ""),
    ("--rooms", "--issue", ""),
    ("--mod", "--issue", ""),
];

type Env<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Reads the settings. `args` are without the program's name. `env` looks up a variable.
///
/// # Errors
/// What is wrong, as one line. With the status `Ok`: the help or the version.
pub fn read(args: &[String], env: impl Fn(&str) -> Option<String>) -> Result<Config, EarlyExit> {
    // An empty variable counts as not set: so it can be unset in a file of settings.
    let env = |name: &str| env(name).filter(|value| !value.is_empty());
    // argh knows only `--flag value`, not `--flag=value`.
    let args = args.iter().flat_map(|arg| match arg.split_once('=') {
        Some((flag, value)) if flag.starts_with("--") => vec![flag, value],
        _ => vec![arg.as_str()],
    });
    let mut given = Given {
        args: args.collect(),
        variables: Vec::new(),
    };
    given.variables = given.variables(&env);
    let mut config = given.parse().or_else(|early| {
        // Wrong variables don't stand in the way of the help, the version and errors in flags.
        given.variables.clear();
        match given.parse()? {
            config if config.version => Ok(config),
            _ => Err(early),
        }
    })?;
    if config.version {
        return Err(EarlyExit {
            output: format!("natterjack {}", env!("CARGO_PKG_VERSION")),
            status: Ok(()),
        });
    }
    given.complete(&mut config, &env)?;
    Ok(config)
}

/// A flag that is set by a variable.
struct Variable {
    flag: String,
    name: String,
    value: String,
}

struct Given<'a> {
    args: Vec<&'a str>,
    variables: Vec<Variable>,
}

impl Given<'_> {
    fn parse(&self) -> Result<Config, EarlyExit> {
        let variables = self.variables.iter();
        let set = variables.flat_map(|variable| [variable.flag.as_str(), &variable.value]);
        let args: Vec<&str> = set.chain(self.args.iter().copied()).collect();
        Config::from_args(&["natterjack"], &args).map_err(|mut early| {
            early.output = match early.output.trim_end().split_once(NAME) {
                // Error parsing option '--flag' with value 'value': ...
                Some((option, why)) => {
                    let flag = option.split('\'').nth(1).unwrap_or_default();
                    format!("{}{why}", self.name_of(flag).unwrap_or(flag))
                }
                None if early.status.is_ok() => early.output.trim_end().into(),
                None => {
                    let lines: Vec<&str> = early.output.lines().map(str::trim).collect();
                    format!("{}; see --help", lines.join(" "))
                }
            };
            early
        })
    }

    /// What sets this flag: the flag itself, or a variable.
    fn name_of(&self, flag: &str) -> Option<&str> {
        let variables = self.variables.iter();
        let mut variables = variables.filter(|variable| variable.flag == flag);
        let given = self.args.iter().copied().find(|arg| *arg == flag);
        given.or_else(|| variables.next().map(|variable| variable.name.as_str()))
    }

    /// The flags that are set by variables.
    fn variables(&self, env: Env<'_>) -> Vec<Variable> {
        // argh lists its flags only in the help: `[--listen <addr...>] [--redis <url>] [--check]`.
        let help = Config::from_args(&["natterjack"], &["--help"]);
        let help = help.map_or_else(|help| help.output, |_| String::new());
        let usage = help.lines().next().unwrap_or_default();
        let mut variables = Vec::new();
        for (flag, value) in usage.split('[').filter_map(|flag| flag.split_once(" <")) {
            if self.name_of(flag).is_some() || NO_VARIABLE.contains(&flag) {
                continue;
            }
            let own = flag.trim_start_matches('-').replace('-', "_");
            let mut names = vec![format!("NATTERJACK_{}", own.to_ascii_uppercase())];
            if flag == "--redis" {
                names.push("REDIS_URL".into());
            }
            let set = names.into_iter().find_map(|name| Some((env(&name)?, name)));
            let Some((set, name)) = set else {
                continue;
            };
            // A repeatable flag has a list.
            let values = match value.contains("...") {
                true => set.split(',').map(str::trim).collect(),
                false => vec![set.as_str()],
            };
            variables.extend(values.into_iter().map(|value| Variable {
                flag: flag.into(),
                name: name.clone(),
                value: value.into(),
            }));
        }
        variables
    }

    /// Sets what depends on several settings, and checks that they go together.
    fn complete(&self, config: &mut Config, env: Env<'_>) -> Result<(), String> {
        if config.listen.is_empty() {
            let port = env("PORT").map_or(Ok(8080), |port| number::<u16, 0, 65535>(&port));
            let port = port.map_err(|why| why.replace(NAME, "PORT"))?;
            config.listen = vec![(Ipv6Addr::UNSPECIFIED, port).into()];
        }
        if config.data.is_none() && cfg!(feature = "full") {
            // systemd.exec(5): several folders are separated by colons.
            let folders = env("STATE_DIRECTORY").unwrap_or_default();
            let first = folders.split(':').next().filter(|first| !first.is_empty());
            config.data = first.map(Into::into);
        }
        for (flag, other, why) in NEEDS {
            if let (Some(name), None) = (self.name_of(flag), self.name_of(other)) {
                return Err(format!("{name} needs {other}{why}"));
            }
        }
        if self.name_of("--issue").is_some() && config.check {
            return Err("--issue and --check are two things; one at a time".into());
        }
        if config.redis.is_none() {
            config.redis = redis_host(env)?;
        }
        let command = self.name_of("--redis-auth-command");
        let ca = self.name_of("--redis-ca");
        let Some(redis) = &mut config.redis else {
            return match command.or(ca) {
                Some(name) => Err(format!("{name} needs --redis")),
                None => Ok(()),
            };
        };
        redis.username = redis.username.take().or_else(|| env("REDIS_USERNAME"));
        redis.password = redis.password.take().or_else(|| env("REDIS_PASSWORD"));
        if let (Some(name), Some(_)) = (command, &redis.password) {
            return Err(format!(
                "{name} is instead of a password, and there is one: in the URL, or REDIS_PASSWORD"
            ));
        }
        if ca.is_some() && !redis.host.is_tls() {
            return Err("--redis-ca is for TLS: rediss://, or REDIS_TLS=1".into());
        }
        redis.ca = config.redis_ca.take();
        #[cfg(feature = "full")]
        {
            redis.auth_command = config.redis_auth_command.take();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
