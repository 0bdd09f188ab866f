//! Server-side assignors: who of a group gets which partitions.
//!
//! An assignor is a pure function of the members (what each is subscribed to, what each has now) and of the sizes of
//! the topics. The same input gives the same assignment on every broker and in every run: members are looked at in the
//! order of their ids, topics in the order of theirs.
//!
//! ```text
//!  GroupSpec { members: subscription + current target, topics: partition counts }
//!        │
//!        ├── uniform   every member as many as the others, what can stay stays        (the default)
//!        └── range     a contiguous range of every topic, the same range of equal topics
//!        ▼
//!  one Assignment a member, in the order of the members; an unchanged one is the very same Arc
//! ```
//! Share groups have one of their own, [`simple`]: their members may share a partition.

mod partitions;
mod range;
pub mod simple;
#[cfg(test)]
mod tests;
mod uniform;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use partitions::Assignment;

use crate::ids::{PartitionIndex, TopicId};

/// One member as an assignor sees it.
#[derive(Clone, Debug)]
pub struct MemberSpec<'a> {
    pub member_id: &'a str,
    /// Static members are known by it over restarts.
    pub instance_id: Option<&'a str>,
    /// The existing topics that the member wants, ascending and each once; members with equal subscriptions share it.
    pub topics: Arc<[TopicId]>,
    /// What the member has in the target assignment that is to be replaced.
    pub assigned: Arc<Assignment>,
}

/// What an assignor is given.
#[derive(Clone, Debug)]
pub struct GroupSpec<'a> {
    /// In the order of their ids.
    pub members: Vec<MemberSpec<'a>>,
    /// How many partitions each topic has that any member wants.
    pub partition_counts: BTreeMap<TopicId, PartitionIndex>,
}

impl GroupSpec<'_> {
    fn partition_count(&self, topic: TopicId) -> PartitionIndex {
        self.partition_counts.get(&topic).copied().unwrap_or(0)
    }

    /// Whether all members want the same topics.
    fn is_homogeneous(&self) -> bool {
        self.members
            .windows(2)
            .all(|pair| Arc::ptr_eq(&pair[0].topics, &pair[1].topics) || pair[0].topics == pair[1].topics)
    }
}

/// The assignors that a member can ask for by name (`group.consumer.assignors`, `group.remote.assignor`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Assignor {
    Uniform,
    Range,
}

impl Assignor {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Uniform => "uniform",
            Self::Range => "range",
        }
    }

    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Uniform, Self::Range].into_iter().find(|assignor| assignor.name() == name)
    }

    /// The new target of each member, in the order of the members. Every partition of a topic that somebody wants is
    /// given to exactly one of those who want it.
    pub fn assign(self, group: &GroupSpec<'_>) -> Vec<Arc<Assignment>> {
        match self {
            Self::Uniform if group.is_homogeneous() => uniform::homogeneous(group),
            Self::Uniform => uniform::heterogeneous(group),
            Self::Range => range::assign(group),
        }
    }
}
