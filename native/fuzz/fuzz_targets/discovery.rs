//! Class files one after the other, and the tests that each framework has in them.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| testfleet_engine::fuzzing::discovery(bytes));
