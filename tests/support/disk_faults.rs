//! Compiled by itself to a library that is loaded in front of the system's: a disk that fails when it
//! is told to. `DISK_FOLDER` names the folder whose files are struck; `DISK_FAULT` a file that holds
//! the number of the error (errno), or `slow` and how many milliseconds a sync takes, or is not there.

use std::ffi::{c_char, c_int, c_long, c_void};
use std::sync::OnceLock;
use std::thread;
use std::time::Duration;

/// The disk is full. What is written until then is written in part.
const ENOSPC: c_int = 28;

unsafe extern "C" {
    fn syscall(number: c_long, ...) -> c_long;
    fn __errno_location() -> *mut c_int;
    fn readlink(path: *const c_char, out: *mut c_char, most: usize) -> isize;
}

#[cfg(target_arch = "x86_64")]
const NUMBERS: [c_long; 3] = [1, 74, 75];
#[cfg(target_arch = "aarch64")]
const NUMBERS: [c_long; 3] = [64, 82, 83];

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_default()
}

/// What happens to a file now.
enum Fault {
    /// Operations fail with this error.
    Fails(c_int),
    /// Syncs take so long.
    IsSlow(Duration),
}

fn fault(file: c_int) -> Option<Fault> {
    static PLACES: OnceLock<[String; 2]> = OnceLock::new();
    let [folder, fault] = PLACES.get_or_init(|| ["DISK_FOLDER", "DISK_FAULT"].map(variable));
    let link = format!("/proc/self/fd/{file}\0");
    let mut path = [0_u8; 4096];
    let length = unsafe { readlink(link.as_ptr().cast(), path.as_mut_ptr().cast(), path.len()) };
    let path = &path[..usize::try_from(length).ok()?];
    if folder.is_empty() || !path.starts_with(folder.as_bytes()) {
        return None;
    }
    let fault = std::fs::read_to_string(fault).ok()?;
    Some(match fault.split_once(' ') {
        Some(("slow", millis)) => Fault::IsSlow(Duration::from_millis(millis.parse().ok()?)),
        _ => Fault::Fails(fault.parse().ok()?),
    })
}

fn fail(errno: c_int) -> isize {
    unsafe { *__errno_location() = errno };
    -1
}

fn sync(number: c_long, file: c_int) -> c_int {
    match fault(file) {
        Some(Fault::Fails(errno)) => return fail(errno) as c_int,
        Some(Fault::IsSlow(time)) => thread::sleep(time),
        None => {}
    }
    unsafe { syscall(number, file) as c_int }
}

#[unsafe(no_mangle)]
pub extern "C" fn write(file: c_int, bytes: *const c_void, count: usize) -> isize {
    let count = match fault(file) {
        Some(Fault::Fails(ENOSPC)) if count > 1 => count / 2,
        Some(Fault::Fails(ENOSPC)) => return fail(ENOSPC),
        // The system takes it, and only a sync finds that the disk does not.
        _ => count,
    };
    unsafe { syscall(NUMBERS[0], file, bytes, count) as isize }
}

#[unsafe(no_mangle)]
pub extern "C" fn fsync(file: c_int) -> c_int {
    sync(NUMBERS[1], file)
}

#[unsafe(no_mangle)]
pub extern "C" fn fdatasync(file: c_int) -> c_int {
    sync(NUMBERS[2], file)
}
