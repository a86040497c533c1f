//! Bytes as they are, for what no proper client would send.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};

use rustix::net::{AddressFamily, SocketType, bind, connect, socket};

use super::DEADLINE;

/// A bare connection.
pub struct Raw {
    stream: TcpStream,
    read: Vec<u8>,
}

impl Raw {
    /// Connects and says nothing.
    pub fn connect(addr: SocketAddr) -> Raw {
        let stream = TcpStream::connect(addr).expect("the server listens");
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream.set_write_timeout(Some(DEADLINE)).unwrap();
        Raw {
            stream,
            read: Vec::new(),
        }
    }

    /// Connects, upgrades as this user and takes the welcome.
    pub fn join(addr: SocketAddr, user: &str) -> Raw {
        let mut raw = Raw::connect(addr);
        raw.send(upgrade(user).as_bytes());
        raw.takes_until(format!("Welcome {user}!").as_bytes());
        raw
    }

    /// One request and its answer: status and body.
    pub fn get(addr: SocketAddr, target: &str) -> (u16, String) {
        Raw::request(
            addr,
            format!("GET {target} HTTP/1.1\r\nHost: {addr}\r\n\r\n").as_bytes(),
        )
    }

    /// Sends these bytes and returns the answer: status and body.
    pub fn request(addr: SocketAddr, bytes: &[u8]) -> (u16, String) {
        let mut raw = Raw::connect(addr);
        raw.send(bytes);
        raw.answer()
    }

    /// The whole answer: status and body. The server must close behind it.
    #[track_caller]
    pub fn answer(&mut self) -> (u16, String) {
        let all = self.rest();
        let text = String::from_utf8_lossy(&all);
        let (head, body) = text
            .split_once("\r\n\r\n")
            .unwrap_or_else(|| panic!("no answer: {text:?}"));
        let status = head
            .strip_prefix("HTTP/1.1 ")
            .and_then(|line| line.get(..3));
        (
            status.and_then(|code| code.parse().ok()).expect("a status"),
            body.to_string(),
        )
    }

    /// Sends bytes; a server that has hung up already is fine.
    pub fn send(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes);
    }

    /// The connection itself.
    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Everything until the server closes.
    #[track_caller]
    pub fn rest(&mut self) -> Vec<u8> {
        match self.stream.read_to_end(&mut self.read) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {}
            Err(error) => panic!("the server does not close: {error}; read {:?}", self.read),
        }
        std::mem::take(&mut self.read)
    }

    /// Reads until these bytes have come, and forgets what came.
    #[track_caller]
    pub fn takes_until(&mut self, end: &[u8]) {
        loop {
            if let Some(at) = self.read.windows(end.len()).position(|part| part == end) {
                self.read.drain(..at + end.len());
                return;
            }
            let mut chunk = [0; 4096];
            match self.stream.read(&mut chunk) {
                Ok(n @ 1..) => self.read.extend_from_slice(&chunk[..n]),
                other => panic!(
                    "{other:?} before {:?}; read {:?}",
                    String::from_utf8_lossy(end),
                    String::from_utf8_lossy(&self.read)
                ),
            }
        }
    }

    /// The code that the server closes with. Earlier frames are ignored.
    #[track_caller]
    pub fn close_code(&mut self) -> u16 {
        let all = self.rest();
        let mut rest = &all[..];
        while let [opcode, len, tail @ ..] = rest {
            let (len, tail) = match len {
                126 => (
                    usize::from(u16::from_be_bytes([tail[0], tail[1]])),
                    &tail[2..],
                ),
                127 => panic!("a frame this long is not expected"),
                len => (usize::from(*len), tail),
            };
            if *opcode == 0x88 {
                return u16::from_be_bytes([tail[0], tail[1]]);
            }
            rest = &tail[len..];
        }
        panic!("no close frame in {all:?}")
    }
}

/// A connection from another address of this machine.
pub fn connect_from(from: [u8; 4], to: SocketAddr) -> TcpStream {
    let socket = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    bind(&socket, &SocketAddr::from((from, 0))).unwrap();
    connect(&socket, &to).unwrap();
    socket.into()
}

/// A request for an upgrade.
pub fn upgrade(user: &str) -> String {
    format!(
        "GET /chat/{user} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
}

/// A frame with this first byte, masked as a client's must be.
pub fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match payload.len() {
        len @ 0..126 => frame.push(0x80 | len as u8),
        len @ 126..65536 => {
            frame.push(0x80 | 126);
            frame.extend_from_slice(&(len as u16).to_be_bytes());
        }
        len => {
            frame.push(0x80 | 127);
            frame.extend_from_slice(&(len as u64).to_be_bytes());
        }
    }
    let mask = [0x37, 0xfa, 0x21, 0x3d];
    frame.extend_from_slice(&mask);
    frame.extend(
        payload
            .iter()
            .zip(mask.iter().cycle())
            .map(|(byte, mask)| byte ^ mask),
    );
    frame
}
