//! Length-prefixed frames over any duplex byte stream.
//!
//! A frame is its payload's length as four bytes, most significant first, then the payload. Used
//! between coordinator and agent (payload: JSON) and between agent and harness (payload: see
//! [`crate::harness`]).

use crate::{Failure, FailureCode, Result};
use serde::Serialize;

/// Longest payload in bytes. Whoever has more to say, says it in several frames.
pub const MAX_FRAME: usize = 16 << 20;

/// Appends `payload` as a frame to `out`.
///
/// # Errors
/// [`FailureCode::Internal`] when the payload is longer than [`MAX_FRAME`].
pub fn encode(payload: &[u8], out: &mut Vec<u8>) -> Result<()> {
    if payload.len() > MAX_FRAME {
        return Err(Failure::new(
            FailureCode::Internal,
            format!("failed to send a message of {} bytes; the limit is {MAX_FRAME}", payload.len()),
        ));
    }
    out.extend_from_slice(&(payload.len() as u32).to_be_bytes());
    out.extend_from_slice(payload);
    Ok(())
}

/// A message as JSON in a frame, ready to be written.
///
/// # Errors
/// [`FailureCode::Internal`] when it can't be encoded or is longer than [`MAX_FRAME`].
pub fn of_json(message: &impl Serialize) -> Result<Vec<u8>> {
    let json = serde_json::to_vec(message)
        .map_err(|error| Failure::new(FailureCode::Internal, "failed to encode a message").cause(&error))?;
    let mut frame = Vec::with_capacity(json.len() + 4);
    encode(&json, &mut frame)?;
    Ok(frame)
}

/// Takes frames out of bytes that arrive in pieces of any size.
#[derive(Debug, Default)]
pub struct Decoder {
    buffer: Vec<u8>,
    read: usize,
}

impl Decoder {
    /// Adds bytes as they arrived.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.read > 0 && self.read >= self.buffer.len() / 2 {
            self.buffer.drain(..self.read);
            self.read = 0;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole frame's payload, or `None` until more bytes arrive.
    ///
    /// # Errors
    /// [`FailureCode::WorkerBroken`] when a length exceeds [`MAX_FRAME`]: the peer speaks something
    /// else, and nothing after it can be trusted.
    pub fn next_frame(&mut self) -> Result<Option<Vec<u8>>> {
        let pending = &self.buffer[self.read..];
        let Some(prefix) = pending.first_chunk::<4>() else { return Ok(None) };
        let length = u32::from_be_bytes(*prefix) as usize;
        if length > MAX_FRAME {
            return Err(Failure::new(
                FailureCode::WorkerBroken,
                format!("failed to read a message: its length of {length} bytes is over the limit of {MAX_FRAME}"),
            )
            .hint("something else wrote to Testfleet's own channel"));
        }
        let Some(payload) = pending.get(4..4 + length) else { return Ok(None) };
        let payload = payload.to_vec();
        self.read += 4 + length;
        Ok(Some(payload))
    }

    /// Whether bytes of an unfinished frame are left.
    pub fn has_partial(&self) -> bool {
        self.read < self.buffer.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn frames_survive_any_fragmentation(
            payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..64), 0..12),
            cuts in prop::collection::vec(1_usize..9, 1..40),
        ) {
            let mut bytes = Vec::new();
            for payload in &payloads {
                encode(payload, &mut bytes).unwrap();
            }
            let mut decoder = Decoder::default();
            let mut decoded = Vec::new();
            let mut rest = &bytes[..];
            let mut cuts = cuts.iter().cycle();
            while !rest.is_empty() {
                let cut = (*cuts.next().unwrap()).min(rest.len());
                decoder.push(&rest[..cut]);
                rest = &rest[cut..];
                while let Some(frame) = decoder.next_frame().unwrap() {
                    decoded.push(frame);
                }
            }
            prop_assert_eq!(decoded, payloads);
            prop_assert!(!decoder.has_partial());
        }

        #[test]
        fn any_bytes_are_frames_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..256)) {
            let mut decoder = Decoder::default();
            decoder.push(&bytes);
            while let Ok(Some(_)) = decoder.next_frame() {}
        }
    }

    #[test]
    fn an_absurd_length_is_refused() {
        let mut decoder = Decoder::default();
        decoder.push(&[0xff; 8]);
        assert_eq!(decoder.next_frame().unwrap_err().code, FailureCode::WorkerBroken);
    }
}
