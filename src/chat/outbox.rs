//! The outgoing queue of one peer.
//!
//! A push never waits. It writes to the socket as much as the socket takes now, and queues the
//! rest, up to a limit. The peer's own task writes the queue later. All bytes for a peer pass
//! through here: broadcasts and the control frames of the WebSocket layer. So no frame is ever cut
//! by another one. A peer that falls too far behind is closed: nobody waits for a slow reader.

mod join_buffer;
mod limits;
mod state;
mod try_write;

use std::io;
use std::ops::Deref;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;

use super::close_reason::CloseReason;
use super::frame::Framing;
use super::name::Room;
use super::stats::ChatStats;
use crate::mutex::Mutex;
pub use limits::OutboxLimits;
use state::{Life, State};
pub use try_write::TryWrite;

/// One peer's queue towards its socket. 112 bytes while idle.
///
/// The socket is a field, not behind a pointer. A broadcast visits every peer, and each separate
/// allocation is one more cache miss.
#[derive(Debug)]
pub struct Outbox<S: ?Sized = dyn TryWrite> {
    state: Mutex<State>,
    limits: Arc<OutboxLimits>,
    /// Where the bytes go.
    pub socket: S,
}

impl<S: TryWrite> Outbox<S> {
    /// An empty outbox for `socket`. It counts the bytes that it keeps in `limits`.
    pub fn new(socket: S, framing: Framing, limits: Arc<OutboxLimits>) -> Outbox<S> {
        let state = State {
            framing,
            ..State::default()
        };
        Outbox {
            state: Mutex::new(state),
            limits,
            socket,
        }
    }
}

/// All methods are those of the unsized type, so they are compiled once.
impl<S: TryWrite + 'static> Deref for Outbox<S> {
    type Target = Outbox;

    fn deref(&self) -> &Outbox {
        self
    }
}

impl<S: ?Sized> Outbox<S> {
    /// Locks the state for `act`, then tells the limits how much is kept now. After a panic it is used
    /// all the same: every change below leaves the state consistent.
    fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.state.lock();
        let before = state.kept_bytes();
        let result = act(&mut state);
        self.limits.update(before, state.kept_bytes());
        result
    }
}

impl Outbox {
    /// Sends whole frames in order, as far as the socket takes them, and queues the rest. Above the
    /// limit the peer is closed with [`CloseReason::Slow`]. A closed peer is sent nothing more.
    pub fn push(&self, parts: &[Bytes]) {
        self.count(parts);
        self.with(|state| state.push(self, None, parts));
    }

    /// Sends frames of a room's events, like [`push`](Self::push). Does not count their bytes: the
    /// broadcast counts them once for all peers.
    pub fn push_from(&self, room: &Room, parts: &[Bytes]) {
        self.with(|state| state.push(self, Some(room), parts));
    }

    fn count(&self, parts: &[Bytes]) {
        let bytes = parts.iter().map(Bytes::len).sum::<usize>();
        self.stats().sent_bytes.add(bytes as u64);
    }

    /// The counters of this instance's chat.
    pub fn stats(&self) -> &ChatStats {
        &self.limits.stats
    }

    /// Seconds since the limits were made.
    pub(super) fn clock(&self) -> u32 {
        self.limits.started.elapsed().as_secs() as u32
    }

    /// [Buffers](Self::buffer) all pushes. `first`, the answer to the
    /// handshake, is put before the next bytes that are written, even before a close frame. So both
    /// leave in one packet.
    pub fn start_buffering(&self, first: Bytes) {
        self.with(|state| state.buffered.get_or_insert_default().first = Some(first));
    }

    /// Buffers all pushes until [`send_buffered`](Self::send_buffered).
    pub fn buffer(&self) {
        self.with(|state| {
            state.buffered.get_or_insert_default();
        });
    }

    /// The peer joins a room now: buffers all pushes, so that the peer first gets the roster and
    /// the history. Drops frames of this room that were buffered before. If the room sends more
    /// than the limit, all its buffered frames are dropped. [`overflowed`](Self::overflowed) is
    /// then true, and the messages must be read from the log.
    pub fn begin_join(&self, room: &Room) {
        self.with(|state| state.buffered.get_or_insert_default().begin_join(room));
    }

    /// Whether frames of the room that the peer joins were dropped, because there were too many.
    pub fn overflowed(&self) -> bool {
        self.with(|state| state.buffered.as_ref().is_some_and(|all| all.overflowed))
    }

    /// Drops the buffered frames of the room that the peer was about to join.
    pub fn cancel_join(&self) {
        self.with(|state| state.buffered.as_mut().map(|all| all.overflow()));
    }

    /// Sends whole frames before the buffered ones.
    pub fn push_before_buffered(&self, parts: &[Bytes]) {
        if parts.is_empty() {
            return;
        }
        self.count(parts);
        self.with(|state| {
            if state.closed().is_some() {
                return;
            }
            let first = state.buffered.as_mut().and_then(|all| all.first.take());
            let parts: Vec<Bytes> = first.into_iter().chain(parts.iter().cloned()).collect();
            state.send(&self.socket, &parts);
            state.enforce_limit(self);
        });
    }

    /// Sends the buffered frames, and buffers no longer.
    pub fn send_buffered(&self) {
        self.with(|state| {
            let parts = state.buffered.take().unwrap_or_default().into_parts();
            state.push(self, None, &parts);
        });
    }

    /// Bytes that the socket has not taken yet, without the buffered ones.
    pub fn queued_before_buffered(&self) -> usize {
        self.with(|state| state.queued)
    }

    /// Closes this peer, unless it is closed already: queues a close frame with the reason and
    /// wakes the peer's task. A peer that is closed as too slow loses what is queued behind the
    /// frame that is partly written.
    pub fn close(&self, reason: CloseReason) {
        self.with(|state| state.close(&self.socket, reason));
    }

    /// Why this peer was closed, if it was.
    pub fn close_reason(&self) -> Option<CloseReason> {
        self.with(|state| state.closed())
    }

    /// Bytes that wait: those that the socket has not taken, and those that it has taken and not
    /// yet written.
    pub fn queued(&self) -> usize {
        self.with(|state| state.waiting_bytes())
    }

    /// Whether bytes wait and the socket has taken none since the last call of this method. A closed
    /// peer has a deadline of its own.
    pub fn is_stalled(&self) -> bool {
        self.with(|state| {
            if state.life == Life::Progressed {
                state.life = Life::Open;
                return false;
            }
            state.life == Life::Open && (!state.queue.is_empty() || self.socket.has_unwritten())
        })
    }

    /// Writes the queue, as far as the socket takes it.
    ///
    /// `Ready(Ok(true))`: the socket takes no more now; call again when it is writable.
    /// `Ready(Ok(false))`: the peer is closed and everything is written. `Pending`: nothing to do
    /// until a push or a close wakes the task. Cancel safe.
    ///
    /// # Errors
    /// The error of the socket, which is then broken.
    pub fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        self.with(|state| {
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
            match state.closed() {
                Some(_) => Poll::Ready(Ok(false)),
                None => Poll::Pending,
            }
        })
    }
}

impl<S: ?Sized> Drop for Outbox<S> {
    fn drop(&mut self) {
        let kept_bytes = self.with(|state| state.kept_bytes());
        self.limits.update(kept_bytes, 0);
    }
}

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod unwritten;
