//! Everything that parses is fed with what `make fuzz` has found worth keeping, and with what has
//! once done harm. A folder of `tests/fuzz/corpus` for each.

#[path = "fuzz/src/lib.rs"]
mod fuzz;

use std::fs;
use std::panic::{self, AssertUnwindSafe};
use std::path::Path;

/// Feeds a folder, and names the file that does harm.
fn feed(target: &str, survives: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus");
    let files =
        fs::read_dir(folder.join(target)).unwrap_or_else(|error| panic!("{target}: {error}"));
    let mut count = 0;
    for file in files {
        let path = file.unwrap().path();
        let bytes = fs::read(&path).unwrap();
        if let Err(harm) = panic::catch_unwind(AssertUnwindSafe(|| survives(&bytes))) {
            eprintln!("{} does harm", path.display());
            panic::resume_unwind(harm);
        }
        count += 1;
    }
    assert!(count > 0, "nothing to feed to {target}");
}

#[test]
fn the_port_survives_any_head() {
    feed("head", fuzz::head::survives);
}

#[test]
fn the_dialects_survive_any_frame() {
    feed("dialects", fuzz::dialects::survives);
}

#[test]
fn the_channels_survive_any_payload() {
    feed("envelope", fuzz::envelope::survives);
}

#[test]
fn replays_survive_any_id() {
    feed("ids", fuzz::ids::survives);
}

#[test]
fn the_redis_connection_survives_any_reply() {
    feed("resp", fuzz::resp::survives);
}

#[test]
fn a_journal_survives_any_line() {
    feed("journal", fuzz::journal::survives);
}
