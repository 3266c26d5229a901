//! Patterns on TestNG groups.
#![no_main]

use libfuzzer_sys::fuzz_target;
use testfleet_engine::fuzzing;

fuzz_target!(|input: (&str, &str)| fuzzing::group_pattern(input.0, input.1));
