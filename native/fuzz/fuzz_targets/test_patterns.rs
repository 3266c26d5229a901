//! Gradle's test patterns.
#![no_main]

use libfuzzer_sys::fuzz_target;
use testfleet_engine::fuzzing;

type Input = (Vec<String>, Vec<String>, Vec<String>, String, String);

fuzz_target!(|input: Input| {
    let (includes, excludes, command_line, class, method) = &input;
    fuzzing::test_patterns(includes, excludes, command_line, class, method);
});
