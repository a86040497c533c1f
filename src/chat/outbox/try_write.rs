//! The one interface between an outbox and its socket.

use std::fmt::Debug;
use std::io::{self, IoSlice};

use bytes::Bytes;

/// A non-blocking byte sink.
pub trait TryWrite: Debug + Send + Sync {
    /// Takes bytes without waiting and returns how many. [Unwritten](Self::unwritten) bytes go
    /// first. If some of those were written, but not all, returns `Ok(0)`.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] if nothing can be taken now. Any other error is final.
    fn try_write(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize>;

    /// How many bytes it has taken and not yet written to the network, as encoded.
    fn unwritten(&self) -> usize {
        0
    }

    /// Whether taken bytes are not yet written. Call [`try_write`](Self::try_write) again, even
    /// with nothing, to write them.
    fn has_unwritten(&self) -> bool {
        self.unwritten() > 0
    }
}

/// The most buffers in one vectored write.
pub(super) const VECTORS: usize = 32;

/// Writes the parts to the socket and returns how many bytes it took. An error counts as 0: the
/// reader sees it too, and until then the limit bounds the queue.
pub(super) fn write_through(socket: &dyn TryWrite, parts: &[Bytes]) -> usize {
    let mut slices = [IoSlice::new(&[]); VECTORS];
    let count = parts.len().min(VECTORS);
    for (slice, part) in slices.iter_mut().zip(parts) {
        *slice = IoSlice::new(part);
    }
    socket.try_write(&slices[..count]).unwrap_or(0)
}
