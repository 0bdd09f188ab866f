//! What can go wrong with a log, and the codes that clients see.

use std::io;

use crate::error::ErrorCode;
use crate::ids::{Offset, TopicPartition};
use crate::log::health::WriteState;
use crate::log::producer_state::ProducerError;
use crate::protocol::batch::BatchError;

/// The log can't serve: its directory is offline, or the end of its file is not known.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    #[error("the log directory is offline: {0}")]
    Offline(String),
    /// It passes: producers come again.
    #[error("the log directory is {0}")]
    NotWritable(WriteState),
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl StorageError {
    pub fn code(&self) -> ErrorCode {
        ErrorCode::KafkaStorageError
    }
}

/// One record that made its batch be refused (KIP-467).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordError {
    /// The record's place in its batch, from 0.
    pub batch_index: i32,
    pub message: String,
}

/// Why records are not appended. Nothing of them is in the log then.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    #[error("message format {0} is no longer written, only version 2 is")]
    OldFormat(i8),
    #[error("the batch is corrupt: {0}")]
    Corrupt(BatchError),
    #[error("a batch of {size_bytes} bytes, where max.message.bytes is {limit_bytes}")]
    BatchTooLarge { size_bytes: usize, limit_bytes: usize },
    #[error("{size_bytes} bytes of records, where segment.bytes is {limit_bytes}")]
    LargerThanSegment { size_bytes: usize, limit_bytes: u64 },
    #[error("{0}")]
    InvalidRecord(String),
    #[error("{message}")]
    InvalidRecords { message: String, errors: Vec<RecordError> },
    #[error("{message}")]
    InvalidTimestamps { message: String, errors: Vec<RecordError> },
    #[error("offset {found} where the log goes on at {expected}")]
    UnexpectedOffset { found: Offset, expected: Offset },
    #[error(transparent)]
    Producer(#[from] ProducerError),
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl AppendError {
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Corrupt(_) => ErrorCode::CorruptMessage,
            Self::BatchTooLarge { .. } => ErrorCode::MessageTooLarge,
            Self::LargerThanSegment { .. } => ErrorCode::RecordListTooLarge,
            // Kafka's answer too: every version of Produce that is served carries nothing but format 2.
            Self::OldFormat(_) | Self::InvalidRecord(_) | Self::InvalidRecords { .. } => ErrorCode::InvalidRecord,
            Self::InvalidTimestamps { .. } => ErrorCode::InvalidTimestamp,
            Self::UnexpectedOffset { .. } => ErrorCode::UnknownServerError,
            Self::Producer(error) => error.code(),
            Self::Storage(error) => error.code(),
        }
    }

    /// The single records that are to blame, where that is known.
    pub fn record_errors(&self) -> &[RecordError] {
        match self {
            Self::InvalidRecords { errors, .. } | Self::InvalidTimestamps { errors, .. } => errors,
            _ => &[],
        }
    }
}

impl From<io::Error> for AppendError {
    fn from(error: io::Error) -> Self {
        Self::Storage(error.into())
    }
}

/// Why there is nothing to read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error("offset {offset} is not within {log_start_offset} to {log_end_offset}")]
    OffsetOutOfRange { offset: Offset, log_start_offset: Offset, log_end_offset: Offset },
    /// What lies there is not what was written, and is not served.
    #[error("{partition} is damaged at offset {offset}: {reason}")]
    Corrupt { partition: TopicPartition, offset: Offset, reason: String },
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl ReadError {
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::OffsetOutOfRange { .. } => ErrorCode::OffsetOutOfRange,
            Self::Corrupt { .. } => ErrorCode::CorruptMessage,
            Self::Storage(error) => error.code(),
        }
    }
}

impl From<io::Error> for ReadError {
    fn from(error: io::Error) -> Self {
        Self::Storage(error.into())
    }
}
