//! Bases in tar files.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| testfleet_image::fuzzing::base_tar(bytes));
