//! The internal topic's partition as a coordinator's journal: records written as batches, and all of them read back.

use std::sync::Arc;

use bytes::Bytes;

use super::decision::{EncodedRecord, Machine, Now, RecordOrigin, ReplayError};
use super::error::CoordinatorError;
use crate::ids::Offset;
use crate::log::errors::ReadError;
use crate::protocol::batch::{BatchHeader, Compression, HEADER_BYTES};
use crate::protocol::records::{BatchRecords, EndTransactionMarker, NewRecord, RecordBatchBuilder};
use crate::replication::Partition;

/// What one record may take beside its key and value: attributes, deltas and lengths.
const RECORD_OVERHEAD_BYTES: usize = 32;
/// A batch of records may take this much when it is decompressed; Ottla writes none that is larger than
/// `max.message.bytes` and Kafka none that is much larger.
const MAX_OPENED_BYTES: usize = 64 << 20;

/// Why the state of a coordinator cannot be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum LoadError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("the batch at offset {offset}: {problem}")]
    Batch { offset: Offset, problem: String },
    #[error("the record at offset {offset}: {problem}")]
    Record { offset: Offset, problem: String },
}

impl From<std::io::Error> for LoadError {
    fn from(error: std::io::Error) -> Self {
        Self::Read(error.into())
    }
}

#[derive(Debug)]
pub(super) struct Journal {
    pub(super) partition: Arc<Partition>,
    pub(super) compression: Compression,
    /// How many bytes are read at a time.
    pub(super) load_buffer_bytes: usize,
}

impl Journal {
    /// Appends records in as few batches as `max.message.bytes` allows; the offset of the first.
    pub(super) fn append(&self, records: &[EncodedRecord], now: Now) -> Result<Offset, CoordinatorError> {
        let limit_bytes = self.partition.log().config().max_message_bytes as usize;
        let mut first = None;
        for batch in batches(records, limit_bytes) {
            let written = self.append_batch(batch, now);
            match (written, first) {
                (Ok(base_offset), None) => first = Some(base_offset),
                (Ok(_), Some(_)) => {}
                (Err(error), None) => return Err(error),
                (Err(error), Some(_)) => return Err(CoordinatorError::WrittenInPart(error.code())),
            }
        }
        Ok(first.unwrap_or_else(|| self.partition.log().log_end_offset()))
    }

    fn append_batch(&self, records: &[EncodedRecord], now: Now) -> Result<Offset, CoordinatorError> {
        let mut builder = RecordBatchBuilder::new(Offset::ZERO).compression(self.compression, None);
        for record in records {
            builder.append(&NewRecord {
                timestamp_ms: now.wall_ms,
                key: Some(&record.key),
                value: record.value.as_deref(),
                headers: &[],
            });
        }
        let batch =
            builder.build().map_err(|_| CoordinatorError::NotWritten(crate::error::ErrorCode::MessageTooLarge))?;
        Ok(self.partition.append_as_coordinator(&Bytes::from(batch), now.wall_ms)?.base_offset)
    }

    /// Replays everything into `machine`; the offset behind the last record.
    pub(super) fn replay<M: Machine>(&self, machine: &mut M) -> Result<Offset, LoadError> {
        let log = self.partition.log();
        let (mut next, end) = (log.log_start_offset(), log.log_end_offset());
        let mut buffer = Vec::new();
        while next < end {
            let read = log.read(next, self.load_buffer_bytes, true, end)?;
            let Some(slice) = read.slice else { break };
            buffer.resize(slice.size_bytes, 0);
            let filled = slice.file.read_at(&mut buffer, slice.position)?;
            replay_batches(machine, buffer.get(..filled).unwrap_or_default(), next)?;
            next = read.next_offset;
        }
        Ok(end)
    }
}

/// Cuts records into batches of at most `limit_bytes`, but for a single record that is larger: the log refuses it.
fn batches(mut records: &[EncodedRecord], limit_bytes: usize) -> impl Iterator<Item = &[EncodedRecord]> {
    std::iter::from_fn(move || {
        let mut size_bytes = HEADER_BYTES;
        let fitting = records.iter().take_while(|record| {
            size_bytes += RECORD_OVERHEAD_BYTES + record.key.len() + record.value.as_ref().map_or(0, Vec::len);
            size_bytes <= limit_bytes
        });
        let (batch, rest) = records.split_at(fitting.count().max(1).min(records.len()));
        records = rest;
        (!batch.is_empty()).then_some(batch)
    })
}

fn replay_batches<M: Machine>(machine: &mut M, mut bytes: &[u8], from: Offset) -> Result<(), LoadError> {
    while !bytes.is_empty() {
        let broken = |problem: String| LoadError::Batch { offset: from, problem };
        let header = BatchHeader::read(bytes).map_err(|error| broken(error.to_string()))?;
        let batch = BatchRecords::open(bytes, MAX_OPENED_BYTES).map_err(|error| broken(error.to_string()))?;
        bytes = bytes.get(header.size_bytes()..).unwrap_or_default();
        for record in batch.walk() {
            let record = record.map_err(|error| broken(error.to_string()))?;
            let offset = header.base_offset + i64::from(record.offset_delta);
            // A batch is read whole where the log's start lies within it.
            if offset < from {
                continue;
            }
            let broken = |problem: String| LoadError::Record { offset, problem };
            if header.is_control() {
                let marker = EndTransactionMarker::read(record.key, record.value);
                if let Some(marker) = marker.map_err(|error| broken(error.to_string()))? {
                    machine.replay_end_of_transaction(header.producer_id, marker.outcome);
                }
                continue;
            }
            let origin = RecordOrigin {
                offset,
                timestamp_ms: header.base_timestamp.saturating_add(record.timestamp_delta),
                transaction_of: header.is_transactional().then_some(header.producer_id),
            };
            match machine.replay(record.key.unwrap_or_default(), record.value, origin) {
                Ok(()) => {}
                Err(unknown @ ReplayError::UnknownKind(_)) => tracing::warn!(%offset, %unknown, "record ignored"),
                Err(error) => return Err(broken(error.to_string())),
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_fill_the_limit_and_never_lose_a_record() {
        let record = |bytes: usize| EncodedRecord { key: vec![0; bytes], value: None };
        let records = [record(100), record(100), record(5000), record(10), record(10)];
        let sizes = |limit| batches(&records, limit).map(<[_]>::len).collect::<Vec<_>>();
        assert_eq!(sizes(1 << 20), [5]);
        assert_eq!(sizes(HEADER_BYTES + 2 * (100 + RECORD_OVERHEAD_BYTES)), [2, 1, 2]);
        assert_eq!(sizes(1), [1, 1, 1, 1, 1]);
        assert_eq!(batches(&[], 100).count(), 0);
    }
}
