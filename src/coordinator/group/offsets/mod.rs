//! The committed offsets of all groups of a shard.
//!
//! Owns: which group committed what, what open transactions are about to commit, and the rules by which offsets are
//! committed, fetched, deleted and forgotten. Pure.
//! Never does: know who is a member. A group of each type answers for itself, as a [`CommittingGroup`].
//!
//! ```text
//!  OffsetCommit ─▶ commit ─▶ records ─▶ log ─▶ apply ─▶ committed ◀── commit_transaction
//!                                               │                          ▲
//!                                               └─ of a transaction ─▶ open ┘
//!  OffsetDelete, DeleteGroups, a deleted topic, expiry ─▶ tombstones ─▶ log ─▶ apply
//! ```
//! Offsets of a transaction count once its marker says so (KIP-98). Compaction may leave an older commit behind a newer
//! one's marker, so each offset knows where its record lies, and the later record wins.

mod commit;
mod committing_group;
mod delete;
mod expiry;
mod fetch;
mod store;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap};

pub use self::committing_group::{CommitCheck, CommittingGroup, SimpleGroup};
pub use self::delete::DeletedTopic;
pub use self::expiry::{ExpiredOffsets, OffsetExpiry};
pub use self::fetch::nothing_committed;
pub use self::store::{CommittedOffset, GroupOffsets};
use self::store::{OffsetsByGroup, TopicNames};
use crate::coordinator::group::records::{OffsetCommitKey, OffsetCommitValue};
use crate::ids::{Offset, PartitionIndex, ProducerId};

/// The committed offsets of all groups of a shard.
#[derive(Debug, Default)]
pub struct Offsets {
    committed: OffsetsByGroup,
    /// What transactions that are still open are about to commit.
    open: BTreeMap<ProducerId, OffsetsByGroup>,
    /// Which producers have open transactions with a group's offsets; the groups of `open` the other way round.
    open_by_group: HashMap<Box<str>, BTreeSet<ProducerId>>,
    topics: TopicNames,
}

impl Offsets {
    /// Takes in a record that lies at `record_offset`, maybe as a part of a transaction of `transaction_of`. No value
    /// is a tombstone.
    pub fn apply(
        &mut self,
        key: OffsetCommitKey,
        value: Option<OffsetCommitValue>,
        record_offset: Offset,
        transaction_of: Option<ProducerId>,
    ) {
        let OffsetCommitKey { group_id, topic, partition } = key;
        let Some(value) = value else {
            self.forget(&group_id, &topic, partition);
            return;
        };
        let topic = self.topics.get(&topic);
        let offset = CommittedOffset::from_record(value, record_offset);
        let Some(producer) = transaction_of else {
            self.committed.insert(&group_id, topic, partition, offset);
            return;
        };
        self.open.entry(producer).or_default().insert(&group_id, topic, partition, offset);
        self.open_by_group.entry(group_id.into()).or_default().insert(producer);
    }

    /// The transaction of `producer` is committed: its offsets count, but where a later record says otherwise.
    pub fn commit_transaction(&mut self, producer: ProducerId) {
        let Some(offsets) = self.end_transaction(producer) else { return };
        for (group_id, topic, partition, offset) in offsets.into_offsets() {
            let existing = self.committed.get(&group_id, &topic, partition);
            if existing.is_none_or(|existing| existing.record_offset < offset.record_offset) {
                self.committed.insert(&group_id, topic, partition, offset);
            }
        }
    }

    /// The transaction of `producer` is aborted: its offsets are forgotten.
    pub fn abort_transaction(&mut self, producer: ProducerId) {
        let Some(offsets) = self.end_transaction(producer) else { return };
        let topics: BTreeSet<_> = offsets.into_offsets().map(|(_, topic, ..)| topic).collect();
        for topic in topics {
            self.topics.release(&topic);
        }
    }

    /// The offset that the group committed for a partition.
    pub fn get(&self, group_id: &str, topic: &str, partition: PartitionIndex) -> Option<&CommittedOffset> {
        self.committed.get(group_id, topic, partition)
    }

    /// All offsets that the group committed, if there are any.
    pub fn of_group(&self, group_id: &str) -> Option<&GroupOffsets> {
        self.committed.group(group_id)
    }

    /// The groups that have committed offsets, in no particular order.
    pub fn group_ids(&self) -> impl Iterator<Item = &str> {
        self.committed.groups().map(|(group_id, _)| group_id)
    }

    /// Whether the group has offsets, committed or about to be.
    pub fn has_group(&self, group_id: &str) -> bool {
        self.committed.group(group_id).is_some() || self.has_open_transactions(group_id)
    }

    /// Whether a transaction that is still open is about to commit offsets of the group.
    pub fn has_open_transactions(&self, group_id: &str) -> bool {
        self.open_by_group.contains_key(group_id)
    }

    /// How many offsets are committed.
    pub fn len(&self) -> usize {
        self.committed.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether a transaction that is still open is about to commit an offset for the partition.
    fn is_unstable(&self, group_id: &str, topic: &str, partition: PartitionIndex) -> bool {
        self.open_offsets(group_id).any(|offsets| offsets.get(group_id, topic, partition).is_some())
    }

    /// What open transactions are about to commit for the group, transaction by transaction.
    fn open_offsets(&self, group_id: &str) -> impl Iterator<Item = &OffsetsByGroup> {
        let producers = self.open_by_group.get(group_id).into_iter().flatten();
        producers.filter_map(|producer| self.open.get(producer))
    }

    fn forget(&mut self, group_id: &str, topic: &str, partition: PartitionIndex) {
        let mut forgotten = self.committed.remove(group_id, topic, partition);
        if let Some(producers) = self.open_by_group.get_mut(group_id) {
            producers.retain(|producer| {
                let Some(offsets) = self.open.get_mut(producer) else { return false };
                if let Some(topic) = offsets.remove(group_id, topic, partition) {
                    forgotten = Some(topic);
                }
                offsets.group(group_id).is_some()
            });
            if producers.is_empty() {
                self.open_by_group.remove(group_id);
            }
        }
        if let Some(topic) = forgotten {
            self.topics.release(&topic);
        }
    }

    fn end_transaction(&mut self, producer: ProducerId) -> Option<OffsetsByGroup> {
        let offsets = self.open.remove(&producer)?;
        for (group_id, _) in offsets.groups() {
            if let Some(producers) = self.open_by_group.get_mut(group_id) {
                producers.remove(&producer);
                if producers.is_empty() {
                    self.open_by_group.remove(group_id);
                }
            }
        }
        Some(offsets)
    }
}
