//! A batch with another compression: what `compression.type` other than `producer` asks of the broker.

use super::batch::{self, BatchError, BatchHeader, Compression, HEADER_BYTES, LOG_OVERHEAD_BYTES};
use super::compression::{self, CompressionError};
use super::records::{BatchRecords, RecordError, RecordsError};

/// Why a batch could not be compressed anew.
#[derive(Debug, thiserror::Error)]
pub enum RecompressError {
    #[error(transparent)]
    Records(#[from] RecordsError),
    #[error(transparent)]
    Compress(CompressionError),
    #[error("the batch would take {0} bytes")]
    TooLarge(usize),
}

impl From<BatchError> for RecompressError {
    fn from(error: BatchError) -> Self {
        Self::Records(error.into())
    }
}

impl From<RecordError> for RecompressError {
    fn from(error: RecordError) -> Self {
        Self::Records(error.into())
    }
}

/// The batch at the start of `bytes`, its records compressed with `to`. All else in the header stays: offsets,
/// timestamps, producer, the other attributes; the CRC is computed anew. So that no CRC of ours vouches for a
/// producer's damage, the old one is checked and the records are walked. They may take `max_bytes` when decompressed.
/// `level` as in [`compression::compress`].
pub fn recompress(
    bytes: &[u8],
    to: Compression,
    level: Option<i32>,
    max_bytes: usize,
) -> Result<Vec<u8>, RecompressError> {
    let (_, source) = batch::read_batch(bytes)?;
    let records = BatchRecords::open(source, max_bytes)?;
    for record in records.walk() {
        record?;
    }
    let compressed = compression::compress(to, level, records.bytes()).map_err(RecompressError::Compress)?;
    assemble(&records.header, source, &compressed, to)
}

/// The header of `source` before other records.
fn assemble(
    header: &BatchHeader,
    source: &[u8],
    records: &[u8],
    compression: Compression,
) -> Result<Vec<u8>, RecompressError> {
    let size_bytes = HEADER_BYTES + records.len();
    let length = i32::try_from(size_bytes - LOG_OVERHEAD_BYTES).map_err(|_| RecompressError::TooLarge(size_bytes))?;
    let attributes = (header.attributes & !batch::COMPRESSION_BITS) | compression as i16;
    let mut target = Vec::with_capacity(size_bytes);
    target.extend_from_slice(&source[..HEADER_BYTES]);
    target.extend_from_slice(records);
    target[batch::LENGTH_AT..batch::LEADER_EPOCH_AT].copy_from_slice(&length.to_be_bytes());
    target[batch::ATTRIBUTES_AT..batch::LAST_OFFSET_DELTA_AT].copy_from_slice(&attributes.to_be_bytes());
    batch::write_crc(&mut target);
    Ok(target)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::records::golden::{self, unhex};

    const MAX_BYTES: usize = 1 << 20;
    const CODECS: [Compression; 5] =
        [Compression::None, Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];

    #[test]
    fn any_codec_becomes_any_other_and_the_header_stays() {
        for source in [golden::NONE, golden::GZIP, golden::SNAPPY, golden::LZ4, golden::ZSTD, golden::LOG_APPEND_TIME]
        {
            let source = unhex(source);
            let (before, _) = batch::read_batch(&source).unwrap();
            for to in CODECS {
                let target = recompress(&source, to, None, MAX_BYTES).unwrap();
                let (after, whole) = batch::read_batch(&target).unwrap();
                assert_eq!(whole.len(), target.len());
                let attributes = before.attributes & !batch::COMPRESSION_BITS | to as i16;
                let expected = BatchHeader { attributes, length: after.length, crc: after.crc, ..before };
                assert_eq!(after, expected);
                let (before, after) = (open(&source), open(&target));
                assert_eq!(before.bytes(), after.bytes());
            }
        }
    }

    fn open(batch: &[u8]) -> BatchRecords<'_> {
        BatchRecords::open(batch, MAX_BYTES).unwrap()
    }

    #[test]
    fn back_to_uncompressed_is_the_batch_that_kafka_would_have_built() {
        for source in [golden::GZIP, golden::SNAPPY, golden::LZ4, golden::ZSTD] {
            assert_eq!(recompress(&unhex(source), Compression::None, None, MAX_BYTES).unwrap(), unhex(golden::NONE));
        }
    }

    #[test]
    fn damage_is_refused_not_sealed_with_a_new_crc() {
        let mut flipped = unhex(golden::NONE);
        *flipped.last_mut().unwrap() ^= 1;
        let error = recompress(&flipped, Compression::Gzip, None, MAX_BYTES).unwrap_err();
        assert!(matches!(error, RecompressError::Records(RecordsError::Batch(BatchError::Crc { .. }))));

        // A valid CRC over one record too few.
        let mut miscounted = unhex(golden::NONE);
        miscounted[60] = 6;
        batch::write_crc(&mut miscounted);
        let error = recompress(&miscounted, Compression::Gzip, None, MAX_BYTES).unwrap_err();
        assert!(matches!(error, RecompressError::Records(RecordsError::Record(RecordError::Missing(1)))));
    }

    #[test]
    fn the_cap_holds() {
        let error = recompress(&unhex(golden::ZSTD), Compression::None, None, 50).unwrap_err();
        assert!(matches!(error, RecompressError::Records(RecordsError::Compression(_))));
    }
}
