//! The partitions that a member has, each with the epoch since when.

use std::collections::BTreeMap;

use crate::coordinator::group::assignor::Assignment;
use crate::ids::{PartitionIndex, TopicId};

/// Partitions by topic, each with the epoch in which the member got it: a commit from before that epoch is of an
/// earlier owner's time (KIP-1251).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OwnedPartitions(BTreeMap<TopicId, BTreeMap<PartitionIndex, i32>>);

impl OwnedPartitions {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The number of partitions.
    pub fn len(&self) -> usize {
        self.0.values().map(BTreeMap::len).sum()
    }

    pub fn contains(&self, topic: TopicId, partition: PartitionIndex) -> bool {
        self.epoch_of(topic, partition).is_some()
    }

    /// Since which epoch the member has the partition; `None`: it has it not.
    pub fn epoch_of(&self, topic: TopicId, partition: PartitionIndex) -> Option<i32> {
        self.0.get(&topic)?.get(&partition).copied()
    }

    pub fn insert(&mut self, topic: TopicId, partition: PartitionIndex, epoch: i32) {
        self.0.entry(topic).or_default().insert(partition, epoch);
    }

    /// Topics in the order of their ids, each with its partitions and their epochs.
    pub fn topics(&self) -> impl ExactSizeIterator<Item = (TopicId, &BTreeMap<PartitionIndex, i32>)> {
        self.0.iter().map(|(&topic, partitions)| (topic, partitions))
    }

    pub fn iter(&self) -> impl Iterator<Item = (TopicId, PartitionIndex, i32)> {
        self.topics().flat_map(|(topic, partitions)| {
            partitions.iter().map(move |(&partition, &epoch)| (topic, partition, epoch))
        })
    }

    /// The same partitions, all of them as if they had been assigned in `epoch`.
    pub fn with_epoch(&self, epoch: i32) -> Self {
        self.iter().map(|(topic, partition, _)| (topic, partition, epoch)).collect()
    }

    /// An assignment of which everything was given in one epoch.
    pub fn of_assignment(assignment: &Assignment, epoch: i32) -> Self {
        assignment.iter().map(|(topic, partition)| (topic, partition, epoch)).collect()
    }

    /// Without the epochs.
    pub fn to_assignment(&self) -> Assignment {
        self.iter().map(|(topic, partition, _)| (topic, partition)).collect()
    }

    /// Whether both have the same partitions, whatever their epochs.
    pub fn same_partitions(&self, other: &Self) -> bool {
        self.0.len() == other.0.len()
            && self.0.iter().zip(&other.0).all(|((topic, partitions), (other_topic, others))| {
                topic == other_topic && partitions.len() == others.len() && partitions.keys().eq(others.keys())
            })
    }
}

impl FromIterator<(TopicId, PartitionIndex, i32)> for OwnedPartitions {
    fn from_iter<T: IntoIterator<Item = (TopicId, PartitionIndex, i32)>>(partitions: T) -> Self {
        let mut owned = Self::default();
        for (topic, partition, epoch) in partitions {
            owned.insert(topic, partition, epoch);
        }
        owned
    }
}
