//! A set of partitions, by topic.

use std::collections::BTreeMap;

use crate::ids::{PartitionIndex, TopicId};

/// Partitions by topic: topics without any are absent, the partitions of a topic are ascending.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Assignment(BTreeMap<TopicId, Vec<PartitionIndex>>);

impl Assignment {
    pub const fn new() -> Self {
        Self(BTreeMap::new())
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The number of partitions.
    pub fn len(&self) -> usize {
        self.0.values().map(Vec::len).sum()
    }

    pub fn contains(&self, topic: TopicId, partition: PartitionIndex) -> bool {
        self.partitions(topic).binary_search(&partition).is_ok()
    }

    pub fn contains_topic(&self, topic: TopicId) -> bool {
        self.0.contains_key(&topic)
    }

    /// The partitions of one topic, ascending.
    pub fn partitions(&self, topic: TopicId) -> &[PartitionIndex] {
        self.0.get(&topic).map_or(&[], Vec::as_slice)
    }

    /// Topics in the order of their ids, each with its partitions.
    pub fn topics(&self) -> impl ExactSizeIterator<Item = (TopicId, &[PartitionIndex])> {
        self.0.iter().map(|(&topic, partitions)| (topic, partitions.as_slice()))
    }

    pub fn iter(&self) -> impl Iterator<Item = (TopicId, PartitionIndex)> {
        self.topics().flat_map(|(topic, partitions)| partitions.iter().map(move |&partition| (topic, partition)))
    }

    /// Adds a partition; false if it was there.
    pub fn insert(&mut self, topic: TopicId, partition: PartitionIndex) -> bool {
        let partitions = self.0.entry(topic).or_default();
        // Partitions mostly come in order.
        if partitions.last().is_none_or(|&last| last < partition) {
            partitions.push(partition);
            return true;
        }
        match partitions.binary_search(&partition) {
            Ok(_) => false,
            Err(at) => {
                partitions.insert(at, partition);
                true
            }
        }
    }

    /// Takes a partition out; false if it was not there.
    pub fn remove(&mut self, topic: TopicId, partition: PartitionIndex) -> bool {
        let Some(partitions) = self.0.get_mut(&topic) else { return false };
        let Ok(at) = partitions.binary_search(&partition) else { return false };
        partitions.remove(at);
        if partitions.is_empty() {
            self.0.remove(&topic);
        }
        true
    }

    /// Replaces the partitions of a topic by a sorted list.
    pub(super) fn set_topic(&mut self, topic: TopicId, partitions: Vec<PartitionIndex>) {
        debug_assert!(partitions.is_sorted());
        if partitions.is_empty() {
            self.0.remove(&topic);
        } else {
            self.0.insert(topic, partitions);
        }
    }
}

impl FromIterator<(TopicId, PartitionIndex)> for Assignment {
    fn from_iter<T: IntoIterator<Item = (TopicId, PartitionIndex)>>(partitions: T) -> Self {
        let mut assignment = Self::new();
        for (topic, partition) in partitions {
            assignment.insert(topic, partition);
        }
        assignment
    }
}
