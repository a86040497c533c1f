//! Reads the frame headers of what a client sends (RFC 6455, section 5.2), before tungstenite does,
//! and decides how much of it may be read now.
//!
//! One connection must not occupy the thread, so a turn is limited in frames of any kind and in
//! reads of the socket, which limits its bytes. Pings, pongs and small fragments are also limited
//! on average: tungstenite answers or collects them, and the message rate does not count them.

use crate::chat::close_reason::CloseReason;

/// Frames in one turn. Each may cost a system call, for its pong or an error.
const TURN_FRAMES: u8 = 16;
/// Reads of the socket in one turn, each of some kilobytes. It is two, because over TLS a read may
/// hold hundreds of tiny records.
const TURN_READS: u8 = 2;
/// Control frames and small fragments that a client may send per second, on average.
const PER_SECOND: u32 = 100;
/// Control frames and small fragments that a client may send at once.
const BURST: u16 = 300;
/// A fragment of this many bytes is not counted: the message size limits how many of them a message
/// has, and the message rate limits the rest.
const FULL_FRAGMENT: u64 = 512;
/// A frame of this many bytes leaves tungstenite with a buffer that is worth releasing.
const LARGE: u64 = 512;
/// A close code that is registered for RFC 6455, and that tungstenite refuses.
const BAD_GATEWAY: u16 = 1014;
/// The close code that tungstenite is shown instead. The two differ in the low bits of the second
/// byte.
const TRY_AGAIN: u16 = 1013;

/// What to do with the bytes that have come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// This many bytes may be read.
    Take(usize),
    /// There is nothing, or only a part of a header: wait for more.
    More,
    /// Other tasks go first.
    Yield,
    /// The connection ends for this reason.
    Refuse(CloseReason),
}

/// A connection's position within a frame, and what it may still send.
#[derive(Clone, Copy, Debug, Default)]
pub struct Inbound {
    /// Bytes of the current frame that have not been read.
    left: u32,
    /// The second in which `counted` was last lowered.
    second: u32,
    /// Control frames and small fragments above the average.
    counted: u16,
    turn_frames: u8,
    turn_reads: u8,
    /// A large frame has been read since the stream was handed over last.
    pub large: bool,
    /// The client has closed with [`BAD_GATEWAY`].
    bad_gateway: bool,
}

impl Inbound {
    /// Begins a turn, after other tasks had theirs.
    pub fn begin_turn(&mut self) {
        (self.turn_frames, self.turn_reads) = (0, 0);
    }

    /// Whether the socket may be read once more in this turn. Counts the read.
    pub fn begin_read(&mut self) -> bool {
        let may = self.turn_reads < TURN_READS;
        self.turn_reads += u8::from(may);
        may
    }

    /// Copies as many of these bytes as allowed into `buf`, but none beyond the end of a frame. At
    /// the beginning of a frame `buf` must have room for a header. `now` is in seconds.
    pub fn read(&mut self, bytes: &[u8], buf: &mut [u8], now: impl FnOnce() -> u32) -> Step {
        if bytes.is_empty() {
            return Step::More;
        }
        let mut close = None;
        if self.left == 0 {
            if self.turn_frames >= TURN_FRAMES {
                return Step::Yield;
            }
            let header = match Header::parse(bytes) {
                Ok(Some(header)) => header,
                Ok(None) => return Step::More,
                Err(end) => return Step::Refuse(end),
            };
            if header.is_close() {
                if bytes.len() < header.bytes + header.payload.min(2) as usize {
                    return Step::More;
                }
                close = Some(header);
            }
            if header.is_counted() && !self.count(now()) {
                return Step::Refuse(CloseReason::Flooding);
            }
            self.turn_frames += 1;
            self.large |= header.payload >= LARGE;
            // A longer frame is over every limit, and tungstenite refuses it before it reads the
            // payload.
            let whole = header.payload.saturating_add(header.bytes as u64);
            self.left = u32::try_from(whole).unwrap_or(u32::MAX);
        }
        let n = bytes.len().min(buf.len()).min(self.left as usize);
        buf[..n].copy_from_slice(&bytes[..n]);
        if let Some(header) = close {
            self.replace_bad_gateway(header, &mut buf[..n]);
        }
        self.left -= n as u32;
        Step::Take(n)
    }

    /// Puts the client's own close code back into the answer to its close frame.
    pub fn restore_bad_gateway(&self, frame: &mut [u8]) {
        if let [_, _, code @ ..] = frame
            && self.bad_gateway
            && code.starts_with(&TRY_AGAIN.to_be_bytes())
        {
            code[..2].copy_from_slice(&BAD_GATEWAY.to_be_bytes());
        }
    }

    /// Counts one frame. Returns whether it is within the limit.
    fn count(&mut self, now: u32) -> bool {
        let seconds = now.saturating_sub(self.second);
        let lowered = u32::from(self.counted).saturating_sub(seconds.saturating_mul(PER_SECOND));
        (self.counted, self.second) = (lowered as u16, now);
        if self.counted >= BURST {
            return false;
        }
        self.counted += 1;
        true
    }

    fn replace_bad_gateway(&mut self, header: Header, frame: &mut [u8]) {
        if !header.masked || frame.len() < header.bytes + 2 {
            return;
        }
        let (head, payload) = frame.split_at_mut(header.bytes);
        let mask = &head[header.bytes - 4..];
        let code = [payload[0] ^ mask[0], payload[1] ^ mask[1]];
        if u16::from_be_bytes(code) == BAD_GATEWAY {
            payload[1] ^= (BAD_GATEWAY ^ TRY_AGAIN) as u8;
            self.bad_gateway = true;
        }
    }
}

/// The parts of a frame's header that matter here; tungstenite checks the rest.
#[derive(Clone, Copy)]
struct Header {
    first: u8,
    masked: bool,
    /// The length of the header.
    bytes: usize,
    payload: u64,
}

impl Header {
    /// Parses the header at the beginning of these bytes; `None` if it is incomplete.
    fn parse(bytes: &[u8]) -> Result<Option<Header>, CloseReason> {
        let &[first, second, ref rest @ ..] = bytes else {
            return Ok(None);
        };
        let (extended, least) = match second & 0x7f {
            126 => (2, 126),
            127 => (8, 0x1_0000),
            _ => (0, 0),
        };
        let masked = second & 0x80 != 0;
        let bytes = 2 + extended + if masked { 4 } else { 0 };
        if rest.len() + 2 < bytes {
            return Ok(None);
        }
        let payload = match extended {
            0 => u64::from(second & 0x7f),
            _ => rest[..extended]
                .iter()
                .fold(0, |length, byte| length << 8 | u64::from(*byte)),
        };
        // "The minimal number of bytes MUST be used", and the highest bit must be 0.
        if payload < least || payload > i64::MAX as u64 {
            return Err(CloseReason::Broken);
        }
        Ok(Some(Header {
            first,
            masked,
            bytes,
            payload,
        }))
    }

    fn is_close(self) -> bool {
        self.first & 0x0f == 0x08
    }

    /// Whether it is a control frame or a small fragment, so anything but a message in one frame.
    fn is_counted(self) -> bool {
        let (last, opcode) = (self.first & 0x80 != 0, self.first & 0x0f);
        match opcode {
            1..=7 if last => false,
            0..=7 => self.payload < FULL_FRAGMENT,
            _ => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A client's frame, masked with zeros.
    fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
        let mut frame = vec![first];
        match payload.len() {
            len @ 0..126 => frame.push(0x80 | len as u8),
            len => {
                frame.push(0x80 | 126);
                frame.extend((len as u16).to_be_bytes());
            }
        }
        frame.extend([0; 4]);
        frame.extend_from_slice(payload);
        frame
    }

    /// Reads everything, one turn after the other, `now` seconds after the start.
    fn read(inbound: &mut Inbound, mut bytes: &[u8], now: u32) -> (Vec<u8>, Step) {
        let mut all = Vec::new();
        let mut buf = [0; 64];
        loop {
            match inbound.read(bytes, &mut buf, || now) {
                Step::Take(n) => {
                    all.extend_from_slice(&buf[..n]);
                    bytes = &bytes[n..];
                }
                Step::Yield => inbound.begin_turn(),
                step => return (all, step),
            }
        }
    }

    #[test]
    fn a_turn_is_bounded_in_frames_and_in_reads() {
        let bytes = frame(0x81, b"x").repeat(1000);
        let mut inbound = Inbound::default();
        let mut buf = [0; 64];
        for turn in 1..4 {
            let mut taken = 0;
            while let Step::Take(n) = inbound.read(&bytes[taken..], &mut buf, || 0) {
                taken += n;
            }
            assert_eq!(taken, usize::from(TURN_FRAMES) * 7, "turn {turn}");
            assert_eq!(inbound.read(&bytes, &mut buf, || 0), Step::Yield);
            let reads = (0..10).filter(|_| inbound.begin_read()).count();
            assert_eq!(reads, usize::from(TURN_READS), "turn {turn}");
            inbound.begin_turn();
        }
    }

    #[test]
    fn frames_pass_unchanged_wherever_they_are_cut() {
        let frames = [
            frame(0x01, b"half"),
            frame(0x89, b""),
            frame(0x80, &[b'x'; 300]),
            frame(0x88, b"\x03\xe8bye"),
        ]
        .concat();
        for cut in 0..frames.len() {
            let mut inbound = Inbound::default();
            let (mut all, step) = read(&mut inbound, &frames[..cut], 0);
            assert_eq!(step, Step::More);
            assert!(cut - all.len() < 14, "no more than a header waits");
            let waits = all.len();
            all.extend(read(&mut inbound, &frames[waits..], 0).0);
            assert_eq!(all, frames, "cut at {cut}");
        }
    }

    #[test]
    fn pings_pongs_and_small_fragments_are_limited_and_messages_are_not() {
        let count = |first: u8, payload: &[u8], now: u32, inbound: &mut Inbound| {
            let one = frame(first, payload);
            let (all, step) = read(inbound, &one.repeat(2000), now);
            (all.len() / one.len(), step)
        };
        for (first, payload) in [
            (0x89, &b""[..]),
            (0x8a, b"x"),
            (0x00, b""),
            (0x01, b"x"),
            (0x80, &[0; 511]),
        ] {
            let mut inbound = Inbound::default();
            let flooding = Step::Refuse(CloseReason::Flooding);
            let mut count = |now| count(first, payload, now, &mut inbound);
            assert_eq!(count(7), (300, flooding));
            assert_eq!(count(8), (100, flooding));
            assert_eq!(count(1000), (300, flooding));
        }
        for (first, payload) in [(0x81, &b""[..]), (0x82, b"x"), (0x00, &[0; 512])] {
            let passed = count(first, payload, 0, &mut Inbound::default());
            assert_eq!(passed, (2000, Step::More));
        }
    }

    #[test]
    fn a_length_takes_no_more_bytes_than_it_needs() {
        for bytes in [
            &b"\x81\xfe\x00\x7d\0\0\0\0"[..],
            b"\x81\xff\0\0\0\0\0\0\xff\xff\0\0\0\0",
            b"\x81\xff\x80\0\0\0\0\x01\0\0\0\0\0\0",
        ] {
            let step = read(&mut Inbound::default(), bytes, 0).1;
            assert_eq!(step, Step::Refuse(CloseReason::Broken), "{bytes:?}");
        }
        for bytes in [
            &b"\x81\xfe\x00\x7e\0\0\0\0"[..],
            b"\x81\xff\0\0\0\0\0\x01\0\0\0\0\0\0",
        ] {
            let (all, step) = read(&mut Inbound::default(), bytes, 0);
            assert_eq!((&all[..], step), (bytes, Step::More), "{bytes:?}");
        }
    }

    #[test]
    fn a_bad_gateway_is_answered_in_kind() {
        let mask = [0x37, 0xfa, 0x21, 0x3d];
        let mut close = vec![0x88, 0x82];
        close.extend(mask);
        close.extend([0x03 ^ mask[0], 0xf6 ^ mask[1]]);
        let mut inbound = Inbound::default();
        let (read, _) = read(&mut inbound, &close, 0);
        assert_eq!(read[7] ^ mask[1], 0xf5, "tungstenite is shown 1013");
        let mut answer = [0x88, 0x02, 0x03, 0xf5];
        inbound.restore_bad_gateway(&mut answer);
        assert_eq!(answer, [0x88, 0x02, 0x03, 0xf6]);
        let mut answer = [0x88, 0x02, 0x03, 0xf5];
        Inbound::default().restore_bad_gateway(&mut answer);
        assert_eq!(answer, [0x88, 0x02, 0x03, 0xf5], "it was really 1013");
    }
}
