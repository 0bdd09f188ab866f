//! A group of the consumer protocol (KIP-848): types 3 to 8 and 16.

use bytes::Bytes;

use crate::coordinator::record_codec::{Field, Reader, RecordError, Writer, schema, values_of_one_version};
use crate::ids::TopicId;

values_of_one_version! {
    ConsumerGroupMetadataValue
    ConsumerGroupPartitionMetadataValue
    ConsumerGroupMemberMetadataValue
    ConsumerGroupTargetAssignmentMetadataValue
    ConsumerGroupTargetAssignmentMemberValue
    ConsumerGroupCurrentMemberAssignmentValue
    ConsumerGroupRegularExpressionValue
}

schema! {
    /// Names a regular expression that members of a group subscribe to.
    pub struct RegularExpressionKey {
        group_id: String,
        regular_expression: String,
    }
}

schema! {
    /// A consumer group's epoch.
    pub struct ConsumerGroupMetadataValue {
        epoch: i32,
    }
    tags {
        /// The hash of all topics that the group subscribes to (KIP-1101); another one calls for a new assignment.
        0 => metadata_hash: i64 = 0,
    }
}

schema! {
    /// What a consumer group of Kafka 4.0 knew of its topics.
    pub struct ConsumerGroupPartitionMetadataValue {
        topics: Vec<TopicMetadata>,
    }
}

schema! {
    /// What a consumer group of Kafka 4.0 knew of a topic.
    pub struct TopicMetadata {
        topic_id: TopicId,
        topic_name: String,
        num_partitions: i32,
        partition_metadata: Vec<PartitionMetadata>,
    }
}

schema! {
    /// The racks that a partition's replicas are in; not used any more.
    pub struct PartitionMetadata {
        partition: i32,
        racks: Vec<String>,
    }
}

schema! {
    /// A consumer group's member, without what it owns.
    pub struct ConsumerGroupMemberMetadataValue {
        /// The name of a static member.
        instance_id: Option<String>,
        rack_id: Option<String>,
        client_id: String,
        client_host: String,
        subscribed_topic_names: Vec<String>,
        subscribed_topic_regex: Option<String>,
        rebalance_timeout_ms: i32,
        server_assignor: Option<String>,
    }
    tags {
        /// What a member that speaks the classic protocol said on joining; `None` for one of the consumer protocol.
        /// The schema's default, of records without this field, is a structure of zeros.
        0 => classic_member_metadata: Option<ClassicMemberMetadata> = Some(ClassicMemberMetadata::NOTHING),
    }
}

schema! {
    /// What a member of the classic protocol said on joining a consumer group.
    pub struct ClassicMemberMetadata {
        session_timeout_ms: i32,
        supported_protocols: Vec<ClassicProtocol>,
    }
}

impl ClassicMemberMetadata {
    const NOTHING: Self = Self { session_timeout_ms: 0, supported_protocols: Vec::new() };
}

/// A structure that may be null has a mark in front: 0 for null, 1 otherwise.
impl Field for Option<ClassicMemberMetadata> {
    fn put(&self, out: &mut Writer) {
        i8::from(self.is_some()).put(out);
        if let Some(metadata) = self {
            metadata.put(out);
        }
    }
    fn take(from: &mut Reader<'_>) -> Result<Self, RecordError> {
        if i8::take(from)? == 0 { Ok(None) } else { ClassicMemberMetadata::take(from).map(Some) }
    }
}

schema! {
    /// A protocol that a member of the classic protocol supports, as in its JoinGroup request.
    pub struct ClassicProtocol {
        name: String,
        metadata: Bytes,
    }
}

schema! {
    /// The epoch of a consumer group's target assignment.
    pub struct ConsumerGroupTargetAssignmentMetadataValue {
        assignment_epoch: i32,
    }
    tags {
        /// When the assignment was calculated (KIP-1263).
        0 => assignment_timestamp_ms: i64 = 0,
    }
}

schema! {
    /// What a member of a consumer group shall own.
    pub struct ConsumerGroupTargetAssignmentMemberValue {
        topic_partitions: Vec<AssignedTopic>,
    }
}

schema! {
    /// Partitions of one topic.
    pub struct AssignedTopic {
        topic_id: TopicId,
        partitions: Vec<i32>,
    }
}

schema! {
    /// What a member of a consumer group owns.
    pub struct ConsumerGroupCurrentMemberAssignmentValue {
        member_epoch: i32,
        /// The epoch before, which a member that missed the last reply still sends.
        previous_member_epoch: i32,
        /// 0 stable, 1 unrevoked partitions, 2 unreleased partitions, 127 unknown.
        state: i8,
        assigned_partitions: Vec<OwnedTopic>,
        partitions_pending_revocation: Vec<OwnedTopic>,
    }
}

schema! {
    /// Partitions of one topic that a member owns.
    pub struct OwnedTopic {
        topic_id: TopicId,
        partitions: Vec<i32>,
    }
    tags {
        /// The member epoch at which each partition was assigned, as many as there are partitions: commits from before
        /// are fenced. `None`, or another number of them, in records of versions that did not know them.
        0 => assignment_epochs: Option<Vec<i32>> = Some(Vec::new()),
    }
}

schema! {
    /// The topics that a regular expression stands for.
    pub struct ConsumerGroupRegularExpressionValue {
        topics: Vec<String>,
        /// The version of the metadata that it was resolved with.
        version: i64,
        /// When it was resolved.
        timestamp_ms: i64,
    }
}
