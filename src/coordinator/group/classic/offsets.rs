//! What a classic group says about the offsets that are committed in its name.

use super::group::{ClassicGroup, ClassicGroupState};
use crate::error::ErrorCode;
use crate::time::TimestampMs;

/// From when on the retention of committed offsets counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OffsetsExpireSince {
    /// Each since it was committed.
    Commit,
    /// All since the group has been empty; each since it was committed where that is not known.
    Empty(Option<TimestampMs>),
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

    /// Whether offsets may be deleted: of a group of consumers those that nobody reads, of another only without members.
    pub fn validate_offset_delete(&self) -> Result<(), ErrorCode> {
        if self.is_empty() || self.uses_consumer_protocol() { Ok(()) } else { Err(ErrorCode::NonEmptyGroup) }
    }

    /// Whether somebody reads the topic; where that is not known, consumers are taken to.
    pub fn is_subscribed_to(&self, topic: &str) -> bool {
        self.subscribed_topics().map_or(self.uses_consumer_protocol(), |topics| topics.contains(topic))
    }

    /// Whether offsets expire at all, and since when their retention counts. Those of topics that are subscribed to
    /// stay.
    pub fn offsets_expire_since(&self) -> Option<OffsetsExpireSince> {
        if self.protocol_type.is_none() {
            return Some(OffsetsExpireSince::Commit);
        }
        match self.state() {
            ClassicGroupState::Empty => Some(OffsetsExpireSince::Empty(self.state_timestamp_ms)),
            ClassicGroupState::Stable if self.subscribed_topics().is_some() => Some(OffsetsExpireSince::Commit),
            _ => None,
        }
    }
}
