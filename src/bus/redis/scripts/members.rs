//! The commands about who is in a room.

use redis::ToRedisArgs;

use super::{JOIN, JOIN_ANONYMOUS, LEAVE, LIST_MEMBERS, READ_SUMS, RESTORE_MEMBER, ROSTER};
use super::{Scripts, TRY_JOIN};
use crate::bus::Visitor;
use crate::bus::redis::message;
use crate::chat::id::Origin;
use crate::chat::name::{Room, User};
use crate::redis::slot::Command;

impl Scripts {
    /// Lets a peer with a name in.
    pub fn join(&self, room: &Room, user: &User, origin: Origin, visitor: Visitor<'_>) -> Command {
        let args = (self.member(room, user, origin), Scripts::visitor(visitor));
        JOIN.call(&self.join_keys(room), args)
    }

    fn join_keys(&self, room: &Room) -> [String; 4] {
        let [roster, counter, sums] = self.member_keys(room);
        [roster, counter, sums, self.moderation_key(room)]
    }

    /// For a peer that is there already. `told`: others may have been told that it had left.
    pub fn restore_member(&self, room: &Room, user: &User, origin: Origin, told: bool) -> Command {
        let member = self.member(room, user, origin);
        RESTORE_MEMBER.call(&self.member_keys(room), (member, told))
    }

    fn member_keys(&self, room: &Room) -> [String; 3] {
        ["roster", "counter", "sums"].map(|what| self.room_key(room, what))
    }

    fn member(&self, room: &Room, user: &User, origin: Origin) -> impl ToRedisArgs {
        // Whose the name is, and how it is shown, if that is not its key.
        let entry = match user.as_str() {
            shown if shown == user.key() => origin.to_string(),
            shown => format!("{origin} {shown}"),
        };
        let joined = message::joined(Some(user), origin);
        (
            user.key().to_string(),
            entry,
            self.told(room),
            joined,
            self.notices,
        )
    }

    /// For a peer without a name.
    pub fn join_anonymous(&self, room: &Room, origin: Origin, visitor: Visitor<'_>) -> Command {
        let joined = message::joined(None, origin);
        let keys = ["counter", "moderation"].map(|what| self.room_key(room, what));
        let args = (self.told(room), joined, Scripts::visitor(visitor));
        JOIN_ANONYMOUS.call(&keys, args)
    }

    pub fn leave(&self, room: &Room, user: &User, origin: Origin) -> Command {
        let left = message::left(user, origin);
        let args = (
            user.key(),
            origin.to_string(),
            self.told(room),
            left,
            self.notices,
        );
        LEAVE.call(&self.roster_keys(room), args)
    }

    pub(super) fn roster_keys(&self, room: &Room) -> [String; 2] {
        ["roster", "sums"].map(|what| self.room_key(room, what))
    }

    /// The sums of all instances over their entries on a room's roster.
    pub fn room_sums(&self, room: &Room) -> Command {
        READ_SUMS.call(&self.roster_keys(room), &[""; 0])
    }

    /// What a room's roster holds of this instance.
    pub fn list_members(&self, room: &Room) -> Command {
        let args = (self.instance.to_string(), true);
        LIST_MEMBERS.call(&self.roster_keys(room), args)
    }

    /// What shows whether somebody can join: a trial on the keys of names, and on those of the lobby.
    pub fn try_join(&self) -> [Command; 2] {
        let [owners, sums, tried] = ["owners", "sums", "tried"].map(|what| self.users_key(what));
        let names = [self.visible_key(), owners, sums, tried];
        [
            TRY_JOIN.call(&names, ("set", "hash", "hash", "string")),
            TRY_JOIN.call(
                &self.join_keys(&Room::lobby()),
                ("hash", "string", "hash", "hash"),
            ),
        ]
    }

    pub fn roster(&self, room: &Room) -> Command {
        ROSTER.call(&self.member_keys(room), self.notices)
    }
}
