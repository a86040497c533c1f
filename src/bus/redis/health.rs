//! Whether messages get through and people get in, and why not: what `/readyz` says.

use event_listener::{Event as Signal, EventListener};
use redis::Value;

use super::client::Client;
use super::lease_watch::PULSE;
use crate::mutex::Mutex;
use crate::reactor::Timer;
use crate::redis::error::{Error, text_of};

/// What may be wrong; the first that is, is told.
#[derive(Clone, Copy, Debug)]
pub enum Subject {
    /// Messages don't get through.
    Connection,
    /// Nobody can join, although messages get through.
    Joining,
}

/// How things are.
#[derive(Debug)]
pub struct Health {
    /// What is wrong with each subject.
    errors: Mutex<[Option<String>; 2]>,
    changed: Signal,
}

impl Default for Health {
    fn default() -> Health {
        Health {
            errors: Mutex::new([Some("not connected yet".into()), None]),
            changed: Signal::new(),
        }
    }
}

impl Health {
    /// Notes what is wrong with a subject, if anything is. Returns what was before.
    pub fn set(&self, subject: Subject, error: Option<String>) -> Option<String> {
        let well = self.check().is_ok();
        let before = std::mem::replace(&mut self.errors.lock()[subject as usize], error);
        if self.check().is_ok() != well {
            self.changed.notify(usize::MAX);
        }
        before
    }

    /// # Errors
    /// Why messages don't get through, or nobody can join.
    pub fn check(&self) -> Result<(), String> {
        let error = self.errors.lock().iter().flatten().next().cloned();
        error.map_or(Ok(()), Err)
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
        Value::ServerError(error) => Some(text_of(error)),
        Value::BulkString(why) if !why.is_empty() => Some(String::from_utf8_lossy(why).into()),
        _ => None,
    });
    let now = error.map(|why| format!("nobody can join: {why}"));
    let before = health.set(Subject::Joining, now.clone());
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
        assert!(health.set(Subject::Connection, None).is_some());
        assert_eq!(health.check(), Ok(()));
        health.set(Subject::Joining, Some("no".into()));
        assert!(says("no"));
        assert!(
            health
                .set(Subject::Connection, Some("gone".into()))
                .is_none()
        );
        let before = health.set(Subject::Connection, Some("still gone".into()));
        assert_eq!(before.as_deref(), Some("gone"));
        assert!(says("still gone"));
        health.set(Subject::Connection, None);
        assert!(says("no"));
        health.set(Subject::Joining, None);
        assert_eq!(health.check(), Ok(()));
    }
}
