//! Which partitions a share group has state of.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::ids::{PartitionIndex, TopicId, TopicName};

/// Partitions by topic, with the topic's name of when they were named.
pub type TopicPartitions = BTreeMap<TopicId, (TopicName, BTreeSet<PartitionIndex>)>;

/// The partitions that a group has begun to read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct StatePartitions {
    /// The share coordinator was asked, or is about to be.
    pub(super) initializing: TopicPartitions,
    /// The share coordinator has their state: they may be assigned.
    pub(super) initialized: TopicPartitions,
    pub(super) deleting: BTreeMap<TopicId, TopicName>,
}

impl StatePartitions {
    pub(super) fn is_empty(&self) -> bool {
        self.initializing.is_empty() && self.initialized.is_empty() && self.deleting.is_empty()
    }

    /// Moves partitions on from being initialized; others are taken in too.
    pub(super) fn set_initialized(&mut self, partitions: &TopicPartitions) {
        remove(&mut self.initializing, partitions);
        add(&mut self.initialized, partitions);
    }

    /// Forgets a topic.
    pub(super) fn forget(&mut self, topic: TopicId) {
        self.initializing.remove(&topic);
        self.initialized.remove(&topic);
        self.deleting.remove(&topic);
    }

    /// Every partition of which the share coordinator may have state.
    pub(super) fn all(&self) -> TopicPartitions {
        let mut all = self.initialized.clone();
        add(&mut all, &self.initializing);
        all
    }
}

pub(super) fn contains(partitions: &TopicPartitions, topic: TopicId, partition: PartitionIndex) -> bool {
    partitions.get(&topic).is_some_and(|(_, partitions)| partitions.contains(&partition))
}

pub(super) fn add(to: &mut TopicPartitions, more: &TopicPartitions) {
    for (&topic, (name, partitions)) in more {
        to.entry(topic).or_insert_with(|| (name.clone(), BTreeSet::new())).1.extend(partitions);
    }
}

fn remove(from: &mut TopicPartitions, those: &TopicPartitions) {
    for (topic, (_, partitions)) in those {
        if let Some((_, had)) = from.get_mut(topic) {
            had.retain(|partition| !partitions.contains(partition));
            if had.is_empty() {
                from.remove(topic);
            }
        }
    }
}

/// Since when partitions are being initialized: soft state. After a while it is tried again.
#[derive(Clone, Debug, Default)]
pub(super) struct InitializingSince(BTreeMap<(TopicId, PartitionIndex), Duration>);

impl InitializingSince {
    pub(super) fn begin(&mut self, partitions: &TopicPartitions, since: Duration) {
        for (&topic, (_, partitions)) in partitions {
            self.0.extend(partitions.iter().map(|&partition| ((topic, partition), since)));
        }
    }

    /// It has begun, and not so long ago that it must have failed.
    pub(super) fn is_under_way(&self, topic: TopicId, partition: PartitionIndex, after: Duration) -> bool {
        self.0.get(&(topic, partition)).is_some_and(|&since| since > after)
    }

    pub(super) fn forget_all_but(&mut self, partitions: &TopicPartitions) {
        self.0.retain(|&(topic, partition), _| contains(partitions, topic, partition));
    }
}
