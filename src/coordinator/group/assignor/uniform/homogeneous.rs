//! All members want the same topics: quotas decide.

use std::sync::Arc;

use super::Taken;
use crate::coordinator::group::assignor::{Assignment, GroupSpec, MemberSpec};
use crate::ids::{PartitionIndex, TopicId};

/// Every member keeps what fits its quota; what is free goes to those below theirs.
///
/// With `p` partitions and `n` members the quota is `p / n`, and `p % n` members may have one more: first those that
/// have so many already, so that nothing moves without need.
pub(crate) fn homogeneous(group: &GroupSpec<'_>) -> Vec<Arc<Assignment>> {
    let Some(first) = group.members.first() else { return Vec::new() };
    let topics = &first.topics;
    let partitions: usize = topics.iter().map(|&topic| group.partition_count(topic).max(0) as usize).sum();
    let quota = partitions / group.members.len();
    let mut extra = partitions % group.members.len();

    let mut taken = Taken::none(group, topics.iter().copied());
    let mut kept: Vec<Vec<(TopicId, PartitionIndex)>> = Vec::with_capacity(group.members.len());
    for member in &group.members {
        // One more than the quota may turn out to be too many; those are cut below.
        let mut mine = Vec::with_capacity(member.assigned.len().min(quota + 1));
        let allowed = quota + usize::from(extra > 0);
        for (topic, partition) in member.assigned.iter() {
            if mine.len() < allowed && taken.take(topic, partition) {
                mine.push((topic, partition));
            }
        }
        extra -= usize::from(mine.len() > quota);
        kept.push(mine);
    }

    let mut free = taken.free();
    for mine in &mut kept {
        let mut wanted = quota.saturating_sub(mine.len());
        if mine.len() <= quota && extra > 0 {
            extra -= 1;
            wanted += 1;
        }
        mine.extend(free.by_ref().take(wanted));
    }
    debug_assert!(free.next().is_none(), "quotas add up to all partitions");
    kept.into_iter().zip(&group.members).map(|(mine, member)| build(mine, member)).collect()
}

fn build(partitions: Vec<(TopicId, PartitionIndex)>, member: &MemberSpec<'_>) -> Arc<Assignment> {
    let unchanged = partitions.len() == member.assigned.len()
        && partitions.iter().all(|&(topic, partition)| member.assigned.contains(topic, partition));
    if unchanged { Arc::clone(&member.assigned) } else { Arc::new(partitions.into_iter().collect()) }
}
