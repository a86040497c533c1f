//! Whether a Redis keeps what it is given: what becomes of it when memory runs short, and in a restart.

use redis::Value;

use crate::report::Report;

/// What a Redis says of itself: its answer to `INFO`.
#[derive(Debug)]
pub struct Info(String);

impl Info {
    /// Reads the answer; `None` if it is an error, such as that of a user who may not ask.
    pub fn read(reply: &Value) -> Option<Info> {
        match reply {
            Value::BulkString(text) => Some(Info(String::from_utf8_lossy(text).into_owned())),
            _ => None,
        }
    }

    /// The value of this field.
    pub fn get(&self, field: &str) -> Option<&str> {
        let mut fields = self.0.lines().filter_map(|line| line.split_once(':'));
        fields.find(|(name, _)| *name == field).map(|(_, it)| it)
    }
}

/// Reports what each of these nodes does with its data. `nodes`: their names and what they say.
pub fn look(nodes: &[(String, Info)], redis: &str, report: &mut Report) {
    let mut kept = true;
    for (node, info) in nodes {
        if let Some(why) = evicts(info) {
            report.warn(format_args!("{node}: {why}"));
        }
        if info.get("aof_enabled") == Some("0") {
            kept = false;
            report.warn(format_args!(
                "{node}: its restart loses what it has not saved; set appendonly yes (Azure: data persistence)"
            ));
        }
    }
    if kept {
        report.ok(format_args!("{redis}: keeps its data (appendonly)"));
    }
}

/// Why names and messages may be lost when memory runs short. All have a time to live, so every
/// policy but one takes them. A policy without `maxmemory` counts, too: who runs a Redis for others
/// may limit it in another way, and does not say so here.
fn evicts(info: &Info) -> Option<String> {
    let what = match info.get("maxmemory_policy") {
        Some("noeviction") => return None,
        Some(policy) => format!(
            "maxmemory-policy {policy} may throw names and messages away when memory is short"
        ),
        None => "it does not say its maxmemory-policy, and may throw messages away".into(),
    };
    Some(format!(
        "{what}; set noeviction (Azure: az redis update --set redisConfiguration.maxmemory-policy=noeviction, or --eviction-policy NoEviction)"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_policy_but_noeviction_throws_messages_away() {
        let info = |text: &str| Info::read(&Value::BulkString(text.into())).unwrap();
        let none = info("# Memory\r\nmaxmemory:100\r\nmaxmemory_policy:noeviction\r\n");
        assert_eq!(evicts(&none), None);
        for policy in ["volatile-lru", "volatile-ttl", "allkeys-lfu"] {
            // Azure's limit is seen, others are not.
            for maxmemory in ["0", "285000000"] {
                let text = format!("maxmemory:{maxmemory}\r\nmaxmemory_policy:{policy}\r\n");
                let why = evicts(&info(&text)).unwrap();
                assert!(
                    why.contains(policy) && why.contains("; set noeviction"),
                    "{why}"
                );
            }
        }
        let why = evicts(&info("redis_version:7.0.0\r\n")).unwrap();
        assert!(why.starts_with("it does not say"), "{why}");
        assert!(Info::read(&Value::Nil).is_none());
    }
}
