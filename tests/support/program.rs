//! The program itself, as an operator starts it.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, ChildStderr, Command, ExitStatus, Output, Stdio};

/// A running natterjack; killed when dropped.
pub struct Program {
    child: Child,
    stderr: BufReader<ChildStderr>,
    log: Vec<String>,
}

impl Program {
    /// Starts it on a free port of the loopback, with these flags and nothing in the environment.
    pub fn start(flags: &[&str]) -> Program {
        let mut child = command(flags, &[("PORT", "")])
            .args(["--listen", "127.0.0.1:0"])
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program is built");
        let stderr = BufReader::new(child.stderr.take().unwrap());
        Program {
            child,
            stderr,
            log: Vec::new(),
        }
    }

    /// Runs it to its end.
    pub fn run(flags: &[&str], env: &[(&str, &str)]) -> Output {
        command(flags, env).output().expect("the program is built")
    }

    /// The next line on stderr that holds this.
    #[track_caller]
    pub fn logs(&mut self, text: &str) -> String {
        loop {
            let mut line = String::new();
            if self.stderr.read_line(&mut line).unwrap() == 0 {
                panic!("no line with {text:?} in {:#?}", self.log);
            }
            self.log.push(line.trim_end().to_string());
            if line.contains(text) {
                return line;
            }
        }
    }

    /// Where it says that it listens.
    #[track_caller]
    pub fn addr(&mut self) -> SocketAddr {
        let line = self.logs("open http://");
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

    /// Waits for its end.
    pub fn wait(&mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn command(flags: &[&str], env: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_natterjack"));
    command
        .env_clear()
        .args(flags)
        .envs(env.iter().copied())
        .stdin(Stdio::null());
    command
}
