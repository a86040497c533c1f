//! Listening sockets, and accepting connections on them.
//!
//! `[::]` is every address of this machine, IPv6 and IPv4. An IPv4 client of such a socket appears
//! as `::ffff:10.0.0.1`; [`accept`] returns `10.0.0.1`, so no caller has to know both notations.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, acceptfrom_with, sockopt};
use rustix::net::{bind, listen as start_listening, socket_with};
use smol::future;

use super::socket::Socket;
use super::tls::Tls;
use crate::reactor::Async;

/// A listening socket.
pub type Listener = Arc<Async<TcpListener>>;

/// Connections that may wait in the kernel to be accepted, enough for five thousand clients that
/// return at once. When it is full the kernel drops the first packet of a connection, which the
/// client repeats a second later. `net.core.somaxconn` limits it, and is 4,096 by default.
const BACKLOG: i32 = 4096;

/// Opens these addresses, in this order.
///
/// # Errors
/// The first address that can't be listened on, and why.
pub fn listen_on(addrs: &[SocketAddr]) -> Result<Vec<Listener>, (SocketAddr, io::Error)> {
    let open = |addr: &SocketAddr| take_over(open(*addr, addrs)?);
    let listeners = addrs.iter().map(|addr| open(addr).map_err(|e| (*addr, e)));
    listeners.collect()
}

/// Opens an address. `all` are the addresses that are opened with it: where one of them is IPv4
/// with the same port, `[::]` is IPv6 only.
///
/// # Errors
/// The system's.
pub fn open(addr: SocketAddr, all: &[SocketAddr]) -> io::Result<TcpListener> {
    let has_own_ipv4 = |other: &SocketAddr| other.is_ipv4() && other.port() == addr.port();
    let ipv6_only = all.iter().any(has_own_ipv4);
    or_ipv4(addr, |addr| {
        let family = match addr {
            SocketAddr::V4(_) => AddressFamily::INET,
            SocketAddr::V6(_) => AddressFamily::INET6,
        };
        let socket = socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
        // As in std, a port can be opened again while its last connections time out.
        sockopt::set_socket_reuseaddr(&socket, true)?;
        if addr.is_ipv6() {
            sockopt::set_ipv6_v6only(&socket, ipv6_only)?;
        }
        bind(&socket, &addr)?;
        start_listening(&socket, BACKLOG)?;
        Ok(socket.into())
    })
}

/// Opens an address; where the system has no IPv6, `[::]` becomes `0.0.0.0`.
fn or_ipv4<T>(
    addr: SocketAddr,
    open: impl Fn(SocketAddr) -> Result<T, Errno>,
) -> Result<T, io::Error> {
    let any = addr.is_ipv6() && addr.ip().is_unspecified();
    let opened = match open(addr) {
        Err(Errno::AFNOSUPPORT | Errno::ADDRNOTAVAIL) if any => {
            open((Ipv4Addr::UNSPECIFIED, addr.port()).into())
        }
        result => result,
    };
    Ok(opened?)
}

/// Takes over a socket that is open already, with its backlog.
///
/// # Errors
/// The system's, or that the socket does not listen.
pub fn take_over(listener: TcpListener) -> io::Result<Listener> {
    if !sockopt::socket_acceptconn(&listener)? {
        let why = "it does not listen";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
    }
    let listener = Arc::new(Async::new(listener)?);
    // Frames are whole messages, so waiting for more to send would only delay them. Accepted
    // connections inherit this.
    sockopt::set_tcp_nodelay(&*listener, true)?;
    Ok(listener)
}

/// The address of a listener; the port is the real one, also when port 0 was asked for.
///
/// # Errors
/// The system's.
pub fn local_addr(listener: &Listener) -> io::Result<SocketAddr> {
    listener.get_ref().local_addr()
}

/// The address as in a URL: every address of this machine is `localhost`, and IPv6 is in brackets.
pub fn authority(addr: SocketAddr) -> String {
    match addr.ip().is_unspecified() {
        true => format!("localhost:{}", addr.port()),
        false => addr.to_string(),
    }
}

/// Accepts the next connection and returns its address with it. It speaks TLS if `tls` is given.
/// Cancel safe.
///
/// # Errors
/// The system's, which may be temporary.
pub async fn accept(listener: &Listener, tls: Option<&Tls>) -> io::Result<(Socket, IpAddr)> {
    // As the listener's own `accept`, with two system calls less.
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let accept = || Ok(acceptfrom_with(listener, flags)?);
    let accepted = future::poll_fn(|cx| listener.poll_read_with(cx, accept));
    let (stream, from) = accepted.await?;
    let from = from.and_then(|from| SocketAddr::try_from(from).ok());
    // Unreadable addresses are counted together.
    let ip = from.map_or(IpAddr::from([0; 16]), |from| from.ip().to_canonical());
    let tls = tls.map(Tls::connection).transpose()?;
    let socket = Socket::new(Async::new_nonblocking(stream.into())?, tls);
    Ok((socket, ip))
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream;
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_thousand_wait_while_nobody_accepts() {
        let listeners = listen_on(&[([127, 0, 0, 1], 0).into()]).unwrap();
        let addr = local_addr(&listeners[0]).unwrap();
        let connect = |n| {
            let stream = TcpStream::connect_timeout(&addr, Duration::from_secs(20));
            stream.unwrap_or_else(|error| panic!("connection {n} is not accepted: {error}"))
        };
        let waiting: Vec<_> = (0..1000).map(connect).collect();
        assert_eq!(waiting.len(), 1000);
    }

    #[test]
    fn where_there_is_no_ipv6_every_address_is_every_ipv4_one() {
        let ipv4_alone = |addr: SocketAddr| match addr {
            SocketAddr::V4(_) => Ok(addr),
            SocketAddr::V6(_) => Err(Errno::AFNOSUPPORT),
        };
        let opened = |addr: &str| or_ipv4(addr.parse().unwrap(), ipv4_alone);
        assert_eq!(opened("[::]:80").unwrap(), "0.0.0.0:80".parse().unwrap());
        assert!(
            opened("[::1]:80").is_err(),
            "that is one address, and not there"
        );
        let taken = |_: SocketAddr| Err::<(), _>(Errno::ADDRINUSE);
        assert!(or_ipv4("[::]:80".parse().unwrap(), taken).is_err());
    }
}
