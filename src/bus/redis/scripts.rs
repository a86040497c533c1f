//! The commands: scripts that do in one step what must not be half done, and their keys.
//!
//! The keys that one script touches share a hash slot, so the same scripts run on a cluster. Time
//! is always Redis' own. Each command may be repeated when nobody knows whether it got through.

mod acl_probe;
mod users;

use redis::{Script, cmd};

use super::message;
use crate::bus::NewMessage;
use crate::chat::id::{Id, Instance, Origin};
use crate::chat::name::{LOBBY, Room, User};
use crate::chat::replay::Stretch;
use crate::redis::pipeline::Part;
use crate::redis::slot::{Command, slot};

/// A room's log goes a week after its last message, in seconds.
const LOG_LIFE: u64 = 7 * 24 * 3600;
/// For how long a repeated message is still known, in seconds: longer than any outage in which
/// messages wait.
const SEEN_LIFE: u64 = 24 * 3600;
/// For how long a message is known by the name its client gave it, in seconds.
const REFERENCE_LIFE: u64 = 15 * 60;

/// All commands of one instance.
#[derive(Debug)]
pub struct Scripts {
    prefix: String,
    instance: Instance,
    history: usize,
    notices: usize,
    publish: Named,
    claim: Named,
    try_join: Named,
    release: Named,
    join: Named,
    join_anonymous: Named,
    restore_member: Named,
    leave: Named,
    roster: Named,
    send_private: Named,
    renew_lease: Named,
    new_epoch: Named,
    mark_dead: Named,
    expire_room: Named,
    expire_names: Named,
    delete_instance: Named,
}

/// A message on its way.
#[derive(Debug)]
pub struct Publication {
    room: Room,
    /// Where the room's keys are.
    slot: u16,
    sequence: u64,
    /// The key of the name that its client has given it.
    name: Option<String>,
    envelope: String,
}

impl Part for Publication {
    fn slot(&self) -> u16 {
        self.slot
    }

    fn size(&self) -> usize {
        self.envelope.len()
    }

    fn goes_with(&self, other: &Publication) -> bool {
        self.room == other.room
    }
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

    fn call(&self, keys: &[&str], args: &[&str]) -> Command {
        let mut call = cmd("EVALSHA");
        call.arg(&self.hash).arg(keys.len()).arg(keys).arg(args);
        Command::on(keys.first().unwrap_or(&""), &call)
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
            publish: Named::new(include_str!("scripts/publish.lua")),
            claim: Named::new(include_str!("scripts/claim.lua")),
            try_join: Named::new(include_str!("scripts/try_join.lua")),
            release: Named::new(include_str!("scripts/release.lua")),
            join: Named::new(include_str!("scripts/join.lua")),
            join_anonymous: Named::new(include_str!("scripts/join_anonymous.lua")),
            restore_member: Named::new(include_str!("scripts/restore_member.lua")),
            leave: Named::new(include_str!("scripts/leave.lua")),
            roster: Named::new(include_str!("scripts/roster.lua")),
            send_private: Named::new(include_str!("scripts/send_private.lua")),
            renew_lease: Named::new(include_str!("scripts/renew_lease.lua")),
            new_epoch: Named::new(include_str!("scripts/new_epoch.lua")),
            mark_dead: Named::new(include_str!("scripts/mark_dead.lua")),
            expire_room: Named::new(include_str!("scripts/expire_room.lua")),
            expire_names: Named::new(include_str!("scripts/expire_names.lua")),
            delete_instance: Named::new(include_str!("scripts/delete_instance.lua")),
        }
    }

    fn all(&self) -> [&Named; 16] {
        [
            &self.publish,
            &self.claim,
            &self.try_join,
            &self.release,
            &self.join,
            &self.join_anonymous,
            &self.restore_member,
            &self.leave,
            &self.roster,
            &self.send_private,
            &self.renew_lease,
            &self.new_epoch,
            &self.mark_dead,
            &self.expire_room,
            &self.expire_names,
            &self.delete_instance,
        ]
    }

    /// What makes Redis know the scripts; an answer each.
    pub fn load(&self) -> Vec<Vec<u8>> {
        self.all()
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

    /// A message that has the instance's number `sequence`, to be [published](Self::publish).
    pub fn publication(&self, room: &Room, message: &NewMessage, sequence: u64) -> Publication {
        // No client's name holds a colon, so no two share a key.
        let named = |name| self.room_key(room, &format!("ref:{}:{name}", message.client()));
        Publication {
            room: room.clone(),
            slot: slot(&self.room_key(room, "")),
            sequence,
            name: message.receipt.reference().map(named),
            envelope: message::said(message),
        }
    }

    /// Publishes messages, all of the same room as the first.
    pub fn publish(&self, first: &Publication, more: &[&Publication]) -> Command {
        let room = &first.room;
        let mut keys = vec![
            self.room_key(room, "counter"),
            self.room_key(room, "log"),
            self.room_key(room, &format!("seen:{}", self.instance)),
        ];
        let lives = [LOG_LIFE, SEEN_LIFE, REFERENCE_LIFE].map(|life| life.to_string());
        let mut args = vec![self.channel(room), self.history.to_string()];
        args.extend(lives);
        let mut words = vec![];
        for message in std::iter::once(&first).chain(more) {
            let place = message.name.as_ref().map_or(0, |name| {
                keys.push(name.clone());
                keys.len()
            });
            words.push((message.sequence, place, &message.envelope));
        }
        let mut call = cmd("EVALSHA");
        call.arg(&self.publish.hash).arg(keys.len()).arg(keys);
        call.arg(args).arg(words);
        Command {
            slot: first.slot,
            packed: call.get_packed_command(),
        }
    }

    pub fn join(&self, room: &Room, user: &User, origin: Origin) -> Command {
        self.enter(&self.join, room, user, origin, &[])
    }

    /// For a peer that is there already. `announced`: others may have been told that it had left.
    pub fn restore_member(
        &self,
        room: &Room,
        user: &User,
        origin: Origin,
        announced: bool,
    ) -> Command {
        let announced = if announced { "1" } else { "0" };
        self.enter(&self.restore_member, room, user, origin, &[announced])
    }

    fn enter(
        &self,
        script: &Named,
        room: &Room,
        user: &User,
        origin: Origin,
        more: &[&str],
    ) -> Command {
        let keys = [
            &self.room_key(room, "roster"),
            &self.room_key(room, "counter"),
        ];
        let (entry, origin) = (&entry(user, origin), &origin.to_string());
        let channel = &self.channel(room);
        let (envelope, notices) = (
            &message::joined(Some(user), origin),
            self.notices.to_string(),
        );
        let args = [user.key(), entry, channel, envelope, &notices];
        script.call(&keys.map(String::as_str), &[&args, more].concat())
    }

    /// For a peer without a name.
    pub fn join_anonymous(&self, room: &Room, origin: Origin) -> Command {
        let envelope = message::joined(None, &origin.to_string());
        let key = self.room_key(room, "counter");
        self.join_anonymous
            .call(&[&key], &[&self.channel(room), &envelope])
    }

    pub fn leave(&self, room: &Room, user: &User, origin: Origin) -> Command {
        self.leave.call(
            &[&self.room_key(room, "roster")],
            &[
                user.key(),
                &origin.to_string(),
                &self.channel(room),
                &message::left(user, origin),
                &self.notices.to_string(),
            ],
        )
    }

    /// What shows whether somebody can join: a trial on the keys of names, and on those of the lobby.
    pub fn try_join(&self) -> [Command; 2] {
        let lobby = Room::lobby();
        let (names, owners, letters) = (
            self.visible_key(),
            self.users_key("owners"),
            self.users_key("letters"),
        );
        let (roster, counter) = (
            self.room_key(&lobby, "roster"),
            self.room_key(&lobby, "counter"),
        );
        let call = |keys: &[&str], kinds: &[&str]| self.try_join.call(keys, kinds);
        [
            call(&[&names, &owners, &letters], &["set", "hash", "string"]),
            call(&[&roster, &counter], &["hash", "string"]),
        ]
    }

    pub fn roster(&self, room: &Room) -> Command {
        let keys = [
            self.room_key(room, "roster"),
            self.room_key(room, "counter"),
        ];
        self.roster
            .call(&[&keys[0], &keys[1]], &[&self.notices.to_string()])
    }

    /// The room's last message.
    pub fn last(&self, room: &Room) -> Command {
        let key = self.room_key(room, "counter");
        Command::on(&key, cmd("GET").arg(&key))
    }

    /// Begins a new epoch, unless another has begun since.
    pub fn new_epoch(&self, room: &Room, epoch: u64) -> Command {
        let key = self.room_key(room, "counter");
        self.new_epoch
            .call(&[&key], &[&epoch.to_string(), &LOG_LIFE.to_string()])
    }

    /// The messages of a stretch.
    pub fn read(&self, room: &Room, stretch: Stretch, most: usize) -> Command {
        // The next id, and not "after this one": Redis 6.0 can't say that.
        let (from, until) = (stretch.after.next().to_string(), stretch.until.to_string());
        self.log(room, &from, &until, most)
    }

    /// The messages from this one on, with it.
    pub fn read_from(&self, room: &Room, from: Id, most: usize) -> Command {
        self.log(room, &from.to_string(), "+", most)
    }

    fn log(&self, room: &Room, from: &str, to: &str, most: usize) -> Command {
        let key = self.room_key(room, "log");
        let range = (from, to, "COUNT", most);
        Command::on(&key, cmd("XRANGE").arg(&key).arg(range))
    }

    /// The last messages up to one, with it, or of all; newest first.
    pub fn up_to(&self, room: &Room, id: Option<Id>, most: usize) -> Command {
        let from = id.map_or("+".to_string(), |id| id.to_string());
        let key = self.room_key(room, "log");
        let range = (from, "-", "COUNT", most);
        Command::on(&key, cmd("XREVRANGE").arg(&key).arg(range))
    }
}

/// What stands beside a name's key on a roster: whose it is, and the name as it is shown, if that is
/// something else.
fn entry(user: &User, origin: Origin) -> String {
    match user.as_str() {
        shown if shown == user.key() => origin.to_string(),
        shown => format!("{origin} {shown}"),
    }
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
}
