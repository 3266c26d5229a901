//! Manifests, indexes and configurations of bases.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| testfleet_image::fuzzing::base_document(bytes));
