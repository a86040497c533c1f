//! Runs an auth command, with limits to everything: how long it takes, how much it prints, and
//! what of it is told.

use std::io::{self, ErrorKind};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, ChildStderr, ChildStdout, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use smol::future;
use smol::io::{AsyncRead, AsyncReadExt, copy, sink};

use crate::reactor::{Async, Timer};
use crate::redis::error::Error;
use crate::time::timeout;

/// How long it may take. Azure's command line takes one to three seconds on a small machine.
const TIME: Duration = Duration::from_secs(10);
/// Bytes of the longest output. Tokens have some thousand.
const MOST: usize = 64 * 1024;
/// Characters that are told of what it complains about.
const TOLD: usize = 200;
/// How often to look whether it has ended, once it has closed its output: at once, as a rule.
const LOOK: Duration = Duration::from_millis(5);

/// Runs a command in a shell, and returns what it prints. Cancel safe: the command is killed.
///
/// # Errors
/// One line, never with what it prints. Lasting where it is not to be run, or prints too much;
/// what it fails for, or is late for, may pass.
pub async fn run(command: &str) -> Result<Vec<u8>, Error> {
    let odd = |error: io::Error| Error::Transient(format!("redis auth command: {error}"));
    let mut running = Running::start(command).map_err(|error| {
        let line = format!("redis auth command: can't run /bin/sh: {error}");
        match error.kind() {
            ErrorKind::NotFound | ErrorKind::PermissionDenied => Error::Fatal(line),
            _ => Error::Transient(line),
        }
    })?;
    let (mut out, mut err) = running.outputs().map_err(odd)?;
    let (mut printed, mut complained) = (Vec::new(), Vec::new());
    let end = async {
        read(&mut out, &mut printed).await?;
        if printed.len() > MOST {
            return Ok(None);
        }
        running.ended().await.map(Some)
    };
    let mut listen = Box::pin(async {
        read(&mut err, &mut complained).await?;
        // What is more is of no interest, but it must not be what the command waits for.
        copy(&mut err, sink()).await?;
        future::pending().await
    });
    let end = timeout(TIME, future::or(end, &mut listen)).await;
    // What it has said with its last breath.
    let _: Option<io::Result<Option<ExitStatus>>> = future::poll_once(&mut listen).await;
    drop(listen);
    let how = match end.transpose().map_err(odd)? {
        Some(Some(status)) if status.success() => return Ok(printed),
        Some(Some(status)) => match (status.code(), status.signal()) {
            (Some(code), _) => format!("exited with {code}"),
            (None, signal) => format!("killed by signal {}", signal.unwrap_or(0)),
        },
        Some(None) => {
            let most = MOST / 1024;
            let line = format!("redis auth command: it prints more than {most} KiB");
            return Err(Error::Fatal(line));
        }
        None => format!("not done within {TIME:?}, killed"),
    };
    let line = format!("redis auth command: {how}{}", told(&complained));
    Err(match how.as_str() {
        // So says the shell of what is not there, or not to be run.
        "exited with 126" | "exited with 127" => Error::Fatal(line),
        _ => Error::Transient(line),
    })
}

/// The first line of a complaint, behind a colon; nothing where there is none.
fn told(complained: &[u8]) -> String {
    let text = String::from_utf8_lossy(complained);
    let line = text.lines().map(str::trim).find(|line| !line.is_empty());
    let plain = line.unwrap_or_default().chars().filter(|c| !c.is_control());
    let plain: String = plain.take(TOLD).collect();
    match plain.as_str() {
        "" => plain,
        plain => format!(": {plain}"),
    }
}

/// Reads up to the end, but no more than a little over [`MOST`].
async fn read(from: &mut (impl AsyncRead + Unpin), into: &mut Vec<u8>) -> io::Result<()> {
    from.take(MOST as u64 + 1).read_to_end(into).await?;
    Ok(())
}

/// A shell and its children, in a process group of their own. Killed when dropped before the end.
struct Running {
    shell: Child,
    ended: bool,
}

impl Running {
    fn start(command: &str) -> io::Result<Running> {
        let shell = Command::new("/bin/sh")
            .args(["-c", command])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()?;
        Ok(Running {
            shell,
            ended: false,
        })
    }

    fn outputs(&mut self) -> io::Result<(Async<ChildStdout>, Async<ChildStderr>)> {
        let (out, err) = (self.shell.stdout.take(), self.shell.stderr.take());
        let (out, err) = out.zip(err).ok_or(ErrorKind::BrokenPipe)?;
        Ok((Async::new(out)?, Async::new(err)?))
    }

    /// Waits for its end. Cancel safe.
    async fn ended(&mut self) -> io::Result<ExitStatus> {
        loop {
            if let Some(status) = self.shell.try_wait()? {
                // From now on its number may be somebody else's.
                self.ended = true;
                return Ok(status);
            }
            Timer::after(LOOK).await;
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        // Nobody has waited for it yet, so the number is its own, even if it has ended.
        let _ = kill_process_group(Pid::from_child(&self.shell), Signal::KILL);
        // Takes no time worth mentioning: it has been killed.
        let _ = self.shell.wait();
    }
}
