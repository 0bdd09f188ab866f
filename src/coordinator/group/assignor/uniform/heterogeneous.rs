//! Members want different topics: loads are evened out topic by topic.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::sync::Arc;

use super::Taken;
use crate::coordinator::group::assignor::{Assignment, GroupSpec};
use crate::ids::{PartitionIndex, TopicId};

/// Topics whose subscribers overlap can hand load to and fro for long; each round about halves what is uneven.
const BALANCING_ROUNDS_MAX: usize = 16;

/// A place in `GroupSpec::members`.
type MemberIndex = usize;

pub(crate) fn heterogeneous(group: &GroupSpec<'_>) -> Vec<Arc<Assignment>> {
    let mut balancing = Balancing::new(group);
    balancing.deal_out_free();
    balancing.even_out();
    balancing.finish()
}

struct Topic {
    id: TopicId,
    /// Ascending.
    subscribers: Vec<MemberIndex>,
    /// By partition.
    owners: Vec<Option<MemberIndex>>,
}

struct Balancing<'a, 'b> {
    group: &'a GroupSpec<'b>,
    /// Those with most partitions a subscriber first: they leave the least choice.
    topics: Vec<Topic>,
    /// How many partitions each member has.
    loads: Vec<usize>,
}

impl<'a, 'b> Balancing<'a, 'b> {
    /// Takes over what members have and still want.
    fn new(group: &'a GroupSpec<'b>) -> Self {
        let mut subscribers: BTreeMap<TopicId, Vec<MemberIndex>> = BTreeMap::new();
        for (at, member) in group.members.iter().enumerate() {
            for &topic in member.topics.iter() {
                subscribers.entry(topic).or_default().push(at);
            }
        }
        let mut taken = Taken::none(group, subscribers.keys().copied());
        let mut owners: BTreeMap<TopicId, Vec<Option<MemberIndex>>> =
            taken.0.iter().map(|(&topic, partitions)| (topic, vec![None; partitions.len()])).collect();
        let mut loads = vec![0; group.members.len()];
        for (at, member) in group.members.iter().enumerate() {
            for (topic, partition) in member.assigned.iter() {
                if member.topics.binary_search(&topic).is_err() || !taken.take(topic, partition) {
                    continue;
                }
                if let Some(owner) = owners.get_mut(&topic).and_then(|owners| owners.get_mut(partition as usize)) {
                    *owner = Some(at);
                    loads[at] += 1;
                }
            }
        }
        let mut topics: Vec<Topic> = subscribers
            .into_iter()
            .map(|(id, subscribers)| Topic { id, subscribers, owners: owners.remove(&id).unwrap_or_default() })
            .collect();
        topics.sort_by(|a, b| {
            // Partitions a subscriber, descending, compared without division.
            let (left, right) = (b.owners.len() * a.subscribers.len(), a.owners.len() * b.subscribers.len());
            left.cmp(&right).then(a.subscribers.len().cmp(&b.subscribers.len())).then(a.id.cmp(&b.id))
        });
        Self { group, topics, loads }
    }

    /// Gives every free partition to the subscriber with the least load.
    fn deal_out_free(&mut self) {
        for topic in &mut self.topics {
            if topic.owners.iter().all(Option::is_some) {
                continue;
            }
            let mut least: BinaryHeap<_> =
                topic.subscribers.iter().map(|&member| Reverse((self.loads[member], member))).collect();
            for owner in topic.owners.iter_mut().filter(|owner| owner.is_none()) {
                let Some(mut top) = least.peek_mut() else { break };
                let Reverse((load, member)) = *top;
                *top = Reverse((load + 1, member));
                *owner = Some(member);
                self.loads[member] += 1;
            }
        }
    }

    /// Goes over the topics until a whole round moves nothing.
    fn even_out(&mut self) {
        for _ in 0..BALANCING_ROUNDS_MAX {
            let mut moved = false;
            for topic in self.topics.iter_mut().filter(|topic| topic.subscribers.len() > 1) {
                moved |= even_out_topic(topic, &mut self.loads);
            }
            if !moved {
                return;
            }
        }
    }

    fn finish(self) -> Vec<Arc<Assignment>> {
        let mut partitions: Vec<BTreeMap<TopicId, Vec<PartitionIndex>>> =
            vec![BTreeMap::new(); self.group.members.len()];
        for topic in &self.topics {
            for (partition, owner) in topic.owners.iter().enumerate() {
                if let Some(owner) = owner {
                    partitions[*owner].entry(topic.id).or_default().push(partition as PartitionIndex);
                }
            }
        }
        partitions
            .into_iter()
            .zip(&self.group.members)
            .map(|(mine, member)| {
                let mut new = Assignment::new();
                for (topic, partitions) in mine {
                    new.set_topic(topic, partitions);
                }
                if new == *member.assigned { Arc::clone(&member.assigned) } else { Arc::new(new) }
            })
            .collect()
    }
}

/// Moves partitions of one topic from its most to its least loaded subscribers until they differ by one at most, or
/// those with more load have none of this topic left. True if anything moved.
fn even_out_topic(topic: &mut Topic, loads: &mut [usize]) -> bool {
    let load_of = |member: &MemberIndex| loads[*member];
    let (least, most) = (topic.subscribers.iter().map(load_of).min(), topic.subscribers.iter().map(load_of).max());
    if most.unwrap_or(0) - least.unwrap_or(0) <= 1 {
        return false;
    }
    let mut owned: BTreeMap<MemberIndex, Vec<usize>> = BTreeMap::new();
    for (partition, owner) in topic.owners.iter().enumerate() {
        if let Some(owner) = owner {
            owned.entry(*owner).or_default().push(partition);
        }
    }
    let mut by_load: BTreeSet<(usize, MemberIndex)> =
        topic.subscribers.iter().map(|&member| (loads[member], member)).collect();
    let mut givers: BTreeSet<(usize, MemberIndex)> = owned.keys().map(|&member| (loads[member], member)).collect();
    let mut moved = false;
    while let (Some(&(most, giver)), Some(&(least, taker))) = (givers.last(), by_load.first()) {
        if most - least.min(most) <= 1 {
            break;
        }
        givers.remove(&(most, giver));
        let Some(partition) = owned.get_mut(&giver).and_then(Vec::pop) else { continue };
        by_load.remove(&(most, giver));
        by_load.remove(&(least, taker));
        loads[giver] -= 1;
        loads[taker] += 1;
        topic.owners[partition] = Some(taker);
        by_load.insert((loads[giver], giver));
        by_load.insert((loads[taker], taker));
        // A taker gives nothing back in the same round: the gap that made it a taker only closes.
        if owned.get(&giver).is_some_and(|rest| !rest.is_empty()) {
            givers.insert((loads[giver], giver));
        }
        if givers.remove(&(least, taker)) {
            givers.insert((loads[taker], taker));
        }
        moved = true;
    }
    moved
}
