//! The bytes of `<offset>.snapshot`, Kafka's version 1.
//!
//! ```text
//!  0       2            6           10
//!  ┌───────┬────────────┬───────────┬───────────────────────────────── per entry, 46 bytes, big-endian ──────────
//!  │version│ CRC-32C of │ number of │ producer id i64 │ epoch i16 │ last sequence i32 │ last offset i64 │
//!  │ = 1   │ all behind │ entries   │ offset delta i32 │ timestamp i64 │ coordinator epoch i32 │ txn first offset i64
//!  └───────┴────────────┴───────────┴────────────────────────────────────────────────────────────────────────────
//! ```
//! Kafka keeps a producer's last batch only. Here each retained batch is an entry, oldest first, so that a batch that
//! is retried across a restart is recognised even with five in flight; Kafka reads such a file as well, and lets the
//! last entry of a producer stand.

use crate::ids::{Offset, ProducerEpoch, ProducerId};

use super::entry::{BatchMetadata, ProducerStateEntry};

const VERSION: i16 = 1;
const CRC_AT: usize = 2;
const COUNT_AT: usize = 6;
const HEADER_BYTES: usize = 10;
const ENTRY_BYTES: usize = 46;
const SUFFIX: &str = ".snapshot";

/// What is wrong with a snapshot's content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotError {
    #[error("{0} bytes are no producer snapshot")]
    Size(usize),
    #[error("snapshot version {0} is not known")]
    Version(i16),
    #[error("CRC-32C is {computed:#010x}, the snapshot says {stored:#010x}")]
    Crc { stored: u32, computed: u32 },
}

/// The name of the snapshot that holds the state of all records below `offset`.
pub fn snapshot_file_name(offset: Offset) -> String {
    format!("{:020}{SUFFIX}", offset.0)
}

/// The inverse of [`snapshot_file_name`].
pub fn snapshot_offset(file_name: &str) -> Option<Offset> {
    let digits = file_name.strip_suffix(SUFFIX)?;
    let is_number = digits.len() >= 20 && digits.bytes().all(|byte| byte.is_ascii_digit());
    if is_number { digits.parse().ok().map(Offset) } else { None }
}

pub(super) fn encode(producers: &[&ProducerStateEntry]) -> Vec<u8> {
    let mut content = vec![0; HEADER_BYTES];
    let mut count = 0_i32;
    for producer in producers {
        if producer.batches().is_empty() {
            let nothing_written = BatchMetadata {
                last_sequence: -1,
                last_offset: Offset::NONE,
                offset_delta: 0,
                timestamp: producer.last_timestamp,
            };
            encode_entry(&mut content, producer, &nothing_written, producer.last_timestamp);
            count += 1;
        }
        for (at, batch) in producer.batches().iter().enumerate() {
            let is_last = at + 1 == producer.batches().len();
            // A marker may have moved the producer's timestamp past its last batch's.
            let timestamp = if is_last { producer.last_timestamp } else { batch.timestamp };
            encode_entry(&mut content, producer, batch, timestamp);
            count += 1;
        }
    }
    content[..CRC_AT].copy_from_slice(&VERSION.to_be_bytes());
    content[COUNT_AT..HEADER_BYTES].copy_from_slice(&count.to_be_bytes());
    let crc = crc32c::crc32c(&content[COUNT_AT..]);
    content[CRC_AT..COUNT_AT].copy_from_slice(&crc.to_be_bytes());
    content
}

fn encode_entry(content: &mut Vec<u8>, producer: &ProducerStateEntry, batch: &BatchMetadata, timestamp: i64) {
    content.extend_from_slice(&producer.producer_id.0.to_be_bytes());
    content.extend_from_slice(&producer.epoch.0.to_be_bytes());
    content.extend_from_slice(&batch.last_sequence.to_be_bytes());
    content.extend_from_slice(&batch.last_offset.0.to_be_bytes());
    content.extend_from_slice(&batch.offset_delta.to_be_bytes());
    content.extend_from_slice(&timestamp.to_be_bytes());
    content.extend_from_slice(&producer.coordinator_epoch.to_be_bytes());
    let first_offset = producer.current_txn_first_offset.unwrap_or(Offset::NONE);
    content.extend_from_slice(&first_offset.0.to_be_bytes());
}

pub(super) fn decode(content: &[u8]) -> Result<Vec<ProducerStateEntry>, SnapshotError> {
    if content.len() < HEADER_BYTES {
        return Err(SnapshotError::Size(content.len()));
    }
    let version = i16::from_be_bytes(array(content, 0));
    if version != VERSION {
        return Err(SnapshotError::Version(version));
    }
    let stored = u32::from_be_bytes(array(content, CRC_AT));
    let computed = crc32c::crc32c(&content[COUNT_AT..]);
    if stored != computed {
        return Err(SnapshotError::Crc { stored, computed });
    }
    let entries = &content[HEADER_BYTES..];
    let count = i32::from_be_bytes(array(content, COUNT_AT));
    if usize::try_from(count).ok().and_then(|count| count.checked_mul(ENTRY_BYTES)) != Some(entries.len()) {
        return Err(SnapshotError::Size(content.len()));
    }
    Ok(entries.chunks_exact(ENTRY_BYTES).map(decode_entry).collect())
}

fn decode_entry(bytes: &[u8]) -> ProducerStateEntry {
    let mut entry = ProducerStateEntry::empty(ProducerId(i64::from_be_bytes(array(bytes, 0))));
    entry.epoch = ProducerEpoch(i16::from_be_bytes(array(bytes, 8)));
    let last_offset = Offset(i64::from_be_bytes(array(bytes, 14)));
    entry.last_timestamp = i64::from_be_bytes(array(bytes, 26));
    if last_offset >= Offset::ZERO {
        entry.push(BatchMetadata {
            last_sequence: i32::from_be_bytes(array(bytes, 10)),
            last_offset,
            offset_delta: i32::from_be_bytes(array(bytes, 22)),
            timestamp: entry.last_timestamp,
        });
    }
    entry.coordinator_epoch = i32::from_be_bytes(array(bytes, 34));
    let first_offset = Offset(i64::from_be_bytes(array(bytes, 38)));
    entry.current_txn_first_offset = (first_offset >= Offset::ZERO).then_some(first_offset);
    entry
}

/// `N` bytes from `at`, which the caller has found to be there.
fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes[at..at + N].try_into().expect("the slice has N bytes")
}
