//! The share partitions led here, and who reads them: what the handlers of ShareFetch and ShareAcknowledge call.
//!
//! ```text
//!  fetch, acknowledge, session's end, lock's end ──▶ SharePartition* ──▶ change ──▶ ShareCoordinator
//!                                                          ▲                              │
//!                                                          └──────── written, or not ◀────┘
//! ```
//! A change is handed to the share coordinator under the lock of its share partition: changes are written in the order in
//! which they were decided.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{OnceCell, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, warn};

use super::led_share_partition::{InFlight, LedSharePartition, ShareFetched, ShareRead, limits_of, visibility};
use super::lock_timers::LockTimers;
use super::records::ShareKey;
use super::share_coordinator::ShareCoordinator;
use super::share_partition::{Acknowledgement, SharePartition, StateChange};
use super::share_session::{SessionKey, ShareSessions, SharedTopicPartition};
use super::share_state_shard::{ShareState, WriteState};
use crate::config::{GroupConfig, ShareAutoOffsetReset};
use crate::error::ErrorCode;
use crate::ids::{LeaderEpoch, Offset};
use crate::metadata::GroupConfigs;
use crate::protocol::share_fetch_response::ShareError;
use crate::replication::{Partition, ReplicaManager};
use crate::time::Clock;

/// Share partitions that nobody has used for so long, and where nothing is held, are loaded again when they are needed.
const IDLE_LIMIT: Duration = Duration::from_secs(10 * 60);
const SWEEP_INTERVAL: Duration = Duration::from_secs(60);

type Cell = Arc<OnceCell<Arc<LedSharePartition>>>;

/// What this is made of.
#[derive(Debug)]
pub struct SharePartitionsParts {
    pub coordinator: Arc<ShareCoordinator>,
    pub replicas: Arc<ReplicaManager>,
    pub configs: Arc<GroupConfigs>,
    pub clock: Arc<dyn Clock>,
    pub max_sessions: usize,
    pub tasks: TaskTracker,
    pub shutdown: CancellationToken,
}

/// The share partitions that are in use here.
#[derive(Debug)]
pub struct SharePartitions {
    coordinator: Arc<ShareCoordinator>,
    replicas: Arc<ReplicaManager>,
    configs: Arc<GroupConfigs>,
    clock: Arc<dyn Clock>,
    tasks: TaskTracker,
    partitions: Mutex<HashMap<ShareKey, Cell>>,
    locks: LockTimers,
    pub sessions: ShareSessions,
}

/// The answer to an acknowledgement, once it is written.
#[derive(Debug)]
pub enum Acknowledging {
    Done(Result<(), ShareError>),
    Writing(oneshot::Receiver<Result<(), ShareError>>),
}

impl Acknowledging {
    pub async fn done(self) -> Result<(), ShareError> {
        match self {
            Self::Done(result) => result,
            Self::Writing(receiver) => receiver.await.unwrap_or(Err(ErrorCode::CoordinatorNotAvailable.into())),
        }
    }
}

impl SharePartitions {
    pub fn start(parts: SharePartitionsParts) -> Arc<Self> {
        let SharePartitionsParts { coordinator, replicas, configs, clock, max_sessions, tasks, shutdown } = parts;
        let shares = Arc::new(Self {
            coordinator,
            replicas,
            configs,
            clock,
            tasks,
            partitions: Mutex::default(),
            locks: LockTimers::default(),
            sessions: ShareSessions::new(max_sessions),
        });
        let (timers, sweeper) = (Arc::clone(&shares), Arc::clone(&shares));
        shares.tasks.spawn(async move {
            tokio::select! {
                () = shutdown.cancelled() => {}
                () = timers.keep_time() => {}
                () = sweeper.keep_sweeping() => {}
            }
        });
        shares
    }

    /// What the group is configured to do.
    pub fn config(&self, group_id: &str) -> Arc<GroupConfig> {
        self.configs.of(group_id)
    }

    /// The replica that a share request names.
    pub fn replica(&self, (topic_id, partition): SharedTopicPartition) -> Result<Arc<Partition>, ErrorCode> {
        let topic = self.replicas.topic_by_id(topic_id).ok_or(ErrorCode::UnknownTopicId)?;
        topic.partition(partition).cloned()
    }

    /// A share partition of a partition that is led here; loaded, where it is not in use yet.
    pub async fn get(
        self: &Arc<Self>,
        group_id: &str,
        shared: SharedTopicPartition,
    ) -> Result<Arc<LedSharePartition>, ErrorCode> {
        let replica = self.replica(shared)?;
        let epoch = replica.check_leader(LeaderEpoch::NONE).map_err(|error| error.code())?;
        let key = ShareKey { group_id: group_id.to_owned(), topic_id: shared.0, partition: shared.1 };
        let cell = {
            let mut partitions = self.partitions.lock();
            let cell = partitions.entry(key.clone()).or_default();
            if cell.get().is_some_and(|led| !led.is_current() || !Arc::ptr_eq(&led.replica, &replica)) {
                *cell = Cell::default();
            }
            Arc::clone(cell)
        };
        cell.get_or_try_init(|| self.load(key, replica, epoch)).await.cloned()
    }

    /// A share partition that is in use.
    pub fn in_use(&self, group_id: &str, shared: SharedTopicPartition) -> Option<Arc<LedSharePartition>> {
        let key = ShareKey { group_id: group_id.to_owned(), topic_id: shared.0, partition: shared.1 };
        self.partitions.lock().get(&key)?.get().filter(|led| led.is_current()).cloned()
    }

    /// Acquires for a member what there is to be had. Waits for the disk.
    pub fn fetch(&self, led: &Arc<LedSharePartition>, read: &ShareRead) -> Result<ShareFetched, ErrorCode> {
        let fetched = led.fetch(read, &self.config(&led.key.group_id), &*self.clock)?;
        if !fetched.acquired.is_empty() {
            let mut state = led.state();
            if let Some(deadline) = state.machine.next_lock_deadline() {
                self.set_timer(led, &mut state, deadline);
            }
        }
        Ok(fetched)
    }

    /// Takes what a member says of records that it holds.
    pub fn acknowledge(
        self: &Arc<Self>,
        led: &Arc<LedSharePartition>,
        member_id: &str,
        acknowledgements: &[Acknowledgement],
    ) -> Acknowledging {
        let now = self.clock.monotonic();
        let limits = limits_of(&self.config(&led.key.group_id));
        let mut state = led.state();
        state.last_used = now;
        match state.machine.acknowledge(member_id, acknowledgements, now, &limits) {
            Ok(Some(change)) => self.persist(led, &mut state, change),
            Ok(None) => Acknowledging::Done(Ok(())),
            Err(error) => Acknowledging::Done(Err(ShareError::new(error.code(), error.to_string()))),
        }
    }

    /// Gives back what a member of a group holds.
    pub fn release(self: &Arc<Self>, session: &SessionKey) -> Vec<(SharedTopicPartition, Acknowledging)> {
        let of_group = self.loaded(|key| key.group_id == *session.group_id);
        let limits = limits_of(&self.config(&session.group_id));
        let mut released = Vec::new();
        for led in of_group {
            let mut state = led.state();
            if let Some(change) = state.machine.release_member(&session.member_id, &limits) {
                released.push((led.shared(), self.persist(&led, &mut state, change)));
            }
        }
        released
    }

    /// The sessions of a connection that is gone are over.
    pub fn connection_closed(self: &Arc<Self>, connection: u64) {
        // Without a runtime the process is about to end, and every lock with it.
        let is_running = tokio::runtime::Handle::try_current().is_ok();
        for session in self.sessions.close_of(connection).iter().filter(|_| is_running) {
            let released = self.release(session);
            debug!(group = %session.group_id, member = %session.member_id, partitions = released.len(), "share session closed");
        }
    }

    /// A group's state was set anew or deleted: what is known of it here counts no more.
    pub fn forget_group(&self, group_id: &str) {
        let forgotten = self.loaded(|key| key.group_id == group_id);
        self.partitions.lock().retain(|key, _| key.group_id != group_id);
        for led in forgotten {
            led.fence();
        }
    }

    /// How many share partitions are in use, for the metrics.
    pub fn count(&self) -> usize {
        self.partitions.lock().len()
    }

    async fn load(
        &self,
        key: ShareKey,
        replica: Arc<Partition>,
        epoch: LeaderEpoch,
    ) -> Result<Arc<LedSharePartition>, ErrorCode> {
        let state = self.coordinator.take_over(&key, epoch).await.map_err(share_code)?;
        let ShareState { state_epoch, start_offset, batches, .. } = state;
        let log_end = replica.log().log_end_offset();
        let machine = if start_offset == Offset::NONE {
            let start_offset = self.first_offset(&key, &replica).await?;
            self.write_start(&key, state_epoch, epoch, start_offset).await?;
            SharePartition::new(start_offset, &[])
        } else if start_offset > log_end {
            warn!(partition = %replica.id, group = key.group_id, %start_offset, %log_end, "a share group goes on behind the log's end");
            // Written down too: what comes would be skipped once the log is that long.
            self.coordinator.initialize(&key, state_epoch, log_end).await.map_err(share_code)?;
            self.coordinator.take_over(&key, epoch).await.map_err(share_code)?;
            SharePartition::new(log_end, &[])
        } else {
            SharePartition::new(start_offset, &batches)
        };
        debug!(partition = %replica.id, group = key.group_id, start_offset = %machine.start_offset(), "share partition loaded");
        let now = self.clock.monotonic();
        Ok(Arc::new(LedSharePartition::new(key, replica, epoch, state_epoch, machine, now)))
    }

    /// Where a group begins to read a partition, by `share.auto.offset.reset`.
    async fn first_offset(&self, key: &ShareKey, replica: &Arc<Partition>) -> Result<Offset, ErrorCode> {
        let config = self.config(&key.group_id);
        let end = replica.visible_end(visibility(&config));
        match config.share_auto_offset_reset {
            ShareAutoOffsetReset::Earliest => Ok(replica.log().log_start_offset()),
            ShareAutoOffsetReset::Latest => Ok(end),
            ShareAutoOffsetReset::ByDuration(age) => {
                let oldest = self.clock.now_ms().saturating_sub(i64::try_from(age.as_millis()).unwrap_or(i64::MAX));
                // Reads index and log, which may be cold.
                let log = replica.log();
                let looking = tokio::task::spawn_blocking(move || log.offset_for_timestamp(oldest)).await;
                let found = looking.map_err(|_| ErrorCode::UnknownServerError)?.map_err(|error| error.code())?;
                Ok(found.map_or(end, |found| found.offset.min(end)))
            }
        }
    }

    /// Writes down where a group begins, before it reads: otherwise a restart before the first acknowledgement would begin
    /// at what is the end by then.
    async fn write_start(
        &self,
        key: &ShareKey,
        state_epoch: i32,
        leader_epoch: LeaderEpoch,
        start_offset: Offset,
    ) -> Result<(), ErrorCode> {
        let write =
            WriteState { state_epoch, leader_epoch, start_offset, delivery_complete_count: 0, batches: Vec::new() };
        self.coordinator.write(key, &write).map_err(share_code)?.await.map_err(share_code)
    }

    /// Hands a change to the share coordinator; the machine hears of the end of it even if nobody waits any more.
    fn persist(
        self: &Arc<Self>,
        led: &Arc<LedSharePartition>,
        state: &mut InFlight,
        change: StateChange,
    ) -> Acknowledging {
        let write = WriteState {
            state_epoch: led.state_epoch,
            leader_epoch: led.leader_epoch,
            start_offset: change.start_offset,
            delivery_complete_count: change.delivery_complete_count,
            batches: change.batches,
        };
        let committed = match self.coordinator.write(&led.key, &write) {
            Ok(committed) => committed,
            Err(code) => {
                state.machine.complete(change.id, false);
                return Acknowledging::Done(Err(self.not_written(led, state, code)));
            }
        };
        let (sender, receiver) = oneshot::channel();
        let (shares, led) = (Arc::clone(self), Arc::clone(led));
        self.tasks.spawn(async move {
            let written = committed.await;
            let mut state = led.state();
            state.machine.complete(change.id, written.is_ok());
            let result = written.map_err(|code| shares.not_written(&led, &mut state, code));
            drop(state);
            led.watchers().notify();
            // Who has asked may have gone.
            let _ = sender.send(result);
        });
        Acknowledging::Writing(receiver)
    }

    /// What a member is told of a change that is not written; its records are its own again.
    fn not_written(&self, led: &Arc<LedSharePartition>, state: &mut InFlight, code: ErrorCode) -> ShareError {
        if let Some(deadline) = state.machine.next_lock_deadline() {
            self.set_timer(led, state, deadline);
        }
        if matches!(code, ErrorCode::FencedLeaderEpoch | ErrorCode::FencedStateEpoch) {
            led.fence();
        }
        warn!(partition = %led.replica.id, group = led.key.group_id, ?code, "share state is not written");
        share_code(code).into()
    }

    fn set_timer(&self, led: &LedSharePartition, state: &mut InFlight, deadline: Duration) {
        if state.timer.is_none_or(|timer| deadline < timer) {
            state.timer = Some(deadline);
            self.locks.set(deadline, led.key.clone());
        }
    }

    async fn keep_time(self: &Arc<Self>) {
        loop {
            while let Some((deadline, key)) = self.locks.pop_due(self.clock.monotonic()) {
                let led = self.partitions.lock().get(&key).and_then(|cell| cell.get().cloned());
                if let Some(led) = led {
                    self.expire_locks(&led, deadline);
                }
            }
            self.locks.wait(self.clock.monotonic()).await;
        }
    }

    fn expire_locks(self: &Arc<Self>, led: &Arc<LedSharePartition>, deadline: Duration) {
        let now = self.clock.monotonic();
        let limits = limits_of(&self.config(&led.key.group_id));
        let mut state = led.state();
        if state.timer == Some(deadline) {
            state.timer = None;
        }
        let expired = state.machine.expire_locks(now, &limits);
        if let Some(next) = state.machine.next_lock_deadline() {
            self.set_timer(led, &mut state, next);
        }
        if let Some(change) = expired {
            let _ = self.persist(led, &mut state, change);
            drop(state);
            led.watchers().notify();
        }
    }

    async fn keep_sweeping(&self) {
        loop {
            tokio::time::sleep(SWEEP_INTERVAL).await;
            let since = self.clock.monotonic().saturating_sub(IDLE_LIMIT);
            self.partitions.lock().retain(|_, cell| match cell.get() {
                Some(led) => led.is_current() && !led.is_idle(since),
                // Being loaded, or it could not be.
                None => Arc::strong_count(cell) > 1,
            });
        }
    }

    fn loaded(&self, is_meant: impl Fn(&ShareKey) -> bool) -> Vec<Arc<LedSharePartition>> {
        let partitions = self.partitions.lock();
        partitions.iter().filter(|(key, _)| is_meant(key)).filter_map(|(_, cell)| cell.get().cloned()).collect()
    }
}

/// What members are told of the share coordinator's errors, as Kafka translates them.
fn share_code(code: ErrorCode) -> ErrorCode {
    match code {
        ErrorCode::NotCoordinator | ErrorCode::CoordinatorNotAvailable | ErrorCode::CoordinatorLoadInProgress => {
            ErrorCode::CoordinatorNotAvailable
        }
        ErrorCode::FencedLeaderEpoch | ErrorCode::FencedStateEpoch => ErrorCode::NotLeaderOrFollower,
        ErrorCode::GroupIdNotFound | ErrorCode::UnknownTopicOrPartition | ErrorCode::KafkaStorageError => code,
        _ => ErrorCode::UnknownServerError,
    }
}
