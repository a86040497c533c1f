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
    pub(super) begun: u32,
    /// Whether the socket has taken anything of the queue since somebody asked.
    pub(super) moved: bool,
    /// What the socket has taken and still [owes](TryWrite::owed): over TLS, the rest of a record,
    /// which 16 bits hold. Not counted after the end: it can't be taken back, and lasts seconds.
    pub(super) owed: u16,
    /// What has been pushed since the outbox is on hold.
    pub(super) buffered: Option<Box<JoinBuffer>>,
    pub(super) closed: Option<CloseReason>,
    pub(super) waker: Option<Waker>,
}

impl State {
    /// Bytes that are kept for it: of a buffer that is begun, all.
    pub(super) fn weight(&self) -> usize {
        self.queued + self.begun as usize + usize::from(self.owed)
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
            self.look_at(socket);
        }
        if idle && (!self.queue.is_empty() || self.owed > 0) {
            self.wake();
        }
        self.bound(socket, limit);
    }

    /// Forgets what can be read again, or ends the peer, if more waits than may.
    pub(super) fn bound(&mut self, socket: &dyn TryWrite, limit: usize) {
        let owed = usize::from(self.owed);
        if self.queued + owed > limit
            && let Some(buffered) = &mut self.buffered
        {
            let before = buffered.bytes();
            buffered.overflow();
            self.queued -= before - buffered.bytes();
        }
        if self.queued + owed > limit {
            self.close(socket, CloseReason::Slow);
        }
    }

    /// Notes what the socket owes.
    fn look_at(&mut self, socket: &dyn TryWrite) {
        self.owed = match self.closed {
            None => u16::try_from(socket.owed()).unwrap_or(u16::MAX),
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
            self.begun += taken as u32;
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
        slices[0].advance(self.begun as usize);
        let owes = socket.owes();
        let mut taken = socket.try_write(&slices[..count])?;
        self.look_at(socket);
        self.moved = true;
        if taken == 0 {
            return match owes {
                true => Ok(()),
                false => Err(io::ErrorKind::WriteZero.into()),
            };
        }
        self.queued -= taken;
        taken += self.begun as usize;
        while let Some(first) = self.queue.front() {
            if taken < first.len() {
                self.begun = taken as u32;
                return Ok(());
            }
            taken -= first.len();
            self.queue.pop_front();
        }
        self.begun = 0;
        self.queue = VecDeque::new();
        Ok(())
    }

    /// The first end counts.
    pub(super) fn close(&mut self, socket: &dyn TryWrite, reason: CloseReason) {
        if self.closed.is_some() {
            return;
        }
        self.closed = Some(reason);
        self.owed = 0;
        let first = self.buffered.take().and_then(|buffered| buffered.first);
        self.wake();
        // A peer that is asked to go politely first gets what was said before. One that is too slow
        // can't wait for that.
        if reason == CloseReason::Slow {
            self.keep_begun_frame();
        }
        self.queued = self.queue.iter().map(Bytes::len).sum::<usize>() - self.begun as usize;
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
    fn keep_begun_frame(&mut self) {
        let begun = mem::take(&mut self.begun) as usize;
        let first = mem::take(&mut self.queue).pop_front().unwrap_or_default();
        let rest = &first[begun..frame::end_of(&first, begun)];
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
