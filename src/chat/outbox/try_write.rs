//! What an outbox knows of a socket, and all that it knows.

use std::io::{self, IoSlice};

/// Something that may take bytes without waiting.
pub trait TryWrite: Send + Sync {
    /// Writes what is taken at once and says how much that was. What is [owed](Self::owes) goes
    /// first; where not even all of that did, but some, `Ok(0)`.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] when nothing is taken now; anything else means that nothing
    /// will ever be taken again.
    fn try_write(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize>;

    /// Bytes that it has taken and that are still to be written, as they will be written.
    fn owed(&self) -> usize {
        0
    }

    /// Whether it has taken bytes that are still to be written: whoever waits until all is out goes
    /// on writing, be it nothing.
    fn owes(&self) -> bool {
        self.owed() > 0
    }
}
