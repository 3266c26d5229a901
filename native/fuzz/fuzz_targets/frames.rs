//! Frames that arrive in pieces: the pieces decide nothing, and what was decoded encodes to the same bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use testfleet_protocol::frame::{Decoder, encode};

/// The frames, and whether the bytes after them were refused.
fn decode<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> (Vec<Vec<u8>>, bool) {
    let (mut decoder, mut frames) = (Decoder::default(), Vec::new());
    for piece in pieces {
        decoder.push(piece);
        loop {
            match decoder.next_frame() {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(_) => return (frames, true),
            }
        }
    }
    (frames, false)
}

fuzz_target!(|input: (u8, &[u8])| {
    let (size, bytes) = input;
    let whole = decode(std::iter::once(bytes));
    assert_eq!(decode(bytes.chunks(usize::from(size).max(1))), whole);
    let mut encoded = Vec::new();
    for frame in &whole.0 {
        encode(frame, &mut encoded).expect("a frame that came fits");
    }
    assert!(bytes.starts_with(&encoded));
});
