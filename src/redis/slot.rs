//! Which of a cluster's hash slots a key is in (Redis cluster specification), and commands that know
//! it. A single Redis has no slots and does not mind.

use crc16::{State, XMODEM};
use redis::Cmd;

/// How many slots a cluster has.
pub const SLOTS: u16 = 16_384;

/// A command as it goes over the wire. All its keys are in one slot. No `Debug`: its words may be
/// somebody's.
#[derive(Clone, PartialEq, Eq)]
pub struct Command {
    /// Where its keys are.
    pub slot: u16,
    /// The command itself.
    pub packed: Vec<u8>,
}

impl Command {
    /// A command about this key, and perhaps others of its slot.
    pub fn on(key: &str, command: &Cmd) -> Command {
        Command {
            slot: slot(key),
            packed: command.get_packed_command(),
        }
    }
}

/// The slot of a key: of what is between its first braces, or of all of it.
pub fn slot(key: &str) -> u16 {
    let tag = key.split_once('{').and_then(|(_, rest)| {
        let (tag, _) = rest.split_once('}')?;
        (!tag.is_empty()).then_some(tag)
    });
    State::<XMODEM>::calculate(tag.unwrap_or(key).as_bytes()) % SLOTS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_those_of_redis() {
        // As `CLUSTER KEYSLOT` says.
        for (key, expected) in [
            ("foo", 12_182),
            ("{foo}:bar", 12_182),
            ("{}foo", 9_500),
            ("", 0),
            ("123456789", 12_739),
        ] {
            assert_eq!(slot(key), expected, "{key}");
        }
        assert_eq!(slot("chat-users"), slot("{chat-users}:owners"));
        assert_eq!(slot("{chat:a b}:log"), slot("{chat:a b}:counter"));
    }
}
