//! Frames for a peer that joins a room, until it has got the room's roster and history.

use bytes::Bytes;

use crate::chat::name::Room;

/// The buffered frames.
#[derive(Debug, Default)]
pub(super) struct JoinBuffer {
    /// The answer to the handshake. It goes out before anything else.
    pub first: Option<Bytes>,
    /// The room that the peer joins, once its join event has come back from the bus.
    room: Option<Room>,
    waiting: Vec<Waiting>,
    /// How many bytes are waiting.
    pub bytes: usize,
    /// Whether frames were dropped since the peer joined.
    pub overflowed: bool,
}

#[derive(Debug)]
struct Waiting {
    bytes: Bytes,
    /// Whether it is from the room that the peer joins: then it can be read from the log again.
    logged: bool,
}

impl JoinBuffer {
    /// The peer becomes a member now. What was buffered of the room before is dropped: it is in the
    /// log.
    pub fn begin_join(&mut self, room: &Room) {
        self.room = Some(room.clone());
        self.forget_logged();
        self.overflowed = false;
    }

    /// Buffers whole frames: of a room, or for this peer alone.
    pub fn push(&mut self, parts: &[Bytes], from: Option<&Room>) {
        let logged = from.is_some() && from == self.room.as_ref();
        // Frames after a gap are useless: all of them are read from the log.
        if logged && self.overflowed {
            return;
        }
        for bytes in parts.iter().cloned() {
            self.bytes += bytes.len();
            self.waiting.push(Waiting { bytes, logged });
        }
    }

    /// Frees memory: drops the frames that can be read from the log, and those that follow until
    /// the next [`begin_join`](Self::begin_join).
    pub fn overflow(&mut self) {
        self.overflowed = true;
        self.forget_logged();
    }

    fn forget_logged(&mut self) {
        self.waiting.retain(|waiting| !waiting.logged);
        self.bytes = self.waiting.iter().map(|waiting| waiting.bytes.len()).sum();
    }

    /// All buffers in order, the answer to the handshake first.
    pub fn into_parts(self) -> Vec<Bytes> {
        let waiting = self.waiting.into_iter().map(|waiting| waiting.bytes);
        self.first.into_iter().chain(waiting).collect()
    }
}
