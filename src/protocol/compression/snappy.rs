//! Snappy as Kafka clients write it: a raw block (librdkafka), or blocks in the frame of the Java library
//! snappy-java, known by the name of its author's site, xerial.
//!
//! ```text
//!  82 'S' 'N' 'A' 'P' 'P' 'Y' 00 │ version │ compatible │ block bytes │ raw block │ block bytes │ raw block │ ...
//!  8 bytes of magic              │ i32     │ i32        │ i32         │           │             │           │
//! ```
//! All big-endian. Streams may be joined: a header may stand where a block length should.

use std::io;

use super::{Compression, CompressionError, corrupt, invalid, mapped_capacity, too_large};

const XERIAL_MAGIC: [u8; 8] = *b"\x82SNAPPY\0";
const XERIAL_HEADER_BYTES: usize = 16;
const XERIAL_VERSION: i32 = 1;
/// snappy-java's default, which Kafka's producer takes.
const XERIAL_BLOCK_BYTES: usize = 32 * 1024;
/// A copy of three bytes makes at most 64; no block can grow by more than this.
const MAX_EXPANSION: usize = 22;

pub(super) fn decompress(input: &[u8], max_bytes: usize) -> Result<Vec<u8>, CompressionError> {
    let mut output = Vec::with_capacity(mapped_capacity(max_bytes));
    if !input.starts_with(&XERIAL_MAGIC) {
        append_block(input, &mut output, max_bytes)?;
        return Ok(output);
    }
    let mut rest = input;
    while !rest.is_empty() {
        if rest.starts_with(&XERIAL_MAGIC) {
            take(&mut rest, XERIAL_HEADER_BYTES)?;
            continue;
        }
        let length = take(&mut rest, 4)?;
        let length = i32::from_be_bytes([length[0], length[1], length[2], length[3]]);
        let length = usize::try_from(length).map_err(|_| damaged("a block of negative length"))?;
        append_block(take(&mut rest, length)?, &mut output, max_bytes)?;
    }
    Ok(output)
}

pub(super) fn compress(input: &[u8]) -> io::Result<Vec<u8>> {
    let mut output = Vec::with_capacity(XERIAL_HEADER_BYTES + input.len() / 2);
    output.extend_from_slice(&XERIAL_MAGIC);
    output.extend_from_slice(&XERIAL_VERSION.to_be_bytes());
    output.extend_from_slice(&XERIAL_VERSION.to_be_bytes());
    let mut encoder = snap::raw::Encoder::new();
    let mut block = vec![0; snap::raw::max_compress_len(XERIAL_BLOCK_BYTES.min(input.len()))];
    for chunk in input.chunks(XERIAL_BLOCK_BYTES) {
        let length = encoder.compress(chunk, &mut block).map_err(invalid)?;
        output.extend_from_slice(&(length as i32).to_be_bytes());
        output.extend_from_slice(&block[..length]);
    }
    Ok(output)
}

/// Decompresses one raw block behind what `output` holds. The block says its size; it is believed only as far as the
/// format can expand.
fn append_block(block: &[u8], output: &mut Vec<u8>, max_bytes: usize) -> Result<(), CompressionError> {
    let snappy = |error: snap::Error| corrupt(Compression::Snappy, invalid(error));
    let block_bytes = snap::raw::decompress_len(block).map_err(snappy)?;
    if block_bytes > block.len().saturating_mul(MAX_EXPANSION) {
        return Err(damaged("a block claims more than it can hold"));
    }
    let start = output.len();
    if block_bytes > max_bytes - start {
        return Err(too_large(Compression::Snappy, max_bytes));
    }
    output.resize(start + block_bytes, 0);
    snap::raw::Decoder::new().decompress(block, &mut output[start..]).map_err(snappy)?;
    Ok(())
}

/// The next `count` bytes.
fn take<'a>(rest: &mut &'a [u8], count: usize) -> Result<&'a [u8], CompressionError> {
    let Some((taken, behind)) = rest.split_at_checked(count) else {
        return Err(damaged("the data ends in the middle of a block"));
    };
    *rest = behind;
    Ok(taken)
}

fn damaged(what: &'static str) -> CompressionError {
    corrupt(Compression::Snappy, invalid(what))
}
