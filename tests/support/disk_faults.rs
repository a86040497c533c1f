//! Compiled by itself to a library that is loaded in front of the system's: a disk that fails when it
//! is told to. `DISK_FOLDER` names the folder whose files are struck; `DISK_FAULT` a file that holds
//! the number of the error (errno), or is not there.

use std::ffi::{c_char, c_int, c_long, c_void};
use std::sync::OnceLock;

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

/// The error with which an operation on this file fails now.
fn fault(file: c_int) -> Option<c_int> {
    static PLACES: OnceLock<[String; 2]> = OnceLock::new();
    let [folder, fault] = PLACES.get_or_init(|| ["DISK_FOLDER", "DISK_FAULT"].map(variable));
    let link = format!("/proc/self/fd/{file}\0");
    let mut path = [0_u8; 4096];
    let length = unsafe { readlink(link.as_ptr().cast(), path.as_mut_ptr().cast(), path.len()) };
    let path = &path[..usize::try_from(length).ok()?];
    if folder.is_empty() || !path.starts_with(folder.as_bytes()) {
        return None;
    }
    std::fs::read_to_string(fault).ok()?.trim().parse().ok()
}

fn fail(errno: c_int) -> isize {
    unsafe { *__errno_location() = errno };
    -1
}

#[unsafe(no_mangle)]
pub extern "C" fn write(file: c_int, bytes: *const c_void, count: usize) -> isize {
    match fault(file) {
        Some(errno) => fail(errno),
        None => unsafe { syscall(NUMBERS[0], file, bytes, count) as isize },
    }
}

#[unsafe(no_mangle)]
pub extern "C" fn fsync(file: c_int) -> c_int {
    match fault(file) {
        Some(errno) => fail(errno) as c_int,
        None => unsafe { syscall(NUMBERS[1], file) as c_int },
    }
}

#[unsafe(no_mangle)]
pub extern "C" fn fdatasync(file: c_int) -> c_int {
    match fault(file) {
        Some(errno) => fail(errno) as c_int,
        None => unsafe { syscall(NUMBERS[2], file) as c_int },
    }
}
