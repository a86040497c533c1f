//! What comes for a peer while it enters a room, before it has been told what was said there.

use bytes::Bytes;

use crate::chat::name::Room;

/// What waits until its outbox is released.
#[derive(Debug, Default)]
pub(super) struct JoinBuffer {
    /// Goes out before anything else does.
    pub first: Option<Bytes>,
    /// The room that is being entered, as soon as the peer is in.
    room: Option<Room>,
    waiting: Vec<Waiting>,
    bytes: usize,
    overflowed: bool,
}

#[derive(Debug)]
struct Waiting {
    bytes: Bytes,
    /// Whether it was said in the room that is being entered, and so can be read from its log.
    logged: bool,
}

impl JoinBuffer {
    /// The peer comes into the room now: what was said there before can be read from its log.
    pub fn begin_join(&mut self, room: &Room) {
        self.room = Some(room.clone());
        self.forget_logged();
        self.overflowed = false;
    }

    /// Keeps whole frames, which were said in a room or to this peer alone.
    pub fn push(&mut self, parts: &[Bytes], from: Option<&Room>) {
        let logged = from.is_some() && from == self.room.as_ref();
        // What has a gap before it is of no use: all of it is read from the log.
        if logged && self.overflowed {
            return;
        }
        for bytes in parts.iter().cloned() {
            self.bytes += bytes.len();
            self.waiting.push(Waiting { bytes, logged });
        }
    }

    /// Makes room: forgets what can be read from the log, and what else is said in the room until
    /// it [joins](Self::begin_join) again.
    pub fn overflow(&mut self) {
        self.overflowed = true;
        self.forget_logged();
    }

    fn forget_logged(&mut self) {
        self.waiting.retain(|waiting| !waiting.logged);
        self.bytes = self.waiting.iter().map(|waiting| waiting.bytes.len()).sum();
    }

    /// Whether something had to be forgotten since the peer came in.
    pub fn overflowed(&self) -> bool {
        self.overflowed
    }

    /// How many bytes wait.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// What waits, in order.
    pub fn into_parts(self) -> Vec<Bytes> {
        let waiting = self.waiting.into_iter().map(|waiting| waiting.bytes);
        self.first.into_iter().chain(waiting).collect()
    }
}
