//! Offsets by group, topic and partition, in little room: a busy shard holds millions.

use std::collections::HashSet;
use std::sync::Arc;

use indexmap::IndexMap;

use crate::coordinator::group::records::OffsetCommitValue;
use crate::ids::{Offset, PartitionIndex, TopicId, TopicName};
use crate::time::TimestampMs;

/// An offset that a group committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommittedOffset {
    /// The next offset that the group will read.
    pub offset: i64,
    /// The epoch of the last record that was read, or -1.
    pub leader_epoch: i32,
    /// What the client wanted kept.
    pub metadata: Box<str>,
    pub commit_timestamp_ms: TimestampMs,
    /// When the offset expires whatever becomes of the group.
    pub expire_timestamp_ms: Option<TimestampMs>,
    /// Zero where it is unknown.
    pub topic_id: TopicId,
    /// Where the record lies that said so.
    pub record_offset: Offset,
}

impl CommittedOffset {
    pub(super) fn from_record(value: OffsetCommitValue, record_offset: Offset) -> Self {
        Self {
            offset: value.offset,
            leader_epoch: value.leader_epoch,
            metadata: value.metadata.into_boxed_str(),
            commit_timestamp_ms: value.commit_timestamp_ms,
            expire_timestamp_ms: value.expire_timestamp_ms,
            topic_id: value.topic_id,
            record_offset,
        }
    }
}

/// The offsets of one group, by topic.
#[derive(Debug, Default)]
pub struct GroupOffsets {
    topics: Vec<(TopicName, TopicOffsets)>,
}

/// The offsets of one topic's partitions, by partition.
#[derive(Debug, Default)]
struct TopicOffsets(Vec<(PartitionIndex, CommittedOffset)>);

impl GroupOffsets {
    pub fn get(&self, topic: &str, partition: PartitionIndex) -> Option<&CommittedOffset> {
        self.topic(topic)?.get(partition)
    }

    /// Every offset, by topic and partition.
    pub fn iter(&self) -> impl Iterator<Item = (&TopicName, PartitionIndex, &CommittedOffset)> {
        let topics = self.topics();
        topics.flat_map(|(topic, offsets)| offsets.map(move |(partition, offset)| (topic, partition, offset)))
    }

    pub fn count(&self) -> usize {
        self.topics.iter().map(|(_, offsets)| offsets.0.len()).sum()
    }

    /// The topics, each with the offsets of its partitions.
    pub fn topics(
        &self,
    ) -> impl Iterator<Item = (&TopicName, impl Iterator<Item = (PartitionIndex, &CommittedOffset)>)> {
        self.topics.iter().map(|(topic, offsets)| (topic, offsets.iter()))
    }

    /// The offsets of one topic's partitions.
    pub fn of_topic(&self, topic: &str) -> impl Iterator<Item = (PartitionIndex, &CommittedOffset)> {
        self.topic(topic).into_iter().flat_map(TopicOffsets::iter)
    }

    fn place(&self, topic: &str) -> Result<usize, usize> {
        self.topics.binary_search_by(|(name, _)| (**name).cmp(topic))
    }

    fn topic(&self, topic: &str) -> Option<&TopicOffsets> {
        self.place(topic).ok().map(|place| &self.topics[place].1)
    }

    /// Whether there was none before.
    fn insert(&mut self, topic: TopicName, partition: PartitionIndex, offset: CommittedOffset) -> bool {
        let place = self.place(&topic).unwrap_or_else(|place| {
            if self.topics.is_empty() {
                // Most groups read one topic: no room ahead for the first.
                self.topics.reserve_exact(1);
            }
            self.topics.insert(place, (topic, TopicOffsets::default()));
            place
        });
        self.topics[place].1.insert(partition, offset)
    }

    /// The topic's name, if the offset was there.
    fn remove(&mut self, topic: &str, partition: PartitionIndex) -> Option<TopicName> {
        let place = self.place(topic).ok()?;
        let (name, offsets) = &mut self.topics[place];
        offsets.remove(partition)?;
        let name = TopicName::clone(name);
        if offsets.0.is_empty() {
            self.topics.remove(place);
        }
        Some(name)
    }
}

impl TopicOffsets {
    fn iter(&self) -> impl Iterator<Item = (PartitionIndex, &CommittedOffset)> {
        self.0.iter().map(|(partition, offset)| (*partition, offset))
    }

    fn place(&self, partition: PartitionIndex) -> Result<usize, usize> {
        self.0.binary_search_by_key(&partition, |(partition, _)| *partition)
    }

    fn get(&self, partition: PartitionIndex) -> Option<&CommittedOffset> {
        self.place(partition).ok().map(|place| &self.0[place].1)
    }

    /// Whether there was none before.
    fn insert(&mut self, partition: PartitionIndex, offset: CommittedOffset) -> bool {
        match self.place(partition) {
            Ok(place) => {
                self.0[place].1 = offset;
                false
            }
            Err(place) => {
                if self.0.is_empty() {
                    // Most topics of most groups have few partitions: no room ahead for the first.
                    self.0.reserve_exact(1);
                }
                self.0.insert(place, (partition, offset));
                true
            }
        }
    }

    fn remove(&mut self, partition: PartitionIndex) -> Option<CommittedOffset> {
        self.place(partition).ok().map(|place| self.0.remove(place).1)
    }
}

/// Offsets of groups. In the order of their first commits, so that a replay gives the same decisions.
#[derive(Debug, Default)]
pub(super) struct OffsetsByGroup {
    groups: IndexMap<Box<str>, GroupOffsets>,
    count: usize,
}

impl OffsetsByGroup {
    pub(super) fn get(&self, group_id: &str, topic: &str, partition: PartitionIndex) -> Option<&CommittedOffset> {
        self.groups.get(group_id)?.get(topic, partition)
    }

    pub(super) fn group(&self, group_id: &str) -> Option<&GroupOffsets> {
        self.groups.get(group_id)
    }

    pub(super) fn groups(&self) -> impl Iterator<Item = (&str, &GroupOffsets)> {
        self.groups.iter().map(|(group_id, offsets)| (&**group_id, offsets))
    }

    pub(super) fn len(&self) -> usize {
        self.count
    }

    pub(super) fn insert(
        &mut self,
        group_id: &str,
        topic: TopicName,
        partition: PartitionIndex,
        offset: CommittedOffset,
    ) {
        if !self.groups.contains_key(group_id) {
            self.groups.insert(group_id.into(), GroupOffsets::default());
        }
        self.count += usize::from(self.groups[group_id].insert(topic, partition, offset));
    }

    /// Removes an offset, if it is there; the topic's name, which somebody may still use.
    pub(super) fn remove(&mut self, group_id: &str, topic: &str, partition: PartitionIndex) -> Option<TopicName> {
        let group = self.groups.get_mut(group_id)?;
        let name = group.remove(topic, partition)?;
        self.count -= 1;
        if group.topics.is_empty() {
            self.groups.swap_remove(group_id);
        }
        Some(name)
    }

    pub(super) fn into_offsets(self) -> impl Iterator<Item = (Box<str>, TopicName, PartitionIndex, CommittedOffset)> {
        self.groups.into_iter().flat_map(|(group_id, group)| {
            group.topics.into_iter().flat_map(move |(topic, offsets)| {
                let group_id = group_id.clone();
                let offsets = offsets.0.into_iter();
                offsets.map(move |(partition, offset)| (group_id.clone(), topic.clone(), partition, offset))
            })
        })
    }
}

/// Each topic's name once, however many groups read the topic.
#[derive(Debug, Default)]
pub(super) struct TopicNames(HashSet<TopicName>);

impl TopicNames {
    pub(super) fn get(&mut self, name: &str) -> TopicName {
        if let Some(known) = self.0.get(name) {
            return TopicName::clone(known);
        }
        let new = TopicName::from(name);
        self.0.insert(TopicName::clone(&new));
        new
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Forgets a name that nobody has but this and the caller.
    pub(super) fn release(&mut self, name: &TopicName) {
        if Arc::strong_count(name) == 2 {
            self.0.remove(name);
        }
    }
}
