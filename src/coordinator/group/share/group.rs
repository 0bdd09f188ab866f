//! The state of a share group: what its records say.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::context::ShareSoftChange;
use super::partitions::{InitializingSince, StatePartitions, TopicPartitions};
use crate::coordinator::group::assignor::Assignment;
use crate::ids::{PartitionIndex, TopicId, TopicName};
use crate::time::TimestampMs;

/// Where a share group stands, as the tools show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ShareGroupState {
    Empty,
    Stable,
    Dead,
}

impl ShareGroupState {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::Stable => "Stable",
            Self::Dead => "Dead",
        }
    }
}

/// A member of a share group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShareMember {
    pub member_id: Arc<str>,
    /// The assignment epoch that the member has reached.
    pub member_epoch: i32,
    /// The one before, which a member that missed the last reply still sends.
    pub previous_member_epoch: i32,
    pub rack_id: Option<Arc<str>>,
    pub client_id: Arc<str>,
    pub client_host: Arc<str>,
    /// Sorted, each once.
    pub subscribed_topic_names: Arc<[TopicName]>,
    pub assigned: Arc<Assignment>,
}

/// A share group.
///
/// Hard state is what records say and changes in [`ShareGroup::apply`] only; sessions are soft.
#[derive(Clone, Debug)]
pub struct ShareGroup {
    pub(super) group_id: Arc<str>,
    /// Grows whenever a subscription, a topic or the partitions that may be assigned change.
    pub(super) group_epoch: i32,
    pub(super) metadata_hash: i64,
    /// The group epoch that the target assignment is of.
    pub(super) assignment_epoch: i32,
    pub(super) assignment_timestamp_ms: TimestampMs,
    pub(super) members: BTreeMap<Arc<str>, Arc<ShareMember>>,
    pub(super) target: BTreeMap<Arc<str>, Arc<Assignment>>,
    pub(super) partitions: StatePartitions,
    /// When members that are not heard of any more are given up.
    pub(super) sessions: BTreeMap<Arc<str>, Duration>,
    /// In this version of the metadata nothing is to be done for a member that has what its target says.
    pub(super) settled_in: Option<i64>,
    pub(super) initializing_since: InitializingSince,
}

impl ShareGroup {
    pub fn new(group_id: Arc<str>) -> Self {
        Self {
            group_id,
            group_epoch: 0,
            metadata_hash: 0,
            assignment_epoch: 0,
            assignment_timestamp_ms: 0,
            members: BTreeMap::new(),
            target: BTreeMap::new(),
            partitions: StatePartitions::default(),
            sessions: BTreeMap::new(),
            settled_in: None,
            initializing_since: InitializingSince::default(),
        }
    }

    pub fn group_id(&self) -> &Arc<str> {
        &self.group_id
    }

    pub fn group_epoch(&self) -> i32 {
        self.group_epoch
    }

    pub fn assignment_epoch(&self) -> i32 {
        self.assignment_epoch
    }

    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    pub fn state(&self) -> ShareGroupState {
        if self.is_empty() { ShareGroupState::Empty } else { ShareGroupState::Stable }
    }

    /// In the order of their ids.
    pub fn members(&self) -> impl ExactSizeIterator<Item = &Arc<ShareMember>> {
        self.members.values()
    }

    pub fn member(&self, member_id: &str) -> Option<&Arc<ShareMember>> {
        self.members.get(member_id)
    }

    /// The partitions of which the share coordinator keeps the state.
    pub fn initialized(&self) -> &TopicPartitions {
        &self.partitions.initialized
    }

    pub(super) fn is_initialized(&self, topic: TopicId, partition: PartitionIndex) -> bool {
        super::partitions::contains(&self.partitions.initialized, topic, partition)
    }

    /// The names of all topics that members want.
    pub(super) fn subscribed_topic_names(&self) -> BTreeSet<&TopicName> {
        self.members.values().flat_map(|member| member.subscribed_topic_names.iter()).collect()
    }

    /// Whether any member wants the topic.
    pub fn is_subscribed_to(&self, topic: &str) -> bool {
        self.members.values().any(|member| member.subscribed_topic_names.iter().any(|name| **name == *topic))
    }

    pub fn apply_soft(&mut self, change: ShareSoftChange) {
        match change {
            ShareSoftChange::Session { member_id, deadline } => {
                self.sessions.insert(member_id, deadline);
            }
            ShareSoftChange::Settled { version } => self.settled_in = Some(version),
            ShareSoftChange::Initializing { partitions, since } => self.initializing_since.begin(&partitions, since),
        }
    }

    /// When a member that is not heard of is given up.
    pub(super) fn session_deadline(&self, member_id: &str) -> Option<Duration> {
        self.sessions.get(member_id).copied()
    }
}
