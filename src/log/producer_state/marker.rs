//! The control record that ends a transaction.
//!
//! ```text
//!   key:   version i16 | type i16 (0 abort, 1 commit)
//!   value: version i16 | coordinator epoch i32
//! ```
//! Source: Kafka documentation, "Control Batches"; KIP-98.

use crate::protocol::batch::{BatchHeader, HEADER_BYTES};
use crate::time::TimestampMs;

/// How a transaction ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ControlType {
    Abort,
    Commit,
}

/// The end of one producer's transaction in one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndTxnMarker {
    pub control_type: ControlType,
    pub coordinator_epoch: i32,
    pub timestamp: TimestampMs,
}

/// A control batch is not what it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MarkerError {
    #[error("the control record ends early")]
    Truncated,
    #[error("a control batch is never compressed")]
    Compressed,
    #[error("control record version {0} is not known")]
    Version(i16),
}

impl EndTxnMarker {
    /// The marker in a whole control batch. `None`: a control record of another kind (a Raft leader change, say), or
    /// none at all, because compaction has removed the whole transaction.
    pub fn read(header: &BatchHeader, batch: &[u8]) -> Result<Option<Self>, MarkerError> {
        if header.record_count == 0 {
            return Ok(None);
        }
        if header.attributes & 7 != 0 {
            return Err(MarkerError::Compressed);
        }
        let mut cursor = Cursor(batch.get(HEADER_BYTES..).ok_or(MarkerError::Truncated)?);
        let _record_bytes = cursor.varint()?;
        let _attributes = cursor.take(1)?;
        let timestamp_delta = cursor.varint()?;
        let _offset_delta = cursor.varint()?;
        let mut key = cursor.sized()?;
        let mut value = cursor.sized()?;

        let version = key.i16()?;
        if version < 0 {
            return Err(MarkerError::Version(version));
        }
        let control_type = match key.i16()? {
            0 => ControlType::Abort,
            1 => ControlType::Commit,
            _ => return Ok(None),
        };
        let version = value.i16()?;
        if version < 0 {
            return Err(MarkerError::Version(version));
        }
        let coordinator_epoch = value.i32()?;
        let timestamp = if header.is_log_append_time() {
            header.max_timestamp
        } else {
            header.base_timestamp.saturating_add(timestamp_delta)
        };
        Ok(Some(Self { control_type, coordinator_epoch, timestamp }))
    }
}

/// The bytes still to be read.
struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], MarkerError> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(MarkerError::Truncated)?;
        self.0 = rest;
        Ok(taken)
    }

    fn i16(&mut self) -> Result<i16, MarkerError> {
        let bytes = self.take(2)?;
        Ok(i16::from_be_bytes([bytes[0], bytes[1]]))
    }

    fn i32(&mut self) -> Result<i32, MarkerError> {
        let bytes = self.take(4)?;
        Ok(i32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    }

    /// Zigzag-coded, ten bytes at most.
    fn varint(&mut self) -> Result<i64, MarkerError> {
        let mut bits = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.take(1)?[0];
            bits |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok((bits >> 1) as i64 ^ -((bits & 1) as i64));
            }
        }
        Err(MarkerError::Truncated)
    }

    fn sized(&mut self) -> Result<Self, MarkerError> {
        let count = usize::try_from(self.varint()?).map_err(|_| MarkerError::Truncated)?;
        self.take(count).map(Self)
    }
}
