//! What a response is made of: bytes in memory, and parts of files that are sent as they lie there.

use bytes::Bytes;

use crate::io::FileSlice;

/// One part of a response on its way out.
#[derive(Clone, Debug)]
pub enum Piece {
    Bytes(Bytes),
    File(FileSlice),
}

/// What pieces take in memory: not the parts of files.
pub fn memory_bytes(pieces: &[Piece]) -> usize {
    pieces.iter().filter_map(Piece::as_bytes).map(<[u8]>::len).sum()
}

impl Piece {
    pub fn size_bytes(&self) -> usize {
        match self {
            Self::Bytes(bytes) => bytes.len(),
            Self::File(slice) => slice.size_bytes,
        }
    }

    pub fn as_bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Bytes(bytes) => Some(bytes),
            Self::File(_) => None,
        }
    }
}
