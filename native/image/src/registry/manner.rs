//! How blobs are sent to a registry, which each takes otherwise.

use reqwest::StatusCode;

/// The least share of the usual pieces: 4 MiB of 16, which all registries take that take pieces.
const SMALLEST_SHARE: u64 = 4;

/// How a registry takes a blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Manner {
    /// In pieces of so many bytes, so that an upload goes on where it broke off.
    Pieces(u64),
    /// In one request: Google's Artifact Registry takes no pieces.
    Whole,
}

impl Manner {
    /// The next manner to try when a piece was refused; `None` when that says nothing of the manner. `first`: no byte of the
    /// blob was taken yet. `usual` is the size of pieces that is tried first.
    pub(super) fn after(self, status: StatusCode, first: bool, usual: u64) -> Option<Self> {
        let Self::Pieces(size) = self else { return None };
        let smallest = usual / SMALLEST_SHARE;
        // GitHub's registry says 416 of pieces over 4 MiB, which elsewhere is said of one at the wrong place.
        let too_large = match status {
            StatusCode::PAYLOAD_TOO_LARGE => true,
            StatusCode::RANGE_NOT_SATISFIABLE => first,
            _ => false,
        };
        if too_large && size > smallest {
            return Some(Self::Pieces(smallest));
        }
        let no_pieces = matches!(
            status,
            StatusCode::BAD_REQUEST
                | StatusCode::NOT_FOUND
                | StatusCode::METHOD_NOT_ALLOWED
                | StatusCode::RANGE_NOT_SATISFIABLE
                | StatusCode::NOT_IMPLEMENTED
        );
        (first && no_pieces).then_some(Self::Whole)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_become_smaller_and_then_one() {
        let (usual, small) = (Manner::Pieces(16), Manner::Pieces(4));
        let after = |manner: Manner, status, first| manner.after(StatusCode::from_u16(status).unwrap(), first, 16);
        assert_eq!(after(usual, 413, false), Some(small));
        assert_eq!(after(usual, 416, true), Some(small));
        assert_eq!(after(usual, 416, false), None, "it has other bytes than was thought");
        assert_eq!(after(small, 413, true), None, "a whole blob is no smaller");
        for status in [400, 404, 405, 416, 501] {
            assert_eq!(after(small, status, true), Some(Manner::Whole), "{status}");
            assert_eq!(after(small, status, false), None, "{status}");
            assert_eq!(after(Manner::Whole, status, true), None, "{status}");
        }
        for status in [401, 403, 408, 429, 500, 503] {
            assert_eq!(after(usual, status, true), None, "{status}");
        }
    }
}
