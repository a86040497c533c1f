//! What the kernel says of the disk that holds a folder.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use crate::counts::Histogram;

/// How often a sync is timed, ...
const SYNCS: usize = 100;
/// ... and the time between two of them.
const PAUSE: Duration = Duration::from_millis(20);
/// Sectors in the kernel's counters have so many bytes, on any disk.
const SECTOR: u64 = 512;

/// The disk, and a folder on it.
pub struct Disk {
    folder: PathBuf,
    /// `major:minor`, as the kernel's files name it.
    device: String,
}

impl Disk {
    /// The disk that holds this folder.
    pub fn of(folder: &Path) -> io::Result<Disk> {
        let number = fs::metadata(folder)?.dev();
        let (major, minor) = (rustix::fs::major(number), rustix::fs::minor(number));
        Ok(Disk {
            folder: folder.to_path_buf(),
            device: format!("{major}:{minor}"),
        })
    }

    /// Its file system, by name.
    pub fn file_system(&self) -> String {
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let mount = mounts
            .lines()
            .find(|line| line.split(' ').nth(2) == Some(&self.device));
        let kind = mount.and_then(|line| line.split_once(" - ")?.1.split(' ').next());
        kind.unwrap_or("an unknown file system").to_owned()
    }

    /// Writes out all that waits in its file system. Returns how many bytes the disk has written so
    /// far, by anybody: none where the kernel counts none, as for a tmpfs.
    pub fn written(&self) -> io::Result<Option<u64>> {
        rustix::fs::syncfs(File::open(&self.folder)?)?;
        // The seventh figure counts the sectors that were written.
        let stat = fs::read_to_string(format!("/sys/dev/block/{}/stat", self.device));
        let sectors = stat
            .ok()
            .and_then(|stat| stat.split_whitespace().nth(6)?.parse().ok());
        Ok(sectors.map(|sectors: u64| sectors * SECTOR))
    }

    /// How long it takes until a line that was appended to a file is on the disk.
    pub fn sync_times(&self) -> io::Result<Histogram> {
        let path = self.folder.join("sync");
        let timed = (|| {
            let (mut file, mut times) = (File::create(&path)?, Histogram::default());
            for _ in 0..SYNCS {
                let began = Instant::now();
                file.write_all(&[b'x'; 200])?;
                file.sync_data()?;
                times.add(began.elapsed());
                thread::sleep(PAUSE);
            }
            Ok(times)
        })();
        fs::remove_file(&path)?;
        timed
    }
}
