//! One replica hosted by this broker: its log, what it knows of the others, and those who wait for it.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::{Arc, Weak};

use arc_swap::ArcSwap;
use bytes::Bytes;
use parking_lot::{Mutex, RwLock};
use tokio::sync::oneshot;
use tracing::warn;

use super::partition_state::PartitionState;
use super::watch::Watchers;
use crate::error::ErrorCode;
use crate::ids::{BrokerId, LeaderEpoch, Offset, TopicId, TopicPartition};
use crate::io::FileSlice;
use crate::log::append::{AppendContext, Appended};
use crate::log::errors::{AppendError, ReadError};
use crate::log::partition_log::PartitionLog;
use crate::log::producer_state::AppendOrigin;
use crate::log::retention::DeleteRecordsError;
use crate::log::txn_index::AbortedTxn;
use crate::metadata::image::PartitionImage;
use crate::time::TimestampMs;

/// What a producer asks for before it is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acks {
    /// 0: nothing; no reply is sent.
    None,
    /// 1: the leader's write to the page cache.
    Leader,
    /// -1: every in-sync replica has it, flushed unless `flush.before.ack` is off.
    All,
}

/// How far a reader sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Visibility {
    /// Consumers: up to the high watermark.
    Committed,
    /// Consumers with `isolation.level=read_committed`: up to the last stable offset.
    Stable,
    /// Replicas: everything.
    LogEnd,
}

/// A fetch of one partition.
#[derive(Clone, Copy, Debug)]
pub struct FetchRead {
    pub offset: Offset,
    pub max_bytes: usize,
    /// Return the first batch whole even where it is larger than `max_bytes`.
    pub at_least_one_batch: bool,
    pub visibility: Visibility,
    /// The broker that fetches for its replica; none: a consumer.
    pub replica: Option<BrokerId>,
    pub current_leader_epoch: LeaderEpoch,
    /// The epoch of the last record the reader has; [`LeaderEpoch::NONE`]: it does not ask for truncation (KIP-595).
    pub last_fetched_epoch: LeaderEpoch,
}

/// What a fetch of one partition found.
#[derive(Debug)]
pub struct FetchedData {
    pub records: Option<FileSlice>,
    pub high_watermark: Offset,
    pub last_stable_offset: Offset,
    pub log_start_offset: Offset,
    /// For read_committed only.
    pub aborted_transactions: Option<Vec<AbortedTxn>>,
    /// The reader's log and this one part here: it has to truncate.
    pub diverging: Option<(LeaderEpoch, Offset)>,
}

/// Why this replica does not serve a request.
#[derive(Debug, thiserror::Error)]
pub enum PartitionError {
    #[error("this broker does not lead the partition")]
    NotLeader,
    #[error("the broker that fetches has no replica of the partition")]
    NotReplica,
    #[error("the request's leader epoch is older than {current}")]
    FencedLeaderEpoch { current: LeaderEpoch },
    #[error("the request's leader epoch is newer than {current}")]
    UnknownLeaderEpoch { current: LeaderEpoch },
    #[error("{in_sync} replicas are in sync, fewer than min.insync.replicas asks for")]
    NotEnoughReplicas { in_sync: usize },
    #[error(transparent)]
    Append(#[from] AppendError),
    #[error(transparent)]
    Read(#[from] ReadError),
}

impl PartitionError {
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::NotLeader | Self::NotReplica => ErrorCode::NotLeaderOrFollower,
            Self::FencedLeaderEpoch { .. } => ErrorCode::FencedLeaderEpoch,
            Self::UnknownLeaderEpoch { .. } => ErrorCode::UnknownLeaderEpoch,
            Self::NotEnoughReplicas { .. } => ErrorCode::NotEnoughReplicas,
            Self::Append(error) => error.code(),
            Self::Read(error) => error.code(),
        }
    }
}

/// One hosted replica.
#[derive(Debug)]
pub struct Partition {
    pub id: TopicPartition,
    pub topic_id: TopicId,
    local: BrokerId,
    /// Another one once it has moved to another log directory.
    log: ArcSwap<PartitionLog>,
    /// Read during an append, so that leadership cannot change under it; written by image changes and flushes.
    state: RwLock<PartitionState>,
    waiters: Mutex<Waiters>,
    watchers: Watchers,
}

/// Producers that wait for the high watermark, by the offset they wait for.
#[derive(Debug, Default)]
struct Waiters {
    queue: VecDeque<(Offset, oneshot::Sender<Result<(), ErrorCode>>)>,
    closed: Option<ErrorCode>,
}

/// Comes true when the high watermark reaches an offset.
#[derive(Debug)]
pub enum HighWatermarkWait {
    Reached,
    Waiting(oneshot::Receiver<Result<(), ErrorCode>>),
}

impl HighWatermarkWait {
    pub fn is_reached(&self) -> bool {
        matches!(self, Self::Reached)
    }

    /// Waits for it; an error where this replica no longer leads, or cannot flush.
    pub async fn done(self) -> Result<(), ErrorCode> {
        match self {
            Self::Reached => Ok(()),
            Self::Waiting(receiver) => receiver.await.unwrap_or(Err(ErrorCode::NotLeaderOrFollower)),
        }
    }
}

impl Partition {
    /// A replica over an open log. What the log has on disk counts as flushed.
    pub fn new(id: TopicPartition, topic_id: TopicId, local: BrokerId, log: &Arc<PartitionLog>) -> Arc<Self> {
        let state = PartitionState::new(local, log.high_watermark());
        let partition = Arc::new(Self {
            id,
            topic_id,
            local,
            log: ArcSwap::new(Arc::clone(log)),
            state: RwLock::new(state),
            waiters: Mutex::default(),
            watchers: Watchers::default(),
        });
        partition.listen_to(log);
        partition
    }

    /// The log as of now: what reads more than once from it keeps it.
    pub fn log(&self) -> Arc<PartitionLog> {
        self.log.load_full()
    }

    fn listen_to(self: &Arc<Self>, log: &PartitionLog) {
        let listener: Weak<Self> = Arc::downgrade(self);
        log.set_on_flushed(Box::new(move |flushed| {
            if let Some(partition) = listener.upgrade() {
                partition.on_flushed(flushed.ok());
            }
        }));
    }

    /// Puts a copy of the log, in another log directory, in its place, unless the copy lacks something after `catch_up`:
    /// says whether it did. Nothing is appended meanwhile; it waits for the device.
    pub fn replace_log<E>(
        self: &Arc<Self>,
        copy: &Arc<PartitionLog>,
        catch_up: impl FnOnce() -> Result<(), E>,
        change_places: impl FnOnce() -> Result<(), E>,
    ) -> Result<bool, E> {
        let mut state = self.state.write();
        catch_up()?;
        let current = self.log();
        if copy.log_end_offset() != current.log_end_offset() {
            return Ok(false);
        }
        copy.set_config(current.config());
        copy.increment_log_start_offset(current.log_start_offset());
        if let Some(epoch) = current.latest_epoch() {
            copy.assign_leader_epoch(epoch);
        }
        copy.set_high_watermark(current.high_watermark());
        change_places()?;
        current.set_on_flushed(Box::new(|_| {}));
        self.listen_to(copy);
        self.log.store(Arc::clone(copy));
        let moved = state.record_flushed(self.local, copy.flushed_offset());
        drop(state);
        if let Some(high_watermark) = moved {
            self.publish(high_watermark);
        }
        Ok(true)
    }

    /// Makes the records below an offset unreadable (DeleteRecords), and says where the log begins now.
    pub fn delete_records(&self, before: Offset) -> Result<Offset, DeleteRecordsError> {
        // The log does not change places meanwhile, which would forget it.
        let _state = self.state.read();
        self.log.load().delete_records(before)
    }

    pub fn watchers(&self) -> &Watchers {
        &self.watchers
    }

    pub fn leader(&self) -> (Option<BrokerId>, LeaderEpoch) {
        let state = self.state.read();
        (state.leader(), state.leader_epoch())
    }

    pub fn is_leader(&self) -> bool {
        self.state.read().is_leader()
    }

    /// In-sync replicas, and whether they are fewer than asked for.
    pub fn in_sync(&self) -> (usize, bool) {
        let state = self.state.read();
        (state.in_sync_count(), state.is_under_min_in_sync_replicas())
    }

    /// Takes over what the metadata says of this partition.
    pub fn apply_image(&self, image: &PartitionImage, min_in_sync_replicas: usize) {
        let mut state = self.state.write();
        let led = state.is_leader();
        state.apply_image(image);
        state.set_min_in_sync_replicas(min_in_sync_replicas);
        if !state.is_leader() {
            drop(state);
            if led {
                self.fail_waiters(ErrorCode::NotLeaderOrFollower, false);
            }
            return;
        }
        let log = self.log.load();
        log.begin_history(state.leader_epoch());
        let moved = state.record_flushed(self.local, log.flushed_offset()).is_some();
        let high_watermark = state.high_watermark();
        drop(state);
        if moved {
            self.publish(high_watermark);
        }
    }

    /// Appends what a producer sent. The records are in the page cache when this returns, and on their way to the disk.
    pub fn append(&self, records: &Bytes, acks: Acks, now_ms: TimestampMs) -> Result<Appended, PartitionError> {
        self.append_from(AppendOrigin::Client, records, acks, now_ms)
    }

    /// Appends what a coordinator of this broker writes, on the terms of acks=all.
    pub fn append_as_coordinator(&self, records: &Bytes, now_ms: TimestampMs) -> Result<Appended, PartitionError> {
        self.append_from(AppendOrigin::Coordinator, records, Acks::All, now_ms)
    }

    fn append_from(
        &self,
        origin: AppendOrigin,
        records: &Bytes,
        acks: Acks,
        now_ms: TimestampMs,
    ) -> Result<Appended, PartitionError> {
        let state = self.state.read();
        if !state.is_leader() {
            return Err(PartitionError::NotLeader);
        }
        if acks == Acks::All && !state.may_acknowledge_all() {
            return Err(PartitionError::NotEnoughReplicas { in_sync: state.in_sync_count() });
        }
        let context = AppendContext { leader_epoch: state.leader_epoch(), origin, now_ms };
        let log = self.log();
        let appended = log.append_as_leader(records, &context)?;
        drop(state);
        if !log.config().flush_before_ack {
            self.on_flushed(Some(log.log_end_offset()));
        }
        log.request_flush();
        Ok(appended)
    }

    /// Waits until everything below `offset` is committed.
    pub fn wait_for_high_watermark(&self, offset: Offset) -> HighWatermarkWait {
        let mut waiters = self.waiters.lock();
        if self.log.load().high_watermark() >= offset {
            return HighWatermarkWait::Reached;
        }
        let (sender, receiver) = oneshot::channel();
        if let Some(code) = waiters.closed {
            // The receiver is right here: sending cannot fail.
            let _ = sender.send(Err(code));
        } else {
            // Appends come in nearly sorted order: the place is at or next to the end.
            let place = waiters.queue.partition_point(|(waiting, _)| *waiting <= offset);
            waiters.queue.insert(place, (offset, sender));
        }
        HighWatermarkWait::Waiting(receiver)
    }

    /// Reads for a fetch.
    pub fn read(&self, read: &FetchRead) -> Result<FetchedData, PartitionError> {
        self.check_leader(read.current_leader_epoch)?;
        if read.replica.is_some_and(|replica| !self.state.read().is_replica(replica)) {
            return Err(PartitionError::NotReplica);
        }
        let log = self.log();
        let high_watermark = log.high_watermark();
        let last_stable_offset = log.last_stable_offset();
        let mut fetched = FetchedData {
            records: None,
            high_watermark,
            last_stable_offset,
            log_start_offset: log.log_start_offset(),
            aborted_transactions: None,
            diverging: divergence(&log, read),
        };
        if fetched.diverging.is_some() {
            return Ok(fetched);
        }
        let up_to = visible_end(&log, read.visibility);
        let found = log.read(read.offset, read.max_bytes, read.at_least_one_batch, up_to)?;
        if read.visibility == Visibility::Stable {
            fetched.aborted_transactions =
                Some(log.aborted_transactions(read.offset, found.next_offset).map_err(ReadError::from)?);
        }
        fetched.records = found.slice;
        Ok(fetched)
    }

    /// The offset behind the last record that a reader may see.
    pub fn visible_end(&self, visibility: Visibility) -> Offset {
        visible_end(&self.log.load(), visibility)
    }

    /// Fails unless this broker leads the partition, in the epoch that the request expects ([`LeaderEpoch::NONE`]: any).
    pub fn check_leader(&self, expected: LeaderEpoch) -> Result<LeaderEpoch, PartitionError> {
        let state = self.state.read();
        let current = state.leader_epoch();
        if expected != LeaderEpoch::NONE && expected < current {
            return Err(PartitionError::FencedLeaderEpoch { current });
        }
        if expected != LeaderEpoch::NONE && expected > current {
            return Err(PartitionError::UnknownLeaderEpoch { current });
        }
        if state.is_leader() { Ok(current) } else { Err(PartitionError::NotLeader) }
    }

    /// The largest epoch not above `epoch`, and the offset behind its last record.
    pub fn epoch_end_offset(&self, epoch: LeaderEpoch) -> (LeaderEpoch, Offset) {
        self.log.load().epoch_end_offset(epoch)
    }

    /// The topic is gone: whoever waits is told so, and those who come later.
    pub fn close(&self) {
        self.fail_waiters(ErrorCode::UnknownTopicOrPartition, true);
    }

    /// The log has everything below `flushed` on its disk, or in the page cache where that is asked to be enough; none:
    /// it cannot flush any more.
    fn on_flushed(&self, flushed: Option<Offset>) {
        let Some(flushed) = flushed else {
            warn!(partition = %self.id, "the log cannot be flushed: the partition goes offline");
            self.fail_waiters(ErrorCode::KafkaStorageError, true);
            return;
        };
        let moved = self.state.write().record_flushed(self.local, flushed);
        if let Some(high_watermark) = moved {
            self.publish(high_watermark);
        }
    }

    /// Makes a new high watermark visible, then wakes those who waited for it.
    fn publish(&self, high_watermark: Offset) {
        self.log.load().set_high_watermark(high_watermark);
        let mut waiters = self.waiters.lock();
        let reached = waiters.queue.partition_point(|(waiting, _)| *waiting <= high_watermark);
        for (_, sender) in waiters.queue.drain(..reached) {
            // The producer may have given up: its request timed out or its connection closed.
            let _ = sender.send(Ok(()));
        }
        drop(waiters);
        self.watchers.notify();
    }

    fn fail_waiters(&self, code: ErrorCode, for_good: bool) {
        let mut waiters = self.waiters.lock();
        if for_good {
            waiters.closed = Some(code);
        }
        for (_, sender) in waiters.queue.drain(..) {
            let _ = sender.send(Err(code));
        }
        drop(waiters);
        self.watchers.notify();
    }
}

fn visible_end(log: &PartitionLog, visibility: Visibility) -> Offset {
    match visibility {
        Visibility::Committed => log.high_watermark(),
        Visibility::Stable => log.last_stable_offset(),
        Visibility::LogEnd => log.log_end_offset(),
    }
}

/// Where the reader's last record does not lie in this log: how far the two agree (KIP-595).
fn divergence(log: &PartitionLog, read: &FetchRead) -> Option<(LeaderEpoch, Offset)> {
    if read.last_fetched_epoch == LeaderEpoch::NONE {
        return None;
    }
    let (epoch, end_offset) = log.epoch_end_offset(read.last_fetched_epoch);
    (epoch < read.last_fetched_epoch || end_offset < read.offset).then_some((epoch, end_offset))
}
