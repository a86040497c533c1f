//! Two thousand who ask for much and never read a byte of it, and two who want to chat meanwhile.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use crate::client::open;
use crate::plan::Plan;
use crate::proc;
use crate::table::Table;
use crate::wire;

/// How many never read.
const DEAF: usize = 2000;
/// How long they ask.
const TIME: Duration = Duration::from_secs(20);
/// Between two texts of those who chat.
const PAUSE: Duration = Duration::from_millis(50);
/// A text like those that fill the room's log.
const SIZE: usize = 3000;
/// As much of it as fits into one answer.
const ASK: &[u8] = br#"{"type":"history","room":"lobby","limit":100}"#;
const KEY: [u8; 4] = [1, 2, 3, 4];

/// What becomes of the server, and of the chat.
pub fn row(plan: &Plan, table: &mut Table) -> Result<(), String> {
    let failed = |error: std::io::Error| error.to_string();
    let subject = plan.natterjack()?;
    let pid = subject.pids()[0];
    let mut ann = open(subject.address, "/chat/ann").map_err(failed)?;
    let mut bob = open(subject.address, "/chat/bob").map_err(failed)?;
    let mut deaf = Vec::new();
    for n in 0..DEAF {
        let target = format!("deaf{n}&room=lobby");
        let one = open(subject.address, &format!("/ws?user={target}")).map_err(failed)?;
        // What it may not send, it does not wait for.
        one.set_nonblocking(true).map_err(failed)?;
        deaf.push(one);
    }
    bob.set_read_timeout(Some(TIME)).map_err(failed)?;
    let hears = thread::spawn(move || hears(&mut bob));
    let (began, mut said, mut most, mut turns) = (Instant::now(), 0, 0, 0);
    let mut asks = Vec::new();
    wire::put_masked(&mut asks, 0x81, ASK, KEY);
    while began.elapsed() < TIME {
        let mut frame = Vec::new();
        wire::put_masked(&mut frame, 0x81, &vec![b'x'; SIZE], KEY);
        ann.write_all(&frame)
            .map_err(|error| format!("the server is gone: {error}"))?;
        said += 1;
        for one in &mut deaf {
            // A closed peer can't send any more.
            let _ = one.write(&asks);
        }
        turns += 1;
        most = most.max(proc::memory(pid).0);
        thread::sleep(PAUSE);
    }
    wire_end(&mut ann).map_err(failed)?;
    let heard = hears.join().map_err(|_| "the listener failed".to_owned())?;
    table.note("who never read, and ask for history", DEAF.to_string());
    table.note("  how often each", turns.to_string());
    let mib = most as f64 / f64::from(1 << 20);
    table.note(
        "  the server's memory at most, RSS",
        format!("{mib:.1} MiB"),
    );
    table.note("  texts of somebody else meanwhile", said.to_string());
    table.note("  of which somebody else heard", heard.to_string());
    Ok(())
}

/// Says the last word.
fn wire_end(ann: &mut TcpStream) -> std::io::Result<()> {
    let mut frame = Vec::new();
    wire::put_masked(&mut frame, 0x81, b"the end", KEY);
    ann.write_all(&frame)
}

/// How many texts come before the last word.
fn hears(bob: &mut TcpStream) -> usize {
    let (mut rest, mut chunk, mut heard) = (Vec::new(), vec![0; 1 << 16], 0);
    let mut greeted = false;
    loop {
        match bob.read(&mut chunk) {
            Ok(n @ 1..) => rest.extend_from_slice(&chunk[..n]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            _ => return heard,
        }
        if !greeted {
            let Some(at) = rest.windows(4).position(|four| four == b"\r\n\r\n") else {
                continue;
            };
            rest.drain(..at + 4);
            greeted = true;
        }
        while let Some(frame) = wire::frame(&rest) {
            let text = &rest[frame.payload.clone()];
            if text == b"ann: the end" {
                return heard;
            }
            heard += usize::from(text.starts_with(b"ann: xxx"));
            rest.drain(..frame.payload.end);
        }
    }
}
