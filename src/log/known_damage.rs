//! Batches of a log that are known to be damaged: they are never served.
//!
//! A fetch goes from the file to the socket and looks at no byte of a batch, so bit rot is found by whoever does: the
//! scrubber compares checksums, a look-up meets headers. What they find is kept here. Reads end before it, a read that
//! begins in it is told CORRUPT_MESSAGE, and what lies behind it is served as ever.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use parking_lot::Mutex;

use super::partition_log::PartitionLog;
use crate::ids::Offset;
use crate::io::DiskFile;

/// Places that are kept of one log; a device that loses more of it is to be replaced.
const PLACES_KEPT: usize = 1000;

/// A stretch of a segment that holds no sound batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DamagedBatch {
    /// The segment's base offset.
    pub segment: Offset,
    pub position: u64,
    /// Where the next batch begins in the file.
    pub end_position: u64,
    /// The first offset that is lost.
    pub offset: Offset,
    /// The first offset behind it.
    pub next_offset: Offset,
    pub reason: String,
}

/// What is known of one log.
#[derive(Debug, Default)]
pub(super) struct KnownDamage {
    /// All that a read looks at while there is none.
    is_any: AtomicBool,
    batches: Mutex<Vec<DamagedBatch>>,
    /// The offset behind the one for which damage was told last.
    last_told: AtomicI64,
}

impl KnownDamage {
    pub(super) fn is_any(&self) -> bool {
        self.is_any.load(Ordering::Acquire)
    }

    /// The first stretch of a segment that ends behind `position`.
    pub(super) fn first_from(&self, segment: Offset, position: u64) -> Option<DamagedBatch> {
        let batches = self.batches.lock();
        let behind = batches.iter().filter(|batch| batch.segment == segment && batch.end_position > position);
        behind.min_by_key(|batch| batch.position).cloned()
    }

    /// Where the last stretch ends that lies before `target`; 0 without one.
    pub(super) fn last_end_before(&self, segment: Offset, target: Offset) -> u64 {
        let batches = self.batches.lock();
        let before = batches.iter().filter(|batch| batch.segment == segment && batch.next_offset <= target);
        before.map(|batch| batch.end_position).max().unwrap_or_default()
    }

    /// Whether damage that was met on the way to `offset` has not just been told: who is refused comes again.
    pub(super) fn is_news(&self, offset: Offset) -> bool {
        self.last_told.swap(offset.next().0, Ordering::AcqRel) != offset.next().0
    }

    /// Compaction has made another file of it.
    pub(super) fn segment_replaced(&self, segment: Offset) {
        if self.is_any() {
            self.batches.lock().retain(|batch| batch.segment != segment);
        }
    }

    /// The log was cut at `offset`: what was there is gone.
    pub(super) fn truncated_to(&self, offset: Offset) {
        if self.is_any() {
            self.batches.lock().retain(|batch| batch.offset < offset);
        }
    }
}

/// A closed segment, or the durable part of the active one.
#[derive(Clone, Debug)]
pub struct DurablePart {
    pub segment: Offset,
    pub file: Arc<dyn DiskFile>,
    pub end_position: u64,
}

impl PartitionLog {
    /// What can be read without meeting a write that is under way, oldest first.
    pub fn durable_parts(&self) -> Vec<DurablePart> {
        let segments = self.segments.load_full();
        let flushed = self.flushed_offset();
        let mut parts = Vec::new();
        for (at, segment) in segments.iter().enumerate() {
            let is_durable = segments.get(at + 1).is_some_and(|next| next.base_offset() <= flushed);
            let end_position = if is_durable {
                segment.size_bytes()
            } else {
                // Where the look-up meets damage, the walk over all of it meets it too.
                let batch = segment.find_batch(flushed).unwrap_or_default();
                batch.map_or_else(|| segment.size_bytes(), |batch| batch.position)
            };
            parts.push(DurablePart {
                segment: segment.base_offset(),
                file: segment.log_file().clone(),
                end_position,
            });
            if !is_durable {
                break;
            }
        }
        parts
    }

    /// The stretch is not served any more. False where that was known, or where the segment is no longer part of the
    /// log.
    pub fn note_damage(&self, damaged: DamagedBatch) -> bool {
        // Neither a truncation nor an append comes between the look and the note.
        let _writer = self.lock_writer();
        let segments = self.segments.load();
        let holds = segments
            .iter()
            .any(|segment| segment.base_offset() == damaged.segment && segment.size_bytes() > damaged.position);
        let mut batches = self.damage.batches.lock();
        let is_known =
            batches.iter().any(|known| known.segment == damaged.segment && known.position == damaged.position);
        if !holds || is_known || batches.len() >= PLACES_KEPT {
            return false;
        }
        batches.push(damaged);
        self.damage.is_any.store(true, Ordering::Release);
        true
    }

    /// Builds the offset indexes anew that led a look-up astray; says how many. Waits for the device.
    pub fn rebuild_suspect_indexes(&self) -> io::Result<usize> {
        if !self.has_suspect_index.swap(false, Ordering::AcqRel) {
            return Ok(0);
        }
        let interval_bytes = self.config().index_interval_bytes as u64;
        let mut rebuilt = 0;
        let segments = self.segments.load_full();
        for segment in segments.iter().filter(|segment| segment.is_index_suspect()) {
            let writer = self.lock_writer();
            // Closed segments take no appends: those need not wait for it.
            let _writer = Arc::ptr_eq(&writer.active, segment).then_some(writer);
            segment.rebuild_offset_index(interval_bytes)?;
            rebuilt += 1;
        }
        Ok(rebuilt)
    }

    /// How many damaged batches are known that are still part of the log.
    pub fn damaged_batches(&self) -> usize {
        if !self.damage.is_any() {
            return 0;
        }
        let log_start_offset = self.log_start_offset();
        self.damage.batches.lock().iter().filter(|batch| batch.next_offset > log_start_offset).count()
    }
}
