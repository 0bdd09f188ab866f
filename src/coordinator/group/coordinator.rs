//! The group coordinator of a broker: what handlers call.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::warn;

use super::administration::Deletions;
use super::assignor::Assignor;
use super::classic::{self, ClassicReply};
use super::consumer::{self, GroupError, HeartbeatReply, ResolveRegexes};
use super::consumer_groups::TopicChanges;
use super::environment::GroupEnvironment;
use super::group_shard::{GroupId, GroupShard};
use super::image_topics::ImageTopics;
use super::offsets::DeletedTopic;
use crate::config::ConfigOverrides;
use crate::controller::Controller;
use crate::coordinator::{
    CoordinatorError, CoordinatorRuntime, Decision, InternalTopic, Now, Pending, ReplyTo, RuntimeParts,
};
use crate::error::ErrorCode;
use crate::ids::{BrokerId, PartitionIndex};
use crate::metadata::MetadataImage;
use crate::metrics::GroupCounts;
use crate::protocol::batch::Compression;
use crate::protocol::messages::{OffsetCommitRequest, OffsetFetchRequestGroup};
use crate::protocol::wire::messages::offset_fetch_response::OffsetFetchResponseGroup;
use crate::protocol::wire::messages::{OffsetCommitResponse, OffsetDeleteRequest, OffsetDeleteResponse};
use crate::replication::ReplicaManager;
use crate::time::Clock;

/// Where groups and committed offsets lie.
const OFFSETS_TOPIC: &str = "__consumer_offsets";

/// What becomes of the groups of one shard that are to be deleted.
#[derive(Debug)]
pub struct ShardDeletion {
    pub group_ids: Vec<GroupId>,
    pub deletion: Result<Pending<Deletions>, CoordinatorError>,
}

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
    tasks: TaskTracker,
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
            tasks: tasks.clone(),
            shutdown,
        });
        Arc::new(Self { runtime, environment, controller, topic, tasks })
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
        self.topic.find(group_id, &self.environment.metadata, &self.controller).await
    }

    /// JoinGroup: answered when the rebalance goes on.
    pub fn join(&self, group_id: &GroupId, join: &classic::Join) -> Result<Pending<ClassicReply>, CoordinatorError> {
        self.ask_classic(group_id, |shard, now, reply_to| shard.join(now, group_id, join, reply_to))
    }

    /// SyncGroup: answered when the leader has assigned.
    pub fn sync(&self, group_id: &GroupId, sync: classic::Sync) -> Result<Pending<ClassicReply>, CoordinatorError> {
        self.ask_classic(group_id, |shard, now, reply_to| shard.sync(now, group_id, sync, reply_to))
    }

    /// Heartbeat: nobody is waited for.
    pub fn heartbeat(
        &self,
        group_id: &GroupId,
        heartbeat: &classic::Heartbeat,
    ) -> Result<Pending<ErrorCode>, CoordinatorError> {
        self.decide(group_id, |shard, now| shard.heartbeat(now, group_id, heartbeat))
    }

    pub fn leave(
        &self,
        group_id: &GroupId,
        leave: &classic::Leave,
    ) -> Result<Pending<ClassicReply>, CoordinatorError> {
        self.ask_classic(group_id, |shard, now, reply_to| shard.leave(now, group_id, leave, reply_to))
    }

    /// ConsumerGroupHeartbeat of a group of the consumer protocol. Regular expressions that have to be resolved for it
    /// are so beside the group; the answer does not wait for them.
    pub fn consumer_heartbeat(
        self: &Arc<Self>,
        group_id: &GroupId,
        heartbeat: &consumer::Heartbeat<'_>,
    ) -> Result<Pending<Result<HeartbeatReply, GroupError>>, CoordinatorError> {
        let mut resolve = None;
        let pending = self.decide(group_id, |shard, now| {
            let (decision, reply, work) = shard.consumer_heartbeat(now, group_id, heartbeat);
            resolve = work;
            (decision, reply)
        })?;
        if let Some(work) = resolve {
            self.resolve_regexes(work);
        }
        Ok(pending)
    }

    /// Looks through all topics, on a thread that may take its time, and tells the group.
    fn resolve_regexes(self: &Arc<Self>, work: ResolveRegexes) {
        let coordinator = Arc::clone(self);
        self.tasks.spawn_blocking(move || {
            let group_id = Arc::clone(&work.group_id);
            let image = coordinator.environment.image();
            let resolved = work.run(&ImageTopics(&image), coordinator.runtime.now().wall_ms);
            let told = coordinator.decide(&group_id, |shard, now| (shard.regexes_resolved(now, &resolved), ()));
            if told.is_err() {
                // Lost with the leadership, if it was that.
                let _ = coordinator.decide(&group_id, |_, _| (GroupShard::regexes_not_resolved(&group_id), ()));
            }
        });
    }

    /// Topics changed from one image to the next; for the thread that applies the metadata.
    pub fn topics_changed(&self, old: &MetadataImage, new: &MetadataImage) {
        let gone = new.deleted_topics(old).map(|topic| DeletedTopic { name: topic.name.to_string(), id: topic.id });
        self.forget_topics(&gone.collect::<Vec<_>>());
        let changes = TopicChanges::between(old, new);
        if changes.is_empty() {
            return;
        }
        for partition in self.runtime.partitions() {
            // A shard that is not loaded yet looks at all topics when it is.
            let _ = self.runtime.decide(partition, |shard, _| (shard.topics_changed(&changes), ()));
        }
    }

    /// The assignors that members of consumer groups may ask for.
    pub fn consumer_assignors(&self) -> Vec<Assignor> {
        self.environment.consumer_assignors()
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

    /// Deletes groups without members, with their offsets: what became of the groups of each shard.
    pub fn delete(&self, group_ids: impl IntoIterator<Item = GroupId>) -> Vec<ShardDeletion> {
        let mut by_partition: BTreeMap<PartitionIndex, Vec<GroupId>> = BTreeMap::new();
        for group_id in group_ids {
            by_partition.entry(self.partition_of(&group_id)).or_default().push(group_id);
        }
        let delete = |(partition, group_ids): (PartitionIndex, Vec<GroupId>)| {
            let deletion = self.runtime.decide(partition, |shard, _| shard.delete(&group_ids));
            ShardDeletion { group_ids, deletion }
        };
        by_partition.into_iter().map(delete).collect()
    }

    /// The groups that are coordinated here, for the metrics.
    pub fn counts(&self) -> GroupCounts {
        let of_shards = self.runtime.look(GroupShard::counts);
        of_shards.into_iter().fold(GroupCounts::default(), |sum, counts| GroupCounts {
            groups: sum.groups + counts.groups,
            preparing_rebalance: sum.preparing_rebalance + counts.preparing_rebalance,
            completing_rebalance: sum.completing_rebalance + counts.completing_rebalance,
            stable: sum.stable + counts.stable,
            empty: sum.empty + counts.empty,
            members: sum.members + counts.members,
        })
    }

    /// Looks at every shard that is here; those that are not loaded yet answer with an error.
    pub fn read_all<R>(&self, read: impl Fn(&GroupShard) -> R) -> Vec<Result<Pending<R>, CoordinatorError>> {
        self.runtime.partitions().into_iter().map(|partition| self.runtime.read(partition, &read)).collect()
    }

    /// Commits offsets of partitions that exist. `knows_member_epochs`: the client understands the errors of the consumer
    /// protocol.
    pub fn commit_offsets(
        &self,
        request: &OffsetCommitRequest,
        knows_member_epochs: bool,
    ) -> Result<Pending<Result<OffsetCommitResponse, ErrorCode>>, CoordinatorError> {
        let group_id = GroupId::from(request.base.group_id.as_str());
        self.decide(&group_id, |shard, now| shard.commit_offsets(&group_id, request, knows_member_epochs, now))
    }

    /// The committed offsets of a group.
    pub fn fetch_offsets(
        &self,
        request: &OffsetFetchRequestGroup,
        require_stable: bool,
    ) -> Result<Pending<Result<OffsetFetchResponseGroup, ErrorCode>>, CoordinatorError> {
        self.read(&request.base.group_id, |shard| shard.fetch_offsets(request, require_stable))
    }

    /// Deletes committed offsets of a group.
    pub fn delete_offsets(
        &self,
        request: &OffsetDeleteRequest,
    ) -> Result<Pending<Result<OffsetDeleteResponse, ErrorCode>>, CoordinatorError> {
        self.decide(&request.group_id, |shard, _| shard.delete_offsets(request))
    }

    /// Forgets the offsets of topics that are gone. What can't be written is left to expire.
    fn forget_topics(&self, topics: &[DeletedTopic]) {
        if topics.is_empty() {
            return;
        }
        for partition in self.runtime.partitions() {
            let forgotten = self.runtime.decide(partition, |shard, _| (shard.forget_topics(topics), ()));
            if let Err(error) = forgotten {
                warn!(partition, %error, "offsets of deleted topics stay");
            }
        }
    }

    /// Looks at every shard that is loaded, for what needs no commit: numbers for operators.
    pub(super) fn look<R>(&self, look: impl Fn(&GroupShard) -> R) -> Vec<R> {
        self.runtime.look(look)
    }

    fn partition_of(&self, group_id: &str) -> PartitionIndex {
        self.topic.partition_of(group_id, &self.environment.image())
    }
}
