//! A disk that fails when it is told to: a library in front of the system's, for one process and the
//! files of one folder.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// A disk.
pub struct FailingDisk {
    library: &'static Path,
    folder: PathBuf,
    fault: PathBuf,
}

impl FailingDisk {
    /// There is no room left on it (errno).
    pub const FULL: i32 = 28;
    /// It can't be read or written (errno).
    pub const BROKEN: i32 = 5;

    /// Under the files of this folder.
    pub fn under(folder: &Path) -> FailingDisk {
        FailingDisk {
            library: library(),
            folder: folder.to_path_buf(),
            fault: folder.with_extension("fault"),
        }
    }

    /// What a process must have in its environment to feel it.
    pub fn environment(&self) -> [(&str, &str); 3] {
        [
            ("LD_PRELOAD", self.library),
            ("DISK_FOLDER", &self.folder),
            ("DISK_FAULT", &self.fault),
        ]
        .map(|(name, path)| (name, path.to_str().expect("the tests' paths are UTF-8")))
    }

    /// From now on writes and syncs fail with this error.
    pub fn fails(&self, errno: i32) {
        self.becomes(&errno.to_string());
    }

    /// From now on each sync takes so many milliseconds.
    pub fn is_slow(&self, millis: u64) {
        self.becomes(&format!("slow {millis}"));
    }

    /// All is well again.
    pub fn heals(&self) {
        fs::remove_file(&self.fault).expect("something is wrong with it");
    }

    /// As a whole, since the process reads it at any moment.
    fn becomes(&self, fault: &str) {
        let new = self.fault.with_extension("new");
        fs::write(&new, fault).unwrap();
        fs::rename(&new, &self.fault).unwrap();
    }
}

/// The library, compiled once.
fn library() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/disk_faults.rs");
        let library = Path::new(env!("CARGO_TARGET_TMPDIR")).join("libdisk_faults.so");
        // Other tests may have it loaded.
        let new = library.with_extension(std::process::id().to_string());
        let output = Command::new("rustc")
            .args(["--edition", "2024", "--crate-type", "cdylib", "-o"])
            .arg(&new)
            .arg(source)
            .output()
            .unwrap();
        let why = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{why}");
        fs::rename(&new, &library).unwrap();
        library
    })
}
