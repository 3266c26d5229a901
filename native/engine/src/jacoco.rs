//! JaCoCo's `.exec` files. One is a row of blocks, and JaCoCo's own reader merges what it finds in them: files one after another
//! are a file (that is how its agent appends).

/// Length of the whole blocks at the beginning of a `.exec` file, as JaCoCo's `ExecutionDataWriter` writes them.
pub(crate) fn whole_blocks(bytes: &[u8]) -> usize {
    let mut reader = Reader { bytes, at: 0 };
    let mut whole = 0;
    while reader.block(whole == 0).is_some() {
        whole = reader.at;
    }
    whole
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    /// A header first, then anything.
    fn block(&mut self, first: bool) -> Option<()> {
        match self.take(1)?[0] {
            // Magic number and version of the format.
            0x01 => (self.take(4)?[..2] == [0xc0, 0xc0]).then_some(()),
            _ if first => None,
            // A session: its id, start and end.
            0x10 => self.text().and_then(|()| self.take(16).map(drop)),
            // A class: its id, name and probes.
            0x11 => {
                self.take(8)?;
                self.text()?;
                let probes = self.number()?;
                self.take(probes.div_ceil(8)).map(drop)
            }
            _ => None,
        }
    }

    fn take(&mut self, count: usize) -> Option<&[u8]> {
        let end = self.at.checked_add(count)?;
        let taken = self.bytes.get(self.at..end)?;
        self.at = end;
        Some(taken)
    }

    fn text(&mut self) -> Option<()> {
        let length = self.take(2)?;
        let length = usize::from(length[0]) << 8 | usize::from(length[1]);
        self.take(length).map(drop)
    }

    /// Seven bits a byte, the lowest first.
    fn number(&mut self) -> Option<usize> {
        let mut value = 0usize;
        for shift in (0..35).step_by(7) {
            let byte = self.take(1)?[0];
            value |= usize::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    pub(crate) const HEADER: [u8; 5] = [1, 0xc0, 0xc0, 0x10, 0x07];

    fn session(id: &str) -> Vec<u8> {
        let mut bytes = vec![0x10, 0, id.len() as u8];
        bytes.extend(id.bytes());
        bytes.extend([0; 16]);
        bytes
    }

    fn class(name: &str, probes: usize) -> Vec<u8> {
        let mut bytes = vec![0x11];
        bytes.extend([7; 8]);
        bytes.extend([0, name.len() as u8]);
        bytes.extend(name.bytes());
        bytes.extend([probes as u8 | 0x80, (probes >> 7) as u8]);
        bytes.extend(vec![0xff; probes.div_ceil(8)]);
        bytes
    }

    pub(crate) fn file(id: &str) -> Vec<u8> {
        [HEADER.to_vec(), session(id), class("a/B", 9), class("a/C", 300)].concat()
    }

    #[test]
    fn files_one_after_another_are_whole() {
        let both = [file("one"), file("two")].concat();
        assert_eq!(whole_blocks(&both), both.len());
        assert_eq!(whole_blocks(b""), 0);
        assert_eq!(whole_blocks(&session("x")), 0, "the header is missing");
        assert_eq!(whole_blocks(b"not at all"), 0);
    }

    #[test]
    fn a_torn_file_counts_up_to_the_tear() {
        let bytes = file("one");
        let classes = bytes.len() - class("a/C", 300).len();
        assert_eq!(whole_blocks(&bytes[..bytes.len() - 1]), classes);
        assert_eq!(whole_blocks(&bytes[..classes]), classes);
    }

    proptest! {
        #[test]
        fn any_bytes_have_a_length(bytes in prop::collection::vec(any::<u8>(), 0..64), headed in any::<bool>()) {
            let bytes = if headed { [HEADER.to_vec(), bytes].concat() } else { bytes };
            let whole = whole_blocks(&bytes);
            prop_assert!(whole <= bytes.len());
            prop_assert_eq!(whole_blocks(&bytes[..whole]), whole);
        }
    }
}
