//! What tools ask of groups of any protocol: which there are, and their end.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::classic::{ClassicGroup, ClassicGroupState, DescribedClassicGroup};
use super::group_shard::{Group, GroupId, GroupShard};
use super::records::{GroupKey, GroupRecord};
use crate::coordinator::Decision;
use crate::error::ErrorCode;
use crate::metrics::GroupCounts;

/// Kafka's names of the protocols that groups speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum GroupType {
    Classic,
    Consumer,
    Share,
}

impl GroupType {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Classic => "classic",
            Self::Consumer => "consumer",
            Self::Share => "share",
        }
    }
}

/// A group, as ListGroups tells of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedGroup {
    pub group_id: GroupId,
    /// What the members call themselves; empty where nobody said.
    pub protocol_type: Arc<str>,
    pub state: &'static str,
    pub group_type: GroupType,
}

/// Which groups are listed. Names count in any case; an empty set means all.
#[derive(Clone, Debug, Default)]
pub struct ListFilter {
    states: BTreeSet<String>,
    types: BTreeSet<String>,
}

impl ListFilter {
    pub fn new<'a>(states: impl Iterator<Item = &'a str>, types: impl Iterator<Item = &'a str>) -> Self {
        let lower = |name: &str| name.trim().to_lowercase();
        Self { states: states.map(lower).collect(), types: types.map(lower).collect() }
    }

    fn passes(&self, group: &ListedGroup) -> bool {
        let has = |names: &BTreeSet<String>, name: &str| names.is_empty() || names.contains(&name.to_lowercase());
        has(&self.states, group.state) && has(&self.types, group.group_type.name())
    }
}

/// Why something cannot be done with a group, and how Kafka says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupRefusal {
    pub code: ErrorCode,
    pub message: String,
}

/// What became of groups that were to be deleted.
pub type Deletions = Vec<(GroupId, Result<(), GroupRefusal>)>;

impl GroupRefusal {
    pub fn not_found(group_id: &str) -> Self {
        Self { code: ErrorCode::GroupIdNotFound, message: format!("Group {group_id} not found.") }
    }

    fn of_another_type(group_id: &str, wanted: GroupType) -> Self {
        let message = format!("Group {group_id} is not a {} group.", wanted.name());
        Self { code: ErrorCode::GroupIdNotFound, message }
    }
}

impl Group {
    fn listed(&self, group_id: &GroupId) -> ListedGroup {
        match self {
            Self::Classic(group) => ListedGroup {
                group_id: Arc::clone(group_id),
                protocol_type: group.protocol_type().cloned().unwrap_or_default(),
                state: group.state().name(),
                group_type: GroupType::Classic,
            },
            Self::Consumer(group) => ListedGroup {
                group_id: Arc::clone(group_id),
                protocol_type: "consumer".into(),
                state: group.state().name(),
                group_type: GroupType::Consumer,
            },
            Self::Share(group) => ListedGroup {
                group_id: Arc::clone(group_id),
                protocol_type: "share".into(),
                state: group.state().name(),
                group_type: GroupType::Share,
            },
        }
    }

    fn validate_delete(&self) -> Result<(), ErrorCode> {
        match self {
            Self::Classic(group) => group.validate_delete(),
            Self::Consumer(group) if group.is_empty() => Ok(()),
            Self::Share(group) if group.is_empty() => Ok(()),
            Self::Consumer(_) | Self::Share(_) => Err(ErrorCode::NonEmptyGroup),
        }
    }

    /// What takes the group out of the log.
    fn tombstones(&self, group_id: &GroupId) -> Vec<GroupRecord> {
        match self {
            Self::Classic(_) => vec![GroupRecord::GroupMetadata(GroupKey::new(&**group_id), None)],
            Self::Consumer(group) => group.tombstones(),
            Self::Share(group) => group.tombstones(),
        }
    }
}

impl GroupShard {
    pub fn list(&self, filter: &ListFilter) -> Vec<ListedGroup> {
        let simple = self.simple_groups().map(|group_id| ListedGroup {
            group_id: group_id.into(),
            protocol_type: Arc::default(),
            state: ClassicGroupState::Empty.name(),
            group_type: GroupType::Classic,
        });
        let listed = self.groups().map(|(group_id, group)| group.listed(group_id)).chain(simple);
        listed.filter(|group| filter.passes(group)).collect()
    }

    /// The groups that are there by their offsets alone: Kafka takes them for empty classic groups.
    pub(super) fn simple_groups(&self) -> impl Iterator<Item = &str> {
        self.offsets().group_ids().filter(|group_id| self.group(group_id).is_none())
    }

    pub(super) fn counts(&self) -> GroupCounts {
        let simple = self.simple_groups().count();
        let mut counts = GroupCounts { groups: simple, empty: simple, ..GroupCounts::default() };
        for (_, group) in self.groups() {
            counts.groups += 1;
            let Group::Classic(group) = group else { continue };
            counts.members += group.member_count();
            match group.state() {
                ClassicGroupState::PreparingRebalance => counts.preparing_rebalance += 1,
                ClassicGroupState::CompletingRebalance => counts.completing_rebalance += 1,
                ClassicGroupState::Stable => counts.stable += 1,
                ClassicGroupState::Empty => counts.empty += 1,
                ClassicGroupState::Dead => {}
            }
        }
        counts
    }

    /// A classic group as DescribeGroups tells of it.
    pub fn describe_classic(&self, group_id: &str) -> Result<DescribedClassicGroup, GroupRefusal> {
        match self.group(group_id) {
            Some(Group::Classic(group)) => Ok(ClassicGroup::describe(group)),
            Some(Group::Consumer(_) | Group::Share(_)) => {
                Err(GroupRefusal::of_another_type(group_id, GroupType::Classic))
            }
            None if self.offsets().has_group(group_id) => Ok(DescribedClassicGroup {
                state: ClassicGroupState::Empty,
                protocol_type: None,
                protocol_name: None,
                members: Vec::new(),
            }),
            None => Err(GroupRefusal::not_found(group_id)),
        }
    }

    /// Takes groups without members out, with their offsets.
    pub fn delete(&self, group_ids: &[GroupId]) -> (Decision<Self>, Deletions) {
        let mut decision = Decision::default();
        let results = group_ids.iter().map(|group_id| {
            let deleted = self.deletion(group_id).map(|records| decision.records.extend(records));
            (Arc::clone(group_id), deleted)
        });
        let results = results.collect();
        (decision, results)
    }

    fn deletion(&self, group_id: &GroupId) -> Result<Vec<GroupRecord>, GroupRefusal> {
        let mut records = self.offsets().tombstones_of_group(group_id);
        match self.group(group_id) {
            Some(group) => {
                group
                    .validate_delete()
                    .map_err(|code| GroupRefusal { code, message: "The group is not empty.".to_owned() })?;
                records.extend(group.tombstones(group_id));
            }
            None if self.offsets().has_group(group_id) => {}
            None => return Err(GroupRefusal::not_found(group_id)),
        }
        Ok(records)
    }
}
