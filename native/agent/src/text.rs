//! Bytes that a JVM writes, as text of bounded length.

/// Longest text of one message, in bytes.
pub(crate) const LONGEST: usize = 64 << 10;

/// Makes text of bytes that arrive in pieces: a character cut in two stays one, what is no UTF-8 is replaced.
#[derive(Debug, Default)]
pub(crate) struct Utf8 {
    begun: Vec<u8>,
}

impl Utf8 {
    /// The text of what came so far, but for a character that has only begun.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> String {
        self.begun.extend_from_slice(bytes);
        let begun = self.begun.split_off(self.begun.len() - begun_character(&self.begun));
        let text = String::from_utf8_lossy(&self.begun).into_owned();
        self.begun = begun;
        text
    }

    /// What is left at the end.
    pub(crate) fn end(self) -> String {
        String::from_utf8_lossy(&self.begun).into_owned()
    }
}

/// How many bytes at the end are the beginning of a character and no more.
pub(crate) fn begun_character(bytes: &[u8]) -> usize {
    for (back, byte) in bytes.iter().rev().take(3).enumerate() {
        let length = match byte {
            0b1000_0000..=0b1011_1111 => continue,
            0b1100_0000..=0b1101_1111 => 2,
            0b1110_0000..=0b1110_1111 => 3,
            0b1111_0000..=0b1111_0111 => 4,
            _ => return 0,
        };
        return if back + 1 < length { back + 1 } else { 0 };
    }
    0
}

/// The text in pieces of at most [`LONGEST`] bytes, cut between characters. An empty text has none.
pub(crate) fn pieces(mut text: &str) -> impl Iterator<Item = &str> {
    std::iter::from_fn(move || {
        let (piece, rest) = text.split_at(boundary(text, LONGEST));
        text = rest;
        (!piece.is_empty()).then_some(piece)
    })
}

/// The last place up to `at` where the text may be cut.
pub(crate) fn boundary(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|&place| text.is_char_boundary(place)).unwrap_or(0)
}

/// The text if it is no longer than `limit`, else three quarters of that from its beginning and one from its end, with a
/// remark in between.
pub(crate) fn shortened(text: &str, limit: usize) -> String {
    if text.len() <= limit {
        return text.to_owned();
    }
    // The remark itself takes some room.
    let room = limit.saturating_sub(64);
    let head = boundary(text, room * 3 / 4);
    let from = text.len() - room / 4;
    let tail = (from..=text.len()).find(|&place| text.is_char_boundary(place)).unwrap_or(text.len());
    format!("{}\n[Testfleet: {} bytes left out here]\n{}", &text[..head], tail - head, &text[tail..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_keep_their_ends() {
        assert_eq!(shortened("short", 5), "short");
        let text = "é".repeat(1_000) + "end";
        let short = shortened(&text, 400);
        assert!(short.len() <= 400 && short.starts_with('é') && short.ends_with("end"), "{short}");
        assert!(short.contains("bytes left out here]"), "{short}");
    }

    #[test]
    fn characters_survive_any_cut() {
        let text = "aé€😀z";
        for cut in 0..=text.len() {
            let (first, second) = text.as_bytes().split_at(cut);
            let mut utf8 = Utf8::default();
            let joined = utf8.push(first) + &utf8.push(second) + &utf8.end();
            assert_eq!(joined, text, "cut at {cut}");
        }
    }

    #[test]
    fn what_is_no_utf8_is_replaced() {
        let mut utf8 = Utf8::default();
        assert_eq!(utf8.push(b"a\xffb\xe2\x82"), "a\u{fffd}b");
        assert_eq!(utf8.push(b"!"), "\u{fffd}!");
        assert_eq!(utf8.push(b"\xf0\x9f"), "");
        assert_eq!(utf8.end(), "\u{fffd}");
    }

    #[test]
    fn pieces_are_short_and_whole() {
        let text = "é".repeat(100_000) + "x";
        let found: Vec<_> = pieces(&text).collect();
        assert!(found.iter().all(|piece| piece.len() <= LONGEST));
        assert_eq!(found.concat(), text);
        assert_eq!(pieces("").count(), 0);
    }
}
