//! The uniform assignor: loads differ by one partition at most, and within that, what a member has it keeps.
//!
//! Where all members want the same topics, quotas alone decide ([`mod@homogeneous`]). Otherwise loads are evened out topic by
//! topic ([`mod@heterogeneous`]).

mod heterogeneous;
mod homogeneous;

pub(super) use heterogeneous::heterogeneous;
pub(super) use homogeneous::homogeneous;

use std::collections::BTreeMap;

use super::GroupSpec;
use crate::ids::{PartitionIndex, TopicId};

/// Which partitions of the wanted topics somebody has already.
struct Taken(BTreeMap<TopicId, Vec<bool>>);

impl Taken {
    fn none(group: &GroupSpec<'_>, topics: impl Iterator<Item = TopicId>) -> Self {
        Self(topics.map(|topic| (topic, vec![false; group.partition_count(topic).max(0) as usize])).collect())
    }

    /// False if the partition does not exist, is of a topic nobody wants, or somebody else has it: two members with
    /// one partition in the old target are not taken over into the new one.
    fn take(&mut self, topic: TopicId, partition: PartitionIndex) -> bool {
        let place = usize::try_from(partition).ok().and_then(|at| self.0.get_mut(&topic)?.get_mut(at));
        match place {
            Some(taken) if !*taken => {
                *taken = true;
                true
            }
            _ => false,
        }
    }

    fn free(&self) -> impl Iterator<Item = (TopicId, PartitionIndex)> {
        self.0.iter().flat_map(|(&topic, taken)| {
            let free = taken.iter().enumerate().filter(|(_, taken)| !**taken);
            free.map(move |(at, _)| (topic, at as PartitionIndex))
        })
    }
}
