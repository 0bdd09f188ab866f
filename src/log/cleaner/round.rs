//! One round: the keys of the dirty part are mapped, then the log is copied without what they have replaced.
//!
//! ```text
//!   first dirty offset ── map: key -> latest offset ──▶ end of the round (the first uncleanable offset, or where the
//!                                                         map was full)
//!   log start ── group by group: filter into a new segment, put it in place ──▶ end of the round
//! ```

use std::borrow::Cow;
use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::super::errors::StorageError;
use super::super::partition_log::PartitionLog;
use super::super::replacement::{History, ReplaceError};
use super::super::segment::Segment;
use super::super::sound_batches::SoundBatches;
use super::super::txn_index::AbortedTxn;
use super::cleanable::CleanableRange;
use super::cleaned_segment::{CleanedSegment, discard};
use super::fate::{LastRecord, RoundRules};
use super::filter::{Filtered, control_of, filter_batch, map_batch};
use super::groups::{GroupLimits, SegmentSize, group_segments};
use super::offset_map::OffsetMap;
use super::transactions::{CleanedTransactions, MarkerVerdict};
use crate::ids::{Offset, ProducerId};
use crate::protocol::batch::BatchHeader;
use crate::time::Clock;

/// What one thread may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct RoundLimits {
    /// Of the map.
    pub(super) map_bytes: u64,
    pub(super) load_factor: f64,
    /// Of each of the two buffers, the one that is read into and the one that is written from.
    pub(super) buffer_bytes: usize,
    pub(super) hash_seed: u64,
}

/// Whoever lets the round run.
pub(super) trait Pacer {
    /// So many bytes were read or written: waits as long as that asks for. False: the round is to end.
    fn moved(&self, bytes: u64) -> bool;
}

/// What a round did.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct RoundStats {
    pub(super) map_bytes_read: u64,
    pub(super) bytes_read: u64,
    pub(super) bytes_written: u64,
    pub(super) records_read: u64,
    pub(super) records_kept: u64,
    /// The part of the map (0 to 1) that was in use.
    pub(super) map_utilization: f64,
    pub(super) mapping: Duration,
    pub(super) elapsed: Duration,
}

/// Why a round has not come to its end. The segments that it had put in place stay.
#[derive(Debug, thiserror::Error)]
pub(super) enum RoundError {
    #[error("the cleaner stops")]
    Stopped,
    #[error("the log has changed meanwhile")]
    Changed,
    #[error("segment {segment}: {source}")]
    Segment { segment: Offset, source: io::Error },
}

impl RoundError {
    fn in_segment(segment: Offset) -> impl Fn(io::Error) -> Self {
        move |source| Self::Segment { segment, source }
    }
}

/// One round over one log.
pub(super) struct Round<'a> {
    log: &'a PartitionLog,
    history: History,
    range: CleanableRange,
    rules: RoundRules,
    limits: RoundLimits,
    pacer: &'a dyn Pacer,
    clock: &'a dyn Clock,
    stats: RoundStats,
    /// Moved since the pacer was last told.
    unpaced_bytes: u64,
}

impl<'a> Round<'a> {
    /// `history` is from before `range` was determined.
    pub(super) fn new(
        log: &'a PartitionLog,
        history: History,
        range: CleanableRange,
        limits: RoundLimits,
        pacer: &'a dyn Pacer,
        clock: &'a dyn Clock,
    ) -> Self {
        let rules = RoundRules {
            now_ms: clock.now_ms(),
            delete_retention_ms: log.config.load().delete_retention_ms,
            end_offset: range.first_uncleanable_offset,
        };
        Self { log, history, range, rules, limits, pacer, clock, stats: RoundStats::default(), unpaced_bytes: 0 }
    }

    /// Cleans; says up to where that is done.
    pub(super) fn run(mut self) -> Result<(Offset, RoundStats), RoundError> {
        let started = self.clock.monotonic();
        let segments = self.log.segments.load_full();
        let map = self.build_map(&segments)?;
        self.stats.mapping = self.clock.monotonic().saturating_sub(started);
        let end_offset = map.latest_offset().next();

        let count = segments.partition_point(|segment| segment.base_offset() < end_offset);
        let sizes: Vec<_> = segments[..count].iter().map(size_of).collect();
        let selected: Vec<_> = segments[..count].to_vec();
        // Replaced segments keep their files open: not all of them until the end.
        drop(segments);
        let mut remaining = selected.into_iter();
        let config = self.log.config();
        let limits = GroupLimits {
            log_bytes: config.segment_bytes.max(0) as u64,
            index_bytes: config.segment_index_bytes.max(0) as u64,
        };
        let mut transactions = CleanedTransactions::default();
        for group in group_segments(&sizes, limits, self.range.first_uncleanable_offset) {
            let segments: Vec<_> = remaining.by_ref().take(group.len()).collect();
            let ends: Vec<_> = (group.start + 1..=group.end)
                .map(|next| sizes.get(next).map_or(self.range.first_uncleanable_offset, |next| next.base_offset))
                .collect();
            self.clean_group(&segments, &ends, &map, &mut transactions)?;
        }
        self.stats.map_utilization = map.utilization();
        self.stats.elapsed = self.clock.monotonic().saturating_sub(started);
        Ok((end_offset, self.stats))
    }

    /// The latest offset of each key of the dirty part, or of as much of it as there is room for.
    fn build_map(&mut self, segments: &[Arc<Segment>]) -> Result<OffsetMap, RoundError> {
        let CleanableRange { first_dirty_offset: start, first_uncleanable_offset: end, .. } = self.range;
        let RoundLimits { map_bytes, load_factor, hash_seed, .. } = self.limits;
        let mut map = OffsetMap::new(map_bytes, load_factor, (end - start).max(0) as u64, hash_seed);
        let mut transactions = CleanedTransactions::default();
        transactions.add_aborted(self.aborted_transactions(start, end)?);
        let first = segments.partition_point(|segment| segment.base_offset() <= start).saturating_sub(1);
        for (at, segment) in segments.iter().enumerate().skip(first) {
            if segment.base_offset() >= end {
                break;
            }
            let in_segment = RoundError::in_segment(segment.base_offset());
            let from = segment.offset_index.lookup(start).map_err(&in_segment)?.position;
            let mut batches = self.batches(segment, from);
            while let Some((header, bytes)) = batches.next().map_err(&in_segment)? {
                if header.is_control() {
                    let control = control_of(&header, &bytes).map_err(&in_segment)?;
                    transactions.on_control(&header, control);
                } else if !transactions.is_aborted(&header) {
                    let mapped = map_batch(&header, &bytes, start, &mut map);
                    if !mapped.map_err(io::Error::from).map_err(&in_segment)? {
                        return Ok(map);
                    }
                }
                if header.last_offset() >= start {
                    map.advance_to(header.last_offset());
                }
                self.stats.map_bytes_read += bytes.len() as u64;
                self.moved(bytes.len() as u64)?;
            }
            // Behind its last batch there may be offsets that an earlier cleaning has emptied.
            let next_base = segments.get(at + 1).map_or(end, |next| next.base_offset());
            map.advance_to(next_base.min(end) + -1);
        }
        Ok(map)
    }

    /// Makes one segment of several, and puts it in their place. `ends` are the offsets that they end before.
    fn clean_group(
        &mut self,
        segments: &[Arc<Segment>],
        ends: &[Offset],
        map: &OffsetMap,
        transactions: &mut CleanedTransactions,
    ) -> Result<(), RoundError> {
        let Some(base_offset) = segments.first().map(|first| first.base_offset()) else { return Ok(()) };
        let cleaned = self.filter_group(base_offset, segments, ends, map, transactions);
        let replaced = cleaned.and_then(|cleaned| {
            let in_group = RoundError::in_segment(base_offset);
            let files = cleaned.finish(self.log).map_err(&in_group)?;
            match self.log.replace_segments(self.history, segments, &files, self.rules.now_ms) {
                Ok(()) => Ok(Ok(())),
                Err(ReplaceError::Changed) => Err(RoundError::Changed),
                Err(ReplaceError::Io(error)) => Err(in_group(error)),
                // The files are what a restart goes on with.
                Err(ReplaceError::Halfway(error)) => Ok(Err(in_group(error))),
            }
        });
        replaced.inspect_err(|_| discard(&self.log.directory, base_offset))?
    }

    fn filter_group(
        &mut self,
        base_offset: Offset,
        segments: &[Arc<Segment>],
        ends: &[Offset],
        map: &OffsetMap,
        transactions: &mut CleanedTransactions,
    ) -> Result<CleanedSegment, RoundError> {
        let cleaned = CleanedSegment::create(self.log, base_offset, self.limits.buffer_bytes, self.rules.now_ms);
        let mut cleaned = cleaned.map_err(RoundError::in_segment(base_offset))?;
        let last_records = last_records(self.log);
        for (segment, &end) in segments.iter().zip(ends) {
            transactions.add_aborted(self.aborted_transactions(segment.base_offset(), end)?);
            self.filter_segment(segment, &mut cleaned, &last_records, map, transactions)?;
        }
        Ok(cleaned)
    }

    fn filter_segment(
        &mut self,
        segment: &Segment,
        cleaned: &mut CleanedSegment,
        last_records: &HashMap<ProducerId, LastRecord>,
        map: &OffsetMap,
        transactions: &mut CleanedTransactions,
    ) -> Result<(), RoundError> {
        let in_segment = RoundError::in_segment(segment.base_offset());
        let mut batches = self.batches(segment, 0);
        while let Some((header, bytes)) = batches.next().map_err(&in_segment)? {
            let is_discardable = if header.is_control() {
                let control = control_of(&header, &bytes).map_err(&in_segment)?;
                let verdict = transactions.on_control(&header, control);
                if let MarkerVerdict::NeededWithEntry(transaction) = &verdict {
                    cleaned.push_aborted(transaction).map_err(&in_segment)?;
                }
                verdict == MarkerVerdict::Outlived
            } else {
                transactions.is_aborted(&header)
            };
            let fate = self.rules.fate_of(&header, is_discardable, last_records);
            let filtered = filter_batch(&header, &bytes, fate, &self.rules, map);
            let (left, counts) = filtered.map_err(io::Error::from).map_err(&in_segment)?;
            let size_before = cleaned.size_bytes();
            match left {
                Filtered::Nothing => Ok(()),
                Filtered::Unchanged => cleaned.push(&header, &bytes),
                Filtered::Rebuilt(rebuilt) => BatchHeader::read(&rebuilt)
                    .map_err(io::Error::other)
                    .and_then(|header| cleaned.push(&header, &rebuilt)),
            }
            .map_err(&in_segment)?;
            let written = cleaned.size_bytes() - size_before;
            self.stats.bytes_read += bytes.len() as u64;
            self.stats.bytes_written += written;
            self.stats.records_read += counts.read;
            self.stats.records_kept += counts.kept;
            self.moved(bytes.len() as u64 + written)?;
        }
        Ok(())
    }

    fn batches<'s>(&self, segment: &'s Segment, from: u64) -> Batches<'s> {
        let file = &**segment.log_file();
        let reader = SoundBatches::with_window(file, from, segment.size_bytes(), self.limits.buffer_bytes);
        Batches { reader, next_offset: segment.base_offset() }
    }

    fn aborted_transactions(&self, from: Offset, up_to: Offset) -> Result<Vec<AbortedTxn>, RoundError> {
        self.log.aborted_transactions(from, up_to).map_err(|error| match error {
            StorageError::Offline(_) | StorageError::NotWritable(_) => RoundError::Changed,
            StorageError::Io(source) => RoundError::Segment { segment: from, source },
        })
    }

    /// Tells the pacer once a buffer is full, and looks whether the log is still there to be cleaned.
    fn moved(&mut self, bytes: u64) -> Result<(), RoundError> {
        self.unpaced_bytes += bytes;
        if self.unpaced_bytes < self.limits.buffer_bytes as u64 {
            return Ok(());
        }
        if !self.pacer.moved(std::mem::take(&mut self.unpaced_bytes)) {
            return Err(RoundError::Stopped);
        }
        let is_compacted = self.log.config.load().cleanup_policy.compact;
        if is_compacted && self.log.is_cleanable(self.history) { Ok(()) } else { Err(RoundError::Changed) }
    }
}

/// The sound batches of a segment, in order.
struct Batches<'a> {
    reader: SoundBatches<'a>,
    next_offset: Offset,
}

impl Batches<'_> {
    /// `InvalidData`: a batch is damaged, or where it does not belong.
    fn next(&mut self) -> io::Result<Option<(BatchHeader, Cow<'_, [u8]>)>> {
        let position = self.reader.position();
        let at = |error: io::Error| io::Error::new(error.kind(), format!("position {position}: {error}"));
        let Some(batch) = self.reader.next().map_err(at)? else { return Ok(None) };
        let header = batch.header;
        if header.base_offset < self.next_offset || header.last_offset_delta < 0 {
            let reason = format!("a batch of offset {} where {} should follow", header.base_offset, self.next_offset);
            return Err(at(io::Error::new(io::ErrorKind::InvalidData, reason)));
        }
        self.next_offset = header.next_offset();
        Ok(Some((header, self.reader.whole(&batch).map_err(at)?)))
    }
}

fn size_of(segment: &Arc<Segment>) -> SegmentSize {
    SegmentSize {
        base_offset: segment.base_offset(),
        log_bytes: segment.size_bytes(),
        offset_index_bytes: segment.offset_index.size_bytes(),
        time_index_bytes: segment.time_index.size_bytes(),
    }
}

/// What a restart would have to find of each producer that is active now.
fn last_records(log: &PartitionLog) -> HashMap<ProducerId, LastRecord> {
    let writer = log.lock_writer();
    let producers = writer.producer_state.active_producers();
    let last = |offset: Offset| (offset >= Offset::ZERO).then_some(offset);
    producers
        .map(|entry| (entry.producer_id, LastRecord { data_offset: last(entry.last_offset()), epoch: entry.epoch }))
        .collect()
}
