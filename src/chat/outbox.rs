//! What a peer is still to be sent.
//!
//! A push never waits: it writes to the socket at once what the socket takes, and queues the rest,
//! bounded, for the peer's own task to finish. All bytes to a peer, broadcasts as well as the
//! control frames of the WebSocket layer, pass through here, so no frame ever cuts into another.
//! A peer that falls too far behind is ended: nobody waits for a slow reader.

mod join_buffer;
mod limits;
mod state;
mod try_write;

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::mem;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;

use super::close_reason::CloseReason;
use super::name::Room;
use super::stats::ChatStats;
pub use limits::OutboxLimits;
use state::State;
pub use try_write::TryWrite;

/// One peer's queue towards its socket. 112 bytes while idle.
///
/// The socket is part of it: a broadcast goes from peer to peer, and every allocation that it has to
/// look at there is one more wait for memory.
pub struct Outbox<S: ?Sized = dyn TryWrite> {
    state: Mutex<State>,
    limits: Arc<OutboxLimits>,
    /// What everything is written to.
    pub socket: S,
}

impl<S: ?Sized> fmt::Debug for Outbox<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.lock();
        f.debug_struct("Outbox")
            .field("queued", &state.queued)
            .field("closed", &state.closed)
            .finish()
    }
}

impl<S: TryWrite> Outbox<S> {
    /// An empty outbox in front of `socket`, which counts what it holds in the `limits`.
    pub fn new(socket: S, limits: Arc<OutboxLimits>) -> Outbox<S> {
        let state = State {
            queue: VecDeque::new(),
            queued: 0,
            offset: 0,
            progressed: false,
            unwritten: 0,
            buffered: None,
            closed: None,
            waker: None,
        };
        Outbox {
            state: Mutex::new(state),
            limits,
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
    fn lock(&self) -> StateGuard<'_> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        StateGuard {
            before: state.kept_bytes(),
            state,
            limits: &self.limits,
        }
    }
}

impl Outbox {
    /// Sends whole frames, in order, as far as the socket takes them, and queues the rest. Beyond
    /// the limit the peer is ended as [`CloseReason::Slow`]; after an end nothing is sent any more.
    pub fn push(&self, parts: &[Bytes]) {
        self.count(parts);
        let mut state = self.lock();
        state.push_from(&self.socket, None, parts, self.limits.per_peer());
    }

    /// Sends what is said in a room; like [`push`](Self::push) for a peer that is in. Whoever sends it
    /// to all of them counts it.
    pub fn push_from(&self, room: &Room, parts: &[Bytes]) {
        let mut state = self.lock();
        state.push_from(&self.socket, Some(room), parts, self.limits.per_peer());
    }

    fn count(&self, parts: &[Bytes]) {
        let bytes = parts.iter().map(Bytes::len).sum::<usize>();
        self.stats().sent_bytes.add(bytes as u64);
    }

    /// Where its peer's doings are counted.
    pub fn stats(&self) -> &ChatStats {
        &self.limits.stats
    }

    /// From here on pushes wait until the outbox is [released](Self::send_buffered). `first` goes out
    /// ahead of whatever does so first, a goodbye too: a peer is answered before it is told
    /// anything, and in one packet with that.
    pub fn start_buffering(&self, first: Bytes) {
        self.lock().buffered.get_or_insert_default().first = Some(first);
    }

    /// The peer comes into a room, and is first told what it is entering: pushes wait until then.
    /// Forgets what was kept of that room before. When the room says more than may wait, all of that is forgotten: it must be read from the log, and
    /// [`overflowed`](Self::overflowed) says so.
    pub fn begin_join(&self, room: &Room) {
        let mut state = self.lock();
        let buffered = state.buffered.get_or_insert_default();
        let before = buffered.bytes();
        buffered.begin_join(room);
        let forgotten = before - buffered.bytes();
        state.queued -= forgotten;
    }

    /// Whether the room that is being entered has said more than could be held.
    pub fn overflowed(&self) -> bool {
        let state = self.lock();
        state
            .buffered
            .as_ref()
            .is_some_and(|buffered| buffered.overflowed())
    }

    /// Forgets what waits of the room that was to be entered: the peer does not come in after all.
    pub fn cancel_join(&self) {
        let mut state = self.lock();
        if let Some(buffered) = &mut state.buffered {
            let before = buffered.bytes();
            buffered.overflow();
            let forgotten = before - buffered.bytes();
            state.queued -= forgotten;
        }
    }

    /// Sends whole frames although the outbox is on hold, ahead of what waits.
    pub fn push_before_buffered(&self, parts: &[Bytes]) {
        if parts.is_empty() {
            return;
        }
        self.count(parts);
        let mut state = self.lock();
        let mut buffered = state.buffered.take();
        match buffered.as_mut().and_then(|buffered| buffered.first.take()) {
            Some(first) => {
                let parts = [&[first], parts].concat();
                state.push_from(&self.socket, None, &parts, usize::MAX);
            }
            None => state.push_from(&self.socket, None, parts, usize::MAX),
        }
        state.buffered = buffered;
        state.enforce_limit(&self.socket, self.limits.per_peer());
    }

    /// Sends what has waited; the outbox is no longer on hold.
    pub fn send_buffered(&self) {
        let mut state = self.lock();
        let buffered = state.buffered.take().unwrap_or_default();
        state.queued -= buffered.bytes();
        let parts = buffered.into_parts();
        state.push_from(&self.socket, None, &parts, self.limits.per_peer());
    }

    /// Bytes that the socket has not taken yet, without those on hold.
    pub fn queued_before_buffered(&self) -> usize {
        let state = self.lock();
        state.queued
            - state
                .buffered
                .as_ref()
                .map_or(0, |buffered| buffered.bytes())
    }

    /// Ends this peer, unless it has been ended before: says why by a close frame, drops what was
    /// queued behind the frame being written, and wakes the peer's task.
    pub fn close(&self, reason: CloseReason) {
        self.lock().close(&self.socket, reason);
    }

    /// Why this peer was ended, if it was.
    pub fn close_reason(&self) -> Option<CloseReason> {
        self.lock().closed
    }

    /// Bytes that the socket has not taken yet, or has taken and not written.
    pub fn queued(&self) -> usize {
        let state = self.lock();
        state.queued + usize::from(state.unwritten)
    }

    /// Whether something waits, of which the socket has taken nothing since this was last asked.
    pub fn is_stalled(&self) -> bool {
        let mut state = self.lock();
        !mem::take(&mut state.progressed)
            && (!state.queue.is_empty() || self.socket.has_unwritten())
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
        while !state.queue.is_empty() || self.socket.has_unwritten() {
            match state.write_queue(&self.socket) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Poll::Ready(Ok(true));
                }
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        match state.closed {
            Some(_) => Poll::Ready(Ok(false)),
            None => Poll::Pending,
        }
    }
}

impl<S: ?Sized> Drop for Outbox<S> {
    fn drop(&mut self) {
        let kept_bytes = self.lock().kept_bytes();
        self.limits.update(kept_bytes, 0);
    }
}

/// The state while it is changed. The limits learn in the end what has become of the queue.
struct StateGuard<'a> {
    state: MutexGuard<'a, State>,
    before: usize,
    limits: &'a OutboxLimits,
}

impl Deref for StateGuard<'_> {
    type Target = State;

    fn deref(&self) -> &State {
        &self.state
    }
}

impl DerefMut for StateGuard<'_> {
    fn deref_mut(&mut self) -> &mut State {
        &mut self.state
    }
}

impl Drop for StateGuard<'_> {
    fn drop(&mut self) {
        self.limits.update(self.before, self.state.kept_bytes());
    }
}

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod unwritten;
