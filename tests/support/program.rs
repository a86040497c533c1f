//! The program itself, as an operator starts it: the one that was built for this test, or what
//! `NATTERJACK` in the environment names, a path or a command and its first arguments.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;

use super::{DEADLINE, eventually};

/// A running natterjack; killed when dropped.
pub struct Program {
    child: Child,
    stderr: Receiver<String>,
    log: Vec<String>,
}

impl Program {
    /// Starts it on a free port of the loopback, with these flags and nothing in the environment.
    pub fn start(flags: &[&str]) -> Program {
        Program::launch(0, flags, &[])
    }

    /// Starts it on this port, so that the next one is found where the last one was, with this in its
    /// environment.
    pub fn start_on(port: u16, flags: &[&str], env: &[(&str, &str)]) -> Program {
        Program::launch(port, flags, env)
    }

    /// Starts it on a free port with this in its environment, where secrets belong.
    pub fn start_with(flags: &[&str], env: &[(&str, &str)]) -> Program {
        Program::launch(0, flags, env)
    }

    /// Starts it on a free port of every address, IPv6 and IPv4.
    pub fn start_anywhere(flags: &[&str]) -> Program {
        let mut command = command(flags, &[]);
        command.args(["--listen", "[::]:0"]);
        Program::of(command)
    }

    fn launch(port: u16, flags: &[&str], env: &[(&str, &str)]) -> Program {
        let mut command = command(flags, env);
        command.args(["--listen", &format!("127.0.0.1:{port}")]);
        Program::of(command)
    }

    /// Starts it by a command of one's own.
    pub fn of(mut command: Command) -> Program {
        let mut child = command
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program is built");
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let (tell, stderr) = mpsc::channel();
        // Ends with the program. Nobody may have to read what it logs for it to go on.
        thread::spawn(move || lines.map_while(Result::ok).try_for_each(|l| tell.send(l)));
        Program {
            child,
            stderr,
            log: Vec::new(),
        }
    }

    /// Starts it by a command of one's own, which says where its stderr goes.
    pub fn unheard(mut command: Command) -> Program {
        Program {
            child: command.spawn().expect("the program is built"),
            stderr: mpsc::channel().1,
            log: Vec::new(),
        }
    }

    /// The words that start it; the variable `NATTERJACK` may name others.
    pub fn command() -> Vec<String> {
        let named = std::env::var("NATTERJACK").unwrap_or_default();
        let mut words: Vec<String> = named.split_whitespace().map(Into::into).collect();
        if words.is_empty() {
            words.push(env!("CARGO_BIN_EXE_natterjack").into());
        }
        words
    }

    /// Its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Runs it to its end.
    pub fn run(flags: &[&str], env: &[(&str, &str)]) -> Output {
        command(flags, env).output().expect("the program is built")
    }

    /// The next line on stderr that holds this.
    #[track_caller]
    pub fn logs(&mut self, text: &str) -> String {
        loop {
            let Ok(line) = self.stderr.recv_timeout(DEADLINE) else {
                panic!("no line with {text:?} in {:#?}", self.log);
            };
            self.log.push(line.clone());
            if line.contains(text) {
                return line;
            }
        }
    }

    /// Everything it has logged.
    pub fn log(&mut self) -> &[String] {
        self.log.extend(self.stderr.try_iter());
        &self.log
    }

    /// Where it says that it listens.
    #[track_caller]
    pub fn addr(&mut self) -> SocketAddr {
        let line = self.logs(": open http");
        let from = line.find(" on ").unwrap() + 4;
        line[from..line.find(": open").unwrap()].parse().unwrap()
    }

    /// Sends a signal.
    pub fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        assert!(
            Command::new("kill")
                .args(["-s", name, &id])
                .status()
                .unwrap()
                .success()
        );
    }

    /// Ends it at once, as a power cut would.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Waits for its end.
    #[track_caller]
    pub fn wait(&mut self) -> ExitStatus {
        eventually("the program ends", || self.child.try_wait().unwrap())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.kill();
    }
}

fn command(flags: &[&str], env: &[(&str, &str)]) -> Command {
    let mut words = Program::command().into_iter();
    let mut command = Command::new(words.next().expect("there is a first word"));
    command
        .args(words)
        .env_clear()
        .args(flags)
        .envs(env.iter().copied())
        .stdin(Stdio::null());
    command
}
