//! One record a line, with a checksum.

use serde::Serialize;
use std::io;

/// Bytes before the JSON: eight hex digits and a blank.
const PREFIX: usize = 9;

/// Appends a record as a line.
///
/// # Errors
/// When it can't be written as JSON.
pub(super) fn append(record: &impl Serialize, lines: &mut Vec<u8>) -> io::Result<()> {
    let start = lines.len();
    lines.extend_from_slice(b"00000000 ");
    serde_json::to_writer(&mut *lines, record)?;
    let sum = format!("{:08x}", crc32fast::hash(&lines[start + PREFIX..]));
    lines[start..start + PREFIX - 1].copy_from_slice(sum.as_bytes());
    lines.push(b'\n');
    Ok(())
}

/// The JSON of a line that was written to its end and is as it was written.
pub(super) fn json_of(line: &[u8]) -> Option<&[u8]> {
    let line = line.strip_suffix(b"\n")?;
    let (sum, json) = line.split_at_checked(PREFIX)?;
    let sum = std::str::from_utf8(sum).ok()?.strip_suffix(' ')?;
    let is_hex = sum.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
    let expected = u32::from_str_radix(sum, 16).ok().filter(|_| is_hex)?;
    (crc32fast::hash(json) == expected).then_some(json)
}

/// The same lines with the checksums that they should have.
#[cfg(any(fuzzing, test))]
pub(crate) fn reseal(lines: &[u8]) -> Vec<u8> {
    let mut sealed = Vec::new();
    for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let json = line.get(PREFIX..).unwrap_or(line);
        sealed.extend_from_slice(format!("{:08x} ", crc32fast::hash(json)).as_bytes());
        sealed.extend_from_slice(json);
        sealed.push(b'\n');
    }
    sealed
}
