//! Few helpers with few verbs. Every wait has the one deadline, and says what it had seen.

pub mod alone;
mod browser;
mod certs;
mod client;
mod devtools;
mod issuer;
mod manager;
mod nodes;
mod other_server;
mod program;
mod proxy;
mod raw;
mod redis;
pub mod secure;
mod sentinels;
mod server;
mod stream;
mod token_service;

pub use alone::Alone;
pub use browser::Page;
pub use certs::Certs;
pub use client::Client;
pub use issuer::{Issuer, message, openssl, rsa, soon};
pub use manager::Manager;
pub use nodes::Nodes;
pub use other_server::OtherServer;
pub use program::Program;
pub use proxy::Proxy;
pub use raw::{Raw, connect_from, frame, upgrade};
pub use redis::{Redis, Saved};
pub use sentinels::Sentinels;
pub use server::TestServer;
pub use stream::Stream;
pub use token_service::{TokenService, token};

use std::net::TcpListener;
use std::time::{Duration, Instant};

use natterjack::config::Config;

/// How long anything may take that must happen. Generous: machines are noisy, and a test that
/// passes does not wait for it.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// Tries until it works.
#[track_caller]
pub fn eventually<T>(what: &str, mut attempt: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + DEADLINE;
    loop {
        if let Some(value) = attempt() {
            return value;
        }
        assert!(Instant::now() < end, "{what}: not within {DEADLINE:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A port that was free just now. Not one of those that the system hands out to outgoing
/// connections: who gives it up for a while finds it free again.
pub fn free_port() -> u16 {
    eventually("a port is free", || {
        let port = fastrand::u16(10_000..32_000);
        TcpListener::bind(("127.0.0.1", port)).ok().map(|_| port)
    })
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
