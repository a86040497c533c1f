//! The lines that instances publish for other programs on the rooms' plain channels. Each follows its
//! envelope, so it is known when it comes, and is not taken for a message of another program.

use std::collections::VecDeque;

use crate::chat::dialect::Dialect;
use crate::chat::event::Event;
use crate::chat::name::Room;

/// So many lines are waited for at most. In one Redis each line comes next after its envelope. In a
/// cluster, those from other nodes may come in between.
const MOST: usize = 64;

/// Lines that are still to come.
#[derive(Debug, Default)]
pub struct OwnLines(VecDeque<(Room, String)>);

impl OwnLines {
    /// The line of this event is still to come.
    pub fn expect(&mut self, event: &Event) {
        let mut line = String::new();
        if Dialect::Plain.render(event, &mut line) {
            self.0.truncate(MOST - 1);
            self.0.push_front((event.room.clone(), line));
        }
    }

    /// Whether this is one of them, come on this room's plain channel. Each comes once.
    pub fn take(&mut self, room: &Room, line: &[u8]) -> bool {
        let same =
            |(place, expected): &(Room, String)| place == room && expected.as_bytes() == line;
        let found = self.0.iter().rposition(same);
        found.is_some_and(|at| self.0.remove(at).is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::event::EventKind;
    use crate::chat::name::User;

    fn left(user: &str) -> Event {
        Event {
            room: Room::lobby(),
            user: User::new(user).ok(),
            origin: None,
            kind: EventKind::Left,
        }
    }

    #[test]
    fn each_line_is_known_once() {
        let mut lines = OwnLines::default();
        let line = b"foo: has left the chat!";
        let lobby = Room::lobby();
        assert!(!lines.take(&lobby, line));
        lines.expect(&left("foo"));
        assert!(!lines.take(&Room::new("attic").unwrap(), line));
        assert!(!lines.take(&lobby, b"bar: has left the chat!"));
        assert!(lines.take(&lobby, line));
        assert!(!lines.take(&lobby, line));
        for n in 0..=MOST {
            lines.expect(&left(&n.to_string()));
        }
        assert!(!lines.take(&lobby, b"0: has left the chat!"));
        assert!(lines.take(&lobby, b"1: has left the chat!"));
    }
}
