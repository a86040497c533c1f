//! The generator: many WebSocket clients on one thread, on non-blocking sockets and one epoll
//! instance. Counts their messages in `Counts`; an unexpected end of a connection is an error.

mod hear;
mod write;

use std::io::ErrorKind;
use std::net::{SocketAddrV4, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::buffer::spare_capacity;
use rustix::event::Timespec;
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, connect, socket_with, sockopt};
use rustls::ClientConfig;

use crate::counts::{Counts, Shape};
use crate::line::{self, Line};
use crate::subject::{Listeners, Speech, Subject};
use crate::{nats, wire};

/// Connections that are under way at once while everybody joins.
const JOINING: usize = 64;
/// Sockets that one turn looks at.
const READY: usize = 1024;
/// The token of `Crowd::tick`; peers are numbered from 0.
const TICK: u64 = u64::MAX;

const FOLLOW: &str =
    "GET /rooms/lobby HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: text/event-stream\r\n\r\n";
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
    /// The instances of the server.
    servers: Vec<SocketAddrV4>,
    speech: Speech,
    listeners: Listeners,
    peers: Vec<Option<Peer>>,
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
    /// Where a refusal is no error: who was refused.
    pub refused: Option<Vec<usize>>,
    /// The room that everybody is in, where there is one only.
    pub only: &'static str,
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
            servers: subject.instances.clone(),
            speech: subject.speech,
            listeners: subject.listeners,
            peers: (0..shape.all_peers()).map(|_| None).collect(),
            buffer: vec![0; 1 << 20],
            scratch: vec![0; 1 << 16],
            tls: subject.tls.then(line::trusting).transpose()?,
            key: 0x9e37_79b9,
            open: 0,
            joining: 0,
            left: 0,
            brief: false,
            refused: None,
            only: "lobby",
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
                let name = if next < 100 {
                    format!("P{next:02}")
                } else {
                    format!("peer-{next:05}")
                };
                self.connect(next, &name, "")?;
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

    /// How many there can be.
    pub fn places(&self) -> usize {
        self.peers.len()
    }

    /// Whether that place has nobody.
    pub fn vacant(&self, at: usize) -> bool {
        self.peers[at].is_none()
    }

    /// The room of that peer.
    fn room(&self, at: usize) -> String {
        match self.shape.rooms {
            1 => self.only.to_owned(),
            _ => format!("room-{:05}", self.shape.room(at)),
        }
    }

    /// Closes the connections of everybody from that place on, without a word.
    pub fn cut(&mut self, from: usize) {
        for peer in &mut self.peers[from..] {
            let gone = peer.take();
            self.open -= usize::from(gone.is_some_and(|peer| peer.stage == Stage::Open));
        }
    }

    /// Begins a connection at that place, under that name, and with that at the end of its address.
    pub fn connect(&mut self, at: usize, name: &str, query: &str) -> Result<(), String> {
        let room = self.room(at);
        // The peers of a room are spread over the instances, and so are its authors over all rooms.
        let server = self.servers[(at + self.shape.room(at)) % self.servers.len()];
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let start = || -> Result<TcpStream, Errno> {
            let socket = socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)?;
            sockopt::set_tcp_nodelay(&socket, true)?;
            match connect(&socket, &server) {
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
            out: match (self.speech, self.speaks(at)) {
                (Speech::Nats, _) => nats::hello(&room),
                (_, Listeners::Events) => FOLLOW.into(),
                (_, Listeners::Typed) => {
                    format!("GET /ws?room={room}&user={name} {UPGRADE}").into_bytes()
                }
                _ => format!("GET /chat/{name}?room={room}{query} {UPGRADE}").into_bytes(),
            },
            watched: true,
        });
        self.joining += 1;
        Ok(())
    }

    /// What that peer speaks.
    fn speaks(&self, at: usize) -> Listeners {
        match at % self.shape.peers < self.shape.authors {
            true => Listeners::Alike,
            false => self.listeners,
        }
    }

    /// Wakes `turn` whenever that timer fires.
    pub fn tick(&self, timer: impl AsFd) -> Result<(), String> {
        epoll::add(&self.epoll, timer, EventData::new_u64(TICK), EventFlags::IN)
            .map_err(|error| format!("epoll: {error}"))
    }

    /// Waits for something to come, and hears it. True when a timer has fired.
    pub fn turn(&mut self, timeout: Duration) -> Result<bool, String> {
        let mut ready = Vec::with_capacity(READY);
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

    fn control(&mut self, at: usize, kind: u8, payload: &[u8]) -> Result<(), String> {
        let Some(peer) = &mut self.peers[at] else {
            return Ok(());
        };
        match kind {
            wire::TEXT if peer.stage == Stage::Greeting && payload.starts_with(b"Welcome ") => {
                return self.greeted(at);
            }
            wire::TEXT if payload.starts_with(b"{\"type\":\"welcome\"") => {}
            wire::TEXT if payload.starts_with(b"{\"type\":\"joined\"") => return self.greeted(at),
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

    /// The connection is over: as it should be after a closing handshake, else an error, or a refusal.
    fn ended(&mut self, at: usize, why: &str) -> Result<(), String> {
        match (self.peers[at].take(), &mut self.refused) {
            (Some(peer), _) if peer.stage == Stage::Closing => {
                self.left += 1;
                Ok(())
            }
            (Some(peer), Some(refused)) if peer.stage != Stage::Open => {
                self.joining -= 1;
                refused.push(at);
                Ok(())
            }
            (Some(peer), _) => Err(format!("peer {at} was lost while {:?}: {why}", peer.stage)),
            (None, _) => Ok(()),
        }
    }
}
