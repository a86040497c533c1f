//! Every command that is used, to be tried on keys of its own: what of it is not allowed should be
//! known before somebody wants to chat.

use redis::{Cmd, cmd};

use super::Scripts;

/// How long what was tried stays, if it can't be removed.
const TRIAL_LIFE: u64 = 60;

impl Scripts {
    /// Each command's name, and a harmless use of it.
    pub fn trial(&self) -> Vec<(&'static str, Vec<u8>)> {
        let key = |kind: &str| self.users_key(&format!("check:{}:{kind}", self.instance));
        let room = format!("{{{}:lobby}}:check:{}", self.prefix, self.instance);
        let script = format!("{:040}", 0);
        let channel = self.own_channel();
        let [string, hash, set, sorted] = ["string", "hash", "set", "sorted"].map(key);
        let stream = key("stream");
        let mut trial: Vec<(&'static str, Cmd)> = Vec::new();
        let mut on = |name: &'static str, key: &str, args: &[&str]| {
            let mut command = cmd(name);
            command.arg(key).arg(args);
            trial.push((name, command));
        };
        on("SCRIPT", "LOAD", &["return 0"]);
        on("EVALSHA", &script, &["1", &string]);
        let life = TRIAL_LIFE.to_string();
        for key in [&string, &room] {
            on("SET", key, &["1", "EX", &life]);
            on("GET", key, &[]);
        }
        on("HSET", &hash, &["a", "b"]);
        on("HGET", &hash, &["a"]);
        on("HGETALL", &hash, &[]);
        on("HKEYS", &hash, &[]);
        on("HLEN", &hash, &[]);
        on("HSCAN", &hash, &["0"]);
        on("HDEL", &hash, &["c"]);
        on("SADD", &set, &["a"]);
        on("SMEMBERS", &set, &[]);
        on("SREM", &set, &["c"]);
        on("ZADD", &sorted, &["1", "a"]);
        on("ZSCORE", &sorted, &["a"]);
        on("ZRANGEBYSCORE", &sorted, &["0", "1"]);
        on("ZREM", &sorted, &["c"]);
        on("ZREMRANGEBYSCORE", &sorted, &["2", "3"]);
        on("XADD", &stream, &["MAXLEN", "~", "1", "*", "a", "b"]);
        on("XRANGE", &stream, &["-", "+"]);
        on("XREVRANGE", &stream, &["+", "-"]);
        on("PUBLISH", &channel, &["check"]);
        let all = [&string, &hash, &set, &sorted, &stream, &room];
        for key in all {
            on("EXPIRE", key, &[&life]);
        }
        for key in all {
            on("DEL", key, &[]);
        }
        trial.push(("TIME", cmd("TIME")));
        let packed = |(name, command): (_, Cmd)| (name, command.get_packed_command());
        trial.into_iter().map(packed).collect()
    }

    /// What a user of Redis must be allowed to, as `ACL SETUSER` wants it.
    pub fn needed(&self) -> String {
        let prefix = &self.prefix;
        let mut commands: Vec<&str> = self.trial().iter().map(|(name, _)| *name).collect();
        commands.extend(["SUBSCRIBE", "UNSUBSCRIBE", "PING", "INFO", "CLIENT|SETNAME"]);
        commands.sort_unstable();
        commands.dedup();
        let commands: Vec<_> = commands
            .iter()
            .map(|name| format!("+{}", name.to_ascii_lowercase()))
            .collect();
        format!(
            "~{prefix}-users ~{{{prefix}* &{prefix} &{prefix}:* {}",
            commands.join(" ")
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::id::Instance;

    #[test]
    fn every_command_of_every_script_is_tried() {
        let scripts = Scripts::new("chat", Instance(1), 1000, 500);
        let tried: Vec<_> = scripts.trial().iter().map(|(name, _)| *name).collect();
        let used = scripts.all().map(|script| script.code);
        for code in used {
            for call in code.split("redis.call(").skip(1) {
                let name = call[1..].split(['\'', '"']).next().unwrap();
                assert!(tried.contains(&name), "{name}");
            }
        }
    }
}
