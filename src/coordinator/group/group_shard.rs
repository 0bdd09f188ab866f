//! The groups of one partition of `__consumer_offsets`.

use std::collections::HashMap;
use std::sync::Arc;

use super::classic::{
    self, ClassicChange, ClassicDecision, ClassicGroup, ClassicReply, ClassicSettings, ClassicTimer,
};
use super::consumer::{ConsumerGroup, MemberTimer, SoftChange};
use super::environment::GroupEnvironment;
use super::offsets::Offsets;
use super::records::{GroupKey, GroupMetadataValue, GroupRecord, RecordError};
use super::shard_offsets::ExpiryPass;
use super::share::{ShareGroup, ShareSoftChange};
use crate::coordinator::{Decision, EncodedRecord, Machine, Now, RecordOrigin, ReplayError, Timer};
use crate::ids::{Offset, ProducerId};
use crate::protocol::records::TransactionOutcome;

pub type GroupId = Arc<str>;

/// A group of any protocol.
#[derive(Debug)]
pub enum Group {
    Classic(ClassicGroup),
    Consumer(ConsumerGroup),
    Share(ShareGroup),
}

/// What lies in one partition: every group whose id belongs to it.
#[derive(Debug)]
pub struct GroupShard {
    pub(super) groups: HashMap<GroupId, Group>,
    pub(super) environment: GroupEnvironment,
    offsets: Offsets,
}

/// A change that no record tells of.
#[derive(Debug)]
pub enum GroupSoftChange {
    Classic(GroupId, ClassicChange),
    Consumer(GroupId, SoftChange),
    Share(GroupId, ShareSoftChange),
}

/// What a group waits for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum GroupTimer {
    Classic(GroupId, ClassicTimer),
    Consumer(GroupId, MemberTimer),
    /// Offsets of all groups, `offsets.retention.check.interval.ms` after the last time; or those of the groups that the
    /// last step did not come to.
    OffsetExpiry(ExpiryPass),
    /// A member of a share group was not heard of for its session timeout.
    ShareSession(GroupId, Arc<str>),
}

impl GroupShard {
    pub fn new(environment: GroupEnvironment) -> Self {
        Self { groups: HashMap::new(), offsets: Offsets::default(), environment }
    }

    pub fn group(&self, group_id: &str) -> Option<&Group> {
        self.groups.get(group_id)
    }

    pub(super) fn classic_group(&self, group_id: &str) -> Option<&ClassicGroup> {
        match self.group(group_id) {
            Some(Group::Classic(group)) => Some(group),
            _ => None,
        }
    }

    /// The committed offsets of all groups.
    pub fn offsets(&self) -> &Offsets {
        &self.offsets
    }

    pub fn groups(&self) -> impl ExactSizeIterator<Item = (&GroupId, &Group)> {
        self.groups.iter()
    }

    /// Lets the classic protocol decide about a group that is not there or speaks it. An empty group of the consumer
    /// protocol is in nobody's way.
    pub fn decide_classic(
        &self,
        group_id: &GroupId,
        decide: impl FnOnce(Option<&ClassicGroup>, &ClassicSettings) -> ClassicDecision,
    ) -> Decision<Self> {
        let decided = decide(self.classic_group(group_id), &self.environment.classic_settings());
        let mut decision = classic_decision(group_id, decided);
        if let Some(Group::Consumer(empty)) = self.group(group_id).filter(|_| !decision.soft.is_empty()) {
            decision.records.splice(0..0, empty.tombstones());
        }
        decision
    }

    fn apply_group_metadata(&mut self, group_id: GroupId, value: Option<GroupMetadataValue>) {
        match value {
            Some(value) => {
                self.groups.insert(group_id, Group::Classic(ClassicGroup::from_record(value)));
            }
            None => {
                // After a change of protocol the log may still hold the tombstone of the classic group.
                if !matches!(self.groups.get(&group_id), Some(Group::Consumer(_) | Group::Share(_))) {
                    self.groups.remove(&group_id);
                }
            }
        }
    }
}

pub(super) fn classic_decision(group_id: &GroupId, decision: ClassicDecision) -> Decision<GroupShard> {
    let record = |value| GroupRecord::GroupMetadata(GroupKey::new(&**group_id), Some(value));
    Decision {
        records: decision.record.map(record).into_iter().collect(),
        soft: decision
            .change
            .map(|change| GroupSoftChange::Classic(Arc::clone(group_id), change))
            .into_iter()
            .collect(),
        timers: decision
            .timers
            .into_iter()
            .map(|(timer, deadline)| Timer { key: GroupTimer::Classic(Arc::clone(group_id), timer), deadline })
            .collect(),
        replies: decision.replies,
    }
}

impl Machine for GroupShard {
    type Record = GroupRecord;
    type SoftChange = GroupSoftChange;
    type Reply = ClassicReply;
    type TimerKey = GroupTimer;

    fn encode(record: &GroupRecord) -> EncodedRecord {
        let (key, value) = record.encode();
        EncodedRecord { key, value }
    }

    fn replay(&mut self, key: &[u8], value: Option<&[u8]>, origin: RecordOrigin) -> Result<(), ReplayError> {
        let record = GroupRecord::decode(key, value).map_err(|error| match error {
            RecordError::UnknownType(kind) | RecordError::UnknownVersion { kind, .. } => {
                ReplayError::UnknownKind(kind)
            }
            error => ReplayError::Malformed(error.to_string()),
        })?;
        match record {
            GroupRecord::OffsetCommit(key, value) => {
                self.offsets.apply(key, value, origin.offset, origin.transaction_of);
            }
            record => self.apply(record, origin.offset),
        }
        Ok(())
    }

    fn replay_end_of_transaction(&mut self, producer: ProducerId, outcome: TransactionOutcome) {
        match outcome {
            TransactionOutcome::Commit => self.offsets.commit_transaction(producer),
            TransactionOutcome::Abort => self.offsets.abort_transaction(producer),
        }
    }

    fn apply(&mut self, record: GroupRecord, offset: Offset) {
        match record {
            GroupRecord::OffsetCommit(key, value) => self.offsets.apply(key, value, offset, None),
            GroupRecord::GroupMetadata(key, value) => self.apply_group_metadata(key.group_id.into(), value),
            GroupRecord::ConsumerGroupMetadata(..)
            | GroupRecord::ConsumerGroupPartitionMetadata(..)
            | GroupRecord::ConsumerGroupMemberMetadata(..)
            | GroupRecord::ConsumerGroupTargetAssignmentMetadata(..)
            | GroupRecord::ConsumerGroupTargetAssignmentMember(..)
            | GroupRecord::ConsumerGroupCurrentMemberAssignment(..)
            | GroupRecord::ConsumerGroupRegularExpression(..) => {
                let group_id = GroupId::from(record.group_id());
                self.apply_consumer_record(&group_id, record);
            }
            GroupRecord::ShareGroupMemberMetadata(..)
            | GroupRecord::ShareGroupMetadata(..)
            | GroupRecord::ShareGroupTargetAssignmentMetadata(..)
            | GroupRecord::ShareGroupTargetAssignmentMember(..)
            | GroupRecord::ShareGroupCurrentMemberAssignment(..)
            | GroupRecord::ShareGroupStatePartitionMetadata(..) => {
                let group_id = GroupId::from(record.group_id());
                self.apply_share_record(&group_id, &record);
            }
        }
    }

    fn apply_soft(&mut self, change: GroupSoftChange) {
        match change {
            GroupSoftChange::Classic(group_id, ClassicChange::Group(group)) => {
                self.groups.insert(group_id, Group::Classic(*group));
            }
            GroupSoftChange::Classic(group_id, change) => {
                if let Some(Group::Classic(group)) = self.groups.get_mut(&group_id) {
                    change.apply(group);
                }
            }
            GroupSoftChange::Consumer(group_id, change) => {
                if let Some(Group::Consumer(group)) = self.groups.get_mut(&group_id) {
                    group.apply_soft(change);
                }
            }
            GroupSoftChange::Share(group_id, change) => {
                if let Some(Group::Share(group)) = self.groups.get_mut(&group_id) {
                    group.apply_soft(change);
                }
            }
        }
    }

    fn on_loaded(&mut self, now: Now) -> Decision<Self> {
        let settings = self.environment.classic_settings();
        let mut all = self.first_offset_expiry(now);
        for (group_id, group) in &self.groups {
            let decision = match group {
                Group::Classic(group) => {
                    classic_decision(group_id, classic::on_loaded(group_id, group, &settings, now))
                }
                Group::Consumer(group) => self.consumer_loaded(now, group_id, group),
                Group::Share(group) => self.share_loaded(now, group_id, group),
            };
            all.records.extend(decision.records);
            all.soft.extend(decision.soft);
            all.timers.extend(decision.timers);
        }
        all
    }

    fn on_timer(&self, now: Now, key: GroupTimer) -> Decision<Self> {
        match key {
            GroupTimer::Classic(group_id, timer) => match self.group(&group_id) {
                Some(Group::Classic(group)) => {
                    let settings = self.environment.classic_settings();
                    classic_decision(&group_id, classic::on_timer(&group_id, group, &settings, now, timer))
                }
                _ => Decision::default(),
            },
            GroupTimer::Consumer(group_id, timer) => self.consumer_timer(now, &group_id, &timer),
            GroupTimer::OffsetExpiry(pass) => self.expire_offsets(now, pass),
            GroupTimer::ShareSession(group_id, member_id) => self.share_session_timer(now, &group_id, &member_id),
        }
    }
}
