//! What is done to the files: append and sync, and replace them when they have grown.

use std::fmt;
use std::fs::File;
use std::io::{self, Seek, Write};
use std::mem;
use std::path::PathBuf;
use std::sync::Arc;

use smol::future;
use smol::{Task, unblock};

use super::folder::{Folder, Read};

/// Files that take less together are not replaced.
const SMALL: u64 = 1024 * 1024;

/// Makes the lines of everything that is kept, piece by piece, or only the first piece, with which
/// every file begins. It is called on the thread that writes.
pub type Live = Arc<dyn Fn(Scope) -> Pieces + Send + Sync>;
/// Which lines are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Those of everything that is kept.
    Everything,
    /// Those with which every file begins.
    Beginning,
}

/// Lines, some at a time.
pub type Pieces = Box<dyn Iterator<Item = Vec<u8>> + Send>;

/// The files of a journal, of which the last one is written to. What waits for the disk is done on
/// another thread. It goes on there when a future is dropped, but the writer is of no use then.
pub struct Writer {
    folder: Arc<Folder>,
    live: Live,
    /// The last file; none before the start and after a failure.
    file: Option<File>,
    /// Its number.
    number: u64,
    /// The numbers of the others.
    older: Vec<u64>,
    /// What all files take, in bytes.
    bytes: u64,
    /// The files are replaced when they take more than this.
    limit: u64,
    /// The damaged lines of the files that were read, until others have taken the place of these.
    damaged: Arc<Vec<Vec<u8>>>,
    /// The older files are being replaced by one.
    replacing: Option<Replacing>,
    /// So many bytes have been appended meanwhile.
    appended: u64,
}

/// The steps in which older files are replaced by one.
enum Replacing {
    /// It is being written. Returns its length in bytes.
    Writing(Task<io::Result<u64>>),
    /// It is whole, so long. It may say of a message that it is known, or have the message without its
    /// reference, when the message itself still waits to be appended. So it takes the place of the
    /// others only when something has been appended after that: then everything it says is there.
    Written(u64),
    /// It takes the place of the others.
    Publishing(Task<io::Result<()>>, u64),
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Writer({})", self.number)
    }
}

impl Writer {
    /// Goes on after the files that have been read, of which about `live_bytes` are still needed.
    /// Nothing is written yet.
    pub fn new(folder: Arc<Folder>, live: Live, read: Read, live_bytes: u64) -> Writer {
        Writer {
            folder,
            live,
            file: None,
            number: read.files.last().copied().unwrap_or(0),
            older: read.files,
            bytes: read.bytes,
            limit: SMALL.max(2 * live_bytes),
            damaged: Arc::new(read.damaged),
            replacing: None,
            appended: 0,
        }
    }

    /// What all files take, in bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Keeps damaged lines elsewhere, and returns where; `None` if there are none. Waits for the disk.
    ///
    /// # Errors
    /// They can't be kept. The files must stay as they are.
    pub fn set_aside(&self) -> io::Result<Option<PathBuf>> {
        match &self.damaged[..] {
            [] => Ok(None),
            lines => self.folder.set_aside(self.number, lines).map(Some),
        }
    }

    /// Makes the file that is written to: a new one behind those that there are. If they are damaged
    /// or have grown too much, it takes their place. Waits for the disk.
    ///
    /// # Errors
    /// It can't be made. The files stay as they are.
    pub fn start(&mut self) -> io::Result<()> {
        let number = self.number + 1;
        let replaces = !self.damaged.is_empty() || self.bytes > self.limit;
        let scope = if replaces {
            Scope::Everything
        } else {
            Scope::Beginning
        };
        let (file, bytes) = self.folder.create(number, (self.live)(scope))?;
        self.file = Some(file);
        if replaces {
            self.number = number;
            self.replaced(bytes);
            return self.folder.remove(&mem::take(&mut self.older));
        }
        self.added(number, bytes);
        Ok(())
    }

    /// Writes everything that is kept to a new file, which takes the place of all others.
    ///
    /// # Errors
    /// It can't be written. The files stay as they are.
    pub async fn replace(&mut self) -> io::Result<()> {
        // What is on its way must not come later, with messages that have been taken back.
        match self.replacing.take() {
            Some(Replacing::Writing(task)) => drop(task.await),
            Some(Replacing::Publishing(task, _)) => drop(task.await),
            Some(Replacing::Written(_)) | None => {}
        }
        let number = self.number + 2;
        let (folder, live, mut older) = (self.folder.clone(), self.live.clone(), self.files());
        older.extend([self.number.saturating_sub(1), self.number + 1]);
        let (damaged, last) = (self.damaged.clone(), self.number);
        let replace = move || {
            if !damaged.is_empty() {
                folder.set_aside(last, &damaged)?;
            }
            let created = folder.create(number, live(Scope::Everything))?;
            folder.remove(&older)?;
            Ok(created)
        };
        let created: io::Result<_> = unblock(replace).await;
        let (file, bytes) = created?;
        (self.file, self.number, self.older) = (Some(file), number, Vec::new());
        self.replaced(bytes);
        Ok(())
    }

    /// Appends lines and waits until they are on the disk.
    ///
    /// # Errors
    /// They are not, or nobody knows. The file is not written to any more.
    pub async fn append(&mut self, lines: Vec<u8>) -> io::Result<()> {
        let mut file = self.file.take().ok_or(io::ErrorKind::NotConnected)?;
        let bytes = lines.len() as u64;
        let append = move || {
            let before = file.stream_position()?;
            let written = file.write_all(&lines).and_then(|()| file.sync_data());
            if written.is_err() {
                // The messages are taken back, and a crash must not bring them again.
                let _ = file.set_len(before);
            }
            written.map(|()| file)
        };
        let appended: io::Result<_> = unblock(append).await;
        self.file = Some(appended?);
        self.bytes += bytes;
        self.appended += bytes;
        Ok(())
    }

    /// If the files have grown too much, begins to replace them. What is appended from now on goes to
    /// a file behind the one that is written in their place. Goes on to the next step at each call.
    ///
    /// # Errors
    /// It can't be done. It will be tried again when the files have grown more.
    pub async fn keep_small(&mut self) -> io::Result<()> {
        match self.replacing.take() {
            Some(Replacing::Writing(mut task)) => {
                self.replacing = Some(match future::poll_once(&mut task).await {
                    Some(bytes) => Replacing::Written(bytes?),
                    None => Replacing::Writing(task),
                });
            }
            Some(Replacing::Written(bytes)) => {
                let (folder, number, older) =
                    (self.folder.clone(), self.number - 1, self.older.clone());
                let publish = move || {
                    folder.publish(number)?;
                    folder.remove(&older)
                };
                self.replacing = Some(Replacing::Publishing(unblock(publish), bytes));
            }
            Some(Replacing::Publishing(mut task, bytes)) => {
                match future::poll_once(&mut task).await {
                    Some(done) => {
                        done?;
                        self.older = vec![self.number - 1];
                        self.replaced(bytes);
                        self.bytes += self.appended;
                    }
                    None => self.replacing = Some(Replacing::Publishing(task, bytes)),
                }
            }
            None if self.bytes > self.limit => {
                self.limit = self.bytes + SMALL;
                let number = self.number + 2;
                let (folder, live) = (self.folder.clone(), self.live.clone());
                let create = move || folder.create(number, live(Scope::Beginning));
                let (file, bytes) = unblock(create).await?;
                self.file = Some(file);
                self.added(number, bytes);
                self.appended = 0;
                let (folder, live) = (self.folder.clone(), self.live.clone());
                let write = move || {
                    let (_, bytes) = folder.prepare(number - 1, live(Scope::Everything))?;
                    Ok(bytes)
                };
                self.replacing = Some(Replacing::Writing(unblock(write)));
            }
            None => {}
        }
        Ok(())
    }

    /// The numbers of all files.
    fn files(&self) -> Vec<u64> {
        let mut files = self.older.clone();
        files.push(self.number);
        files
    }

    /// There is one more file, which is the last.
    fn added(&mut self, number: u64, bytes: u64) {
        self.older = self.files();
        self.number = number;
        self.bytes += bytes;
    }

    /// One file of this length has taken the place of others.
    fn replaced(&mut self, bytes: u64) {
        self.damaged = Arc::default();
        self.bytes = bytes;
        self.limit = SMALL.max(2 * bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A writer whose file has grown too much, and the folder.
    fn grown() -> (Writer, tempfile::TempDir) {
        let dir = tempfile::tempdir().unwrap();
        let folder = Arc::new(Folder::open(&dir.path().join("data")).unwrap());
        let read = folder.read(|_| {}).unwrap();
        let live: Live = Arc::new(|_| Box::new(std::iter::once(b"live\n".to_vec())));
        let mut writer = Writer::new(folder, live, read, 0);
        writer.start().unwrap();
        let much = vec![b'\n'; SMALL as usize + 1];
        future::block_on(writer.append(much)).unwrap();
        (writer, dir)
    }

    fn files(dir: &tempfile::TempDir) -> Vec<String> {
        let files = std::fs::read_dir(dir.path().join("data")).unwrap();
        let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.filter(|name| name != "lock").collect();
        names.sort();
        names
    }

    #[test]
    fn files_are_replaced_only_when_what_the_new_one_says_was_appended() {
        let (mut writer, dir) = grown();
        future::block_on(async {
            writer.keep_small().await.unwrap();
            while !matches!(writer.replacing, Some(Replacing::Written(_))) {
                writer.keep_small().await.unwrap();
            }
        });
        let whole = ["000001.jsonl", "000002.new", "000003.jsonl"];
        assert_eq!(files(&dir), whole);
        future::block_on(async {
            writer.append(b"what waited\n".to_vec()).await.unwrap();
            while writer.replacing.is_some() {
                writer.keep_small().await.unwrap();
            }
        });
        assert_eq!(files(&dir), ["000002.jsonl", "000003.jsonl"]);
    }

    #[test]
    fn a_replacement_on_its_way_does_not_come_after_a_repair() {
        let (mut writer, dir) = grown();
        future::block_on(async {
            writer.keep_small().await.unwrap();
            assert!(matches!(writer.replacing, Some(Replacing::Writing(_))));
            writer.replace().await.unwrap();
        });
        assert_eq!(files(&dir), ["000005.jsonl"]);
    }
}
