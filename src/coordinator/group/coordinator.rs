//! The group coordinator of a broker: what handlers call.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::classic::{self, ClassicReply};
use super::environment::GroupEnvironment;
use super::group_shard::{GroupId, GroupShard};
use crate::config::ConfigOverrides;
use crate::controller::Controller;
use crate::coordinator::{
    CoordinatorError, CoordinatorRuntime, Decision, InternalTopic, Now, Pending, ReplyTo, RuntimeParts,
};
use crate::error::ErrorCode;
use crate::ids::{BrokerId, PartitionIndex};
use crate::protocol::batch::Compression;
use crate::replication::ReplicaManager;
use crate::time::Clock;

/// Where groups and committed offsets lie.
const OFFSETS_TOPIC: &str = "__consumer_offsets";

/// What a group coordinator is made of.
#[derive(Debug)]
pub struct GroupCoordinatorParts {
    pub environment: GroupEnvironment,
    pub controller: Arc<Controller>,
    pub replicas: Arc<ReplicaManager>,
    pub clock: Arc<dyn Clock>,
    pub tasks: TaskTracker,
    pub shutdown: CancellationToken,
}

/// Coordinates the groups whose partition of `__consumer_offsets` this broker leads.
#[derive(Debug)]
pub struct GroupCoordinator {
    runtime: Arc<CoordinatorRuntime<GroupShard>>,
    environment: GroupEnvironment,
    controller: Arc<Controller>,
    topic: InternalTopic,
}

impl GroupCoordinator {
    pub fn start(parts: GroupCoordinatorParts) -> Arc<Self> {
        let GroupCoordinatorParts { environment, controller, replicas, clock, tasks, shutdown } = parts;
        let config = &environment.config.groups;
        let settings = [
            ("cleanup.policy", "compact".to_owned()),
            ("compression.type", "producer".to_owned()),
            ("segment.bytes", config.offsets_topic_segment_bytes.to_string()),
        ];
        let topic = InternalTopic {
            name: OFFSETS_TOPIC,
            partitions: config.offsets_topic_num_partitions,
            replication_factor: config.offsets_topic_replication_factor,
            configs: settings.into_iter().map(|(key, value)| (key.to_owned(), value)).collect::<ConfigOverrides>(),
        };
        let of_shards = environment.clone();
        let runtime = CoordinatorRuntime::start(RuntimeParts {
            topic: OFFSETS_TOPIC,
            new_machine: Box::new(move |_| GroupShard::new(of_shards.clone())),
            replicas,
            clock,
            compression: Compression::try_from(i16::from(config.offsets_topic_compression_codec))
                .unwrap_or(Compression::None),
            load_buffer_bytes: config.offsets_load_buffer_size,
            commit_timeout: Duration::from_millis(config.offsets_commit_timeout_ms),
            tasks,
            shutdown,
        });
        Arc::new(Self { runtime, environment, controller, topic })
    }

    /// Takes over the partitions that this broker leads now; for the thread that applies the metadata.
    pub fn follow_replicas(&self) {
        self.runtime.follow_replicas();
    }

    /// Coordinates nothing any more, since the broker stops.
    pub fn resign(&self) {
        self.runtime.resign();
    }

    /// The broker that coordinates the group. The topic is created on first use.
    pub async fn find(&self, group_id: &str) -> Result<BrokerId, ErrorCode> {
        if !self.topic.exists(&self.environment.image()) {
            self.topic.create(&self.controller).await.map_err(|_| ErrorCode::CoordinatorNotAvailable)?;
        }
        let coordinator = self.topic.coordinator_of(group_id, &self.environment.image());
        coordinator.ok_or(ErrorCode::CoordinatorNotAvailable)
    }

    /// JoinGroup: answered when the rebalance goes on.
    pub fn join(&self, group_id: &GroupId, join: &classic::Join) -> Result<Pending<ClassicReply>, CoordinatorError> {
        self.ask_classic(group_id, |shard, now, reply_to| {
            shard.decide_classic(group_id, |group, settings| {
                classic::join(group_id, group, settings, now, join, reply_to)
            })
        })
    }

    /// SyncGroup: answered when the leader has assigned.
    pub fn sync(&self, group_id: &GroupId, sync: classic::Sync) -> Result<Pending<ClassicReply>, CoordinatorError> {
        self.ask_classic(group_id, |shard, now, reply_to| {
            shard.decide_classic(group_id, |group, settings| {
                classic::sync(group_id, group, settings, now, sync, reply_to)
            })
        })
    }

    pub fn heartbeat(
        &self,
        group_id: &GroupId,
        heartbeat: &classic::Heartbeat,
    ) -> Result<Pending<ClassicReply>, CoordinatorError> {
        self.ask_classic(group_id, |shard, now, reply_to| {
            shard.decide_classic(group_id, |group, _| classic::heartbeat(group, now, heartbeat, reply_to))
        })
    }

    pub fn leave(
        &self,
        group_id: &GroupId,
        leave: &classic::Leave,
    ) -> Result<Pending<ClassicReply>, CoordinatorError> {
        self.ask_classic(group_id, |shard, now, reply_to| {
            shard.decide_classic(group_id, |group, settings| {
                classic::leave(group_id, group, settings, now, leave, reply_to)
            })
        })
    }

    fn ask_classic(
        &self,
        group_id: &GroupId,
        decide: impl FnOnce(&GroupShard, Now, ReplyTo) -> Decision<GroupShard>,
    ) -> Result<Pending<ClassicReply>, CoordinatorError> {
        self.runtime.ask(self.partition_of(group_id), decide)
    }

    /// Decides about a group; the reply is known at once.
    pub fn decide<R>(
        &self,
        group_id: &str,
        decide: impl FnOnce(&GroupShard, Now) -> (Decision<GroupShard>, R),
    ) -> Result<Pending<R>, CoordinatorError> {
        self.runtime.decide(self.partition_of(group_id), decide)
    }

    /// Looks at the shard of a group.
    pub fn read<R>(
        &self,
        group_id: &str,
        read: impl FnOnce(&GroupShard) -> R,
    ) -> Result<Pending<R>, CoordinatorError> {
        self.runtime.read(self.partition_of(group_id), read)
    }

    /// Looks at every shard that is here; those that are not loaded yet answer with an error.
    pub fn read_all<R>(&self, read: impl Fn(&GroupShard) -> R) -> Vec<Result<Pending<R>, CoordinatorError>> {
        self.runtime.partitions().into_iter().map(|partition| self.runtime.read(partition, &read)).collect()
    }

    fn partition_of(&self, group_id: &str) -> PartitionIndex {
        self.topic.partition_of(group_id, &self.environment.image())
    }
}
