//! Control records that end a transaction: one record alone in a control batch of the transaction's producer.
//!
//! ```text
//!  key:   version i16 = 0 │ type i16 (0 abort, 1 commit)      value: version i16 = 0 │ coordinator epoch i32
//! ```
//! Source: KIP-98; Kafka's `EndTxnMarker` schema.

use super::builder::{NewRecord, RecordBatchBuilder};
use crate::ids::{LeaderEpoch, Offset, ProducerEpoch, ProducerId};
use crate::time::TimestampMs;

const VERSION: i16 = 0;
const KEY_BYTES: usize = 4;
const VALUE_BYTES: usize = 6;

/// What is wrong with the record of a control batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ControlError {
    #[error("a control record with a key of {0} bytes")]
    Key(usize),
    #[error("a transaction marker with a value of {0} bytes")]
    Value(usize),
    #[error("a control record of version {0}")]
    Version(i16),
}

/// How a transaction ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TransactionOutcome {
    Abort = 0,
    Commit = 1,
}

/// The record that ends a producer's transaction in a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndTransactionMarker {
    pub outcome: TransactionOutcome,
    /// Fences markers of a former transaction coordinator.
    pub coordinator_epoch: i32,
}

impl EndTransactionMarker {
    /// Reads the record of a control batch. `None`: a control record that ends no transaction. Versions newer than
    /// ours keep the fields that we know in front.
    pub fn read(key: Option<&[u8]>, value: Option<&[u8]>) -> Result<Option<Self>, ControlError> {
        let key = key.unwrap_or_default();
        let Some(&[v0, v1, t0, t1]) = key.first_chunk::<KEY_BYTES>() else {
            return Err(ControlError::Key(key.len()));
        };
        check_version(i16::from_be_bytes([v0, v1]))?;
        let outcome = match i16::from_be_bytes([t0, t1]) {
            0 => TransactionOutcome::Abort,
            1 => TransactionOutcome::Commit,
            _ => return Ok(None),
        };
        let value = value.unwrap_or_default();
        let Some(&[v0, v1, e0, e1, e2, e3]) = value.first_chunk::<VALUE_BYTES>() else {
            return Err(ControlError::Value(value.len()));
        };
        check_version(i16::from_be_bytes([v0, v1]))?;
        Ok(Some(Self { outcome, coordinator_epoch: i32::from_be_bytes([e0, e1, e2, e3]) }))
    }

    pub fn key(&self) -> [u8; KEY_BYTES] {
        let [v0, v1] = VERSION.to_be_bytes();
        let [t0, t1] = (self.outcome as i16).to_be_bytes();
        [v0, v1, t0, t1]
    }

    pub fn value(&self) -> [u8; VALUE_BYTES] {
        let [v0, v1] = VERSION.to_be_bytes();
        let [e0, e1, e2, e3] = self.coordinator_epoch.to_be_bytes();
        [v0, v1, e0, e1, e2, e3]
    }

    /// The control batch that holds this marker alone.
    pub fn batch(
        &self,
        offset: Offset,
        leader_epoch: LeaderEpoch,
        timestamp_ms: TimestampMs,
        producer_id: ProducerId,
        producer_epoch: ProducerEpoch,
    ) -> Vec<u8> {
        let (key, value) = (self.key(), self.value());
        let mut builder = RecordBatchBuilder::new(offset)
            .leader_epoch(leader_epoch)
            .producer(producer_id, producer_epoch, -1)
            .transactional()
            .control();
        builder.append(&NewRecord { timestamp_ms, key: Some(&key), value: Some(&value), headers: &[] });
        builder.build().expect("one small uncompressed record makes a batch")
    }
}

fn check_version(version: i16) -> Result<(), ControlError> {
    if version < VERSION { Err(ControlError::Version(version)) } else { Ok(()) }
}
