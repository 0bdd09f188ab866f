//! Committed offsets are not for share groups: what they have read is the share coordinator's to know.

use super::group::ShareGroup;
use crate::coordinator::group::offsets::{CommitCheck, CommittingGroup, OffsetExpiry};
use crate::coordinator::group::records::GroupRecord;
use crate::error::ErrorCode;

impl CommittingGroup for ShareGroup {
    fn check_commit(&self, _: &CommitCheck<'_>) -> Result<(), ErrorCode> {
        Err(ErrorCode::GroupIdNotFound)
    }

    fn check_fetch(&self, _: Option<&str>, _: i32) -> Result<(), ErrorCode> {
        Err(ErrorCode::GroupIdNotFound)
    }

    fn check_delete(&self) -> Result<(), ErrorCode> {
        Err(ErrorCode::GroupIdNotFound)
    }

    fn is_subscribed_to(&self, topic: &str) -> bool {
        Self::is_subscribed_to(self, topic)
    }

    fn offset_expiry(&self) -> Option<OffsetExpiry> {
        Some(OffsetExpiry::SinceCommit)
    }

    /// It goes when it is deleted: its place in its topics is not in its offsets.
    fn tombstones_if_unused(&self, _: &str) -> Vec<GroupRecord> {
        Vec::new()
    }
}
