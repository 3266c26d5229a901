//! What the harness says to the agent: whatever is read is written as the same bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use testfleet_protocol::harness::FromHarness;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(message) = FromHarness::decode(bytes) {
        assert_eq!(message.encode(), bytes);
    }
});
