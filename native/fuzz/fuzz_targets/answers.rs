//! Kept answers of test frameworks, and what they make of classes.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| testfleet_engine::fuzzing::answers(bytes));
