//! What a peer is still to be sent.
//!
//! A push never waits: it writes to the socket at once what the socket takes, and queues the rest,
//! bounded, for the peer's own task to finish. All bytes to a peer, broadcasts as well as the
//! control frames of the WebSocket layer, pass through here, so no frame ever cuts into another.
//! A peer that falls too far behind is ended: nobody waits for a slow reader.

mod try_write;

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, IoSlice};
use std::mem;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;

use super::budget::Budget;
use super::end::End;
use super::frame;
use super::hold::Hold;
use super::name::Room;
use super::tally::Tally;
pub use try_write::TryWrite;
use try_write::{VECTORS, write_through};

/// One peer's queue towards its socket. 112 bytes while idle.
///
/// The socket is part of it: a broadcast goes from peer to peer, and every allocation that it has to
/// look at there is one more wait for memory.
pub struct Outbox<S: ?Sized = dyn TryWrite> {
    state: Mutex<State>,
    budget: Arc<Budget>,
    /// What everything is written to.
    pub socket: S,
}

struct State {
    /// What the socket has not taken yet. Allocated on first need and given back when drained.
    queue: VecDeque<Bytes>,
    queued: usize,
    /// How much of the first buffer has been taken: the frame in which that ends must be finished,
    /// or the peer would see half of it. 32 bits: buffers are far smaller, and this is kept per
    /// peer.
    begun: u32,
    /// Whether the socket has taken anything of the queue since somebody asked.
    moved: bool,
    /// What the socket has taken and still [owes](TryWrite::owed): over TLS, the rest of a record,
    /// which 16 bits hold. Not counted after the end: it can't be taken back, and lasts seconds.
    owed: u16,
    /// What has been pushed since the outbox is on hold.
    held: Option<Box<Hold>>,
    end: Option<End>,
    waker: Option<Waker>,
}

impl<S: ?Sized> fmt::Debug for Outbox<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.lock();
        f.debug_struct("Outbox")
            .field("queued", &state.queued)
            .field("end", &state.end)
            .finish()
    }
}

impl<S: TryWrite> Outbox<S> {
    /// An empty outbox in front of `socket`, which counts what it holds in the `budget`.
    pub fn new(socket: S, budget: Arc<Budget>) -> Outbox<S> {
        let state = State {
            queue: VecDeque::new(),
            queued: 0,
            begun: 0,
            moved: false,
            owed: 0,
            held: None,
            end: None,
            waker: None,
        };
        Outbox {
            state: Mutex::new(state),
            budget,
            socket,
        }
    }
}

/// Whatever its socket is, it is used in one way.
impl<S: TryWrite + 'static> Deref for Outbox<S> {
    type Target = Outbox;

    fn deref(&self) -> &Outbox {
        self
    }
}

impl<S: ?Sized> Outbox<S> {
    /// A poisoned lock is taken all the same: every change below leaves the state whole.
    fn lock(&self) -> Open<'_> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        Open {
            before: state.weight(),
            state,
            budget: &self.budget,
        }
    }
}

impl Outbox {
    /// Sends whole frames, in order, as far as the socket takes them, and queues the rest. Beyond
    /// the limit the peer is ended as [`End::Slow`]; after an end nothing is sent any more.
    pub fn push(&self, parts: &[Bytes]) {
        self.count(parts);
        let mut state = self.lock();
        state.push_from(&self.socket, None, parts, self.budget.each());
    }

    /// Sends what is said in a room; like [`push`](Self::push) for a peer that is in. Whoever sends it
    /// to all of them counts it.
    pub fn push_from(&self, room: &Room, parts: &[Bytes]) {
        let mut state = self.lock();
        state.push_from(&self.socket, Some(room), parts, self.budget.each());
    }

    fn count(&self, parts: &[Bytes]) {
        let bytes = parts.iter().map(Bytes::len).sum::<usize>();
        self.tally().sent_bytes.add(bytes as u64);
    }

    /// Where its peer's doings are counted.
    pub fn tally(&self) -> &Tally {
        &self.budget.tally
    }

    /// From here on pushes wait until the outbox is [released](Self::release). `first` goes out
    /// ahead of whatever does so first, a goodbye too: a peer is answered before it is told
    /// anything, and in one packet with that.
    pub fn hold_behind(&self, first: Bytes) {
        self.lock().held.get_or_insert_default().first = Some(first);
    }

    /// The peer comes into a room, and is first told what it is entering: pushes wait until then.
    /// Forgets what was kept of that room before. When the room says more than may wait, all of that is forgotten: it must be read from the log, and
    /// [`overflowed`](Self::overflowed) says so.
    pub fn hold_entering(&self, room: &Room) {
        let mut state = self.lock();
        let hold = state.held.get_or_insert_default();
        let before = hold.bytes();
        hold.enters(room);
        let forgotten = before - hold.bytes();
        state.queued -= forgotten;
    }

    /// Whether the room that is being entered has said more than could be held.
    pub fn overflowed(&self) -> bool {
        let state = self.lock();
        state.held.as_ref().is_some_and(|hold| hold.overflowed())
    }

    /// Forgets what waits of the room that was to be entered: the peer does not come in after all.
    pub fn forget_entering(&self) {
        let mut state = self.lock();
        if let Some(hold) = &mut state.held {
            let before = hold.bytes();
            hold.overflow();
            let forgotten = before - hold.bytes();
            state.queued -= forgotten;
        }
    }

    /// Sends whole frames although the outbox is on hold, ahead of what waits.
    pub fn push_ahead(&self, parts: &[Bytes]) {
        if parts.is_empty() {
            return;
        }
        self.count(parts);
        let mut state = self.lock();
        let mut held = state.held.take();
        match held.as_mut().and_then(|held| held.first.take()) {
            Some(first) => {
                let parts = [&[first], parts].concat();
                state.push_from(&self.socket, None, &parts, usize::MAX);
            }
            None => state.push_from(&self.socket, None, parts, usize::MAX),
        }
        state.held = held;
        state.bound(&self.socket, self.budget.each());
    }

    /// Sends what has waited; the outbox is no longer on hold.
    pub fn release(&self) {
        let mut state = self.lock();
        let held = state.held.take().unwrap_or_default();
        state.queued -= held.bytes();
        let parts = held.into_parts();
        state.push_from(&self.socket, None, &parts, self.budget.each());
    }

    /// Bytes that the socket has not taken yet, without those on hold.
    pub fn ahead(&self) -> usize {
        let state = self.lock();
        state.queued - state.held.as_ref().map_or(0, |hold| hold.bytes())
    }

    /// Ends this peer, unless it has been ended before: says why by a close frame, drops what was
    /// queued behind the frame being written, and wakes the peer's task.
    pub fn end(&self, end: End) {
        self.lock().finish(&self.socket, end);
    }

    /// Why this peer was ended, if it was.
    pub fn ended(&self) -> Option<End> {
        self.lock().end
    }

    /// Bytes that the socket has not taken yet, or has taken and not written.
    pub fn queued(&self) -> usize {
        let state = self.lock();
        state.queued + usize::from(state.owed)
    }

    /// Whether something waits, of which the socket has taken nothing since this was last asked.
    pub fn stuck(&self) -> bool {
        let mut state = self.lock();
        !mem::take(&mut state.moved) && (!state.queue.is_empty() || self.socket.owes())
    }

    /// Writes what is queued, as far as the socket takes it.
    ///
    /// `Ready(Ok(true))`: the socket takes no more now, call again when it does. `Ready(Ok(false))`:
    /// the peer has been ended and everything is written. `Pending`: nothing to do until a push
    /// wakes the task. An end wakes it in any case. Cancel safe.
    ///
    /// # Errors
    /// The socket's, which is then of no more use.
    pub fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        let mut state = self.lock();
        match &mut state.waker {
            Some(waker) => waker.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
        while !state.queue.is_empty() || self.socket.owes() {
            match state.write_queue(&self.socket) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Poll::Ready(Ok(true));
                }
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        match state.end {
            Some(_) => Poll::Ready(Ok(false)),
            None => Poll::Pending,
        }
    }
}

impl<S: ?Sized> Drop for Outbox<S> {
    fn drop(&mut self) {
        let weight = self.lock().weight();
        self.budget.settle(weight, 0);
    }
}

/// The state while it is changed. The budget learns in the end what has become of the queue.
struct Open<'a> {
    state: MutexGuard<'a, State>,
    before: usize,
    budget: &'a Budget,
}

impl Deref for Open<'_> {
    type Target = State;

    fn deref(&self) -> &State {
        &self.state
    }
}

impl DerefMut for Open<'_> {
    fn deref_mut(&mut self) -> &mut State {
        &mut self.state
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.budget.settle(self.before, self.state.weight());
    }
}

impl State {
    /// Bytes that are kept for it: of a buffer that is begun, all.
    fn weight(&self) -> usize {
        self.queued + self.begun as usize + usize::from(self.owed)
    }

    fn push_from(
        &mut self,
        socket: &dyn TryWrite,
        room: Option<&Room>,
        parts: &[Bytes],
        limit: usize,
    ) {
        if self.end.is_some() || parts.is_empty() {
            return;
        }
        let idle = self.queue.is_empty();
        if let Some(held) = &mut self.held {
            let before = held.bytes();
            held.push(parts, room);
            self.queued += held.bytes() - before;
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
    fn bound(&mut self, socket: &dyn TryWrite, limit: usize) {
        let owed = usize::from(self.owed);
        if self.queued + owed > limit
            && let Some(held) = &mut self.held
        {
            let before = held.bytes();
            held.overflow();
            self.queued -= before - held.bytes();
        }
        if self.queued + owed > limit {
            self.finish(socket, End::Slow);
        }
    }

    /// Notes what the socket owes.
    fn look_at(&mut self, socket: &dyn TryWrite) {
        self.owed = match self.end {
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

    fn write_queue(&mut self, socket: &dyn TryWrite) -> io::Result<()> {
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
    fn finish(&mut self, socket: &dyn TryWrite, end: End) {
        if self.end.is_some() {
            return;
        }
        self.end = Some(end);
        self.owed = 0;
        let first = self.held.take().and_then(|held| held.first);
        self.wake();
        // Whoever is asked to go politely gets first what was said before; whoever is too slow
        // can't wait for that.
        if end == End::Slow {
            self.finish_frame();
        }
        self.queued = self.queue.iter().map(Bytes::len).sum::<usize>() - self.begun as usize;
        let Some((code, reason)) = end.close_code() else {
            return;
        };
        let close = frame::close(code, reason);
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
    fn finish_frame(&mut self) {
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

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;
