//! Pieces of files that workers send.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| testfleet_engine::fuzzing::file_pieces(bytes));
