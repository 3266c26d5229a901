//! What both sides say first, inside TLS: 10 bytes whose layout no version changes, then who they are, and the token.
//!
//! `TFLT`, the protocol's version as four bytes, the length of the rest as two; the rest is one byte (what it is), the
//! worker's number and life as four bytes each, and the token. All numbers have their most significant byte first. Who
//! dialed speaks first; who accepted answers only when that was right, or with those ten bytes alone when the versions
//! differ.

use crate::credentials::TOKEN;
use subtle::ConstantTimeEq;
use testfleet_protocol::VERSION;

const MAGIC: [u8; 4] = *b"TFLT";
/// Bytes of the part that no version changes.
pub(crate) const PREFIX: usize = 10;
/// Bytes of the rest in this version.
pub(crate) const REST: usize = 1 + 4 + 4 + TOKEN;

/// What a greeting is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Word {
    /// It dials, or it accepts who dialed.
    Hello = 1,
    /// This life of the worker is over: it was given up, or never was.
    Over = 2,
}

/// What a prefix says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Prefix {
    /// A greeting of this version follows.
    Same,
    /// It speaks another version.
    Other(u32),
    /// It is no greeting.
    Foreign,
}

/// The rest of a greeting whose token was right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Said {
    /// What it is.
    pub word: Word,
    /// The worker that it is about.
    pub worker: u32,
    /// Which life of it.
    pub life: u32,
}

/// Reads the first ten bytes.
pub fn read_prefix(bytes: &[u8; PREFIX]) -> Prefix {
    let version = u32::from_be_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]);
    let length = usize::from(u16::from_be_bytes([bytes[8], bytes[9]]));
    match (bytes[..4] == MAGIC, version == VERSION) {
        (false, _) => Prefix::Foreign,
        (true, false) => Prefix::Other(version),
        (true, true) if length == REST => Prefix::Same,
        (true, true) => Prefix::Foreign,
    }
}

/// Reads the rest; `None` when the token is another one or the rest makes no sense. Takes equally long for all tokens.
pub fn read_rest(bytes: &[u8; REST], token: &[u8; TOKEN]) -> Option<Said> {
    let is_token = bool::from(bytes[9..].ct_eq(token));
    let number = |at: usize| u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    let word = match bytes[0] {
        1 => Word::Hello,
        2 => Word::Over,
        _ => return None,
    };
    is_token.then(|| Said { word, worker: number(1), life: number(5) })
}

/// The bytes of a greeting.
pub(crate) fn write(said: Said, token: &[u8; TOKEN]) -> zeroize::Zeroizing<Vec<u8>> {
    let mut bytes = zeroize::Zeroizing::new(Vec::with_capacity(PREFIX + REST));
    bytes.extend(MAGIC);
    bytes.extend(VERSION.to_be_bytes());
    bytes.extend((REST as u16).to_be_bytes());
    bytes.push(said.word as u8);
    bytes.extend(said.worker.to_be_bytes());
    bytes.extend(said.life.to_be_bytes());
    bytes.extend(token);
    bytes
}

/// What tells a peer of another version which one this is.
pub(crate) fn version_only() -> Vec<u8> {
    [&MAGIC[..], &VERSION.to_be_bytes(), &[0, 0]].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SAID: Said = Said { word: Word::Hello, worker: 3, life: 2 };

    #[test]
    fn a_greeting_is_read_as_it_was_written() {
        let bytes = write(SAID, &[7; TOKEN]);
        let (prefix, rest) = bytes.split_first_chunk::<PREFIX>().unwrap();
        assert_eq!(read_prefix(prefix), Prefix::Same);
        let rest: &[u8; REST] = rest.try_into().unwrap();
        assert_eq!(read_rest(rest, &[7; TOKEN]), Some(SAID));
        let mut other = [7; TOKEN];
        other[31] = 8;
        assert_eq!(read_rest(rest, &other), None);
    }

    #[test]
    fn another_version_is_told_from_something_else() {
        let mut prefix: [u8; PREFIX] = version_only().try_into().unwrap();
        assert_eq!(read_prefix(&prefix), Prefix::Foreign, "the length is that of no greeting");
        prefix[7] += 1;
        assert_eq!(read_prefix(&prefix), Prefix::Other(VERSION + 1));
        assert_eq!(read_prefix(b"GET / HTTP"), Prefix::Foreign);
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_greeting_or_none(prefix: [u8; PREFIX], rest in prop::collection::vec(any::<u8>(), REST)) {
            read_prefix(&prefix);
            prop_assert_eq!(read_rest(&rest.try_into().unwrap(), &[0; TOKEN]).is_some(), false);
        }
    }
}
