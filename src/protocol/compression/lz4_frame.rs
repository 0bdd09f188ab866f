//! LZ4 frames. Those that Kafka's producer writes are read and written block by block: to set up liblz4's own reader and
//! writer of frames, with their buffers, takes longer than a batch of 16 KiB does.
//!
//! ```text
//!  04 22 4D 18 │ 60    │ 40     │ 82    │ size, u32, little-endian │ block │ ... │ 00 00 00 00
//!  magic       │ flags │ 64 KiB │ check │ bit 31: stored as it is  │       │     │ end
//! ```
//! The flags say: version 1, blocks that stand alone, no checksums, no size of the content. Any other frame is liblz4's.

use std::io;

use lz4::block::{CompressionMode, compress_bound, compress_to_buffer, decompress_to_buffer};

use super::{Compression, CompressionError, corrupt, first_capacity, invalid, read_capped, too_large};

const HEADER: [u8; 7] = [0x04, 0x22, 0x4D, 0x18, 0x60, 0x40, 0x82];
const BLOCK_BYTES: usize = 64 << 10;
const STORED_BIT: u32 = 1 << 31;
const END: [u8; 4] = [0; 4];

/// Kafka's `compression.lz4.level` starts at 9, which means the fast compressor; any other is a level of the high one.
const FAST_LEVEL: i32 = 9;
const HIGHEST_LEVEL: i32 = 12;
/// Below this, liblz4's frames take the fast compressor.
const LOWEST_HIGH_LEVEL: i32 = 3;

pub(super) fn decompress(input: &[u8], max_bytes: usize) -> Result<Vec<u8>, CompressionError> {
    match input.strip_prefix(&HEADER) {
        Some(blocks) => decompress_blocks(blocks, max_bytes),
        None => decompress_any(input, max_bytes),
    }
}

/// The output is at most a block longer than it may be before that is found out.
fn decompress_blocks(mut input: &[u8], max_bytes: usize) -> Result<Vec<u8>, CompressionError> {
    let refuse = |cause| corrupt(Compression::Lz4, invalid(cause));
    let mut output = Vec::with_capacity(first_capacity(input.len(), max_bytes));
    loop {
        let Some((size, rest)) = input.split_first_chunk() else { return Err(refuse("the frame has no end")) };
        let size = u32::from_le_bytes(*size);
        if size == 0 {
            return if rest.is_empty() { Ok(output) } else { Err(refuse("bytes behind the end of the frame")) };
        }
        let (size, is_stored) = ((size & !STORED_BIT) as usize, size & STORED_BIT != 0);
        if size > BLOCK_BYTES {
            return Err(refuse("a block is larger than the frame allows"));
        }
        let Some((block, behind)) = rest.split_at_checked(size) else { return Err(refuse("a block has no end")) };
        if is_stored {
            output.extend_from_slice(block);
        } else {
            decompress_block(block, &mut output, max_bytes).map_err(|cause| corrupt(Compression::Lz4, cause))?;
        }
        if output.len() > max_bytes {
            return Err(too_large(Compression::Lz4, max_bytes));
        }
        input = behind;
    }
}

/// Tries with a little room first: it is filled with zeros before each try.
fn decompress_block(block: &[u8], output: &mut Vec<u8>, max_bytes: usize) -> io::Result<()> {
    let filled = output.len();
    for room in [(block.len() * 4).min(BLOCK_BYTES), BLOCK_BYTES] {
        if output.capacity() < filled + room {
            // Doubled, but never far beyond what it may become.
            let capacity = (output.capacity() * 2).min(max_bytes.saturating_add(BLOCK_BYTES)).max(filled + room);
            output.reserve_exact(capacity - filled);
        }
        output.resize(filled + room, 0);
        match decompress_to_buffer(block, Some(room as i32), &mut output[filled..]) {
            Ok(count) => {
                output.truncate(filled + count);
                return Ok(());
            }
            Err(_) if room < BLOCK_BYTES => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn decompress_any(input: &[u8], max_bytes: usize) -> Result<Vec<u8>, CompressionError> {
    let corrupt = |cause| corrupt(Compression::Lz4, cause);
    let mut decoder = lz4::Decoder::new(input).map_err(corrupt)?;
    let output = read_capped(Compression::Lz4, &mut decoder, input.len(), max_bytes)?;
    match decoder.finish() {
        (_, Err(_)) => Err(corrupt(io::Error::new(io::ErrorKind::UnexpectedEof, "the frame has no end"))),
        (rest, Ok(())) if !rest.is_empty() => Err(corrupt(invalid("bytes behind the end of the frame"))),
        _ => Ok(output),
    }
}

/// The frame of Kafka's own `Lz4BlockOutputStream`. Its reader refuses linked blocks.
pub(super) fn compress(level: Option<i32>, input: &[u8]) -> io::Result<Vec<u8>> {
    let mode = match level {
        None | Some(FAST_LEVEL) => CompressionMode::DEFAULT,
        Some(level) => CompressionMode::HIGHCOMPRESSION(level.clamp(LOWEST_HIGH_LEVEL, HIGHEST_LEVEL)),
    };
    let mut output = Vec::with_capacity(HEADER.len() + input.len() / 2 + END.len());
    output.extend_from_slice(&HEADER);
    for block in input.chunks(BLOCK_BYTES) {
        let size_at = output.len();
        let at = size_at + size_of::<u32>();
        output.resize(at + compress_bound(block.len())?, 0);
        let mut size = compress_to_buffer(block, Some(mode), false, &mut output[at..])? as u32;
        output.truncate(at + size as usize);
        if size as usize >= block.len() {
            output.truncate(at);
            output.extend_from_slice(block);
            size = block.len() as u32 | STORED_BIT;
        }
        output[size_at..at].copy_from_slice(&size.to_le_bytes());
    }
    output.extend_from_slice(&END);
    Ok(output)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use proptest::prelude::*;

    use super::*;

    const MAX_BYTES: usize = 1 << 20;

    /// The same frame by liblz4's writer.
    fn liblz4s(input: &[u8]) -> Vec<u8> {
        let mut encoder = lz4::EncoderBuilder::new()
            .block_size(lz4::BlockSize::Max64KB)
            .block_mode(lz4::BlockMode::Independent)
            .block_checksum(lz4::liblz4::BlockChecksum::NoBlockChecksum)
            .checksum(lz4::ContentChecksum::NoChecksum)
            .build(Vec::new())
            .unwrap();
        encoder.write_all(input).unwrap();
        let (output, done) = encoder.finish();
        done.unwrap();
        output
    }

    /// Runs of one byte, and bytes that do not compress.
    fn input() -> impl Strategy<Value = Vec<u8>> {
        let run = (any::<u8>(), 1..40_000usize).prop_map(|(byte, count)| vec![byte; count]);
        let noise = prop::collection::vec(any::<u8>(), 1..40_000);
        prop::collection::vec(prop_oneof![run, noise], 1..8).prop_map(|parts| parts.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn frames_are_liblz4s(input in input()) {
            let ours = compress(None, &input).unwrap();
            prop_assert!(ours == liblz4s(&input));
            prop_assert!(decompress_any(&ours, MAX_BYTES).unwrap() == input);
            prop_assert!(decompress(&ours, MAX_BYTES).unwrap() == input);
            prop_assert!(decompress(&ours, input.len()).unwrap() == input);
            let too_large = decompress(&ours, input.len() - 1).unwrap_err();
            prop_assert!(too_large.is_too_large());
        }

        #[test]
        fn damage_is_refused_or_reads_as_liblz4_reads_it(input in input(), at: prop::sample::Index, bit in 0..8u8) {
            let mut frame = compress(None, &input).unwrap();
            let at = HEADER.len() + at.index(frame.len() - HEADER.len());
            frame[at] ^= 1 << bit;
            let (ours, liblz4s) = (decompress(&frame, MAX_BYTES), decompress_any(&frame, MAX_BYTES));
            prop_assert!(ours.ok() == liblz4s.ok());
        }
    }
}
