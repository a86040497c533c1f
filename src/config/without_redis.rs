//! The address of Redis in the smallest build: any is an error.

use super::RedisAddress;
use super::values::NAME;

pub fn redis_url(_: &str) -> Result<RedisAddress, String> {
    Err(format!("{NAME}: this build has no redis"))
}

pub fn redis_host(env: &dyn Fn(&str) -> Option<String>) -> Result<Option<RedisAddress>, String> {
    match env("REDIS_HOST") {
        Some(_) => Err("REDIS_HOST: this build has no redis".into()),
        None => Ok(None),
    }
}
