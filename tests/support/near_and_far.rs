//! Two instances, of which one is far from Redis.

use std::time::Duration;

use natterjack::config::Config;
use serde_json::Value;

use super::{Client, Proxy, Redis, TestServer, eventually};

/// Two instances on one Redis. What the far one and Redis say to each other goes a way that can fail.
pub struct NearAndFar {
    /// The instance that is beside Redis.
    pub near: TestServer,
    /// The other one.
    pub far: TestServer,
    /// Between the far instance and Redis.
    pub way: Proxy,
    /// Redis, which ends last.
    pub redis: Redis,
}

impl NearAndFar {
    /// Starts all of them.
    pub fn start() -> NearAndFar {
        NearAndFar::start_with(|_| {})
    }

    /// The same with settings.
    pub fn start_with(set: impl Fn(&mut Config)) -> NearAndFar {
        let redis = Redis::on_tcp();
        let way = Proxy::to(redis.port());
        NearAndFar {
            near: TestServer::on_with(redis.address(), &set),
            far: TestServer::on_with(way.address(), &set),
            way,
            redis,
        }
    }

    /// Somebody begins with this on the far instance. Redis has given the name, and the answer is on its way until the
    /// way lets go what it holds.
    #[track_caller]
    pub fn comes(&self, name: &str, begin: Value) -> Client {
        let mut client = self.far.json();
        self.begins(name, &mut client, begin);
        client
    }

    /// The same for somebody who is connected, and has not claimed this name yet.
    #[track_caller]
    pub fn begins(&self, name: &str, client: &mut Client, begin: Value) {
        let owner = || self.redis.command(&["HGET", "{chat-users}:owners", name]);
        let before = owner();
        self.way.delay(Duration::from_millis(500));
        client.put(begin);
        eventually("Redis gives the name", || (owner() != before).then_some(()));
        self.way
            .hold_commands(&self.redis.command(&["CLIENT", "LIST"]));
    }
}
