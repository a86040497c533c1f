//! The folder of a lone server: what its files say, read without the server's help, and what becomes
//! of them while it is down.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::ops::Range;
use std::path::{Path, PathBuf};

use fastrand::Rng;
use serde_json::Value;
use tempfile::TempDir;

use super::book::Id;
use super::world::ROOMS;
use crate::support::{FailingDisk, Raw, free_port};

/// The checksum and the end of a line, without the line feed.
const CHECKSUM_LEN: usize = 18;
/// A disk writes so many bytes at once.
const PAGE: usize = 4096;

/// The messages of all rooms, and their texts.
pub type Messages = BTreeMap<(String, Id), String>;

/// A folder on a disk that may fail.
pub struct Disk {
    folder: TempDir,
    /// What may be wrong with it.
    pub failing: FailingDisk,
    /// Where the server shows its metrics.
    pub metrics: SocketAddr,
}

/// A line that is as it was written.
pub struct Line {
    file: PathBuf,
    range: Range<usize>,
    kind: String,
    /// The message that it has.
    pub message: Option<((String, Id), String)>,
}

/// A bit has changed.
pub struct Flip {
    /// The message in whose line.
    pub message: ((String, Id), String),
    /// What the line is now.
    pub bytes: Vec<u8>,
    /// Whether the message may be lost by that.
    pub loses: bool,
    /// Whether nobody can see which message it was.
    pub vague: bool,
}

impl Disk {
    /// An empty folder.
    pub fn new() -> Disk {
        let folder = tempfile::tempdir().unwrap();
        Disk {
            failing: FailingDisk::under(&folder.path().join("data")),
            metrics: ([127, 0, 0, 1], free_port()).into(),
            folder,
        }
    }

    /// The folder.
    pub fn folder(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// All lines of the journal that the server reads, in order.
    pub fn lines(&self) -> Vec<Line> {
        let files = self.files("jsonl");
        let mut lines: Vec<Line> = files.iter().flat_map(|file| lines(file)).collect();
        // Old files may be left, of which it needs nothing: a later one has all.
        let all = lines.iter().rposition(|line| line.kind == "all");
        lines.drain(..all.unwrap_or(0));
        lines
    }

    /// The messages in the journal.
    pub fn messages(&self) -> Messages {
        self.lines()
            .into_iter()
            .filter_map(|line| line.message)
            .collect()
    }

    /// Whether the server has stopped in good order.
    pub fn in_good_order(&self) -> bool {
        self.lines()
            .last()
            .is_some_and(|line| line.kind == "stopped")
    }

    /// A power cut takes of the last file what was not synced: not the messages that are `safe`, and
    /// nothing before them.
    pub fn tear(&self, safe: &Messages, rng: &mut Rng) {
        let Some(file) = self.files("jsonl").pop() else {
            return;
        };
        let is_safe = |line: &Line| match &line.message {
            Some((message, _)) => safe.contains_key(message),
            None => true,
        };
        let mut bytes = fs::read(&file).unwrap();
        let lines = lines(&file);
        let safe = lines.iter().rfind(|line| is_safe(line));
        let from = safe.map_or(bytes.len(), |line| line.range.end + 1);
        let at = rng.usize(from..=bytes.len());
        match rng.u8(..4) {
            0 => bytes.truncate(at),
            // The file has its length and not its content.
            1 => bytes[at..].fill(0),
            // Of what was written first, a page is not there.
            2 => {
                let page = at.next_multiple_of(PAGE);
                let end = bytes.len().min(page + PAGE);
                bytes.get_mut(page..end).unwrap_or_default().fill(0);
            }
            // Another record was being written.
            _ => {
                let record = br#"{"kind":"message","room":"attic","id":"1-1","at":1,"text":"torn""#;
                bytes.extend_from_slice(&record[..rng.usize(1..record.len())]);
            }
        }
        fs::write(&file, bytes).unwrap();
    }

    /// A bit changes in a line with a message, or in its line feed.
    pub fn flip(&self, rng: &mut Rng) -> Option<Flip> {
        let mut lines = self.lines();
        lines.retain(|line| {
            let message = line.message.as_ref();
            message.is_some_and(|((room, _), _)| ROOMS.contains(&room.as_str()))
        });
        if lines.is_empty() {
            return None;
        }
        // The last ones, and line feeds, are special.
        let from = match rng.bool() {
            true => lines.len().saturating_sub(5),
            false => 0,
        };
        let line = lines.swap_remove(rng.usize(from..lines.len()));
        let mut bytes = fs::read(&line.file).unwrap();
        let at = match rng.u8(..6) {
            0 => line.range.end,
            _ => rng.usize(line.range.clone()),
        };
        bytes[at] ^= 1 << rng.u8(..8);
        fs::write(&line.file, &bytes).unwrap();
        let changed = bytes[line.range.clone()].to_vec();
        // A checksum in capitals is the same, and the last line of a file needs no line feed.
        let harmless = valid(&changed).is_some() && bytes[line.range.end] == b'\n';
        let message = line.message?;
        let ((room, id), _) = &message;
        let begin = format!("{{\"kind\":\"message\",\"room\":\"{room}\",\"id\":\"{id}\",");
        (!harmless).then_some(Flip {
            vague: !changed.starts_with(begin.as_bytes()) || changed.contains(&b'\n'),
            message,
            bytes: changed,
            loses: at < line.range.end,
        })
    }

    /// Whether the server has set these bytes aside.
    pub fn has_set_aside(&self, bytes: &[u8]) -> bool {
        let files = fs::read_dir(self.folder()).unwrap();
        let files = files.map(|file| file.unwrap().path());
        let mut damaged = files.filter(|path| path.to_string_lossy().contains("damaged-"));
        damaged.any(|path| {
            let all = fs::read(path).unwrap();
            all.windows(bytes.len()).any(|some| some == bytes)
        })
    }

    /// How many lines the server has skipped when it started, as its metrics say.
    pub fn skipped(&self) -> u64 {
        let (_, page) = Raw::get(self.metrics, "/metrics");
        let name = "natterjack_journal_skipped_records_total ";
        let value = page.lines().find_map(|line| line.strip_prefix(name));
        value
            .and_then(|value| value.parse().ok())
            .expect("it is there")
    }

    fn files(&self, kind: &str) -> Vec<PathBuf> {
        let files = fs::read_dir(self.folder()).unwrap();
        let files = files.map(|file| file.unwrap().path());
        let mut files: Vec<PathBuf> = files
            .filter(|path| path.extension().is_some_and(|found| found == kind))
            .collect();
        files.sort();
        files
    }
}

/// The lines of a file that are as they were written.
fn lines(file: &Path) -> Vec<Line> {
    let bytes = fs::read(file).unwrap();
    let mut lines = Vec::new();
    let mut start = 0;
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        let before = start;
        start += line.len();
        // A damaged line feed makes one line of two.
        let starts = (0..line.len()).filter(|at| line[*at..].starts_with(b"{\"kind\":\""));
        let starts: Vec<usize> = starts.collect();
        let ends = starts.iter().copied().skip(1).chain([line.len()]);
        let pieces = starts.iter().zip(ends).map(|(start, end)| *start..end - 1);
        for piece in pieces {
            let range = before + piece.start..before + piece.end;
            lines.extend(read(file, range, &line[piece]));
        }
    }
    lines
}

/// What a line says, which is there.
fn read(file: &Path, range: Range<usize>, line: &[u8]) -> Option<Line> {
    let line = valid(line)?;
    let string = |name: &str| line[name].as_str().map(String::from);
    let message = || {
        let id = string("id")?.parse().ok()?;
        Some(((string("room")?, id), string("text")?))
    };
    Some(Line {
        file: file.to_path_buf(),
        range,
        kind: string("kind").unwrap_or_default(),
        message: message(),
    })
}

/// What a line says, if its checksum is right.
fn valid(line: &[u8]) -> Option<Value> {
    let (rest, end) = line.split_at(line.len().checked_sub(CHECKSUM_LEN)?);
    let checksum = format!(",\"crc\":\"{:08x}\"}}", crc32fast::hash(rest));
    match end.eq_ignore_ascii_case(checksum.as_bytes()) {
        true => serde_json::from_slice(line).ok(),
        false => None,
    }
}

#[test]
fn no_line_changes_that_the_server_no_longer_reads() {
    let disk = Disk::new();
    fs::create_dir(disk.folder()).unwrap();
    let line = |text: &str| {
        format!(
            "{text},\"crc\":\"{:08x}\"}}\n",
            crc32fast::hash(text.as_bytes())
        )
    };
    let message = |n: u64| {
        let id = format!("1-{n}");
        line(&format!(
            r#"{{"kind":"message","room":"lobby","id":"{id}","text":"{n}""#
        ))
    };
    let [old, new] = ["000001.jsonl", "000002.jsonl"].map(|name| disk.folder().join(name));
    fs::write(&old, message(1) + &message(2)).unwrap();
    let all = line(r#"{"kind":"all""#) + &message(1) + &message(2);
    for seed in 0..50 {
        fs::write(&new, &all).unwrap();
        disk.flip(&mut Rng::with_seed(seed));
        assert_eq!(fs::read_to_string(&old).unwrap(), message(1) + &message(2));
        assert_ne!(fs::read(&new).unwrap(), all.as_bytes());
    }
}
