//! The supervisor: connects, and connects again.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use smol::channel::Sender;
use smol::future::FutureExt;

use super::Redis;
use super::health::Subject;
use super::session;
use crate::chat::dialect::Reply;
use crate::reactor::Timer;
use crate::redis::connection::Connection;
use crate::redis::error::Error;
use crate::redis::fence::Fence;
use crate::redis::known_nodes::KnownNodes;

/// The first pause before connecting again; it doubles up to [`PAUSE_MOST`], and each pause is
/// drawn between half and all of that, so that many instances do not come back at once.
const PAUSE_FIRST: Duration = Duration::from_millis(100);
/// The longest pause between two attempts.
const PAUSE_MOST: Duration = Duration::from_secs(3);

impl Redis {
    /// Connects, and connects again for as long as the task lives. `first` hears how the first
    /// attempt went: `Err` is what trying again can't mend, and the task ends with it. Later on,
    /// even a wrong password is only a reason to wait.
    ///
    /// # Errors
    /// What trying again can't mend, as long as Redis has never been reached.
    pub async fn run(&self, first: Sender<Result<(), String>>) -> String {
        let (mut reached, mut told) = (false, false);
        let mut pause = PAUSE_FIRST;
        let mut known = KnownNodes::default();
        let mut fence = Fence::default();
        loop {
            let mut ready = false;
            let run = session::run(self, &mut known, &mut fence, told, || {
                ready = true;
                self.health.set(Subject::Connection, None);
                self.connects.add(1);
                log::info!("redis {}: connected", self.client.endpoint);
                let _ = first.try_send(Ok(()));
            });
            // A bug costs a connection, not the chat.
            let error = match AssertUnwindSafe(run).catch_unwind().await {
                Ok(Err(error)) => error,
                Err(_) => Error::Transient("internal error".into()),
            };
            if ready {
                self.client.endpoint.credentials.ended();
                (reached, told, pause) = (true, false, PAUSE_FIRST);
                self.presence.leases.lost();
                self.presence.suspects.add_all();
                self.subscriber.subscriptions.down();
            }
            if let Error::Fatal(error) = &error
                && !reached
            {
                let error = format!("redis {}: {error}", self.client.endpoint);
                let _ = first.try_send(Err(error.clone()));
                return error;
            }
            self.client.pipeline.disconnect();
            let error = match error {
                // Nobody need know, unless the connections can't be made again at once.
                Error::NewNode(node) if known.add_unmapped(&node) => {
                    log::info!("redis {}: slots are now at {node}", self.client.endpoint);
                    continue;
                }
                Error::NewToken => {
                    log::debug!(
                        "redis {}: connecting with the new token",
                        self.client.endpoint
                    );
                    continue;
                }
                error => error.why(),
            };
            if reached && !told {
                told = true;
                let waiting = Reply::Status(false);
                self.peers.send_to_all(&waiting).await;
            }
            let before = self.health.set(Subject::Connection, Some(error.clone()));
            if before.is_none() || !reached && first.receiver_count() > 0 {
                log::warn!(
                    "redis {}: {error}; trying again until it works",
                    self.client.endpoint
                );
            }
            let _ = first.try_send(Ok(()));
            first.close();
            Timer::after(pause.mul_f32(0.5 + fastrand::f32() / 2.0)).await;
            pause = (pause * 2).min(PAUSE_MOST);
        }
    }

    /// A connection to where the operator says, or to another node of the cluster that was there.
    pub(super) async fn connect(&self, known: &KnownNodes) -> Result<Connection, Error> {
        let why = match self.client.endpoint.connect().await {
            Err(Error::Transient(why)) => why,
            done => return done,
        };
        for node in &known.mapped {
            if let Ok(connection) = self.client.endpoint.connect_to(node).await {
                return Ok(connection);
            }
        }
        Err(Error::Transient(why))
    }
}
