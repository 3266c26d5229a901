//! Ant patterns on relative paths.
#![no_main]

use libfuzzer_sys::fuzz_target;
use testfleet_engine::fuzzing;

fuzz_target!(|input: (Vec<String>, Vec<String>, String)| fuzzing::ant_patterns(&input.0, &input.1, &input.2));
