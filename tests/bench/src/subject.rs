//! What is measured: a server that the harness starts, finds ready, and ends by its own handle.

use std::fmt::Display;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::cluster;
use crate::line::certificate;
use crate::proc::{Side, pin};

/// What a server speaks.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Speech {
    /// WebSocket, and it sends `Welcome NAME!` to each new peer.
    Greeting,
    /// WebSocket.
    Plain,
    /// The protocol of NATS.
    Nats,
}

/// What those speak who only listen.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Listeners {
    /// The same as the authors.
    Alike,
    /// The typed dialect.
    Typed,
    /// Server-sent events.
    Events,
}

/// A running server, and its Redis where it has one. Both end with it.
pub struct Subject {
    /// What it speaks.
    pub speech: Speech,
    /// What the peers speak who are no authors.
    pub listeners: Listeners,
    /// Where it listens; of several instances, the last one.
    pub address: SocketAddrV4,
    /// Where all its instances listen.
    pub instances: Vec<SocketAddrV4>,
    /// From the start of its process to the first answer.
    pub ready_after: Duration,
    /// Whether it speaks TLS.
    pub tls: bool,
    spread: bool,
    /// How natterjack is started, and what it answers when it is ready.
    command: Option<(Command, &'static str)>,
    /// The instances first.
    children: Vec<Child>,
    /// Where they write.
    folders: Vec<PathBuf>,
}

/// How natterjack is started.
#[derive(Clone, Copy)]
pub struct Setting<'a> {
    /// Messages are kept in this folder.
    pub data: Option<&'a Path>,
    /// Each room keeps so many, not as many as by default.
    pub history: Option<usize>,
    /// With so many Redis of its own, on the same core; more than one are a cluster of three.
    pub redis: usize,
    /// So many instances, all on the same core.
    pub instances: usize,
    /// Over TLS.
    pub tls: bool,
    /// As many messages a second under one name as by default; else any number.
    pub limited: bool,
    /// Small rooms announce joins and leaves.
    pub notices: bool,
    /// On so many threads, …
    pub threads: usize,
    /// … which share the cores with the generator; else server and generator have their own.
    pub spread: bool,
}

impl Default for Setting<'_> {
    fn default() -> Self {
        Self {
            data: None,
            history: None,
            redis: 0,
            instances: 1,
            tls: false,
            limited: false,
            notices: true,
            threads: 1,
            spread: false,
        }
    }
}

impl Subject {
    /// The server itself.
    pub fn natterjack(path: &Path, setting: Setting<'_>, cores: &[usize]) -> Result<Self, String> {
        let mut subject = Self::none()?;
        let mut command = Command::new(path);
        command.args(["--threads", &setting.threads.to_string()]);
        command.args(["--log", "error", "--max-peers", "100000"]);
        if !setting.limited {
            command.args(["--rate", "0"]);
        }
        if !setting.notices {
            command.args(["--notices", "0"]);
        }
        if let Some(data) = setting.data {
            command.arg("--data").arg(data);
        }
        if let Some(history) = setting.history {
            command.args(["--history", &history.to_string()]);
        }
        subject.spread = setting.spread;
        if setting.redis > 0 {
            let at = match setting.redis {
                1 => subject.start_redis(cores)?,
                _ => cluster::start(&mut subject, cores)?,
            };
            command.args(["--redis", &format!("redis://{at}")]);
        }
        // A plain request is answered there as well, with what is wrong with it.
        let mut status = "HTTP/1.1 200";
        if setting.tls {
            let folder = certificate()?;
            command.arg("--tls-cert").arg(folder.join("cert.pem"));
            command.arg("--tls-key").arg(folder.join("key.pem"));
            (subject.tls, status) = (true, "HTTP/1.1 400");
        }
        subject.command = Some((command, status));
        subject.serve(cores)?;
        for _ in 1..setting.instances {
            subject.address = free_address()?;
            subject.instances.push(subject.address);
            subject.serve(cores)?;
        }
        Ok(subject)
    }

    /// Starts natterjack and waits until it is ready.
    fn serve(&mut self, cores: &[usize]) -> Result<(), String> {
        let Some((mut command, status)) = self.command.take() else {
            return Err("only natterjack can be started again".to_owned());
        };
        let began = Instant::now();
        command.env("NATTERJACK_LISTEN", self.address.to_string());
        self.start(&mut command, cores)?;
        let get = "GET /readyz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n";
        self.await_answer(self.address, get, status)?;
        self.ready_after = began.elapsed();
        self.command = Some((command, status));
        Ok(())
    }

    /// Asks natterjack to end, as a service manager does.
    pub fn stop(&mut self) -> Result<(), String> {
        kill_process(Pid::from_child(&self.children[0]), Signal::TERM)
            .map_err(|error| format!("the server can't be stopped: {error}"))
    }

    /// Waits until natterjack has ended, and starts it again in the same way. Its Redis goes on.
    pub fn start_again(&mut self, cores: &[usize]) -> Result<(), String> {
        let deadline = Instant::now() + Duration::from_secs(60);
        while matches!(self.children[0].try_wait(), Ok(None)) {
            if Instant::now() > deadline {
                return Err("the server does not end".to_owned());
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        // It has been waited for.
        drop(self.children.remove(0));
        self.serve(cores)
    }

    /// The bare loop, which is this program again.
    pub fn limit(batched: bool, cores: &[usize]) -> Result<Self, String> {
        let mut subject = Self::none()?;
        let this = std::env::current_exe().map_err(|error| format!("who am I: {error}"))?;
        let mut command = Command::new(this);
        command
            .args(["limit", if batched { "batched" } else { "each" }])
            .stdout(Stdio::piped());
        subject.start(&mut command, cores)?;
        let mut line = String::new();
        if let Some(stdout) = &mut subject.children[0].stdout {
            let _ = BufReader::new(stdout).read_line(&mut line);
        }
        let port = line
            .trim()
            .parse()
            .map_err(|_| "the limit does not start".to_owned())?;
        subject.address.set_port(port);
        subject.instances = vec![subject.address];
        Ok(subject)
    }

    /// Another server, on its own one process; it gets its address as its last argument.
    pub fn other(command: &[&str], speech: Speech, cores: &[usize]) -> Result<Self, String> {
        let mut subject = Self::none()?;
        let mut parts = command.iter();
        let mut start = Command::new(parts.next().unwrap_or(&""));
        start
            .args(parts)
            .arg(subject.address.to_string())
            .stderr(Stdio::null());
        subject.start(&mut start, cores)?;
        subject.speech = speech;
        let get = "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n";
        let (ask, answer) = match speech {
            Speech::Nats => ("", "INFO "),
            _ => (get, "HTTP/1.1 "),
        };
        subject.await_answer(subject.address, ask, answer)?;
        Ok(subject)
    }

    /// The same, known to speak TLS.
    pub fn over_tls(mut self) -> Self {
        self.tls = true;
        self
    }

    /// The same, for peers of whom some speak differently.
    pub fn before(mut self, listeners: Listeners) -> Self {
        self.listeners = listeners;
        self
    }

    fn none() -> Result<Self, String> {
        let address = free_address()?;
        Ok(Self {
            address,
            instances: vec![address],
            speech: Speech::Greeting,
            listeners: Listeners::Alike,
            ready_after: Duration::ZERO,
            tls: false,
            spread: false,
            command: None,
            children: Vec::new(),
            folders: Vec::new(),
        })
    }

    fn start_redis(&mut self, cores: &[usize]) -> Result<SocketAddrV4, String> {
        let at = free_address()?;
        let mut command = Command::new("redis-server");
        command.args([
            "--bind",
            "127.0.0.1",
            "--port",
            &at.port().to_string(),
            "--save",
            "",
        ]);
        command.args(["--appendonly", "no"]).stdout(Stdio::null());
        self.start(&mut command, cores)?;
        self.await_answer(at, "PING\r\n", "+PONG")?;
        Ok(at)
    }

    /// A folder of this name, which is removed in the end.
    pub fn folder(&mut self, name: impl Display) -> Result<PathBuf, String> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("target/redis-{name}"));
        fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        self.folders.push(folder.clone());
        Ok(folder)
    }

    /// Starts a process, which ends with the subject.
    pub fn start(&mut self, command: &mut Command, cores: &[usize]) -> Result<(), String> {
        // What a process starts stays on its core.
        pin(if self.spread { Side::Any } else { Side::Server }, cores);
        let child = command.stdin(Stdio::null()).spawn();
        pin(
            if self.spread {
                Side::Any
            } else {
                Side::Generator
            },
            cores,
        );
        let name = command.get_program().to_string_lossy().into_owned();
        self.children
            .insert(0, child.map_err(|error| format!("{name}: {error}"))?);
        Ok(())
    }

    /// Waits until there is this answer to that question.
    pub fn await_answer(
        &mut self,
        at: SocketAddrV4,
        ask: &str,
        expected: &str,
    ) -> Result<(), String> {
        let deadline = Instant::now() + Duration::from_secs(5);
        while Instant::now() < deadline {
            if let Ok(Some(status)) = self.children[0].try_wait() {
                return Err(format!("the server ended at once: {status}"));
            }
            if let Ok(mut socket) = TcpStream::connect(at) {
                let mut answer = vec![0; expected.len()];
                let _ = socket.set_read_timeout(Some(Duration::from_secs(1)));
                let asked = socket.write_all(ask.as_bytes());
                if asked.is_ok()
                    && socket.read_exact(&mut answer).is_ok()
                    && answer == expected.as_bytes()
                {
                    return Ok(());
                }
            }
            std::thread::sleep(Duration::from_micros(500));
        }
        Err(format!("{at} does not answer"))
    }

    /// Its processes, one for each instance, and then those of its Redis.
    pub fn pids(&self) -> Vec<u32> {
        self.children.iter().map(Child::id).collect()
    }
}

impl Drop for Subject {
    fn drop(&mut self) {
        for child in &mut self.children {
            let _ = child.kill();
            let _ = child.wait();
        }
        for folder in &self.folders {
            let _ = fs::remove_dir_all(folder);
        }
    }
}

/// An address where nobody listens.
pub fn free_address() -> Result<SocketAddrV4, String> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|free| free.local_addr());
    let port = listener
        .map_err(|error| format!("no free port: {error}"))?
        .port();
    Ok(SocketAddrV4::new(Ipv4Addr::LOCALHOST, port))
}
