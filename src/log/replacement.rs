//! Putting a cleaned segment in the place of those that it was made from.
//!
//! ```text
//!   .cleaned   written and synced                               means nothing yet
//!   .swap      all of them renamed, the folder synced           from here on it replaces the old segments
//!   .deleted   the old segments' files renamed                  whoever reads them goes on; removed later
//!   (final)    the new ones renamed to their final names, the list of segments published, the folder synced
//! ```
//! The names and their order are Kafka's, so whichever of the two starts after a crash completes what was begun
//! (`recovery/leftovers.rs`).

use std::io;
use std::sync::Arc;

use super::directory::{CLEANED_SUFFIX, FileKind, SWAP_SUFFIX};
use super::errors::StorageError;
use super::partition_log::{PartitionLog, Segments, Writer};
use super::segment::Segment;
use crate::ids::Offset;
use crate::time::TimestampMs;

/// Whether closed segments may be replaced.
#[derive(Debug, Default)]
pub(super) struct CleaningGate {
    /// The log is being copied to another directory.
    is_paused: bool,
}

/// The history of a log up to its next truncation: what was read before one says nothing about what comes after.
#[derive(Clone, Copy, Debug)]
pub(super) struct History(u64);

/// Files that were written and synced, and whose names end with `.cleaned`.
#[derive(Debug)]
pub(super) struct CleanedFiles {
    pub(super) base_offset: Offset,
    pub(super) kinds: Vec<FileKind>,
}

/// Why a cleaned segment was not put in place.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReplaceError {
    /// What it was made from is no longer what the log has, or the log is going away. Nothing has changed.
    #[error("the log has changed meanwhile")]
    Changed,
    /// Nothing has changed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The log is out of service: a restart completes what was begun.
    #[error("halfway: {0}")]
    Halfway(io::Error),
}

impl From<StorageError> for ReplaceError {
    fn from(error: StorageError) -> Self {
        match error {
            StorageError::Offline(_) | StorageError::NotWritable(_) => Self::Changed,
            StorageError::Io(error) => Self::Io(error),
        }
    }
}

impl PartitionLog {
    /// No segment is replaced any more once this returns, until [`PartitionLog::resume_cleaning`]: who copies the log
    /// must not read a record from before a cleaning and miss the tombstone that went with it.
    pub(super) fn pause_cleaning(&self) {
        self.cleaning_gate.lock().is_paused = true;
    }

    pub(super) fn resume_cleaning(&self) {
        self.cleaning_gate.lock().is_paused = false;
    }

    pub(super) fn history(&self) -> History {
        History(self.group_commit.generation())
    }

    /// Whether segments that were read in `history` may be replaced.
    pub(super) fn is_cleanable(&self, history: History) -> bool {
        let is_paused = self.cleaning_gate.lock().is_paused;
        !is_paused && self.check_online().is_ok() && self.group_commit.generation() == history.0
    }

    /// Puts `cleaned` in the place of `replaced`, neighbours of which the first gives it its name. Waits for the device.
    pub(super) fn replace_segments(
        &self,
        history: History,
        replaced: &[Arc<Segment>],
        cleaned: &CleanedFiles,
        now_ms: TimestampMs,
    ) -> Result<(), ReplaceError> {
        let gate = self.cleaning_gate.lock();
        self.check_online()?;
        if gate.is_paused || self.group_commit.generation() != history.0 || self.place_of(replaced).is_none() {
            return Err(ReplaceError::Changed);
        }
        self.rename_all(cleaned, CLEANED_SUFFIX, SWAP_SUFFIX)?;
        self.sync_folder()?;
        {
            let mut writer = self.lock_writer();
            let swapped = self.swap_in(&mut writer, replaced, cleaned, now_ms);
            swapped.inspect_err(|error| self.mark_broken(error)).map_err(ReplaceError::Halfway)?;
        }
        self.sync_folder().map_err(ReplaceError::Halfway)
    }

    fn swap_in(
        &self,
        writer: &mut Writer,
        replaced: &[Arc<Segment>],
        cleaned: &CleanedFiles,
        now_ms: TimestampMs,
    ) -> io::Result<()> {
        // Appends and rolls add to the end; whatever else changes the list waits at the gate.
        let (Some(at), Some(first)) = (self.place_of(replaced), replaced.first()) else {
            return Err(io::Error::other("segments are gone that nobody else may take away"));
        };
        let due_ms = now_ms.saturating_add(self.config.load().file_delete_delay_ms);
        for segment in replaced {
            let kinds = FileKind::OF_SEGMENT.into_iter().chain(surplus_snapshot(writer, first, segment));
            self.removals.retire_files(&self.directory, segment, kinds, due_ms)?;
        }
        self.rename_all(cleaned, SWAP_SUFFIX, "")?;
        // Without a timestamp of its own, a segment is as old as what it was made from.
        let created_ms = replaced.iter().map(|segment| segment.retention_timestamp()).max().unwrap_or(now_ms);
        let opened = Segment::open(&self.directory, cleaned.base_offset, created_ms)?.in_place_of(first);
        let mut segments = Segments::clone(&self.segments.load());
        segments.splice(at..at + replaced.len(), [Arc::new(opened)]);
        self.publish_segments(writer, segments);
        // Positions in the files that went mean nothing in the one that came.
        for segment in replaced {
            self.damage.segment_replaced(segment.base_offset());
        }
        writer.unsynced_closed.retain(|segment| !replaced.iter().any(|gone| Arc::ptr_eq(gone, segment)));
        Ok(())
    }

    /// Where these neighbours stand in the list, all of them closed; `None`: not all of them are there any more.
    fn place_of(&self, replaced: &[Arc<Segment>]) -> Option<usize> {
        let segments = self.segments.load();
        let first = replaced.first()?;
        let at = segments.iter().position(|segment| Arc::ptr_eq(segment, first))?;
        let closed = &segments[..segments.len() - 1];
        let found = closed.get(at..at + replaced.len())?;
        found.iter().zip(replaced).all(|(one, other)| Arc::ptr_eq(one, other)).then_some(at)
    }

    fn rename_all(&self, cleaned: &CleanedFiles, from: &'static str, to: &'static str) -> io::Result<()> {
        let (from, to) = (self.directory.suffixed(from), self.directory.suffixed(to));
        cleaned.kinds.iter().try_for_each(|&kind| {
            let (from, to) = (from.file(kind, cleaned.base_offset), to.file(kind, cleaned.base_offset));
            self.directory.disk().rename(&from, &to)
        })
    }

    pub(super) fn sync_folder(&self) -> io::Result<()> {
        self.directory.disk().sync_directory(&self.directory.path()).inspect_err(|error| {
            self.fail_directory(format_args!("sync of the folder of {}: {error}", self.topic_partition));
        })
    }
}

/// The producer snapshot at the beginning of a segment that is no more, unless recovery may begin with it.
fn surplus_snapshot(writer: &Writer, first: &Arc<Segment>, segment: &Arc<Segment>) -> Option<FileKind> {
    let offset = segment.base_offset();
    let is_wanted = Arc::ptr_eq(first, segment)
        || writer.checkpoint_snapshots.contains(&offset)
        || writer.unsynced_snapshots.contains(&offset);
    (!is_wanted).then_some(FileKind::ProducerSnapshot)
}
