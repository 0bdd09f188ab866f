//! The shards of one internal topic: which are led here, and the task that lets their timers fire.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{error, info};

use super::decision::{Decision, Machine, Now, ReplyTo};
use super::error::CoordinatorError;
use super::journal::Journal;
use super::pending::Pending;
use super::shard::Shard;
use super::shard_map::{ShardMap, Shards};
use crate::ids::PartitionIndex;
use crate::protocol::batch::Compression;
use crate::replication::{Partition, ReplicaManager};
use crate::time::Clock;

/// Partitions that are read at the same time.
const PARALLEL_LOADS: usize = 4;

/// What a runtime is made of.
pub struct RuntimeParts<M> {
    /// The internal topic.
    pub topic: &'static str,
    pub new_machine: Box<dyn Fn(PartitionIndex) -> M + Send + Sync>,
    pub replicas: Arc<ReplicaManager>,
    pub clock: Arc<dyn Clock>,
    pub compression: Compression,
    pub load_buffer_bytes: usize,
    /// How long a reply waits for the high watermark.
    pub commit_timeout: Duration,
    /// Where the runtime's tasks live.
    pub tasks: TaskTracker,
    pub shutdown: CancellationToken,
}

/// Runs the machines of one internal topic.
pub struct CoordinatorRuntime<M: Machine> {
    parts: RuntimeParts<M>,
    shards: ShardMap<M>,
    loads: Arc<Semaphore>,
    alarm: Alarm,
}

/// Wakes the task of the timers when a deadline is earlier than the one it sleeps for.
#[derive(Debug)]
struct Alarm {
    /// On the monotonic clock, in nanoseconds.
    sleeps_until: AtomicU64,
    earlier: Notify,
}

impl<M: Machine> CoordinatorRuntime<M> {
    /// A runtime that leads nothing yet; its timers fire in a task of `parts.tasks` until the shutdown.
    pub fn start(parts: RuntimeParts<M>) -> Arc<Self> {
        let runtime = Arc::new(Self {
            parts,
            shards: ShardMap::default(),
            loads: Arc::new(Semaphore::new(PARALLEL_LOADS)),
            alarm: Alarm { sleeps_until: AtomicU64::new(u64::MAX), earlier: Notify::new() },
        });
        let (timers, shutdown) = (Arc::clone(&runtime), runtime.parts.shutdown.clone());
        runtime.parts.tasks.spawn(async move {
            tokio::select! {
                () = shutdown.cancelled() => {}
                () = timers.keep_time() => {}
            }
        });
        runtime
    }

    /// Takes over the partitions that this broker leads now, and gives up the others. For the thread that applies the
    /// metadata, after the replicas have.
    pub fn follow_replicas(self: &Arc<Self>) {
        let is_same = |shard: &Shard<M>, partition: &Arc<Partition>| {
            Arc::ptr_eq(&shard.journal.partition, partition) && shard.leader_epoch == partition.leader().1
        };
        let new = self.shards.change(|before| {
            let shards = self.led_partitions().into_iter().map(|(index, partition)| match before.get(&index) {
                Some(shard) if is_same(shard, &partition) => (index, Arc::clone(shard)),
                _ => (index, Arc::new(self.new_shard(partition))),
            });
            shards.collect()
        });
        self.load_all(new);
    }

    /// Gives up everything, since the broker stops: whoever waits looks for another coordinator.
    pub fn resign(&self) {
        self.shards.change(|_| Shards::new());
    }

    /// Makes a decision whose reply is known at once.
    pub fn decide<R>(
        self: &Arc<Self>,
        partition: PartitionIndex,
        decide: impl FnOnce(&M, Now) -> (Decision<M>, R),
    ) -> Result<Pending<R>, CoordinatorError> {
        let shard = self.shard(partition)?;
        let decided = shard.decide(self.now(), decide);
        self.observe(partition, &shard, decided)
    }

    /// Makes a decision on a request that a later decision may answer.
    pub fn ask(
        self: &Arc<Self>,
        partition: PartitionIndex,
        decide: impl FnOnce(&M, Now, ReplyTo) -> Decision<M>,
    ) -> Result<Pending<M::Reply>, CoordinatorError> {
        let shard = self.shard(partition)?;
        let asked = shard.ask(self.now(), decide);
        self.observe(partition, &shard, asked)
    }

    /// Looks at the state, which may not be committed yet; for the answer wait.
    pub fn read<R>(
        self: &Arc<Self>,
        partition: PartitionIndex,
        read: impl FnOnce(&M) -> R,
    ) -> Result<Pending<R>, CoordinatorError> {
        self.decide(partition, |machine, _| (Decision::default(), read(machine)))
    }

    /// Looks at every state that is here, for what needs no commit: numbers for operators.
    pub fn look<R>(&self, look: impl Fn(&M) -> R) -> Vec<R> {
        self.shards.current().values().filter_map(|shard| shard.look(&look).ok()).collect()
    }

    /// The partitions whose coordinator is here.
    pub fn partitions(&self) -> Vec<PartitionIndex> {
        self.shards.current().keys().copied().collect()
    }

    pub fn now(&self) -> Now {
        Now { monotonic: self.parts.clock.monotonic(), wall_ms: self.parts.clock.now_ms() }
    }

    /// Lets every timer fire whose deadline has passed; the next deadline.
    pub fn fire_timers(self: &Arc<Self>) -> Option<Duration> {
        let shards = self.shards.current();
        let next = shards.iter().filter_map(|(&index, shard)| match shard.fire_timers(self.now()) {
            Ok(deadline) => deadline,
            Err(CoordinatorError::WrittenInPart(_)) => {
                self.load_again(index, shard);
                None
            }
            Err(_) => None,
        });
        next.min()
    }

    fn shard(&self, partition: PartitionIndex) -> Result<Arc<Shard<M>>, CoordinatorError> {
        self.shards.get(partition).ok_or(CoordinatorError::NotCoordinator)
    }

    fn observe<R>(
        self: &Arc<Self>,
        partition: PartitionIndex,
        shard: &Arc<Shard<M>>,
        result: Result<(Pending<R>, Option<Duration>), CoordinatorError>,
    ) -> Result<Pending<R>, CoordinatorError> {
        match result {
            Ok((pending, deadline)) => {
                self.alarm.set(deadline);
                Ok(pending)
            }
            Err(error) => {
                if let CoordinatorError::WrittenInPart(_) = error {
                    self.load_again(partition, shard);
                }
                Err(error)
            }
        }
    }

    fn led_partitions(&self) -> Vec<(PartitionIndex, Arc<Partition>)> {
        let Some(topic) = self.parts.replicas.topic(self.parts.topic) else { return Vec::new() };
        let led = topic.replicas().filter(|replica| replica.is_leader());
        led.map(|replica| (replica.id.partition, Arc::clone(replica))).collect()
    }

    fn new_shard(&self, partition: Arc<Partition>) -> Shard<M> {
        let leader_epoch = partition.leader().1;
        let journal = Journal {
            partition,
            compression: self.parts.compression,
            load_buffer_bytes: self.parts.load_buffer_bytes,
        };
        Shard::loading(journal, leader_epoch, self.parts.commit_timeout)
    }

    fn load_all(self: &Arc<Self>, shards: Shards<M>) {
        for (index, shard) in shards {
            self.load(index, shard);
        }
    }

    fn load(self: &Arc<Self>, index: PartitionIndex, shard: Arc<Shard<M>>) {
        let runtime = Arc::clone(self);
        self.parts.tasks.spawn(async move {
            let Ok(_permit) = runtime.loads.acquire().await else { return };
            let reader = Arc::clone(&runtime);
            let loading = tokio::task::spawn_blocking(move || {
                let began = reader.parts.clock.monotonic();
                let partition = &shard.journal.partition.id;
                match shard.load((reader.parts.new_machine)(index), || reader.now()) {
                    Ok(deadline) => {
                        reader.alarm.set(deadline);
                        let took = reader.parts.clock.monotonic().saturating_sub(began);
                        let records = shard.journal.partition.log().log_end_offset();
                        if records.0 > 0 {
                            info!(%partition, end_offset = %records, took_ms = took.as_millis() as u64, "coordinator loaded");
                        }
                    }
                    Err(error) => error!(%partition, %error, "coordinator state cannot be read"),
                }
            });
            if let Err(failed) = loading.await {
                error!(index, %failed, "coordinator state was not read");
            }
        });
    }

    /// The log and the state differ: a new shard reads the log.
    fn load_again(self: &Arc<Self>, index: PartitionIndex, torn: &Arc<Shard<M>>) {
        let new = self.shards.change(|before| {
            let mut shards = before.clone();
            if let Some(shard) = shards.get_mut(&index).filter(|shard| Arc::ptr_eq(shard, torn)) {
                *shard = Arc::new(self.new_shard(Arc::clone(&torn.journal.partition)));
            }
            shards
        });
        self.load_all(new);
    }

    async fn keep_time(self: &Arc<Self>) {
        loop {
            self.alarm.sleeps_until.store(0, Ordering::SeqCst);
            let next = self.fire_timers();
            let now = self.parts.clock.monotonic();
            self.alarm.sleeps_until.store(next.map_or(u64::MAX, nanos), Ordering::SeqCst);
            // A deadline that was set meanwhile has left its notice.
            match next {
                Some(next) => {
                    let _woken = tokio::time::timeout(next.saturating_sub(now), self.alarm.earlier.notified()).await;
                }
                None => self.alarm.earlier.notified().await,
            }
        }
    }
}

impl Alarm {
    fn set(&self, deadline: Option<Duration>) {
        let Some(deadline) = deadline.map(nanos) else { return };
        let sleeps_until = self.sleeps_until.load(Ordering::SeqCst);
        // Zero: the task is awake, and may have passed this shard already.
        if sleeps_until == 0 || deadline < sleeps_until {
            self.earlier.notify_one();
        }
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

impl<M: Machine> fmt::Debug for CoordinatorRuntime<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CoordinatorRuntime").field("topic", &self.parts.topic).finish_non_exhaustive()
    }
}
