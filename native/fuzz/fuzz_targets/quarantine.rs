//! The quarantine file, and a plan marked with it.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| testfleet_engine::fuzzing::quarantine(bytes));
