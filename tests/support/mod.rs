//! Few helpers with few verbs. Every wait has the one deadline, and says what it had seen.

pub mod alone;
mod browser;
mod certs;
mod client;
mod devtools;
mod failing_disk;
mod firefox;
mod follower;
mod front;
mod issuer;
mod manager;
mod near_and_far;
mod nginx;
mod nodes;
mod other_server;
mod own_network;
mod program;
mod proxy;
mod raw;
mod redis;
mod schema;
pub mod secure;
mod sentinels;
mod server;
mod site;
mod stream;
mod token_service;
mod two_servers;
mod webkit;

pub use alone::Alone;
pub use browser::Page;
pub use certs::Certs;
pub use client::Client;
pub use failing_disk::FailingDisk;
pub use follower::Follower;
pub use front::Front;
pub use issuer::{Issuer, message, openssl, rsa, soon};
pub use manager::Manager;
pub use near_and_far::NearAndFar;
pub use nginx::{Nginx, Tls};
pub use nodes::Nodes;
pub use other_server::OtherServer;
pub use own_network::{in_own_network, ip};
pub use program::Program;
pub use proxy::Proxy;
pub use raw::{Raw, connect_from, frame, upgrade};
pub use redis::{Redis, Saved, is_before_7};
pub use schema::Descriptions;
pub use sentinels::Sentinels;
pub use server::TestServer;
pub use site::site;
pub use stream::Stream;
pub use token_service::{TokenService, token};
pub use two_servers::{TwoServers, on_one_and_on_two, open_to_guests, say, serve};

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use natterjack::config::Config;

/// How long anything may take that must happen. Generous: machines are noisy, and a test that
/// passes does not wait for it.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// How long sentinels may take: one whose clock has stood still does nothing for half a minute.
const SENTINEL_DEADLINE: Duration = Duration::from_secs(90);

/// Tries until it works.
#[track_caller]
pub fn eventually<T>(what: &str, attempt: impl FnMut() -> Option<T>) -> T {
    within(DEADLINE, what, attempt)
}

/// Tries until sentinels have done it.
#[track_caller]
pub fn sentinels_have<T>(what: &str, attempt: impl FnMut() -> Option<T>) -> T {
    within(SENTINEL_DEADLINE, what, attempt)
}

#[track_caller]
fn within<T>(time: Duration, what: &str, mut attempt: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + time;
    loop {
        if let Some(value) = attempt() {
            return value;
        }
        assert!(Instant::now() < end, "{what}: not within {time:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A port that was free just now, and that no other test was given. Not one of those that the system
/// hands out to outgoing connections: who gives it up for a while finds it free again.
pub fn free_port() -> u16 {
    free_pair(0)
}

/// The same, if the port so far above it is free too.
fn free_pair(distance: u16) -> u16 {
    static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());
    eventually("a port is free", || {
        let port = fastrand::u16(10_000..32_000 - distance);
        let pair = [port, port + distance];
        let mut given = GIVEN.lock().unwrap();
        let is_free =
            |port: &u16| !given.contains(port) && TcpListener::bind(("127.0.0.1", *port)).is_ok();
        let free = pair.iter().all(is_free);
        free.then(|| given.extend(pair))?;
        Some(port)
    })
}

/// Tells the helpers of a test that it is over, also when it ends by a panic: they are waited for.
pub struct TellsOver<'a>(pub &'a AtomicBool);

impl Drop for TellsOver<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Runs the same script alone and over Redis: that is the proof that nobody needs to know which.
pub fn on_both_buses(script: impl Fn(&TestServer)) {
    on_both_buses_with(|_| {}, script);
}

/// The same with settings.
pub fn on_both_buses_with(set: impl Fn(&mut Config), script: impl Fn(&TestServer)) {
    script(&TestServer::with(&set));
    let redis = Redis::start();
    script(&TestServer::on_with(redis.address(), &set));
}

/// Runs a script about two connections: both on a lone server, both on one instance behind Redis, and
/// on two instances. Each time nobody else is there, nor still leaving.
pub fn here_and_there(script: impl Fn(&TestServer, &TestServer)) {
    here_and_there_with(|_| {}, script);
}

/// The same with settings.
pub fn here_and_there_with(set: impl Fn(&mut Config), script: impl Fn(&TestServer, &TestServer)) {
    on_both_buses_with(&set, |server| script(server, server));
    let redis = Redis::start();
    let [here, there] = [(); 2].map(|()| TestServer::on_with(redis.address(), &set));
    script(&here, &there);
}
