//! Opening the log of a partition, whatever state it was left in.
//!
//! ```text
//!            log start          recovery point              end
//!   ──────────┼───────────────────────┼──────────────────────┼── · · · · ·
//!             │ indexes are trusted,  │ every byte is        │ what is not sound is cut,
//!             │ headers read at most  │ checked, indexes and │ and all that follows it
//!             │                       │ producers built anew │
//! ```
//! Below the recovery point a checkpoint has brought everything to the device. What is kept beyond it is written once
//! more and synced before it counts as flushed: that it reads back does not mean that it would after the next crash.
//! After a clean stop all of the log is below the recovery point.

mod leftovers;
mod replay;
#[cfg(test)]
mod tests;

use std::cell::Cell;
use std::collections::BTreeSet;
use std::io::{self, IoSlice};
use std::sync::Arc;

use super::checkpoint;
use super::checkpoint_text;
use super::directory::{FileKind, PartitionDirectory};
use super::health::DirectoryHealth;
use super::leader_epochs::{self, LEADER_EPOCH_CHECKPOINT, LeaderEpochs};
use super::partition_log::{LogParts, PartitionLog};
use super::producer_rebuild;
use super::producer_state::{ProducerStateConfig, ProducerStateManager};
use super::segment::Segment;
use super::segment_recovery::RecoveredSegment;
use crate::config::LogConfig;
use crate::ids::{Offset, TopicPartition};
use crate::io::{DiskFile, OpenMode};
use crate::time::TimestampMs;

/// All of a log that was closed in good order is trusted.
const EVERYTHING: Offset = Offset(i64::MAX);

/// Who brings to the device what is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Syncs {
    /// Whoever writes it, file by file, before going on.
    Each,
    /// The caller, all of the file system at once ([`WholeSync`](crate::io::WholeSync)), before anything counts.
    Together,
}

/// Which log is to be opened, and what the log directory's checkpoints say of it.
#[derive(Debug)]
pub struct LoadRequest {
    pub topic_partition: TopicPartition,
    pub directory: Arc<PartitionDirectory>,
    pub health: Arc<DirectoryHealth>,
    pub config: Arc<LogConfig>,
    pub producer_state: ProducerStateConfig,
    /// The log directory was closed in good order, and nothing has been written since.
    pub was_clean: bool,
    /// 0 where the checkpoint does not name the partition.
    pub recovery_point: Offset,
    pub log_start_offset: Offset,
    pub high_watermark: Offset,
    /// How what recovery keeps comes to the device. [`Syncs::Together`]: the log counts as open once the caller has seen to
    /// it, and is to be loaded again with [`Syncs::Each`] where that fails.
    pub syncs: Syncs,
    pub now_ms: TimestampMs,
}

/// An open log, and what it took.
#[derive(Debug)]
pub struct LoadedLog {
    pub log: Arc<PartitionLog>,
    /// Bytes that were not sound, and are gone.
    pub truncated_bytes: u64,
    /// Nothing is missing that was on the device once: no cut was below the recovery point (KIP-966).
    pub is_intact: bool,
}

/// Opens the log that lies in the request's folder; a folder without segments is an empty log.
pub fn load(request: &LoadRequest) -> io::Result<LoadedLog> {
    let trusted_below = if request.was_clean { EVERYTHING } else { request.recovery_point };
    let folder = leftovers::tidy(&request.directory)?;
    match Recovery::new(request, folder, trusted_below).run() {
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            let partition = &request.topic_partition;
            tracing::error!(%partition, %error, "the log is not sound where it was trusted: all of it is checked");
            let folder = leftovers::tidy(&request.directory)?;
            let mut loaded = Recovery::new(request, folder, Offset::ZERO).run()?;
            loaded.is_intact = false;
            Ok(loaded)
        }
        other => other,
    }
}

/// What a partition's folder holds once it is tidied up.
#[derive(Debug)]
struct Folder {
    /// Of the segments, ascending.
    base_offsets: Vec<Offset>,
    snapshots: BTreeSet<Offset>,
}

/// The opening of one log.
struct Recovery<'a> {
    request: &'a LoadRequest,
    folder: Folder,
    /// Records below it, and what was made of them, are as the log left them.
    trusted_below: Offset,
    segments: Vec<Segment>,
    epochs: LeaderEpochs,
    /// The epoch file was there, and could be read.
    has_epochs: bool,
    /// The epochs in memory are not those in the file.
    epochs_changed: bool,
    truncated_bytes: u64,
    is_intact: bool,
    /// What the producers were last read from.
    loaded_snapshot: Cell<Option<Offset>>,
    /// From where on the log is not known to be on the device: the segment's place and the position in its file.
    unsynced_from: Option<(usize, u64)>,
}

impl<'a> Recovery<'a> {
    fn new(request: &'a LoadRequest, folder: Folder, trusted_below: Offset) -> Self {
        Self {
            request,
            folder,
            trusted_below,
            segments: Vec::new(),
            epochs: LeaderEpochs::new(),
            has_epochs: false,
            epochs_changed: false,
            truncated_bytes: 0,
            is_intact: true,
            loaded_snapshot: Cell::new(None),
            unsynced_from: None,
        }
    }

    fn run(mut self) -> io::Result<LoadedLog> {
        self.remove_stale_last()?;
        self.has_epochs = self.read_epochs()?;
        self.epochs_changed = !self.has_epochs;
        let trusted_segments = self.trusted_segments();
        for at in 0..trusted_segments {
            self.open_trusted(self.folder.base_offsets[at])?;
        }
        if !self.has_epochs {
            replay::rebuild_epochs(&mut self.epochs, &self.segments, Offset::ZERO, self.trusted_below)?;
        }
        let producers = self.recover_untrusted(trusted_segments)?;
        let end = match self.segments.last() {
            Some(last) => last.next_offset()?,
            None => self.request.log_start_offset,
        };
        if end < self.request.log_start_offset {
            return self.begin_anew();
        }
        let first_base_offset = self.segments.first().map_or(end, Segment::base_offset);
        let log_start_offset = self.request.log_start_offset.max(first_base_offset);
        if !self.request.was_clean && end < self.trusted_below {
            self.is_intact = false;
        }
        let producers = match producers {
            Some(producers) => producers,
            None => self.producers_at(end)?,
        };
        self.finish(producers, log_start_offset, end)
    }

    /// An empty last segment that begins before the end of the one before it is what a failed roll has left.
    fn remove_stale_last(&mut self) -> io::Result<()> {
        let [.., before, last] = self.folder.base_offsets[..] else { return Ok(()) };
        let LoadRequest { directory, now_ms, .. } = self.request;
        if directory.open(FileKind::Log, last, OpenMode::Read)?.size_bytes()? > 0 {
            return Ok(());
        }
        let end = Segment::open(directory, before, *now_ms).and_then(|segment| segment.next_offset());
        match end {
            Ok(end) if end > last => self.remove_segments(self.folder.base_offsets.len() - 1),
            Ok(_) => Ok(()),
            // Then it is checked byte by byte, and what does not follow it goes.
            Err(error) if is_damage(&error) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// How many segments lie below the recovery point as a whole. All of them after a clean stop.
    fn trusted_segments(&self) -> usize {
        if self.trusted_below == EVERYTHING {
            return self.folder.base_offsets.len();
        }
        // The last segment that begins below it reaches up to it at least. It may have been closed since, and a crash
        // then took the last entry of its time index.
        self.folder.base_offsets.partition_point(|base| *base < self.trusted_below).saturating_sub(1)
    }

    /// False where the epochs have to be built from the log.
    fn read_epochs(&mut self) -> io::Result<bool> {
        let path = self.request.directory.path().join(LEADER_EPOCH_CHECKPOINT);
        let disk = &**self.request.directory.disk();
        let reason = match checkpoint_text::read_text(disk, &path, leader_epochs::MAX_FILE_BYTES) {
            Ok(Some(content)) => match LeaderEpochs::decode(&content) {
                Ok(epochs) => {
                    self.epochs = epochs;
                    return Ok(true);
                }
                Err(error) => error.to_string(),
            },
            Ok(None) => return Ok(self.folder.base_offsets.is_empty()),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => error.to_string(),
            Err(error) => return Err(error),
        };
        tracing::warn!(path = %path.display(), %reason, "leader epochs are built from the log");
        Ok(false)
    }

    /// Opens a segment below the recovery point; indexes that are missing or damaged are built anew.
    fn open_trusted(&mut self, base_offset: Offset) -> io::Result<()> {
        let LoadRequest { directory, now_ms, .. } = self.request;
        let error = match Segment::open(directory, base_offset, *now_ms) {
            Ok(segment) => {
                self.segments.push(segment);
                return Ok(());
            }
            Err(error) if is_damage(&error) => error,
            Err(error) => return Err(error),
        };
        let partition = &self.request.topic_partition;
        tracing::warn!(%partition, %base_offset, %error, "indexes of a segment are built anew");
        let mut producers = self.producers_at(base_offset)?;
        let segment = self.open_for_new_indexes(base_offset)?;
        // Its epochs are known already, or will be read from the headers.
        let mut epochs = self.epochs.clone();
        let recovered = self.recover(&segment, base_offset, &mut producers, &mut epochs)?;
        if recovered.truncated_bytes > 0 {
            self.is_intact = false;
            segment.cut_file()?;
        }
        // The log first: an index never says more than the log holds.
        segment.log_file().sync()?;
        segment.close_new_indexes()?;
        self.segments.push(segment);
        Ok(())
    }

    /// Opens a segment whose indexes are to be built. Where it is trusted it has no offset index, and so will be built
    /// again by the next start, until [`Segment::write_new_indexes`] has all of them on the device: a part of an index
    /// would pass for the whole.
    fn open_for_new_indexes(&self, base_offset: Offset) -> io::Result<Segment> {
        let LoadRequest { directory, now_ms, .. } = self.request;
        if base_offset < self.trusted_below {
            directory.disk().remove_file(&directory.file(FileKind::OffsetIndex, base_offset))?;
            directory.disk().sync_directory(&directory.path())?;
        }
        Segment::open_without_indexes(directory, base_offset, *now_ms)
    }

    /// Checks the segments from `first` on, until one is not sound or does not continue the one before. What follows
    /// it is removed before it is cut: a crash in between must not leave what comes behind a hole.
    fn recover_untrusted(&mut self, first: usize) -> io::Result<Option<ProducerStateManager>> {
        let Some(&base_offset) = self.folder.base_offsets.get(first) else { return Ok(None) };
        let (mut segment, mut from) = self.open_untrusted(base_offset)?;
        let mut producers = self.producers_before(&segment, from)?;
        self.forget_snapshots(|offset| offset > from)?;
        let mut epochs = std::mem::take(&mut self.epochs);
        if !self.has_epochs {
            let segment = std::slice::from_ref(&segment);
            unless_unsound(replay::rebuild_epochs(&mut epochs, segment, Offset::ZERO, from))?;
        }
        let known_epochs = epochs.clone();
        let mut at = first;
        loop {
            let RecoveredSegment { truncated_bytes, checked_from, .. } =
                self.recover(&segment, from, &mut producers, &mut epochs)?;
            if from == segment.base_offset() && from < self.trusted_below {
                self.unless_full(segment.write_new_indexes())?;
            }
            let end = segment.next_offset()?;
            let following = self.folder.base_offsets.get(at + 1).copied();
            // An empty segment that was never said to hold anything has nothing to lose: a broker of many idle partitions
            // must not wait for each of them.
            let is_idle = end == segment.base_offset() && self.request.recovery_point <= end;
            let is_checked_whole = from == segment.base_offset() && !is_idle;
            if is_checked_whole || end > from || truncated_bytes > 0 || following.is_some() {
                self.unsynced_from.get_or_insert((at, checked_from));
            }
            at += 1;
            let next = following.filter(|following| truncated_bytes == 0 && self.continues(end, *following));
            let Some(next) = next else {
                self.remove_segments(at)?;
                segment.cut_file()?;
                self.segments.push(segment);
                break;
            };
            segment.close_indexes()?;
            self.segments.push(segment);
            (segment, from) = self.open_untrusted(next)?;
        }
        self.epochs_changed |= epochs != known_epochs;
        self.epochs = epochs;
        Ok(Some(producers))
    }

    /// A segment that reaches over the recovery point or lies beyond it, and from where on it is to be checked: all
    /// of it where its indexes are of no use.
    fn open_untrusted(&self, base_offset: Offset) -> io::Result<(Segment, Offset)> {
        let LoadRequest { directory, now_ms, .. } = self.request;
        if base_offset < self.trusted_below {
            match Segment::open(directory, base_offset, *now_ms) {
                Ok(segment) => return Ok((segment, self.trusted_below)),
                Err(error) if is_damage(&error) => {
                    let partition = &self.request.topic_partition;
                    tracing::warn!(%partition, %base_offset, %error, "indexes of a segment are built anew");
                }
                Err(error) => return Err(error),
            }
        }
        Ok((self.open_for_new_indexes(base_offset)?, base_offset))
    }

    /// What is not sound at the segment's end is still in its file afterwards.
    fn recover(
        &mut self,
        segment: &Segment,
        from: Offset,
        producers: &mut ProducerStateManager,
        epochs: &mut LeaderEpochs,
    ) -> io::Result<RecoveredSegment> {
        let LoadRequest { config, now_ms, .. } = self.request;
        let interval_bytes = config.index_interval_bytes as u64;
        let recovered = segment.recover(from, producers, epochs, interval_bytes, *now_ms)?;
        self.truncated_bytes += recovered.truncated_bytes;
        Ok(recovered)
    }

    /// Whether a segment may follow one that ends at `end`. Only compaction leaves holes, and nothing may overlap: a
    /// crash can bring back a file that was removed, or keep a later file without the earlier one's end.
    fn continues(&self, end: Offset, following: Offset) -> bool {
        following == end || (following > end && self.request.config.cleanup_policy.compact)
    }

    /// Removes the segments from the `first`th on, the last one first: durable when it returns.
    fn remove_segments(&mut self, first: usize) -> io::Result<()> {
        let directory = &self.request.directory;
        let removed = &self.folder.base_offsets[first..];
        for &base_offset in removed.iter().rev() {
            let partition = &self.request.topic_partition;
            tracing::warn!(%partition, %base_offset, "a segment behind the end of the log is removed");
            for kind in FileKind::OF_SEGMENT {
                let path = directory.file(kind, base_offset);
                if kind == FileKind::Log {
                    let file = directory.disk().open(&path, OpenMode::Read)?;
                    self.truncated_bytes += file.size_bytes()?;
                }
                directory.disk().remove_file(&path)?;
            }
        }
        if !removed.is_empty() {
            directory.disk().sync_directory(&directory.path())?;
        }
        self.folder.base_offsets.truncate(first);
        Ok(())
    }

    /// The state of all records below `offset`, which the segments opened so far reach up to.
    fn producers_at(&self, offset: Offset) -> io::Result<ProducerStateManager> {
        let mut producers = self.producers_of_snapshot(offset)?;
        replay::replay(&mut producers, &self.segments, offset, self.request.now_ms)?;
        producers.set_map_end_offset(offset);
        Ok(producers)
    }

    /// As [`Self::producers_at`], where `last` is the segment that reaches up to `offset`, and may end before it.
    fn producers_before(&self, last: &Segment, offset: Offset) -> io::Result<ProducerStateManager> {
        let mut producers = self.producers_of_snapshot(offset)?;
        let now_ms = self.request.now_ms;
        replay::replay(&mut producers, &self.segments, last.base_offset().min(offset), now_ms)?;
        unless_unsound(replay::replay(&mut producers, std::slice::from_ref(last), offset, now_ms))?;
        Ok(producers)
    }

    fn producers_of_snapshot(&self, offset: Offset) -> io::Result<ProducerStateManager> {
        let LoadRequest { directory, producer_state, now_ms, .. } = self.request;
        let mut producers = ProducerStateManager::new(*producer_state);
        let first = self.folder.base_offsets.first().copied();
        let first_offset = first.unwrap_or(offset);
        let loaded = producer_rebuild::load_snapshot(directory, first_offset, offset, &mut producers, *now_ms)?;
        self.loaded_snapshot.set(loaded);
        if loaded.is_none() {
            // A log that was closed in good order and has no snapshot at all never had a producer with an id.
            let first = first.filter(|_| self.trusted_below != EVERYTHING);
            producers.truncate_fully_and_start_at(first.unwrap_or(offset));
        }
        Ok(producers)
    }

    fn forget_snapshots(&mut self, is_stray: impl Fn(Offset) -> bool) -> io::Result<()> {
        let directory = &self.request.directory;
        for &offset in self.folder.snapshots.iter().filter(|offset| is_stray(**offset)) {
            directory.disk().remove_file(&directory.file(FileKind::ProducerSnapshot, offset))?;
        }
        self.folder.snapshots.retain(|offset| !is_stray(*offset));
        Ok(())
    }

    /// The log begins behind its own end: its files were taken away from outside. It goes on where it should begin.
    fn begin_anew(mut self) -> io::Result<LoadedLog> {
        let log_start_offset = self.request.log_start_offset;
        let partition = &self.request.topic_partition;
        tracing::error!(%partition, %log_start_offset, "the log ends before its start: all segments are removed");
        self.segments.clear();
        self.remove_segments(0)?;
        self.forget_snapshots(|_| true)?;
        self.epochs_changed |= !self.epochs.is_empty();
        self.epochs.clear();
        self.is_intact = false;
        self.unsynced_from = None;
        let mut producers = ProducerStateManager::new(self.request.producer_state);
        producers.set_map_end_offset(log_start_offset);
        self.finish(producers, log_start_offset, log_start_offset)
    }

    /// Brings what was found to the device, and makes a log of it.
    fn finish(
        mut self,
        producers: ProducerStateManager,
        log_start_offset: Offset,
        end: Offset,
    ) -> io::Result<LoadedLog> {
        self.epochs_changed |= self.epochs.truncate_from_end(end);
        self.epochs_changed |= self.epochs.truncate_from_start(log_start_offset);
        self.complete_epochs(log_start_offset, end)?;
        self.forget_stray_snapshots(end)?;
        // Where there is no room, nothing new counts as being on the device: the next start has it to do again.
        let mut recovery_point = end;
        // A torn one is none: after a clean stop it would be the only one, and the producers be forgotten.
        let mut has_snapshot = self.folder.snapshots.contains(&end) && self.loaded_snapshot.get() == Some(end);
        if let Some((first, position)) = self.unsynced_from {
            let synced = self.unless_full(self.sync_recovered(first, position, &producers, end))?;
            has_snapshot = synced;
            recovery_point = if synced { end } else { self.request.recovery_point.min(end) };
        } else if let Some(last) = self.segments.last() {
            // Entries that were cut, of records that a crash took, must not come back among later ones.
            self.sync_indexes(last)?;
        }
        // What a process has written that was killed is there, and not known to be on the device: a snapshot of the time
        // since the last checkpoint is synced with the next one.
        let synced_now = (self.unsynced_from.is_some() && has_snapshot).then_some(end);
        let checkpointed = self.request.recovery_point.min(end);
        let is_unsynced =
            |offset: &Offset| !self.request.was_clean && *offset >= checkpointed && Some(*offset) != synced_now;
        let unsynced_snapshots = self.folder.snapshots.iter().copied().filter(is_unsynced).collect();
        let LoadRequest { directory, .. } = self.request;
        // Another broker's file stays as it is: the same comes of it at any start, and it is written with the next epoch.
        if self.epochs_changed && !self.request.health.awaits_first_write() {
            let written = checkpoint::write_epochs(directory, &self.epochs.encode(), self.request.syncs);
            self.epochs_changed = !self.unless_full(written)?;
        }
        let log = PartitionLog::open(LogParts {
            topic_partition: self.request.topic_partition.clone(),
            directory: Arc::clone(directory),
            health: Arc::clone(&self.request.health),
            config: Arc::clone(&self.request.config),
            segments: self.segments,
            producer_state: producers,
            leader_epochs: self.epochs,
            log_start_offset,
            log_end_offset: end,
            high_watermark: self.request.high_watermark,
            recovery_point,
            has_snapshot,
            unsynced_snapshots,
            epochs_changed: self.epochs_changed,
            now_ms: self.request.now_ms,
        })?;
        Ok(LoadedLog { log, truncated_bytes: self.truncated_bytes, is_intact: self.is_intact })
    }

    /// Whether what recovery writes for the next one was written. A full disk is no reason not to start: it could not be
    /// emptied otherwise.
    fn unless_full(&self, written: io::Result<()>) -> io::Result<bool> {
        match written {
            Ok(()) => Ok(true),
            Err(error) if self.request.health.write_failed(&error) => {
                let partition = &self.request.topic_partition;
                tracing::warn!(%partition, %error, "the log is recovered, but that can't be noted");
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    /// The file of the epochs may be newer than the checkpoint of the log's beginning: what it no longer tells of the
    /// first records, their headers do.
    fn complete_epochs(&mut self, log_start_offset: Offset, end: Offset) -> io::Result<()> {
        let known_from = self.epochs.earliest().map_or(end, |earliest| earliest.start_offset);
        if known_from <= log_start_offset {
            return Ok(());
        }
        let mut epochs = LeaderEpochs::new();
        replay::rebuild_epochs(&mut epochs, &self.segments, log_start_offset, known_from)?;
        epochs.truncate_from_start(log_start_offset);
        for entry in self.epochs.entries() {
            epochs.assign(entry.epoch, entry.start_offset);
        }
        self.epochs_changed |= epochs != self.epochs;
        self.epochs = epochs;
        Ok(())
    }

    /// Snapshots are kept where a segment begins, the newest one, and the one that recovery begins with until the
    /// recovery point is written anew.
    fn forget_stray_snapshots(&mut self, end: Offset) -> io::Result<()> {
        let newest_up_to = |offset: Offset| self.folder.snapshots.range(..=offset).next_back().copied();
        let mut kept: BTreeSet<_> = self.segments.iter().map(Segment::base_offset).collect();
        kept.extend(newest_up_to(end));
        kept.extend(newest_up_to(self.request.recovery_point));
        self.forget_snapshots(|offset| offset > end || !kept.contains(&offset))
    }

    /// The segments from the `first`th on, in that one what lies behind `position`.
    fn sync_recovered(
        &self,
        first: usize,
        position: u64,
        producers: &ProducerStateManager,
        end: Offset,
    ) -> io::Result<()> {
        let directory = &self.request.directory;
        for (at, segment) in self.segments.iter().enumerate().skip(first) {
            segment.write_again(if at == first { position } else { 0 })?;
            segment.write_indexes()?;
            // The log first: an index never says more than the log holds.
            if self.request.syncs == Syncs::Each {
                segment.log_file().sync()?;
            }
            self.sync_indexes(segment)?;
        }
        let snapshot = directory.open(FileKind::ProducerSnapshot, end, OpenMode::Create)?;
        snapshot.set_size_bytes(0)?;
        snapshot.write_all_at(&[IoSlice::new(&producers.encode_snapshot())], 0)?;
        if self.request.syncs == Syncs::Together {
            return Ok(());
        }
        snapshot.sync()?;
        directory.disk().sync_directory(&directory.path())
    }

    fn sync_indexes(&self, segment: &Segment) -> io::Result<()> {
        let is_ours = self.request.syncs == Syncs::Each;
        segment.take_unsynced_indexes()?.filter(|_| is_ours).try_for_each(|index| index.sync())
    }
}

/// What is not sound in the segment that reaches over the recovery point is cut when it is checked, and it is checked
/// from there on.
fn unless_unsound(read: io::Result<()>) -> io::Result<()> {
    match read {
        Err(error) if error.kind() == io::ErrorKind::InvalidData => Ok(()),
        other => other,
    }
}

/// Whether an index is missing or not what it should be, as opposed to a device that fails.
fn is_damage(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::NotFound | io::ErrorKind::UnexpectedEof)
}
