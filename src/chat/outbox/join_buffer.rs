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
    /// The room that it is from. What is from the room that the peer joins can be read from its log again.
    from: Option<Room>,
}

impl JoinBuffer {
    /// The peer becomes a member now. What was buffered of the room before is dropped: it is in the
    /// log.
    pub fn begin_join(&mut self, room: &Room) {
        self.room = Some(room.clone());
        self.forget();
        self.overflowed = false;
    }

    /// Buffers whole frames: of a room, or for this peer alone.
    pub fn push(&mut self, parts: &[Bytes], from: Option<&Room>) {
        // Frames after a gap are useless: all of them are read from the log.
        if self.overflowed && from.is_some() && from == self.room.as_ref() {
            return;
        }
        for bytes in parts.iter().cloned() {
            self.bytes += bytes.len();
            let from = from.cloned();
            self.waiting.push(Waiting { bytes, from });
        }
    }

    /// Frees memory: drops the frames that can be read from the log, and those that follow until
    /// the next [`begin_join`](Self::begin_join).
    pub fn overflow(&mut self) {
        self.overflowed = true;
        self.forget();
    }

    /// Drops what is from the room that the peer joins.
    fn forget(&mut self) {
        let room = self.room.as_ref();
        self.waiting
            .retain(|waiting| waiting.from.is_none() || waiting.from.as_ref() != room);
        self.bytes = self.waiting.iter().map(|waiting| waiting.bytes.len()).sum();
    }

    /// All buffers in order, the answer to the handshake first.
    pub fn into_parts(self) -> Vec<Bytes> {
        let waiting = self.waiting.into_iter().map(|waiting| waiting.bytes);
        self.first.into_iter().chain(waiting).collect()
    }
}
