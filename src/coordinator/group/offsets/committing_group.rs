//! What a group has to say about its offsets, whichever its type.

use super::OffsetExpiry;
use crate::coordinator::group::records::GroupRecord;
use crate::error::ErrorCode;
use crate::ids::{PartitionIndex, TopicId};

/// A group, as far as its offsets are concerned. Each type of group answers for itself.
pub trait CommittingGroup {
    /// Whether somebody may commit: UNKNOWN_MEMBER_ID, FENCED_INSTANCE_ID, ILLEGAL_GENERATION, STALE_MEMBER_EPOCH,
    /// REBALANCE_IN_PROGRESS, UNSUPPORTED_VERSION, or GROUP_ID_NOT_FOUND of a group that has no offsets by its type.
    fn check_commit(&self, commit: &CommitCheck<'_>) -> Result<(), ErrorCode>;

    /// Whether somebody may fetch the group's offsets: UNKNOWN_MEMBER_ID, STALE_MEMBER_EPOCH, ILLEGAL_GENERATION, or
    /// GROUP_ID_NOT_FOUND, which clients see as a group without offsets. Clients before OffsetFetch 9 and tools give no
    /// member id and the epoch -1.
    fn check_fetch(&self, member_id: Option<&str>, member_epoch: i32) -> Result<(), ErrorCode>;

    /// Whether offsets may be deleted: NON_EMPTY_GROUP, GROUP_ID_NOT_FOUND.
    fn check_delete(&self) -> Result<(), ErrorCode>;

    /// Whether a member reads the topic; its offsets are neither deleted nor do they expire.
    fn is_subscribed_to(&self, topic: &str) -> bool;

    /// From when on the time counts after which an offset expires. `None`: nothing expires, for the group is between two
    /// states, or nobody knows what its members read.
    fn offset_expiry(&self) -> Option<OffsetExpiry>;

    /// What deletes the group, if it has no members and nothing to keep but offsets, of which none are left.
    fn tombstones_if_unused(&self, group_id: &str) -> Vec<GroupRecord>;
}

/// Who wants to commit, and what.
pub struct CommitCheck<'a> {
    pub member_id: &'a str,
    /// The name of a static member.
    pub group_instance_id: Option<&'a str>,
    /// A generation of the classic protocol, a member epoch of the consumer protocol, or -1 from outside the group.
    pub generation_or_epoch: i32,
    /// OffsetCommit 9 on: the client understands the errors of the consumer protocol.
    pub knows_member_epochs: bool,
    /// What the commit is for.
    pub partitions: &'a [(TopicId, PartitionIndex)],
}

/// A group that exists by its offsets alone: its consumers assign partitions themselves.
#[derive(Clone, Copy, Debug)]
pub struct SimpleGroup;

impl CommittingGroup for SimpleGroup {
    fn check_commit(&self, commit: &CommitCheck<'_>) -> Result<(), ErrorCode> {
        if commit.generation_or_epoch < 0 { Ok(()) } else { Err(ErrorCode::UnknownMemberId) }
    }

    fn check_fetch(&self, _: Option<&str>, _: i32) -> Result<(), ErrorCode> {
        Ok(())
    }

    fn check_delete(&self) -> Result<(), ErrorCode> {
        Ok(())
    }

    fn is_subscribed_to(&self, _: &str) -> bool {
        false
    }

    fn offset_expiry(&self) -> Option<OffsetExpiry> {
        Some(OffsetExpiry::SinceCommit)
    }

    /// There is nothing of it but its offsets.
    fn tombstones_if_unused(&self, _: &str) -> Vec<GroupRecord> {
        Vec::new()
    }
}
