//! Tests with a socket that takes bytes and writes them later, as TLS does with its records.

use std::io::IoSlice;

use super::tests::{Pipe, bytes, flush};
use super::*;
use crate::chat::frame;

/// A socket that takes whole records of six bytes, and then writes what the pipe takes of them.
#[derive(Debug, Default)]
struct Sealed {
    pipe: Arc<Pipe>,
    unwritten: Mutex<Vec<u8>>,
}

impl TryWrite for Arc<Sealed> {
    fn try_write(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut unwritten = self.unwritten.lock();
        let mut taken = 0;
        let all: Vec<u8> = bufs.iter().flat_map(|buf| buf.to_vec()).collect();
        loop {
            while !unwritten.is_empty() {
                match self.pipe.try_write(&[IoSlice::new(&unwritten)]) {
                    Ok(written) => drop(unwritten.drain(..written)),
                    Err(error) if taken == 0 => return Err(error),
                    Err(_) => return Ok(taken),
                }
                if taken == 0 && !unwritten.is_empty() {
                    return Ok(0);
                }
            }
            let record = &all[taken..all.len().min(taken + 6)];
            if record.is_empty() {
                return Ok(taken);
            }
            unwritten.extend_from_slice(record);
            taken += record.len();
        }
    }

    fn unwritten(&self) -> usize {
        self.unwritten.lock().len()
    }
}

fn sealed() -> (Arc<Sealed>, Outbox<Arc<Sealed>>) {
    let socket = Arc::new(Sealed::default());
    let limits = Arc::new(OutboxLimits::new(100, 100));
    (
        socket.clone(),
        Outbox::new(socket, Framing::WebSocket, limits),
    )
}

#[test]
fn unwritten_bytes_are_sent_although_nothing_is_queued() {
    for step in 1..9 {
        let (socket, outbox) = sealed();
        socket.pipe.room(step);
        outbox.push(&[bytes("one "), bytes("two")]);
        socket.pipe.room(0);
        outbox.push(&[bytes(" three")]);
        while outbox.queued() > 0 || socket.has_unwritten() {
            let waits = flush(&outbox).is_ready();
            assert_eq!(waits, outbox.queued() > 0 || socket.has_unwritten());
            socket.pipe.room(step);
        }
        assert!(flush(&outbox).is_pending());
        assert_eq!(socket.pipe.heard(), b"one two three", "{step} at a time");
    }
}

#[test]
fn unwritten_bytes_count_as_queued_until_the_end() {
    let socket = Arc::new(Sealed::default());
    let limits = Arc::new(OutboxLimits::new(8, 100));
    let outbox = Outbox::new(socket.clone(), Framing::WebSocket, limits.clone());
    outbox.push(&[bytes("hello")]);
    assert_eq!((outbox.queued(), limits.queued()), (5, 5));
    socket.pipe.room(2);
    let _ = flush(&outbox);
    assert_eq!((outbox.queued(), limits.queued()), (3, 3));
    outbox.push(&[bytes("again")]);
    assert_eq!(outbox.close_reason(), None, "the limit is not reached");
    outbox.push(&[bytes("!")]);
    assert_eq!(outbox.close_reason(), Some(CloseReason::Slow));
    let close = frame::close(1013, "too slow, try again later").len();
    assert_eq!(limits.queued(), close);
    socket.pipe.room(1000);
    let _ = flush(&outbox);
    assert_eq!(limits.queued(), 0);
}

#[test]
fn closing_waits_until_all_unwritten_bytes_are_sent() {
    let (socket, outbox) = sealed();
    outbox.push(&[bytes("hello")]);
    assert_eq!(socket.unwritten(), 5, "it was taken");
    outbox.close(CloseReason::Lost);
    assert!(matches!(flush(&outbox), Poll::Ready(Ok(true))));
    socket.pipe.room(100);
    assert!(matches!(flush(&outbox), Poll::Ready(Ok(false))));
    assert_eq!(socket.pipe.heard(), b"hello");
}

#[test]
fn a_socket_with_unwritten_bytes_that_writes_nothing_is_stuck() {
    let (socket, outbox) = sealed();
    outbox.push(&[bytes("hello")]);
    assert!(outbox.is_stalled() && outbox.is_stalled());
    socket.pipe.room(2);
    let _ = flush(&outbox);
    assert!(!outbox.is_stalled(), "two bytes are enough");
    assert!(outbox.is_stalled());
    socket.pipe.room(100);
    let _ = flush(&outbox);
    assert!(!outbox.is_stalled());
    assert!(!outbox.is_stalled(), "nothing is owed");
}
