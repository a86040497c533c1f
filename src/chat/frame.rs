//! WebSocket frames (RFC 6455, section 5.2) of texts, and of batches of events for a whole room; and the
//! same as server-sent events.
//!
//! Frames from a server are not masked. So all peers of a room with the same dialect get the same
//! bytes: one [`Broadcast`] is rendered, and each outbox gets a reference to it.

mod events;

use std::io::Cursor;
use std::ops::Range;

use bytes::{BufMut, Bytes, BytesMut};
use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{Control, Data, OpCode};

use super::dialect::Dialect;
use super::event::{Event, EventKind};
use super::id::Instance;

/// Longer texts are sent in fragments (RFC 6455, section 5.4). Between two of them a close frame
/// can follow, and the rest of the text can be dropped. Only replies such as a history are that
/// long, never a message.
const MAX_UNFRAGMENTED: usize = 32 * 1024;
/// The length of a fragment.
const FRAGMENT: usize = 16 * 1024;

/// How the messages of a connection are marked off from each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Framing {
    /// As WebSocket frames.
    #[default]
    WebSocket,
    /// As server-sent events. The dialect writes each as a whole.
    Events,
}

impl Framing {
    /// How the messages of a dialect are sent.
    pub fn of(dialect: Dialect) -> Framing {
        match dialect {
            Dialect::Events => Framing::Events,
            _ => Framing::WebSocket,
        }
    }

    /// A message.
    pub fn message(self, message: &str) -> Bytes {
        match self {
            Framing::WebSocket => text(message),
            Framing::Events => Bytes::copy_from_slice(message.as_bytes()),
        }
    }

    fn append(self, out: &mut BytesMut, message: &str) {
        match self {
            Framing::WebSocket => encode(out, OpCode::Data(Data::Text), message.as_bytes()),
            Framing::Events => out.extend_from_slice(message.as_bytes()),
        }
    }

    /// A sign of life.
    pub fn ping(self) -> Bytes {
        match self {
            Framing::WebSocket => Bytes::from_static(&[0x89, 0x00]),
            Framing::Events => events::ping(),
        }
    }

    /// The last thing that is sent. The reason must not be longer than 123 bytes.
    pub fn close(self, code: u16, reason: &str) -> Bytes {
        match self {
            Framing::WebSocket => close(code, reason),
            Framing::Events => events::close(reason),
        }
    }

    /// Returns where the message ends that contains the byte before `offset`. `bytes` are whole
    /// messages, or the answer to a handshake, which counts as one.
    pub fn end_of_message(self, bytes: &[u8], offset: usize) -> usize {
        match self {
            Framing::WebSocket => end_of_frame(bytes, offset),
            Framing::Events => events::end_of_event(bytes, offset),
        }
    }
}

/// A text message in one or more frames.
pub fn text(text: &str) -> Bytes {
    let headers = 10 * (1 + text.len() / FRAGMENT);
    let mut out = BytesMut::with_capacity(text.len() + headers);
    encode(&mut out, OpCode::Data(Data::Text), text.as_bytes());
    out.freeze()
}

/// Events of a history, in order, one text message each.
pub fn texts(dialect: Dialect, events: &[Event]) -> Bytes {
    let mut out = BytesMut::new();
    let mut line = String::new();
    for event in events {
        line.clear();
        if dialect.render(event, &mut line) {
            Framing::of(dialect).append(&mut out, &line);
        }
    }
    out.freeze()
}

/// A close frame. The reason must not be longer than 123 bytes.
pub fn close(code: u16, reason: &str) -> Bytes {
    let payload = [&code.to_be_bytes(), reason.as_bytes()].concat();
    let mut out = BytesMut::with_capacity(payload.len() + 2);
    encode(&mut out, OpCode::Control(Control::Close), &payload);
    out.freeze()
}

fn end_of_frame(bytes: &[u8], offset: usize) -> usize {
    let mut end = 0;
    while end < offset {
        let mut header = Cursor::new(&bytes[end..]);
        // Our frames never have the RSV1 bit, and the first letter of an HTTP answer does.
        match FrameHeader::parse(&mut header) {
            Ok(Some((FrameHeader { rsv1: false, .. }, length))) => {
                end += (header.position() + length) as usize;
            }
            _ => return bytes.len(),
        }
    }
    end.min(bytes.len())
}

fn encode(out: &mut BytesMut, mut opcode: OpCode, mut payload: &[u8]) {
    let fragment = if payload.len() > MAX_UNFRAGMENTED {
        FRAGMENT
    } else {
        MAX_UNFRAGMENTED
    };
    loop {
        let (first, rest) = payload.split_at(payload.len().min(fragment));
        let header = FrameHeader {
            opcode,
            is_final: rest.is_empty(),
            ..FrameHeader::default()
        };
        header
            .format(first.len() as u64, &mut out.writer())
            .expect("a BytesMut grows, so writing to it can't fail");
        out.extend_from_slice(first);
        if rest.is_empty() {
            return;
        }
        (opcode, payload) = (OpCode::Data(Data::Continue), rest);
    }
}

/// The messages of one batch of events in one room for one dialect, and which of them some peers do
/// not get. A peer that joins by one of the events does not get those before. Where the dialect has
/// no echo, authors do not get their own messages.
#[derive(Debug)]
pub struct Broadcast {
    bytes: Bytes,
    /// How many messages these are.
    frames: u64,
    /// Sorted by peer, then by position.
    excluded: Vec<Excluded>,
}

/// A range that one peer does not get.
#[derive(Debug)]
struct Excluded {
    peer: u64,
    bytes: Range<usize>,
    frames: u64,
}

impl Broadcast {
    /// Renders `events`, in order. `here` is this instance: only its peers can be excluded.
    /// `joined` are the peers that become members by one of these events.
    pub fn render(dialect: Dialect, here: Instance, events: &[Event], joined: &[u64]) -> Broadcast {
        let mut bytes = BytesMut::new();
        let mut frames = 0;
        let mut excluded: Vec<Excluded> = Vec::new();
        let mut line = String::new();
        for event in events {
            let (mut start, mut before) = (bytes.len(), frames);
            line.clear();
            if dialect.render(event, &mut line) {
                Framing::of(dialect).append(&mut bytes, &line);
                frames += 1;
            }
            let Some(origin) = event.origin.filter(|origin| origin.instance == here) else {
                continue;
            };
            let is_join = matches!(event.kind, EventKind::Joined { .. });
            if is_join && joined.contains(&origin.peer) {
                excluded.retain(|out| out.peer != origin.peer);
                (start, before) = (0, 0);
            } else if dialect.echoes(event) {
                continue;
            }
            excluded.push(Excluded {
                peer: origin.peer,
                bytes: start..bytes.len(),
                frames: frames - before,
            });
        }
        // A stable sort: the ranges of one peer stay in order.
        excluded.sort_by_key(|out| out.peer);
        Broadcast {
            bytes: bytes.freeze(),
            frames,
            excluded,
        }
    }

    /// Puts into `parts` what the peer with this number gets. Returns how many messages and bytes
    /// these are.
    pub fn parts_for(&self, peer: u64, parts: &mut Vec<Bytes>) -> (u64, u64) {
        parts.clear();
        let first = self.excluded.partition_point(|out| out.peer < peer);
        let (mut from, mut frames, mut size) = (0, self.frames, self.bytes.len());
        let own = self.excluded[first..].iter();
        for out in own.take_while(|out| out.peer == peer) {
            if from < out.bytes.start {
                parts.push(self.bytes.slice(from..out.bytes.start));
            }
            from = out.bytes.end;
            frames -= out.frames;
            size -= out.bytes.len();
        }
        if from < self.bytes.len() {
            parts.push(self.bytes.slice(from..));
        }
        (frames, size as u64)
    }
}

#[cfg(test)]
mod tests;
