//! What becomes of an outbox' queue while it is locked: pushed to, written from, ended.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::mem;
use std::task::Waker;

use bytes::Bytes;

use super::join_buffer::JoinBuffer;
use super::try_write::{TryWrite, VECTORS, write_through};
use crate::chat::close_reason::CloseReason;
use crate::chat::frame;
use crate::chat::name::Room;

/// The queue, and what else is known of it.
pub(super) struct State {
    /// What the socket has not taken yet. Allocated on first need and given back when drained.
    pub(super) queue: VecDeque<Bytes>,
    pub(super) queued: usize,
    /// How much of the first buffer has been taken: the frame in which that ends must be finished,
    /// or the peer would see half of it. 32 bits: buffers are far smaller, and this is kept per
    /// peer.
    pub(super) offset: u32,
    /// Whether the socket has taken anything of the queue since somebody asked.
    pub(super) progressed: bool,
    /// What the socket has taken and still [owes](TryWrite::unwritten): over TLS, the rest of a record,
    /// which 16 bits hold. Not counted after the end: it can't be taken back, and lasts seconds.
    pub(super) unwritten: u16,
    /// What has been pushed since the outbox is on hold.
    pub(super) buffered: Option<Box<JoinBuffer>>,
    pub(super) closed: Option<CloseReason>,
    pub(super) waker: Option<Waker>,
}

impl State {
    /// Bytes that are kept for it: of a buffer that is begun, all.
    pub(super) fn kept_bytes(&self) -> usize {
        self.queued + self.offset as usize + usize::from(self.unwritten)
    }

    pub(super) fn push_from(
        &mut self,
        socket: &dyn TryWrite,
        room: Option<&Room>,
        parts: &[Bytes],
        limit: usize,
    ) {
        if self.closed.is_some() || parts.is_empty() {
            return;
        }
        let idle = self.queue.is_empty();
        if let Some(buffered) = &mut self.buffered {
            let before = buffered.bytes();
            buffered.push(parts, room);
            self.queued += buffered.bytes() - before;
        } else {
            let taken = if idle {
                write_through(socket, parts)
            } else {
                0
            };
            self.enqueue(parts, taken);
            self.note_unwritten(socket);
        }
        if idle && (!self.queue.is_empty() || self.unwritten > 0) {
            self.wake();
        }
        self.enforce_limit(socket, limit);
    }

    /// Forgets what can be read again, or ends the peer, if more waits than may.
    pub(super) fn enforce_limit(&mut self, socket: &dyn TryWrite, limit: usize) {
        let unwritten = usize::from(self.unwritten);
        if self.queued + unwritten > limit
            && let Some(buffered) = &mut self.buffered
        {
            let before = buffered.bytes();
            buffered.overflow();
            self.queued -= before - buffered.bytes();
        }
        if self.queued + unwritten > limit {
            self.close(socket, CloseReason::Slow);
        }
    }

    /// Notes what the socket owes.
    fn note_unwritten(&mut self, socket: &dyn TryWrite) {
        self.unwritten = match self.closed {
            None => u16::try_from(socket.unwritten()).unwrap_or(u16::MAX),
            Some(_) => 0,
        };
    }

    /// Keeps what is behind the first `taken` bytes.
    fn enqueue(&mut self, parts: &[Bytes], mut taken: usize) {
        for part in parts {
            if taken >= part.len() {
                taken -= part.len();
                continue;
            }
            // Only an empty queue is written past, so a part that is begun comes first.
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
        self.progressed = true;
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

    /// The first end counts.
    pub(super) fn close(&mut self, socket: &dyn TryWrite, reason: CloseReason) {
        if self.closed.is_some() {
            return;
        }
        self.closed = Some(reason);
        self.unwritten = 0;
        let first = self.buffered.take().and_then(|buffered| buffered.first);
        self.wake();
        // A peer that is asked to go politely first gets what was said before. One that is too slow
        // can't wait for that.
        if reason == CloseReason::Slow {
            self.keep_started_frame();
        }
        self.queued = self.queue.iter().map(Bytes::len).sum::<usize>() - self.offset as usize;
        let Some((code, text)) = reason.close_code() else {
            return;
        };
        let close = frame::close(code, text);
        let parts: Vec<Bytes> = first.into_iter().chain([close]).collect();
        let taken = if self.queue.is_empty() {
            write_through(socket, &parts)
        } else {
            0
        };
        self.enqueue(&parts, taken);
    }

    /// Keeps of the queue only the rest of the frame that has been begun, in a buffer of its own:
    /// the one that it is in may be much larger.
    fn keep_started_frame(&mut self) {
        let offset = mem::take(&mut self.offset) as usize;
        let first = mem::take(&mut self.queue).pop_front().unwrap_or_default();
        let rest = &first[offset..frame::end_of_frame(&first, offset)];
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
