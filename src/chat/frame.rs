//! Text into WebSocket frames (RFC 6455, section 5.2), and a batch of events into the bytes that
//! a whole room is sent.
//!
//! Frames from a server are not masked, so every peer of a room and dialect gets the same bytes:
//! one [`Broadcast`] is rendered, and each outbox gets a reference to it.

use std::ops::Range;

use bytes::{BufMut, Bytes, BytesMut};
use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{Control, Data, OpCode};

use super::dialect::Dialect;
use super::event::{Event, Instance, What};

/// A text frame.
pub fn text(text: &str) -> Bytes {
    let mut out = BytesMut::with_capacity(text.len() + 10);
    put(&mut out, OpCode::Data(Data::Text), text.as_bytes());
    out.freeze()
}

/// A ping without a payload.
pub fn ping() -> Bytes {
    Bytes::from_static(&[0x89, 0x00])
}

/// A close frame. The reason must not be longer than 123 bytes.
pub fn close(code: u16, reason: &str) -> Bytes {
    let mut payload = Vec::with_capacity(2 + reason.len());
    payload.put_u16(code);
    payload.extend_from_slice(reason.as_bytes());
    let mut out = BytesMut::with_capacity(payload.len() + 2);
    put(&mut out, OpCode::Control(Control::Close), &payload);
    out.freeze()
}

fn put(out: &mut BytesMut, opcode: OpCode, payload: &[u8]) {
    let header = FrameHeader {
        opcode,
        ..FrameHeader::default()
    };
    header
        .format(payload.len() as u64, &mut out.writer())
        .expect("a BytesMut grows, so writing to it can't fail");
    out.extend_from_slice(payload);
}

/// The frames of one batch of events in one room for one dialect, as every peer gets them, and
/// what some peers of this instance do not get: what happened before they came, and, where the
/// dialect does not let authors hear themselves, their own frames.
#[derive(Debug)]
pub struct Broadcast {
    bytes: Bytes,
    /// Sorted by peer, then by place.
    left_out: Vec<(u64, Range<usize>)>,
}

impl Broadcast {
    /// Renders `events`, in order. `here` is this instance: for peers elsewhere nothing is left
    /// out. `entered` are the peers that came in by one of these events.
    pub fn render(
        dialect: Dialect,
        here: Instance,
        events: &[Event],
        entered: &[u64],
    ) -> Broadcast {
        let mut bytes = BytesMut::new();
        let mut left_out = Vec::new();
        let mut line = String::new();
        for event in events {
            let mut start = bytes.len();
            line.clear();
            if dialect.render(event, &mut line) {
                put(&mut bytes, OpCode::Data(Data::Text), line.as_bytes());
            }
            let Some(origin) = event.origin.filter(|origin| origin.instance == here) else {
                continue;
            };
            let joined = matches!(event.what, What::Joined { .. });
            if joined && entered.contains(&origin.peer) {
                left_out.retain(|(peer, _)| *peer != origin.peer);
                start = 0;
            } else if dialect.hears_itself(event) {
                continue;
            }
            left_out.push((origin.peer, start..bytes.len()));
        }
        // Stable, so the places of one peer stay in order.
        left_out.sort_by_key(|(peer, _)| *peer);
        Broadcast {
            bytes: bytes.freeze(),
            left_out,
        }
    }

    /// What the peer of this number gets.
    pub fn parts_for(&self, peer: u64, parts: &mut Vec<Bytes>) {
        parts.clear();
        let first = self.left_out.partition_point(|(other, _)| *other < peer);
        let mut from = 0;
        for (_, out) in self.left_out[first..]
            .iter()
            .take_while(|(other, _)| *other == peer)
        {
            if from < out.start {
                parts.push(self.bytes.slice(from..out.start));
            }
            from = out.end;
        }
        if from < self.bytes.len() {
            parts.push(self.bytes.slice(from..));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::event::{Origin, Text};
    use crate::chat::name::{Room, User};

    fn said(name: &str, peer: Option<u64>, text: &str) -> Event {
        let origin = peer.map(|peer| Origin {
            instance: Instance(1),
            peer,
        });
        let text = Text::new(text).unwrap();
        let what = What::Said {
            text,
            email: None,
            id: None,
            at: 0,
        };
        Event {
            room: Room::lobby(),
            user: User::new(name).unwrap(),
            origin,
            what,
        }
    }

    fn heard(broadcast: &Broadcast, peer: u64) -> String {
        let mut parts = Vec::new();
        broadcast.parts_for(peer, &mut parts);
        let bytes = parts.concat();
        let mut rest = &bytes[..];
        let mut heard = Vec::new();
        while let [0x81, len, tail @ ..] = rest {
            let (text, next) = tail.split_at(usize::from(*len));
            heard.push(String::from_utf8(text.to_vec()).unwrap());
            rest = next;
        }
        assert!(rest.is_empty(), "{rest:?}");
        heard.join(", ")
    }

    #[test]
    fn everybody_hears_everything_but_their_own_words() {
        let events = [
            said("a", Some(1), "1"),
            said("b", Some(2), "2"),
            said("a", Some(1), "3"),
            said("a", Some(1), "4"),
            said("ops", None, "5"),
            said("b", Some(2), "6"),
        ];
        let batch = Broadcast::render(Dialect::Plain, Instance(1), &events, &[]);
        assert_eq!(heard(&batch, 1), "b: 2, ops: 5, b: 6");
        assert_eq!(heard(&batch, 2), "a: 1, a: 3, a: 4, ops: 5");
        assert_eq!(heard(&batch, 3), "a: 1, b: 2, a: 3, a: 4, ops: 5, b: 6");
        // The same numbers on another instance are other peers.
        let elsewhere = Broadcast::render(Dialect::Plain, Instance(2), &events, &[]);
        assert_eq!(heard(&elsewhere, 1), "a: 1, b: 2, a: 3, a: 4, ops: 5, b: 6");
    }

    #[test]
    fn who_joins_hears_only_what_comes_after() {
        let joined = |name, peer, aloud| Event {
            what: What::Joined { aloud, last: None },
            ..said(name, Some(peer), "x")
        };
        let events = [
            said("a", Some(1), "1"),
            joined("b", 2, true),
            said("b", Some(2), "2"),
            joined("c", 3, false),
            said("a", Some(1), "3"),
        ];
        let batch = Broadcast::render(Dialect::Plain, Instance(1), &events, &[2, 3]);
        assert_eq!(heard(&batch, 1), "b: has joined the chat!, b: 2");
        assert_eq!(heard(&batch, 2), "a: 3");
        assert_eq!(heard(&batch, 3), "a: 3");
        assert_eq!(
            heard(&batch, 4),
            "a: 1, b: has joined the chat!, b: 2, a: 3"
        );
    }

    #[test]
    fn lengths_take_the_form_that_rfc_6455_asks_for() {
        assert_eq!(&text("hi")[..], b"\x81\x02hi");
        assert_eq!(&text(&"x".repeat(126))[..4], b"\x81\x7e\x00\x7e");
        assert_eq!(
            &text(&"x".repeat(65536))[..10],
            b"\x81\x7f\0\0\0\0\0\x01\0\0"
        );
        assert_eq!(&close(1001, "bye")[..], b"\x88\x05\x03\xe9bye");
    }
}
