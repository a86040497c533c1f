//! Three real sentinels that watch over a Redis and its replicas.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use natterjack::config::{self, RedisAddress, RedisHost};
use tempfile::TempDir;

use super::redis::program;
use super::{DEADLINE, Redis, eventually, free_port};

/// How they call the primary.
const NAME: &str = "pond";

/// Two of them must agree before one puts a replica in the primary's place, a second after the
/// primary has fallen silent. They run until they are dropped.
pub struct Sentinels {
    _folder: TempDir,
    children: Vec<Option<Child>>,
    ports: Vec<u16>,
    password: Option<String>,
    replicas: usize,
}

impl Sentinels {
    /// Over this primary, which has so many replicas.
    pub fn over(primary: &Redis, replicas: usize) -> Sentinels {
        Sentinels::launch(primary, replicas, None)
    }

    /// The same, and they want this password, as Redis does.
    pub fn with_password(primary: &Redis, replicas: usize, password: &str) -> Sentinels {
        Sentinels::launch(primary, replicas, Some(password.into()))
    }

    fn launch(primary: &Redis, replicas: usize, password: Option<String>) -> Sentinels {
        let folder = tempfile::tempdir().unwrap();
        let mut sentinels = Sentinels {
            children: Vec::new(),
            ports: Vec::new(),
            password,
            replicas,
            _folder: folder,
        };
        for i in 0..3 {
            let port = free_port();
            let mut file = format!(
                "port {port}\nbind 127.0.0.1\ndir {folder}\n\
                 sentinel monitor {NAME} 127.0.0.1 {primary} 2\n\
                 sentinel down-after-milliseconds {NAME} 1000\n\
                 sentinel failover-timeout {NAME} 3000\n",
                folder = sentinels._folder.path().display(),
                primary = primary.port(),
            );
            if let Some(password) = &sentinels.password {
                file += &format!("requirepass {password}\nsentinel auth-pass {NAME} {password}\n");
            }
            let path = sentinels._folder.path().join(format!("sentinel-{i}.conf"));
            fs::write(&path, file).unwrap();
            let child = Command::new(program())
                .arg(&path)
                .arg("--sentinel")
                .stdin(Stdio::null())
                .stdout(fs::File::create(path.with_extension("log")).unwrap())
                .spawn()
                .expect("redis-server must be installed: apt-get install redis-server");
            sentinels.children.push(Some(child));
            sentinels.ports.push(port);
        }
        sentinels.settle();
        sentinels
    }

    /// Waits until those that run know of each other and of every replica, so that they can act.
    pub fn settle(&self) {
        let state = format!("slaves={},sentinels=3", self.replicas);
        eventually("the sentinels know each other", || {
            let know = |i: usize| {
                let info = self.try_ask(i, &["INFO", "sentinel"]);
                info.is_some_and(|info| info.contains("status=ok") && info.contains(&state))
            };
            self.running().all(know).then_some(())
        });
    }

    /// Where to ask them; the password, if there is one, is Redis' too.
    pub fn address(&self) -> RedisAddress {
        let hosts = self.ports.iter().map(|port| ("127.0.0.1".into(), *port));
        RedisAddress {
            host: RedisHost::Sentinel(config::Sentinels {
                hosts: hosts.collect(),
                name: NAME.into(),
                tls: false,
            }),
            username: None,
            password: self.password.clone(),
            ca: None,
        }
    }

    /// The same as a URL, without the password.
    pub fn url(&self) -> String {
        let hosts: Vec<_> = self
            .ports
            .iter()
            .map(|port| format!("127.0.0.1:{port}"))
            .collect();
        format!("redis+sentinel://{}/{NAME}", hosts.join(","))
    }

    /// The port of one of them.
    pub fn port(&self, i: usize) -> u16 {
        self.ports[i]
    }

    /// Puts a replica in the primary's place, though nothing is wrong; waits until it is.
    pub fn fail_over(&self) {
        let before = self.primary();
        eventually("the sentinels are ready for it", || {
            let answer = self.try_ask(self.running().next()?, &["SENTINEL", "FAILOVER", NAME])?;
            answer.starts_with("+OK").then_some(())
        });
        eventually("a replica becomes the primary", || {
            (self.primary() != before).then_some(())
        });
    }

    /// The port of the primary, as the first sentinel that runs knows it.
    pub fn primary(&self) -> u16 {
        eventually("a sentinel knows the primary", || {
            let question = ["SENTINEL", "GET-MASTER-ADDR-BY-NAME", NAME];
            let answer = self.try_ask(self.running().next()?, &question)?;
            answer.lines().last()?.parse().ok()
        })
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
    fn try_ask(&self, i: usize, command: &[&str]) -> Option<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.ports[i])).ok()?;
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
