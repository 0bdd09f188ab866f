//! The assignor of share groups: every partition to as many members as there are to spare.
//!
//! Members of a share group may read a partition together, so no partition waits for a member, and no member idles:
//!
//! ```text
//!  2 members, 3 partitions      a: 0 2   b: 1            each partition has one member
//!  4 members, 2 partitions      a: 0   b: 1   c: 0   d: 1    each has two
//! ```
//! Members that want the same topics are balanced among each other: their numbers of partitions differ by one at most,
//! and so do the partitions' numbers of members. What can stay stays.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Assignment;
use crate::ids::{PartitionIndex, TopicId};

/// One member of a share group, as this assignor sees it.
#[derive(Clone, Debug)]
pub struct ShareMemberSpec {
    /// What the member wants of what there is, ascending and each once.
    pub topics: Arc<[TopicId]>,
    /// What the member has in the assignment that is to be replaced.
    pub assigned: Arc<Assignment>,
}

/// The name of this assignor, as clients and tools know it.
pub const NAME: &str = "simple";

/// The new target of each member, in the order of the members. `partitions` are those that may be assigned.
pub fn assign(
    members: &[ShareMemberSpec],
    partitions: &BTreeMap<TopicId, Vec<PartitionIndex>>,
) -> Vec<Arc<Assignment>> {
    let mut by_topics: BTreeMap<&[TopicId], Vec<usize>> = BTreeMap::new();
    for (index, member) in members.iter().enumerate() {
        by_topics.entry(&member.topics).or_default().push(index);
    }
    let mut targets = vec![Arc::<Assignment>::default(); members.len()];
    for (topics, alike) in by_topics {
        let wanted: Vec<(TopicId, PartitionIndex)> = topics
            .iter()
            .filter_map(|topic| partitions.get(topic).map(|partitions| (*topic, partitions)))
            .flat_map(|(topic, partitions)| partitions.iter().map(move |&partition| (topic, partition)))
            .collect();
        let before: Vec<&Assignment> = alike.iter().map(|&index| &*members[index].assigned).collect();
        for (&index, target) in alike.iter().zip(assign_alike(&before, &wanted)) {
            let unchanged = target == *members[index].assigned;
            targets[index] = if unchanged { Arc::clone(&members[index].assigned) } else { Arc::new(target) };
        }
    }
    targets
}

/// Assigns `wanted` to members that all want the same.
fn assign_alike(before: &[&Assignment], wanted: &[(TopicId, PartitionIndex)]) -> Vec<Assignment> {
    let mut targets = vec![Assignment::new(); before.len()];
    if wanted.is_empty() {
        return targets;
    }
    let sharing = before.len().div_ceil(wanted.len());
    let mut room = quotas(before, wanted.len() * sharing);
    let mut shared = vec![0; wanted.len()];
    for (member, had) in before.iter().enumerate() {
        for (place, &(topic, partition)) in wanted.iter().enumerate() {
            if room[member] > 0 && shared[place] < sharing && had.contains(topic, partition) {
                targets[member].insert(topic, partition);
                room[member] -= 1;
                shared[place] += 1;
            }
        }
    }
    // Every partition gets one member before any gets a second.
    for round in 1..=sharing {
        for (&(topic, partition), _) in wanted.iter().zip(&shared).filter(|(_, shared)| **shared < round) {
            let takes = (0..targets.len())
                .filter(|&member| room[member] > 0 && !targets[member].contains(topic, partition))
                .max_by_key(|&member| (room[member], std::cmp::Reverse(member)));
            // None: those with room have it already. It stays with fewer members.
            if let Some(member) = takes {
                targets[member].insert(topic, partition);
                room[member] -= 1;
            }
        }
        shared = wanted.iter().map(|&(topic, partition)| holders(&targets, topic, partition)).collect();
    }
    targets
}

/// How many partitions each member gets of `places`; those that had most get one more where it does not come out even.
fn quotas(before: &[&Assignment], places: usize) -> Vec<usize> {
    let mut quotas = vec![places / before.len(); before.len()];
    let mut order: Vec<usize> = (0..before.len()).collect();
    order.sort_by_key(|&member| std::cmp::Reverse(before[member].len()));
    for &member in order.iter().take(places % before.len()) {
        quotas[member] += 1;
    }
    quotas
}

fn holders(targets: &[Assignment], topic: TopicId, partition: PartitionIndex) -> usize {
    targets.iter().filter(|target| target.contains(topic, partition)).count()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    fn topic(id: u8) -> TopicId {
        TopicId(Uuid::from_u128(u128::from(id) + 1))
    }

    fn member(topics: &[u8], assigned: &Arc<Assignment>) -> ShareMemberSpec {
        ShareMemberSpec { topics: topics.iter().map(|&id| topic(id)).collect(), assigned: Arc::clone(assigned) }
    }

    fn partitions(counts: &[i32]) -> BTreeMap<TopicId, Vec<PartitionIndex>> {
        counts.iter().enumerate().map(|(id, &count)| (topic(id as u8), (0..count).collect())).collect()
    }

    #[test]
    fn what_can_stay_stays() {
        let nothing = Arc::default();
        let first = assign(&[member(&[0], &nothing), member(&[0], &nothing)], &partitions(&[4]));
        assert_eq!(first.iter().map(|target| target.len()).collect::<Vec<_>>(), [2, 2]);
        let second = assign(&[member(&[0], &first[0]), member(&[0], &first[1])], &partitions(&[4]));
        assert!(Arc::ptr_eq(&first[0], &second[0]) && Arc::ptr_eq(&first[1], &second[1]));
        let joined = [member(&[0], &first[0]), member(&[0], &first[1]), member(&[0], &nothing)];
        let third = assign(&joined, &partitions(&[4]));
        assert!(third.iter().map(|target| target.len()).eq([2, 1, 1]));
        assert!(Arc::ptr_eq(&first[0], &third[0]));
    }

    #[test]
    fn nobody_gets_what_is_not_there() {
        let targets = assign(&[member(&[1], &Arc::default())], &partitions(&[3]));
        assert!(targets[0].is_empty());
    }

    proptest! {
        #[test]
        fn all_is_assigned_and_balanced(
            wants in prop::collection::vec(1..4u8, 1..12),
            earlier in prop::collection::vec(1..4u8, 1..12),
            counts in prop::collection::vec(0..6i32, 2),
        ) {
            let topics_of = |mask: u8| (0..2).filter(|id| mask & (1 << id) != 0).collect::<Vec<u8>>();
            let partitions = partitions(&counts);
            let nothing = Arc::default();
            let before: Vec<_> = earlier.iter().map(|&mask| member(&topics_of(mask), &nothing)).collect();
            let assigned = assign(&before, &partitions);
            let members: Vec<_> = wants
                .iter()
                .enumerate()
                .map(|(index, &mask)| member(&topics_of(mask), assigned.get(index).unwrap_or(&nothing)))
                .collect();
            let targets = assign(&members, &partitions);
            for mask in 1..4 {
                let alike: Vec<_> = (0..members.len()).filter(|&index| wants[index] == mask).collect();
                let wanted: Vec<_> = topics_of(mask)
                    .into_iter()
                    .flat_map(|id| partitions[&topic(id)].iter().map(move |&partition| (topic(id), partition)))
                    .collect();
                let total: usize = alike.iter().map(|&index| targets[index].len()).sum();
                prop_assert!(alike.iter().all(|&index| targets[index].iter().all(|one| wanted.contains(&one))));
                if alike.is_empty() {
                    continue;
                }
                for &(topic, partition) in &wanted {
                    let holders = alike.iter().filter(|&&index| targets[index].contains(topic, partition)).count();
                    prop_assert!(holders >= 1, "{topic} {partition} has nobody");
                    prop_assert!(holders <= alike.len().div_ceil(wanted.len()));
                }
                let most = alike.iter().map(|&index| targets[index].len()).max().unwrap_or(0);
                prop_assert!(most <= total.div_ceil(alike.len()).max(1) + 1);
            }
        }
    }
}
