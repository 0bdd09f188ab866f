//! The share coordinator of a broker: keeps the state of share partitions in `__share_group_state`.
//!
//! In a cluster it is asked by the brokers that lead the share partitions; on one node they call it right here.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, warn};

use super::records::ShareKey;
use super::share_state_shard::{ShareState, ShareStateShard, SnapshotConfig, WriteState};
use crate::config::{BrokerConfig, ConfigOverrides};
use crate::controller::Controller;
use crate::coordinator::{CoordinatorError, CoordinatorRuntime, Decision, InternalTopic, Now, Pending, RuntimeParts};
use crate::error::ErrorCode;
use crate::ids::{BrokerId, LeaderEpoch, Offset, PartitionIndex, uuid_to_base64};
use crate::metadata::ImagePublisher;
use crate::protocol::batch::Compression;
use crate::replication::ReplicaManager;
use crate::time::Clock;

/// Where the state lies.
pub const SHARE_STATE_TOPIC: &str = "__share_group_state";
/// How long a request waits before it asks again while the coordinator reads its state.
const RETRY_PAUSE: Duration = Duration::from_millis(20);

/// What a share coordinator is made of.
#[derive(Debug)]
pub struct ShareCoordinatorParts {
    pub config: Arc<BrokerConfig>,
    pub metadata: Arc<ImagePublisher>,
    pub controller: Arc<Controller>,
    pub replicas: Arc<ReplicaManager>,
    pub clock: Arc<dyn Clock>,
    pub tasks: TaskTracker,
    pub shutdown: CancellationToken,
}

/// Keeps the state of the share partitions whose partition of `__share_group_state` this broker leads.
#[derive(Debug)]
pub struct ShareCoordinator {
    runtime: Arc<CoordinatorRuntime<ShareStateShard>>,
    metadata: Arc<ImagePublisher>,
    controller: Arc<Controller>,
    replicas: Arc<ReplicaManager>,
    topic: InternalTopic,
    write_timeout: Duration,
}

impl ShareCoordinator {
    pub fn start(parts: ShareCoordinatorParts) -> Arc<Self> {
        let ShareCoordinatorParts { config, metadata, controller, replicas, clock, tasks, shutdown } = parts;
        let share = &config.share_coordinator;
        let settings = [
            ("cleanup.policy", "delete".to_owned()),
            ("compression.type", "producer".to_owned()),
            ("min.insync.replicas", share.state_topic_min_isr.to_string()),
            ("retention.ms", "-1".to_owned()),
            ("segment.bytes", share.state_topic_segment_bytes.to_string()),
        ];
        let topic = InternalTopic {
            name: SHARE_STATE_TOPIC,
            partitions: share.state_topic_num_partitions,
            replication_factor: share.state_topic_replication_factor,
            configs: settings.into_iter().map(|(key, value)| (key.to_owned(), value)).collect::<ConfigOverrides>(),
        };
        let snapshots = SnapshotConfig {
            updates_per_snapshot: share.snapshot_update_records_per_snapshot,
            cold_interval: Duration::from_millis(share.cold_partition_snapshot_interval_ms),
        };
        let write_timeout = Duration::from_millis(share.write_timeout_ms);
        let runtime = CoordinatorRuntime::start(RuntimeParts {
            topic: SHARE_STATE_TOPIC,
            new_machine: Box::new(move |_| ShareStateShard::new(snapshots)),
            replicas: Arc::clone(&replicas),
            clock,
            compression: Compression::try_from(i16::from(share.state_topic_compression_codec))
                .unwrap_or(Compression::None),
            load_buffer_bytes: share.load_buffer_size,
            commit_timeout: write_timeout,
            tasks: tasks.clone(),
            shutdown: shutdown.clone(),
        });
        let coordinator = Arc::new(Self { runtime, metadata, controller, replicas, topic, write_timeout });
        let prune_interval = Duration::from_millis(share.state_topic_prune_interval_ms.max(1));
        let pruner = Arc::clone(&coordinator);
        tasks.spawn(async move {
            tokio::select! {
                () = shutdown.cancelled() => {}
                () = pruner.keep_pruning(prune_interval) => {}
            }
        });
        coordinator
    }

    /// Takes over the partitions that this broker leads now; for the thread that applies the metadata.
    pub fn follow_replicas(&self) {
        self.runtime.follow_replicas();
    }

    /// Coordinates nothing any more, since the broker stops.
    pub fn resign(&self) {
        self.runtime.resign();
    }

    /// The broker that coordinates `key`, of the form `group:topic id:partition`. The topic is created on first use.
    pub async fn find(&self, key: &str) -> Result<BrokerId, ErrorCode> {
        self.topic.find(key, &self.metadata, &self.controller).await
    }

    /// A share partition begins at `start_offset`, or anew; [`Offset::NONE`]: where the group's reset policy says.
    pub async fn initialize(&self, key: &ShareKey, state_epoch: i32, start_offset: Offset) -> Result<(), ErrorCode> {
        self.decide(key, |shard, now| shard.initialize(key.clone(), state_epoch, start_offset, now)).await
    }

    /// What is known of a share partition, for its leader; leaders of earlier epochs write no more.
    pub async fn take_over(&self, key: &ShareKey, epoch: LeaderEpoch) -> Result<ShareState, ErrorCode> {
        self.decide(key, |shard, _| shard.read_as_leader(key.clone(), epoch)).await
    }

    /// What is known of a share partition.
    pub async fn read(&self, key: &ShareKey) -> Result<Option<ShareState>, ErrorCode> {
        self.decide(key, |shard, _| (Decision::default(), Ok(shard.get(key).cloned()))).await
    }

    /// Forgets a share partition.
    pub async fn delete(&self, key: &ShareKey) -> Result<(), ErrorCode> {
        self.decide(key, |shard, _| (shard.delete([key.clone()]), Ok(()))).await
    }

    /// Writes what has changed. It is in its turn when this returns; the answer comes when it is committed.
    pub fn write(
        &self,
        key: &ShareKey,
        write: &WriteState,
    ) -> Result<impl Future<Output = Result<(), ErrorCode>> + Send + 'static, ErrorCode> {
        let decided = self.runtime.decide(self.partition_of(key), |shard, now| shard.write(key.clone(), write, now));
        decided.map(committed).map_err(CoordinatorError::code)
    }

    /// Decides once the coordinator is ready: it may have to read its state first.
    async fn decide<R>(
        &self,
        key: &ShareKey,
        decide: impl Fn(&ShareStateShard, Now) -> (Decision<ShareStateShard>, Result<R, ErrorCode>),
    ) -> Result<R, ErrorCode> {
        self.topic.ensure(&self.metadata, &self.controller).await?;
        let ready = async {
            loop {
                match self.runtime.decide(self.partition_of(key), &decide) {
                    Err(CoordinatorError::Loading | CoordinatorError::NotCoordinator) => {
                        tokio::time::sleep(RETRY_PAUSE).await;
                    }
                    decided => return decided,
                }
            }
        };
        let decided = tokio::time::timeout(self.write_timeout, ready).await;
        let decided = decided.map_err(|_elapsed| ErrorCode::CoordinatorNotAvailable)?;
        committed(decided.map_err(CoordinatorError::code)?).await
    }

    fn partition_of(&self, key: &ShareKey) -> PartitionIndex {
        let text = format!("{}:{}:{}", key.group_id, uuid_to_base64(key.topic_id.0), key.partition);
        self.topic.partition_of(&text, &self.metadata.current())
    }

    /// Deletes what is not needed any more, now and then.
    async fn keep_pruning(self: &Arc<Self>, interval: Duration) {
        loop {
            tokio::time::sleep(interval).await;
            let image = self.metadata.current();
            for partition in self.runtime.partitions() {
                // What is not written is so the next time.
                let _ = self.runtime.decide(partition, |shard, _| {
                    (shard.delete_gone(|topic| image.topic_by_id(topic).is_some()), ())
                });
                let Ok(pending) = self.runtime.read(partition, ShareStateShard::redundant_below) else { continue };
                if let Ok(redundant_below) = pending.done().await {
                    self.prune(partition, redundant_below).await;
                }
            }
        }
    }

    async fn prune(&self, partition: PartitionIndex, redundant_below: Offset) {
        let Some(topic) = self.replicas.topic(SHARE_STATE_TOPIC) else { return };
        let Ok(replica) = topic.partition(partition).cloned() else { return };
        if redundant_below <= replica.log().log_start_offset() {
            return;
        }
        // Removes files, which blocks.
        let deleting = tokio::task::spawn_blocking(move || replica.log().delete_records(redundant_below));
        match deleting.await {
            Ok(Ok(start)) => debug!(partition, %start, "share state pruned"),
            Ok(Err(error)) => warn!(partition, %error, "share state cannot be pruned"),
            Err(error) => warn!(partition, %error, "share state was not pruned"),
        }
    }
}

/// The decision's result once it is committed.
async fn committed<R>(pending: Pending<Result<R, ErrorCode>>) -> Result<R, ErrorCode> {
    pending.done().await.map_err(CoordinatorError::code)?
}
