//! One share partition that is led here: its records in flight, over the log that they lie in.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};

use super::records::ShareKey;
use super::share_partition::{AcquireMode, AcquireRequest, ShareLimits, SharePartition, Span};
use super::share_session::SharedTopicPartition;
use crate::config::GroupConfig;
use crate::error::ErrorCode;
use crate::ids::{LeaderEpoch, Offset};
use crate::io::FileSlice;
use crate::log::batch_list::BatchList;
use crate::protocol::share_fetch_response::AcquiredRecords;
use crate::replication::watch::Watchers;
use crate::replication::{FetchRead, Partition, Visibility};
use crate::time::Clock;

/// What a member asks of one partition.
#[derive(Clone, Debug)]
pub struct ShareRead {
    pub member_id: Arc<str>,
    pub mode: AcquireMode,
    pub batch_size: i64,
    pub max_records: i64,
    pub max_bytes: usize,
}

/// What a member gets of one partition.
#[derive(Debug, Default)]
pub struct ShareFetched {
    /// The batches that hold the acquired records.
    pub records: Option<FileSlice>,
    pub acquired: Vec<AcquiredRecords>,
}

/// A share partition, for as long as this broker leads its partition in one epoch.
#[derive(Debug)]
pub struct LedSharePartition {
    pub(super) key: ShareKey,
    pub(super) replica: Arc<Partition>,
    pub(super) leader_epoch: LeaderEpoch,
    pub(super) state_epoch: i32,
    state: Mutex<InFlight>,
    /// Held by the one fetch that reads the log, which may take a disk's time: who acknowledges does not wait for it.
    fetching: Mutex<()>,
    /// Told when records are given back, or room is made for more.
    watchers: Watchers,
    /// Another life of the share partition has begun: this one is over.
    is_fenced: AtomicBool,
}

/// What changes.
#[derive(Debug)]
pub(super) struct InFlight {
    pub(super) machine: SharePartition,
    /// The earliest deadline that the lock timer will look here at.
    pub(super) timer: Option<Duration>,
    /// When it was last fetched or acknowledged.
    pub(super) last_used: Duration,
}

impl LedSharePartition {
    pub(super) fn new(
        key: ShareKey,
        replica: Arc<Partition>,
        leader_epoch: LeaderEpoch,
        state_epoch: i32,
        machine: SharePartition,
        now: Duration,
    ) -> Self {
        Self {
            key,
            replica,
            leader_epoch,
            state_epoch,
            state: Mutex::new(InFlight { machine, timer: None, last_used: now }),
            fetching: Mutex::new(()),
            watchers: Watchers::default(),
            is_fenced: AtomicBool::new(false),
        }
    }

    pub fn replica(&self) -> &Arc<Partition> {
        &self.replica
    }

    /// As share requests name it.
    pub fn shared(&self) -> SharedTopicPartition {
        (self.key.topic_id, self.key.partition)
    }

    pub fn watchers(&self) -> &Watchers {
        &self.watchers
    }

    pub(super) fn state(&self) -> MutexGuard<'_, InFlight> {
        self.state.lock()
    }

    pub(super) fn fence(&self) {
        self.is_fenced.store(true, Ordering::Release);
        self.watchers.notify();
    }

    /// This broker still leads the partition, in the same epoch.
    pub(super) fn is_current(&self) -> bool {
        !self.is_fenced.load(Ordering::Acquire) && self.replica.check_leader(self.leader_epoch).is_ok()
    }

    /// About how many bytes a fetch could get. What was given back counts as enough for anybody: it has waited already.
    pub fn available_bytes(&self, config: &GroupConfig) -> u64 {
        let state = self.state();
        let (limits, fetch_offset) = (limits_of(config), state.machine.next_fetch_offset());
        if !state.machine.can_acquire(&limits) {
            return 0;
        }
        if fetch_offset < state.machine.end_offset() {
            return u64::MAX;
        }
        drop(state);
        let end = self.replica.visible_end(visibility(config));
        self.replica.log().bytes_between(fetch_offset, end).unwrap_or(u64::MAX)
    }

    /// Reads at the first record that may be acquired, and acquires. Waits for the disk, and for who fetches already.
    pub(super) fn fetch(
        &self,
        read: &ShareRead,
        config: &GroupConfig,
        clock: &dyn Clock,
    ) -> Result<ShareFetched, ErrorCode> {
        let _turn = self.fetching.lock();
        if !self.is_current() {
            return Err(ErrorCode::NotLeaderOrFollower);
        }
        let limits = limits_of(config);
        let Some(fetch_offset) = self.next_fetch_offset(&limits, clock.monotonic()) else {
            return Ok(ShareFetched::default());
        };
        let found = self.replica.read(&FetchRead {
            offset: fetch_offset,
            max_bytes: read.max_bytes,
            at_least_one_batch: true,
            visibility: visibility(config),
            replica: None,
            current_leader_epoch: LeaderEpoch::NONE,
            last_fetched_epoch: LeaderEpoch::NONE,
        });
        let found = found.map_err(|error| error.code())?;
        let Some(slice) = found.records else { return Ok(ShareFetched::default()) };
        let batches =
            BatchList::read(slice, fetch_offset + read.max_records).map_err(|error| storage_code(&error))?;
        let spans: Vec<Span> =
            batches.headers().map(|header| Span::new(header.base_offset, header.last_offset())).collect();
        let aborted = found.aborted_transactions.unwrap_or_default();
        let unwanted: Vec<Span> = batches
            .headers()
            .filter(|header| header.is_transactional() && !header.is_control())
            .filter(|header| {
                aborted.iter().any(|transaction| {
                    transaction.producer_id == header.producer_id
                        && transaction.first_offset <= header.base_offset
                        && header.base_offset <= transaction.last_offset
                })
            })
            .map(|header| Span::new(header.base_offset, header.last_offset()))
            .collect();
        let request = AcquireRequest {
            member: Arc::clone(&read.member_id),
            mode: read.mode,
            batch_size: read.batch_size,
            max_records: read.max_records,
            fetch_offset,
            now: clock.monotonic(),
        };
        // Only fetches move the end of what is in flight, so that the log was read at the right place.
        let acquired = self.state().machine.acquire(&request, &limits, &spans, &unwanted);
        let (Some(first), Some(last)) = (acquired.first(), acquired.last()) else {
            return Ok(ShareFetched::default());
        };
        let records = batches.covering(first.first_offset, last.last_offset);
        Ok(ShareFetched { records, acquired })
    }

    /// Where to read; nowhere if nothing may be acquired.
    fn next_fetch_offset(&self, limits: &ShareLimits, now: Duration) -> Option<Offset> {
        let mut state = self.state();
        state.last_used = now;
        state.machine.move_log_start(self.replica.log().log_start_offset());
        state.machine.can_acquire(limits).then(|| state.machine.next_fetch_offset())
    }

    /// Nothing is held or on its way, and nobody has come for a while.
    pub(super) fn is_idle(&self, since: Duration) -> bool {
        let state = self.state();
        state.last_used < since && !state.machine.is_in_use()
    }
}

/// What bounds a group in each of its partitions.
pub(super) fn limits_of(config: &GroupConfig) -> ShareLimits {
    ShareLimits {
        max_record_locks: config.share_partition_max_record_locks.into(),
        delivery_count_limit: i16::try_from(config.share_delivery_count_limit).unwrap_or(i16::MAX),
        lock_duration: Duration::from_millis(u64::try_from(config.share_record_lock_duration_ms).unwrap_or(0)),
    }
}

pub(super) fn visibility(config: &GroupConfig) -> Visibility {
    if config.share_reads_committed { Visibility::Stable } else { Visibility::Committed }
}

fn storage_code(error: &io::Error) -> ErrorCode {
    match error.kind() {
        io::ErrorKind::InvalidData => ErrorCode::CorruptMessage,
        _ => ErrorCode::KafkaStorageError,
    }
}
