use std::io::IoSlice;
use std::task::Waker;

use super::*;
use crate::chat::frame;

/// A socket that takes as many bytes as the test allows.
#[derive(Debug, Default)]
pub(super) struct Pipe(Mutex<(usize, Vec<u8>)>);

impl Pipe {
    pub(super) fn room(&self, bytes: usize) {
        self.0.lock().0 = bytes;
    }
    pub(super) fn heard(&self) -> Vec<u8> {
        self.0.lock().1.clone()
    }
}

impl TryWrite for Arc<Pipe> {
    fn try_write(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        let (room, heard) = &mut *self.0.lock();
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

fn outbox(room: usize, limit: usize) -> (Arc<Pipe>, Outbox<Arc<Pipe>>) {
    let pipe = Arc::new(Pipe::default());
    pipe.room(room);
    let limits = Arc::new(OutboxLimits::new(limit, limit));
    (pipe.clone(), Outbox::new(pipe, Framing::WebSocket, limits))
}

/// An outbox whose socket takes nothing, with its limits.
fn counted() -> (Arc<Pipe>, Arc<OutboxLimits>, Outbox<Arc<Pipe>>) {
    let pipe = Arc::new(Pipe::default());
    let limits = Arc::new(OutboxLimits::new(100, 100));
    (
        pipe.clone(),
        limits.clone(),
        Outbox::new(pipe, Framing::WebSocket, limits),
    )
}

pub(super) fn flush(outbox: &Outbox) -> Poll<io::Result<bool>> {
    outbox.poll_flush(&mut Context::from_waker(Waker::noop()))
}

pub(super) fn bytes(text: &'static str) -> Bytes {
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
fn the_rest_follows_in_order_for_any_size_of_write() {
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
fn a_slow_reader_gets_the_frame_it_has_begun_and_the_reason() {
    let one = frame::text("one");
    let batch = Bytes::from([&one[..], &frame::text("two")].concat());
    let close = frame::close(1013, "too slow, try again later");
    // Of the first frame nothing, a part, and everything is taken.
    for (room, finished) in [(0, &b""[..]), (2, &one), (one.len(), &one)] {
        let (pipe, outbox) = outbox(room, 20);
        outbox.push(std::slice::from_ref(&batch));
        outbox.push(&[bytes("never sent, since it is too much")]);
        assert_eq!(outbox.close_reason(), Some(CloseReason::Slow));
        outbox.push(&[bytes("too late")]);
        assert_eq!(
            outbox.queued(),
            finished.len().saturating_sub(room) + close.len()
        );
        pipe.room(1000);
        assert!(matches!(flush(&outbox), Poll::Ready(Ok(false))));
        assert_eq!(pipe.heard(), [finished, &close].concat(), "{room} taken");
    }
}

#[test]
fn a_stream_of_events_ends_between_two_of_them() {
    let one = bytes("data: one\n\n");
    let batch = Bytes::from([&one[..], b"data: two\n\n"].concat());
    for (reason, room) in [
        (CloseReason::Stopping, 3),
        (CloseReason::Slow, 0),
        (CloseReason::Slow, 3),
        (CloseReason::Slow, one.len()),
    ] {
        let pipe = Arc::new(Pipe::default());
        pipe.room(room);
        let limits = Arc::new(OutboxLimits::new(100, 100));
        let outbox = Outbox::new(pipe.clone(), Framing::Events, limits);
        outbox.push(std::slice::from_ref(&batch));
        outbox.close(reason);
        pipe.room(1000);
        assert!(matches!(flush(&outbox), Poll::Ready(Ok(false))));
        let heard = String::from_utf8(pipe.heard()).unwrap();
        // A slow reader gets the event that it has begun.
        let sent = match (reason, room) {
            (CloseReason::Stopping, _) => &batch[..],
            (_, 0) => &[],
            _ => &one,
        };
        let end = heard.as_bytes().strip_prefix(sent).unwrap();
        let end = std::str::from_utf8(end).unwrap();
        let (_, text) = reason.close_code().unwrap();
        let retry = end.strip_prefix(&format!(": {text}\nretry: ")).unwrap();
        let retry: u32 = retry.strip_suffix("\n\n").unwrap().parse().unwrap();
        assert!(retry <= 3000, "{heard}");
    }
}

#[test]
fn a_joining_peer_gets_the_welcome_first() {
    let (pipe, outbox) = outbox(100, 20);
    outbox.push(&[bytes("before ")]);
    outbox.start_buffering(Bytes::new());
    outbox.push(&[bytes("after ")]);
    assert_eq!((pipe.heard(), outbox.queued()), (b"before ".to_vec(), 6));
    outbox.push_before_buffered(&[bytes("welcome ")]);
    outbox.send_buffered();
    assert_eq!(
        (pipe.heard(), outbox.queued()),
        (b"before welcome after ".to_vec(), 0)
    );
    outbox.start_buffering(Bytes::new());
    outbox.push(&[bytes("more than it may hold")]);
    assert_eq!(
        (outbox.close_reason(), outbox.queued()),
        (Some(CloseReason::Slow), 0)
    );
}

#[test]
fn an_end_wakes_a_task_that_waits_for_the_socket() {
    struct Woken(std::sync::atomic::AtomicBool);
    impl std::task::Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.store(true, std::sync::atomic::Ordering::Relaxed);
        }
    }
    let too_much = [Bytes::from(vec![b'x'; 101])];
    let closes: [&dyn Fn(&Outbox); 3] = [
        &|outbox| outbox.close(CloseReason::Stopping),
        &|outbox| outbox.push(&too_much),
        &|outbox| outbox.push_before_buffered(&too_much),
    ];
    for close in closes {
        let (_pipe, outbox) = outbox(0, 100);
        outbox.push(&[bytes("stuck")]);
        let woken = Arc::new(Woken(false.into()));
        let waker = Waker::from(woken.clone());
        let flushed = outbox.poll_flush(&mut Context::from_waker(&waker));
        assert!(matches!(flushed, Poll::Ready(Ok(true))));
        close(&outbox);
        assert!(outbox.close_reason().is_some());
        assert!(woken.0.load(std::sync::atomic::Ordering::Relaxed));
    }
}

#[test]
fn a_closed_peer_first_gets_the_messages_queued_before() {
    let (pipe, outbox) = outbox(0, 100);
    outbox.push(&[bytes("last words")]);
    outbox.close(CloseReason::Stopping);
    outbox.close(CloseReason::Slow);
    pipe.room(1000);
    assert!(matches!(flush(&outbox), Poll::Ready(Ok(false))));
    let mut expected = b"last words".to_vec();
    expected.extend_from_slice(&frame::close(1001, "the server shuts down"));
    assert_eq!(pipe.heard(), expected);
    assert_eq!(outbox.close_reason(), Some(CloseReason::Stopping));
}

#[test]
fn a_closing_peer_is_not_closed_again() {
    let (pipe, outbox) = outbox(0, 20);
    let words = frame::text("as much as may");
    outbox.push(std::slice::from_ref(&words));
    // Together with the close frame this is above the limit.
    outbox.close(CloseReason::Stopping);
    outbox.push_before_buffered(&[bytes("too late")]);
    pipe.room(1000);
    assert!(matches!(flush(&outbox), Poll::Ready(Ok(false))));
    let close = frame::close(1001, "the server shuts down");
    assert_eq!(pipe.heard(), [words, close].concat());
    assert_eq!(outbox.close_reason(), Some(CloseReason::Stopping));
}

#[test]
fn a_queue_is_stuck_when_nothing_of_it_is_taken_between_two_looks() {
    let (pipe, outbox) = outbox(0, 100);
    assert!(!outbox.is_stalled(), "there is no queue");
    outbox.push(&[bytes("0123456789")]);
    assert!(outbox.is_stalled());
    pipe.room(1);
    let _ = flush(&outbox);
    assert!(!outbox.is_stalled(), "one byte is enough");
    let _ = flush(&outbox);
    assert!(outbox.is_stalled());
    pipe.room(100);
    let _ = flush(&outbox);
    outbox.start_buffering(Bytes::new());
    outbox.push(&[bytes("held")]);
    assert!(!outbox.is_stalled());
    assert!(
        !outbox.is_stalled(),
        "the socket was not asked to take this"
    );
}

#[test]
fn queued_bytes_are_counted_until_they_are_sent_or_dropped() {
    let close = frame::close(1013, "too slow, try again later").len();
    let (pipe, limits, outbox) = counted();
    outbox.push(&[bytes("0123456789")]);
    assert_eq!(limits.queued(), 10);
    pipe.room(4);
    let _ = flush(&outbox);
    assert_eq!(outbox.queued(), 6);
    assert_eq!(limits.queued(), 10, "all of the buffer is still kept");
    outbox.start_buffering(Bytes::new());
    outbox.push(&[bytes("held")]);
    assert_eq!(limits.queued(), 14);
    outbox.push_before_buffered(&[bytes("first")]);
    outbox.send_buffered();
    assert_eq!(limits.queued(), 19);
    outbox.start_buffering(Bytes::new());
    outbox.push(&[bytes("held")]);
    outbox.close(CloseReason::Slow);
    assert_eq!(limits.queued(), 6 + close, "only the rest of the frame is");
    pipe.room(7);
    let _ = flush(&outbox);
    assert_eq!((outbox.queued(), limits.queued()), (close - 1, close));
    drop(outbox);
    assert_eq!(limits.queued(), 0);

    // Above its own limit, and dropped while it keeps bytes.
    let (_pipe, limits, outbox) = counted();
    outbox.push(&[Bytes::from(vec![0; 101])]);
    assert_eq!(limits.queued(), close);
    drop(outbox);
    let (_pipe, limits, outbox) = counted();
    outbox.start_buffering(Bytes::new());
    outbox.push(&[bytes("held")]);
    outbox.close(CloseReason::Stopping);
    assert_eq!(outbox.queued(), limits.queued());
    drop(outbox);
    assert_eq!(limits.queued(), 0);
}

#[test]
fn a_peer_that_joins_a_busy_room_reads_the_overflow_from_the_log() {
    let (pipe, outbox) = outbox(100, 20);
    let (attic, cellar) = (Room::new("attic").unwrap(), Room::new("cellar").unwrap());
    outbox.push_from(&attic, &[bytes("not in yet ")]);
    outbox.start_buffering(Bytes::new());
    outbox.push(&[bytes("to you ")]);
    outbox.begin_join(&attic);
    outbox.push_from(&cellar, &[bytes("cellar ")]);
    outbox.push_from(&attic, &[bytes("1")]);
    assert!(!outbox.overflowed());
    outbox.push_from(&attic, &[bytes("too much to wait")]);
    outbox.push_from(&attic, &[bytes("3")]);
    assert!(outbox.overflowed());
    assert_eq!((outbox.close_reason(), outbox.queued()), (None, 14));
    // The log is read up to here, and new frames are buffered again.
    outbox.begin_join(&attic);
    outbox.push_from(&attic, &[bytes("4")]);
    assert!(!outbox.overflowed());
    outbox.push_before_buffered(&[bytes("1..3 ")]);
    outbox.send_buffered();
    assert_eq!(pipe.heard(), b"not in yet 1..3 to you cellar 4");
    assert_eq!((outbox.queued(), outbox.limits.queued()), (0, 0));
    // Frames that are in no log must fit.
    outbox.begin_join(&attic);
    outbox.push_from(&cellar, &[bytes("more than the limit is")]);
    assert_eq!(outbox.close_reason(), Some(CloseReason::Slow));
    assert_eq!(outbox.limits.queued(), 0);
}

#[test]
fn a_peer_is_answered_before_it_is_told_anything() {
    type Way = fn(&Outbox);
    let ways: [(Way, &[u8]); 3] = [
        (
            |outbox| outbox.push_before_buffered(&[bytes("ahead")]),
            b"firstahead",
        ),
        (Outbox::send_buffered, b"firstwaits"),
        (
            |outbox| outbox.close(CloseReason::Stopping),
            b"first\x88\x17\x03\xe9the server shuts down",
        ),
    ];
    for (way, heard) in ways {
        let (pipe, outbox) = outbox(100, 100);
        outbox.start_buffering(bytes("first"));
        outbox.push(&[bytes("waits")]);
        outbox.push_before_buffered(&[]);
        assert_eq!(pipe.heard(), b"");
        way(&outbox);
        assert_eq!(pipe.heard(), heard);
    }
}

#[test]
fn closing_a_slow_peer_drops_the_rest_of_a_long_message() {
    let limits = Arc::new(OutboxLimits::new(1 << 20, 1 << 20));
    let pipe = Arc::new(Pipe::default());
    let outbox = Outbox::new(pipe.clone(), Framing::WebSocket, limits.clone());
    pipe.room(20_000);
    outbox.push(&[frame::text(&"x".repeat(200_000))]);
    assert!(limits.queued() > 200_000);
    outbox.close(CloseReason::Slow);
    let close = frame::close(1013, "too slow, try again later").len();
    assert!(
        limits.queued() < 16 * 1024 + 4 + close,
        "{}",
        limits.queued()
    );
    pipe.room(100_000);
    let _ = flush(&outbox);
    // Two whole fragments, and the close frame.
    assert_eq!(pipe.heard().len(), 2 * (16 * 1024 + 4) + close);
}
