//! A file that tasks wait for.

use std::fmt;
use std::io::{self, ErrorKind};
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use rustix::event::epoll;
use rustix::fd::{AsFd, BorrowedFd};
use rustix::io::ioctl_fionbio;
use smol::io::{AsyncRead, AsyncWrite};

use super::Reactor;
use crate::mutex::Mutex;

/// What the reactor knows of a registered file.
#[derive(Debug, Default)]
pub(super) struct Source {
    readable: Mutex<Readiness>,
    writable: Mutex<Readiness>,
}

/// One direction of a file.
#[derive(Debug, Default)]
struct Readiness {
    /// The kernel has told of it since it was last asked for.
    told: bool,
    /// The connection has ended in this direction. The kernel may tell of that together with the
    /// last bytes, so it stays told.
    ended: bool,
    /// It is being read, or what was read is being handled.
    reading: bool,
    waker: Option<Waker>,
}

impl Source {
    /// Notes what the kernel tells, and collects the wakers of those who wait for it.
    pub(super) fn tell(&self, flags: epoll::EventFlags, wakers: &mut Vec<Waker>) {
        use epoll::EventFlags as Flags;
        let broken = Flags::ERR | Flags::HUP;
        for (readiness, now, end) in [
            (&self.readable, Flags::IN, Flags::RDHUP | broken),
            (&self.writable, Flags::OUT, broken),
        ] {
            if flags.intersects(now | end) {
                let mut readiness = readiness.lock();
                readiness.told = true;
                readiness.ended |= flags.intersects(end);
                wakers.extend(readiness.waker.take());
            }
        }
    }

    /// There was nothing to read, and no end either: the end that was told before is none. Without this a reader
    /// would try for ever.
    fn note_open(&self) {
        let mut readable = self.readable.lock();
        readable.ended &= readable.told;
        readable.reading = false;
    }

    /// What comes before the read is found by it, so only what comes later is news.
    fn note_read(&self) {
        let mut readable = self.readable.lock();
        readable.told = false;
        readable.reading = true;
    }

    /// Nobody waits any more.
    fn forget_wakers(&self) {
        for readiness in [&self.readable, &self.writable] {
            let waker = readiness.lock().waker.take();
            drop(waker);
        }
    }
}

#[cfg(test)]
impl<T: AsFd> Async<T> {
    pub(super) fn is_told_of_an_end(&self) {
        self.source.tell(epoll::EventFlags::RDHUP, &mut Vec::new());
    }
}

#[cfg(test)]
impl Source {
    /// Whether the kernel has told of input.
    pub(super) fn is_told(&self) -> bool {
        self.readable.lock().told
    }
}

impl Readiness {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if mem::take(&mut self.told) || self.ended {
            return Poll::Ready(());
        }
        match &mut self.waker {
            Some(waker) if waker.will_wake(cx.waker()) => {}
            // There is one reader and one writer; a task that took over is the one to wake.
            waker => *waker = Some(cx.waker().clone()),
        }
        Poll::Pending
    }
}

/// A file, such as a socket, that tasks can wait for. It does not block.
///
/// The kernel tells once when there is something new. So wait only after an operation has failed
/// with [`ErrorKind::WouldBlock`], or has read less than it could. One task at a time waits for each
/// direction.
pub struct Async<T: AsFd> {
    file: T,
    key: u32,
    source: Arc<Source>,
}

impl<T: AsFd + fmt::Debug> fmt::Debug for Async<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Async").field(&self.file).finish()
    }
}

impl<T: AsFd> Async<T> {
    /// Registers a file, which does not block from now on.
    ///
    /// # Errors
    /// The system's.
    pub fn new(file: T) -> io::Result<Async<T>> {
        ioctl_fionbio(&file, true)?;
        Async::new_nonblocking(file)
    }

    /// Registers a file that does not block.
    ///
    /// # Errors
    /// The system's.
    pub fn new_nonblocking(file: T) -> io::Result<Async<T>> {
        let reactor = Reactor::get();
        let source = Arc::new(Source::default());
        // Its place is taken before the first event can come.
        let key = reactor.sources.lock().insert(source.clone());
        let data = epoll::EventData::new_u64(key as u64);
        use epoll::EventFlags as Flags;
        let flags = Flags::IN | Flags::RDHUP | Flags::OUT | Flags::ET;
        if let Err(error) = epoll::add(&reactor.epoll, &file, data, flags) {
            reactor.sources.lock().remove(key);
            return Err(error.into());
        }
        Ok(Async {
            file,
            // There are fewer files than that.
            key: key as u32,
            source,
        })
    }

    /// The file itself.
    pub fn get_ref(&self) -> &T {
        &self.file
    }

    /// Whether a read has begun since one has last found nothing.
    pub fn is_reading(&self) -> bool {
        self.source.readable.lock().reading
    }

    /// Ready when the kernel has told of input, or of the end, since the last time.
    pub fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.source.readable.lock().poll(cx)
    }

    /// Ready when the kernel has told of room to write since the last time.
    pub fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.source.writable.lock().poll(cx)
    }

    /// Reads with `read`, as soon as it does not fail with [`ErrorKind::WouldBlock`]. If it fails
    /// with [`ErrorKind::Interrupted`], other tasks go first.
    ///
    /// # Errors
    /// Those of `read`.
    pub fn poll_read_with<R>(
        &self,
        cx: &mut Context<'_>,
        mut read: impl FnMut() -> io::Result<R>,
    ) -> Poll<io::Result<R>> {
        loop {
            self.source.note_read();
            match read() {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.source.note_open();
                    ready!(self.poll_readable(cx));
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                result => return Poll::Ready(result),
            }
        }
    }
}

impl<T: AsFd> AsFd for Async<T> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl<T: AsFd> Drop for Async<T> {
    fn drop(&mut self) {
        let reactor = Reactor::get();
        // Closing is not enough where another process has the same file.
        let _ = epoll::delete(&reactor.epoll, &self.file);
        // Not under the lock: this may be the end of a task, which drops other files.
        self.source.forget_wakers();
        reactor.sources.lock().leave(self.key as usize);
    }
}

impl<T: AsFd + Unpin> AsyncRead for Async<T> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_read_with(cx, || Ok(rustix::io::read(&self.file, &mut *buf)?))
    }
}

impl<T: AsFd + Unpin> AsyncWrite for Async<T> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        loop {
            match rustix::io::write(&self.file, buf) {
                Err(rustix::io::Errno::AGAIN) => ready!(self.poll_writable(cx)),
                result => return Poll::Ready(Ok(result?)),
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// Nobody closes one direction this way.
    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
