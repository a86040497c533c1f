//! `--check` of a folder: whether it can be used, what is in it, and how fast its disk is.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::statvfs;

use super::folder::{Folder, Unusable};
use crate::report::Report;

/// With less room a disk is soon full.
const LITTLE: u64 = 64 * 1024 * 1024;
/// A sync that takes longer is slow: acknowledgements wait for it.
const SLOW: Duration = Duration::from_millis(500);

/// Looks at the folder of `--data`. Makes it, as the server would.
pub fn check(path: &Path, report: &mut Report) {
    let name = format!("data {}", path.display());
    let folder = match Folder::open(path) {
        Ok(folder) => folder,
        Err(Unusable::InUse) => {
            return report.ok(format_args!("{name}: a running server uses it"));
        }
        Err(Unusable::Because(why)) => return report.fail(format_args!("{name}: {why}")),
    };
    let mut records = 0;
    match folder.read(|_| records += 1) {
        Err(why) => return report.fail(why),
        Ok(read) if !read.damaged.is_empty() => report.warn(format_args!(
            "{name}: {} lines are damaged, {records} are well; the server skips the damaged ones",
            read.damaged.len()
        )),
        Ok(read) => report.ok(format_args!(
            "{name}: {records} lines, {} KiB",
            read.bytes / 1024
        )),
    }
    match sync_time(path) {
        Err(error) => report.fail(format_args!("{name}: can't be written: {error}")),
        Ok(time) if time > SLOW => report.warn(format_args!(
            "{name}: a sync takes {time:.1?}; acknowledgements wait for it"
        )),
        Ok(time) => report.ok(format_args!("{name}: a sync takes {time:.1?}")),
    }
    if let Ok(disk) = statvfs(path) {
        let free = disk.f_bavail * disk.f_frsize;
        let mib = free / (1024 * 1024);
        match free < LITTLE {
            true => report.warn(format_args!("{name}: only {mib} MiB are free")),
            false => report.ok(format_args!("{name}: {mib} MiB are free")),
        }
    }
}

/// How long it takes until some bytes are on the disk.
fn sync_time(folder: &Path) -> io::Result<Duration> {
    let path = folder.join("check");
    let timed = (|| {
        let mut file = File::create(&path)?;
        file.write_all(&[b'x'; 512])?;
        file.sync_all()?;
        let started = Instant::now();
        file.write_all(&[b'x'; 512])?;
        file.sync_data()?;
        Ok(started.elapsed())
    })();
    let removed = fs::remove_file(&path);
    timed.and_then(|time| removed.map(|()| time))
}
