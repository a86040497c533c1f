//! The stream of a client: plain TCP, or TLS.

use std::io::{self, Read, Write};
use std::net::TcpStream;

use super::secure::Secure;

/// Either.
pub enum Stream {
    /// As they are.
    Plain(TcpStream),
    /// Over TLS.
    Secure(Box<Secure>),
}

impl Stream {
    /// The connection below.
    pub fn tcp(&self) -> &TcpStream {
        match self {
            Stream::Plain(tcp) => tcp,
            Stream::Secure(secure) => &secure.sock,
        }
    }
}

/// A signal, such as that of a child of another test that has ended, interrupts what waits with a timeout.
fn uninterrupted(mut attempt: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match attempt() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}

impl From<TcpStream> for Stream {
    fn from(tcp: TcpStream) -> Stream {
        Stream::Plain(tcp)
    }
}

impl From<Secure> for Stream {
    fn from(secure: Secure) -> Stream {
        Stream::Secure(Box::new(secure))
    }
}

impl Read for Stream {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        uninterrupted(|| match self {
            Stream::Plain(tcp) => tcp.read(buf),
            Stream::Secure(secure) => secure.read(buf),
        })
    }
}

impl Write for Stream {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        uninterrupted(|| match self {
            Stream::Plain(tcp) => tcp.write(buf),
            Stream::Secure(secure) => secure.write(buf),
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Stream::Plain(tcp) => tcp.flush(),
            Stream::Secure(secure) => secure.flush(),
        }
    }
}
