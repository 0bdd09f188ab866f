//! The four codecs of record batches, in Kafka's framing, with a cap on what comes out.
//!
//! | codec  | read                                   | written (as Kafka's Java producer does)              |
//! |--------|----------------------------------------|-------------------------------------------------------|
//! | gzip   | one or more members                    | one member                                            |
//! | snappy | raw blocks, and xerial's framed blocks | xerial's frame, blocks of 32 KiB                      |
//! | lz4    | one LZ4 frame                          | one frame: 64 KiB independent blocks, no checksums    |
//! | zstd   | one or more frames                     | one frame                                             |
//!
//! A few bytes can claim gigabytes. So every output buffer starts small, grows with what the codec has really produced,
//! and never beyond `max_bytes`. A window that a zstd frame asks for is never allocated; liblz4 takes two blocks of the
//! frame's size, 8 MiB at most.

mod lz4_frame;
mod snappy;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::io::{self, Read, Write};

use super::batch::Compression;

/// Why bytes could not be compressed or decompressed.
#[derive(Debug, thiserror::Error)]
pub enum CompressionError {
    #[error("{codec} data holds more than the {max_bytes} bytes allowed")]
    TooLarge { codec: &'static str, max_bytes: usize },
    #[error("{codec} data is corrupt: {cause}")]
    Corrupt { codec: &'static str, cause: io::Error },
    #[error("{codec} could not compress: {cause}")]
    Compress { codec: &'static str, cause: io::Error },
}

impl CompressionError {
    /// The data is not known to be corrupt: it holds more than it may.
    pub fn is_too_large(&self) -> bool {
        matches!(self, Self::TooLarge { .. })
    }
}

/// What `input` holds, at most `max_bytes` of it; more is [`CompressionError::TooLarge`]. Borrowed where nothing was
/// compressed.
pub fn decompress(kind: Compression, input: &[u8], max_bytes: usize) -> Result<Cow<'_, [u8]>, CompressionError> {
    if input.is_empty() && kind != Compression::None {
        return Err(corrupt(kind, invalid("no data at all")));
    }
    match kind {
        Compression::None if input.len() > max_bytes => Err(too_large(kind, max_bytes)),
        Compression::None => Ok(Cow::Borrowed(input)),
        Compression::Gzip => gunzip(input, max_bytes).map(Cow::Owned),
        Compression::Snappy => snappy::decompress(input, max_bytes).map(Cow::Owned),
        Compression::Lz4 => lz4_frame::decompress(input, max_bytes).map(Cow::Owned),
        Compression::Zstd => zstd_decompress(input, max_bytes).map(Cow::Owned),
    }
}

/// Compresses `input`. `level` is the value of `compression.gzip.level`, `.lz4.level` or `.zstd.level`; `None` is the
/// codec's default, and a level beyond the codec's range is the nearest one in it. Snappy has no levels.
pub fn compress(kind: Compression, level: Option<i32>, input: &[u8]) -> Result<Vec<u8>, CompressionError> {
    let compressed = match kind {
        Compression::None => Ok(input.to_vec()),
        Compression::Gzip => gzip(level, input),
        Compression::Snappy => snappy::compress(input),
        Compression::Lz4 => lz4_frame::compress(level, input),
        Compression::Zstd => zstd_compress(level, input),
    };
    compressed.map_err(|cause| CompressionError::Compress { codec: name(kind), cause })
}

/// The codec's name as configuration writes it.
pub fn name(kind: Compression) -> &'static str {
    match kind {
        Compression::None => "none",
        Compression::Gzip => "gzip",
        Compression::Snappy => "snappy",
        Compression::Lz4 => "lz4",
        Compression::Zstd => "zstd",
    }
}

// ---- gzip -----------------------------------------------------------------------------------------------------------

/// What `-1` means to zlib and so to `compression.gzip.level`.
const GZIP_DEFAULT_LEVEL: u32 = 6;

fn gunzip(input: &[u8], max_bytes: usize) -> Result<Vec<u8>, CompressionError> {
    let mut decoder = flate2::bufread::MultiGzDecoder::new(input);
    read_capped(Compression::Gzip, &mut decoder, input.len(), max_bytes)
}

fn gzip(level: Option<i32>, input: &[u8]) -> io::Result<Vec<u8>> {
    let level = match level {
        None | Some(-1) => GZIP_DEFAULT_LEVEL,
        Some(level) => level.clamp(1, 9) as u32,
    };
    let mut encoder =
        flate2::write::GzEncoder::new(Vec::with_capacity(input.len() / 2), flate2::Compression::new(level));
    encoder.write_all(input)?;
    encoder.finish()
}

// ---- zstd -----------------------------------------------------------------------------------------------------------

const ZSTD_DEFAULT_LEVEL: i32 = 3;
/// What libzstd says when the output does not fit; the one error that a larger buffer mends.
const ZSTD_OUTPUT_FULL: &str = "Destination buffer is too small";

/// Decompresses in one shot, straight into the output, because then libzstd needs no window buffer: the streaming
/// form allocates what the frame's header asks for, and a producer at level 22 legitimately asks for 128 MiB. The
/// one shot can't be continued, so a buffer that turns out too small is replaced by one of four times the size.
fn zstd_decompress(input: &[u8], max_bytes: usize) -> Result<Vec<u8>, CompressionError> {
    let corrupt = |cause| corrupt(Compression::Zstd, cause);
    let mut decoder = zstd::bulk::Decompressor::new().map_err(corrupt)?;
    let claimed_bytes = zstd::zstd_safe::get_frame_content_size(input).ok().flatten();
    let claimed_bytes = claimed_bytes.and_then(|bytes| usize::try_from(bytes).ok()).unwrap_or(usize::MAX);
    let mut capacity = first_capacity(input.len(), max_bytes).min(claimed_bytes.max(1));
    loop {
        let mut output = Vec::with_capacity(capacity);
        match decoder.decompress_to_buffer(input, &mut output) {
            Ok(_) if output.len() > max_bytes => return Err(too_large(Compression::Zstd, max_bytes)),
            Ok(_) => return Ok(output),
            Err(error) if error.to_string() != ZSTD_OUTPUT_FULL => return Err(corrupt(error)),
            Err(_) if capacity >= max_bytes => return Err(too_large(Compression::Zstd, max_bytes)),
            Err(_) => capacity = capacity.saturating_mul(4).min(max_bytes),
        }
    }
}

fn zstd_compress(level: Option<i32>, input: &[u8]) -> io::Result<Vec<u8>> {
    let levels = zstd::compression_level_range();
    let level = level.unwrap_or(ZSTD_DEFAULT_LEVEL).clamp(*levels.start(), *levels.end());
    zstd::bulk::compress(input, level)
}

// ---- shared ---------------------------------------------------------------------------------------------------------

/// Where output buffers start: text compresses to a quarter or so.
fn first_capacity(input_bytes: usize, max_bytes: usize) -> usize {
    input_bytes.saturating_mul(4).max(4096).max(mapped_capacity(max_bytes)).min(max_bytes)
}

/// A buffer above this size is pages of its own, which take memory as they are written and are given back when it is
/// dropped; what grows towards it leaves its earlier sizes with the allocator.
const MAPPED_BYTES: usize = 32 << 20;
const MAX_MAPPED_BYTES: usize = 64 << 20;

/// Where a buffer starts that may become so large; else 0.
fn mapped_capacity(max_bytes: usize) -> usize {
    if max_bytes > MAPPED_BYTES { max_bytes.min(MAX_MAPPED_BYTES) } else { 0 }
}

/// Reads `decoder` to its end into a buffer that doubles as it fills.
fn read_capped(
    kind: Compression,
    decoder: &mut impl Read,
    input_bytes: usize,
    max_bytes: usize,
) -> Result<Vec<u8>, CompressionError> {
    let mut output = vec![0; first_capacity(input_bytes, max_bytes)];
    let mut filled = 0;
    loop {
        if filled == output.len() {
            if filled == max_bytes {
                // Full: one byte more tells an end from a bomb.
                return match read_some(kind, decoder, &mut [0])? {
                    0 => Ok(output),
                    _ => Err(too_large(kind, max_bytes)),
                };
            }
            let grown = filled.saturating_mul(2).min(max_bytes);
            output.reserve_exact(grown - filled);
            output.resize(grown, 0);
        }
        match read_some(kind, decoder, &mut output[filled..])? {
            0 => break,
            read => filled += read,
        }
    }
    output.truncate(filled);
    Ok(output)
}

fn read_some(kind: Compression, decoder: &mut impl Read, buffer: &mut [u8]) -> Result<usize, CompressionError> {
    loop {
        match decoder.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result.map_err(|cause| corrupt(kind, cause)),
        }
    }
}

fn too_large(kind: Compression, max_bytes: usize) -> CompressionError {
    CompressionError::TooLarge { codec: name(kind), max_bytes }
}

fn corrupt(kind: Compression, cause: io::Error) -> CompressionError {
    CompressionError::Corrupt { codec: name(kind), cause }
}

fn invalid(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, cause)
}
