//! Tag expressions of the JUnit Platform.
#![no_main]

use libfuzzer_sys::fuzz_target;
use testfleet_engine::fuzzing;

fuzz_target!(|input: (Vec<String>, &str)| fuzzing::tag_expression(input.1, &input.0));
