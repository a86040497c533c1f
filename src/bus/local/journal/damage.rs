//! What can be read of the damaged lines of a journal: whole records beside a damaged line feed, and
//! which message a line had. The rest of the server only learns what is lost.

use super::record::{Record, START};
use crate::chat::id::Id;
use crate::chat::name::Room;

/// The kinds of records without a message, as they begin.
const OTHER_KINDS: [&str; 8] = [
    "ref\"",
    "key\"",
    "all\"",
    "epoch\"",
    "end\"",
    "stopped\"",
    "moderation\"",
    "address\"",
];

/// What can be read of a damaged line.
#[derive(Clone, Debug)]
pub enum Piece {
    /// A record that is whole: a line feed was damaged.
    Whole(Record),
    /// A message that is lost, or an unknown number of them: the room and the id, as far as they can
    /// be read.
    Lost(Option<(Room, Id)>),
}

/// Reads a damaged line: its line feed, or that of the line before, may be what is damaged. Inside of a
/// record a text never looks like the beginning of one.
pub fn read_damaged(line: &[u8]) -> impl Iterator<Item = Piece> {
    let is_start = |at: &usize| *at == 0 || line[*at..].starts_with(START);
    let starts: Vec<usize> = (0..line.len()).filter(is_start).collect();
    let ends = starts.clone().into_iter().skip(1).chain([line.len()]);
    starts.into_iter().zip(ends).filter_map(|(start, end)| {
        let piece = &line[start..end];
        let record = Record::read(piece).or_else(|| Record::read(&piece[..piece.len() - 1]));
        match record {
            Some(record) => Some(Piece::Whole(record)),
            None if OTHER_KINDS.iter().any(|kind| is_of(piece, kind)) => None,
            None => Some(Piece::Lost(message_of(piece))),
        }
    })
}

fn is_of(line: &[u8], kind: &str) -> bool {
    let rest = line.strip_prefix(START);
    rest.is_some_and(|rest| rest.starts_with(kind.as_bytes()))
}

/// Which message a damaged line had.
fn message_of(line: &[u8]) -> Option<(Room, Id)> {
    let line = String::from_utf8_lossy(line);
    let rest = line.strip_prefix("{\"kind\":\"")?;
    let rest = rest
        .strip_prefix("message")
        .or_else(|| rest.strip_prefix("deleted"))?;
    let rest = rest.strip_prefix("\",\"room\":")?;
    let (room, rest) = rest.split_once(",\"id\":\"")?;
    let room: String = serde_json::from_str(room).ok()?;
    let (id, _) = rest.split_once('"')?;
    Some((Room::read(&room).ok()?, id.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::event::{Event, EventKind, Text};

    fn message(text: &str) -> Record {
        let event = Event {
            room: Room::new("attic").unwrap(),
            user: None,
            origin: None,
            kind: EventKind::Said {
                text: Text::new(text).unwrap(),
                email: None,
                id: Some(Id { epoch: 7, n: 3 }),
                at: 1,
                to: None,
                holder: None,
                author: None,
            },
        };
        Record::Message(event, None)
    }

    #[test]
    fn a_damaged_line_feed_costs_no_record() {
        let pieces = |line: &[u8]| -> Vec<String> {
            let pieces = read_damaged(line).map(|piece| format!("{piece:?}"));
            pieces.collect()
        };
        let (one, two) = (message("{\"kind\":\""), message("two"));
        let both = [&one, &two].map(|record| format!("{:?}", Piece::Whole(record.clone())));
        let lost = Some((Room::new("attic").unwrap(), Id { epoch: 7, n: 3 }));
        let lost = format!("{:?}", Piece::Lost(lost));
        let mut damaged = Vec::new();
        for record in [&one, &two] {
            record.write(&mut damaged);
            *damaged.last_mut().unwrap() = b'J';
        }
        assert_eq!(pieces(&damaged), both);
        assert_eq!(
            pieces(&damaged[..damaged.len() - 9]),
            [&both[0], &lost].map(String::clone)
        );
        assert_eq!(pieces(&damaged[1..])[1..], both[1..]);
        assert_eq!(pieces(&damaged[1..])[0], "Lost(None)");
        assert!(pieces(b"{\"kind\":\"ref\",\"re").is_empty());
    }
}
