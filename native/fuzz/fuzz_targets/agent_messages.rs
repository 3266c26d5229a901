//! What coordinator and agent say to each other, and what the engine tells Gradle: whatever is read survives being written.
#![no_main]

use libfuzzer_sys::fuzz_target;
use serde::{Serialize, de::DeserializeOwned};
use std::fmt::Debug;
use testfleet_protocol::agent::{CoordinatorMessage, Envelope};
use testfleet_protocol::event::Event;

fn survives<T: Serialize + DeserializeOwned + PartialEq + Debug>(bytes: &[u8]) {
    if let Ok(message) = serde_json::from_slice::<T>(bytes) {
        let written = serde_json::to_vec(&message).expect("what was read has a JSON form");
        assert_eq!(serde_json::from_slice::<T>(&written).ok().as_ref(), Some(&message));
    }
}

fuzz_target!(|bytes: &[u8]| {
    survives::<Envelope>(bytes);
    survives::<CoordinatorMessage>(bytes);
    survives::<Event>(bytes);
});
