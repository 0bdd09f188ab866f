//! The records within a batch: read where they lie, and built anew.
//!
//! ```text
//!  length │ attributes │ timestamp delta │ offset delta │ key length │ key │ value length │ value │ headers
//!  varint │ i8, unused │ varlong         │ varint       │ varint     │     │ varint       │       │ count, then each:
//!                                                                              key length, key, value length, value
//! ```
//! `length` counts what stands behind it; a negative key or value length is null. Nobody on the way of a produce or
//! a fetch comes here: records are walked only where a topic needs it (keys of compacted topics, offsets by timestamp,
//! another compression), by the coordinators for their own topics, and by tests.
//!
//! Source: Kafka documentation, "Record"; KIP-82 (headers).

mod builder;
mod control;
#[cfg(test)]
pub(in crate::protocol) mod golden;
mod kept;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

pub use builder::{BuildError, NewRecord, RecordBatchBuilder};
pub use control::{ControlError, EndTransactionMarker, TransactionOutcome};
pub use kept::{with_records, without_records};

use super::batch::{BatchError, BatchHeader, HEADER_BYTES};
use super::compression::{self, CompressionError};
use super::varint::{VarintError, take_varint, take_varlong};
use crate::ids::Offset;
use crate::time::TimestampMs;

/// What is wrong with the records of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    #[error("a batch of {0} records")]
    Count(i32),
    #[error("the records end where {0} more should be")]
    Missing(i32),
    #[error("{0} bytes behind the last record")]
    Trailing(usize),
    #[error("a record of length {0} where {1} bytes are left")]
    Length(i32, usize),
    #[error("a field of {0} bytes where the record has {1} left")]
    Field(i32, usize),
    #[error("{0} headers in the {1} bytes that are left of the record")]
    HeaderCount(i32, usize),
    #[error("a header without a key")]
    HeaderKey,
    #[error("a record with {0} bytes behind its last field")]
    RecordTrailing(usize),
    #[error(transparent)]
    Varint(#[from] VarintError),
}

/// Why the records of a batch could not be reached.
#[derive(Debug, thiserror::Error)]
pub enum RecordsError {
    #[error(transparent)]
    Batch(#[from] BatchError),
    #[error(transparent)]
    Compression(#[from] CompressionError),
    #[error(transparent)]
    Record(#[from] RecordError),
}

/// The records of one batch, decompressed where they were compressed.
#[derive(Debug)]
pub struct BatchRecords<'a> {
    pub header: BatchHeader,
    bytes: Cow<'a, [u8]>,
}

impl<'a> BatchRecords<'a> {
    /// Opens the batch at the start of `bytes`. Its records may take `max_bytes` when decompressed. The CRC is
    /// not looked at: who took the batch from the wire or the disk has done so.
    pub fn open(bytes: &'a [u8], max_bytes: usize) -> Result<Self, RecordsError> {
        let header = BatchHeader::read(bytes)?;
        let Some(records) = bytes.get(HEADER_BYTES..header.size_bytes()) else {
            return Err(BatchError::Truncated { needed: header.size_bytes(), available: bytes.len() }.into());
        };
        let bytes = compression::decompress(header.compression()?, records, max_bytes)?;
        Ok(Self { header, bytes })
    }

    /// The records, one after the other.
    pub fn walk(&self) -> RecordsWalk<'_> {
        RecordsWalk::new(&self.bytes, self.header.record_count)
    }

    /// All records as bytes, decompressed.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// Walks over decompressed records. Yields exactly as many as the batch declares, or an error as the last item:
/// for fewer, for bytes behind them, and for the first that is malformed.
#[derive(Clone, Debug)]
pub struct RecordsWalk<'a> {
    rest: &'a [u8],
    /// Records still to come.
    remaining: i32,
    ended: bool,
}

impl<'a> RecordsWalk<'a> {
    pub fn new(records: &'a [u8], record_count: i32) -> Self {
        Self { rest: records, remaining: record_count, ended: false }
    }

    fn step(&mut self) -> Result<Option<Record<'a>>, RecordError> {
        match self.remaining {
            count if count < 0 => Err(RecordError::Count(count)),
            0 if self.rest.is_empty() => Ok(None),
            0 => Err(RecordError::Trailing(self.rest.len())),
            missing if self.rest.is_empty() => Err(RecordError::Missing(missing)),
            _ => {
                self.remaining -= 1;
                take_record(&mut self.rest).map(Some)
            }
        }
    }
}

impl<'a> Iterator for RecordsWalk<'a> {
    type Item = Result<Record<'a>, RecordError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let step = self.step().transpose();
        self.ended = !matches!(step, Some(Ok(_)));
        step
    }
}

impl std::iter::FusedIterator for RecordsWalk<'_> {}

/// One record, its parts where they lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    pub timestamp_delta: i64,
    pub offset_delta: i32,
    pub key: Option<&'a [u8]>,
    pub value: Option<&'a [u8]>,
    pub headers: Headers<'a>,
    /// Key, value and headers as they lie: what stays where the record gets another place or time.
    pub fields: &'a [u8],
    /// Bytes of the whole record, its length field included.
    pub size_bytes: usize,
}

impl Record<'_> {
    /// The record's offset in the partition.
    pub fn offset(&self, batch: &BatchHeader) -> Offset {
        batch.base_offset + i64::from(self.offset_delta)
    }

    /// The record's timestamp; in a batch that the log has stamped, that of the whole batch.
    pub fn timestamp_ms(&self, batch: &BatchHeader) -> TimestampMs {
        if batch.is_log_append_time() {
            batch.max_timestamp
        } else {
            batch.base_timestamp.saturating_add(self.timestamp_delta)
        }
    }
}

/// The headers of one record, in order; keys may repeat. Their bounds are checked already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Headers<'a> {
    count: usize,
    bytes: &'a [u8],
}

/// One header of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header<'a> {
    /// UTF-8 by convention; not checked.
    pub key: &'a [u8],
    pub value: Option<&'a [u8]>,
}

impl<'a> Headers<'a> {
    pub fn len(&self) -> usize {
        self.count
    }

    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub fn iter(&self) -> impl Iterator<Item = Header<'a>> + use<'a> {
        let mut rest = self.bytes;
        (0..self.count).map_while(move |_| take_header(&mut rest).ok())
    }
}

/// The smallest header: an empty key, a null value.
const MIN_HEADER_BYTES: usize = 2;

fn take_record<'a>(rest: &mut &'a [u8]) -> Result<Record<'a>, RecordError> {
    let available = rest.len();
    let length = take_varint(rest)?;
    let Some((mut body, behind)) = usize::try_from(length).ok().and_then(|length| rest.split_at_checked(length))
    else {
        return Err(RecordError::Length(length, rest.len()));
    };
    *rest = behind;

    if body.is_empty() {
        return Err(RecordError::Length(length, available));
    }
    body = &body[1..]; // attributes, unused
    let timestamp_delta = take_varlong(&mut body)?;
    let offset_delta = take_varint(&mut body)?;
    let fields = body;
    let key = take_nullable(&mut body)?;
    let value = take_nullable(&mut body)?;
    let headers = take_headers(&mut body)?;
    if !body.is_empty() {
        return Err(RecordError::RecordTrailing(body.len()));
    }
    Ok(Record { timestamp_delta, offset_delta, key, value, headers, fields, size_bytes: available - behind.len() })
}

fn take_headers<'a>(body: &mut &'a [u8]) -> Result<Headers<'a>, RecordError> {
    let declared = take_varint(body)?;
    let bytes = *body;
    let count = match usize::try_from(declared) {
        Ok(count) if count <= bytes.len() / MIN_HEADER_BYTES => count,
        _ => return Err(RecordError::HeaderCount(declared, bytes.len())),
    };
    for _ in 0..count {
        take_header(body)?;
    }
    Ok(Headers { count, bytes: &bytes[..bytes.len() - body.len()] })
}

fn take_header<'a>(body: &mut &'a [u8]) -> Result<Header<'a>, RecordError> {
    let key = take_nullable(body)?.ok_or(RecordError::HeaderKey)?;
    let value = take_nullable(body)?;
    Ok(Header { key, value })
}

/// A length and as many bytes; `None` for any negative length, as Kafka reads it.
fn take_nullable<'a>(body: &mut &'a [u8]) -> Result<Option<&'a [u8]>, RecordError> {
    let length = take_varint(body)?;
    let Ok(count) = usize::try_from(length) else {
        return Ok(None);
    };
    let Some((field, behind)) = body.split_at_checked(count) else {
        return Err(RecordError::Field(length, body.len()));
    };
    *body = behind;
    Ok(Some(field))
}
