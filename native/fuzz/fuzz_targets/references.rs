//! What a class file mentions of the build's classes.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| testfleet_engine::fuzzing::references(bytes));
