//! Coverage data of JaCoCo, as workers send it.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| testfleet_engine::fuzzing::coverage(bytes));
