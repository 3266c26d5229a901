//! Credentials as an agent gets them on standard input.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| testfleet_wire::fuzzing::credentials(bytes));
