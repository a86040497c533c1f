//! Server-sent events (WHATWG HTML, section 9.2) as bytes. Each ends with an empty line, and so does
//! everything else here, so that nothing is ever cut within an event.

use bytes::Bytes;

/// The longest time after which a client is told to come back, in milliseconds: many that are closed
/// together come back one after the other.
const RETRY: u32 = 3000;

/// A comment, which clients ignore.
pub(super) fn ping() -> Bytes {
    Bytes::from_static(b":\n\n")
}

/// The end of a stream: why it ends, and when to come back.
pub(super) fn close(reason: &str) -> Bytes {
    let retry = fastrand::u32(..=RETRY);
    format!(": {reason}\nretry: {retry}\n\n").into()
}

/// Where the event ends that contains the byte before `offset`.
pub(super) fn end_of_event(bytes: &[u8], offset: usize) -> usize {
    // The empty line may have been begun.
    let from = offset.saturating_sub(1);
    let mut ends = bytes[from..].windows(2);
    let end = ends.position(|two| two == b"\n\n");
    match offset {
        0 => 0,
        _ if bytes[..offset].ends_with(b"\n\n") => offset,
        _ => end.map_or(bytes.len(), |end| from + end + 2),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_that_was_begun_is_completed() {
        let events = b"data: 1\n\n:\n\nid: 2\ndata: 2\n\n";
        for (offset, end) in [
            (0, 0),
            (1, 9),
            (7, 9),
            (8, 9),
            (9, 9),
            (10, 12),
            (12, 12),
            (13, events.len()),
            (events.len() - 1, events.len()),
            (events.len(), events.len()),
        ] {
            assert_eq!(end_of_event(events, offset), end, "{offset}");
        }
        // The head of the answer, which counts as one event.
        let head = b"HTTP/1.1 200 OK\r\n\r\n";
        assert_eq!(end_of_event(head, 1), head.len());
    }
}
