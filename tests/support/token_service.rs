//! A token service like Azure's, and the Redis users of its tokens.

use std::fs;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use natterjack::config::RedisAddress;
use tempfile::TempDir;

use super::Redis;

/// Returns the token that was issued last. Each token is the password of a user of its own, so that one
/// sees in `CLIENT LIST` which connection is signed in with which.
pub struct TokenService {
    folder: TempDir,
    rights: String,
}

impl TokenService {
    /// Has issued nothing. Its users may do everything.
    pub fn new() -> TokenService {
        TokenService::with_rights("~* +@all &*")
    }

    /// The same for users with these rights, as `ACL SETUSER` wants them.
    pub fn with_rights(rights: &str) -> TokenService {
        let folder = tempfile::tempdir().unwrap();
        let rights = rights.to_string();
        TokenService { folder, rights }
    }

    /// The command that asks it for a token, and leaves a trace of that.
    pub fn command(&self) -> String {
        let folder = self.folder.path().display();
        format!("echo >> {folder}/runs; cat {folder}/token")
    }

    /// How often it was asked.
    pub fn asked(&self) -> usize {
        fs::read(self.folder.path().join("runs")).map_or(0, |runs| runs.len())
    }

    /// How to reach this Redis with its tokens.
    pub fn address(&self, redis: &Redis) -> RedisAddress {
        RedisAddress {
            auth_command: Some(self.command()),
            ..redis.address()
        }
    }

    /// Hands out from now on what is a token of that user of Redis, and lives for so long; returns
    /// it. Earlier ones of that user are still good.
    pub fn issue(&self, redis: &Redis, user: &str, life: Duration) -> String {
        let token = token(user, life);
        redis.allow(user, &format!("on >{token} {}", self.rights));
        self.print(&token);
        token
    }

    /// Hands out this password of a user of Redis, and lets no other one of that user in.
    pub fn hand_out(&self, redis: &Redis, user: &str, password: &str) {
        redis.allow(user, &format!("on resetpass >{password} {}", self.rights));
        self.print(password);
    }

    /// Returns this token, whether or not Redis accepts it.
    pub fn print(&self, text: &str) {
        let [new, path] = ["new", "token"].map(|name| self.folder.path().join(name));
        fs::write(&new, text).unwrap();
        fs::rename(new, path).unwrap();
    }

    /// Hands out nothing; the command fails.
    pub fn fail(&self) {
        fs::remove_file(self.folder.path().join("token")).unwrap();
    }
}

/// A JSON Web Token for a user, without a signature worth the name.
pub fn token(user: &str, life: Duration) -> String {
    let ends = SystemTime::now().duration_since(UNIX_EPOCH).unwrap() + life;
    let claims = format!(r#"{{"oid":"{user}","exp":{}}}"#, ends.as_secs_f64());
    let unsigned = [r#"{"alg":"none"}"#, &claims].map(base64url).join(".");
    format!("{unsigned}.c2VjcmV0")
}

fn base64url(text: &str) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut out = String::new();
    for three in text.as_bytes().chunks(3) {
        let byte = |i: usize| u32::from(*three.get(i).unwrap_or(&0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for digit in 0..=three.len() {
            out.push(DIGITS[(bits >> (18 - 6 * digit)) as usize & 63].into());
        }
    }
    out
}
