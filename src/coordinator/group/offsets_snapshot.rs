//! How far groups have read, for whoever watches the broker.

use std::sync::Arc;

use super::coordinator::GroupCoordinator;
use super::group_shard::{Group, GroupId, GroupShard};
use super::offsets::GroupOffsets;
use crate::ids::{Offset, TopicName};
use crate::metrics::{CommittedSnapshot, GROUP_SERIES_MAX, GroupOffsetsSnapshot, GroupSnapshot};

impl GroupCoordinator {
    /// What the groups of every shard that is loaded have committed; what the log has not yet may be among it.
    pub fn offsets_snapshot(&self) -> GroupOffsetsSnapshot {
        let counts = self.look(|shard| (shard.groups().len(), shard.offsets().len()));
        let (groups, offsets) = counts.iter().fold((0, 0), |sum, counts| (sum.0 + counts.0, sum.1 + counts.1));
        // Not even collected where there are too many to be shown.
        let is_shown = groups <= GROUP_SERIES_MAX && offsets <= GROUP_SERIES_MAX;
        let groups = is_shown.then(|| self.look(GroupShard::group_snapshots).into_iter().flatten().collect());
        GroupOffsetsSnapshot { offsets, groups }
    }
}

impl GroupShard {
    fn group_snapshots(&self) -> Vec<GroupSnapshot> {
        let known = self.groups().map(|(group_id, group)| (Arc::clone(group_id), group.member_count()));
        let simple = self.simple_groups().map(|group_id| (GroupId::from(group_id), 0));
        known.chain(simple).map(|(group_id, members)| self.group_snapshot(group_id, members)).collect()
    }

    fn group_snapshot(&self, group_id: GroupId, members: usize) -> GroupSnapshot {
        let offsets = self.offsets().of_group(&group_id).into_iter().flat_map(GroupOffsets::iter);
        let committed = offsets.map(|(topic, partition, committed)| CommittedSnapshot {
            topic: TopicName::clone(topic),
            partition,
            offset: Offset(committed.offset),
            readable: None,
        });
        GroupSnapshot { committed: committed.collect(), group_id, members }
    }
}

impl Group {
    fn member_count(&self) -> usize {
        match self {
            Self::Classic(group) => group.member_count(),
            Self::Consumer(group) => group.members().count(),
            Self::Share(group) => group.members().len(),
        }
    }
}
