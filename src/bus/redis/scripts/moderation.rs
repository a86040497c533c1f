//! The commands about what moderators do, and about messages that are taken back.

use redis::{ToRedisArgs, cmd};

use super::{BAN_ADDRESS, CHECK_USER, DELETE_MESSAGE, LIST_BANS, LOG_LIFE, MODERATE};
use super::{SYNC_MODERATION, Scripts};
use crate::bus::{Deletion, Visitor};
use crate::chat::address::Address;
use crate::chat::id::Id;
use crate::chat::moderation::{ADDRESSES_MOST, ENTRIES_MOST, Measure, OWN_TIME};
use crate::chat::name::{Room, User};
use crate::chat::replay::Stretch;
use crate::redis::slot::Command;

impl Scripts {
    pub(super) fn moderation_key(&self, room: &Room) -> String {
        self.room_key(room, "moderation")
    }

    /// The words by which the scripts that let a peer in know whether it is banned.
    pub(super) fn visitor(visitor: Visitor<'_>) -> impl ToRedisArgs {
        let address = visitor
            .address
            .map_or(String::new(), |address| address.to_string());
        (address, visitor.moderator, LOG_LIFE, ADDRESSES_MOST)
    }

    /// Does something to a user of a room.
    pub fn moderate(&self, room: &Room, measure: &Measure) -> Command {
        let Measure {
            action,
            user,
            by,
            seconds,
            reason,
        } = measure;
        let seconds = seconds.map_or(String::new(), |seconds| seconds.to_string());
        let people = (user.key(), user.as_str(), by.key(), by.as_str());
        let limits = (LOG_LIFE, ENTRIES_MOST);
        let args = (
            self.told(room),
            action.name(),
            people,
            seconds,
            reason,
            limits,
        );
        MODERATE.call(&[self.moderation_key(room)], args)
    }

    /// Who can't enter a room.
    pub fn list_bans(&self, room: &Room) -> Command {
        LIST_BANS.call(&[self.moderation_key(room)], &[""; 0])
    }

    /// Whether a user may enter a room and speak there.
    pub fn check_user(&self, room: &Room, user: &User) -> Command {
        CHECK_USER.call(&[self.moderation_key(room)], user.key())
    }

    /// Bans the address of a banned user.
    pub fn ban_address(&self, room: &Room, user: &User, address: Address) -> Command {
        let args = (user.key(), address.to_string(), ADDRESSES_MOST);
        BAN_ADDRESS.call(&[self.moderation_key(room)], args)
    }

    /// What has been done in a room since this revision.
    pub fn sync_moderation(&self, room: &Room, heard: Option<u64>) -> Command {
        let heard = heard.map_or(String::new(), |revision| revision.to_string());
        SYNC_MODERATION.call(&[self.moderation_key(room)], heard)
    }

    /// The first tombstones of a stretch.
    pub fn tombstones(&self, room: &Room, stretch: Stretch, most: usize) -> Command {
        let low = format!("[{}", digits(stretch.after.next()));
        let high = format!("[{}~", digits(stretch.until));
        self.tombstones_between("ZRANGEBYLEX", room, &low, &high, most)
    }

    /// The last tombstones up to a message, or of all; newest first.
    pub fn tombstones_up_to(&self, room: &Room, id: Option<Id>, most: usize) -> Command {
        let high = id.map_or("+".to_string(), |id| format!("[{}~", digits(id)));
        self.tombstones_between("ZREVRANGEBYLEX", room, &high, "-", most)
    }

    fn tombstones_between(
        &self,
        name: &str,
        room: &Room,
        first: &str,
        last: &str,
        most: usize,
    ) -> Command {
        let key = self.room_key(room, "tombstones");
        let mut command = cmd(name);
        command.arg(&key).arg(first).arg(last).arg("LIMIT").arg(0);
        Command::on(&key, command.arg(most))
    }

    /// The revision of a room's moderation.
    pub fn revision(&self, room: &Room) -> Command {
        let key = self.moderation_key(room);
        Command::on(&key, cmd("HGET").arg(&key).arg("revision"))
    }

    /// Takes a message back.
    pub fn delete_message(&self, room: &Room, deletion: &Deletion) -> Command {
        let keys = ["log", "tombstones", "moderation"].map(|what| self.room_key(room, what));
        let Deletion {
            id,
            by,
            author,
            moderator,
        } = deletion;
        let who = (by.as_str(), author.to_string(), *moderator);
        let life = self.log_life(room);
        let args = (self.told(room), id.to_string(), who, life, OWN_TIME);
        DELETE_MESSAGE.call(&keys, args)
    }

    /// Keeps what was taken back in a room as long as the log, in which somebody has spoken.
    pub fn keep_tombstones(&self, room: &Room) -> Command {
        let key = self.room_key(room, "tombstones");
        Command::on(&key, cmd("EXPIRE").arg(&key).arg(self.log_life(room)))
    }
}

/// An id in digits that sort, as tombstones begin.
fn digits(id: Id) -> String {
    format!("{:020}-{:020}", id.epoch, id.n)
}
