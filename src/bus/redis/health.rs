//! Whether messages get through and people get in, and why not: what `/readyz` says.

use std::sync::{Mutex, MutexGuard, PoisonError};

use event_listener::{Event as Signal, EventListener};
use redis::Value;
use smol::Timer;

use super::client::Client;
use super::heartbeat::PULSE;
use crate::redis::error::Error;

/// How things are.
#[derive(Debug)]
pub struct Health {
    state: Mutex<State>,
    changed: Signal,
}

#[derive(Debug)]
struct State {
    /// Why messages don't get through; `None` when they do.
    connection: Option<String>,
    /// Why nobody can join, although messages get through.
    joining: Option<String>,
}

impl State {
    fn error(&self) -> Option<&String> {
        self.connection.as_ref().or(self.joining.as_ref())
    }
}

impl Default for Health {
    fn default() -> Health {
        Health {
            state: Mutex::new(State {
                connection: Some("not connected yet".into()),
                joining: None,
            }),
            changed: Signal::new(),
        }
    }
}

impl Health {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes how the connection is; `true` if it worked until now and no longer does.
    pub fn set_connection(&self, error: Option<String>) -> bool {
        let broken = error.is_some();
        let before = self.change(|state| std::mem::replace(&mut state.connection, error));
        before.is_none() && broken
    }

    /// Notes why nobody can join; returns how that was before.
    fn set_joining(&self, error: Option<String>) -> Option<String> {
        self.change(|state| std::mem::replace(&mut state.joining, error))
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.lock();
        let before = state.error().is_none();
        let done = change(&mut state);
        let changed = state.error().is_none() != before;
        drop(state);
        if changed {
            self.changed.notify(usize::MAX);
        }
        done
    }

    /// # Errors
    /// Why messages don't get through, or nobody can join.
    pub fn check(&self) -> Result<(), String> {
        self.lock().error().map_or(Ok(()), |why| Err(why.clone()))
    }

    /// Ends as soon as the [check](Self::check) has another result.
    pub fn changed(&self) -> EventListener {
        self.changed.listen()
    }
}

/// Tries again and again what a join needs, on keys that all joins share. Never ends by itself: who
/// is in can still talk.
pub async fn watch(client: &Client, health: &Health) -> Error {
    loop {
        Timer::after(PULSE).await;
        let mut replies = Vec::new();
        for command in client.scripts.try_join() {
            // Whether there is an answer at all is for the heartbeat to find out.
            replies.extend(client.pipeline.request(command).await);
        }
        note(client, health, &replies);
    }
}

/// Notes whether a join would do, by what its [trial](super::scripts::Scripts::try_join) was answered.
pub fn note(client: &Client, health: &Health, replies: &[Value]) {
    let error = replies.iter().find_map(|reply| match reply {
        Value::ServerError(error) => Some(error.to_string()),
        Value::BulkString(why) if !why.is_empty() => Some(String::from_utf8_lossy(why).into()),
        _ => None,
    });
    let now = error.map(|why| format!("nobody can join: {why}"));
    let before = health.set_joining(now.clone());
    match (before, now) {
        (None, Some(now)) => log::warn!("redis {}: {now}", client.endpoint),
        (Some(_), None) => log::info!("redis {}: joining works again", client.endpoint),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_well_only_if_all_is() {
        let health = Health::default();
        let says = |why: &str| health.check() == Err(why.to_string());
        assert!(says("not connected yet"));
        assert!(!health.set_connection(None));
        assert_eq!(health.check(), Ok(()));
        health.set_joining(Some("no".into()));
        assert!(says("no"));
        assert!(health.set_connection(Some("gone".into())));
        assert!(!health.set_connection(Some("still gone".into())));
        assert!(says("still gone"));
        health.set_connection(None);
        assert!(says("no"));
        health.set_joining(None);
        assert_eq!(health.check(), Ok(()));
    }
}
