//! Every command that is used, to be tried on keys of its own: what of it is not allowed should be
//! known before somebody wants to chat.

use std::collections::BTreeSet;

use redis::cmd;

use super::Scripts;
use crate::chat::name::Room;
use crate::redis::slot::Command;

/// How long what was tried stays, if it can't be removed, in seconds.
const PROBE_LIFE: u64 = 60;

/// Commands on keys, and harmless words for them.
const ON_KEYS: &[(&str, &str, &str)] = &[
    ("EVALSHA", "0000000000000000000000000000000000000000", "0"),
    ("SET", "string", "1 EX 60"),
    ("GET", "string", ""),
    ("HSET", "hash", "a b"),
    ("HGET", "hash", "a"),
    ("HGETALL", "hash", ""),
    ("HLEN", "hash", ""),
    ("HSCAN", "hash", "0"),
    ("HDEL", "hash", "c"),
    ("HINCRBY", "hash", "n 1"),
    ("SADD", "set", "a"),
    ("SISMEMBER", "set", "a"),
    ("SMEMBERS", "set", ""),
    ("SREM", "set", "c"),
    ("ZADD", "sorted", "1 a"),
    ("ZSCORE", "sorted", "a"),
    ("ZRANGE", "sorted", "0 0"),
    ("ZRANGEBYSCORE", "sorted", "0 1"),
    ("ZCARD", "sorted", ""),
    ("ZRANGEBYLEX", "sorted", "[a [b"),
    ("ZREVRANGEBYLEX", "sorted", "[b [a"),
    ("ZREMRANGEBYLEX", "sorted", "[c [d"),
    ("ZREM", "sorted", "c"),
    ("ZREMRANGEBYSCORE", "sorted", "2 3"),
    // To its own name: `@` is the key.
    ("RENAME", "string", "@"),
    ("TTL", "string", ""),
    ("XADD", "stream", "MAXLEN ~ 1 * a b"),
    ("XDEL", "stream", "1-1"),
    ("XRANGE", "stream", "- +"),
    ("XREVRANGE", "stream", "+ -"),
    ("SCRIPT", "LOAD", "return"),
    ("PUBLISH", "channel", "check"),
    ("PUBSUB|NUMSUB", "channel", ""),
    ("TIME", "", ""),
];
/// The same in a cluster with sharded PUBSUB.
const SHARDED: &[(&str, &str, &str)] = &[
    ("SPUBLISH", "shard", "check"),
    ("PUBSUB|SHARDNUMSUB", "shard", ""),
];
/// The keys that are made by these; each is removed again, or goes by itself.
const KEYS: [&str; 6] = ["string", "hash", "set", "sorted", "stream", "room"];

impl Scripts {
    /// Each command's name, and a harmless use of it. `sharded`: there is sharded PUBSUB.
    pub fn acl_probe(&self, sharded: bool) -> Vec<(&'static str, Command)> {
        let life = PROBE_LIFE.to_string();
        let room = [("SET", "room", "1 EX 60"), ("GET", "room", "")];
        let expire = KEYS.map(|key| ("EXPIRE", key, life.as_str()));
        let remove = KEYS.map(|key| ("DEL", key, ""));
        let shards = SHARDED.iter().filter(|_| sharded);
        let all = ON_KEYS
            .iter()
            .chain(shards)
            .copied()
            .chain(room)
            .chain(expire)
            .chain(remove);
        all.map(|(name, key, words)| (name, self.try_one(name, key, words)))
            .collect()
    }

    fn try_one(&self, name: &str, key: &str, words: &str) -> Command {
        let key = match key {
            "room" => format!("{{{}:lobby}}:check:{}", self.prefix, self.instance),
            "channel" => self.own_channel(),
            "shard" => format!("{}:check", self.envelope_channel(&Room::lobby())),
            key if KEYS.contains(&key) => self.users_key(&format!("check:{}:{key}", self.instance)),
            word => word.to_string(),
        };
        let mut parts = name.split('|');
        let mut command = cmd(parts.next().unwrap_or_default());
        let words = parts.chain([key.as_str()]).chain(words.split(' '));
        let words = words.map(|word| if word == "@" { &key } else { word });
        let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
        Command::on(&key, command.arg(words))
    }

    /// What a user of Redis must be allowed to, as `ACL SETUSER` wants it. Signing in needs no
    /// right. `old`: a Redis before 6.2, which knows no rights to channels, but one to say `HELLO`.
    /// `sharded`: a cluster with sharded PUBSUB.
    pub fn needed(&self, cluster: bool, old: bool, sharded: bool) -> String {
        let prefix = &self.prefix;
        let mut commands = BTreeSet::from([
            "SUBSCRIBE",
            "UNSUBSCRIBE",
            "PING",
            "INFO",
            "CLIENT|ID",
            "CLIENT|KILL",
            "CLIENT|SETNAME",
            "MEMORY|USAGE",
        ]);
        commands.extend(self.acl_probe(sharded).iter().map(|(name, _)| *name));
        if cluster {
            commands.extend(["ASKING", "CLUSTER|SLOTS"]);
        }
        if sharded {
            commands.extend(["SSUBSCRIBE", "SUNSUBSCRIBE"]);
        }
        commands.extend(old.then_some("HELLO"));
        let mut needed = format!("~{prefix}-users ~{{{prefix}-users}}:* ~{{{prefix}:*");
        if !old {
            needed += &format!(" &{prefix} &{prefix}:*");
        }
        for command in commands {
            needed += &format!(" +{}", command.to_ascii_lowercase());
        }
        needed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bus::redis::scripts::ALL;
    use crate::chat::id::Instance;
    use crate::config::Config;

    #[test]
    fn every_command_of_every_script_is_tried() {
        let scripts = Scripts::new(&Config::default(), Instance(1));
        let tried: Vec<_> = scripts
            .acl_probe(true)
            .iter()
            .map(|(name, _)| *name)
            .collect();
        for script in ALL {
            let code = script.code.replace("redis.pcall(", "redis.call(");
            for call in code.split("redis.call('").skip(1) {
                let name = call.split('\'').next().unwrap();
                // Without it, less is noticed, and all goes on.
                if name == "INFO" {
                    continue;
                }
                let is_tried = |tried: &&str| tried.split('|').next() == Some(name);
                assert!(tried.iter().any(is_tried), "{name}");
            }
        }
    }
}
