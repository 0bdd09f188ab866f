//! Kafka's records of `__consumer_offsets`, the topic that groups and committed offsets live in.
//!
//! Owns: the bytes of keys and values, written by hand after the schemas in Kafka's `group-coordinator`, as version 4.3
//! writes them; [`crate::coordinator::record_codec`] says how they are laid out.
//! Never does: decide what a record means.
//!
//! | type   | record                           | file                  |
//! |--------|----------------------------------|-----------------------|
//! | 0, 1   | a committed offset               | [`offset_commit`]     |
//! | 2      | a classic group                  | [`group_metadata`]    |
//! | 3-8, 16| a consumer group (KIP-848)       | [`consumer_group`]    |
//! | 10-15  | a share group (KIP-932)          | [`share_group`]       |
//! | 17-23  | a Streams group (KIP-1071)       | not known here        |
//!
//! A type that is not known is [`RecordError::UnknownType`], which the loader skips, as Kafka does: the record stays in
//! the topic for a version that knows it.

pub mod consumer_group;
pub mod group_metadata;
pub mod offset_commit;
pub mod share_group;
#[cfg(test)]
mod tests;

pub use self::consumer_group::*;
pub use self::group_metadata::*;
pub use self::offset_commit::*;
pub use self::share_group::*;
pub use crate::coordinator::record_codec::RecordError;
use crate::coordinator::record_codec::{records, schema};

records! {
    /// One record of `__consumer_offsets`: a key and a value, or a tombstone.
    pub enum GroupRecord {
        /// A committed offset. Type 0 is what brokers before 0.9 wrote.
        1 | 0 => OffsetCommit(OffsetCommitKey, OffsetCommitValue),
        /// A classic group with its members.
        2 => GroupMetadata(GroupKey, GroupMetadataValue),
        /// A consumer group's epoch.
        3 => ConsumerGroupMetadata(GroupKey, ConsumerGroupMetadataValue),
        /// What Kafka 4.0 and before knew of the topics; since 4.1 only tombstones are written (KIP-1101).
        4 => ConsumerGroupPartitionMetadata(GroupKey, ConsumerGroupPartitionMetadataValue),
        /// A member's subscription.
        5 => ConsumerGroupMemberMetadata(MemberKey, ConsumerGroupMemberMetadataValue),
        /// The epoch of the target assignment.
        6 => ConsumerGroupTargetAssignmentMetadata(GroupKey, ConsumerGroupTargetAssignmentMetadataValue),
        /// What a member shall own.
        7 => ConsumerGroupTargetAssignmentMember(MemberKey, ConsumerGroupTargetAssignmentMemberValue),
        /// What a member owns.
        8 => ConsumerGroupCurrentMemberAssignment(MemberKey, ConsumerGroupCurrentMemberAssignmentValue),
        /// A share group member's subscription.
        10 => ShareGroupMemberMetadata(MemberKey, ShareGroupMemberMetadataValue),
        /// A share group's epoch.
        11 => ShareGroupMetadata(GroupKey, ShareGroupMetadataValue),
        /// The epoch of a share group's target assignment.
        12 => ShareGroupTargetAssignmentMetadata(GroupKey, ShareGroupTargetAssignmentMetadataValue),
        /// What a share group's member shall read.
        13 => ShareGroupTargetAssignmentMember(MemberKey, ShareGroupTargetAssignmentMemberValue),
        /// What a share group's member reads.
        14 => ShareGroupCurrentMemberAssignment(MemberKey, ShareGroupCurrentMemberAssignmentValue),
        /// Which partitions have state with the share coordinator.
        15 => ShareGroupStatePartitionMetadata(GroupKey, ShareGroupStatePartitionMetadataValue),
        /// Which topics a regular expression stands for.
        16 => ConsumerGroupRegularExpression(RegularExpressionKey, ConsumerGroupRegularExpressionValue),
    }
}

schema! {
    /// The key of what a group has one of.
    pub struct GroupKey {
        group_id: String,
    }
}

schema! {
    /// The key of what a group has one of for each member.
    pub struct MemberKey {
        group_id: String,
        member_id: String,
    }
}

impl GroupKey {
    pub fn new(group_id: impl Into<String>) -> Self {
        Self { group_id: group_id.into() }
    }
}

impl MemberKey {
    pub fn new(group_id: impl Into<String>, member_id: impl Into<String>) -> Self {
        Self { group_id: group_id.into(), member_id: member_id.into() }
    }
}

impl GroupRecord {
    /// The group that the record is about.
    pub fn group_id(&self) -> &str {
        match self {
            Self::OffsetCommit(key, _) => &key.group_id,
            Self::GroupMetadata(key, _)
            | Self::ConsumerGroupMetadata(key, _)
            | Self::ConsumerGroupPartitionMetadata(key, _)
            | Self::ConsumerGroupTargetAssignmentMetadata(key, _)
            | Self::ShareGroupMetadata(key, _)
            | Self::ShareGroupTargetAssignmentMetadata(key, _)
            | Self::ShareGroupStatePartitionMetadata(key, _) => &key.group_id,
            Self::ConsumerGroupMemberMetadata(key, _)
            | Self::ConsumerGroupTargetAssignmentMember(key, _)
            | Self::ConsumerGroupCurrentMemberAssignment(key, _)
            | Self::ShareGroupMemberMetadata(key, _)
            | Self::ShareGroupTargetAssignmentMember(key, _)
            | Self::ShareGroupCurrentMemberAssignment(key, _) => &key.group_id,
            Self::ConsumerGroupRegularExpression(key, _) => &key.group_id,
        }
    }
}
