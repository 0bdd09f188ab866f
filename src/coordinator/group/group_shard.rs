//! The groups of one partition of `__consumer_offsets`.

use std::collections::HashMap;
use std::sync::Arc;

use super::classic::{
    self, ClassicChange, ClassicDecision, ClassicGroup, ClassicReply, ClassicSettings, ClassicTimer,
};
use super::environment::GroupEnvironment;
use super::records::{GroupKey, GroupMetadataValue, GroupRecord, RecordError};
use crate::coordinator::{Decision, EncodedRecord, Machine, Now, RecordOrigin, ReplayError, Timer};
use crate::ids::Offset;

pub type GroupId = Arc<str>;

/// A group of any protocol.
#[derive(Debug)]
pub enum Group {
    Classic(ClassicGroup),
}

/// What lies in one partition: every group whose id belongs to it.
#[derive(Debug)]
pub struct GroupShard {
    groups: HashMap<GroupId, Group>,
    environment: GroupEnvironment,
}

/// A change that no record tells of.
#[derive(Debug)]
pub enum GroupSoftChange {
    Classic(GroupId, ClassicChange),
}

/// What a group waits for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum GroupTimer {
    Classic(GroupId, ClassicTimer),
}

impl GroupShard {
    pub fn new(environment: GroupEnvironment) -> Self {
        Self { groups: HashMap::new(), environment }
    }

    pub fn group(&self, group_id: &str) -> Option<&Group> {
        self.groups.get(group_id)
    }

    pub fn groups(&self) -> impl ExactSizeIterator<Item = (&GroupId, &Group)> {
        self.groups.iter()
    }

    /// Lets the classic protocol decide about a group that is not there or speaks it.
    pub fn decide_classic(
        &self,
        group_id: &GroupId,
        decide: impl FnOnce(Option<&ClassicGroup>, &ClassicSettings) -> ClassicDecision,
    ) -> Decision<Self> {
        let group = self.group(group_id).map(|group| match group {
            Group::Classic(group) => group,
        });
        classic_decision(group_id, decide(group, &self.environment.classic_settings()))
    }

    fn apply_group_metadata(&mut self, group_id: GroupId, value: Option<GroupMetadataValue>) {
        match value {
            Some(value) => {
                self.groups.insert(group_id, Group::Classic(ClassicGroup::from_record(value)));
            }
            None => {
                self.groups.remove(&group_id);
            }
        }
    }
}

fn classic_decision(group_id: &GroupId, decision: ClassicDecision) -> Decision<GroupShard> {
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
        self.apply(record, origin.offset);
        Ok(())
    }

    fn apply(&mut self, record: GroupRecord, _offset: Offset) {
        match record {
            GroupRecord::GroupMetadata(key, value) => self.apply_group_metadata(key.group_id.into(), value),
            _ => {}
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
        }
    }

    fn on_loaded(&mut self, now: Now) -> Decision<Self> {
        let settings = self.environment.classic_settings();
        let mut all = Decision::default();
        for (group_id, group) in &self.groups {
            let Group::Classic(group) = group;
            let decision = classic_decision(group_id, classic::on_loaded(group_id, group, &settings, now));
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
                None => Decision::default(),
            },
        }
    }
}
