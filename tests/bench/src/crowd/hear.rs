//! How what comes is cut into messages and counted.

use std::io::BufRead;
use std::time::Instant;

use super::{Crowd, Stage};
use crate::subject::{Listeners, Speech};
use crate::{nats, wire};

impl Crowd {
    /// Takes whole frames and says how many bytes they were.
    pub(super) fn hear(&mut self, at: usize, bytes: &[u8]) -> Result<usize, String> {
        let now = Instant::now();
        if self.speech == Speech::Nats {
            return self.hear_nats(at, bytes, now);
        }
        let mut used = 0;
        let speaks = self.speaks(at);
        let Some(peer) = &mut self.peers[at] else {
            return Ok(0);
        };
        if peer.stage == Stage::Upgrading {
            let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
                return Ok(0);
            };
            let expected: &[u8] = match speaks {
                Listeners::Events => b"HTTP/1.1 200",
                _ => b"HTTP/1.1 101",
            };
            if !bytes.starts_with(expected) {
                let line = String::from_utf8_lossy(&bytes[..bytes.len().min(100)]).into_owned();
                return self.ended(at, &line).map(|()| bytes.len());
            }
            peer.stage = Stage::Greeting;
            used = end + 4;
            if self.speech == Speech::Plain || speaks == Listeners::Events {
                self.greeted(at)?;
            }
        }
        if speaks == Listeners::Events {
            return self.hear_events(at, bytes, used, now);
        }
        let mut open = matches!(&self.peers[at], Some(peer) if peer.stage == Stage::Open);
        while let Some(frame) = wire::frame(&bytes[used..]) {
            let payload = &bytes[used..][frame.payload.clone()];
            used += frame.payload.end;
            match frame.kind {
                wire::TEXT if open => {
                    let payload = match speaks {
                        // The text stands at the end of the object.
                        Listeners::Typed => payload.strip_suffix(b"\"}").unwrap_or(payload),
                        _ => payload,
                    };
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

    /// Takes whole events from `used` on. The text stands at the end of each.
    fn hear_events(
        &mut self,
        at: usize,
        bytes: &[u8],
        mut used: usize,
        now: Instant,
    ) -> Result<usize, String> {
        while let Some(end) = end_of_event(&bytes[used..]) {
            let event = &bytes[used..used + end];
            let text = event.strip_suffix(b"\"}").unwrap_or(event);
            if let Some((author, number)) = wire::read_text(text, self.size)
                && self.counts.hear(at, author, number, now)
            {
                self.heard.push(author);
            }
            used += end + 2;
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
}

/// Where the empty line behind the first whole event begins. Line by line, since the standard library
/// finds one byte much faster than two.
fn end_of_event(bytes: &[u8]) -> Option<usize> {
    let mut rest = bytes;
    loop {
        let line = rest.skip_until(b'\n').ok()?;
        let read = bytes.len() - rest.len();
        match line {
            0 => return None,
            _ if !bytes[..read].ends_with(b"\n") => return None,
            1 => return Some(read.saturating_sub(2)),
            _ => {}
        }
    }
}
