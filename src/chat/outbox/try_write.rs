//! What an outbox knows of a socket, and all that it knows.

use std::io::{self, IoSlice};

use bytes::Bytes;

/// Something that may take bytes without waiting.
pub trait TryWrite: Send + Sync {
    /// Writes what is taken at once and says how much that was. What is [owed](Self::has_unwritten) goes
    /// first; where not even all of that did, but some, `Ok(0)`.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] when nothing is taken now; anything else means that nothing
    /// will ever be taken again.
    fn try_write(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize>;

    /// Bytes that it has taken and that are still to be written, as they will be written.
    fn unwritten(&self) -> usize {
        0
    }

    /// Whether it has taken bytes that are still to be written: whoever waits until all is out goes
    /// on writing, be it nothing.
    fn has_unwritten(&self) -> bool {
        self.unwritten() > 0
    }
}

/// How many buffers one vectored write is given at most.
pub(super) const VECTORS: usize = 32;

/// Tries the parts on the socket. A broken socket takes nothing: its reader will find out, and until
/// then the limit bounds what is kept.
pub(super) fn write_through(socket: &dyn TryWrite, parts: &[Bytes]) -> usize {
    let mut slices = [IoSlice::new(&[]); VECTORS];
    let count = parts.len().min(VECTORS);
    for (slice, part) in slices.iter_mut().zip(parts) {
        *slice = IoSlice::new(part);
    }
    socket.try_write(&slices[..count]).unwrap_or(0)
}
