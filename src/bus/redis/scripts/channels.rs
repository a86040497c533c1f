//! The channels: two for each room, and one for each instance.
//!
//! A room's plain channel is for everybody. Other programs publish there what people are to read, and
//! read there what people say. What instances tell one another goes to a channel of its own, so nobody
//! can forge it on the plain one. It is in the slot of the room's keys.

use std::sync::atomic::Ordering;

use redis::ToRedisArgs;

use super::Scripts;
use crate::chat::name::{LOBBY, Room};

/// What a channel is.
#[derive(Debug, PartialEq, Eq)]
pub enum Channel {
    /// A room's plain channel.
    Plain(Room),
    /// The channel of a room's envelopes.
    Envelopes(Room),
}

impl Channel {
    /// The room.
    pub fn room(&self) -> &Room {
        match self {
            Channel::Plain(room) | Channel::Envelopes(room) => room,
        }
    }
}

impl Scripts {
    /// The plain channel of a room, and that of its envelopes.
    pub fn channels(&self, room: &Room) -> [String; 2] {
        let plain = match room.as_str() {
            LOBBY => self.prefix.clone(),
            // What is private is published for no other program.
            _ if room.is_conversation() => self.envelope_channel(room),
            room => format!("{}:{room}", self.prefix),
        };
        [plain, self.envelope_channel(room)]
    }

    /// No room's plain channel, and no instance's: `@` is not allowed in names.
    pub(super) fn envelope_channel(&self, room: &Room) -> String {
        format!("{}{{{}:{room}}}", self.instance_channels(), self.prefix)
    }

    /// The words that scripts need to tell a room something.
    pub(super) fn told(&self, room: &Room) -> impl ToRedisArgs {
        let [plain, envelopes] = self.channels(room);
        let sharded = self.sharded.load(Ordering::Relaxed);
        let ways = match (self.listeners.hear(room), sharded) {
            (false, false) => "",
            (false, true) => "sharded",
            (true, false) => "elsewhere",
            (true, true) => "elsewhere sharded",
        };
        (plain, envelopes, ways)
    }

    /// This instance's own channel. No room's: `@` is not allowed in names.
    pub fn own_channel(&self) -> String {
        format!("{}{}", self.instance_channels(), self.instance)
    }

    pub(super) fn instance_channels(&self) -> String {
        format!("{}:@", self.prefix)
    }

    /// The room's channel that this is.
    pub fn channel(&self, channel: &[u8]) -> Option<Channel> {
        let channel = std::str::from_utf8(channel).ok()?;
        let rest = channel.strip_prefix(&self.prefix)?;
        if rest.is_empty() {
            return Some(Channel::Plain(Room::lobby()));
        }
        let rest = rest.strip_prefix(':')?;
        let Some(rest) = rest.strip_prefix("@{") else {
            return Room::new(rest).ok().map(Channel::Plain);
        };
        let room = rest.strip_prefix(&self.prefix)?.strip_prefix(':')?;
        let room = Room::read(room.strip_suffix('}')?).ok()?;
        Some(Channel::Envelopes(room))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::id::Instance;
    use crate::config::Config;
    use crate::redis::slot::slot;

    #[test]
    fn channels_and_rooms_belong_together() {
        let scripts = Scripts::new(&Config::default(), Instance(0xf00));
        for (name, plain, envelopes) in [
            ("lobby", "chat", "chat:@{chat:lobby}"),
            ("a b", "chat:a b", "chat:@{chat:a b}"),
            ("}", "chat:}", "chat:@{chat:}}"),
        ] {
            let room = Room::new(name).unwrap();
            assert_eq!(scripts.channels(&room), [plain, envelopes]);
            assert_eq!(slot(envelopes), slot(&scripts.room_key(&room, "log")));
            let found = [plain, envelopes].map(|channel| scripts.channel(channel.as_bytes()));
            let expected = [Channel::Plain(room.clone()), Channel::Envelopes(room)];
            assert_eq!(found, expected.map(Some));
        }
        assert_eq!(scripts.own_channel(), "chat:@0000000000000f00");
        for other in [
            "chatter",
            "chat:",
            "chat:@0000000000000f00",
            "chat:@{chat:}",
            "chat:@{chatter:a}",
            "chat:@{chat:a",
            "other",
            "chat-users",
        ] {
            assert_eq!(scripts.channel(other.as_bytes()), None, "{other}");
        }
    }
}
