//! Record batches of a few kilobytes that decompress to gigabytes, one per codec, made by hand: no codec would.

use bytes::{BufMut, Bytes, BytesMut};

use crate::batch::{Batch, seal};

const HEADER_BYTES: usize = 61;
const LENGTH_AT: usize = 8;
const ATTRIBUTES_AT: usize = 21;
const LAST_OFFSET_DELTA_AT: usize = 23;
const COUNT_AT: usize = 57;

/// Codec bits in a batch's attributes, each with what a batch of about `bytes` bytes can claim.
pub fn all(bytes: usize) -> Vec<(&'static str, Bytes)> {
    let bombs =
        [("gzip", 1, gzip(bytes)), ("snappy", 2, snappy(bytes)), ("lz4", 3, lz4(bytes)), ("zstd", 4, zstd(bytes))];
    bombs.into_iter().map(|(name, codec, records)| (name, batch(codec, 1, &records))).collect()
}

/// A batch around bytes that may be no records, with a count that may be a lie.
pub fn batch(codec: i16, count: i32, records: &[u8]) -> Bytes {
    let mut batch = BytesMut::from(&Batch::of_values(&["x"]).encode()[..HEADER_BYTES]);
    batch.put_slice(records);
    let length = (batch.len() - 12) as i32;
    batch[LENGTH_AT..LENGTH_AT + 4].copy_from_slice(&length.to_be_bytes());
    batch[ATTRIBUTES_AT..ATTRIBUTES_AT + 2].copy_from_slice(&codec.to_be_bytes());
    batch[LAST_OFFSET_DELTA_AT..LAST_OFFSET_DELTA_AT + 4].copy_from_slice(&(count - 1).to_be_bytes());
    batch[COUNT_AT..COUNT_AT + 4].copy_from_slice(&count.to_be_bytes());
    seal(&mut batch);
    batch.freeze()
}

/// One member, one block of fixed codes: a zero, then matches of 258 bytes at distance 1, 13 bits each.
fn gzip(bytes: usize) -> Vec<u8> {
    let mut out = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3];
    let mut bits = Bits { out: &mut out, filled: 0, bits: 0 };
    bits.put(0b1, 1);
    bits.put(0b01, 2);
    // The literal 0 is 00110000, sent highest bit first.
    bits.put_reversed(0b0011_0000, 8);
    for _ in 0..bytes * 8 / 13 {
        // Length 258 is code 285: 11000101; distance 1 is code 0.
        bits.put_reversed(0b1100_0101, 8);
        bits.put(0, 5);
    }
    bits.put(0, 7);
    out
}

struct Bits<'a> {
    out: &'a mut Vec<u8>,
    filled: u32,
    bits: u32,
}

impl Bits<'_> {
    fn put(&mut self, value: u32, count: u32) {
        self.bits |= value << self.filled;
        self.filled += count;
        while self.filled >= 8 {
            self.out.push(self.bits as u8);
            self.bits >>= 8;
            self.filled -= 8;
        }
    }

    fn put_reversed(&mut self, value: u32, count: u32) {
        self.put(value.reverse_bits() >> (32 - count), count);
    }
}

/// One raw block that claims 4 GiB: a literal, then copies of 64 bytes at offset 1.
fn snappy(bytes: usize) -> Vec<u8> {
    let mut out = vec![0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0];
    for _ in 0..bytes / 3 {
        out.extend([(63 << 2) | 2, 1, 0]);
    }
    out
}

/// A frame with blocks of up to 4 MiB, each a literal and one match that 255s make as long as the block may be.
fn lz4(bytes: usize) -> Vec<u8> {
    const BLOCK_BYTES: usize = 4 << 20;
    let mut block = vec![0x1f, 0, 1, 0];
    block.extend(std::iter::repeat_n(255, (BLOCK_BYTES - 64) / 255));
    // The last five bytes of a block are literals.
    block.extend([0, 0x50, 0, 0, 0, 0, 0]);
    let mut out = vec![0x04, 0x22, 0x4d, 0x18, 0x60, 0x70, 0x73];
    for _ in 0..bytes.div_ceil(block.len()) {
        out.extend((block.len() as u32).to_le_bytes());
        out.extend(&block);
    }
    out.extend([0; 4]);
    out
}

/// A frame without a size, of blocks that say "this byte 128 KiB times".
fn zstd(bytes: usize) -> Vec<u8> {
    const RLE: u32 = 1;
    const BLOCK_BYTES: u32 = 128 << 10;
    let mut out = vec![0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x58];
    for left in (0..bytes / 4).rev() {
        let header = (BLOCK_BYTES << 3) | (RLE << 1) | u32::from(left == 0);
        out.extend(&header.to_le_bytes()[..3]);
        out.push(0);
    }
    out
}
