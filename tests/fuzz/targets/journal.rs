#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| garbage::journal::survives(bytes));
