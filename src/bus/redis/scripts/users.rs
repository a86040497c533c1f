//! The commands about names, leases and private messages, which share the slot of the user set, and
//! those that clean up after a dead instance.

use redis::cmd;

use super::{CLAIM, DELETE_INSTANCE, EXPIRE_NAMES, EXPIRE_ROOM, MARK_DEAD, RELEASE, RENEW_LEASE};
use super::{
    LIST_MEMBERS, LIST_NAMES, PORTION, READ_LOG, READ_SUMS, REFERENCE_LIFE, SEND_PRIVATE, Scripts,
};
use crate::bus::NewMessage;
use crate::bus::redis::message;
use crate::chat::dialect::PrivateMessage;
use crate::chat::id::{Id, Instance, Origin};
use crate::chat::name::{Room, SessionKeyHash, User};
use crate::redis::slot::Command;

/// For how long an instance that was taken for dead is told so when it wakes, in milliseconds.
const DEAD_LIFE: u64 = 24 * 3600 * 1000;
/// How many private messages are kept for an instance that is not listening.
const INBOX_MOST: u64 = 1000;
/// For how long they are kept, in seconds.
const INBOX_LIFE: u64 = 3600;

impl Scripts {
    /// `written`: the recipient's name as the sender writes it.
    pub fn send_private(
        &self,
        to: &User,
        written: &str,
        message: &NewMessage,
        sequence: u64,
    ) -> Command {
        let named = match message.receipt.reference() {
            Some(name) => format!("ref:{}:{name}", message.client()),
            None => format!("ref:@{}:{sequence}", self.instance),
        };
        self.private(&named, to.key(), message::private(written, message), None)
    }

    /// Sends a private message, whose recipient is not here, to all other instances.
    pub fn forward_private(&self, to: &str, message: &PrivateMessage) -> Command {
        let named = format!("ref:@{}:forwarded:{}", self.instance, message.id);
        let envelope = message::forwarded(to, message);
        self.private(&named, to, envelope, Some(self.instance))
    }

    /// `named`: how the message is recognised; `from`: where its recipient is not.
    fn private(&self, named: &str, to: &str, envelope: String, from: Option<Instance>) -> Command {
        let keys = ["owners", "leases", "private-counter", named].map(|what| self.users_key(what));
        let (channels, inboxes) = (self.instance_channels(), self.users_key("inbox:"));
        let lives = [REFERENCE_LIFE, INBOX_MOST, INBOX_LIFE];
        let from = from.map_or(String::new(), |from| from.to_string());
        SEND_PRIVATE.call(&keys, (to, channels, envelope, inboxes, &lives, from))
    }

    /// `over`: a peer that holds the name with the same session key loses it.
    pub fn claim(
        &self,
        user: &User,
        origin: Origin,
        key_hash: Option<SessionKeyHash>,
        over: bool,
    ) -> Command {
        let key_hash = key_hash.map_or(String::new(), |key_hash| key_hash.to_string());
        let owner = (user.key(), origin.to_string(), key_hash);
        let replaced = (self.instance_channels(), message::replaced(user));
        let kept = (self.users_key("replaced:"), INBOX_LIFE);
        let args = (owner, replaced, over, user.as_str(), kept);
        CLAIM.call(&self.name_keys(), args)
    }

    /// The names that were taken over from this instance lately, and the connections that had them.
    pub fn replaced(&self) -> Command {
        let key = self.users_key(&format!("replaced:{}", self.instance));
        Command::on(&key, cmd("HGETALL").arg(&key))
    }

    /// `shown`: the name, if it is known that this connection had it.
    pub fn release(&self, key: &str, origin: Origin, shown: Option<&User>) -> Command {
        let [owners, sums] = ["owners", "sums"].map(|what| self.users_key(what));
        let keys = [self.visible_key(), owners, sums];
        let shown = shown.map_or("", User::as_str);
        RELEASE.call(&keys, (key, origin.to_string(), shown))
    }

    pub fn renew_lease(&self) -> Command {
        let keys = ["leases", "dead"].map(|what| self.users_key(what));
        let canary = (self.own_channel(), message::canary());
        RENEW_LEASE.call(&keys, (self.instance.to_string(), canary))
    }

    /// The sums of all instances over the names that they hold.
    pub fn name_sums(&self) -> Command {
        let keys = ["owners", "sums"].map(|what| self.users_key(what));
        READ_SUMS.call(&keys, &[""; 0])
    }

    /// Sets this instance's sum over its names right.
    pub fn recount_names(&self) -> Command {
        let keys = ["owners", "sums"].map(|what| self.users_key(what));
        LIST_MEMBERS.call(&keys, (self.instance.to_string(), false))
    }

    /// A page of the names that this instance holds.
    pub fn list_names(&self, from: &str) -> Command {
        let args = (self.instance.to_string(), from);
        LIST_NAMES.call(&[self.users_key("owners")], args)
    }

    /// Gives the lease up: this instance has no names and no rooms any more.
    pub fn retire(&self) -> [Command; 2] {
        let rooms = self.rooms_key(&self.instance.to_string());
        let delete = Command::on(&rooms, cmd("DEL").arg(&rooms));
        [delete, self.remove_from("leases")]
    }

    /// Notes that this instance has peers in these rooms, or none any more: for the instance that
    /// cleans up after it.
    pub fn track_rooms(&self, rooms: &[Room], has_peers: bool) -> Command {
        let key = self.rooms_key(&self.instance.to_string());
        let rooms: Vec<_> = rooms.iter().map(|room| room.as_str()).collect();
        let mut change = cmd(if has_peers { "SADD" } else { "SREM" });
        Command::on(&key, change.arg(&key).arg(rooms))
    }

    fn rooms_key(&self, instance: &str) -> String {
        self.users_key(&format!("rooms:{instance}"))
    }

    fn name_keys(&self) -> [String; 4] {
        let [owners, leases, sums] = ["owners", "leases", "sums"].map(|what| self.users_key(what));
        [self.visible_key(), owners, leases, sums]
    }

    /// Marks an instance whose lease has this value; an empty one: that has no lease.
    pub fn mark_dead(&self, dead: &str, lease: &str) -> Command {
        let [leases, marked] = ["leases", "dead"].map(|what| self.users_key(what));
        let keys = [leases, marked, self.rooms_key(dead)];
        MARK_DEAD.call(&keys, (dead, lease, DEAD_LIFE))
    }

    /// This instance has registered its names again.
    pub fn clear_dead(&self) -> Command {
        self.remove_from("dead")
    }

    fn remove_from(&self, instances: &str) -> Command {
        let key = self.users_key(instances);
        let remove = (&key, self.instance.to_string());
        Command::on(&key, cmd("ZREM").arg(remove))
    }

    pub fn expire_room(&self, dead: &str, room: &Room) -> Command {
        let args = (dead, self.told(room), self.notices, self.expired(dead));
        EXPIRE_ROOM.call(&self.roster_keys(room), args)
    }

    pub fn expire_names(&self, dead: &str, lease: &str, from: &str) -> Command {
        let args = (dead, from, self.expired(dead), lease);
        EXPIRE_NAMES.call(&self.name_keys(), args)
    }

    /// Where and how a dead instance is told so.
    fn expired(&self, dead: &str) -> (String, String) {
        (
            format!("{}{dead}", self.instance_channels()),
            message::expired(),
        )
    }

    pub fn delete_instance(&self, dead: &str, lease: &str) -> Command {
        let keys = [self.users_key("leases"), self.rooms_key(dead)];
        DELETE_INSTANCE.call(&keys, (dead, lease))
    }

    /// The first private messages for this instance after this one, of not more than about [`PORTION`]
    /// bytes.
    pub fn inbox(&self, after: Id) -> Command {
        let key = self.users_key(&format!("inbox:{}", self.instance));
        let range = (false, after.next().to_string(), "+");
        READ_LOG.call(&[key], (range, INBOX_MOST, PORTION))
    }
}
