//! The log of one partition: what holds its segments together.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

use arc_swap::ArcSwap;
use parking_lot::{Mutex, MutexGuard};

use super::directory::PartitionDirectory;
use super::errors::StorageError;
use super::group_commit::GroupCommit;
use super::health::{DirectoryHealth, WriteState};
use super::known_damage::KnownDamage;
use super::leader_epochs::{EpochEntry, LeaderEpochs};
use super::producer_state::{AppendOrigin, ProducerStateEntry, ProducerStateManager};
use super::recent_batches::RecentBatches;
use super::removal::Removals;
use super::replacement::CleaningGate;
use super::segment::{MAX_SEGMENT_BYTES, Segment};
use crate::config::LogConfig;
use crate::ids::{LeaderEpoch, Offset, TopicPartition};
use crate::io::is_device_failure;
use crate::time::TimestampMs;

/// The segments of a log, oldest first, never empty; the last one is the active one. Replaced as a whole.
pub(super) type Segments = Vec<Arc<Segment>>;

/// The first unstable offset where there is none.
const ALL_STABLE: i64 = i64::MAX;

/// What a log is made of: found by recovery, or new.
#[derive(Debug)]
pub struct LogParts {
    pub topic_partition: TopicPartition,
    pub directory: Arc<PartitionDirectory>,
    pub health: Arc<DirectoryHealth>,
    pub config: Arc<LogConfig>,
    /// Oldest first, recovered; none for a new log.
    pub segments: Vec<Segment>,
    /// As of `log_end_offset`.
    pub producer_state: ProducerStateManager,
    pub leader_epochs: LeaderEpochs,
    pub log_start_offset: Offset,
    pub log_end_offset: Offset,
    pub high_watermark: Offset,
    /// All records below it are on the device, and so are their indexes and the producer state.
    pub recovery_point: Offset,
    /// There is a producer snapshot as of `log_end_offset`, or nothing to be snapshot.
    pub has_snapshot: bool,
    /// The snapshots that are not known to be on the device.
    pub unsynced_snapshots: Vec<Offset>,
    /// The epochs are not those in the file.
    pub epochs_changed: bool,
    pub now_ms: TimestampMs,
}

/// The log of one partition.
///
/// Appends, rolls, truncation, retention and the cleaner's swaps take the append lock. Readers take none: they go by the atomics and the
/// list of segments. A record is written before an offset that covers it is published.
#[derive(Debug)]
pub struct PartitionLog {
    pub(super) topic_partition: TopicPartition,
    pub(super) directory: Arc<PartitionDirectory>,
    pub(super) health: Arc<DirectoryHealth>,
    pub(super) config: ArcSwap<LogConfig>,
    pub(super) segments: ArcSwap<Segments>,
    pub(super) writer: Mutex<Writer>,
    pub(super) recent: Mutex<RecentBatches>,
    pub(super) group_commit: GroupCommit,
    pub(super) removals: Removals,
    /// Taken before the append lock, by whoever replaces, cuts off or gives away closed segments.
    pub(super) cleaning_gate: Mutex<CleaningGate>,
    pub(super) damage: KnownDamage,
    /// Some segment's index led astray, and is to be built anew.
    pub(super) has_suspect_index: AtomicBool,
    log_start_offset: AtomicI64,
    log_end_offset: AtomicI64,
    high_watermark: AtomicI64,
    first_unstable_offset: AtomicI64,
    pub(super) recovery_point: AtomicI64,
    /// The sizes of all segments together.
    size_bytes: AtomicU64,
    /// Something went wrong halfway: files and state are apart.
    broken: AtomicBool,
    /// Its folder is about to go, or has gone.
    is_deleted: AtomicBool,
}

/// What the append lock protects.
#[derive(Debug)]
pub(super) struct Writer {
    pub(super) active: Arc<Segment>,
    pub(super) producer_state: ProducerStateManager,
    pub(super) leader_epochs: LeaderEpochs,
    /// The epochs in memory are not those in the file.
    pub(super) epochs_changed: bool,
    /// The producer snapshots of checkpoints, oldest first, back to the one that the written recovery point needs.
    pub(super) checkpoint_snapshots: Vec<Offset>,
    /// Closed since their indexes were last synced.
    pub(super) unsynced_closed: Vec<Arc<Segment>>,
    /// By how much the log has grown since the last producer snapshot.
    pub(super) bytes_since_snapshot: u64,
    /// Producer snapshots written since then.
    pub(super) unsynced_snapshots: Vec<Offset>,
}

impl PartitionLog {
    /// A log of these parts. Creates its first segment where there is none.
    pub fn open(parts: LogParts) -> io::Result<Arc<Self>> {
        let LogParts { topic_partition, directory, health, config, mut segments, .. } = parts;
        let is_new = segments.is_empty();
        if is_new {
            segments.push(Segment::create(&directory, parts.log_end_offset, parts.now_ms)?);
        }
        let segments: Segments = segments.into_iter().map(Arc::new).collect();
        let active = Arc::clone(&segments[segments.len() - 1]);
        let high_watermark = parts.high_watermark.clamp(parts.log_start_offset, parts.log_end_offset);
        let mut producer_state = parts.producer_state;
        // Nobody may tell of this high watermark again: transactions that ended below it are stable.
        producer_state.on_high_watermark_updated(high_watermark);
        let writer = Writer {
            active,
            producer_state,
            leader_epochs: parts.leader_epochs,
            epochs_changed: parts.epochs_changed,
            checkpoint_snapshots: parts.has_snapshot.then_some(parts.log_end_offset).into_iter().collect(),
            unsynced_closed: Vec::new(),
            // Where there is none, the next checkpoint takes one, be the log as small as it may.
            bytes_since_snapshot: if parts.has_snapshot { 0 } else { MAX_SEGMENT_BYTES },
            unsynced_snapshots: parts.unsynced_snapshots,
        };
        let log = Self {
            topic_partition,
            health,
            config: ArcSwap::new(config),
            group_commit: GroupCommit::new(parts.recovery_point, parts.now_ms),
            recent: Mutex::default(),
            removals: Removals::default(),
            cleaning_gate: Mutex::default(),
            damage: KnownDamage::default(),
            has_suspect_index: AtomicBool::new(false),
            log_start_offset: AtomicI64::new(parts.log_start_offset.0),
            log_end_offset: AtomicI64::new(parts.log_end_offset.0),
            high_watermark: AtomicI64::new(high_watermark.0),
            first_unstable_offset: AtomicI64::new(ALL_STABLE),
            recovery_point: AtomicI64::new(parts.recovery_point.0),
            size_bytes: AtomicU64::new(segments.iter().map(|segment| segment.size_bytes()).sum()),
            broken: AtomicBool::new(false),
            is_deleted: AtomicBool::new(false),
            segments: ArcSwap::from_pointee(segments),
            writer: Mutex::new(writer),
            directory,
        };
        log.publish_first_unstable_offset(&log.writer.lock());
        // After a kill, names may be seen that never came to the device: the first sync covers the folder as well.
        log.group_commit.files_created(is_new);
        Ok(Arc::new(log))
    }

    pub fn topic_partition(&self) -> &TopicPartition {
        &self.topic_partition
    }

    pub fn directory(&self) -> &Arc<PartitionDirectory> {
        &self.directory
    }

    pub fn health(&self) -> &Arc<DirectoryHealth> {
        &self.health
    }

    pub fn config(&self) -> Arc<LogConfig> {
        self.config.load_full()
    }

    /// Takes effect with the next append, read or retention pass.
    pub fn set_config(&self, config: Arc<LogConfig>) {
        self.config.store(config);
    }

    /// `producer.id.expiration.ms`, where it has changed.
    pub fn set_producer_expiration_ms(&self, expiration_ms: i64) {
        self.writer.lock().producer_state.set_expiration_ms(expiration_ms);
    }

    /// The first record that is still there.
    pub fn log_start_offset(&self) -> Offset {
        Offset(self.log_start_offset.load(Ordering::Acquire))
    }

    /// The offset that the next record will get.
    pub fn log_end_offset(&self) -> Offset {
        Offset(self.log_end_offset.load(Ordering::Acquire))
    }

    /// Where consumers stop: the record at it is not known to be committed.
    pub fn high_watermark(&self) -> Offset {
        Offset(self.high_watermark.load(Ordering::Acquire))
    }

    /// Where `read_committed` consumers stop: the high watermark, or the first record of an open transaction.
    pub fn last_stable_offset(&self) -> Offset {
        let unstable = self.first_unstable_offset.load(Ordering::Acquire);
        self.high_watermark().min(Offset(unstable)).max(self.log_start_offset())
    }

    /// All records below it are on the device.
    pub fn flushed_offset(&self) -> Offset {
        self.group_commit.flushed_offset()
    }

    /// All records below it are on the device, and so are their indexes and the producer state: what recovery after
    /// a crash does not have to read again.
    pub fn recovery_point(&self) -> Offset {
        Offset(self.recovery_point.load(Ordering::Acquire))
    }

    /// Moves the high watermark forward, not beyond the end of the log; says what it is now. It goes back only with a
    /// truncation: whoever comes late with a smaller one changes nothing.
    pub fn set_high_watermark(&self, offset: Offset) -> Offset {
        let offset = offset.min(self.log_end_offset());
        let offset = Offset(self.high_watermark.fetch_max(offset.0, Ordering::AcqRel).max(offset.0));
        // Transactions become stable only when their markers are below the high watermark.
        if self.first_unstable_offset.load(Ordering::Acquire) != ALL_STABLE {
            let mut writer = self.writer.lock();
            writer.producer_state.on_high_watermark_updated(offset);
            self.publish_first_unstable_offset(&writer);
        }
        offset
    }

    /// Bytes of all segments.
    pub fn size_bytes(&self) -> u64 {
        self.size_bytes.load(Ordering::Relaxed)
    }

    pub fn segment_count(&self) -> usize {
        self.segments.load().len()
    }

    /// The base offset of the active segment.
    pub fn active_segment_base_offset(&self) -> Offset {
        self.segments.load().last().map_or(Offset::ZERO, |active| active.base_offset())
    }

    /// The newest leader epoch that records were written in, or that was assigned.
    pub fn latest_epoch(&self) -> Option<LeaderEpoch> {
        self.writer.lock().leader_epochs.latest_epoch()
    }

    /// All epochs, oldest first.
    pub fn leader_epochs(&self) -> Vec<EpochEntry> {
        self.writer.lock().leader_epochs.entries().to_vec()
    }

    /// The epoch that the record at `offset` was written in.
    pub fn epoch_for_offset(&self, offset: Offset) -> Option<LeaderEpoch> {
        self.writer.lock().leader_epochs.epoch_for_offset(offset)
    }

    /// The largest epoch not above `epoch`, and where it ends (OffsetForLeaderEpoch); `(NONE, NONE)` where nothing
    /// is known of it.
    pub fn epoch_end_offset(&self, epoch: LeaderEpoch) -> (LeaderEpoch, Offset) {
        let writer = self.writer.lock();
        writer.leader_epochs.end_offset_for(epoch, self.log_end_offset())
    }

    /// Where the log was emptied and nothing is known of its epochs, `epoch` begins at its end: who read the last of its
    /// records is to be told that they ended there, and not that its position is unknown. Otherwise the first append of an
    /// epoch begins it, and ten thousand logs need not note one at every start.
    pub fn begin_history(&self, epoch: LeaderEpoch) {
        let mut writer = self.writer.lock();
        if self.log_end_offset() > Offset::ZERO && writer.leader_epochs.is_empty() {
            self.begin_epoch(&mut writer, epoch);
        }
    }

    /// A leader begins `epoch` at the end of the log, before its first append.
    pub fn assign_leader_epoch(&self, epoch: LeaderEpoch) {
        self.begin_epoch(&mut self.writer.lock(), epoch);
    }

    fn begin_epoch(&self, writer: &mut Writer, epoch: LeaderEpoch) {
        writer.epochs_changed |= writer.leader_epochs.assign(epoch, self.log_end_offset());
    }

    /// The producers known, in no order (DescribeProducers).
    pub fn producers(&self) -> Vec<ProducerStateEntry> {
        self.writer.lock().producer_state.active_producers().cloned().collect()
    }

    /// Forgets producers that were idle beyond their expiry.
    pub fn remove_expired_producers(&self, now_ms: TimestampMs) {
        self.writer.lock().producer_state.remove_expired(now_ms);
    }

    /// How many producers are known.
    pub fn producer_count(&self) -> usize {
        self.writer.lock().producer_state.producer_id_count()
    }

    /// Forgets the longest idle producers beyond `kept`, and says how many; one with an open transaction stays.
    pub fn forget_idlest_producers(&self, kept: usize) -> usize {
        let producers = &mut self.writer.lock().producer_state;
        producers.forget_idlest(producers.producer_id_count().saturating_sub(kept))
    }

    /// Whether the log serves at all.
    pub(super) fn check_online(&self) -> Result<(), StorageError> {
        if let Some(reason) = self.health.failure() {
            return Err(StorageError::Offline(reason.to_owned()));
        }
        if self.is_deleted.load(Ordering::Acquire) {
            return Err(StorageError::Offline(format!("{} is deleted", self.topic_partition)));
        }
        if self.broken.load(Ordering::Acquire) {
            return Err(StorageError::Offline(format!("{} is broken", self.topic_partition)));
        }
        Ok(())
    }

    /// Whether the directory takes records of this origin. What the broker's coordinators write is small, and may still
    /// find room where producers have filled a disk.
    pub(super) fn check_writable(&self, origin: AppendOrigin) -> Result<(), StorageError> {
        match self.health.write_state() {
            WriteState::Writable => Ok(()),
            WriteState::Full if origin == AppendOrigin::Coordinator => Ok(()),
            state => Err(StorageError::NotWritable(state)),
        }
    }

    /// What producers write is counted against the room that there is.
    pub(super) fn take_room(&self, origin: AppendOrigin, bytes: usize) -> Result<(), StorageError> {
        if origin != AppendOrigin::Coordinator && !self.health.take_room(bytes as u64) {
            return Err(StorageError::NotWritable(WriteState::Full));
        }
        Ok(())
    }

    /// The log is being deleted: it takes nothing more, and what fails for it from now on says nothing about its
    /// directory. Waits for the cleaner to come to the end of a swap, since the folder is about to be renamed.
    pub fn mark_deleted(&self) {
        let _gate = self.cleaning_gate.lock();
        self.is_deleted.store(true, Ordering::Release);
    }

    /// A sync failed: nobody knows what the device holds.
    pub(super) fn fail_directory(&self, reason: fmt::Arguments<'_>) {
        if self.is_deleted.load(Ordering::Acquire) {
            tracing::debug!(partition = %self.topic_partition, %reason, "a deleted log fails");
        } else {
            self.health.fail(reason);
        }
    }

    /// An operation on the log's files failed: a disk that is full or read-only refuses producers from now on, a device
    /// that fails takes its directory offline. What else it may be is the caller's to tell.
    pub(super) fn io_failed(&self, operation: &str, error: &io::Error) {
        if !self.health.write_failed(error) && is_device_failure(error) {
            self.fail_directory(format_args!("{operation} of {}: {error}", self.topic_partition));
        }
    }

    /// As [`PartitionLog::io_failed`], where that is why it failed.
    pub(super) fn storage_failed(&self, operation: &str, error: &StorageError) {
        if let StorageError::Io(error) = error {
            self.io_failed(operation, error);
        }
    }

    /// The log serves nothing more: its files and its state are apart.
    pub(super) fn mark_broken(&self, reason: &dyn std::fmt::Display) {
        tracing::error!(partition = %self.topic_partition, %reason, "log is broken");
        self.broken.store(true, Ordering::Release);
    }

    /// The whole log, its segments and its append lock.
    pub(super) fn lock_writer(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock()
    }

    pub(super) fn publish_log_start_offset(&self, _writer: &Writer, offset: Offset) {
        self.log_start_offset.store(offset.0, Ordering::Release);
        self.high_watermark.fetch_max(offset.0, Ordering::AcqRel);
    }

    pub(super) fn publish_log_end_offset(&self, _writer: &Writer, offset: Offset) {
        self.log_end_offset.store(offset.0, Ordering::Release);
    }

    /// The log ends at `offset` from now on: readers stop there before anything goes.
    pub(super) fn publish_truncation(&self, _writer: &Writer, offset: Offset) {
        self.high_watermark.fetch_min(offset.0, Ordering::AcqRel);
        self.log_end_offset.store(offset.0, Ordering::Release);
        self.log_start_offset.fetch_min(offset.0, Ordering::AcqRel);
        self.recovery_point.fetch_min(offset.0, Ordering::AcqRel);
    }

    /// The log is empty: it begins at `log_start_offset` and goes on at `log_end_offset`.
    pub(super) fn publish_restart(&self, _writer: &Writer, log_start_offset: Offset, log_end_offset: Offset) {
        self.log_start_offset.store(log_start_offset.0, Ordering::Release);
        self.log_end_offset.store(log_end_offset.0, Ordering::Release);
        self.high_watermark.store(log_end_offset.0, Ordering::Release);
        self.recovery_point.store(log_end_offset.0, Ordering::Release);
    }

    pub(super) fn publish_first_unstable_offset(&self, writer: &Writer) {
        let unstable = writer.producer_state.first_unstable_offset().map_or(ALL_STABLE, |offset| offset.0);
        self.first_unstable_offset.store(unstable, Ordering::Release);
    }

    pub(super) fn publish_segments(&self, writer: &mut Writer, segments: Segments) {
        writer.active = Arc::clone(&segments[segments.len() - 1]);
        self.size_bytes.store(segments.iter().map(|segment| segment.size_bytes()).sum(), Ordering::Relaxed);
        self.segments.store(Arc::new(segments));
    }

    pub(super) fn add_size_bytes(&self, size_bytes: u64) {
        self.size_bytes.fetch_add(size_bytes, Ordering::Relaxed);
    }
}
