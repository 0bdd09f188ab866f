//! Reading: which bytes of which file answer a fetch. No record byte is touched here.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::batch_scan::PlacedBatch;
use super::errors::{ReadError, StorageError};
use super::partition_log::{PartitionLog, Segments};
use super::segment::Segment;
use super::txn_index::AbortedTxn;
use crate::ids::Offset;
use crate::io::{DiskFile, FileSlice};

/// What a read found.
#[derive(Clone, Debug)]
pub struct LogRead {
    /// Whole batches; `None` where nothing is to be had.
    pub slice: Option<FileSlice>,
    /// What the next read should ask for: the offset behind the slice.
    pub next_offset: Offset,
    pub log_start_offset: Offset,
    pub log_end_offset: Offset,
    pub high_watermark: Offset,
    pub last_stable_offset: Offset,
}

impl LogRead {
    pub fn size_bytes(&self) -> usize {
        self.slice.as_ref().map_or(0, |slice| slice.size_bytes)
    }
}

/// A place in the log.
struct Place {
    position: u64,
    /// Known only when the header had to be read.
    first_batch_bytes: Option<usize>,
}

impl PartitionLog {
    /// The batches from the one that holds `from` on, as far as they lie in one segment, end before `up_to` and take
    /// no more than `max_bytes`. With `min_one_batch`, the first is returned even if it alone takes more; a consumer
    /// would never get past it otherwise (KIP-74).
    ///
    /// The first batch may begin before `from`: clients skip what they did not ask for. A slice never ends within a
    /// batch. Nothing to read (yet) is not an error; an offset below the log start or above the log end is.
    pub fn read(
        &self,
        from: Offset,
        max_bytes: usize,
        min_one_batch: bool,
        up_to: Offset,
    ) -> Result<LogRead, ReadError> {
        self.check_online()?;
        let find = || self.find_records(from, max_bytes, min_one_batch, up_to);
        let found = match find() {
            // Its segment went between the look at the list and the look into the file: the list is another one now.
            Err(ReadError::Storage(StorageError::Io(error))) if error.kind() == io::ErrorKind::NotFound => find(),
            found => found,
        };
        found.map_err(|error| self.told_if_corrupt(from, error))
    }

    fn find_records(
        &self,
        from: Offset,
        max_bytes: usize,
        min_one_batch: bool,
        up_to: Offset,
    ) -> Result<LogRead, ReadError> {
        // The end comes first: whatever list of segments is loaded after it reaches at least there.
        let log_end_offset = self.log_end_offset();
        let log_start_offset = self.log_start_offset();
        if from < log_start_offset || from > log_end_offset {
            return Err(ReadError::OffsetOutOfRange { offset: from, log_start_offset, log_end_offset });
        }
        let mut read = LogRead {
            slice: None,
            next_offset: from,
            log_start_offset,
            log_end_offset,
            high_watermark: self.high_watermark(),
            last_stable_offset: self.last_stable_offset(),
        };
        let up_to = up_to.min(log_end_offset);
        if from >= up_to {
            return Ok(read);
        }
        let segments = self.segments.load();
        for (index, segment) in segments.iter().enumerate().skip(floor_segment(&segments, from)) {
            if segment.base_offset() >= up_to {
                break;
            }
            // Compaction may have emptied the rest of a segment: then the next one goes on.
            let Some(start) = self.find_start(segment, from)? else { continue };
            let next_base = segments.get(index + 1).map(|next| next.base_offset());
            let end = self.find_end(segment, next_base, up_to)?;
            let end = if self.damage.is_any() { self.end_before_damage(segment, &start, end)? } else { end };
            if let Some((size, next_offset)) = self.fit(segment, &start, end, max_bytes, min_one_batch)? {
                read.next_offset = next_offset;
                read.slice = Some(FileSlice {
                    file: segment.log_file().opened()?,
                    position: start.position,
                    size_bytes: size,
                });
            }
            break;
        }
        Ok(read)
    }

    /// Whether this is the open file of one of its segments.
    pub(super) fn holds(&self, file: &Arc<dyn DiskFile>) -> bool {
        self.segments.load().iter().any(|segment| segment.log_file().is_open_as(file))
    }

    /// About how many bytes lie between two offsets, for long polls that wait for a minimum.
    pub fn bytes_between(&self, from: Offset, to: Offset) -> Result<u64, StorageError> {
        let segments = self.segments.load();
        let to = to.min(self.log_end_offset());
        if from >= to {
            return Ok(0);
        }
        let (first, last) = (floor_segment(&segments, from), floor_segment(&segments, to));
        let (Some(first_segment), Some(last_segment)) = (segments.get(first), segments.get(last)) else {
            return Ok(0);
        };
        let start = self.estimate_position(first_segment, from)?;
        let end = self.estimate_position(last_segment, to)?;
        if first == last {
            return Ok(end.saturating_sub(start));
        }
        let between: u64 = segments[first + 1..last].iter().map(|segment| segment.size_bytes()).sum();
        Ok(first_segment.size_bytes().saturating_sub(start) + between + end)
    }

    /// The aborted transactions that have records from `from` to below `up_to`, in the order of their markers: what a
    /// `read_committed` consumer of such a slice has to leave out.
    pub fn aborted_transactions(&self, from: Offset, up_to: Offset) -> Result<Vec<AbortedTxn>, StorageError> {
        let segments = self.segments.load();
        let mut aborted = Vec::new();
        for segment in &segments[floor_segment(&segments, from)..] {
            let collected = segment.txn_index.collect(from, up_to, &mut aborted);
            if collected.inspect_err(|error| self.io_failed("a read", error))? {
                break;
            }
        }
        Ok(aborted)
    }

    /// Where the batch that holds `from`, or the first one behind it, begins.
    fn find_start(&self, segment: &Segment, from: Offset) -> Result<Option<Place>, StorageError> {
        let known = self.recent.lock().position_of(segment.id(), from);
        if let Some(position) = known.filter(|&position| position < segment.size_bytes()) {
            return Ok(Some(Place { position, first_batch_bytes: None }));
        }
        Ok(self
            .find_batch(segment, from)?
            .map(|batch| Place { position: batch.position, first_batch_bytes: Some(batch.header.size_bytes()) }))
    }

    /// Where the batches of `segment` that lie below `up_to` end, and the offset behind them.
    fn find_end(
        &self,
        segment: &Segment,
        next_base: Option<Offset>,
        up_to: Offset,
    ) -> Result<(u64, Offset), StorageError> {
        if let Some(next_base) = next_base.filter(|&next_base| next_base <= up_to) {
            return Ok((segment.size_bytes(), next_base));
        }
        if let Some(position) = self.recent.lock().position_of(segment.id(), up_to) {
            return Ok((position, up_to));
        }
        let size_bytes = segment.size_bytes();
        Ok((self.find_batch(segment, up_to)?.map_or(size_bytes, |batch| batch.position), up_to))
    }

    /// A look-up that known damage does not stop, and that notes an index that leads astray.
    fn find_batch(&self, segment: &Segment, target: Offset) -> Result<Option<PlacedBatch>, StorageError> {
        let known_position =
            if self.damage.is_any() { self.damage.last_end_before(segment.base_offset(), target) } else { 0 };
        let found = segment.find_batch_behind(known_position, target);
        if segment.is_index_suspect() {
            self.has_suspect_index.store(true, Ordering::Release);
        }
        Ok(found?)
    }

    /// Reads end before damage that is known, and none begins in it.
    fn end_before_damage(
        &self,
        segment: &Segment,
        start: &Place,
        (end_position, end_offset): (u64, Offset),
    ) -> Result<(u64, Offset), ReadError> {
        match self.damage.first_from(segment.base_offset(), start.position) {
            Some(damaged) if damaged.position <= start.position => Err(ReadError::Corrupt {
                partition: self.topic_partition.clone(),
                offset: damaged.offset,
                reason: damaged.reason,
            }),
            Some(damaged) if damaged.position < end_position => Ok((damaged.position, damaged.offset)),
            _ => Ok((end_position, end_offset)),
        }
    }

    /// Damage that a look-up met is told once, and to clients as what it is.
    fn told_if_corrupt(&self, from: Offset, error: ReadError) -> ReadError {
        match error {
            ReadError::Storage(StorageError::Io(source)) if source.kind() == io::ErrorKind::InvalidData => {
                let (partition, reason) = (self.topic_partition.clone(), source.to_string());
                if self.damage.is_news(from) {
                    let folder = self.directory.path();
                    tracing::error!(
                        %partition, offset = %from, folder = %folder.display(), %reason,
                        "a fetch met damage on its way; 'ottla check' tells where"
                    );
                }
                ReadError::Corrupt { partition, offset: from, reason }
            }
            other => {
                if let ReadError::Storage(error) = &other {
                    self.storage_failed("a read", error);
                }
                other
            }
        }
    }

    /// How much of what lies between is returned, and the offset behind that.
    fn fit(
        &self,
        segment: &Segment,
        start: &Place,
        (end_position, end_offset): (u64, Offset),
        max_bytes: usize,
        min_one_batch: bool,
    ) -> Result<Option<(usize, Offset)>, StorageError> {
        let available = end_position.saturating_sub(start.position);
        if available == 0 {
            return Ok(None);
        }
        if available <= max_bytes as u64 {
            return Ok(Some((available as usize, end_offset)));
        }
        let too_large = start.first_batch_bytes.is_some_and(|first_bytes| first_bytes > max_bytes);
        if !too_large {
            let limit = start.position + max_bytes as u64;
            if let Some((end, next_offset)) = segment.last_batch_end(start.position, limit)? {
                self.recent.lock().note_read_end(segment.id(), next_offset, end);
                return Ok(Some(((end - start.position) as usize, next_offset)));
            }
        }
        if !min_one_batch {
            return Ok(None);
        }
        let first = segment.scan_from(start.position).next()?;
        Ok(first.map(|first| (first.header.size_bytes(), first.header.next_offset())))
    }

    /// The position of a batch at or before `offset`, within an index interval.
    fn estimate_position(&self, segment: &Segment, offset: Offset) -> Result<u64, StorageError> {
        if let Some(position) = self.recent.lock().position_of(segment.id(), offset) {
            return Ok(position);
        }
        Ok(segment.offset_index.lookup(offset)?.position)
    }
}

/// The index of the segment that holds `offset`; the first one for an offset before it.
pub(super) fn floor_segment(segments: &Segments, offset: Offset) -> usize {
    // Most reads are of the active segment.
    match segments.last() {
        Some(active) if active.base_offset() <= offset => segments.len() - 1,
        _ => segments.partition_point(|segment| segment.base_offset() <= offset).saturating_sub(1),
    }
}
