//! One message in a file of an agent's spool: number, length and checksum, then the message.

use testfleet_protocol::{Failure, FailureCode, Result, frame};

/// Bytes before the message.
pub const HEADER: usize = 8 + 4 + 4;

/// Appends a record.
///
/// # Errors
/// [`FailureCode::Internal`] when the message is longer than a frame may be.
pub fn append(seq: u64, message: &[u8], out: &mut Vec<u8>) -> Result<()> {
    if message.len() > frame::MAX_FRAME + 4 {
        let text = format!("failed to keep a message of {} bytes; the limit is {}", message.len(), frame::MAX_FRAME);
        return Err(Failure::new(FailureCode::Internal, text));
    }
    out.extend(seq.to_be_bytes());
    out.extend((message.len() as u32).to_be_bytes());
    out.extend(checksum(seq, message).to_be_bytes());
    out.extend(message);
    Ok(())
}

/// The message of number `seq` in the bytes of its record.
///
/// # Errors
/// [`FailureCode::Io`] when they are not what was written.
pub fn read(seq: u64, record: &[u8]) -> Result<&[u8]> {
    let damaged = |what: &str| {
        Failure::new(FailureCode::Io, format!("failed to read message {seq} from the spool: {what}"))
            .hint("something changed the files in the worker's temporary folder, or its disk is broken")
    };
    let Some((header, message)) = record.split_first_chunk::<HEADER>() else { return Err(damaged("it is cut off")) };
    let (number, rest) = header.split_at(8);
    let (length, sum) = rest.split_at(4);
    if number != seq.to_be_bytes() {
        return Err(damaged("another one is in its place"));
    }
    if length != (message.len() as u32).to_be_bytes() {
        return Err(damaged("its length is another one"));
    }
    if sum != checksum(seq, message).to_be_bytes() {
        return Err(damaged("its checksum is another one"));
    }
    Ok(message)
}

fn checksum(seq: u64, message: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&seq.to_be_bytes());
    hasher.update(message);
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_change_anywhere_is_noticed(
            seq: u64,
            message in prop::collection::vec(any::<u8>(), 0..200),
            at: prop::sample::Index,
            change in 1_u8..,
        ) {
            let mut record = Vec::new();
            append(seq, &message, &mut record).unwrap();
            prop_assert_eq!(read(seq, &record).unwrap(), &message[..]);
            let at = at.index(record.len());
            record[at] ^= change;
            prop_assert!(read(seq, &record).is_err());
            record[at] ^= change;
            record.truncate(at);
            prop_assert!(read(seq, &record).is_err());
        }
    }
}
