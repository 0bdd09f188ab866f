//! Builds record batches: for the broker's own topics, transaction markers, and tests.

use crate::ids::{LeaderEpoch, Offset, ProducerEpoch, ProducerId};
use crate::protocol::batch::{
    self, BatchError, BatchHeader, Compression, HEADER_BYTES, LOG_OVERHEAD_BYTES, MAGIC_V2,
};
use crate::protocol::compression::{self, CompressionError};
use crate::protocol::varint::{put_varint, put_varlong, varint_bytes, varlong_bytes};
use crate::time::TimestampMs;

/// Why records make no batch.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    #[error("a batch without records")]
    Empty,
    #[error("records of {0} bytes are too many for one batch")]
    TooLarge(usize),
    #[error(transparent)]
    Compression(#[from] CompressionError),
    #[error(transparent)]
    Batch(#[from] BatchError),
}

/// A record to be written.
#[derive(Clone, Copy, Debug, Default)]
pub struct NewRecord<'a> {
    pub timestamp_ms: TimestampMs,
    pub key: Option<&'a [u8]>,
    pub value: Option<&'a [u8]>,
    pub headers: &'a [(&'a [u8], Option<&'a [u8]>)],
}

/// Collects records and writes them as one batch of format v2, byte for byte as Kafka's own builder does.
#[derive(Clone, Debug)]
pub struct RecordBatchBuilder {
    base_offset: Offset,
    leader_epoch: LeaderEpoch,
    attributes: i16,
    compression: Compression,
    level: Option<i32>,
    log_append_time_ms: Option<TimestampMs>,
    producer_id: ProducerId,
    producer_epoch: ProducerEpoch,
    base_sequence: i32,
    base_timestamp: TimestampMs,
    max_timestamp: TimestampMs,
    last_offset_delta: i32,
    record_count: i32,
    records: Vec<u8>,
}

impl RecordBatchBuilder {
    /// A batch that starts at `base_offset`: uncompressed, of no producer, timestamps the records' own.
    pub fn new(base_offset: Offset) -> Self {
        Self {
            base_offset,
            leader_epoch: LeaderEpoch::NONE,
            attributes: 0,
            compression: Compression::None,
            level: None,
            log_append_time_ms: None,
            producer_id: ProducerId::NONE,
            producer_epoch: ProducerEpoch::NONE,
            base_sequence: -1,
            base_timestamp: -1,
            max_timestamp: -1,
            last_offset_delta: -1,
            record_count: 0,
            records: Vec::new(),
        }
    }

    pub fn leader_epoch(mut self, leader_epoch: LeaderEpoch) -> Self {
        self.leader_epoch = leader_epoch;
        self
    }

    /// `level` as in [`compression::compress`].
    pub fn compression(mut self, compression: Compression, level: Option<i32>) -> Self {
        self.compression = compression;
        self.level = level;
        self
    }

    /// The batch of an idempotent producer.
    pub fn producer(mut self, id: ProducerId, epoch: ProducerEpoch, base_sequence: i32) -> Self {
        self.producer_id = id;
        self.producer_epoch = epoch;
        self.base_sequence = base_sequence;
        self
    }

    /// Part of a transaction.
    pub fn transactional(mut self) -> Self {
        self.attributes |= batch::TRANSACTIONAL_BIT;
        self
    }

    /// For the broker's own markers; clients never see these records.
    pub fn control(mut self) -> Self {
        self.attributes |= batch::CONTROL_BIT;
        self
    }

    /// Stamped by the log: readers take this moment for every record.
    pub fn log_append_time(mut self, now_ms: TimestampMs) -> Self {
        self.attributes |= batch::TIMESTAMP_TYPE_BIT;
        self.log_append_time_ms = Some(now_ms);
        self
    }

    /// Adds a record at the next offset.
    pub fn append(&mut self, record: &NewRecord<'_>) -> &mut Self {
        self.append_at(self.base_offset + i64::from(self.last_offset_delta) + 1, record)
    }

    /// Adds a record at `offset`; offsets grow, and may leave gaps as compaction does.
    pub fn append_at(&mut self, offset: Offset, record: &NewRecord<'_>) -> &mut Self {
        let offset_delta = i32::try_from(offset - self.base_offset).expect("a batch spans less than 2^31 offsets");
        assert!(offset_delta > self.last_offset_delta, "offsets of a batch grow");
        if self.record_count == 0 {
            self.base_timestamp = record.timestamp_ms;
        }
        self.max_timestamp = self.max_timestamp.max(record.timestamp_ms);
        self.last_offset_delta = offset_delta;
        self.record_count += 1;
        put_record(&mut self.records, record.timestamp_ms.wrapping_sub(self.base_timestamp), offset_delta, record);
        self
    }

    /// Bytes of the records so far, uncompressed.
    pub fn records_bytes(&self) -> usize {
        self.records.len()
    }

    pub fn is_empty(&self) -> bool {
        self.record_count == 0
    }

    /// The whole batch.
    pub fn build(&self) -> Result<Vec<u8>, BuildError> {
        if self.is_empty() {
            return Err(BuildError::Empty);
        }
        assemble(
            BatchHeader {
                base_offset: self.base_offset,
                length: 0,
                leader_epoch: self.leader_epoch,
                magic: MAGIC_V2,
                crc: 0,
                attributes: self.attributes | self.compression as i16,
                last_offset_delta: self.last_offset_delta,
                base_timestamp: self.base_timestamp,
                max_timestamp: self.log_append_time_ms.unwrap_or(self.max_timestamp),
                producer_id: self.producer_id,
                producer_epoch: self.producer_epoch,
                base_sequence: self.base_sequence,
                record_count: self.record_count,
            },
            &self.records,
            self.level,
        )
    }
}

/// A whole batch: `header` with the length and the CRC that follow, then `records` as its attributes compress them.
pub(super) fn assemble(mut header: BatchHeader, records: &[u8], level: Option<i32>) -> Result<Vec<u8>, BuildError> {
    if i32::try_from(records.len()).is_err() {
        return Err(BuildError::TooLarge(records.len()));
    }
    let compressed = match header.compression()? {
        Compression::None => None,
        kind => Some(compression::compress(kind, level, records)?),
    };
    let records = compressed.as_deref().unwrap_or(records);
    let size_bytes = HEADER_BYTES + records.len();
    header.length =
        i32::try_from(size_bytes - LOG_OVERHEAD_BYTES).map_err(|_| BuildError::TooLarge(records.len()))?;
    let mut batch = Vec::with_capacity(size_bytes);
    batch.extend_from_slice(&header.encode());
    batch.extend_from_slice(records);
    batch::write_crc(&mut batch);
    Ok(batch)
}

fn put_record(out: &mut Vec<u8>, timestamp_delta: i64, offset_delta: i32, record: &NewRecord<'_>) {
    let header_count = record.headers.len() as i32;
    let mut length = 1
        + varlong_bytes(timestamp_delta)
        + varint_bytes(offset_delta)
        + nullable_bytes(record.key)
        + nullable_bytes(record.value)
        + varint_bytes(header_count);
    for (key, value) in record.headers {
        length += nullable_bytes(Some(key)) + nullable_bytes(*value);
    }
    // A length beyond i32 wraps here; `build` then refuses the records, which are as long.
    put_varint(out, length as i32);
    out.push(0); // attributes, unused
    put_varlong(out, timestamp_delta);
    put_varint(out, offset_delta);
    put_nullable(out, record.key);
    put_nullable(out, record.value);
    put_varint(out, header_count);
    for (key, value) in record.headers {
        put_nullable(out, Some(key));
        put_nullable(out, *value);
    }
}

fn nullable_bytes(field: Option<&[u8]>) -> usize {
    varint_bytes(field.map_or(-1, |bytes| bytes.len() as i32)) + field.map_or(0, <[u8]>::len)
}

fn put_nullable(out: &mut Vec<u8>, field: Option<&[u8]>) {
    put_varint(out, field.map_or(-1, |bytes| bytes.len() as i32));
    out.extend_from_slice(field.unwrap_or_default());
}
