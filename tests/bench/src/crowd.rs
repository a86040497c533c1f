//! The generator: many WebSocket clients on one thread, on non-blocking sockets and one epoll
//! instance. Counts their messages in `Counts`; an unexpected end of a connection is an error.

mod write;

use std::io::ErrorKind;
use std::net::{SocketAddrV4, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::buffer::spare_capacity;
use rustix::event::Timespec;
use rustix::event::epoll::{self, Event, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, connect, socket_with, sockopt};
use rustls::ClientConfig;

use crate::counts::{Counts, Shape};
use crate::line::{self, Line};
use crate::subject::{Speech, Subject};
use crate::{nats, wire};

/// Connections that are under way at once while everybody joins.
const JOINING: usize = 64;
/// The token of `Crowd::tick`; peers are numbered from 0.
const TICK: u64 = u64::MAX;

const UPGRADE: &str = "HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    Connecting,
    Upgrading,
    Greeting,
    Open,
    Closing,
}

struct Peer {
    socket: Line,
    stage: Stage,
    /// What came of a frame that is not complete.
    rest: Vec<u8>,
    /// What is still to be sent.
    out: Vec<u8>,
    /// Whether epoll says when the socket takes more.
    watched: bool,
}

/// All clients of one server.
pub struct Crowd {
    shape: Shape,
    /// Bytes of each text.
    size: usize,
    epoll: OwnedFd,
    server: SocketAddrV4,
    speech: Speech,
    peers: Vec<Option<Peer>>,
    ready: Vec<Event>,
    buffer: Vec<u8>,
    /// For what is still to be decrypted.
    scratch: Vec<u8>,
    tls: Option<Arc<ClientConfig>>,
    key: u32,
    /// Peers that are in the room.
    pub open: usize,
    /// Peers that are on their way in.
    pub joining: usize,
    /// Peers that came, were greeted, left, and saw the server hang up.
    pub left: u64,
    /// Where a peer leaves as soon as it is greeted.
    pub brief: bool,
    /// Authors with a message that everybody has heard.
    pub heard: Vec<usize>,
    /// Pings that were answered.
    pub pings: u64,
    /// Who heard what.
    pub counts: Counts,
}

impl Crowd {
    /// Nobody yet; there will be so many, and say texts of so many bytes.
    pub fn new(
        subject: &Subject,
        shape: Shape,
        size: usize,
        thorough: bool,
    ) -> Result<Self, String> {
        Ok(Self {
            shape,
            size,
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC)
                .map_err(|error| format!("epoll: {error}"))?,
            server: subject.address,
            speech: subject.speech,
            peers: (0..shape.all_peers()).map(|_| None).collect(),
            ready: Vec::with_capacity(1024),
            buffer: vec![0; 1 << 20],
            scratch: vec![0; 1 << 16],
            tls: subject.tls.then(line::trusting).transpose()?,
            key: 0x9e37_79b9,
            open: 0,
            joining: 0,
            left: 0,
            brief: false,
            heard: Vec::new(),
            pings: 0,
            counts: Counts::new(shape, thorough),
        })
    }

    /// Lets peers join, as named by their numbers, until so many are in the room.
    pub fn join(&mut self, until: usize) -> Result<(), String> {
        let deadline = Instant::now() + Duration::from_secs(60);
        let mut next = self.open;
        while self.open < until {
            while next < until && self.joining < JOINING {
                let mut target = if next < 100 {
                    format!("P{next:02}")
                } else {
                    format!("peer-{next:05}")
                };
                if self.shape.rooms > 1 {
                    target += &format!("?room=room-{:05}", self.shape.room(next));
                }
                self.connect(next, &target)?;
                next += 1;
            }
            self.turn(Duration::from_millis(100))?;
            if Instant::now() > deadline {
                return Err(format!(
                    "only {} of {until} peers got in within 60 s",
                    self.open
                ));
            }
        }
        Ok(())
    }

    /// Reads what comes, for a while.
    pub fn wait(&mut self, time: Duration) -> Result<(), String> {
        let until = Instant::now() + time;
        while Instant::now() < until {
            self.turn(Duration::from_millis(20))?;
        }
        Ok(())
    }

    /// Whether that place has nobody.
    pub fn vacant(&self, at: usize) -> bool {
        self.peers[at].is_none()
    }

    /// Begins a connection at that place, to `/chat/` and that.
    pub fn connect(&mut self, at: usize, target: &str) -> Result<(), String> {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let start = || -> Result<TcpStream, Errno> {
            let socket = socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)?;
            sockopt::set_tcp_nodelay(&socket, true)?;
            match connect(&socket, &self.server) {
                Ok(()) | Err(Errno::INPROGRESS) => {}
                Err(error) => return Err(error),
            }
            let both = EventFlags::IN | EventFlags::OUT;
            epoll::add(&self.epoll, &socket, EventData::new_u64(at as u64), both)?;
            Ok(TcpStream::from(socket))
        };
        let socket = start().map_err(|error| format!("peer {at} can't connect: {error}"))?;
        let line = Line::new(socket, self.tls.as_ref());
        self.peers[at] = Some(Peer {
            socket: line.map_err(|error| format!("TLS: {error}"))?,
            stage: Stage::Connecting,
            rest: Vec::new(),
            out: match self.speech {
                Speech::Nats => nats::HELLO.into(),
                _ => format!("GET /chat/{target} {UPGRADE}").into_bytes(),
            },
            watched: true,
        });
        self.joining += 1;
        Ok(())
    }

    /// Wakes `turn` whenever that timer fires.
    pub fn tick(&self, timer: impl AsFd) -> Result<(), String> {
        epoll::add(&self.epoll, timer, EventData::new_u64(TICK), EventFlags::IN)
            .map_err(|error| format!("epoll: {error}"))
    }

    /// Waits for something to come, and hears it. True when a timer has fired.
    pub fn turn(&mut self, timeout: Duration) -> Result<bool, String> {
        let mut ready = std::mem::take(&mut self.ready);
        ready.clear();
        let timeout = Timespec::try_from(timeout).map_err(|error| error.to_string())?;
        match epoll::wait(&self.epoll, spare_capacity(&mut ready), Some(&timeout)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(format!("epoll: {error}")),
        }
        let mut ticked = false;
        for event in &ready {
            match event.data.u64() {
                TICK => ticked = true,
                at => self.event(at as usize, event.flags)?,
            }
        }
        self.ready = ready;
        Ok(ticked)
    }

    fn event(&mut self, at: usize, flags: EventFlags) -> Result<(), String> {
        let Some(peer) = &mut self.peers[at] else {
            return Ok(());
        };
        if flags.contains(EventFlags::OUT) {
            if peer.stage == Stage::Connecting {
                peer.stage = Stage::Upgrading;
            }
            self.flush(at)?;
        }
        if !flags.intersects(EventFlags::IN | EventFlags::HUP | EventFlags::ERR) {
            return Ok(());
        }
        let Some(peer) = &mut self.peers[at] else {
            return Ok(());
        };
        let kept = peer.rest.len();
        self.buffer[..kept].copy_from_slice(&peer.rest);
        peer.rest.clear();
        let all = match peer
            .socket
            .read(&mut self.buffer[kept..], &mut self.scratch)
        {
            Ok(0) => return self.ended(at, "end of stream"),
            Ok(count) => kept + count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => kept,
            Err(error) => return self.ended(at, &error.to_string()),
        };
        let buffer = std::mem::take(&mut self.buffer);
        let used = self.hear(at, &buffer[..all]);
        if let (Some(peer), Ok(used)) = (&mut self.peers[at], &used) {
            peer.rest.extend_from_slice(&buffer[*used..all]);
        }
        self.buffer = buffer;
        used.map(drop)
    }

    /// Takes whole frames and says how many bytes they were.
    fn hear(&mut self, at: usize, bytes: &[u8]) -> Result<usize, String> {
        let now = Instant::now();
        if self.speech == Speech::Nats {
            return self.hear_nats(at, bytes, now);
        }
        let mut used = 0;
        let Some(peer) = &mut self.peers[at] else {
            return Ok(0);
        };
        if peer.stage == Stage::Upgrading {
            let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
                return Ok(0);
            };
            if !bytes.starts_with(b"HTTP/1.1 101") {
                let line = String::from_utf8_lossy(&bytes[..bytes.len().min(100)]).into_owned();
                return self.ended(at, &line).map(|()| bytes.len());
            }
            peer.stage = Stage::Greeting;
            used = end + 4;
            if self.speech == Speech::Plain {
                self.greeted(at)?;
            }
        }
        let mut open = matches!(&self.peers[at], Some(peer) if peer.stage == Stage::Open);
        while let Some(frame) = wire::frame(&bytes[used..]) {
            let payload = &bytes[used..][frame.payload.clone()];
            used += frame.payload.end;
            match frame.kind {
                wire::TEXT if open => {
                    // Notices of joins and leaves have no number.
                    if let Some((author, number)) = wire::read_text(payload, self.size)
                        && self.counts.hear(at, author, number, now)
                    {
                        self.heard.push(author);
                    }
                }
                kind => self.control(at, kind, payload)?,
            }
            let Some(peer) = &self.peers[at] else {
                return Ok(bytes.len());
            };
            open = peer.stage == Stage::Open;
        }
        Ok(used)
    }

    fn hear_nats(&mut self, at: usize, bytes: &[u8], now: Instant) -> Result<usize, String> {
        let mut used = 0;
        while let Some((said, length)) = nats::next(&bytes[used..]) {
            match said {
                nats::Said::Message(range) => {
                    let payload = &bytes[used..][range];
                    if let Some((author, number)) = wire::read_text(payload, self.size)
                        && self.counts.hear(at, author, number, now)
                    {
                        self.heard.push(author);
                    }
                }
                nats::Said::Ping => self.control(at, wire::PING, b"")?,
                nats::Said::Pong => self.greeted(at)?,
                nats::Said::Error => {
                    let line = String::from_utf8_lossy(&bytes[used..][..length]).into_owned();
                    return self.ended(at, &line).map(|()| bytes.len());
                }
                nats::Said::Other => {}
            }
            used += length;
        }
        Ok(used)
    }

    fn control(&mut self, at: usize, kind: u8, payload: &[u8]) -> Result<(), String> {
        let Some(peer) = &mut self.peers[at] else {
            return Ok(());
        };
        match kind {
            wire::TEXT if peer.stage == Stage::Greeting && payload.starts_with(b"Welcome ") => {
                return self.greeted(at);
            }
            wire::TEXT if peer.stage == Stage::Greeting => {
                return self.ended(at, &String::from_utf8_lossy(payload));
            }
            wire::PING => {
                self.pings += 1;
                self.queue(at, wire::PONG, payload);
                return self.flush(at);
            }
            wire::CLOSE if peer.stage != Stage::Closing => {
                return self.ended(
                    at,
                    &String::from_utf8_lossy(payload.get(2..).unwrap_or_default()),
                );
            }
            _ => {}
        }
        Ok(())
    }

    /// The peer is in the room, and stays or goes.
    fn greeted(&mut self, at: usize) -> Result<(), String> {
        let Some(peer) = &mut self.peers[at] else {
            return Ok(());
        };
        self.joining -= 1;
        if self.brief {
            peer.stage = Stage::Closing;
            self.queue(at, wire::CLOSE, &1000_u16.to_be_bytes());
            return self.flush(at);
        }
        peer.stage = Stage::Open;
        self.open += 1;
        Ok(())
    }

    /// The connection is over: as it should be after a closing handshake, else an error.
    fn ended(&mut self, at: usize, why: &str) -> Result<(), String> {
        match self.peers[at].take() {
            Some(peer) if peer.stage == Stage::Closing => {
                self.left += 1;
                Ok(())
            }
            Some(peer) => Err(format!("peer {at} was lost while {:?}: {why}", peer.stage)),
            None => Ok(()),
        }
    }
}
