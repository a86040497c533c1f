//! The address of Redis in the smallest build: any is an error.

use super::RedisAddress;
use super::setting::{Env, setting};

/// No address.
///
/// # Errors
/// One line, if a Redis is set.
pub fn address(given: Option<String>, env: Env<'_>) -> Result<Option<RedisAddress>, String> {
    let asked = setting("redis", given, env).map(|setting| setting.name);
    let variable = ["REDIS_URL", "REDIS_HOST"]
        .into_iter()
        .find(|name| env(name).is_some());
    match asked.or(variable.map(String::from)) {
        Some(name) => Err(format!("{name}: this build has no redis")),
        None => Ok(None),
    }
}
