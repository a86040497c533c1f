//! What the clients of a crowd say, and how it is sent.

use std::io::ErrorKind;
use std::time::Instant;

use rustix::event::epoll::{self, EventData, EventFlags};

use super::Crowd;
use crate::subject::Speech;
use crate::{nats, wire};

impl Crowd {
    /// Queues the author's next text; `flush` sends it.
    pub fn say(&mut self, author: usize, at: Instant) -> Result<(), String> {
        let number = self.counts.send(author, at)?;
        let text = wire::write_text(author, number, self.size);
        self.queue(self.shape.author(author), wire::TEXT, &text);
        Ok(())
    }

    pub(super) fn queue(&mut self, at: usize, kind: u8, payload: &[u8]) {
        self.key ^= self.key << 13;
        self.key ^= self.key >> 17;
        self.key ^= self.key << 5;
        let room = match self.speech {
            Speech::Nats => self.room(at),
            _ => String::new(),
        };
        let Some(peer) = &mut self.peers[at] else {
            return;
        };
        if self.speech != Speech::Nats {
            wire::put_masked(&mut peer.out, kind, payload, self.key.to_le_bytes());
        } else if kind == wire::TEXT {
            nats::publish(&mut peer.out, &room, payload);
        } else if kind == wire::PONG {
            peer.out.extend_from_slice(nats::PONG);
        } else {
            // The protocol has no close frame: a closed socket is a leave.
            peer.socket.shutdown();
        }
    }

    /// Sends what the author has said.
    pub fn flush_author(&mut self, author: usize) -> Result<(), String> {
        self.flush(self.shape.author(author))
    }

    /// Sends what is queued, as far as the socket takes it.
    pub(super) fn flush(&mut self, at: usize) -> Result<(), String> {
        let Some(peer) = &mut self.peers[at] else {
            return Ok(());
        };
        while !peer.out.is_empty() || peer.socket.is_behind() {
            match peer.socket.write(&peer.out) {
                Ok(count) => drop(peer.out.drain(..count)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return self.ended(at, &error.to_string()),
            }
        }
        if peer.watched == (peer.out.is_empty() && !peer.socket.is_behind()) {
            peer.watched = !peer.watched;
            let mut flags = EventFlags::IN;
            flags.set(EventFlags::OUT, peer.watched);
            epoll::modify(
                &self.epoll,
                &peer.socket,
                EventData::new_u64(at as u64),
                flags,
            )
            .map_err(|error| format!("epoll: {error}"))?;
        }
        Ok(())
    }
}
