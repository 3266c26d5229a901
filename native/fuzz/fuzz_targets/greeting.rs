//! What a peer says first inside TLS.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| testfleet_wire::fuzzing::greeting(bytes));
