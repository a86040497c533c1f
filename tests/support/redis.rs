//! A real `redis-server` of one's own, in a temporary folder.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use natterjack::config::{RedisAddress, RedisHost};
use tempfile::TempDir;

use super::{Certs, DEADLINE, eventually, free_pair, free_port};

mod refusals;
mod time;

pub use time::{Saved, is_before_7};

/// Runs until it is dropped. Listens on a unix socket, and if asked to on a TLS port as well.
pub struct Redis {
    folder: TempDir,
    options: Vec<String>,
    child: Option<Child>,
    port: Option<u16>,
    password: Option<String>,
}

/// What is started: `redis-server`, or what `REDIS_SERVER` names, as `valkey-server`.
pub(super) fn program() -> String {
    std::env::var("REDIS_SERVER").unwrap_or_else(|_| "redis-server".into())
}

impl Redis {
    /// On a unix socket: no port to race for.
    pub fn start() -> Redis {
        Redis::launch(&["--port", "0"], None, None)
    }

    /// With a password.
    pub fn with_password(password: &str) -> Redis {
        let options = ["--port", "0", "--requirepass", password];
        Redis::launch(&options, None, Some(password.into()))
    }

    /// One that speaks RESP2 and nothing else.
    pub fn without_hello() -> Redis {
        let options = ["--port", "0", "--rename-command", "HELLO", ""];
        Redis::launch(&options, None, None)
    }

    /// One node of a cluster, with no others yet.
    pub fn as_cluster() -> Redis {
        // It also listens on the port of the cluster's bus.
        let port = free_pair(10_000).to_string();
        Redis::launch(&["--port", &port, "--cluster-enabled", "yes"], None, None)
    }

    /// On a plain TCP port.
    pub fn on_tcp() -> Redis {
        let port = free_port();
        Redis::launch(&["--port", &port.to_string()], Some(port), None)
    }

    /// On a TCP port of every address, also for other hosts.
    pub fn for_others() -> Redis {
        let port = free_port();
        let listen = ["--port", &port.to_string(), "--bind", "0.0.0.0"];
        let options = [&listen[..], &["--protected-mode", "no"]].concat();
        Redis::launch(&options, Some(port), None)
    }

    /// On a TLS port, with a password, under these certificates.
    pub fn with_tls(certs: &Certs, password: &str) -> Redis {
        let port = free_port();
        let path = |name: &str| certs.path(name).display().to_string();
        let options = [
            "--port",
            "0",
            "--tls-port",
            &port.to_string(),
            "--tls-cert-file",
            &path("cert.pem"),
            "--tls-key-file",
            &path("key.pem"),
            "--tls-ca-cert-file",
            &path("ca.pem"),
            "--tls-auth-clients",
            "no",
            "--requirepass",
            password,
        ];
        Redis::launch(&options, Some(port), Some(password.into()))
    }

    /// With these options besides those that all have.
    pub(super) fn launch(options: &[&str], port: Option<u16>, password: Option<String>) -> Redis {
        let folder = tempfile::tempdir().unwrap();
        let options = options.iter().map(ToString::to_string).collect();
        let mut redis = Redis {
            folder,
            options,
            child: None,
            port,
            password,
        };
        redis.run("yes");
        redis
    }

    /// With a log of all that is written, or without.
    fn run(&mut self, log: &str) {
        let folder = self.folder.path();
        let child = Command::new(program())
            .args(["--unixsocket", &self.socket().display().to_string()])
            .args(["--dir", &folder.display().to_string()])
            .args(["--save", "", "--appendonly", log, "--bind", "127.0.0.1"])
            // Written before it is answered, so a kill loses nothing; `everysec` may put the
            // writing off while the disk is busy.
            .args(["--appendfsync", "no"])
            .args(time::options())
            .args(&self.options)
            .stdin(Stdio::null())
            .stdout(fs::File::create(folder.join("log")).unwrap())
            .spawn()
            .expect("redis-server must be installed: apt-get install redis-server");
        self.child = Some(child);
        eventually("redis-server starts", || {
            (self.try_command(&["PING"])?.starts_with("+PONG")).then_some(())
        });
    }

    /// Ends it at once, as a power cut would.
    pub fn kill(&mut self) {
        let mut child = self.child.take().expect("it runs");
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Starts it again, with the data it had.
    pub fn restart(&mut self) {
        self.run("yes");
    }

    /// Makes it hang: connections stay open, nothing is answered.
    pub fn freeze(&self) {
        self.signal("STOP");
    }

    /// Ends the hanging.
    pub fn thaw(&self) {
        self.signal("CONT");
    }

    fn signal(&self, name: &str) {
        let id = self.child.as_ref().expect("it runs").id().to_string();
        assert!(
            Command::new("kill")
                .args(["-s", name, &id])
                .status()
                .unwrap()
                .success()
        );
    }

    /// How to reach its unix socket.
    pub fn address(&self) -> RedisAddress {
        let host = RedisHost::Unix(self.socket());
        RedisAddress {
            host,
            username: None,
            password: self.password.clone(),
            auth_command: None,
            ca: None,
        }
    }

    /// Its URL on the unix socket.
    pub fn url(&self) -> String {
        format!("redis+unix://{}", self.socket().display())
    }

    /// Its TCP port.
    pub fn port(&self) -> u16 {
        self.port.expect("it listens on TCP")
    }

    /// Sends a command and returns the answer as it is on the wire.
    #[track_caller]
    pub fn command(&self, command: &[&str]) -> String {
        self.try_command(command).expect("redis-server answers")
    }

    /// The members of a set, the fields of a list, sorted.
    #[track_caller]
    pub fn list(&self, command: &[&str]) -> Vec<String> {
        let answer = self.command(command);
        let mut lines = answer.split("\r\n").skip(1);
        let mut items = Vec::new();
        while let (Some(_length), Some(item)) = (lines.next(), lines.next()) {
            items.push(item.to_string());
        }
        items.sort();
        items
    }

    /// Makes this user, by rules as `ACL SETUSER` wants them.
    #[track_caller]
    pub fn allow(&self, user: &str, rules: &str) {
        let words = ["ACL", "SETUSER", user].into_iter();
        let mut words: Vec<&str> = words.chain(rules.split(' ')).collect();
        let mut answer = self.command(&words);
        if answer.starts_with('-') {
            // Before 6.2, Redis knows no rights to channels.
            words.retain(|rule| !rule.starts_with('&'));
            answer = self.command(&words);
        }
        assert!(!answer.starts_with('-'), "{answer}");
    }

    /// The connections for chatting: of each its id, and who is signed in.
    #[track_caller]
    pub fn chatters(&self) -> Vec<(String, String)> {
        let list = self.command(&["CLIENT", "LIST"]);
        let word = |line: &str, key: &str| {
            let mut words = line.split(' ').filter_map(|word| word.split_once('='));
            let found = words.find(|(name, _)| *name == key);
            found.map_or(String::new(), |(_, value)| value.to_string())
        };
        list.lines()
            .filter(|line| word(line, "name").starts_with("natterjack"))
            .map(|line| {
                let id = line.find("id=").map_or(line, |at| &line[at..]);
                (word(id, "id"), word(id, "user"))
            })
            .collect()
    }

    /// The same; `None` if its connection ends before the answer.
    pub fn try_command(&self, command: &[&str]) -> Option<String> {
        self.try_all(&[command])
    }

    /// Sends several commands on one connection.
    fn try_all(&self, commands: &[&[&str]]) -> Option<String> {
        let mut stream = UnixStream::connect(self.socket()).ok()?;
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        let mut ask = |command: &[&str]| -> Option<()> {
            let mut bytes = format!("*{}\r\n", command.len());
            for word in command {
                bytes += &format!("${}\r\n{word}\r\n", word.len());
            }
            stream.write_all(bytes.as_bytes()).ok()
        };
        if let Some(password) = &self.password {
            ask(&["AUTH", password])?;
        }
        for command in commands {
            ask(command)?;
        }
        ask(&["QUIT"])?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let answer = answer.strip_suffix("+OK\r\n").unwrap_or(&answer);
        let signed_in = self.password.as_ref().and(answer.strip_prefix("+OK\r\n"));
        Some(signed_in.unwrap_or(answer).to_string())
    }

    pub(super) fn socket(&self) -> PathBuf {
        self.folder.path().join("redis.sock")
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
