//! Where the fields of a fetch response go: once to be measured, once into pieces. The same code writes both, so a
//! measured size is exact.

use bytes::{BufMut, BytesMut};

use super::FLEXIBLE_VERSION;
use crate::protocol::piece::Piece;

/// Takes the protocol's primitive types.
pub(in crate::protocol) trait Out {
    fn put(&mut self, bytes: &[u8]);

    fn i16(&mut self, value: i16) {
        self.put(&value.to_be_bytes());
    }

    fn i32(&mut self, value: i32) {
        self.put(&value.to_be_bytes());
    }

    fn i64(&mut self, value: i64) {
        self.put(&value.to_be_bytes());
    }

    /// An unsigned variable-length integer.
    fn unsigned(&mut self, mut value: u32) {
        while value >= 0x80 {
            self.put(&[value as u8 | 0x80]);
            value >>= 7;
        }
        self.put(&[value as u8]);
    }

    /// The length of an array that is not null.
    fn count(&mut self, count: usize, version: i16) {
        if version >= FLEXIBLE_VERSION { self.unsigned(count as u32 + 1) } else { self.i32(count as i32) }
    }

    fn null_array(&mut self, version: i16) {
        if version >= FLEXIBLE_VERSION { self.unsigned(0) } else { self.i32(-1) }
    }

    fn string(&mut self, text: &str, version: i16) {
        if version >= FLEXIBLE_VERSION {
            self.unsigned(text.len() as u32 + 1);
        } else {
            self.i16(text.len() as i16);
        }
        self.put(text.as_bytes());
    }

    /// The end of a structure without tagged fields.
    fn no_tags(&mut self, version: i16) {
        if version >= FLEXIBLE_VERSION {
            self.unsigned(0);
        }
    }

    fn tagged(&mut self, tag: u32, field: &[u8]) {
        self.unsigned(tag);
        self.unsigned(field.len() as u32);
        self.put(field);
    }
}

/// Takes record data as well.
pub(in crate::protocol) trait Sink: Out {
    fn piece(&mut self, piece: &Piece);
}

/// For tagged fields, whose size stands before them.
impl Out for Vec<u8> {
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

/// Counts what would be written.
#[derive(Default)]
pub(in crate::protocol) struct Measure {
    /// Everything but records.
    pub(in crate::protocol) own_bytes: usize,
    pub(in crate::protocol) records_bytes: usize,
}

impl Out for Measure {
    fn put(&mut self, bytes: &[u8]) {
        self.own_bytes += bytes.len();
    }
}

impl Sink for Measure {
    fn piece(&mut self, piece: &Piece) {
        self.records_bytes += piece.size_bytes();
    }
}

/// Collects pieces; what is written between two of them is cut off one buffer.
pub(in crate::protocol) struct Pieces {
    done: Vec<Piece>,
    buffer: BytesMut,
}

impl Pieces {
    pub(in crate::protocol) fn with_capacity(own_bytes: usize) -> Self {
        Self { done: Vec::new(), buffer: BytesMut::with_capacity(own_bytes) }
    }

    pub(in crate::protocol) fn finish(mut self) -> Vec<Piece> {
        self.cut();
        self.done
    }

    fn cut(&mut self) {
        if !self.buffer.is_empty() {
            self.done.push(Piece::Bytes(self.buffer.split().freeze()));
        }
    }
}

impl Out for Pieces {
    fn put(&mut self, bytes: &[u8]) {
        self.buffer.put_slice(bytes);
    }
}

impl Sink for Pieces {
    fn piece(&mut self, piece: &Piece) {
        if piece.size_bytes() > 0 {
            self.cut();
            self.done.push(piece.clone());
        }
    }
}
