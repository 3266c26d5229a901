//! How layers are compressed: always the same bytes for the same content.
//!
//! The encoder of gzip is chosen for that, too: zlib-rs makes the same output whatever the processor can do, at a fixed level,
//! from pieces of a fixed size.

use crate::Digest;
use flate2::write::GzEncoder;
use oci_spec::image::MediaType;
use sha2::{Digest as _, Sha256};
use std::io::Write;
use testfleet_protocol::image::Compression;

/// How one layer is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Codec {
    Plain,
    Gzip(u32),
    Zstd(i32),
}

/// What a layer holds, as far as compression is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Content {
    /// What is compressed already.
    Jars,
    /// What is made once and sent often: the machine's JDK and its libraries.
    Seldom,
    /// What is made again after each edit.
    Often,
}

impl Codec {
    pub(crate) fn of(content: Content, chosen: Compression) -> Self {
        match (chosen, content) {
            (Compression::None, _) | (Compression::Auto, Content::Jars) => Self::Plain,
            // Classes, too: level 1 takes half the time of little, and what is sent after each edit is an eighth larger.
            (Compression::Auto | Compression::Gzip, Content::Seldom | Content::Often) => Self::Gzip(6),
            (Compression::Gzip, Content::Jars) => Self::Gzip(1),
            (Compression::Zstd, Content::Seldom) => Self::Zstd(9),
            (Compression::Zstd, Content::Often | Content::Jars) => Self::Zstd(3),
        }
    }

    pub(crate) fn media_type(self) -> MediaType {
        match self {
            Self::Plain => MediaType::ImageLayer,
            Self::Gzip(_) => MediaType::ImageLayerGzip,
            Self::Zstd(_) => MediaType::ImageLayerZstd,
        }
    }
}

/// Compresses what is written, and hashes it before.
pub(crate) struct Encoder<W: Write> {
    hasher: Sha256,
    to: Inner<W>,
}

enum Inner<W: Write> {
    Plain(W),
    Gzip(Even<GzEncoder<W>>),
    Zstd(Even<zstd::Encoder<'static, W>>),
}

/// Hands on pieces of exactly one size, but for the last: what an encoder makes depends on the pieces that it is given.
struct Even<W: Write> {
    to: W,
    piece: Vec<u8>,
}

const PIECE: usize = 1 << 17;

impl<W: Write> Even<W> {
    fn new(to: W) -> Self {
        Self { to, piece: Vec::with_capacity(PIECE) }
    }

    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let count = bytes.len().min(PIECE - self.piece.len());
        self.piece.extend_from_slice(&bytes[..count]);
        if self.piece.len() == PIECE {
            self.to.write_all(&self.piece)?;
            self.piece.clear();
        }
        Ok(count)
    }

    fn end(mut self) -> std::io::Result<W> {
        self.to.write_all(&self.piece)?;
        Ok(self.to)
    }
}

impl<W: Write> Encoder<W> {
    pub(crate) fn new(codec: Codec, to: W) -> std::io::Result<Self> {
        let to = match codec {
            Codec::Plain => Inner::Plain(to),
            Codec::Gzip(level) => {
                // No time and no name; the system is always said to be unknown.
                let encoder = flate2::GzBuilder::new().operating_system(255).write(to, flate2::Compression::new(level));
                Inner::Gzip(Even::new(encoder))
            }
            Codec::Zstd(level) => {
                let mut encoder = zstd::Encoder::new(to, level)?;
                encoder.include_checksum(true)?;
                Inner::Zstd(Even::new(encoder))
            }
        };
        Ok(Self { hasher: Sha256::new(), to })
    }

    /// The digest of what was written, and where the compressed bytes went.
    pub(crate) fn finish(self) -> std::io::Result<(Digest, W)> {
        let to = match self.to {
            Inner::Plain(to) => to,
            Inner::Gzip(even) => even.end()?.finish()?,
            Inner::Zstd(even) => even.end()?.finish()?,
        };
        Ok((Digest::of_hash(&self.hasher.finalize()), to))
    }
}

impl<W: Write> Write for Encoder<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let count = match &mut self.to {
            Inner::Plain(to) => to.write(bytes)?,
            Inner::Gzip(to) => to.write(bytes)?,
            Inner::Zstd(to) => to.write(bytes)?,
        };
        self.hasher.update(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        // Flushing an encoder would end a block: what it writes would depend on when that was asked for.
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    fn encoded(codec: Codec, content: &[u8], pieces: usize) -> (Digest, Vec<u8>) {
        let mut encoder = Encoder::new(codec, Vec::new()).unwrap();
        for piece in content.chunks(pieces) {
            encoder.write_all(piece).unwrap();
            encoder.flush().unwrap();
        }
        encoder.finish().unwrap()
    }

    #[test]
    fn the_same_bytes_come_out_however_they_went_in() {
        let content: Vec<u8> = (0..200_000_u32).flat_map(|n| ((n % 7_919) * (n % 1_009) % 251).to_le_bytes()).collect();
        for codec in [Codec::Plain, Codec::Gzip(1), Codec::Gzip(6), Codec::Zstd(3), Codec::Zstd(9)] {
            let (diff_id, whole) = encoded(codec, &content, 1 << 16);
            assert_eq!(diff_id, Digest::of(&content));
            assert!(encoded(codec, &content, 4_099).1 == whole, "{codec:?}");
            let mut read = Vec::new();
            match codec {
                Codec::Plain => read.clone_from(&whole),
                Codec::Gzip(_) => drop(flate2::read::GzDecoder::new(&whole[..]).read_to_end(&mut read).unwrap()),
                Codec::Zstd(_) => drop(zstd::Decoder::new(&whole[..]).unwrap().read_to_end(&mut read).unwrap()),
            }
            assert!(read == content, "{codec:?}");
        }
    }

    #[test]
    fn jars_are_left_as_they_are_unless_told_otherwise() {
        assert_eq!(Codec::of(Content::Jars, Compression::Auto), Codec::Plain);
        assert_eq!(Codec::of(Content::Jars, Compression::Gzip), Codec::Gzip(1));
        assert_eq!(Codec::of(Content::Often, Compression::Auto), Codec::Gzip(6));
        assert_eq!(Codec::of(Content::Seldom, Compression::None), Codec::Plain);
        assert_eq!(Codec::of(Content::Often, Compression::Zstd).media_type(), MediaType::ImageLayerZstd);
    }
}
