//! Three real sentinels that watch over a Redis and its replicas.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use natterjack::config::{self, RedisAddress, RedisHost};
use tempfile::TempDir;

use super::redis::program;
use super::{Certs, DEADLINE, Redis, free_port, sentinels_have};

/// How they call the primary.
const NAME: &str = "pond";

/// Two of them must agree before one puts a replica in the primary's place, two seconds after the
/// primary has fallen silent: less, and a busy machine looks like a dead primary. They run until they are dropped.
pub struct Sentinels {
    folder: TempDir,
    children: Vec<Option<Child>>,
    ports: Vec<u16>,
    replicas: usize,
    tls: bool,
    password: Option<String>,
}

impl Sentinels {
    /// Over this primary, which has so many replicas.
    pub fn over(primary: &Redis, replicas: usize) -> Sentinels {
        Sentinels::launch(primary, replicas, None)
    }

    /// With TLS and a password, over a primary with the same. They know it by its address, and the
    /// certificates are for a name.
    pub fn with_tls(primary: &Redis, certs: &Certs, password: &str) -> Sentinels {
        Sentinels::launch(primary, 0, Some((certs, password)))
    }

    fn launch(primary: &Redis, replicas: usize, safe: Option<(&Certs, &str)>) -> Sentinels {
        let mut sentinels = Sentinels {
            folder: tempfile::tempdir().unwrap(),
            children: Vec::new(),
            ports: vec![free_port(), free_port(), free_port()],
            replicas,
            tls: safe.is_some(),
            password: safe.map(|(_, password)| password.into()),
        };
        let mut more = String::new();
        if let Some((certs, password)) = safe {
            let path = |name: &str| certs.path(name).display().to_string();
            more = format!(
                "requirepass {password}\nsentinel auth-pass {NAME} {password}\n\
                 tls-auth-clients no\ntls-replication yes\ntls-cert-file {}\n\
                 tls-key-file {}\ntls-ca-cert-file {}\n",
                path("cert.pem"),
                path("key.pem"),
                path("ca.pem"),
            );
        }
        for (i, port) in sentinels.ports.clone().into_iter().enumerate() {
            let ports = match safe {
                None => format!("port {port}"),
                Some(_) => format!("port 0\ntls-port {port}"),
            };
            let file = format!(
                "{ports}\nunixsocket {}\nbind 127.0.0.1\ndir {}\n\
                 sentinel monitor {NAME} 127.0.0.1 {} 2\n\
                 sentinel down-after-milliseconds {NAME} 2000\n\
                 sentinel failover-timeout {NAME} 3000\n{more}",
                sentinels.path(i, "sock").display(),
                sentinels.folder.path().display(),
                primary.port(),
            );
            fs::write(sentinels.path(i, "conf"), file).unwrap();
            let child = Command::new(program())
                .arg(sentinels.path(i, "conf"))
                .arg("--sentinel")
                .stdin(Stdio::null())
                .stdout(fs::File::create(sentinels.path(i, "log")).unwrap())
                .spawn()
                .expect("redis-server must be installed: apt-get install redis-server");
            sentinels.children.push(Some(child));
        }
        sentinels.wait_until_ready();
        sentinels
    }

    fn path(&self, i: usize, kind: &str) -> PathBuf {
        self.folder.path().join(format!("sentinel-{i}.{kind}"))
    }

    /// Waits until those that run know of each other and of every replica, so that they can act.
    pub fn wait_until_ready(&self) {
        let state = format!("slaves={},sentinels=3", self.replicas);
        sentinels_have("the sentinels know each other", || {
            let know = |i: usize| {
                let info = self.try_command(i, &["INFO", "sentinel"]);
                info.is_some_and(|info| info.contains("status=ok") && info.contains(&state))
            };
            self.running().all(know).then_some(())
        });
    }

    /// Where to ask them; the password, if there is one, is Redis' too.
    pub fn address(&self) -> RedisAddress {
        let host = if self.tls { "localhost" } else { "127.0.0.1" };
        let hosts = self.ports.iter().map(|port| (host.into(), *port));
        RedisAddress {
            host: RedisHost::Sentinel(config::Sentinels {
                hosts: hosts.collect(),
                name: NAME.into(),
                tls: self.tls,
            }),
            username: None,
            password: self.password.clone(),
            ca: None,
            auth_command: None,
        }
    }

    /// The same as a URL, without the password.
    pub fn url(&self) -> String {
        let (scheme, host) = match self.tls {
            true => ("rediss+sentinel", "localhost"),
            false => ("redis+sentinel", "127.0.0.1"),
        };
        let hosts = self.ports.iter().map(|port| format!("{host}:{port}"));
        format!("{scheme}://{}/{NAME}", hosts.collect::<Vec<_>>().join(","))
    }

    /// The port of one of them.
    pub fn port(&self, i: usize) -> u16 {
        self.ports[i]
    }

    /// Waits until the first that runs knows a good replica of this primary. It looks at most
    /// every ten seconds.
    pub fn wait_until_followed(&self, primary: u16) {
        let port = primary.to_string();
        let follows = [
            ("flags", "slave"),
            ("master-port", &port),
            ("master-link-status", "ok"),
        ];
        let follows =
            follows.map(|(name, value)| format!("{name}\r\n${}\r\n{value}\r\n", value.len()));
        sentinels_have("the sentinels know a replica", || {
            let question = ["SENTINEL", "SLAVES", NAME];
            let answer = self.try_command(self.running().next()?, &question)?;
            follows
                .iter()
                .all(|line| answer.contains(line))
                .then_some(())
        });
    }

    /// Puts a replica in the primary's place, though nothing is wrong; waits until it is.
    pub fn fail_over(&self) {
        let before = self.primary();
        sentinels_have(
            "a replica becomes the primary, as all sentinels know",
            || {
                let mut known = self.running().map(|i| self.primary_of(i));
                let after = known.next()??;
                if after == before {
                    // It may not be ready for it yet, and on a busy machine it may give up.
                    let order = ["SENTINEL", "FAILOVER", NAME];
                    self.try_command(self.running().next()?, &order)?;
                    return None;
                }
                // One that has not heard of it yet might undo it.
                known.all(|port| port == Some(after)).then_some(())
            },
        );
    }

    /// The port of the primary, as the first sentinel that runs knows it.
    pub fn primary(&self) -> u16 {
        sentinels_have("a sentinel knows the primary", || {
            self.primary_of(self.running().next()?)
        })
    }

    fn primary_of(&self, i: usize) -> Option<u16> {
        let question = ["SENTINEL", "GET-MASTER-ADDR-BY-NAME", NAME];
        let answer = self.try_command(i, &question)?;
        answer.lines().last()?.parse().ok()
    }

    /// Ends one of them.
    pub fn kill(&mut self, i: usize) {
        let mut child = self.children[i].take().expect("it runs");
        child.kill().unwrap();
        child.wait().unwrap();
    }

    fn running(&self) -> impl Iterator<Item = usize> {
        (0..self.children.len()).filter(|i| self.children[*i].is_some())
    }

    /// Its answer as it is on the wire.
    fn try_command(&self, i: usize, command: &[&str]) -> Option<String> {
        let mut stream = UnixStream::connect(self.path(i, "sock")).ok()?;
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        let mut lines = String::new();
        if let Some(password) = &self.password {
            lines += &format!("AUTH {password}\r\n");
        }
        lines += &format!("{}\r\nPING\r\n", command.join(" "));
        stream.write_all(lines.as_bytes()).ok()?;
        let mut answer = BufReader::new(stream);
        if self.password.is_some() {
            answer.read_line(&mut String::new()).ok()?;
        }
        let mut heard = String::new();
        while !heard.ends_with("+PONG\r\n") {
            if answer.read_line(&mut heard).ok()? == 0 {
                return None;
            }
        }
        Some(heard.trim_end_matches("+PONG\r\n").to_string())
    }
}

impl Drop for Sentinels {
    fn drop(&mut self) {
        for child in self.children.iter_mut().flatten() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
