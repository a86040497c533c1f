//! The heartbeat: renews this instance's lease, proves that the subscription works, and cleans up
//! after instances that are dead.
//!
//! What proves it is the canary: it goes out on a connection for commands and must come back on the
//! subscribed one, so no dead subscription hides behind a living connection.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use redis::Value;
use smol::Timer;
use smol::channel::{Receiver, Sender};
use smol::future;

use super::client::Client;
use super::presence::Presence;
use super::reply::{self, Lease};
use super::subscriptions::Subscriptions;
use crate::count::Histogram;
use crate::redis::error::{Error, no_answer};
use crate::redis::pipeline::{DELAYS, REPLY_TIME};

/// How often the lease is renewed and the canary sent.
pub const PULSE: Duration = Duration::from_secs(3);
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
    /// Others have been told that our peers have left.
    reaped: bool,
}

impl Default for Canary {
    fn default() -> Canary {
        Canary {
            state: Mutex::new(State::new()),
            round_trips: Histogram::new(&DELAYS),
        }
    }
}

impl State {
    fn new() -> State {
        State {
            heard: Instant::now(),
            sent: None,
            reaped: false,
        }
    }
}

impl Canary {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// There is a new connection.
    pub fn reset(&self) {
        *self.lock() = State::new();
    }

    /// The canary has come back.
    pub fn heard(&self) {
        let mut state = self.lock();
        state.heard = Instant::now();
        if let Some(sent) = state.sent.take() {
            self.round_trips.record(sent.elapsed().as_micros() as u64);
        }
    }

    /// This instance has heard that it was taken for dead.
    pub fn set_reaped(&self) {
        self.lock().reaped = true;
    }
}

/// Renews the lease and watches the canary. Hands on whose leases have run out, and registers our
/// names again when it was ours. `nodes`: how many there are to be alive.
pub async fn heartbeat(
    client: &Client,
    presence: &Presence,
    canary: &Canary,
    subscriptions: &Subscriptions,
    dead: Sender<Vec<String>>,
    nodes: usize,
) -> Error {
    let ping = redis::cmd("PING").get_packed_command();
    loop {
        Timer::after(PULSE).await;
        let asked = Instant::now();
        canary.lock().sent = Some(asked);
        let Some(reply) = client.pipeline.request(presence.renew_lease()).await else {
            return no_answer(REPLY_TIME);
        };
        // A single Redis has answered already if it is alive.
        if nodes > 1
            && let Err(error) = client.pipeline.request_all_nodes(&ping).await
        {
            return error;
        }
        let Some((lease, expired)) = reply::pulse(&reply) else {
            return match reply {
                Value::ServerError(error) => format!("refused: {error}").into(),
                _ => "an answer that makes no sense".to_string().into(),
            };
        };
        presence.lease_grace.on_reply(asked.elapsed());
        if canary.lock().heard.elapsed() > CANARY_TIME {
            return format!("nothing comes back on the subscription since {CANARY_TIME:?}").into();
        }
        // Full while the last ones are still being cleaned up: they will be found again.
        let _ = dead.try_send(expired);
        let told = std::mem::take(&mut canary.lock().reaped);
        let reaped = told || lease == Lease::Reaped;
        if reaped {
            presence.set_missed();
        }
        if reaped || lease == Lease::None {
            log::warn!("redis no longer knows our names: registering them again");
            if let Err(error) = presence.register_names(&subscriptions.wanted()).await {
                return error;
            }
        }
    }
}

/// Cleans up after dead instances. Never ends by itself.
pub async fn expire_leases(presence: &Presence, dead: Receiver<Vec<String>>) -> Error {
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
