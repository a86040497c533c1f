//! What a message costs that is kept on a disk: bytes, and time until its `ack`.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddrV4, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::Data;
use crate::client::{open, until};
use crate::counts::Histogram;
use crate::disk::Disk;
use crate::measure::SIZE;
use crate::plan::Plan;
use crate::proc;
use crate::table::{Goal, Table, median};
use crate::wire;

/// Messages a second, as long as idle peers are watched.
const RATES: [u32; 3] = [1, 10, 1000];
const KEY: [u8; 4] = [1, 2, 3, 4];
/// An `ack` begins with this; the number that was given as `ref` follows.
const ACK: &[u8] = br#"{"type":"ack","ref":""#;
/// An answer that takes longer is an error.
const TIMEOUT: Duration = Duration::from_secs(30);

/// One run: bytes on the disk for each message, and milliseconds until it was acknowledged.
struct Spoken {
    bytes: Option<f64>,
    took: Histogram,
}

/// Lines of the table.
pub fn rows(plan: &Plan, table: &mut Table, disk: &Disk) -> Result<(), String> {
    let failed = |error: io::Error| format!("on the disk: {error}");
    table.section(["what is written to the disk", "natterjack", "SQLite"]);
    let syncs = disk.sync_times().map_err(failed)?;
    let ms = |took: &Histogram, share: f64| took.share(share).as_secs_f64() * 1e3;
    let sync = ms(&syncs, 0.99);
    let own = format!("{:.1}/{sync:.1} ms", ms(&syncs, 0.5));
    table.note("a sync of the disk: p50/p99", own);
    for rate in RATES {
        let count = rate * plan.hold.as_secs() as u32;
        let name = format!("{rate}/s");
        let every = Duration::from_secs(1) / rate;
        let ours = || speak(plan, disk, every, count).map_err(failed);
        let beside = || sqlite(plan, disk, every, count).map_err(failed);
        let runs = plan.pairs(&name, ours, beside)?;
        let bytes = |run: &Spoken| run.bytes.unwrap_or(f64::NAN);
        let (own, their) = (
            median(&runs, |r| bytes(&r.0)),
            median(&runs, |r| bytes(&r.1)),
        );
        let cells = match own.is_nan() {
            true => ["not counted here".into(), String::new(), String::new()],
            false => [
                format!("{own:.0} B"),
                format!("{their:.0} B"),
                format!("{:.2} x", own / their),
            ],
        };
        table.goal(
            &format!("{name}: bytes for each message"),
            cells,
            0.0,
            Goal::None,
        );
        let of = |share| {
            let own = median(&runs, |run| ms(&run.0.took, share));
            (own, median(&runs, |run| ms(&run.1.took, share)))
        };
        let (p50, p99) = (of(0.5), of(0.99));
        let cells = [
            format!("{:.1}/{:.1} ms", p50.0, p99.0),
            format!("{:.1}/{:.1} ms", p50.1, p99.1),
            String::new(),
        ];
        let goal = Goal::Most(110.0, "sync + 110 ms");
        table.goal("  ack: p50/p99", cells, p99.0 - sync, goal);
    }
    silence(plan, table, disk).map_err(failed)
}

/// Somebody is there and says nothing.
fn silence(plan: &Plan, table: &mut Table, disk: &Disk) -> io::Result<()> {
    let data = Data::new(plan).map_err(io::Error::other)?;
    let subject = data.natterjack(plan).map_err(io::Error::other)?;
    let _ann = enter(subject.address)?;
    let (before, own) = (disk.written()?, proc::used(subject.pids()[0]).written);
    thread::sleep(plan.hold);
    let own = proc::used(subject.pids()[0]).written - own;
    let name = format!("nobody speaks for {} s: by the server", plan.hold.as_secs());
    let one = |bytes: u64| [format!("{bytes} B"), String::new(), String::new()];
    table.goal(&name, one(own), own as f64, Goal::Zero);
    if let (Some(before), Some(after)) = (before, disk.written()?) {
        table.goal("  by anybody", one(after - before), 0.0, Goal::None);
    }
    Ok(())
}

/// Counts what the disk writes meanwhile.
fn counted(
    disk: &Disk,
    count: u32,
    run: impl FnOnce() -> io::Result<Histogram>,
) -> io::Result<Spoken> {
    let before = disk.written()?;
    let took = run()?;
    let bytes = disk.written()?.zip(before);
    let bytes = bytes.map(|(after, before)| (after - before) as f64 / f64::from(count));
    Ok(Spoken { bytes, took })
}

/// Says so many texts to natterjack.
fn speak(plan: &Plan, disk: &Disk, every: Duration, count: u32) -> io::Result<Spoken> {
    let data = Data::new(plan).map_err(io::Error::other)?;
    let subject = data.natterjack(plan).map_err(io::Error::other)?;
    let mut ann = enter(subject.address)?;
    let mut bob = ann.try_clone()?;
    counted(disk, count, || {
        let began = Instant::now();
        // Ends when all is said, or when the connection does.
        let said = thread::spawn(move || {
            (0..count).try_for_each(|number| {
                thread::sleep((began + every * number).saturating_duration_since(Instant::now()));
                bob.write_all(&text(number))
            })
        });
        let took = acknowledged(&mut ann, count, |number| began + every * number)?;
        said.join()
            .map_err(|_| io::Error::other("who speaks failed"))??;
        Ok(took)
    })
}

/// Joins the lobby in the typed dialect.
fn enter(address: SocketAddrV4) -> io::Result<TcpStream> {
    let mut ann = open(address, "/ws?user=ann&room=lobby")?;
    ann.set_read_timeout(Some(TIMEOUT))?;
    until(&mut ann, br#"{"type":"joined""#)?;
    Ok(ann)
}

fn text(number: u32) -> Vec<u8> {
    let text = wire::write_text(0, number, SIZE);
    let text = String::from_utf8_lossy(&text);
    let chat = format!(r#"{{"type":"chat","room":"lobby","text":"{text}","ref":"{number}"}}"#);
    let mut frame = Vec::new();
    wire::put_masked(&mut frame, wire::TEXT, chat.as_bytes(), KEY);
    frame
}

/// Reads until all are acknowledged. Returns how long each took since it was due.
fn acknowledged(
    ann: &mut TcpStream,
    count: u32,
    due: impl Fn(u32) -> Instant,
) -> io::Result<Histogram> {
    let (mut rest, mut chunk) = (Vec::new(), vec![0; 1 << 16]);
    let (mut took, mut heard) = (Histogram::default(), 0);
    while heard < count {
        let came = ann.read(&mut chunk)?;
        if came == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        rest.extend_from_slice(&chunk[..came]);
        let (now, mut used) = (Instant::now(), 0);
        while let Some(frame) = wire::frame(&rest[used..]) {
            let payload = &rest[used..][frame.payload.clone()];
            used += frame.payload.end;
            if let Some(number) = payload.strip_prefix(ACK) {
                let digits = number
                    .split(|byte| *byte == b'"')
                    .next()
                    .unwrap_or_default();
                let number = String::from_utf8_lossy(digits).parse();
                let number = number.map_err(io::Error::other)?;
                took.add(now.saturating_duration_since(due(number)));
                heard += 1;
            }
        }
        rest.drain(..used);
    }
    Ok(took)
}

/// Has SQLite keep as many, with Python's module. Nothing, where there is none.
fn sqlite(plan: &Plan, disk: &Disk, every: Duration, count: u32) -> io::Result<Spoken> {
    let data = Data::new(plan).map_err(io::Error::other)?;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/sqlite.py");
    let child = Command::new("python3")
        .arg(script)
        .arg(&data.0)
        .args([every.as_secs_f64().to_string(), count.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn();
    let Ok(mut child) = child else {
        return Ok(Spoken {
            bytes: None,
            took: Histogram::default(),
        });
    };
    let spoken = told(&mut child, disk, count);
    // It would write its log once more if it ended by itself.
    let _ = child.kill();
    child.wait()?;
    spoken
}

fn told(child: &mut Child, disk: &Disk, count: u32) -> io::Result<Spoken> {
    let pipes = child.stdin.take().zip(child.stdout.take());
    let (mut input, output) = pipes.ok_or(io::ErrorKind::BrokenPipe)?;
    let mut lines = BufReader::new(output).lines();
    lines.next().transpose()?;
    counted(disk, count, || {
        writeln!(input, "go")?;
        let mut took = Histogram::default();
        for line in lines.by_ref().take(count as usize) {
            let millis: f64 = line?.parse().map_err(io::Error::other)?;
            took.add(Duration::from_secs_f64(millis / 1e3));
        }
        Ok(took)
    })
}
