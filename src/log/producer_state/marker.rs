//! The control record that ends a transaction, as the log sees it.

use crate::protocol::batch::{BatchHeader, HEADER_BYTES};
use crate::protocol::records::{ControlError, EndTransactionMarker, RecordError, RecordsWalk, TransactionOutcome};
use crate::time::TimestampMs;

/// The end of one producer's transaction in one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndTxnMarker {
    pub outcome: TransactionOutcome,
    pub coordinator_epoch: i32,
    pub timestamp: TimestampMs,
}

/// A control batch is not what it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MarkerError {
    #[error("the control batch ends early")]
    Truncated,
    #[error("a control batch is never compressed")]
    Compressed,
    #[error(transparent)]
    Record(#[from] RecordError),
    #[error(transparent)]
    Control(#[from] ControlError),
}

impl EndTxnMarker {
    /// The marker in a whole control batch. `None`: a control record of another kind (a Raft leader change, say), or
    /// none at all, because compaction has removed the whole transaction.
    pub fn read(header: &BatchHeader, batch: &[u8]) -> Result<Option<Self>, MarkerError> {
        if header.attributes & 7 != 0 {
            return Err(MarkerError::Compressed);
        }
        let records = batch.get(HEADER_BYTES..header.size_bytes()).ok_or(MarkerError::Truncated)?;
        let Some(record) = RecordsWalk::new(records, header.record_count).next() else { return Ok(None) };
        let record = record?;
        let marker = EndTransactionMarker::read(record.key, record.value)?;
        Ok(marker.map(|EndTransactionMarker { outcome, coordinator_epoch }| Self {
            outcome,
            coordinator_epoch,
            timestamp: record.timestamp_ms(header),
        }))
    }
}
