//! What a batch must be before a leader appends it. Pure: bytes and limits in, a verdict out.
//!
//! A batch passes by its header and its checksum alone. Its records are walked only where the topic asks something of
//! each of them: a key (compacted topics) or a bounded age (`message.timestamp.before.max.ms`).

use bytes::Bytes;

use super::errors::{AppendError, RecordError};
use super::open_records::open_records;
use super::producer_state::AppendOrigin;
use super::time_index::NO_TIMESTAMP;
use crate::config::{LogConfig, TimestampType};
use crate::ids::Offset;
use crate::protocol::batch::{self, BatchError, BatchHeader, LOG_OVERHEAD_BYTES};
use crate::protocol::records::{BatchRecords, RecordsError};
use crate::time::TimestampMs;

/// Record errors that a response carries at most: who sends a million wrong records learns it from the first.
const MAX_RECORD_ERRORS: usize = 100;

/// One batch that may be appended.
#[derive(Debug)]
pub(super) struct CheckedBatch {
    /// As the producer sent it.
    pub(super) header: BatchHeader,
    /// The whole batch, nothing behind it.
    pub(super) bytes: Bytes,
}

/// Checks the records of one partition of a produce request: exactly one batch, whole and sound.
pub(super) fn check_records(
    records: &Bytes,
    origin: AppendOrigin,
    config: &LogConfig,
    now_ms: TimestampMs,
) -> Result<CheckedBatch, AppendError> {
    let header = read_only_header(records)?;
    if origin == AppendOrigin::Client && header.base_offset != Offset::ZERO {
        return Err(invalid(format!("a producer's batch has base offset 0, not {}", header.base_offset)));
    }
    check_size(header.size_bytes(), config)?;
    let bytes = records.slice(..header.size_bytes());
    batch::check_crc(&header, &bytes).map_err(AppendError::Corrupt)?;
    check_header(&header, origin)?;
    check_timestamps(&header, config, now_ms)?;
    let checked = CheckedBatch { header, bytes };
    if !header.is_control() && needs_records(config) {
        check_each_record(&checked, config, now_ms)?;
    }
    Ok(checked)
}

/// `max.message.bytes` is about whole batches.
pub(super) fn check_size(size_bytes: usize, config: &LogConfig) -> Result<(), AppendError> {
    let limit_bytes = config.max_message_bytes as usize;
    if size_bytes > limit_bytes { Err(AppendError::BatchTooLarge { size_bytes, limit_bytes }) } else { Ok(()) }
}

/// The header of the one batch that `records` must be.
fn read_only_header(records: &[u8]) -> Result<BatchHeader, AppendError> {
    let header = match BatchHeader::read(records) {
        Ok(header) => header,
        Err(BatchError::Magic(magic)) => return Err(AppendError::OldFormat(magic)),
        Err(BatchError::Truncated { .. }) => return Err(invalid("there is no whole batch")),
        Err(error) => return Err(AppendError::Corrupt(error)),
    };
    match records.len().checked_sub(header.size_bytes()) {
        Some(0) => Ok(header),
        None => Err(invalid("there is no whole batch")),
        Some(more) if more < LOG_OVERHEAD_BYTES => Err(invalid(format!("{more} bytes follow the batch"))),
        Some(_) => Err(invalid("there is more than one batch")),
    }
}

fn check_header(header: &BatchHeader, origin: AppendOrigin) -> Result<(), AppendError> {
    header.compression().map_err(|error| invalid(error.to_string()))?;
    let count = header.record_count;
    // Deltas are below i32::MAX: an offset range of more records than can be counted is refused with the rest.
    if count <= 0 || i64::from(header.last_offset_delta) + 1 != i64::from(count) {
        let error = BatchError::Count { count, last_offset_delta: header.last_offset_delta };
        return Err(invalid(error.to_string()));
    }
    if origin == AppendOrigin::Client {
        if header.is_control() {
            return Err(invalid("clients do not write control records"));
        }
        if header.has_producer_id() && header.base_sequence < 0 {
            return Err(invalid(format!("producer {} sent sequence {}", header.producer_id, header.base_sequence)));
        }
    }
    Ok(())
}

/// The maximal timestamp decides about the future; the past takes a look at each record.
fn check_timestamps(header: &BatchHeader, config: &LogConfig, now_ms: TimestampMs) -> Result<(), AppendError> {
    if header.is_log_append_time() {
        return Err(wrong_timestamps("a producer does not set the timestamp type LogAppendTime", Vec::new()));
    }
    let by_producer = config.message_timestamp_type == TimestampType::CreateTime;
    if by_producer && header.max_timestamp != NO_TIMESTAMP {
        let ahead_ms = header.max_timestamp.saturating_sub(now_ms);
        if ahead_ms > config.message_timestamp_after_max_ms {
            let message = out_of_range(header.max_timestamp, config, now_ms);
            let error = RecordError { batch_index: header.last_offset_delta, message };
            return Err(wrong_timestamps("a record has an invalid timestamp", vec![error]));
        }
    }
    Ok(())
}

fn needs_records(config: &LogConfig) -> bool {
    let bounded_age = config.message_timestamp_type == TimestampType::CreateTime
        && config.message_timestamp_before_max_ms != i64::MAX;
    config.cleanup_policy.compact || bounded_age
}

/// What is wrong with records: those without a key, those out of the time that the topic takes.
type WrongRecords = (Vec<RecordError>, Vec<RecordError>);

fn check_each_record(batch: &CheckedBatch, config: &LogConfig, now_ms: TimestampMs) -> Result<(), AppendError> {
    let find = |max_bytes| find_wrong_records(batch, config, now_ms, max_bytes);
    let (keys, mut timestamps) = open_records(batch.bytes.len(), find).map_err(|error| invalid(error.to_string()))?;
    if !timestamps.is_empty() {
        let mut errors = keys;
        errors.append(&mut timestamps);
        errors.sort_by_key(|error| error.batch_index);
        return Err(wrong_timestamps("one or more records have an invalid timestamp", errors));
    }
    if !keys.is_empty() {
        let message = format!("one or more records were refused, {} of them without a key", keys.len());
        return Err(AppendError::InvalidRecords { message, errors: keys });
    }
    Ok(())
}

fn find_wrong_records(
    batch: &CheckedBatch,
    config: &LogConfig,
    now_ms: TimestampMs,
    max_bytes: usize,
) -> Result<WrongRecords, RecordsError> {
    let records = BatchRecords::open(&batch.bytes, max_bytes)?;
    let (mut keys, mut timestamps) = (Vec::new(), Vec::new());
    for (index, record) in records.walk().enumerate() {
        let record = record?;
        let batch_index = index as i32;
        if config.cleanup_policy.compact && record.key.is_none() {
            let message = "a compacted topic takes no record without a key".to_owned();
            keys.push(RecordError { batch_index, message });
        } else if config.message_timestamp_type == TimestampType::CreateTime {
            let timestamp = record.timestamp_ms(&batch.header);
            if is_out_of_range(timestamp, config, now_ms) {
                timestamps.push(RecordError { batch_index, message: out_of_range(timestamp, config, now_ms) });
            }
        }
        if keys.len() + timestamps.len() >= MAX_RECORD_ERRORS {
            break;
        }
    }
    Ok((keys, timestamps))
}

fn is_out_of_range(timestamp: TimestampMs, config: &LogConfig, now_ms: TimestampMs) -> bool {
    let age_ms = now_ms.saturating_sub(timestamp);
    timestamp != NO_TIMESTAMP
        && (age_ms > config.message_timestamp_before_max_ms
            || age_ms.saturating_neg() > config.message_timestamp_after_max_ms)
}

fn out_of_range(timestamp: TimestampMs, config: &LogConfig, now_ms: TimestampMs) -> String {
    let earliest = now_ms.saturating_sub(config.message_timestamp_before_max_ms);
    let latest = now_ms.saturating_add(config.message_timestamp_after_max_ms);
    format!("timestamp {timestamp} is not within {earliest} to {latest}")
}

fn invalid(message: impl Into<String>) -> AppendError {
    AppendError::InvalidRecord(message.into())
}

fn wrong_timestamps(message: &str, errors: Vec<RecordError>) -> AppendError {
    AppendError::InvalidTimestamps { message: message.to_owned(), errors }
}
