//! What a classic group says about the offsets that are committed in its name.

use super::group::{ClassicGroup, ClassicGroupState};
use crate::coordinator::group::offsets::{CommitCheck, CommittingGroup, OffsetExpiry};
use crate::coordinator::group::records::{GroupKey, GroupRecord};
use crate::error::ErrorCode;

impl CommittingGroup for ClassicGroup {
    fn check_commit(&self, commit: &CommitCheck<'_>) -> Result<(), ErrorCode> {
        let (member_id, instance_id) = (commit.member_id, commit.group_instance_id);
        self.validate_offset_commit(member_id, instance_id, commit.generation_or_epoch, false)
    }

    fn check_fetch(&self, _: Option<&str>, _: i32) -> Result<(), ErrorCode> {
        Ok(())
    }

    /// Of a group of consumers those that nobody reads may be deleted, of another only without members.
    fn check_delete(&self) -> Result<(), ErrorCode> {
        if self.is_empty() || self.uses_consumer_protocol() { Ok(()) } else { Err(ErrorCode::NonEmptyGroup) }
    }

    /// Where it is not known what consumers read, they are taken to read the topic.
    fn is_subscribed_to(&self, topic: &str) -> bool {
        self.subscribed_topics.as_ref().map_or(self.uses_consumer_protocol(), |topics| topics.contains(topic))
    }

    fn offset_expiry(&self) -> Option<OffsetExpiry> {
        if self.protocol_type.is_none() {
            return Some(OffsetExpiry::SinceCommit);
        }
        match self.state() {
            // Old brokers did not write since when the group is empty.
            ClassicGroupState::Empty => {
                Some(self.state_timestamp_ms.map_or(OffsetExpiry::SinceCommit, OffsetExpiry::Since))
            }
            ClassicGroupState::Stable if self.subscribed_topics.is_some() => Some(OffsetExpiry::SinceCommit),
            _ => None,
        }
    }

    fn tombstones_if_unused(&self, group_id: &str) -> Vec<GroupRecord> {
        if self.is_empty() { vec![GroupRecord::GroupMetadata(GroupKey::new(group_id), None)] } else { Vec::new() }
    }
}

impl ClassicGroup {
    /// Whether the request may commit. `generation_id` is negative, and the ids are empty, where somebody commits who is
    /// no member: only while there are no members. Transactions are checked by their producer, not by the group's state.
    pub fn validate_offset_commit(
        &self,
        member_id: &str,
        instance_id: Option<&str>,
        generation_id: i32,
        is_transactional: bool,
    ) -> Result<(), ErrorCode> {
        if generation_id < 0 && self.is_empty() {
            return Ok(());
        }
        if generation_id >= 0 || !member_id.is_empty() || instance_id.is_some() {
            self.validate_member(member_id, instance_id)?;
            if generation_id != self.generation_id {
                return Err(ErrorCode::IllegalGeneration);
            }
        } else if !is_transactional && !self.is_empty() {
            return Err(ErrorCode::UnknownMemberId);
        }
        if !is_transactional && self.state() == ClassicGroupState::CompletingRebalance {
            // The member is of this generation and has not its assignment: what it commits it owned before.
            return Err(ErrorCode::RebalanceInProgress);
        }
        Ok(())
    }
}
