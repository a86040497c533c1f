//! The commands about rooms' logs.

use redis::cmd;

use super::{LIMIT_LOGS, LOG_LIFE, PORTION, READ_LOG, SYNC_ROOM, Scripts, text};
use crate::chat::id::Id;
use crate::chat::name::Room;
use crate::chat::replay::{Cursor, Stretch};
use crate::redis::slot::Command;

impl Scripts {
    /// Whether messages of rooms are kept.
    pub fn keeps_logs(&self) -> bool {
        self.history > 0
    }

    /// Whether messages of this room are kept. Those of private conversations always are.
    pub fn keeps_log(&self, room: &Room) -> bool {
        self.keeps_logs() || room.is_conversation()
    }

    /// The room's last message.
    pub fn last(&self, room: &Room) -> Command {
        let key = self.room_key(room, "counter");
        Command::on(&key, cmd("GET").arg(&key))
    }

    /// What an instance has missed that has heard `heard`, and where the log stands. `again`: a number of
    /// that epoch under which another message has come than was heard.
    pub fn sync_room(
        &self,
        room: &Room,
        heard: &Cursor,
        again: Option<u64>,
        most: usize,
    ) -> Command {
        let keys = ["counter", "log"].map(|what| self.room_key(room, what));
        let again = again.map_or(String::new(), |n| n.to_string());
        let heard = (text(heard.epochs.last()), heard.at, again);
        let life = match room.is_conversation() {
            true => self.conversation_life,
            false => LOG_LIFE,
        };
        SYNC_ROOM.call(&keys, (heard, life, most, PORTION))
    }

    /// The first messages of a stretch: at most so many, and not more than about [`PORTION`] bytes.
    pub fn read(&self, room: &Room, stretch: Stretch, most: usize) -> Command {
        // The next id, and not "after this one": Redis 6.0 can't say that.
        let from = stretch.after.next().to_string();
        self.read_log(room, false, from, &stretch.until.to_string(), most)
    }

    /// The last messages up to one, with it, or of all; newest first; the same limits.
    pub fn up_to(&self, room: &Room, id: Option<Id>, most: usize) -> Command {
        let from = id.map_or("+".to_string(), |id| id.to_string());
        self.read_log(room, true, from, "-", most)
    }

    fn read_log(&self, room: &Room, back: bool, from: String, to: &str, most: usize) -> Command {
        READ_LOG.call(
            &[self.room_key(room, "log")],
            (back, from, to, most, PORTION),
        )
    }

    /// How many bytes a room's log takes.
    pub fn log_size(&self, room: &Room) -> Command {
        let key = self.room_key(room, "log");
        Command::on(&key, cmd("MEMORY").arg("USAGE").arg(&key))
    }

    /// Reports the sizes of logs; the reply names the rooms whose logs are to be deleted.
    pub fn limit_logs<'a>(&self, sizes: impl Iterator<Item = (&'a Room, i64)>) -> Command {
        let keys = ["spoken", "log-sizes", "log-bytes"].map(|what| self.users_key(what));
        let sizes: Vec<_> = sizes.map(|(room, size)| (room.as_str(), size)).collect();
        // Those of rooms that have expired before are the first to go.
        let life = self.conversation_life;
        LIMIT_LOGS.call(&keys, (self.max_history, life, sizes))
    }

    pub fn delete_log(&self, room: &Room) -> Command {
        let keys = ["log", "tombstones"].map(|what| self.room_key(room, what));
        Command::on(&keys[0], cmd("DEL").arg(&keys))
    }
}
