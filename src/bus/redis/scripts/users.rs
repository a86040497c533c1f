//! The commands about names, leases and private messages, which share the slot of the user set, and
//! those that clean up after a dead instance.

use redis::cmd;

use super::{
    CLAIM, DELETE_INSTANCE, EXPIRE_NAMES, EXPIRE_ROOM, MARK_DEAD, RELEASE, RENEW_LEASE, RETURNED,
};
use super::{
    CONVERSATIONS, INVITE, LIST_MEMBERS, LIST_NAMES, PORTION, READ_LOG, READ_SUMS, Scripts,
};
use crate::bus::redis::inbox;
use crate::bus::redis::message::{self, Invitation};
use crate::chat::id::{Id, Origin};
use crate::chat::name::{Room, SessionKeyHash, User};
use crate::redis::slot::Command;

/// For how long an instance that was taken for dead is told so when it wakes, in milliseconds.
const DEAD_LIFE: u64 = 24 * 3600 * 1000;
/// A dead instance was alive no longer ago than this, in milliseconds.
const LEASE_LIFE: u64 = 15 * 1000;
/// So many private conversations of a user are known. Of more, the oldest is forgotten.
const MOST_CONVERSATIONS: usize = 1000;
/// For how long they are kept, in seconds.
const INBOX_LIFE: u64 = 3600;

impl Scripts {
    /// Invites the instance of a user, unless it is the one that was `invited` lately.
    pub fn invite(&self, invitation: &Invitation, invited: Option<&str>) -> Command {
        self.invitation(invitation, invited.unwrap_or_default(), String::new())
    }

    /// Passes an invitation on to all other instances, since its user is not here.
    pub fn forward(&self, invitation: &Invitation) -> Command {
        self.invitation(invitation, "", self.instance.to_string())
    }

    fn invitation(&self, invitation: &Invitation, invited: &str, from: String) -> Command {
        let Invitation { to, room, last } = invitation;
        let [owners, leases] = ["owners", "leases"].map(|what| self.users_key(what));
        let other = room.other_end(to).unwrap_or_else(|| to.clone());
        let [own, others] = [to, &other].map(|user| self.conversations_key(user));
        let names = (to.key().to_string(), other.key().to_string());
        let last = last.to_string();
        let noted = (
            room.as_str(),
            last,
            MOST_CONVERSATIONS,
            self.conversation_life,
        );
        let inboxes = (self.instance_channels(), self.users_key("inbox:"));
        let limits = (inbox::MOST, INBOX_LIFE);
        let envelope = message::invitation(invitation, !from.is_empty());
        let known = (invited, from, self.away_keys());
        let args = (names, noted, inboxes, limits, envelope, known);
        INVITE.call(&[owners, leases, own, others], args)
    }

    fn conversations_key(&self, user: &User) -> String {
        self.users_key(&format!("conversations:{}", user.key()))
    }

    /// The private conversations of a user that are still noted, or this one.
    pub fn conversations(&self, user: &User, room: Option<&Room>) -> Command {
        let keys = [self.users_key("owners"), self.conversations_key(user)];
        CONVERSATIONS.call(&keys, (user.key(), room.map_or("", Room::as_str)))
    }

    /// `over`: a peer that holds the name with the same session key loses it.
    pub fn claim(
        &self,
        user: &User,
        origin: Origin,
        key_hash: Option<SessionKeyHash>,
        over: bool,
    ) -> Command {
        let token = key_hash == Some(SessionKeyHash::for_token());
        let key_hash = key_hash.map_or(String::new(), |key_hash| key_hash.to_string());
        let owner = (user.key(), origin.to_string(), key_hash);
        let replaced = (self.instance_channels(), message::replaced(user));
        let kept = (self.users_key("replaced:"), INBOX_LIFE);
        let away = (self.away_keys(), self.away_life);
        let args = (owner, replaced, over, user.as_str(), kept, away, token);
        let [visible, owners, leases, sums] = self.name_keys();
        let conversations = self.conversations_key(user);
        CLAIM.call(&[visible, owners, leases, sums, conversations], args)
    }

    /// The names that were taken over from this instance lately, and the connections that had them.
    pub fn replaced(&self) -> Command {
        let key = self.users_key(&format!("replaced:{}", self.instance));
        Command::on(&key, cmd("HGETALL").arg(&key))
    }

    /// `shown`: the name, if it is known that this connection had it. `heard`: how far it has heard its
    /// private conversations.
    pub fn release(
        &self,
        key: &str,
        origin: Origin,
        shown: Option<&User>,
        heard: &[(Room, Id)],
    ) -> Command {
        let [owners, sums] = ["owners", "sums"].map(|what| self.users_key(what));
        let keys = [self.visible_key(), owners, sums];
        let shown = shown.map_or("", User::as_str);
        let heard = heard.iter().map(|(room, id)| format!("\n{id} {room}"));
        let away = (self.away_keys(), self.away_life, heard.collect::<String>());
        RELEASE.call(&keys, (key, origin.to_string(), shown, away))
    }

    /// Nothing waits for this user any more, if this connection still has the name.
    pub fn returned(&self, user: &User, origin: Origin) -> Command {
        let away = format!("{}{}", self.away_keys(), user.key());
        let keys = [self.users_key("owners"), away];
        RETURNED.call(&keys, (user.key(), origin.to_string()))
    }

    /// How the keys begin that note who is away.
    fn away_keys(&self) -> String {
        self.users_key("away:")
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
        let away = (self.away_keys(), LEASE_LIFE, self.away_life);
        let args = (dead, from, self.expired(dead), lease, away);
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

    /// The last invitations of this instance, newest first, of not more than about [`PORTION`] bytes.
    pub fn inbox(&self) -> Command {
        let key = self.users_key(&format!("inbox:{}", self.instance));
        READ_LOG.call(&[key], (true, "+", "-", inbox::MOST, PORTION))
    }
}
