//! The folder of a journal: numbered files, of which the last one is written to.
//!
//! `000001.jsonl`, `000002.jsonl` and so on are read one after the other. A file only grows, and only
//! while it is the last one. All of them can be replaced by one with what they amount to: it is
//! written under another name, synced and renamed, and then the old ones go. A crash at any moment
//! leaves files that amount to the same: what is said twice counts once.
//!
//! Nothing here is asynchronous. A disk may take its time.

use std::fmt;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use super::damage::{Piece, read_damaged};
use super::record::{HEADER, Record, read_header};
use crate::chat::id::Id;
use crate::chat::name::Room;

/// The folder, which no other process uses meanwhile.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    /// Locked as long as it is open.
    _lock: File,
}

/// Why a folder can't be used.
#[derive(Debug)]
pub enum Unusable {
    /// Another process uses it.
    InUse,
    /// Another reason, as a part of a line.
    Because(String),
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Unusable::InUse => "another process uses it; each server needs a folder of its own",
            Unusable::Because(why) => why,
        })
    }
}

/// What reading all files has brought, besides their records.
#[derive(Debug, Default)]
pub struct Read {
    /// The numbers of the files.
    pub files: Vec<u64>,
    /// Their bytes.
    pub bytes: u64,
    /// The lines that are damaged.
    pub damaged: Vec<Vec<u8>>,
    /// The messages in them, as far as they can be read.
    pub lost: Vec<Option<(Room, Id)>>,
    /// The last line has no end: it was being written.
    pub torn: bool,
    /// The server stopped in good order.
    pub stopped: bool,
}

impl Folder {
    /// Makes the folder, if its parent is there, and takes it for this process.
    ///
    /// # Errors
    /// Why it can't be used.
    pub fn open(path: &Path) -> Result<Folder, Unusable> {
        let failed = |what: &str, error: io::Error| Unusable::Because(format!("{what}: {error}"));
        match DirBuilder::new().mode(0o700).create(path) {
            // It must be there after a power cut, too.
            Ok(()) => path
                .parent()
                .map_or(Ok(()), sync_folder)
                .map_err(|error| failed("can't be created", error))?,
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(failed("can't be created", error));
            }
            Err(_) => {}
        }
        let lock = private().truncate(false).open(path.join("lock"));
        let lock = lock.map_err(|error| failed("can't be written", error))?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::WOULDBLOCK) => return Err(Unusable::InUse),
            Err(error) => return Err(failed("can't be locked", error.into())),
            Ok(()) => {}
        }
        Ok(Folder {
            path: path.to_path_buf(),
            _lock: lock,
        })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads all records of all files, in order.
    ///
    /// # Errors
    /// One line about a file that can't be read, or that a newer version has written.
    pub fn read(&self, mut take: impl FnMut(Record)) -> Result<Read, String> {
        let failed = |path: &Path, error: io::Error| format!("--data: {}: {error}", path.display());
        let files = self.files().map_err(|error| failed(&self.path, error))?;
        let mut read = Read::default();
        let mut take_one = |read: &mut Read, record: Record| {
            read.stopped = matches!(record, Record::Stopped);
            if matches!(record, Record::All) {
                read.damaged.clear();
                read.lost.clear();
            }
            take(record);
        };
        for number in files {
            let path = self.file(number);
            let bytes = fs::read(&path).map_err(|error| failed(&path, error))?;
            read.files.push(number);
            read.bytes += bytes.len() as u64;
            (read.torn, read.stopped) = (false, false);
            let mut lines = bytes.split(|byte| *byte == b'\n').peekable();
            match lines.peek().map_or(Ok(false), |line| read_header(line)) {
                Ok(true) => drop(lines.next()),
                // The file has lost its beginning, but each line can be read by itself.
                Ok(false) => {}
                Err(version) => {
                    let path = path.display();
                    let why = "a newer natterjack has written it";
                    return Err(format!("--data: {path}: {why} (format {version})"));
                }
            }
            while let Some(line) = lines.next() {
                let last = lines.peek().is_none();
                match Record::read(line) {
                    _ if line.is_empty() => {}
                    Some(record) => take_one(&mut read, record),
                    None => {
                        let pieces: Vec<Piece> = read_damaged(line).collect();
                        let whole = |piece: &Piece| matches!(piece, Piece::Whole(_));
                        if last && !pieces.iter().any(whole) {
                            read.torn = true;
                            continue;
                        }
                        read.damaged.push(line.to_vec());
                        for piece in pieces {
                            match piece {
                                Piece::Whole(record) => take_one(&mut read, record),
                                // The end of the file may be torn.
                                Piece::Lost(_) if last => {}
                                Piece::Lost(message) => read.lost.push(message),
                            }
                        }
                    }
                }
            }
        }
        Ok(read)
    }

    /// Makes a file with this number that has all of these lines. Returns it, to be appended to, and
    /// its length in bytes.
    ///
    /// # Errors
    /// It can't be written. Then it is not there.
    pub fn create(
        &self,
        number: u64,
        pieces: impl Iterator<Item = Vec<u8>>,
    ) -> io::Result<(File, u64)> {
        let created = self.prepare(number, pieces)?;
        self.publish(number)?;
        Ok(created)
    }

    /// The first half of [`create`](Self::create): nobody reads the file yet.
    ///
    /// # Errors
    /// It can't be written. Then it is not there.
    pub fn prepare(
        &self,
        number: u64,
        pieces: impl Iterator<Item = Vec<u8>>,
    ) -> io::Result<(File, u64)> {
        let new = self.new_file(number);
        let written = (|| {
            let mut file = private().truncate(true).open(&new)?;
            let mut bytes = HEADER.len() as u64 + 1;
            file.write_all(format!("{HEADER}\n").as_bytes())?;
            for piece in pieces {
                file.write_all(&piece)?;
                bytes += piece.len() as u64;
            }
            file.sync_all()?;
            Ok((file, bytes))
        })();
        if written.is_err() {
            // A full disk needs the room.
            let _ = fs::remove_file(&new);
        }
        written
    }

    /// The second half: renames the file, which is whole. So it is there as a whole or not at all.
    ///
    /// # Errors
    /// It may be there or not.
    pub fn publish(&self, number: u64) -> io::Result<()> {
        let renamed = fs::rename(self.new_file(number), self.file(number));
        renamed.and_then(|()| sync_folder(&self.path))
    }

    /// Keeps damaged lines for people to look at, in a file of their own. Returns where.
    ///
    /// # Errors
    /// It can't be written.
    pub fn set_aside(&self, number: u64, lines: &[Vec<u8>]) -> io::Result<PathBuf> {
        let path = self.path.join(format!("damaged-{number:06}"));
        let mut file = private().truncate(true).open(&path)?;
        for line in lines {
            file.write_all(line)?;
            file.write_all(b"\n")?;
        }
        file.sync_all()?;
        Ok(path)
    }

    /// Removes those of these files that are there, also unfinished ones, the oldest first: what is
    /// left always amounts to the same.
    ///
    /// # Errors
    /// One can't be removed.
    pub fn remove(&self, files: &[u64]) -> io::Result<()> {
        for number in files {
            for path in [self.file(*number), self.new_file(*number)] {
                match fs::remove_file(path) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                    _ => {}
                }
            }
        }
        sync_folder(&self.path)
    }

    /// The numbers of the files, in order. Removes what was being written when a crash came.
    fn files(&self) -> io::Result<Vec<u64>> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            let path = entry?.path();
            let name = path.file_name().and_then(|name| name.to_str());
            let Some((number, kind)) = name.and_then(|name| name.split_once('.')) else {
                continue;
            };
            match (number.parse(), kind) {
                (Ok(number), "jsonl") => files.push(number),
                (Ok(_), "new") => fs::remove_file(&path)?,
                _ => {}
            }
        }
        files.sort_unstable();
        Ok(files)
    }

    fn file(&self, number: u64) -> PathBuf {
        self.path.join(format!("{number:06}.jsonl"))
    }

    /// The same file while it is being written.
    fn new_file(&self, number: u64) -> PathBuf {
        self.file(number).with_extension("new")
    }
}

/// Syncs which files are in a folder.
fn sync_folder(path: &Path) -> io::Result<()> {
    let here = path.as_os_str().is_empty();
    File::open(if here { Path::new(".") } else { path })?.sync_all()
}

/// Options of a file that only this user can read, and that is made if it is not there.
fn private() -> OpenOptions {
    let mut options = File::options();
    options.write(true).create(true).mode(0o600);
    options
}
