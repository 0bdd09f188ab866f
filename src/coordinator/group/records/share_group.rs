//! A share group (KIP-932): types 10 to 15.

use super::consumer_group::AssignedTopic;
use crate::coordinator::record_codec::{schema, values_of_one_version};
use crate::ids::TopicId;

values_of_one_version! {
    ShareGroupMemberMetadataValue
    ShareGroupMetadataValue
    ShareGroupTargetAssignmentMetadataValue
    ShareGroupTargetAssignmentMemberValue
    ShareGroupCurrentMemberAssignmentValue
    ShareGroupStatePartitionMetadataValue
}

schema! {
    /// A share group's member, without what it reads.
    pub struct ShareGroupMemberMetadataValue {
        rack_id: Option<String>,
        client_id: String,
        client_host: String,
        subscribed_topic_names: Vec<String>,
    }
}

schema! {
    /// A share group's epoch.
    pub struct ShareGroupMetadataValue {
        epoch: i32,
        /// The hash of all topics that the group subscribes to; another one calls for a new assignment.
        metadata_hash: i64,
    }
}

schema! {
    /// The epoch of a share group's target assignment.
    pub struct ShareGroupTargetAssignmentMetadataValue {
        assignment_epoch: i32,
    }
    tags {
        /// When the assignment was calculated (KIP-1263).
        0 => assignment_timestamp_ms: i64 = 0,
    }
}

schema! {
    /// What a share group's member shall read.
    pub struct ShareGroupTargetAssignmentMemberValue {
        topic_partitions: Vec<AssignedTopic>,
    }
}

schema! {
    /// What a share group's member reads.
    pub struct ShareGroupCurrentMemberAssignmentValue {
        member_epoch: i32,
        /// The epoch before, which a member that missed the last reply still sends.
        previous_member_epoch: i32,
        /// 0 stable, 1 unrevoked partitions, 2 unreleased partitions, 127 unknown.
        state: i8,
        assigned_partitions: Vec<AssignedTopic>,
    }
}

schema! {
    /// Which partitions a share group has state of with the share coordinator.
    pub struct ShareGroupStatePartitionMetadataValue {
        initializing_topics: Vec<ShareStateTopic>,
        initialized_topics: Vec<ShareStateTopic>,
        deleting_topics: Vec<DeletingTopic>,
    }
}

schema! {
    /// A topic whose partitions have, or are about to have, state.
    pub struct ShareStateTopic {
        topic_id: TopicId,
        topic_name: String,
        partitions: Vec<i32>,
    }
}

schema! {
    /// A topic whose state is being deleted.
    pub struct DeletingTopic {
        topic_id: TopicId,
        topic_name: String,
    }
}
