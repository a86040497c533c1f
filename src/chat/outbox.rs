//! What a peer is still to be sent.
//!
//! A push never waits: it writes to the socket at once what the socket takes, and queues the rest,
//! bounded, for the peer's own task to finish. All bytes to a peer, broadcasts as well as the
//! control frames of the WebSocket layer, pass through here, so no frame ever cuts into another.
//! A peer that falls too far behind is ended: nobody waits for a slow reader.

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, IoSlice};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::{Buf, Bytes};

use super::end::End;
use super::frame;

/// Something that may take bytes without waiting.
pub trait TryWrite: Send + Sync {
    /// Writes what is taken at once and says how much that was.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] when nothing is taken now; anything else means that nothing
    /// will ever be taken again.
    fn try_write(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize>;
}

/// One peer's queue towards its socket. About 150 bytes while idle.
pub struct Outbox {
    state: Mutex<State>,
    limit: usize,
}

struct State {
    socket: Arc<dyn TryWrite>,
    /// What the socket has not taken yet. Allocated on first need and given back when drained.
    queue: VecDeque<Bytes>,
    queued: usize,
    /// Whether the first buffer has been taken in part: it must then be finished, or the peer
    /// would see half a frame.
    begun: bool,
    /// What has been pushed since the outbox is on hold.
    held: Option<Vec<Bytes>>,
    end: Option<End>,
    waker: Option<Waker>,
}

impl fmt::Debug for Outbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.lock();
        f.debug_struct("Outbox")
            .field("queued", &state.queued)
            .field("end", &state.end)
            .finish()
    }
}

impl Outbox {
    /// An empty outbox in front of `socket` that may hold `limit` bytes.
    pub fn new(socket: Arc<dyn TryWrite>, limit: usize) -> Outbox {
        let state = State {
            socket,
            queue: VecDeque::new(),
            queued: 0,
            begun: false,
            held: None,
            end: None,
            waker: None,
        };
        Outbox {
            state: Mutex::new(state),
            limit,
        }
    }

    /// A poisoned lock is taken all the same: every change below leaves the state whole.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends whole frames, in order, as far as the socket takes them, and queues the rest. Beyond
    /// the limit the peer is ended as [`End::Slow`]; after an end nothing is sent any more.
    pub fn push(&self, parts: &[Bytes]) {
        self.lock().push(parts, self.limit);
    }

    /// From here on pushes wait, within the limit, until the outbox is [released](Self::release):
    /// a peer that enters a room is first told what it is entering.
    pub fn hold(&self) {
        self.lock().held.get_or_insert_default();
    }

    /// Sends `first`, and then what has waited.
    pub fn release(&self, first: &[Bytes]) {
        let mut state = self.lock();
        let held = state.held.take().unwrap_or_default();
        state.queued -= held.iter().map(Bytes::len).sum::<usize>();
        state.push(first, self.limit);
        state.push(&held, self.limit);
    }

    /// Ends this peer, unless it has been ended before: says why by a close frame, drops what was
    /// queued behind the frame being written, and wakes the peer's task.
    pub fn end(&self, end: End) {
        let mut state = self.lock();
        if state.end.is_none() {
            // Whoever is asked to go politely gets first what was said before; whoever is too
            // slow can't wait for that.
            state.finish(end);
            state.wake();
        }
    }

    /// Why this peer was ended, if it was.
    pub fn ended(&self) -> Option<End> {
        self.lock().end
    }

    /// Bytes that the socket has not taken yet.
    pub fn queued(&self) -> usize {
        self.lock().queued
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
        while !state.queue.is_empty() {
            match state.write_queue() {
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

/// How many buffers one vectored write is given at most.
const VECTORS: usize = 32;

impl State {
    fn push(&mut self, parts: &[Bytes], limit: usize) {
        if self.end.is_some() || parts.is_empty() {
            return;
        }
        let idle = self.queue.is_empty();
        if let Some(held) = &mut self.held {
            held.extend_from_slice(parts);
            self.queued += parts.iter().map(Bytes::len).sum::<usize>();
        } else {
            let taken = if idle { self.write_through(parts) } else { 0 };
            self.enqueue(parts, taken);
        }
        if self.queued > limit {
            self.finish(End::Slow);
        }
        if idle && !self.queue.is_empty() || self.end.is_some() {
            self.wake();
        }
    }

    /// Tries the parts on the socket. A broken socket takes nothing: its reader will find out, and
    /// until then the limit bounds what is kept.
    fn write_through(&self, parts: &[Bytes]) -> usize {
        let mut slices = [IoSlice::new(&[]); VECTORS];
        let count = parts.len().min(VECTORS);
        for (slice, part) in slices.iter_mut().zip(parts) {
            *slice = IoSlice::new(part);
        }
        self.socket.try_write(&slices[..count]).unwrap_or(0)
    }

    /// Keeps what is behind the first `taken` bytes.
    fn enqueue(&mut self, parts: &[Bytes], mut taken: usize) {
        for part in parts {
            if taken >= part.len() {
                taken -= part.len();
                continue;
            }
            self.begun |= taken > 0;
            self.queued += part.len() - taken;
            self.queue.push_back(part.slice(taken..));
            taken = 0;
        }
    }

    fn write_queue(&mut self) -> io::Result<()> {
        let mut slices = [IoSlice::new(&[]); VECTORS];
        let count = self.queue.len().min(VECTORS);
        for (slice, part) in slices.iter_mut().zip(&self.queue) {
            *slice = IoSlice::new(part);
        }
        let mut taken = self.socket.try_write(&slices[..count])?;
        if taken == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        self.queued -= taken;
        while let Some(first) = self.queue.front_mut() {
            if taken < first.len() {
                first.advance(taken);
                self.begun |= taken > 0;
                return Ok(());
            }
            taken -= first.len();
            self.queue.pop_front();
            self.begun = false;
        }
        self.queue = VecDeque::new();
        Ok(())
    }

    fn finish(&mut self, end: End) {
        self.end = Some(end);
        self.held = None;
        if end == End::Slow {
            self.queue.truncate(usize::from(self.begun));
        }
        self.queued = self.queue.iter().map(Bytes::len).sum();
        let Some((code, reason)) = end.close_code() else {
            return;
        };
        let close = frame::close(code, reason);
        let taken = if self.queue.is_empty() {
            self.write_through(std::slice::from_ref(&close))
        } else {
            0
        };
        self.enqueue(&[close], taken);
    }

    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::task::Waker;

    /// A socket that takes as much as it is told to.
    #[derive(Default)]
    struct Pipe(Mutex<(usize, Vec<u8>)>);

    impl Pipe {
        fn room(&self, bytes: usize) {
            self.0.lock().unwrap().0 = bytes;
        }
        fn heard(&self) -> Vec<u8> {
            self.0.lock().unwrap().1.clone()
        }
    }

    impl TryWrite for Pipe {
        fn try_write(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
            let (room, heard) = &mut *self.0.lock().unwrap();
            if *room == 0 {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            let mut taken = 0;
            for buf in bufs {
                let n = buf.len().min(*room);
                heard.extend_from_slice(&buf[..n]);
                *room -= n;
                taken += n;
            }
            Ok(taken)
        }
    }

    fn outbox(room: usize, limit: usize) -> (Arc<Pipe>, Outbox) {
        let pipe = Arc::new(Pipe::default());
        pipe.room(room);
        (pipe.clone(), Outbox::new(pipe, limit))
    }

    fn flush(outbox: &Outbox) -> Poll<io::Result<bool>> {
        outbox.poll_flush(&mut Context::from_waker(Waker::noop()))
    }

    fn bytes(text: &'static str) -> Bytes {
        Bytes::from_static(text.as_bytes())
    }

    #[test]
    fn what_the_socket_takes_is_written_at_once() {
        let (pipe, outbox) = outbox(100, 10);
        outbox.push(&[bytes("hello "), bytes("world")]);
        assert_eq!(pipe.heard(), b"hello world");
        assert_eq!(outbox.queued(), 0);
        assert!(flush(&outbox).is_pending());
    }

    #[test]
    fn the_rest_follows_in_order_whatever_the_socket_takes_at_a_time() {
        for step in 1..9 {
            let (pipe, outbox) = outbox(step, 100);
            outbox.push(&[bytes("one "), bytes("two ")]);
            outbox.push(&[bytes("three ")]);
            outbox.push(&[bytes("four")]);
            while outbox.queued() > 0 {
                pipe.room(step);
                let _ = flush(&outbox);
            }
            assert!(flush(&outbox).is_pending());
            assert_eq!(
                pipe.heard(),
                b"one two three four",
                "{step} bytes at a time"
            );
        }
    }

    #[test]
    fn a_slow_reader_gets_the_buffer_it_has_begun_and_the_reason() {
        let (pipe, outbox) = outbox(2, 10);
        outbox.push(&[bytes("begun")]);
        outbox.push(&[bytes("never sent")]);
        assert_eq!(outbox.ended(), Some(End::Slow));
        outbox.push(&[bytes("too late")]);
        pipe.room(1000);
        assert!(matches!(flush(&outbox), Poll::Ready(Ok(false))));
        let mut expected = b"begun".to_vec();
        expected.extend_from_slice(&frame::close(1013, "too slow, try again later"));
        assert_eq!(pipe.heard(), expected);
    }

    #[test]
    fn who_enters_is_first_told_what_it_enters() {
        let (pipe, outbox) = outbox(100, 20);
        outbox.push(&[bytes("before ")]);
        outbox.hold();
        outbox.push(&[bytes("after ")]);
        assert_eq!((pipe.heard(), outbox.queued()), (b"before ".to_vec(), 6));
        outbox.release(&[bytes("welcome ")]);
        assert_eq!(
            (pipe.heard(), outbox.queued()),
            (b"before welcome after ".to_vec(), 0)
        );
        outbox.hold();
        outbox.push(&[bytes("more than it may hold")]);
        assert_eq!((outbox.ended(), outbox.queued()), (Some(End::Slow), 0));
    }

    #[test]
    fn an_end_wakes_a_task_that_waits_for_the_socket() {
        struct Woken(std::sync::atomic::AtomicBool);
        impl std::task::Wake for Woken {
            fn wake(self: Arc<Self>) {
                self.0.store(true, std::sync::atomic::Ordering::Relaxed);
            }
        }
        let (_pipe, outbox) = outbox(0, 100);
        outbox.push(&[bytes("stuck")]);
        let woken = Arc::new(Woken(false.into()));
        let waker = Waker::from(woken.clone());
        let flushed = outbox.poll_flush(&mut Context::from_waker(&waker));
        assert!(matches!(flushed, Poll::Ready(Ok(true))));
        outbox.end(End::Stopping);
        assert!(woken.0.load(std::sync::atomic::Ordering::Relaxed));
    }

    #[test]
    fn who_is_asked_to_go_hears_first_what_was_said_before() {
        let (pipe, outbox) = outbox(0, 100);
        outbox.push(&[bytes("last words")]);
        outbox.end(End::Stopping);
        outbox.end(End::Slow);
        pipe.room(1000);
        assert!(matches!(flush(&outbox), Poll::Ready(Ok(false))));
        let mut expected = b"last words".to_vec();
        expected.extend_from_slice(&frame::close(1001, "the server shuts down"));
        assert_eq!(pipe.heard(), expected);
        assert_eq!(outbox.ended(), Some(End::Stopping));
    }
}
