//! What the agent says to the harness: whatever is read is written as the same bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use testfleet_protocol::harness::ToHarness;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(message) = ToHarness::decode(bytes) {
        assert_eq!(message.encode(), bytes);
    }
});
