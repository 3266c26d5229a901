//! A record of a file that an agent keeps messages in.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| testfleet_wire::fuzzing::spool(bytes));
