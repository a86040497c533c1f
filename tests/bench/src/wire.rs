//! WebSocket frames and the numbered texts in them, as cheaply as they can be had: generator and
//! limit both must cost far less than what is measured. Both sides are ours or trusted to be
//! correct, so nothing is checked beyond what the counting needs.

use std::ops::Range;

/// First bytes of whole frames.
pub const TEXT: u8 = 0x81;
/// The closing handshake.
pub const CLOSE: u8 = 0x88;
/// To be answered with the same payload.
pub const PING: u8 = 0x89;
/// The answer.
pub const PONG: u8 = 0x8a;

/// Bytes of the shortest text: `P00003-00001234-`; longer ones go on with `xxxx…`, …
pub const SHORTEST: usize = 16;
/// … or with toads, four bytes each: texts are measured in characters, and have so many at most.
const CHARS: usize = 4096;
/// The longest text.
pub const LONGEST: usize = SHORTEST + 4 * (CHARS - SHORTEST);

/// One frame at the beginning of some bytes.
pub struct Frame {
    /// The first byte: FIN and opcode.
    pub kind: u8,
    /// The mask's key, where the frame comes from a client.
    pub key: Option<[u8; 4]>,
    /// Where its payload lies.
    pub payload: Range<usize>,
}

/// The frame that begins here, if all of it is there.
#[inline(always)]
pub fn frame(bytes: &[u8]) -> Option<Frame> {
    let (kind, second) = (*bytes.first()?, *bytes.get(1)?);
    let (mut head, length) = match second & 127 {
        126 => (
            4,
            usize::from(u16::from_be_bytes([*bytes.get(2)?, *bytes.get(3)?])),
        ),
        127 => (
            10,
            u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?) as usize,
        ),
        short => (2, usize::from(short)),
    };
    let mut key = None;
    if second & 128 != 0 {
        key = Some(bytes.get(head..head + 4)?.try_into().ok()?);
        head += 4;
    }
    let payload = head..head + length;
    (bytes.len() >= payload.end).then_some(Frame { kind, key, payload })
}

/// Appends a frame as servers send them.
pub fn put(out: &mut Vec<u8>, kind: u8, payload: &[&[u8]]) {
    let length: usize = payload.iter().map(|part| part.len()).sum();
    out.push(kind);
    put_length(out, length, 0);
    payload.iter().for_each(|part| out.extend_from_slice(part));
}

/// Appends a frame as clients send them.
pub fn put_masked(out: &mut Vec<u8>, kind: u8, payload: &[u8], key: [u8; 4]) {
    out.push(kind);
    put_length(out, payload.len(), 128);
    out.extend_from_slice(&key);
    out.extend(
        payload
            .iter()
            .zip(key.iter().cycle())
            .map(|(byte, key)| byte ^ key),
    );
}

fn put_length(out: &mut Vec<u8>, length: usize, mask: u8) {
    if length < 126 {
        out.push(mask | length as u8);
    } else {
        out.push(mask | 126);
        out.extend_from_slice(&(length as u16).to_be_bytes());
    }
}

/// An author's text of that number, and of so many bytes.
pub fn write_text(author: usize, number: u32, size: usize) -> Vec<u8> {
    let mut text = format!("P{author:05}-{number:08}-").into_bytes();
    if size <= CHARS {
        text.resize(size, b'x');
    } else {
        text.extend("🐸".bytes().cycle().take(size - SHORTEST));
    }
    text
}

/// Author and number of a delivered text of so many bytes. A prefix from the server is ignored.
#[inline(always)]
pub fn read_text(payload: &[u8], size: usize) -> Option<(usize, u32)> {
    let text = payload.get(payload.len().checked_sub(size)?..)?;
    let text: &[u8; SHORTEST] = text.first_chunk()?;
    if text[0] != b'P' || text[6] != b'-' || text[15] != b'-' {
        return None;
    }
    let digits = text[1..6].iter().map(|digit| usize::from(digit & 15));
    let author = digits.fold(0, |author, digit| author * 10 + digit);
    // Eight decimal digits at once: pairs, then fours, then all.
    let digits = u64::from_le_bytes(text[7..15].try_into().ok()?) & 0x0f0f_0f0f_0f0f_0f0f;
    let pairs = (digits.wrapping_mul(2561) >> 8) & 0x00ff_00ff_00ff_00ff;
    let fours = (pairs.wrapping_mul(6_553_601) >> 16) & 0x0000_ffff_0000_ffff;
    Some((
        author,
        (fours.wrapping_mul(42_949_672_960_001) >> 32) as u32,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_and_frames_come_back_as_they_went() {
        for number in [0, 7, 1_234, 99_999_999] {
            let size = if number == 7 { SHORTEST } else { 64 };
            let text = write_text(42, number, size);
            let (mut sent, mut shown) = (Vec::new(), Vec::new());
            put_masked(&mut sent, TEXT, &text, [1, 2, 3, 4]);
            put(&mut shown, TEXT, &[b"P42: ", &text]);
            assert_eq!(frame(&sent).unwrap().key, Some([1, 2, 3, 4]));
            assert!(frame(&shown[..shown.len() - 1]).is_none());
            let found = frame(&shown).unwrap();
            assert_eq!(read_text(&shown[found.payload], size), Some((42, number)));
        }
        assert_eq!(read_text(b"P42: has joined the chat!", 64), None);
    }
}
