//! What a service manager such as systemd gives, and what it wants to know: the listening socket
//! (sd_listen_fds(3)), credentials (systemd.exec(5)), and word of how things are (sd_notify(3)).
//! Where there is none, all of this is silent.

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
use smol::{Timer, future};

use crate::net::Hub;
use crate::net::listener::{self, Listener};

/// How often the status is renewed when no watchdog wants to hear more often.
const BEAT: Duration = Duration::from_secs(30);
/// A start that waits for Redis asks for this much more time …
const MORE_TIME: Duration = Duration::from_secs(60);
/// … every so often.
const ASK_FOR_MORE: Duration = Duration::from_secs(20);

/// The value of a setting that was handed over as a credential: `REDIS_PASSWORD` in the file
/// `redis-password`. White space at its end does not belong to it, nor a byte order mark before it.
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

/// Whether stderr is the journal. As systemd.exec(5) says how to tell: the variable names the very
/// file that stderr is.
pub fn is_journal() -> bool {
    let Ok(named) = env::var("JOURNAL_STREAM") else {
        return false;
    };
    let stderr = io::stderr().as_fd().try_clone_to_owned();
    let file = stderr.and_then(|stderr| File::from(stderr).metadata());
    file.is_ok_and(|file| named == format!("{}:{}", file.dev(), file.ino()))
}

/// The sockets that the service manager listens on for us, all of them. They stay open while we are
/// restarted, so new connections only wait meanwhile. They can be taken once.
///
/// # Errors
/// One line: which of them is no TCP listener. Connections there would wait for ever.
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

/// Whether a service manager wants to be told how things are.
pub fn is_watched() -> bool {
    env::var_os("NOTIFY_SOCKET").is_some_and(|socket| !socket.is_empty())
}

/// Tells the service manager how things are, for as long as it is polled: ready, once messages get
/// through; then who is here and how the bus is, at every change of that and every so often. The
/// watchdog is fed in the same breath: whoever can count the peers is alive.
pub async fn report(hub: Arc<Hub>) {
    let beat = sd_notify::watchdog_enabled().map_or(BEAT, |limit| limit / 2);
    let mut ready = false;
    loop {
        let changed = hub.bus.health_changed();
        let health = hub.bus.health();
        let count = hub.peers.count().await;
        let status = match &health {
            _ if hub.draining() => format!("stopping, {count} peers left"),
            Ok(()) => format!("{count} peers, {}", hub.bus.name()),
            Err(why) => format!("{count} peers, waiting for {why}"),
        };
        let mut states = vec![NotifyState::Status(&status)];
        let pause = match (ready, health) {
            (true, _) => {
                states.push(NotifyState::Watchdog);
                beat
            }
            (false, Ok(())) => {
                ready = true;
                states.push(NotifyState::Ready);
                beat
            }
            (false, Err(_)) => {
                let more = MORE_TIME.as_micros() as u32;
                states.push(NotifyState::ExtendTimeoutUsec(more));
                ASK_FOR_MORE
            }
        };
        tell(&states);
        let pause = async {
            Timer::after(pause).await;
        };
        future::or(changed, pause).await;
    }
}

/// Tells the service manager that we are on our way out.
pub fn stopping() {
    tell(&[NotifyState::Stopping]);
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        log::debug!("the service manager can't be told: {error}");
    }
}
