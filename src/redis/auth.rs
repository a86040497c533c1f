//! The credentials for Redis: user, password, and until when they are valid.
//!
//! A password is set in the settings, or a command prints it. What the command prints is usually a
//! token, which expires; the command runs again before that. All connections share one token as
//! long as enough of its life is left.

mod command;
mod output;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, MutexGuard};
use std::time::{Duration, Instant};

use async_lock::Semaphore;
use redis::cmd;
use smol::future;

use super::error::{Boxed, Error};
use crate::config::RedisAddress;
use crate::mutex::Mutex;
use crate::reactor::Timer;
use crate::time::unix_millis;
use output::AuthOutput;

/// A token is renewed when this much of its life is over, at the earliest.
const EARLIEST: f32 = 0.6;
/// And this much at the latest; drawn, so that many instances do not renew theirs at once.
const LATEST: f32 = 0.8;
/// It is renewed at least so long before its end, as Microsoft advises.
const AHEAD: Duration = Duration::from_secs(3 * 60);
/// Unless its whole life is shorter than this: it would hardly be used.
const AHEAD_FROM: Duration = Duration::from_secs(4 * 60);
/// A token is used for so long at least, however short its life.
const USED: Duration = Duration::from_secs(1);
/// A token that claims a longer life counts as one of this long: clocks can't count for ever.
const LONGEST: Duration = Duration::from_secs(30 * 24 * 3600);
/// The first pause before a failed renewal is tried again; it doubles up to [`PAUSE_MOST`].
const PAUSE_FIRST: Duration = Duration::from_secs(1);
/// The longest pause between two attempts.
const PAUSE_MOST: Duration = Duration::from_secs(30);

/// A user and a password. No `Debug`: it is a secret.
pub struct Secret {
    user: Option<String>,
    password: String,
    expiry: Option<Expiry>,
}

/// When a token ends, and when it is renewed.
#[derive(Clone, Copy, Debug)]
struct Expiry {
    ends: Instant,
    renew: Instant,
}

impl Secret {
    fn new(user: Option<&String>, output: AuthOutput) -> Result<Secret, Error> {
        let left = output.ends.map(|ends| ends - unix_millis() as f64 / 1000.0);
        if let Some(left) = left.filter(|left| *left <= 0.0) {
            let why = format!(
                "redis auth command: its token ended {:.0} s ago; is the clock right?",
                -left
            );
            return Err(Error::Transient(why));
        }
        let expiry = left.map(|left| {
            let left = Duration::from_secs_f64(left.min(LONGEST.as_secs_f64()));
            Expiry::new(left, fastrand::f32())
        });
        Ok(Secret {
            user: user.cloned().or(output.oid),
            password: output.password,
            expiry,
        })
    }

    /// The command that signs a connection in.
    pub fn command(&self) -> Vec<u8> {
        // The form with a user name is for ACLs; `default` is also what the old form means.
        let mut auth = cmd("AUTH");
        if let Some(user) = self.user.as_ref().filter(|user| *user != "default") {
            auth.arg(user);
        }
        auth.arg(&self.password).get_packed_command()
    }

    /// Whether it has not ended and is not due for renewal.
    fn is_fresh(&self) -> bool {
        self.expiry
            .is_none_or(|expiry| Instant::now() < expiry.renew)
    }

    fn is_alive(&self) -> bool {
        self.expiry
            .is_none_or(|expiry| Instant::now() < expiry.ends)
    }
}

impl Expiry {
    /// For a token that has so much time left. `draw` is between 0 and 1.
    fn new(left: Duration, draw: f32) -> Expiry {
        let mut renew = left.mul_f32(EARLIEST + (LATEST - EARLIEST) * draw);
        if left >= AHEAD_FROM {
            renew = renew.min(left - AHEAD);
        }
        let got = Instant::now();
        Expiry {
            ends: got + left,
            renew: got + renew.max(USED),
        }
    }
}

/// Where the credentials come from. No `Debug`: they are secret.
pub struct Credentials {
    username: Option<String>,
    command: Option<String>,
    /// What the command printed last, or what is set.
    kept: Mutex<Option<Arc<Secret>>>,
    /// The command runs once, also when many connections wait for its output.
    turn: Semaphore,
    /// Renewals fail, and that is in the log.
    failing: AtomicBool,
}

impl Credentials {
    /// As the settings say.
    pub fn new(address: &RedisAddress) -> Credentials {
        let password = address.password.clone();
        let set = password.filter(|_| address.auth_command.is_none());
        let set = set.map(|password| Secret {
            user: address.username.clone(),
            password,
            expiry: None,
        });
        Credentials {
            username: address.username.clone(),
            command: address.auth_command.clone(),
            kept: Mutex::new(set.map(Arc::new)),
            turn: Semaphore::new(1),
            failing: AtomicBool::new(false),
        }
    }

    /// Whether a command prints the password, so that it may change.
    pub fn changes(&self) -> bool {
        self.command.is_some()
    }

    fn kept(&self) -> MutexGuard<'_, Option<Arc<Secret>>> {
        self.kept.lock()
    }

    /// The credentials to sign in with now, and whether they are new; `None` where no password is
    /// set. Has a deadline. Cancel safe: the command ends with the future.
    ///
    /// # Errors
    /// The command fails, and nothing it has printed before is still good.
    pub fn secret(&self) -> Boxed<'_, Option<(Arc<Secret>, bool)>> {
        Box::pin(async move {
            let Some(command) = &self.command else {
                return Ok(self.kept().clone().map(|secret| (secret, true)));
            };
            let living = || self.kept().clone().filter(|secret| secret.is_alive());
            if self.failing.load(Ordering::Relaxed)
                && let Some(secret) = living()
            {
                // A renewal is on its way, and it has been said that it fails.
                return Ok(Some((secret, false)));
            }
            let fresh = self.fresh(command).await;
            fresh
                .or_else(|error| Ok((living().ok_or(error)?, false)))
                .map(Some)
        })
    }

    /// The credentials that are kept, or else what the command prints.
    fn fresh<'a>(&'a self, command: &'a str) -> Boxed<'a, (Arc<Secret>, bool)> {
        Box::pin(async move {
            let kept = || self.kept().clone().filter(|secret| secret.is_fresh());
            if let Some(secret) = kept() {
                return Ok((secret, false));
            }
            let _turn = self.turn.acquire().await;
            // Somebody has just had a turn.
            if let Some(secret) = kept() {
                return Ok((secret, false));
            }
            let secret = command::run(command)
                .await
                .and_then(|printed| output::parse(&printed, unix_millis() as f64 / 1000.0))
                .and_then(|output| Secret::new(self.username.as_ref(), output))?;
            let secret = Arc::new(secret);
            *self.kept() = Some(secret.clone());
            if self.failing.swap(false, Ordering::Relaxed) {
                log::info!("redis auth command: works again");
            }
            Ok((secret, true))
        })
    }

    /// Redis rejected these credentials: discards them, so the command runs again for the next
    /// connection. If they were not `new`, the error is transient: new ones may be accepted.
    pub fn refused(&self, new: bool, error: Error) -> Error {
        match error {
            Error::Fatal(why) if self.changes() => {
                *self.kept() = None;
                if new {
                    Error::Fatal(why)
                } else {
                    Error::Transient(why)
                }
            }
            error => error,
        }
    }

    /// The connections are gone. A password without a known end was valid for them only.
    pub fn ended(&self) {
        if self.changes() {
            self.kept().take_if(|secret| secret.expiry.is_none());
        }
    }

    /// Waits until the connections should sign in again, and returns the credentials for that; waits
    /// for ever where passwords don't end. While the command fails the old token stays in use.
    /// Cancel safe.
    pub async fn renewed(&self) -> Arc<Secret> {
        let Some(command) = &self.command else {
            return future::pending().await;
        };
        let expiry = loop {
            let expiry = self.kept().as_ref().and_then(|secret| secret.expiry);
            match expiry {
                Some(expiry) => break expiry,
                // There may be one that ends, once somebody had to ask again.
                None => Timer::after(PAUSE_MOST).await,
            }
        };
        Timer::at(expiry.renew).await;
        let mut pause = PAUSE_FIRST;
        loop {
            match self.fresh(command).await {
                Ok((secret, _)) => return secret,
                Err(error) => {
                    let why = error.why();
                    if !self.failing.swap(true, Ordering::Relaxed) {
                        let left = expiry.ends.saturating_duration_since(Instant::now());
                        log::warn!(
                            "{why}; the last token is good for {} s, trying again until it works",
                            left.as_secs()
                        );
                    }
                }
            }
            Timer::after(pause.mul_f32(0.5 + fastrand::f32() / 2.0)).await;
            pause = (pause * 2).min(PAUSE_MOST);
        }
    }

    /// Who is signed in, and for how long, for people.
    pub fn describe(&self) -> String {
        let Some(secret) = self.kept().clone() else {
            return "without a password".into();
        };
        let user = match &secret.user {
            Some(user) => format!("signed in as {user}"),
            None => "signed in".into(),
        };
        let left = secret
            .expiry
            .map(|expiry| expiry.ends.saturating_duration_since(Instant::now()));
        match left.map(|left| left.as_secs()) {
            _ if !self.changes() => user,
            None => format!("{user} with what the auth command prints, which does not say its end"),
            Some(left) if left < 600 => format!("{user} with a token that lives for {left} s"),
            Some(left) => format!("{user} with a token that lives for {} min", left / 60),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn renewed_after(left: u64, draw: f32) -> f32 {
        let left = Duration::from_secs(left);
        let expiry = Expiry::new(left, draw);
        (expiry.renew - (expiry.ends - left)).as_secs_f32().round()
    }

    #[test]
    fn a_token_is_renewed_well_before_its_end() {
        for (left, draw, after) in [
            (3600, 0.0, 2160.0),
            (3600, 1.0, 2880.0),
            // Three minutes must be left.
            (600, 0.0, 360.0),
            (600, 1.0, 420.0),
            (300, 0.5, 120.0),
            (240, 0.5, 60.0),
            // It does not live that much longer.
            (200, 0.5, 140.0),
            (10, 0.5, 7.0),
            (1, 0.5, 1.0),
        ] {
            assert_eq!(renewed_after(left, draw), after, "{left} s, {draw}");
        }
    }
}
