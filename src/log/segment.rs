//! One segment: a stretch of the log in one file, with its indexes.
//!
//! ```text
//!  00000000000000000100.log         batches, verbatim    base offset 100: no batch in it begins earlier
//!  00000000000000000100.index       offset -> position   an entry for every `index.interval.bytes` of log
//!  00000000000000000100.timeindex   timestamp -> offset
//!  00000000000000000100.txnindex    aborted transactions, where there are any
//! ```
//! The last segment of a log is the active one; only its log grows, under the log's append lock. Everything that
//! reads takes no lock but the indexes' own, each held for a few instructions.

use std::io::{self, IoSlice};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;

use super::batch_scan::{self, HeaderScan, PlacedBatch};
use super::directory::{FileKind, PartitionDirectory};
use super::kept_file::KeptFile;
use super::offset_index::{self, OffsetIndex, OffsetPosition};
use super::time_index::{NO_TIMESTAMP, TimeIndex, TimestampOffset};
use super::txn_index::TxnIndex;
use crate::ids::Offset;
use crate::io::DiskFile;
use crate::time::TimestampMs;

/// Positions in the offset index are 31 bits wide.
pub const MAX_SEGMENT_BYTES: u64 = i32::MAX as u64;

/// Which segment, and which of those that had its name one after the other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct SegmentId {
    pub(super) base_offset: Offset,
    /// Counts how often the cleaner has replaced it.
    pub(super) revision: u32,
}

/// One segment of a partition's log.
#[derive(Debug)]
pub struct Segment {
    base_offset: Offset,
    revision: u32,
    log: Arc<KeptFile>,
    size_bytes: AtomicU64,
    pub(super) offset_index: OffsetIndex,
    pub(super) time_index: TimeIndex,
    pub(super) txn_index: TxnIndex,
    pub(super) state: Mutex<SegmentState>,
    is_index_suspect: AtomicBool,
}

/// What changes with every append, beside the size.
#[derive(Debug)]
pub(super) struct SegmentState {
    /// When this broker created or opened it: stands in where batches carry no timestamps.
    pub(super) created_ms: TimestampMs,
    /// The maximal timestamp of the first batch, once there is one: what `segment.ms` counts from.
    pub(super) first_batch_timestamp: Option<TimestampMs>,
    /// The largest timestamp so far, and the last offset of the batch that brought it.
    pub(super) max_timestamp: TimestampOffset,
    pub(super) bytes_since_index_entry: u64,
    /// A write failed, and what it left behind the known end is still there.
    has_torn_end: bool,
}

/// What an append adds to a segment: one batch, or several that go in as one.
#[derive(Clone, Copy, Debug)]
pub(super) struct AppendSummary {
    pub(super) last_offset: Offset,
    /// The largest timestamp, and the last offset of the batch that has it.
    pub(super) max_timestamp: TimestampOffset,
    pub(super) size_bytes: u64,
}

/// When a segment is full.
#[derive(Clone, Copy, Debug)]
pub(super) struct RollLimits {
    pub(super) segment_bytes: u64,
    /// [`LogConfig::max_segment_ms`](crate::config::LogConfig::max_segment_ms) less this segment's jitter.
    pub(super) segment_ms: i64,
    pub(super) max_index_bytes: usize,
}

impl Segment {
    /// A new and empty segment. Leftovers of an earlier one under its name are emptied.
    pub fn create(directory: &Arc<PartitionDirectory>, base_offset: Offset, now_ms: TimestampMs) -> io::Result<Self> {
        let log = KeptFile::new(Arc::clone(directory), FileKind::Log, base_offset);
        if log.created()?.size_bytes()? > 0 {
            log.set_size_bytes(0)?;
        }
        directory.disk().remove_file(&directory.file(FileKind::TxnIndex, base_offset))?;
        Ok(Self::assemble(
            base_offset,
            log,
            OffsetIndex::empty(Arc::clone(directory), base_offset),
            TimeIndex::empty(Arc::clone(directory), base_offset),
            TxnIndex::empty(Arc::clone(directory), base_offset),
            now_ms,
        ))
    }

    /// A segment whose files are there and whose indexes may be trusted. `InvalidData` or `NotFound`: its indexes
    /// have to be built anew, which [`Segment::open_without_indexes`] and [`Segment::recover`] do.
    pub fn open(directory: &Arc<PartitionDirectory>, base_offset: Offset, now_ms: TimestampMs) -> io::Result<Self> {
        let log = KeptFile::new(Arc::clone(directory), FileKind::Log, base_offset);
        let offset_index = OffsetIndex::open(Arc::clone(directory), base_offset, log.size_bytes()?)
            .map_err(batch_scan::in_file(FileKind::OffsetIndex, base_offset))?;
        let time_index = TimeIndex::open(Arc::clone(directory), base_offset)
            .map_err(batch_scan::in_file(FileKind::TimeIndex, base_offset))?;
        let txn_index = TxnIndex::open(Arc::clone(directory), base_offset)
            .map_err(batch_scan::in_file(FileKind::TxnIndex, base_offset))?;
        Ok(Self::assemble(base_offset, log, offset_index, time_index, txn_index, now_ms))
    }

    /// A segment of which only the log counts; it is to be recovered before use.
    pub fn open_without_indexes(
        directory: &Arc<PartitionDirectory>,
        base_offset: Offset,
        now_ms: TimestampMs,
    ) -> io::Result<Self> {
        let log = KeptFile::new(Arc::clone(directory), FileKind::Log, base_offset);
        log.opened()?;
        directory.disk().remove_file(&directory.file(FileKind::TxnIndex, base_offset))?;
        Ok(Self::assemble(
            base_offset,
            log,
            OffsetIndex::empty(Arc::clone(directory), base_offset),
            TimeIndex::empty(Arc::clone(directory), base_offset),
            TxnIndex::empty(Arc::clone(directory), base_offset),
            now_ms,
        ))
    }

    fn assemble(
        base_offset: Offset,
        log: Arc<KeptFile>,
        offset_index: OffsetIndex,
        time_index: TimeIndex,
        txn_index: TxnIndex,
        now_ms: TimestampMs,
    ) -> Self {
        let state = SegmentState {
            created_ms: now_ms,
            first_batch_timestamp: None,
            // A segment that was closed in good order ends its time index with its largest timestamp.
            max_timestamp: time_index.last(),
            bytes_since_index_entry: 0,
            has_torn_end: false,
        };
        Self {
            base_offset,
            revision: 0,
            size_bytes: AtomicU64::new(log.size_bytes().unwrap_or(0)),
            log,
            offset_index,
            time_index,
            txn_index,
            state: Mutex::new(state),
            is_index_suspect: AtomicBool::new(false),
        }
    }

    /// The segment that takes the place of others, of which the first has its name. Positions in that one say nothing
    /// about this one.
    pub(super) fn in_place_of(mut self, replaced: &Self) -> Self {
        self.revision = replaced.revision.wrapping_add(1);
        self
    }

    pub fn base_offset(&self) -> Offset {
        self.base_offset
    }

    pub(super) fn id(&self) -> SegmentId {
        SegmentId { base_offset: self.base_offset, revision: self.revision }
    }

    /// Bytes of log; what the file holds beyond them does not count.
    pub fn size_bytes(&self) -> u64 {
        self.size_bytes.load(Ordering::Acquire)
    }

    pub fn log_file(&self) -> &Arc<KeptFile> {
        &self.log
    }

    /// The largest timestamp of its batches and where it was seen; none: [`NO_TIMESTAMP`].
    pub fn max_timestamp(&self) -> TimestampOffset {
        self.state.lock().max_timestamp
    }

    /// What retention by time goes by. Batches without timestamps count as written when the segment was opened.
    pub fn retention_timestamp(&self) -> TimestampMs {
        let state = self.state.lock();
        if state.max_timestamp.timestamp >= 0 { state.max_timestamp.timestamp } else { state.created_ms }
    }

    /// Whether the next append has to go to a new segment.
    pub(super) fn should_roll(
        &self,
        next: &AppendSummary,
        limits: &RollLimits,
        now_ms: TimestampMs,
    ) -> io::Result<bool> {
        let size_bytes = self.size_bytes();
        Ok(size_bytes + next.size_bytes > limits.segment_bytes
            || offset_index::relative_offset(self.base_offset, next.last_offset).is_none()
            || self.offset_index.is_full(limits.max_index_bytes)
            || self.time_index.is_full(limits.max_index_bytes)
            || (size_bytes > 0 && self.age_ms(next.max_timestamp.timestamp, now_ms)? > limits.segment_ms))
    }

    /// The maximal timestamp of its first batch, [`NO_TIMESTAMP`] in an empty segment.
    pub(super) fn first_batch_timestamp(&self) -> io::Result<TimestampMs> {
        let known = self.state.lock().first_batch_timestamp;
        known.map_or_else(|| self.read_first_batch_timestamp(), Ok)
    }

    /// How long it has been active: by the records' own clock where they have one, so that a replayed past is cut
    /// into the same stretches of time.
    fn age_ms(&self, next_timestamp: TimestampMs, now_ms: TimestampMs) -> io::Result<i64> {
        let first = self.first_batch_timestamp()?;
        let created_ms = self.state.lock().created_ms;
        Ok(if first >= 0 { next_timestamp.saturating_sub(first) } else { now_ms.saturating_sub(created_ms) })
    }

    /// Needed once after a restart.
    fn read_first_batch_timestamp(&self) -> io::Result<TimestampMs> {
        let first = self.scan_from(0).next()?.map(|batch| batch.header.max_timestamp);
        self.state.lock().first_batch_timestamp = first;
        Ok(first.unwrap_or(NO_TIMESTAMP))
    }

    /// Cuts off what a failed write left behind the known end. It harms nobody while the segment is the active one: it
    /// is read by no one, and overwritten by the next append. In a closed segment it would count.
    pub(super) fn cut_torn_end(&self) -> io::Result<()> {
        let mut state = self.state.lock();
        if state.has_torn_end {
            self.log.set_size_bytes(self.size_bytes())?;
            state.has_torn_end = false;
        }
        Ok(())
    }

    /// Writes at the end and indexes what was written. Readers go no further than the log end offset, which is
    /// published later.
    ///
    /// The caller holds the append lock and has asked [`Segment::should_roll`]. On an error the segment is as before.
    pub(super) fn append(
        &self,
        slices: &[IoSlice<'_>],
        summary: &AppendSummary,
        index_interval_bytes: u64,
    ) -> io::Result<()> {
        self.cut_torn_end()?;
        let position = self.size_bytes();
        if let Err(error) = self.log.write_all_at(slices, position) {
            self.state.lock().has_torn_end = self.log.set_size_bytes(position).is_err();
            return Err(error);
        }
        let mut state = self.state.lock();
        if position == 0 {
            state.first_batch_timestamp = Some(summary.max_timestamp.timestamp);
        }
        if summary.max_timestamp.timestamp > state.max_timestamp.timestamp {
            state.max_timestamp = summary.max_timestamp;
        }
        if state.bytes_since_index_entry > index_interval_bytes {
            self.offset_index.append(summary.last_offset, position);
            self.time_index.maybe_append(state.max_timestamp);
            state.bytes_since_index_entry = 0;
        }
        state.bytes_since_index_entry += summary.size_bytes;
        drop(state);
        self.size_bytes.store(position + summary.size_bytes, Ordering::Release);
        Ok(())
    }

    /// The batch that holds `target`, or the first one behind it; `None` when all batches end before it.
    /// `InvalidData`: a batch on the way there is damaged.
    pub(super) fn find_batch(&self, target: Offset) -> io::Result<Option<PlacedBatch>> {
        self.find_batch_behind(0, target)
    }

    /// As [`Segment::find_batch`], where it is known that a batch begins at `known_position` and `target` is not before
    /// it.
    ///
    /// An index that leads astray is passed over, and noted: the entry before it still tells whether it was the index or
    /// the log that is damaged.
    pub(super) fn find_batch_behind(&self, known_position: u64, target: Offset) -> io::Result<Option<PlacedBatch>> {
        let scan = |entry: OffsetPosition| {
            let is_known = entry.position <= known_position;
            let (from, indexed) =
                if is_known { (known_position, None) } else { (entry.position, Some(entry.offset)) };
            batch_scan::find_offset(&*self.log, from, self.size_bytes(), indexed, target)
        };
        let entry = self.offset_index.lookup(target)?;
        let error = match scan(entry) {
            Err(error) if batch_scan::is_damage(&error) => error,
            found => return found,
        };
        let before = self.offset_index.lookup(entry.offset + -1)?;
        let found = match scan(before) {
            Err(_) if self.leads_to_batch(&before) => return Err(error),
            Err(_) => batch_scan::find_offset(&*self.log, known_position, self.size_bytes(), None, target)?,
            Ok(found) => found,
        };
        if !self.is_index_suspect.swap(true, Ordering::AcqRel) {
            let segment = self.base_offset;
            tracing::warn!(%segment, offset = %target, %error, "an offset index leads astray, and is built anew");
        }
        Ok(found)
    }

    fn leads_to_batch(&self, entry: &OffsetPosition) -> bool {
        let first = self.scan_from(entry.position).next();
        matches!(first, Ok(Some(batch)) if batch.header.base_offset <= entry.offset)
    }

    /// The offset index led astray once.
    pub(super) fn is_index_suspect(&self) -> bool {
        self.is_index_suspect.load(Ordering::Acquire)
    }

    /// Builds the offset index from the headers. Of the active segment under the append lock only.
    pub(super) fn rebuild_offset_index(&self, index_interval_bytes: u64) -> io::Result<()> {
        let mut entries = Vec::new();
        let mut last_indexed = 0;
        let mut scan = self.scan_from(0);
        while let Some(PlacedBatch { position, header }) = scan.next()? {
            if position - last_indexed > index_interval_bytes {
                entries.push(OffsetPosition { offset: header.last_offset(), position });
                last_indexed = position;
            }
        }
        self.offset_index.replace(entries);
        self.offset_index.write_tail()?;
        self.is_index_suspect.store(false, Ordering::Release);
        Ok(())
    }

    /// The last batch; `None` in an empty segment.
    pub(super) fn last_batch(&self) -> io::Result<Option<PlacedBatch>> {
        let mut scan = self.scan_from(self.offset_index.last().position);
        let mut last = None;
        while let Some(batch) = scan.next()? {
            last = Some(batch);
        }
        Ok(last)
    }

    /// The offset behind its last record.
    pub fn next_offset(&self) -> io::Result<Offset> {
        Ok(self.last_batch()?.map_or(self.base_offset, |last| last.header.next_offset()))
    }

    pub(super) fn scan_from(&self, position: u64) -> HeaderScan<'_> {
        HeaderScan::new(&*self.log, position, self.size_bytes())
    }

    /// The greatest end of a batch at or before `limit`, given that one begins at `start`, and the offset behind it.
    /// `None`: the batch at `start` is longer.
    pub(super) fn last_batch_end(&self, start: u64, limit: u64) -> io::Result<Option<(u64, Offset)>> {
        let from = self.offset_index.floor_of_position(limit)?.max(start);
        let mut scan = self.scan_from(from);
        let mut end = None;
        loop {
            let batch = match scan.next() {
                Ok(Some(batch)) => batch,
                Ok(None) => break,
                // What is sound before it can be had.
                Err(error) if end.is_some() && batch_scan::is_damage(&error) => break,
                Err(error) => return Err(error),
            };
            if batch.end_position() > limit {
                if end.is_none() && batch.position > start {
                    // The indexed batch itself is cut; where it begins, the one before ended.
                    end = Some((batch.position, batch.header.base_offset));
                }
                break;
            }
            end = Some((batch.end_position(), batch.header.next_offset()));
        }
        Ok(end)
    }

    /// The segment becomes a closed one: its largest timestamp goes to the end of the time index, and the indexes to
    /// their files. May be called again after an error.
    pub(super) fn close_indexes(&self) -> io::Result<()> {
        self.end_indexes()?;
        self.write_indexes()
    }

    /// As [`Segment::close_indexes`], as [`Segment::write_new_indexes`] does it.
    pub(super) fn close_new_indexes(&self) -> io::Result<()> {
        self.end_indexes()?;
        self.write_new_indexes()
    }

    fn end_indexes(&self) -> io::Result<()> {
        self.cut_torn_end()?;
        self.time_index.maybe_append(self.max_timestamp());
        Ok(())
    }

    /// Brings indexes that were built anew to the device, the offset index last and in one piece: as long as it is
    /// absent, the others count for nothing.
    pub(super) fn write_new_indexes(&self) -> io::Result<()> {
        self.time_index.write_tail()?;
        for index in self.take_unsynced_indexes()? {
            index.sync()?;
        }
        self.offset_index.write_new()
    }

    /// Brings the files of the indexes up to what is in memory.
    pub(super) fn write_indexes(&self) -> io::Result<()> {
        self.offset_index.write_tail()?;
        self.time_index.write_tail()
    }

    /// The files of the indexes that were written to since this was last asked, for the caller to sync.
    pub(super) fn take_unsynced_indexes(&self) -> io::Result<impl Iterator<Item = Arc<dyn DiskFile>>> {
        let files =
            [self.offset_index.take_unsynced()?, self.time_index.take_unsynced()?, self.txn_index.take_unsynced()?];
        Ok(files.into_iter().flatten())
    }

    /// Cuts off the batch that holds `offset` and all behind it; says how many bytes went.
    ///
    /// The caller holds the append lock.
    pub(super) fn truncate_to(&self, offset: Offset, now_ms: TimestampMs) -> io::Result<u64> {
        let Some(batch) = self.find_batch(offset)? else { return Ok(0) };
        let size_bytes = self.size_bytes();
        self.offset_index.truncate_to(batch.header.base_offset)?;
        self.time_index.truncate_to(batch.header.base_offset)?;
        self.txn_index.truncate_to(batch.header.base_offset)?;
        // Readers stop at the new end before the bytes go.
        self.size_bytes.store(batch.position, Ordering::Release);
        self.log.set_size_bytes(batch.position)?;
        let max_timestamp = self.largest_timestamp_from_indexes()?;
        let mut state = self.state.lock();
        state.max_timestamp = max_timestamp;
        state.bytes_since_index_entry = 0;
        if batch.position == 0 {
            state.created_ms = now_ms;
            state.first_batch_timestamp = None;
        }
        Ok(size_bytes - batch.position)
    }

    fn largest_timestamp_from_indexes(&self) -> io::Result<TimestampOffset> {
        let mut largest = self.time_index.last();
        let mut scan = self.scan_from(self.offset_index.lookup(largest.offset)?.position);
        while let Some(PlacedBatch { header, .. }) = scan.next()? {
            if header.max_timestamp > largest.timestamp {
                largest = TimestampOffset { timestamp: header.max_timestamp, offset: header.last_offset() };
            }
        }
        Ok(largest)
    }

    /// Forgets what lies beyond `size_bytes`, for [`Segment::recover`].
    pub(super) fn set_size_bytes(&self, size_bytes: u64) {
        self.size_bytes.store(size_bytes, Ordering::Release);
    }

    /// Lets `rename` give one of its files its last name, under which it stays readable.
    pub(super) fn retire_file(&self, kind: FileKind, rename: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        match kind {
            FileKind::Log => self.log.retire(rename),
            FileKind::OffsetIndex => self.offset_index.file().retire(rename),
            FileKind::TimeIndex => self.time_index.file().retire(rename),
            FileKind::TxnIndex => self.txn_index.file().retire(rename),
            FileKind::ProducerSnapshot => rename(),
        }
    }
}
