//! How far groups have read, as it is at the moment of a scrape.
//!
//! The series have the names of kafka_exporter, so that alerts on lag work without it.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::exposition::Exposition;
use super::names::{self, Family};
use crate::ids::{Offset, PartitionIndex, TopicName};

/// Above so many committed offsets, or groups, their own series are left out, the sum stays.
pub const GROUP_SERIES_MAX: usize = 10_000;

/// What the groups that this broker coordinates have committed.
#[derive(Clone, Debug, Default)]
pub struct GroupOffsetsSnapshot {
    pub offsets: usize,
    /// Every group, or `None` where there are too many of them, or of their offsets.
    pub groups: Option<Vec<GroupSnapshot>>,
}

/// One group.
#[derive(Clone, Debug)]
pub struct GroupSnapshot {
    pub group_id: Arc<str>,
    pub members: usize,
    pub committed: Vec<CommittedSnapshot>,
}

/// How far a group has read a partition.
#[derive(Clone, Debug)]
pub struct CommittedSnapshot {
    pub topic: TopicName,
    pub partition: PartitionIndex,
    pub offset: Offset,
    /// Where the partition's readable records begin and end, if it is led here.
    pub readable: Option<(Offset, Offset)>,
}

impl CommittedSnapshot {
    /// The records that the group has yet to read. Those that are gone do not count; and there are never fewer than
    /// none, also where the group has committed what lies beyond the end.
    fn lag(&self) -> Option<i64> {
        let (start, end) = self.readable?;
        Some((end - self.offset.max(start)).max(0))
    }
}

impl GroupOffsetsSnapshot {
    pub(super) fn render(&self, out: &mut Exposition) {
        out.single(&names::GROUP_OFFSETS, self.offsets);
        let Some(groups) = &self.groups else {
            out.comment(&format!("series per group are left out: {} committed offsets", self.offsets));
            return;
        };
        out.family(&names::GROUP_MEMBERS);
        for group in groups {
            out.sample(&names::GROUP_MEMBERS, &[("consumergroup", &group.group_id)], group.members);
        }
        render_committed(out, groups, (&names::GROUP_OFFSET, &names::GROUP_OFFSET_SUM), |at| Some(at.offset.0));
        render_committed(out, groups, (&names::GROUP_LAG, &names::GROUP_LAG_SUM), CommittedSnapshot::lag);
    }
}

/// A value of each partition, and its sum for each topic.
fn render_committed(
    out: &mut Exposition,
    groups: &[GroupSnapshot],
    (each, sum): (&Family, &Family),
    value: impl Fn(&CommittedSnapshot) -> Option<i64>,
) {
    let mut sums: BTreeMap<(&str, &str), i64> = BTreeMap::new();
    out.family(each);
    for group in groups {
        for at in &group.committed {
            let Some(value) = value(at) else { continue };
            let (group_id, topic, partition) = (&*group.group_id, &*at.topic, at.partition.to_string());
            let labels = [("consumergroup", group_id), ("topic", topic), ("partition", &*partition)];
            out.sample(each, &labels, value);
            let sum = sums.entry((group_id, topic)).or_default();
            *sum = sum.saturating_add(value);
        }
    }
    out.family(sum);
    for ((group_id, topic), value) in sums {
        out.sample(sum, &[("consumergroup", group_id), ("topic", topic)], value);
    }
}
