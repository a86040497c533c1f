//! The commands: scripts that do in one step what must not be half done, and their keys.
//!
//! The keys that one script touches share a hash slot, so the same scripts run on a cluster. Time
//! is always Redis' own. Each command may be repeated when nobody knows whether it got through.

use redis::{Script, Value, cmd};

use super::envelope;
use crate::bus::Draft;
use crate::chat::dialect::Roster;
use crate::chat::event::{Id, Instance, Origin};
use crate::chat::name::{LOBBY, Lock, Room, User};

/// An instance that has not renewed its lease for so long is dead, in milliseconds.
const LEASE: u64 = 15_000;
/// A room's log goes a week after its last message, in seconds.
const LOG_LIFE: u64 = 7 * 24 * 3600;
/// For how long a repeated message is still known, in seconds: longer than any outage in which
/// messages wait.
const SEEN_LIFE: u64 = 24 * 3600;

/// All commands of one instance.
#[derive(Debug)]
pub struct Scripts {
    prefix: String,
    instance: Instance,
    history: usize,
    notices: usize,
    publish: Named,
    claim: Named,
    release: Named,
    join: Named,
    rejoin: Named,
    leave: Named,
    roster: Named,
    tell: Named,
    renew: Named,
}

/// A script and its SHA-1, by which it is called.
#[derive(Debug)]
struct Named {
    code: &'static str,
    hash: String,
}

impl Named {
    fn new(code: &'static str) -> Named {
        Named {
            code,
            hash: Script::new(code).get_hash().to_string(),
        }
    }

    fn call(&self, keys: &[&str], args: &[&str]) -> Vec<u8> {
        let mut call = cmd("EVALSHA");
        call.arg(&self.hash).arg(keys.len()).arg(keys).arg(args);
        call.get_packed_command()
    }
}

impl Scripts {
    /// The commands of `instance`, with every key and channel under `prefix`.
    pub fn new(prefix: &str, instance: Instance, history: usize, notices: usize) -> Scripts {
        Scripts {
            prefix: prefix.to_string(),
            instance,
            history,
            notices,
            publish: Named::new(include_str!("script/publish.lua")),
            claim: Named::new(include_str!("script/claim.lua")),
            release: Named::new(include_str!("script/release.lua")),
            join: Named::new(include_str!("script/join.lua")),
            rejoin: Named::new(include_str!("script/rejoin.lua")),
            leave: Named::new(include_str!("script/leave.lua")),
            roster: Named::new(include_str!("script/roster.lua")),
            tell: Named::new(include_str!("script/tell.lua")),
            renew: Named::new(include_str!("script/renew.lua")),
        }
    }

    /// What makes Redis know the scripts; an answer each.
    pub fn load(&self) -> Vec<Vec<u8>> {
        let scripts = [
            &self.publish,
            &self.claim,
            &self.release,
            &self.join,
            &self.rejoin,
            &self.leave,
            &self.roster,
            &self.tell,
            &self.renew,
        ];
        scripts
            .map(|script| {
                cmd("SCRIPT")
                    .arg("LOAD")
                    .arg(script.code)
                    .get_packed_command()
            })
            .to_vec()
    }

    /// The channel of a room.
    pub fn channel(&self, room: &Room) -> String {
        match room.as_str() {
            LOBBY => self.prefix.clone(),
            room => format!("{}:{room}", self.prefix),
        }
    }

    /// This instance's own channel. No room's: `@` is not allowed in names.
    pub fn own_channel(&self) -> String {
        format!("{}{}", self.instance_channels(), self.instance)
    }

    fn instance_channels(&self) -> String {
        format!("{}:@", self.prefix)
    }

    /// The room whose channel this is.
    pub fn room(&self, channel: &[u8]) -> Option<Room> {
        let rest = std::str::from_utf8(channel)
            .ok()?
            .strip_prefix(&self.prefix)?;
        if rest.is_empty() {
            return Some(Room::lobby());
        }
        Room::new(rest.strip_prefix(':')?).ok()
    }

    fn room_key(&self, room: &Room, what: &str) -> String {
        format!("{{{}:{room}}}:{what}", self.prefix)
    }

    fn users_key(&self, what: &str) -> String {
        format!("{{{}-users}}:{what}", self.prefix)
    }

    fn visible_key(&self) -> String {
        format!("{}-users", self.prefix)
    }

    pub(super) fn publish(&self, room: &Room, draft: &Draft, sequence: u64) -> Vec<u8> {
        let keys = [
            &self.room_key(room, "counter"),
            &self.room_key(room, "log"),
            &self.room_key(room, &format!("seen:{}", self.instance)),
        ];
        self.publish.call(
            &keys.map(String::as_str),
            &[
                &self.channel(room),
                &envelope::said(draft),
                &sequence.to_string(),
                &self.history.to_string(),
                &LOG_LIFE.to_string(),
                &SEEN_LIFE.to_string(),
            ],
        )
    }

    pub(super) fn tell(&self, to: &str, draft: &Draft, sequence: u64) -> Vec<u8> {
        let keys = [
            &self.users_key("owners"),
            &self.users_key("leases"),
            &self.users_key(&format!("seen:{}", self.instance)),
            &self.users_key("letters"),
        ];
        self.tell.call(
            &keys.map(String::as_str),
            &[
                to,
                &self.instance_channels(),
                &envelope::letter(to, draft),
                &sequence.to_string(),
                &SEEN_LIFE.to_string(),
            ],
        )
    }

    /// `over`: whoever has the name under the same lock loses it.
    pub(super) fn claim(
        &self,
        user: &User,
        origin: Origin,
        lock: Option<Lock>,
        over: bool,
    ) -> Vec<u8> {
        let (owners, leases) = (self.users_key("owners"), self.users_key("leases"));
        self.claim.call(
            &[&self.visible_key(), &owners, &leases],
            &[
                user.as_str(),
                &origin.to_string(),
                &lock.map_or(String::new(), |lock| lock.to_string()),
                &self.instance_channels(),
                &envelope::replaced(user),
                if over { "1" } else { "0" },
            ],
        )
    }

    pub(super) fn release(&self, user: &User, origin: Origin) -> Vec<u8> {
        self.release.call(
            &[&self.visible_key(), &self.users_key("owners")],
            &[user.as_str(), &origin.to_string()],
        )
    }

    pub(super) fn join(&self, room: &Room, user: &User, origin: Origin) -> Vec<u8> {
        self.join.call(
            &[
                &self.room_key(room, "roster"),
                &self.room_key(room, "counter"),
            ],
            &[
                user.as_str(),
                &origin.to_string(),
                &self.channel(room),
                &envelope::joined(user, origin),
                &self.notices.to_string(),
            ],
        )
    }

    /// For a peer that is there already, as far as the room knows.
    pub(super) fn rejoin(&self, room: &Room, user: &User, origin: Origin) -> Vec<u8> {
        let key = self.room_key(room, "roster");
        self.rejoin
            .call(&[&key], &[user.as_str(), &origin.to_string()])
    }

    pub(super) fn leave(&self, room: &Room, user: &User, origin: Origin) -> Vec<u8> {
        self.leave.call(
            &[&self.room_key(room, "roster")],
            &[
                user.as_str(),
                &origin.to_string(),
                &self.channel(room),
                &envelope::left(user, origin),
                &self.notices.to_string(),
            ],
        )
    }

    pub(super) fn roster(&self, room: &Room) -> Vec<u8> {
        let keys = [
            self.room_key(room, "roster"),
            self.room_key(room, "counter"),
        ];
        self.roster
            .call(&[&keys[0], &keys[1]], &[&self.notices.to_string()])
    }

    pub(super) fn renew(&self) -> Vec<u8> {
        self.renew.call(
            &[&self.users_key("leases")],
            &[
                &self.instance.to_string(),
                &LEASE.to_string(),
                &self.own_channel(),
                &envelope::canary(),
            ],
        )
    }

    /// Gives the lease up: this instance has no names any more.
    pub(super) fn retire(&self) -> Vec<u8> {
        cmd("ZREM")
            .arg(self.users_key("leases"))
            .arg(self.instance.to_string())
            .get_packed_command()
    }
}

/// A script's answer, where it is a number.
pub fn number(value: &Value) -> Option<i64> {
    match value {
        Value::Int(number) => Some(*number),
        _ => None,
    }
}

/// The answer to [`Scripts::publish`], unless the message had been published before.
pub fn id(value: &Value) -> Option<Id> {
    let Value::BulkString(text) = value else {
        return None;
    };
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// The answer to [`Scripts::tell`], if the message found its user: id and time.
pub fn stamp(value: &Value) -> Option<(Id, u64)> {
    match value {
        Value::Array(parts) => match &parts[..] {
            [id_part, Value::Int(at)] => Some((id(id_part)?, u64::try_from(*at).ok()?)),
            _ => None,
        },
        _ => None,
    }
}

/// The answer to [`Scripts::roster`].
pub fn roster(value: Value) -> Option<Roster> {
    let Value::Array(parts) = value else {
        return None;
    };
    let mut parts = parts.into_iter();
    let count = usize::try_from(number(&parts.next()?)?).ok()?;
    let last = id(&parts.next()?);
    let mut users: Vec<String> = match parts.next() {
        Some(names) => redis::from_redis_value(names).ok()?,
        None => Vec::new(),
    };
    users.sort_unstable();
    Some(Roster { count, users, last })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_and_rooms_belong_together() {
        let scripts = Scripts::new("chat", Instance(0xf00), 1000, 500);
        for (name, channel) in [("lobby", "chat"), ("a b", "chat:a b")] {
            let room = Room::new(name).unwrap();
            assert_eq!(scripts.channel(&room), channel);
            assert_eq!(scripts.room(channel.as_bytes()), Some(room));
        }
        assert_eq!(scripts.own_channel(), "chat:@0000000000000f00");
        for not_a_room in [
            "chatter",
            "chat:",
            "chat:@0000000000000f00",
            "other",
            "chat-users",
        ] {
            assert_eq!(scripts.room(not_a_room.as_bytes()), None, "{not_a_room}");
        }
    }

    #[test]
    fn a_roster_comes_with_names_or_without() {
        let names = ["b", "a"].map(|name| Value::BulkString(name.into()));
        let last = Value::BulkString("12-3".into());
        let small = vec![Value::Int(2), last, Value::Array(names.to_vec())];
        let expected = Roster {
            count: 2,
            users: vec!["a".to_string(), "b".to_string()],
            last: Some(Id { epoch: 12, n: 3 }),
        };
        assert_eq!(roster(Value::Array(small)), Some(expected));
        let large = vec![Value::Int(501), Value::BulkString(Vec::new())];
        let expected = Roster {
            count: 501,
            ..Roster::default()
        };
        assert_eq!(roster(Value::Array(large)), Some(expected));
        assert_eq!(roster(Value::Nil), None);
    }
}
