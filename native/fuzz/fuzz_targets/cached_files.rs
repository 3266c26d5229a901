//! Layers that dependencies are restored from.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| testfleet_image::fuzzing::cached_files(bytes));
