//! The heartbeat: renews this instance's lease, proves that the subscription works, and cleans up
//! after instances that are dead.
//!
//! What proves it is the canary: it goes out on a connection for commands and must come back on the
//! subscribed one, so no dead subscription hides behind a living connection.

use std::convert::Infallible;
use std::time::{Duration, Instant};

use redis::Value;
use smol::channel::{Receiver, Sender};
use smol::future;

use super::client::Client;
use super::lease_watch::PULSE;
use super::presence::{Dead, Presence};
use super::reply::{self, Lease};
use super::subscriptions::Subscriptions;
use crate::count::Histogram;
use crate::mutex::Mutex;
use crate::reactor::Timer;
use crate::redis::error::{Error, no_answer, text_of};
use crate::redis::pipeline::{DELAYS, REPLY_TIME};

/// A canary that has not come back for so long is dead, and with it the subscription.
const CANARY_TIME: Duration = Duration::from_secs(9);

/// What this instance has heard of itself.
#[derive(Debug)]
pub struct Canary {
    state: Mutex<State>,
    /// Round trips, in microseconds.
    pub round_trips: Histogram,
}

#[derive(Debug)]
struct State {
    heard: Instant,
    /// When it was last sent, if it has not come back yet.
    sent: Option<Instant>,
}

impl Canary {
    /// None has been sent.
    pub fn new() -> Canary {
        Canary {
            state: Mutex::new(State {
                heard: Instant::now(),
                sent: None,
            }),
            round_trips: Histogram::new(&DELAYS),
        }
    }

    /// Waits again, on a new connection or after the canary has come back. Returns when it was sent.
    pub fn restart(&self) -> Option<Instant> {
        let mut state = self.state.lock();
        state.heard = Instant::now();
        state.sent.take()
    }

    /// The canary has come back.
    pub fn heard(&self) {
        if let Some(sent) = self.restart() {
            self.round_trips.record(sent.elapsed().as_micros() as u64);
        }
    }
}

/// Renews the lease and watches the canary. Hands on which instances are dead, and has our names
/// compared when Redis no longer knows them.
///
/// # Errors
/// Redis does not answer, or nothing comes back on the subscription.
pub async fn heartbeat(
    client: &Client,
    presence: &Presence,
    canary: &Canary,
    subscriptions: &Subscriptions,
    dead: Sender<Vec<Dead>>,
) -> Result<Infallible, Error> {
    loop {
        Timer::after(PULSE).await;
        let asked = Instant::now();
        canary.state.lock().sent = Some(asked);
        let reply = client.pipeline.request(client.scripts.renew_lease()).await;
        let reply = reply.ok_or_else(|| no_answer(REPLY_TIME))?;
        let answered = Instant::now();
        let Some((lease, leases)) = reply::pulse(&reply) else {
            return Err(match reply {
                Value::ServerError(error) => format!("refused: {}", text_of(&error)).into(),
                _ => "an answer that makes no sense".to_string().into(),
            });
        };
        let expired = presence.leases.see(asked, answered, leases);
        let expired = expired.into_iter().map(|(instance, lease)| Dead {
            instance,
            lease,
            rooms: Vec::new(),
        });
        let expired: Vec<_> = expired.collect();
        if canary.state.lock().heard.elapsed() > CANARY_TIME {
            let why = format!("nothing comes back on the subscription since {CANARY_TIME:?}");
            return Err(why.into());
        }
        subscriptions.ping(CANARY_TIME)?;
        if !expired.is_empty() {
            // Full while the last ones are still being cleaned up: they will be found again.
            let _ = dead.try_send(expired);
        }
        match lease {
            Lease::Held => {}
            Lease::Expired => presence.set_missed(),
            Lease::None => {
                log::warn!("redis no longer knows our names: registering them again");
                presence.suspects.add_all();
            }
        }
    }
}

/// Cleans up after dead instances. Never ends by itself.
pub async fn expire_leases(presence: &Presence, dead: Receiver<Vec<Dead>>) -> Error {
    while let Ok(instances) = dead.recv().await {
        for instance in instances {
            if presence.expire(&instance).await.is_err() {
                // The lease is still there, so somebody will go on.
                break;
            }
        }
    }
    future::pending().await
}
