//! Appending: the one way in which a log grows.
//!
//! ```text
//!  producer's batch   │ offset 0 │ length │ epoch │ magic, crc, attributes ... records                │
//!                       └────── patched: 16 ─────┘ └──────────── verbatim, where it arrived ─────────┘
//!                                  └───────────── one vectored write ─────────────┘
//! ```
//! Nothing is done per record and no payload is copied, unless the topic asks for another compression.

use std::io::{self, IoSlice};

use bytes::Bytes;

use super::batch_check::{self, CheckedBatch};
use super::errors::AppendError;
use super::open_records::open_records;
use super::partition_log::{PartitionLog, Writer};
use super::producer_state::{AppendCheck, AppendOrigin, CompletedTxn, EndTxnMarker};
use super::segment::{AppendSummary, RollLimits, Segment};
use super::time_index::{NO_TIMESTAMP, TimestampOffset};
use super::txn_index::AbortedTxn;
use crate::config::{CompressionType, LogConfig, TimestampType};
use crate::ids::{LeaderEpoch, Offset};
use crate::protocol::batch::{self, BatchHeader, Compression, HEADER_BYTES};
use crate::protocol::recompress::recompress;
use crate::time::TimestampMs;

/// Who appends, and when.
#[derive(Clone, Copy, Debug)]
pub struct AppendContext {
    pub leader_epoch: LeaderEpoch,
    pub origin: AppendOrigin,
    pub now_ms: TimestampMs,
}

/// What a producer is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    pub base_offset: Offset,
    pub last_offset: Offset,
    /// Where the topic's timestamps are the log's; else -1.
    pub log_append_time_ms: TimestampMs,
    pub log_start_offset: Offset,
    /// The batch was in the log already, and nothing was appended.
    pub is_duplicate: bool,
    /// Bytes that the log grew by.
    pub size_bytes: usize,
    pub record_count: i32,
}

impl PartitionLog {
    /// Appends the records that a produce request (or a coordinator) has for this partition: exactly one batch.
    ///
    /// Returns with the bytes in the page cache; [`PartitionLog::request_flush`] is what makes them durable. On an
    /// error the log is as it was.
    pub fn append_as_leader(&self, records: &Bytes, context: &AppendContext) -> Result<Appended, AppendError> {
        self.check_online()?;
        self.check_writable(context.origin)?;
        let config = self.config();
        let batch = batch_check::check_records(records, context.origin, &config, context.now_ms)?;
        let marker = read_marker(&batch)?;
        let batch = recompressed(batch, &config)?;
        let stamped = stamped_header(&batch, &config, context.now_ms);
        self.take_room(context.origin, batch.bytes.len())?;

        let mut writer = self.lock_writer();
        self.check_online()?;
        if let Some(duplicate) = self.find_duplicate(&writer, &batch.header, marker.as_ref(), context)? {
            return Ok(duplicate);
        }
        let base_offset = self.log_end_offset();
        let mut header = batch.header;
        header.base_offset = base_offset;
        header.leader_epoch = context.leader_epoch;
        if stamped.is_some() {
            header.max_timestamp = context.now_ms;
        }
        let prefix = batch::patched_prefix(&header, base_offset, context.leader_epoch);
        let write = match &stamped {
            Some(stamped) => [
                IoSlice::new(&prefix),
                IoSlice::new(&stamped[prefix.len()..]),
                IoSlice::new(&batch.bytes[HEADER_BYTES..]),
            ],
            None => [IoSlice::new(&prefix), IoSlice::new(&batch.bytes[prefix.len()..]), IoSlice::new(&[])],
        };
        let summary = AppendSummary {
            last_offset: header.last_offset(),
            max_timestamp: TimestampOffset { timestamp: header.max_timestamp, offset: header.last_offset() },
            size_bytes: batch.bytes.len() as u64,
        };
        self.write(&mut writer, base_offset, &write, &summary, &config, context.now_ms)?;
        self.recent.lock().push(
            writer.active.id(),
            base_offset,
            writer.active.size_bytes() - summary.size_bytes,
            (header.next_offset(), writer.active.size_bytes()),
        );
        self.take_in(&mut writer, &header, marker.as_ref(), context.now_ms)?;
        self.publish_log_end_offset(&writer, header.next_offset());
        Ok(Appended {
            base_offset,
            last_offset: header.last_offset(),
            log_append_time_ms: if stamped.is_some() { context.now_ms } else { NO_TIMESTAMP },
            log_start_offset: self.log_start_offset(),
            is_duplicate: false,
            size_bytes: batch.bytes.len(),
            record_count: header.record_count,
        })
    }

    /// Appends what a leader has sent, with the offsets and epochs that it gave: any number of whole batches; a part
    /// of one at the end is left out. Says where the log ends now.
    pub fn append_as_follower(&self, records: &Bytes, now_ms: TimestampMs) -> Result<Offset, AppendError> {
        let config = self.config();
        let mut rest = records.clone();
        let mut writer = self.lock_writer();
        self.check_online()?;
        self.check_writable(AppendOrigin::Replication)?;
        while let Some((header, bytes)) = take_whole_batch(&mut rest)? {
            let expected = self.log_end_offset();
            if header.base_offset < expected || header.last_offset_delta < 0 {
                return Err(AppendError::UnexpectedOffset { found: header.base_offset, expected });
            }
            let batch = CheckedBatch { header, bytes };
            self.take_room(AppendOrigin::Replication, batch.bytes.len())?;
            let marker = read_marker(&batch)?;
            let summary = AppendSummary {
                last_offset: header.last_offset(),
                max_timestamp: TimestampOffset { timestamp: header.max_timestamp, offset: header.last_offset() },
                size_bytes: batch.bytes.len() as u64,
            };
            let slices = [IoSlice::new(&batch.bytes)];
            self.write(&mut writer, header.base_offset, &slices, &summary, &config, now_ms)?;
            self.recent.lock().clear();
            self.take_in(&mut writer, &header, marker.as_ref(), now_ms)?;
            self.publish_log_end_offset(&writer, header.next_offset());
        }
        Ok(self.log_end_offset())
    }

    fn find_duplicate(
        &self,
        writer: &Writer,
        header: &BatchHeader,
        marker: Option<&EndTxnMarker>,
        context: &AppendContext,
    ) -> Result<Option<Appended>, AppendError> {
        if let Some(marker) = marker {
            writer.producer_state.check_marker(header, marker)?;
            return Ok(None);
        }
        Ok(match writer.producer_state.check(header, context.origin, context.now_ms)? {
            AppendCheck::New => None,
            AppendCheck::Duplicate { base_offset, last_offset, timestamp } => {
                let by_log = self.config.load().message_timestamp_type == TimestampType::LogAppendTime;
                Some(Appended {
                    base_offset,
                    last_offset,
                    log_append_time_ms: if by_log { timestamp } else { NO_TIMESTAMP },
                    log_start_offset: self.log_start_offset(),
                    is_duplicate: true,
                    size_bytes: 0,
                    record_count: header.record_count,
                })
            }
        })
    }

    /// Writes behind the last batch, in a new segment where the active one is full.
    fn write(
        &self,
        writer: &mut Writer,
        base_offset: Offset,
        slices: &[IoSlice<'_>],
        summary: &AppendSummary,
        config: &LogConfig,
        now_ms: TimestampMs,
    ) -> Result<(), AppendError> {
        self.health.begin_write().map_err(super::errors::StorageError::from)?;
        let limits = self.roll_limits(&writer.active, config);
        if summary.size_bytes > limits.segment_bytes {
            let (size_bytes, limit_bytes) = (summary.size_bytes as usize, limits.segment_bytes);
            return Err(AppendError::LargerThanSegment { size_bytes, limit_bytes });
        }
        let written = self.write_rolling(writer, (base_offset, slices, summary), &limits, config, now_ms);
        if let Err(error) = written {
            self.io_failed("an append", &error);
            return Err(error.into());
        }
        self.add_size_bytes(summary.size_bytes);
        writer.bytes_since_snapshot += summary.size_bytes;
        Ok(())
    }

    fn write_rolling(
        &self,
        writer: &mut Writer,
        (base_offset, slices, summary): (Offset, &[IoSlice<'_>], &AppendSummary),
        limits: &RollLimits,
        config: &LogConfig,
        now_ms: TimestampMs,
    ) -> io::Result<()> {
        if writer.active.should_roll(summary, limits, now_ms)? {
            self.roll_at(writer, base_offset, now_ms)?;
        }
        writer.active.append(slices, summary, config.index_interval_bytes as u64)
    }

    /// What a batch that is now in the log means for its producer, for transactions and for epochs.
    fn take_in(
        &self,
        writer: &mut Writer,
        header: &BatchHeader,
        marker: Option<&EndTxnMarker>,
        now_ms: TimestampMs,
    ) -> Result<(), AppendError> {
        writer.epochs_changed |= writer.leader_epochs.assign(header.leader_epoch, header.base_offset);
        let Some(marker) = marker else {
            writer.producer_state.update(header, now_ms);
            if header.is_transactional() {
                self.publish_first_unstable_offset(writer);
            }
            return Ok(());
        };
        let completed = writer.producer_state.update_marker(header, marker, now_ms);
        if let Some(aborted) = completed.as_ref().filter(|completed| completed.is_aborted)
            && let Err(error) = writer.active.txn_index.append(&aborted_txn(aborted))
        {
            // Consumers would see aborted records as committed ones. Recovery builds the index anew.
            self.io_failed("an append", &error);
            self.mark_broken(&error);
            return Err(error.into());
        }
        self.publish_first_unstable_offset(writer);
        Ok(())
    }

    fn roll_limits(&self, active: &Segment, config: &LogConfig) -> RollLimits {
        RollLimits {
            segment_bytes: config.segment_bytes as u64,
            segment_ms: config.max_segment_ms().saturating_sub(self.roll_jitter_ms(active.base_offset(), config)),
            max_index_bytes: config.segment_index_bytes as usize,
        }
    }
}

pub(crate) fn aborted_txn(completed: &CompletedTxn) -> AbortedTxn {
    AbortedTxn {
        producer_id: completed.producer_id,
        first_offset: completed.first_offset,
        last_offset: completed.last_offset,
        last_stable_offset: completed.last_stable_offset,
    }
}

fn read_marker(batch: &CheckedBatch) -> Result<Option<EndTxnMarker>, AppendError> {
    if !batch.header.is_control() {
        return Ok(None);
    }
    EndTxnMarker::read(&batch.header, &batch.bytes).map_err(|error| AppendError::InvalidRecord(error.to_string()))
}

/// The next whole batch of `rest`, its checksum compared.
fn take_whole_batch(rest: &mut Bytes) -> Result<Option<(BatchHeader, Bytes)>, AppendError> {
    if rest.len() < HEADER_BYTES {
        return Ok(None);
    }
    let header = BatchHeader::read(rest).map_err(AppendError::Corrupt)?;
    if rest.len() < header.size_bytes() {
        return Ok(None);
    }
    let bytes = rest.split_to(header.size_bytes());
    batch::check_crc(&header, &bytes).map_err(AppendError::Corrupt)?;
    Ok(Some((header, bytes)))
}

/// The codec of `compression.type`; `None`: the producer chooses.
fn target_compression(config: &LogConfig) -> Option<Compression> {
    Some(match config.compression_type {
        CompressionType::Producer => return None,
        CompressionType::Uncompressed => Compression::None,
        CompressionType::Gzip => Compression::Gzip,
        CompressionType::Snappy => Compression::Snappy,
        CompressionType::Lz4 => Compression::Lz4,
        CompressionType::Zstd => Compression::Zstd,
    })
}

/// The batch as `compression.type` wants it.
fn recompressed(batch: CheckedBatch, config: &LogConfig) -> Result<CheckedBatch, AppendError> {
    let Some(target) = target_compression(config) else { return Ok(batch) };
    if batch.header.is_control() || batch.header.compression() == Ok(target) {
        return Ok(batch);
    }
    let recompress = |max_bytes| recompress(&batch.bytes, target, config.compression_level(), max_bytes);
    let bytes =
        open_records(batch.bytes.len(), recompress).map_err(|error| AppendError::InvalidRecord(error.to_string()))?;
    batch_check::check_size(bytes.len(), config)?;
    let header = BatchHeader::read(&bytes).map_err(AppendError::Corrupt)?;
    Ok(CheckedBatch { header, bytes: bytes.into() })
}

/// The header with the log's own time (`message.timestamp.type=LogAppendTime`); `None` where the producer's stands.
/// The checksum is over all records, so this reads them; they stay where they are.
fn stamped_header(batch: &CheckedBatch, config: &LogConfig, now_ms: TimestampMs) -> Option<[u8; HEADER_BYTES]> {
    if config.message_timestamp_type != TimestampType::LogAppendTime || batch.header.is_control() {
        return None;
    }
    Some(batch::log_append_time_header(&batch.bytes, now_ms))
}
