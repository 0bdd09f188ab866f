//! The range assignor: every subscriber of a topic gets a contiguous range of its partitions.
//!
//! Members are lined up once for all topics: static members first, by instance id, then the others by member id. So
//! topics of equal size with equal subscribers are cut at the same places (co-partitioning, what joins need), and a
//! static member that comes back under a new member id gets its old ranges.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Assignment, GroupSpec};
use crate::ids::{PartitionIndex, TopicId};

/// How the partitions of one topic are dealt out, from the first member in line to the last.
struct Dealing {
    /// What every subscriber gets at least.
    quota: PartitionIndex,
    /// How many of the first subscribers get one more.
    extra: PartitionIndex,
    next: PartitionIndex,
}

impl Dealing {
    fn new(partitions: PartitionIndex, subscribers: PartitionIndex) -> Self {
        Self { quota: partitions / subscribers, extra: partitions % subscribers, next: 0 }
    }

    fn next_range(&mut self) -> std::ops::Range<PartitionIndex> {
        let first = self.next;
        self.next += self.quota;
        if self.extra > 0 {
            self.extra -= 1;
            self.next += 1;
        }
        first..self.next
    }
}

pub(super) fn assign(group: &GroupSpec<'_>) -> Vec<Arc<Assignment>> {
    let mut subscribers: BTreeMap<TopicId, PartitionIndex> = BTreeMap::new();
    for topic in group.members.iter().flat_map(|member| member.topics.iter()) {
        *subscribers.entry(*topic).or_default() += 1;
    }
    let mut dealings: BTreeMap<TopicId, Dealing> = subscribers
        .iter()
        .map(|(&topic, &count)| (topic, Dealing::new(group.partition_count(topic), count)))
        .collect();

    let mut assignments = vec![Assignment::new(); group.members.len()];
    for at in members_in_line(group) {
        for &topic in group.members[at].topics.iter() {
            let Some(dealing) = dealings.get_mut(&topic) else { continue };
            assignments[at].set_topic(topic, dealing.next_range().collect());
        }
    }
    assignments
        .into_iter()
        .zip(&group.members)
        .map(|(new, member)| if new == *member.assigned { Arc::clone(&member.assigned) } else { Arc::new(new) })
        .collect()
}

fn members_in_line(group: &GroupSpec<'_>) -> Vec<usize> {
    let mut line: Vec<usize> = (0..group.members.len()).collect();
    line.sort_by_key(|&at| {
        let member = &group.members[at];
        (member.instance_id.is_none(), member.instance_id, member.member_id)
    });
    line
}
