//! The interface to systemd or another service manager: listening sockets (sd_listen_fds(3)),
//! credentials (systemd.exec(5)) and notifications (sd_notify(3)). Without a service manager it
//! does nothing.

use std::env;
use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use listenfd::ListenFd;
use sd_notify::NotifyState;
use smol::future;

use crate::net::context::ServerContext;
use crate::net::listener::{self, Listener};
use crate::reactor::Timer;

/// How often the status is sent when no watchdog needs it more often.
const BEAT: Duration = Duration::from_secs(30);
/// How much more time a start that waits for Redis asks for at once.
const MORE_TIME: Duration = Duration::from_secs(60);
/// How often a start that waits for Redis asks for more time.
const ASK_FOR_MORE: Duration = Duration::from_secs(20);

/// The value of a setting that is given as a credential: `REDIS_PASSWORD` is in the file
/// `redis-password`. Leading byte order marks and trailing white space are removed.
pub fn credential(variable: &str) -> Option<String> {
    let name = variable.to_ascii_lowercase().replace('_', "-");
    let path = PathBuf::from(env::var_os("CREDENTIALS_DIRECTORY")?).join(name);
    match fs::read_to_string(&path) {
        Ok(value) => Some(value.trim_start_matches('\u{feff}').trim_end().to_string()),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => {
            log::warn!("credential {}: {error}", path.display());
            None
        }
    }
}

/// Whether stderr is the journal. As described in systemd.exec(5), the variable names the device
/// and the inode of stderr.
pub fn is_journal() -> bool {
    let Ok(named) = env::var("JOURNAL_STREAM") else {
        return false;
    };
    let stderr = io::stderr().as_fd().try_clone_to_owned();
    let file = stderr.and_then(|stderr| File::from(stderr).metadata());
    file.is_ok_and(|file| named == format!("{}:{}", file.dev(), file.ino()))
}

/// All sockets that the service manager passes on. They stay open during a restart, so new
/// connections only wait. They can be taken once.
///
/// # Errors
/// One line: which of them is no listening TCP socket. Connections there would wait for ever.
pub fn listeners() -> Result<Vec<Listener>, String> {
    let names = env::var("LISTEN_FDNAMES").unwrap_or_default();
    let mut names = names.split(':');
    let mut handed = ListenFd::from_env();
    let mut listeners = Vec::new();
    for n in 0..handed.len() {
        let name = names.next().filter(|name| !name.is_empty());
        let listener = handed.take_tcp_listener(n);
        let listener = listener.and_then(|taken| taken.map(listener::take_over).transpose());
        listeners.extend(listener.map_err(|_| {
            format!(
                "socket {} of the service manager ({}) is no TCP port that is listened on; ListenStream= must name one, with Accept=no",
                n + 1,
                name.unwrap_or("without a name"),
            )
        })?);
    }
    Ok(listeners)
}

/// Whether a service manager wants notifications.
pub fn is_watched() -> bool {
    env::var_os("NOTIFY_SOCKET").is_some_and(|socket| !socket.is_empty())
}

/// Notifies the service manager for as long as it is polled: ready, once messages get through; then
/// the number of peers and the state of the bus, at each change and at regular intervals. The same
/// notification feeds the watchdog: a server that can count its peers is alive.
pub async fn notify_loop(context: Arc<ServerContext>) {
    let beat = sd_notify::watchdog_enabled().map_or(BEAT, |limit| limit / 2);
    let mut ready = false;
    loop {
        let changed = context.bus.health_changed();
        let health = context.bus.health();
        let count = context.peers.count().await;
        let status = match &health {
            _ if context.draining() => format!("stopping, {count} peers left"),
            Ok(()) => format!("{count} peers, {}", context.bus.name()),
            Err(why) => format!("{count} peers, waiting for {why}"),
        };
        let more_time = NotifyState::ExtendTimeoutUsec(MORE_TIME.as_micros() as u32);
        let (state, pause) = match (ready, &health) {
            (true, _) => (NotifyState::Watchdog, beat),
            (false, Ok(())) => (NotifyState::Ready, beat),
            (false, Err(_)) => (more_time, ASK_FOR_MORE),
        };
        notify(&[NotifyState::Status(&status), state]);
        ready |= health.is_ok();
        future::or(changed, Timer::after(pause)).await;
    }
}

/// Tells the service manager that the server is stopping.
pub fn stopping() {
    notify(&[NotifyState::Stopping]);
}

fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        log::debug!("the service manager can't be told: {error}");
    }
}
