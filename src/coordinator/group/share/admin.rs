//! What administrators do to a share group: set its offsets anew, delete them, delete the group. All of it only while
//! the group has no members.

use std::collections::{BTreeMap, BTreeSet};

use super::context::{ShareContext, ShareGroupError, ShareOutcome};
use super::group::ShareGroup;
use super::partitions::TopicPartitions;
use super::records;
use crate::coordinator::group::records::GroupRecord;
use crate::ids::{Offset, PartitionIndex, TopicId, TopicName};

/// Where partitions are to begin anew.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OffsetsToAlter {
    pub offsets: BTreeMap<(TopicId, PartitionIndex), Offset>,
    pub state_epoch: i32,
}

/// Where partitions of one topic are to begin.
pub type TopicOffsets = (TopicId, TopicName, Vec<(PartitionIndex, Offset)>);

/// Partitions whose state the share coordinator is to forget.
pub type StateToDelete = TopicPartitions;

impl ShareGroup {
    /// Sets offsets; the share coordinator is asked before [`ShareGroup::initialized_now`] makes it known.
    pub fn alter_offsets(
        &self,
        offsets: &[TopicOffsets],
        context: &ShareContext<'_>,
    ) -> Result<ShareOutcome<OffsetsToAlter>, ShareGroupError> {
        self.check_empty()?;
        let mut partitions = self.partitions.clone();
        let mut altered = BTreeMap::new();
        let mut topics = TopicPartitions::new();
        for (topic, name, of_topic) in offsets.iter().filter(|(_, _, of_topic)| !of_topic.is_empty()) {
            let named = of_topic.iter().map(|(partition, _)| *partition).collect();
            topics.insert(*topic, (name.clone(), named));
            altered.extend(of_topic.iter().map(|&(partition, offset)| ((*topic, partition), offset)));
        }
        super::partitions::add(&mut partitions.initializing, &topics);
        let mut outcome = ShareOutcome::reply(OffsetsToAlter { offsets: altered, state_epoch: self.group_epoch });
        if !topics.is_empty() {
            outcome.records.push(records::state_partitions(&self.group_id, &partitions));
            let since = context.now.monotonic;
            outcome.soft.push(super::ShareSoftChange::Initializing { partitions: topics, since });
        }
        Ok(outcome)
    }

    /// Marks topics as being deleted; what the share coordinator has to forget of them.
    pub fn delete_offsets(
        &self,
        topics: &[TopicId],
        context: &ShareContext<'_>,
    ) -> Result<ShareOutcome<StateToDelete>, ShareGroupError> {
        self.check_empty()?;
        let mut partitions = self.partitions.clone();
        let mut to_delete = StateToDelete::new();
        let all = self.partitions.all();
        for &topic in topics {
            let (name, of_topic) = match (all.get(&topic), self.partitions.deleting.get(&topic)) {
                (Some(known), _) => known.clone(),
                // It was tried before, and which of its partitions are left is not known.
                (None, Some(name)) => {
                    (name.clone(), (0..context.topics.partition_count(topic).unwrap_or(0)).collect())
                }
                (None, None) => continue,
            };
            partitions.forget(topic);
            partitions.deleting.insert(topic, name.clone());
            to_delete.insert(topic, (name, of_topic));
        }
        let mut outcome = ShareOutcome::reply(to_delete);
        if partitions != self.partitions {
            outcome.records.push(records::state_partitions(&self.group_id, &partitions));
        }
        Ok(outcome)
    }

    /// The share coordinator has forgotten these topics, or they do not exist any more.
    pub fn deleted_now(&self, topics: &[TopicId]) -> ShareOutcome<()> {
        let mut partitions = self.partitions.clone();
        for topic in topics {
            partitions.forget(*topic);
        }
        let mut outcome = ShareOutcome::reply(());
        if partitions != self.partitions {
            outcome.records.push(records::state_partitions(&self.group_id, &partitions));
        }
        outcome
    }

    /// Marks every topic as being deleted, before the group is; what the share coordinator has to forget first.
    pub fn delete_all_offsets(
        &self,
        context: &ShareContext<'_>,
    ) -> Result<ShareOutcome<StateToDelete>, ShareGroupError> {
        let begun = self.partitions.all().into_keys();
        let topics: BTreeSet<TopicId> = begun.chain(self.partitions.deleting.keys().copied()).collect();
        self.delete_offsets(&topics.into_iter().collect::<Vec<_>>(), context)
    }

    /// What takes the group out of the log, once it has no members.
    pub fn tombstones(&self) -> Vec<GroupRecord> {
        records::group_tombstones(&self.group_id).to_vec()
    }

    /// Nothing is left of the group: no member, no epoch, no state.
    pub fn is_gone(&self) -> bool {
        self.members.is_empty() && self.group_epoch == 0 && self.partitions.is_empty()
    }

    fn check_empty(&self) -> Result<(), ShareGroupError> {
        if self.is_empty() { Ok(()) } else { Err(ShareGroupError::NotEmpty((*self.group_id).to_owned())) }
    }
}
