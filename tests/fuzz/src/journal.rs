//! The lines of a journal, as a disk may give them back.

use natterjack::bus::local::journal::record::{Record, read_header};

use super::rules;

/// A line that is understood obeys the rules, and is written as it was read.
pub fn survives(bytes: &[u8]) {
    for line in bytes.split(|byte| *byte == b'\n') {
        let _ = read_header(line);
        let Some(record) = Record::read(line) else {
            continue;
        };
        if let Record::Message(event, _) = &record {
            rules::event(event);
            assert!(event.id().is_some());
        }
        if let Record::Measure(_, measure, _) = &record {
            rules::measure(measure);
        }
        let mut written = Vec::new();
        record.write(&mut written);
        let again = Record::read(written.trim_ascii_end()).expect("it is whole");
        assert_eq!(format!("{again:?}"), format!("{record:?}"));
    }
}
