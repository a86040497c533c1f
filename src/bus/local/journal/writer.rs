//! What is done to the files: append and sync, and replace them when they have grown.

use std::fmt;
use std::fs::File;
use std::io::{self, Write};
use std::mem;
use std::sync::Arc;

use smol::future;
use smol::{Task, unblock};

use super::folder::{Folder, Read};

/// Files that take less together are not replaced.
const SMALL: u64 = 1024 * 1024;

/// Makes the lines of everything that is kept, piece by piece, or only the first piece, with which
/// every file begins. It is called on the thread that writes.
pub type Live = Arc<dyn Fn(What) -> Pieces + Send + Sync>;
/// Which lines are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
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
    /// The older files are being replaced by one, whose length in bytes this returns. So much has been
    /// appended meanwhile.
    replacing: Option<(Task<io::Result<u64>>, u64)>,
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Writer({})", self.number)
    }
}

impl Writer {
    /// Goes on after the files that have been read. Nothing is written yet.
    pub fn new(folder: Arc<Folder>, live: Live, read: &Read) -> Writer {
        Writer {
            folder,
            live,
            file: None,
            number: read.files.last().copied().unwrap_or(0),
            older: read.files.clone(),
            bytes: read.bytes,
            limit: SMALL,
            replacing: None,
        }
    }

    /// What all files take, in bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Makes the file that is written to: a new one behind those that there are. If they are damaged
    /// or have grown too much, it takes their place. Waits for the disk.
    ///
    /// # Errors
    /// It can't be made. The files stay as they are.
    pub fn start(&mut self, damaged: bool) -> io::Result<()> {
        if self.bytes > SMALL {
            let live = (self.live)(What::Everything).map(|piece| piece.len() as u64);
            self.limit = SMALL.max(2 * live.sum::<u64>());
        }
        let (number, replaces) = (self.number + 1, damaged || self.bytes > self.limit);
        let what = if replaces {
            What::Everything
        } else {
            What::Beginning
        };
        let (file, bytes) = self.folder.create(number, (self.live)(what))?;
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
        // One that is on its way is of no use any more.
        self.replacing = None;
        let number = self.number + 2;
        let (folder, live, mut older) = (self.folder.clone(), self.live.clone(), self.files());
        older.push(self.number + 1);
        let replace = move || {
            let created = folder.create(number, live(What::Everything))?;
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
            file.write_all(&lines)?;
            file.sync_data()?;
            Ok(file)
        };
        let appended: io::Result<_> = unblock(append).await;
        self.file = Some(appended?);
        self.bytes += bytes;
        if let Some((_, appended)) = &mut self.replacing {
            *appended += bytes;
        }
        Ok(())
    }

    /// If the files have grown too much, begins to replace them. What is appended from now on goes to
    /// a file behind the one that is written in their place. Goes on to the next step at each call.
    ///
    /// # Errors
    /// It can't be done. It will be tried again when the files have grown more.
    pub async fn keep_small(&mut self) -> io::Result<()> {
        if let Some((task, appended)) = &mut self.replacing {
            let Some(done) = future::poll_once(task).await else {
                return Ok(());
            };
            let appended = *appended;
            self.replacing = None;
            let bytes = done?;
            self.older = vec![self.number - 1];
            self.replaced(bytes);
            self.bytes += appended;
        } else if self.bytes > self.limit {
            self.limit = self.bytes + SMALL;
            let (number, older) = (self.number + 2, self.files());
            let (folder, live) = (self.folder.clone(), self.live.clone());
            let create = move || folder.create(number, live(What::Beginning));
            let (file, bytes) = unblock(create).await?;
            self.file = Some(file);
            self.added(number, bytes);
            let (folder, live) = (self.folder.clone(), self.live.clone());
            let replace = move || {
                let (_, bytes) = folder.create(number - 1, live(What::Everything))?;
                folder.remove(&older)?;
                Ok(bytes)
            };
            self.replacing = Some((unblock(replace), 0));
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
        self.bytes = bytes;
        self.limit = SMALL.max(2 * bytes);
    }
}
