//! POMs of dependencies.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| testfleet_image::fuzzing::pom(bytes));
