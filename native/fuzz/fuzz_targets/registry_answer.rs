//! Names of images, and answers of registries.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| testfleet_image::fuzzing::registry_answer(bytes));
