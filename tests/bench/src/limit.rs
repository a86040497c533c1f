//! The limit: what the kernel's own work costs. A bare epoll loop plays the server: it accepts the
//! same connections with a minimal upgrade, reads the same messages and writes the same bytes to
//! everybody in the room, with one `write` per message and socket, or batched: everything that is there
//! to be read goes out in one `write` per socket. It checks nothing and knows no names but
//! those it prefixes texts with.

use std::collections::HashMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};

use rustix::buffer::spare_capacity;
use rustix::event::Timespec;
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::net::{SocketFlags, accept_with, sockopt};

use crate::wire;

/// The listener's token; sockets are numbered from 0.
const LISTENER: u64 = u64::MAX;

/// Don't wait, only look.
const NOW: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 0,
};
/// Bytes after which a batch goes out although there is more to be read.
const MAX_BATCH: usize = 1 << 16;

/// The generator always sends the same key, so the answer is the same too.
const UPGRADED: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\
    Upgrade: websocket\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

struct Client {
    socket: TcpStream,
    name: Vec<u8>,
    room: usize,
    upgraded: bool,
    /// What came of a frame that is not complete.
    rest: Vec<u8>,
    /// What the socket did not take; usually nothing.
    queued: Vec<u8>,
}

struct Limit {
    epoll: std::os::fd::OwnedFd,
    clients: Vec<Option<Client>>,
    free: Vec<usize>,
    batched: bool,
    rooms: Vec<Room>,
    /// The rooms by what their addresses end with; nothing for the lobby.
    named: HashMap<Vec<u8>, usize>,
    /// Rooms with a batch.
    waiting: Vec<usize>,
}

#[derive(Default)]
struct Room {
    members: Vec<usize>,
    batch: Vec<u8>,
}

/// Serves until it is killed. Prints the port it listens on.
pub fn run(batched: bool) -> Result<(), String> {
    serve(batched).map_err(|error| format!("limit: {error}"))
}

fn serve(batched: bool) -> std::io::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    rustix::net::listen(&listener, 4096)?;
    listener.set_nonblocking(true)?;
    println!("{}", listener.local_addr()?.port());
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    epoll::add(
        &epoll,
        &listener,
        EventData::new_u64(LISTENER),
        EventFlags::IN,
    )?;
    let mut limit = Limit {
        epoll,
        clients: Vec::new(),
        free: Vec::new(),
        batched,
        rooms: Vec::new(),
        named: HashMap::new(),
        waiting: Vec::new(),
    };
    let mut ready = Vec::with_capacity(1024);
    let mut buffer = vec![0; 1 << 16];
    loop {
        ready.clear();
        // A batch ends when nothing more is there to be read.
        let timeout = (!limit.waiting.is_empty()).then_some(&NOW);
        epoll::wait(&limit.epoll, spare_capacity(&mut ready), timeout)?;
        if ready.is_empty() {
            limit.broadcast();
        }
        for event in &ready {
            let (token, flags) = (event.data.u64(), event.flags);
            if token == LISTENER {
                limit.accept(&listener)?;
                continue;
            }
            if flags.contains(EventFlags::OUT) {
                limit.flush(token as usize)?;
            }
            if flags.intersects(EventFlags::IN | EventFlags::HUP | EventFlags::ERR) {
                limit.read(token as usize, &mut buffer);
            }
        }
        let long = |room: &usize| limit.rooms[*room].batch.len() > MAX_BATCH;
        if limit.waiting.iter().any(long) {
            limit.broadcast();
        }
    }
}

impl Limit {
    fn accept(&mut self, listener: &TcpListener) -> std::io::Result<()> {
        while let Ok(socket) = accept_with(listener, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC) {
            sockopt::set_tcp_nodelay(&socket, true)?;
            let at = self.free.pop().unwrap_or(self.clients.len());
            epoll::add(
                &self.epoll,
                &socket,
                EventData::new_u64(at as u64),
                EventFlags::IN,
            )?;
            let client = Client {
                socket: TcpStream::from(socket),
                name: Vec::new(),
                room: 0,
                upgraded: false,
                rest: Vec::new(),
                queued: Vec::new(),
            };
            match self.clients.get_mut(at) {
                Some(place) => *place = Some(client),
                None => self.clients.push(Some(client)),
            }
        }
        Ok(())
    }

    fn leave(&mut self, at: usize) {
        if let Some(client) = self.clients[at].take().filter(|client| client.upgraded) {
            self.rooms[client.room]
                .members
                .retain(|member| *member != at);
        }
        self.free.push(at);
    }

    fn read(&mut self, at: usize, buffer: &mut [u8]) {
        let Some(client) = &mut self.clients[at] else {
            return;
        };
        let kept = client.rest.len();
        buffer[..kept].copy_from_slice(&client.rest);
        let all = match client.socket.read(&mut buffer[kept..]) {
            Ok(0) => return self.leave(at),
            Ok(count) => kept + count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return,
            Err(_) => return self.leave(at),
        };
        client.rest.clear();
        let mut bytes = &mut buffer[..all];
        if !client.upgraded {
            if !bytes.ends_with(b"\r\n\r\n") {
                client.rest.extend_from_slice(bytes);
                return;
            }
            let path = bytes.split(|byte| *byte == b' ').nth(1).unwrap_or_default();
            let target = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
            let mut parts = target.splitn(2, |byte| *byte == b'?');
            client.name = parts.next().unwrap_or_default().to_vec();
            let count = self.rooms.len();
            let room = parts.next().unwrap_or_default().to_vec();
            client.room = *self.named.entry(room).or_insert(count);
            if client.room == count {
                self.rooms.push(Room::default());
            }
            self.rooms[client.room].members.push(at);
            client.upgraded = true;
            let mut answer = UPGRADED.to_vec();
            wire::put(&mut answer, wire::TEXT, &[b"Welcome ", &client.name, b"!"]);
            return self.send(at, &answer);
        }
        while let Some(frame) = wire::frame(bytes) {
            let end = frame.payload.end;
            let payload = &mut bytes[frame.payload];
            let key = frame.key.unwrap_or_default();
            payload
                .iter_mut()
                .zip(key.iter().cycle())
                .for_each(|(byte, key)| *byte ^= key);
            match frame.kind {
                wire::TEXT => {
                    let Some(client) = &self.clients[at] else {
                        return;
                    };
                    let batch = &mut self.rooms[client.room].batch;
                    if batch.is_empty() {
                        self.waiting.push(client.room);
                    }
                    wire::put(batch, wire::TEXT, &[&client.name, b": ", payload]);
                    if !self.batched {
                        self.broadcast();
                    }
                }
                wire::CLOSE => {
                    let mut answer = Vec::new();
                    wire::put(&mut answer, wire::CLOSE, &[payload]);
                    self.send(at, &answer);
                    return self.leave(at);
                }
                _ => {}
            }
            bytes = &mut bytes[end..];
        }
        if let (Some(client), false) = (&mut self.clients[at], bytes.is_empty()) {
            client.rest.extend_from_slice(bytes);
        }
    }

    fn broadcast(&mut self) {
        for room in std::mem::take(&mut self.waiting) {
            let Room { members, mut batch } = std::mem::take(&mut self.rooms[room]);
            for at in &members {
                self.send(*at, &batch);
            }
            batch.clear();
            self.rooms[room] = Room { members, batch };
        }
    }

    fn send(&mut self, at: usize, bytes: &[u8]) {
        let Some(client) = &mut self.clients[at] else {
            return;
        };
        if !client.upgraded {
            return;
        }
        let taken = match client.queued.is_empty() {
            // A closed connection is noticed when its socket is read.
            true => client.socket.write(bytes).unwrap_or(0),
            false => 0,
        };
        if taken < bytes.len() {
            client.queued.extend_from_slice(&bytes[taken..]);
            let both = EventFlags::IN | EventFlags::OUT;
            let _ = epoll::modify(
                &self.epoll,
                &client.socket,
                EventData::new_u64(at as u64),
                both,
            );
        }
    }

    fn flush(&mut self, at: usize) -> std::io::Result<()> {
        let Some(client) = &mut self.clients[at] else {
            return Ok(());
        };
        let taken = client.socket.write(&client.queued).unwrap_or(0);
        client.queued.drain(..taken);
        if client.queued.is_empty() {
            client.queued = Vec::new();
            epoll::modify(
                &self.epoll,
                &client.socket,
                EventData::new_u64(at as u64),
                EventFlags::IN,
            )?;
        }
        Ok(())
    }
}
