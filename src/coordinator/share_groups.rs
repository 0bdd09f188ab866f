//! Share groups as handlers see them: membership, which the group coordinator keeps, and offsets, which the share
//! coordinator keeps.
//!
//! ```text
//!  heartbeat ──▶ group* ──▶ "initialize these" ──▶ ShareCoordinator ──▶ group*: "initialized" ──▶ heartbeat again
//! ```
//! A member that joins waits the few milliseconds that this takes and has its partitions with the answer; it would get
//! them with its next heartbeat otherwise, seconds later.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures_util::future::join_all;
use tracing::warn;

use super::group::share::{
    OffsetsToAlter, ShareGroup, ShareGroupError, ShareHeartbeat, ShareHeartbeatReply, StateToDelete, TopicOffsets,
    TopicPartitions,
};
use super::group::{GroupCoordinator, GroupId};
use super::share::records::ShareKey;
use super::share::share_state_shard::ShareState;
use super::share::{ShareCoordinator, SharePartitions};
use crate::coordinator::CoordinatorError;
use crate::error::ErrorCode;
use crate::ids::{Offset, PartitionIndex, TopicId, TopicName};

/// The coordinators of share groups.
#[derive(Debug)]
pub struct ShareGroups {
    groups: Arc<GroupCoordinator>,
    states: Arc<ShareCoordinator>,
    partitions: Arc<SharePartitions>,
}

/// Why a request about a share group fails.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShareGroupsError {
    #[error(transparent)]
    Group(#[from] ShareGroupError),
    #[error(transparent)]
    Coordinator(#[from] CoordinatorError),
}

impl ShareGroupsError {
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Group(error) => error.code(),
            Self::Coordinator(error) => error.code(),
        }
    }

    /// What the group says; nothing where the coordinator itself is in trouble.
    pub fn message(&self) -> Option<String> {
        match self {
            Self::Group(error) => Some(error.to_string()),
            Self::Coordinator(_) => None,
        }
    }
}

impl ShareGroups {
    pub fn new(
        groups: Arc<GroupCoordinator>,
        states: Arc<ShareCoordinator>,
        partitions: Arc<SharePartitions>,
    ) -> Arc<Self> {
        Arc::new(Self { groups, states, partitions })
    }

    /// A heartbeat that has passed its checks.
    pub async fn heartbeat(
        &self,
        group_id: &GroupId,
        heartbeat: &ShareHeartbeat<'_>,
    ) -> Result<ShareHeartbeatReply, ShareGroupsError> {
        let heard = self.groups.decide(group_id, |shard, now| shard.share_heartbeat(now, group_id, heartbeat))?;
        let reply = heard.done().await??;
        if reply.initialize.is_empty() {
            return Ok(reply);
        }
        let initialized = self.initialize(group_id, &reply).await;
        self.tell_initialized(group_id, &initialized).await?;
        let again = ShareHeartbeat {
            member_epoch: reply.member_epoch,
            rack_id: None,
            subscribed_topic_names: None,
            ..heartbeat.clone()
        };
        let heard = self.groups.decide(group_id, |shard, now| shard.share_heartbeat(now, group_id, &again))?;
        let assigned = heard.done().await??;
        Ok(ShareHeartbeatReply { assignment: assigned.assignment.or(reply.assignment), ..assigned })
    }

    /// Has the share coordinator keep the state of partitions from now on; those where that worked.
    async fn initialize(&self, group_id: &str, reply: &ShareHeartbeatReply) -> TopicPartitions {
        let mut beginning = Vec::new();
        for (&topic_id, (name, partitions)) in &reply.initialize {
            for &partition in partitions {
                beginning.push(self.begin(group_id, (topic_id, name.clone(), partition), reply.state_epoch));
            }
        }
        let mut initialized = TopicPartitions::new();
        for (topic_id, name, partition) in join_all(beginning).await.into_iter().flatten() {
            initialized.entry(topic_id).or_insert_with(|| (name, BTreeSet::new())).1.insert(partition);
        }
        initialized
    }

    /// Has the state of one partition kept, and names it where that worked.
    async fn begin(
        &self,
        group_id: &str,
        (topic_id, name, partition): (TopicId, TopicName, PartitionIndex),
        state_epoch: i32,
    ) -> Option<(TopicId, TopicName, PartitionIndex)> {
        let key = share_key(group_id, topic_id, partition);
        let begun = match self.states.read(&key).await {
            // An earlier try came so far, and may be in use.
            Ok(Some(state)) if state.state_epoch == state_epoch => Ok(()),
            Ok(_) => self.states.initialize(&key, state_epoch, Offset::NONE).await,
            Err(code) => Err(code),
        };
        match begun {
            Ok(()) => Some((topic_id, name, partition)),
            Err(code) => {
                warn!(group_id, topic = %name, partition, ?code, "share state is not initialized");
                None
            }
        }
    }

    async fn tell_initialized(
        &self,
        group_id: &GroupId,
        partitions: &TopicPartitions,
    ) -> Result<(), ShareGroupsError> {
        let told = self.groups.decide(group_id, |shard, now| {
            shard.decide_share(now, group_id, |group, _| Ok(group.initialized_now(partitions)))
        })?;
        Ok(told.done().await??)
    }

    /// Looks at a group.
    pub async fn read<R>(&self, group_id: &str, read: impl FnOnce(&ShareGroup) -> R) -> Result<R, ShareGroupsError> {
        Ok(self.groups.read(group_id, |shard| shard.share_group(group_id).map(read))?.done().await??)
    }

    /// What is kept of a partition.
    pub async fn state(
        &self,
        group_id: &str,
        topic_id: TopicId,
        partition: PartitionIndex,
    ) -> Result<Option<ShareState>, ErrorCode> {
        self.states.read(&share_key(group_id, topic_id, partition)).await
    }

    /// Sets offsets anew, of a group too that has had no member yet; the partitions' own error codes.
    pub async fn alter_offsets(
        &self,
        group_id: &GroupId,
        offsets: &[TopicOffsets],
    ) -> Result<BTreeMap<(TopicId, PartitionIndex), ErrorCode>, ShareGroupsError> {
        check_id(group_id)?;
        let begun = self.groups.decide(group_id, |shard, now| {
            shard.decide_share_or_new(now, group_id, |group, context| group.alter_offsets(offsets, context))
        })?;
        let OffsetsToAlter { offsets: to_alter, state_epoch } = begun.done().await??;
        let mut codes = BTreeMap::new();
        for ((topic_id, partition), offset) in to_alter {
            let altered =
                self.states.initialize(&share_key(group_id, topic_id, partition), state_epoch, offset).await;
            codes.insert((topic_id, partition), altered.err().unwrap_or(ErrorCode::None));
        }
        self.partitions.forget_group(group_id);
        let mut initialized = TopicPartitions::new();
        for (topic_id, name, of_topic) in offsets {
            let of_topic = of_topic.iter().map(|(partition, _)| *partition);
            let worked: BTreeSet<_> =
                of_topic.filter(|&partition| codes.get(&(*topic_id, partition)) == Some(&ErrorCode::None)).collect();
            if !worked.is_empty() {
                initialized.insert(*topic_id, (name.clone(), worked));
            }
        }
        // Where nothing could be set, the group may not be there.
        if !initialized.is_empty() {
            self.tell_initialized(group_id, &initialized).await?;
        }
        Ok(codes)
    }

    /// Forgets offsets of topics; those of which there was something, with their error codes.
    pub async fn delete_offsets(
        &self,
        group_id: &GroupId,
        topics: &[TopicId],
    ) -> Result<BTreeMap<TopicId, ErrorCode>, ShareGroupsError> {
        check_id(group_id)?;
        let begun = self.groups.decide(group_id, |shard, now| {
            shard.decide_share(now, group_id, |group, context| group.delete_offsets(topics, context))
        })?;
        let codes = self.delete_states(group_id, &begun.done().await??).await;
        let deleted: Vec<TopicId> =
            codes.iter().filter(|(_, code)| !code.is_error()).map(|(topic_id, _)| *topic_id).collect();
        let told = self.groups.decide(group_id, |shard, now| {
            shard.decide_share(now, group_id, |group, _| Ok(group.deleted_now(&deleted)))
        })?;
        told.done().await??;
        Ok(codes)
    }

    /// Forgets all that is kept of a share group without members, which is about to be deleted.
    pub async fn delete_state(&self, group_id: &GroupId) -> Result<(), ShareGroupsError> {
        let begun = self
            .groups
            .decide(group_id, |shard, now| shard.decide_share(now, group_id, ShareGroup::delete_all_offsets))?;
        let codes = self.delete_states(group_id, &begun.done().await??).await;
        match codes.into_values().find(|code| code.is_error()) {
            Some(code) => Err(CoordinatorError::NotWritten(code).into()),
            None => Ok(()),
        }
    }

    async fn delete_states(&self, group_id: &str, states: &StateToDelete) -> BTreeMap<TopicId, ErrorCode> {
        let mut codes = BTreeMap::new();
        for (&topic_id, (_, partitions)) in states {
            let mut code = ErrorCode::None;
            for &partition in partitions {
                if let Err(failed) = self.states.delete(&share_key(group_id, topic_id, partition)).await {
                    code = failed;
                }
            }
            codes.insert(topic_id, code);
        }
        self.partitions.forget_group(group_id);
        codes
    }
}

fn check_id(group_id: &str) -> Result<(), ShareGroupError> {
    if group_id.is_empty() { Err(ShareGroupError::EmptyGroupId) } else { Ok(()) }
}

fn share_key(group_id: &str, topic_id: TopicId, partition: PartitionIndex) -> ShareKey {
    ShareKey { group_id: group_id.to_owned(), topic_id, partition }
}
