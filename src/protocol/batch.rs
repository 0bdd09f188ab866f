//! A view of record batches (message format v2, magic 2) as they travel and as they lie on disk.
//!
//! ```text
//!  0        8        12       16  17    21    23        27       35       43       51    53      57      61
//!  ┌────────┬────────┬────────┬───┬─────┬─────┬─────────┬────────┬────────┬────────┬─────┬───────┬───────┬─────
//!  │ base   │ length │ leader │ 2 │ crc │attr │ last    │ base   │ max    │producer│epoch│ base  │ count │ records
//!  │ offset │        │ epoch  │   │     │     │off.delta│ timest.│ timest.│ id     │     │ seq.  │       │
//!  └────────┴────────┴────────┴───┴─────┴─────┴─────────┴────────┴────────┴────────┴─────┴───────┴───────┴─────
//!   big-endian; `length` counts from offset 12; the CRC-32C covers everything from `attributes` on, so the
//!   first 21 bytes (base offset, leader epoch) may be patched without touching it.
//! ```
//! Source: Kafka documentation, "Record Batch"; KIP-98.

use crate::ids::{LeaderEpoch, Offset, ProducerEpoch, ProducerId};
use crate::time::TimestampMs;

/// Bytes of a batch before its first record.
pub const HEADER_BYTES: usize = 61;
/// Bytes of base offset and length: what `length` itself does not count.
pub const LOG_OVERHEAD_BYTES: usize = 12;
/// The only message format that is written.
pub const MAGIC_V2: i8 = 2;

pub(super) const LENGTH_AT: usize = 8;
pub(crate) const LEADER_EPOCH_AT: usize = 12;
const MAGIC_AT: usize = 16;
const CRC_AT: usize = 17;
pub(super) const ATTRIBUTES_AT: usize = 21;
pub(super) const LAST_OFFSET_DELTA_AT: usize = 23;
const BASE_TIMESTAMP_AT: usize = 27;
const MAX_TIMESTAMP_AT: usize = 35;
const PRODUCER_ID_AT: usize = 43;
const PRODUCER_EPOCH_AT: usize = 51;
const BASE_SEQUENCE_AT: usize = 53;
pub(crate) const RECORD_COUNT_AT: usize = 57;

/// Which [`Compression`].
pub(super) const COMPRESSION_BITS: i16 = 7;
pub(super) const TIMESTAMP_TYPE_BIT: i16 = 1 << 3;
pub(super) const TRANSACTIONAL_BIT: i16 = 1 << 4;
pub(super) const CONTROL_BIT: i16 = 1 << 5;
/// The base timestamp is the moment from which tombstones may go (KIP-534).
pub(crate) const DELETE_HORIZON_BIT: i16 = 1 << 6;

/// What is wrong with bytes that should be a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    #[error("{available} bytes where a batch of {needed} bytes should be")]
    Truncated { needed: usize, available: usize },
    #[error("batch length {0} is less than its header")]
    TooShort(i32),
    #[error("unsupported magic {0}")]
    Magic(i8),
    #[error("CRC-32C is {computed:#010x}, the batch says {stored:#010x}")]
    Crc { stored: u32, computed: u32 },
    #[error("{count} records, but the last offset delta is {last_offset_delta}")]
    Count { count: i32, last_offset_delta: i32 },
    #[error("compression type {0} is not known")]
    Compression(i16),
}

/// How the records of a batch are compressed: the three low bits of its attributes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Compression {
    None = 0,
    Gzip = 1,
    Snappy = 2,
    Lz4 = 3,
    Zstd = 4,
}

impl TryFrom<i16> for Compression {
    type Error = BatchError;

    fn try_from(attributes: i16) -> Result<Self, BatchError> {
        let id = attributes & 7;
        Self::from_id(id).ok_or(BatchError::Compression(id))
    }
}

impl Compression {
    /// The codec of a number that is nothing but a codec's.
    pub fn from_id(id: i16) -> Option<Self> {
        Some(match id {
            0 => Self::None,
            1 => Self::Gzip,
            2 => Self::Snappy,
            3 => Self::Lz4,
            4 => Self::Zstd,
            _ => return None,
        })
    }
}

/// The decoded header of one batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchHeader {
    pub base_offset: Offset,
    /// As on the wire: bytes of the batch behind its first 12.
    pub length: i32,
    pub leader_epoch: LeaderEpoch,
    pub magic: i8,
    pub crc: u32,
    pub attributes: i16,
    pub last_offset_delta: i32,
    pub base_timestamp: TimestampMs,
    pub max_timestamp: TimestampMs,
    pub producer_id: ProducerId,
    pub producer_epoch: ProducerEpoch,
    pub base_sequence: i32,
    pub record_count: i32,
}

impl BatchHeader {
    /// Reads the header at the start of `bytes`. Checks that 61 bytes are there, that the length is at least a
    /// header's and that the magic is 2; nothing else, and not that the whole batch is there.
    pub fn read(bytes: &[u8]) -> Result<Self, BatchError> {
        // Length and magic stand at the same place in every format, so an old batch is named as such.
        if bytes.len() > MAGIC_AT && bytes[MAGIC_AT] as i8 != MAGIC_V2 {
            return Err(BatchError::Magic(bytes[MAGIC_AT] as i8));
        }
        if bytes.len() < HEADER_BYTES {
            return Err(BatchError::Truncated { needed: HEADER_BYTES, available: bytes.len() });
        }
        let header = Self {
            base_offset: Offset(read_i64(bytes, 0)),
            length: read_i32(bytes, LENGTH_AT),
            leader_epoch: LeaderEpoch(read_i32(bytes, LEADER_EPOCH_AT)),
            magic: MAGIC_V2,
            crc: read_i32(bytes, CRC_AT) as u32,
            attributes: read_i16(bytes, ATTRIBUTES_AT),
            last_offset_delta: read_i32(bytes, LAST_OFFSET_DELTA_AT),
            base_timestamp: read_i64(bytes, BASE_TIMESTAMP_AT),
            max_timestamp: read_i64(bytes, MAX_TIMESTAMP_AT),
            producer_id: ProducerId(read_i64(bytes, PRODUCER_ID_AT)),
            producer_epoch: ProducerEpoch(read_i16(bytes, PRODUCER_EPOCH_AT)),
            base_sequence: read_i32(bytes, BASE_SEQUENCE_AT),
            record_count: read_i32(bytes, RECORD_COUNT_AT),
        };
        if header.length < (HEADER_BYTES - LOG_OVERHEAD_BYTES) as i32 {
            return Err(BatchError::TooShort(header.length));
        }
        Ok(header)
    }

    /// The header as it stands before its records. Where these are not yet known, [`write_crc`] follows.
    pub fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        let mut put = |at: usize, field: &[u8]| bytes[at..at + field.len()].copy_from_slice(field);
        put(0, &self.base_offset.0.to_be_bytes());
        put(LENGTH_AT, &self.length.to_be_bytes());
        put(LEADER_EPOCH_AT, &self.leader_epoch.0.to_be_bytes());
        put(MAGIC_AT, &self.magic.to_be_bytes());
        put(CRC_AT, &self.crc.to_be_bytes());
        put(ATTRIBUTES_AT, &self.attributes.to_be_bytes());
        put(LAST_OFFSET_DELTA_AT, &self.last_offset_delta.to_be_bytes());
        put(BASE_TIMESTAMP_AT, &self.base_timestamp.to_be_bytes());
        put(MAX_TIMESTAMP_AT, &self.max_timestamp.to_be_bytes());
        put(PRODUCER_ID_AT, &self.producer_id.0.to_be_bytes());
        put(PRODUCER_EPOCH_AT, &self.producer_epoch.0.to_be_bytes());
        put(BASE_SEQUENCE_AT, &self.base_sequence.to_be_bytes());
        put(RECORD_COUNT_AT, &self.record_count.to_be_bytes());
        bytes
    }

    /// Bytes of the whole batch, header included.
    pub fn size_bytes(&self) -> usize {
        LOG_OVERHEAD_BYTES + self.length as usize
    }

    pub fn last_offset(&self) -> Offset {
        self.base_offset + i64::from(self.last_offset_delta)
    }

    pub fn next_offset(&self) -> Offset {
        self.last_offset().next()
    }

    pub fn compression(&self) -> Result<Compression, BatchError> {
        Compression::try_from(self.attributes)
    }

    pub fn is_log_append_time(&self) -> bool {
        self.attributes & TIMESTAMP_TYPE_BIT != 0
    }

    pub fn is_transactional(&self) -> bool {
        self.attributes & TRANSACTIONAL_BIT != 0
    }

    pub fn is_control(&self) -> bool {
        self.attributes & CONTROL_BIT != 0
    }

    /// The moment from which the tombstones or the marker in it may go (KIP-534): kept in place of the base timestamp.
    pub fn delete_horizon_ms(&self) -> Option<TimestampMs> {
        (self.attributes & DELETE_HORIZON_BIT != 0).then_some(self.base_timestamp)
    }

    pub fn has_producer_id(&self) -> bool {
        self.producer_id.0 >= 0
    }

    /// The sequence number of the last record; sequences wrap from `i32::MAX` to 0 (KIP-98).
    pub fn last_sequence(&self) -> i32 {
        add_sequence(self.base_sequence, self.last_offset_delta)
    }
}

/// `sequence` plus `increment`, wrapping from `i32::MAX` to 0.
pub fn add_sequence(sequence: i32, increment: i32) -> i32 {
    ((i64::from(sequence) + i64::from(increment)) % (i64::from(i32::MAX) + 1)) as i32
}

/// The whole batch at the start of `bytes`, its header decoded, its CRC checked.
pub fn read_batch(bytes: &[u8]) -> Result<(BatchHeader, &[u8]), BatchError> {
    let header = BatchHeader::read(bytes)?;
    let Some(batch) = bytes.get(..header.size_bytes()) else {
        return Err(BatchError::Truncated { needed: header.size_bytes(), available: bytes.len() });
    };
    check_crc(&header, batch)?;
    Ok((header, batch))
}

/// Compares the CRC-32C of a whole batch with the one it carries.
pub fn check_crc(header: &BatchHeader, batch: &[u8]) -> Result<(), BatchError> {
    let computed = crc32c::crc32c(&batch[ATTRIBUTES_AT..]);
    if computed == header.crc { Ok(()) } else { Err(BatchError::Crc { stored: header.crc, computed }) }
}

/// The first 16 bytes of a batch as the log writes them: its own offset and leader epoch, the producer's length.
/// What follows (from the magic byte on) is the producer's, verbatim.
pub fn patched_prefix(header: &BatchHeader, base_offset: Offset, leader_epoch: LeaderEpoch) -> [u8; MAGIC_AT] {
    let mut prefix = [0; MAGIC_AT];
    prefix[..LENGTH_AT].copy_from_slice(&base_offset.0.to_be_bytes());
    prefix[LENGTH_AT..LEADER_EPOCH_AT].copy_from_slice(&header.length.to_be_bytes());
    prefix[LEADER_EPOCH_AT..].copy_from_slice(&leader_epoch.0.to_be_bytes());
    prefix
}

/// Marks a whole batch as stamped by the log (`message.timestamp.type=LogAppendTime`): the timestamp type bit, the
/// maximal timestamp, and the CRC anew. Records keep their deltas; readers take the maximal timestamp instead.
pub fn stamp_log_append_time(batch: &mut [u8], now_ms: TimestampMs) {
    let attributes = read_i16(batch, ATTRIBUTES_AT) | TIMESTAMP_TYPE_BIT;
    batch[ATTRIBUTES_AT..LAST_OFFSET_DELTA_AT].copy_from_slice(&attributes.to_be_bytes());
    batch[MAX_TIMESTAMP_AT..PRODUCER_ID_AT].copy_from_slice(&now_ms.to_be_bytes());
    write_crc(batch);
}

/// As [`stamp_log_append_time`], for a batch that stays where it is: the header to be written in place of its own.
pub fn log_append_time_header(batch: &[u8], now_ms: TimestampMs) -> [u8; HEADER_BYTES] {
    let (header, records) = batch.split_at(HEADER_BYTES);
    let mut stamped = [0; HEADER_BYTES];
    stamped.copy_from_slice(header);
    stamp_log_append_time(&mut stamped, now_ms);
    let crc = crc32c::crc32c_append(crc32c::crc32c(&stamped[ATTRIBUTES_AT..]), records);
    stamped[CRC_AT..ATTRIBUTES_AT].copy_from_slice(&crc.to_be_bytes());
    stamped
}

/// Computes the CRC-32C of a whole batch and writes it into its header.
pub fn write_crc(batch: &mut [u8]) {
    let crc = crc32c::crc32c(&batch[ATTRIBUTES_AT..]);
    batch[CRC_AT..ATTRIBUTES_AT].copy_from_slice(&crc.to_be_bytes());
}

fn read_i16(bytes: &[u8], at: usize) -> i16 {
    i16::from_be_bytes([bytes[at], bytes[at + 1]])
}

fn read_i32(bytes: &[u8], at: usize) -> i32 {
    i32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn read_i64(bytes: &[u8], at: usize) -> i64 {
    (i64::from(read_i32(bytes, at)) << 32) | i64::from(read_i32(bytes, at + 4) as u32)
}
