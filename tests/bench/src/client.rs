//! One WebSocket connection at a time, on a socket that blocks.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddrV4, TcpStream};

/// Connects and asks for an upgrade. The answer is still to be read.
pub fn open(address: SocketAddrV4, target: &str) -> std::io::Result<TcpStream> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    let request = format!(
        "GET {target} HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    stream.write_all(request.as_bytes())?;
    Ok(stream)
}

/// Reads until these bytes have come.
pub fn until(stream: &mut TcpStream, end: &[u8]) -> std::io::Result<()> {
    let (mut all, mut chunk) = (Vec::new(), [0; 4096]);
    while !all.windows(end.len()).any(|part| part == end) {
        match stream.read(&mut chunk)? {
            0 => return Err(ErrorKind::UnexpectedEof.into()),
            n => all.extend_from_slice(&chunk[..n]),
        }
    }
    Ok(())
}
