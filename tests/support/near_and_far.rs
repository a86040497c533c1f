//! Two instances, of which one is far from Redis.

use super::{Proxy, Redis, TestServer};

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
        let redis = Redis::on_tcp();
        let way = Proxy::to(redis.port());
        NearAndFar {
            near: TestServer::on(&redis),
            far: TestServer::on_with(way.address(), |_| {}),
            way,
            redis,
        }
    }
}
