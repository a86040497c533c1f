//! The queue of an outbox, behind its lock: push, write and close.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::mem;
use std::task::Waker;

use bytes::Bytes;

use super::Outbox;
use super::join_buffer::JoinBuffer;
use super::try_write::{TryWrite, VECTORS, write_through};
use crate::chat::close_reason::CloseReason;
use crate::chat::frame::Framing;
use crate::chat::name::Room;

/// The queue and its bookkeeping.
#[derive(Debug, Default)]
pub(super) struct State {
    /// Bytes that the socket has not taken yet. Allocated on first use and freed when drained.
    pub(super) queue: VecDeque<Bytes>,
    /// How many bytes these are.
    pub(super) queued: usize,
    /// How many bytes of the first buffer the socket has taken. The frame at this offset must be
    /// completed. 32 bits save memory per peer, and buffers are far smaller.
    pub(super) offset: u32,
    pub(super) life: Life,
    pub(super) framing: Framing,
    /// What the socket has taken and [not written](TryWrite::unwritten): over TLS the rest of a
    /// record, which fits 16 bits. 0 after the close: these bytes can't be dropped, and last only
    /// seconds.
    pub(super) unwritten: u16,
    /// Frames that wait until the peer has joined.
    pub(super) buffered: Option<Box<JoinBuffer>>,
    pub(super) waker: Option<Waker>,
}

/// Whether a peer is closed. One byte, so that an idle outbox stays small.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Life {
    /// It is open.
    #[default]
    Open,
    /// It is open, and the socket has taken bytes of the queue since
    /// [`is_stalled`](super::Outbox::is_stalled) was last called.
    Progressed,
    /// It is closed, for this reason.
    Closed(CloseReason),
}

impl State {
    /// Why the peer is closed, if it is.
    pub(super) fn closed(&self) -> Option<CloseReason> {
        match self.life {
            Life::Closed(reason) => Some(reason),
            _ => None,
        }
    }

    /// Bytes that wait for the socket or the join.
    pub(super) fn waiting_bytes(&self) -> usize {
        let buffered = self.buffered.as_ref().map_or(0, |buffered| buffered.bytes);
        self.queued + usize::from(self.unwritten) + buffered
    }

    /// Bytes of memory that are kept. A buffer that is partly taken counts as a whole.
    pub(super) fn kept_bytes(&self) -> usize {
        self.waiting_bytes() + self.offset as usize
    }

    pub(super) fn push(&mut self, outbox: &Outbox, room: Option<&Room>, parts: &[Bytes]) {
        if self.closed().is_some() || parts.is_empty() {
            return;
        }
        match &mut self.buffered {
            Some(buffered) => buffered.push(parts, room),
            None => self.send(&outbox.socket, parts),
        }
        self.enforce_limit(outbox);
    }

    /// Writes as much as the socket takes now, and queues the rest.
    pub(super) fn send(&mut self, socket: &dyn TryWrite, parts: &[Bytes]) {
        let idle = self.queue.is_empty();
        let taken = if idle {
            write_through(socket, parts)
        } else {
            0
        };
        self.enqueue(parts, taken);
        self.note_unwritten(socket);
        if idle && (!self.queue.is_empty() || self.unwritten > 0) {
            self.wake();
        }
    }

    /// If too many bytes wait, drops what can be read again from the log. If that is not enough,
    /// closes the peer.
    pub(super) fn enforce_limit(&mut self, outbox: &Outbox) {
        let limit = outbox.limits.per_peer;
        if self.waiting_bytes() > limit
            && let Some(buffered) = &mut self.buffered
        {
            buffered.overflow();
        }
        if self.waiting_bytes() > limit {
            self.close(&outbox.socket, CloseReason::Slow);
        }
    }

    /// Notes how much the socket has taken and not written.
    fn note_unwritten(&mut self, socket: &dyn TryWrite) {
        self.unwritten = match self.closed() {
            None => u16::try_from(socket.unwritten()).unwrap_or(u16::MAX),
            Some(_) => 0,
        };
    }

    /// Queues what follows the first `taken` bytes.
    fn enqueue(&mut self, parts: &[Bytes], mut taken: usize) {
        for part in parts {
            if taken >= part.len() {
                taken -= part.len();
                continue;
            }
            // The queue was empty if anything was taken, so a part that is partly taken is the
            // first.
            self.offset += taken as u32;
            self.queued += part.len() - taken;
            self.queue.push_back(part.clone());
            taken = 0;
        }
    }

    pub(super) fn write_queue(&mut self, socket: &dyn TryWrite) -> io::Result<()> {
        let mut slices = [IoSlice::new(&[]); VECTORS];
        let count = self.queue.len().min(VECTORS);
        for (slice, part) in slices.iter_mut().zip(&self.queue) {
            *slice = IoSlice::new(part);
        }
        slices[0].advance(self.offset as usize);
        let has_unwritten = socket.has_unwritten();
        let mut taken = socket.try_write(&slices[..count])?;
        self.note_unwritten(socket);
        if self.life == Life::Open {
            self.life = Life::Progressed;
        }
        if taken == 0 {
            return match has_unwritten {
                true => Ok(()),
                false => Err(io::ErrorKind::WriteZero.into()),
            };
        }
        self.queued -= taken;
        taken += self.offset as usize;
        while let Some(first) = self.queue.front() {
            if taken < first.len() {
                self.offset = taken as u32;
                return Ok(());
            }
            taken -= first.len();
            self.queue.pop_front();
        }
        self.offset = 0;
        self.queue = VecDeque::new();
        Ok(())
    }

    /// Only the first close counts.
    pub(super) fn close(&mut self, socket: &dyn TryWrite, reason: CloseReason) {
        if self.closed().is_some() {
            return;
        }
        self.life = Life::Closed(reason);
        self.unwritten = 0;
        let first = self.buffered.take().and_then(|buffered| buffered.first);
        self.wake();
        // Other peers still get what is queued before the close frame. For a slow one that would
        // take too long.
        if reason == CloseReason::Slow {
            self.keep_started_frame();
        }
        if let Some((code, text)) = reason.close_code() {
            let close = self.framing.close(code, text);
            let parts: Vec<Bytes> = first.into_iter().chain([close]).collect();
            self.send(socket, &parts);
        }
    }

    /// Drops the queue except for the rest of the frame that is partly taken. This rest is copied,
    /// because its buffer may be much larger.
    fn keep_started_frame(&mut self) {
        let offset = mem::take(&mut self.offset) as usize;
        let first = mem::take(&mut self.queue).pop_front().unwrap_or_default();
        let rest = &first[offset..self.framing.end_of_message(&first, offset)];
        self.queued = rest.len();
        if !rest.is_empty() {
            self.queue.push_back(Bytes::copy_from_slice(rest));
        }
    }

    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}
