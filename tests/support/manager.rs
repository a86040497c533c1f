//! A stand-in for systemd: it holds the listening socket, hands over credentials, and receives
//! notifications.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use super::{DEADLINE, Program};

/// Holds a socket that stays open while the service is restarted.
pub struct Manager {
    folder: TempDir,
    listener: TcpListener,
    second: Option<OwnedFd>,
    told: UnixDatagram,
}

impl Manager {
    /// With a socket on a free port of the loopback.
    pub fn new() -> Manager {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("credentials")).unwrap();
        let told = UnixDatagram::bind(folder.path().join("notify")).unwrap();
        told.set_read_timeout(Some(DEADLINE)).unwrap();
        Manager {
            second: None,
            folder,
            listener: TcpListener::bind("127.0.0.1:0").unwrap(),
            told,
        }
    }

    /// With this as a second socket.
    pub fn with_second(socket: OwnedFd) -> Manager {
        Manager {
            second: Some(socket),
            ..Manager::new()
        }
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.listener.local_addr().unwrap()
    }

    /// Has this credential for the service.
    pub fn entrusts(&self, name: &str, secret: &str) {
        fs::write(self.entrusted_folder().join(name), secret).unwrap();
    }

    /// Where the credentials are.
    pub fn entrusted_folder(&self) -> PathBuf {
        self.folder.path().join("credentials")
    }

    /// Starts the service, with these variables beside its own.
    pub fn start(&self, flags: &[&str], env: &[(&str, &str)]) -> Program {
        self.hand_over("/dev/null", flags, env)
    }

    /// The same, and what it prints is in its log.
    pub fn start_shown(&self, flags: &[&str], env: &[(&str, &str)]) -> Program {
        self.hand_over("&2", flags, env)
    }

    fn hand_over(&self, stdout: &str, flags: &[&str], env: &[(&str, &str)]) -> Program {
        // The shell puts the sockets where they belong, and becomes the program.
        let count = 1 + usize::from(self.second.is_some());
        let hand_over = format!(
            r#"export LISTEN_FDS={count} LISTEN_PID=$$; exec 3<&0 4>&1 </dev/null >{stdout}; exec "$0" "$@""#
        );
        let second = self
            .second
            .as_ref()
            .map(|socket| socket.try_clone().unwrap());
        let mut command = Command::new("sh");
        command
            .args(["-c", &hand_over])
            .args(Program::command())
            .args(flags)
            .env_clear()
            .env("NOTIFY_SOCKET", self.folder.path().join("notify"))
            .env("CREDENTIALS_DIRECTORY", self.entrusted_folder())
            .envs(env.iter().copied())
            .stdin(Stdio::from(OwnedFd::from(
                self.listener.try_clone().unwrap(),
            )))
            .stdout(second.map_or(Stdio::null(), Stdio::from));
        Program::of(command)
    }

    /// The next message from the service that holds this line, or a line that begins so.
    #[track_caller]
    pub fn receives(&self, line: &str) -> String {
        let mut heard = Vec::new();
        let mut message = [0; 4096];
        loop {
            let Ok(length) = self.told.recv(&mut message) else {
                panic!("not told {line:?}, but {heard:#?}");
            };
            let message = String::from_utf8_lossy(&message[..length]).into_owned();
            if message.lines().any(|told| told.starts_with(line)) {
                return message;
            }
            heard.push(message);
        }
    }
}
