//! A request of every API that is served, about the topics of the fuzzed broker.

mod administration;
mod committed_offsets;

use bytes::{BufMut, Bytes, BytesMut};
use ottla::api::TABLE;
use ottla::protocol::messages as own;
use ottla::protocol::wire::messages::{self as wire, TopicName};
use ottla::protocol::wire::protocol::{Encodable, HeaderVersion, StrBytes};

use super::super::dispatch::records;

pub(super) struct Request {
    pub(super) name: &'static str,
    pub(super) version: i16,
    pub(super) is_newest: bool,
    api_key: i16,
    flexible: bool,
    body: Bytes,
}

impl Request {
    /// With its size in front.
    pub(super) fn frame(&self) -> Vec<u8> {
        let mut frame = vec![0; 4];
        frame.put_i16(self.api_key);
        frame.put_i16(self.version);
        frame.put_i32(7);
        frame.put_i16(3);
        frame.extend_from_slice(b"cli");
        if self.flexible {
            frame.put_u8(0);
        }
        frame.extend_from_slice(&self.body);
        let size_bytes = (frame.len() - 4) as i32;
        frame[..4].copy_from_slice(&size_bytes.to_be_bytes());
        frame
    }
}

pub(super) fn all() -> Vec<Request> {
    let mut requests = Vec::new();
    for row in TABLE {
        let (oldest, newest) = (*row.versions.start(), *row.versions.end());
        for version in [oldest, newest] {
            let (flexible, body) = body(row.key, version);
            let is_newest = version == newest;
            requests.push(Request { name: row.name, version, is_newest, api_key: row.key, flexible, body });
            if oldest == newest {
                break;
            }
        }
    }
    requests
}

/// Whether the header is flexible, and the body.
type Body = (bool, Bytes);

/// As it is made here where the version can say it, else the default.
fn encoded<M: Encodable + HeaderVersion + Default>(message: &M, version: i16) -> Body {
    let encode = |message: &M| {
        let mut body = BytesMut::new();
        message.encode(&mut body, version).ok().map(|()| body.freeze())
    };
    let body = encode(message).or_else(|| encode(&M::default())).expect("a default has no field that is too new");
    (M::header_version(version) >= 2, body)
}

fn topic() -> TopicName {
    StrBytes::from_static_str("a").into()
}

fn text(text: &'static str) -> StrBytes {
    StrBytes::from_static_str(text)
}

/// Below the version from which topics go by id.
fn name_below(version: i16, by_id_since: i16) -> TopicName {
    if version < by_id_since { topic() } else { TopicName::default() }
}

fn body(api_key: i16, version: i16) -> Body {
    match api_key {
        0 => encoded(&produce(version), version),
        1 => encoded(&fetch(version), version),
        2 => encoded(&list_offsets(), version),
        3 => encoded(&metadata(), version),
        10 => encoded(&find_coordinator(version), version),
        11 => encoded(&join_group(version), version),
        12 => encoded(&heartbeat(), version),
        13 => encoded(&leave_group(version), version),
        14 => encoded(&sync_group(version), version),
        15 => encoded(&wire::DescribeGroupsRequest::default().with_groups(vec![group()]), version),
        16 => encoded(&list_groups(version), version),
        18 => encoded(&own::ApiVersionsRequest::from(api_versions(version)), version),
        19 => encoded(&create_topics(), version),
        20 => encoded(&delete_topics(version), version),
        21 => encoded(&delete_records(), version),
        22 => encoded(&wire::InitProducerIdRequest::default().with_transaction_timeout_ms(1000), version),
        23 => encoded(&offset_for_leader_epoch(), version),
        32 => encoded(&describe_configs(), version),
        33 => encoded(&alter_configs(), version),
        35 => encoded(&describe_log_dirs(), version),
        37 => encoded(&create_partitions(), version),
        42 => encoded(&delete_groups(), version),
        44 => encoded(&incremental_alter_configs(), version),
        60 => encoded(&wire::DescribeClusterRequest::default(), version),
        75 => encoded(&describe_topic_partitions(), version),
        76 => encoded(&share_group_heartbeat(), version),
        77 => encoded(&wire::ShareGroupDescribeRequest::default().with_group_ids(vec![group()]), version),
        78 => encoded(&share_fetch(), version),
        79 => encoded(&share_acknowledge(), version),
        90 => encoded(&describe_share_group_offsets(), version),
        91 => encoded(&alter_share_group_offsets(), version),
        92 => encoded(&delete_share_group_offsets(), version),
        other => committed_offsets::body(other, version)
            .or_else(|| administration::body(other, version))
            .unwrap_or_else(|| panic!("API key {other} has no seed")),
    }
}

fn produce(version: i16) -> wire::ProduceRequest {
    use wire::produce_request::{PartitionProduceData, TopicProduceData};
    let partition = PartitionProduceData::default().with_index(0).with_records(Some(records()));
    let mut data =
        TopicProduceData::default().with_name(name_below(version, 13)).with_partition_data(vec![partition]);
    if version >= 13 {
        data.topic_id = super::super::dispatch::topic_id("a");
    }
    wire::ProduceRequest::default().with_acks(-1).with_timeout_ms(1000).with_topic_data(vec![data])
}

fn fetch(version: i16) -> wire::FetchRequest {
    use wire::fetch_request::{FetchPartition, FetchTopic};
    let partition = FetchPartition::default().with_partition_max_bytes(1 << 20);
    let mut topic = FetchTopic::default().with_topic(name_below(version, 13)).with_partitions(vec![partition]);
    if version >= 13 {
        topic.topic_id = super::super::dispatch::topic_id("a");
    }
    let mut request = wire::FetchRequest::default()
        .with_max_wait_ms(10)
        .with_min_bytes(1)
        .with_max_bytes(1 << 20)
        .with_topics(vec![topic]);
    if version >= 7 {
        request.session_epoch = -1;
    }
    request
}

fn list_offsets() -> own::ListOffsetsRequest {
    use wire::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
    let partitions = [-1, -2, 1_700_000_000_001]
        .into_iter()
        .zip(0..)
        .map(|(timestamp, at)| ListOffsetsPartition::default().with_partition_index(at).with_timestamp(timestamp));
    let topic = ListOffsetsTopic::default().with_name(topic()).with_partitions(partitions.collect());
    wire::ListOffsetsRequest::default().with_replica_id((-1).into()).with_topics(vec![topic]).into()
}

fn metadata() -> wire::MetadataRequest {
    let topics = ["a", "new"]
        .map(|name| wire::metadata_request::MetadataRequestTopic::default().with_name(Some(text(name).into())));
    wire::MetadataRequest::default().with_topics(Some(topics.into())).with_allow_auto_topic_creation(true)
}

fn find_coordinator(version: i16) -> wire::FindCoordinatorRequest {
    let request = wire::FindCoordinatorRequest::default();
    if version < 4 { request.with_key(text("g")) } else { request.with_coordinator_keys(vec![text("g")]) }
}

fn group() -> wire::GroupId {
    text("g").into()
}

fn join_group(version: i16) -> wire::JoinGroupRequest {
    use wire::join_group_request::JoinGroupRequestProtocol;
    let protocol =
        JoinGroupRequestProtocol::default().with_name(text("range")).with_metadata(Bytes::from_static(&[0; 6]));
    let mut request = wire::JoinGroupRequest::default()
        .with_group_id(group())
        .with_session_timeout_ms(10_000)
        .with_protocol_type(text("consumer"))
        .with_protocols(vec![protocol]);
    if version >= 1 {
        request.rebalance_timeout_ms = 10_000;
    }
    request
}

fn heartbeat() -> wire::HeartbeatRequest {
    wire::HeartbeatRequest::default().with_group_id(group()).with_generation_id(1).with_member_id(text("m"))
}

fn leave_group(version: i16) -> wire::LeaveGroupRequest {
    use wire::leave_group_request::MemberIdentity;
    let request = wire::LeaveGroupRequest::default().with_group_id(group());
    if version < 3 {
        return request.with_member_id(text("m"));
    }
    request.with_members(vec![MemberIdentity::default().with_member_id(text("m"))])
}

fn sync_group(version: i16) -> wire::SyncGroupRequest {
    use wire::sync_group_request::SyncGroupRequestAssignment;
    let assignment =
        SyncGroupRequestAssignment::default().with_member_id(text("m")).with_assignment(Bytes::from_static(&[0; 6]));
    let request = wire::SyncGroupRequest::default()
        .with_group_id(group())
        .with_generation_id(1)
        .with_member_id(text("m"))
        .with_assignments(vec![assignment]);
    if version < 5 {
        return request;
    }
    request.with_protocol_type(Some(text("consumer"))).with_protocol_name(Some(text("range")))
}

fn list_groups(version: i16) -> wire::ListGroupsRequest {
    let request = wire::ListGroupsRequest::default();
    if version < 5 {
        return request;
    }
    request.with_states_filter(vec![text("Stable")]).with_types_filter(vec![text("classic")])
}

fn delete_groups() -> own::DeleteGroupsRequest {
    own::DeleteGroupsRequest(wire::DeleteGroupsRequest::default().with_groups_names(vec![group()]))
}

fn api_versions(version: i16) -> wire::ApiVersionsRequest {
    let request = wire::ApiVersionsRequest::default();
    if version < 3 {
        return request;
    }
    request.with_client_software_name(text("cli")).with_client_software_version(text("1.0"))
}

fn create_topics() -> wire::CreateTopicsRequest {
    use wire::create_topics_request::{CreatableTopic, CreatableTopicConfig};
    let config = CreatableTopicConfig::default().with_name(text("retention.ms")).with_value(Some(text("1000")));
    let topic = CreatableTopic::default()
        .with_name(text("new").into())
        .with_num_partitions(2)
        .with_replication_factor(1)
        .with_configs(vec![config]);
    wire::CreateTopicsRequest::default().with_topics(vec![topic]).with_timeout_ms(1000)
}

fn delete_topics(version: i16) -> wire::DeleteTopicsRequest {
    use wire::delete_topics_request::DeleteTopicState;
    let request = wire::DeleteTopicsRequest::default().with_timeout_ms(1000);
    if version < 6 {
        return request.with_topic_names(vec![topic()]);
    }
    request.with_topics(vec![DeleteTopicState::default().with_name(Some(topic()))])
}

fn delete_records() -> wire::DeleteRecordsRequest {
    use wire::delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic};
    let partition = DeleteRecordsPartition::default().with_offset(2);
    let topic = DeleteRecordsTopic::default().with_name(topic()).with_partitions(vec![partition]);
    wire::DeleteRecordsRequest::default().with_topics(vec![topic]).with_timeout_ms(1000)
}

fn offset_for_leader_epoch() -> wire::OffsetForLeaderEpochRequest {
    use wire::offset_for_leader_epoch_request::{OffsetForLeaderPartition, OffsetForLeaderTopic};
    let partition = OffsetForLeaderPartition::default().with_current_leader_epoch(-1);
    let topic = OffsetForLeaderTopic::default().with_topic(topic()).with_partitions(vec![partition]);
    wire::OffsetForLeaderEpochRequest::default().with_topics(vec![topic])
}

const TOPIC_RESOURCE: i8 = 2;
const BROKER_RESOURCE: i8 = 4;

fn describe_configs() -> wire::DescribeConfigsRequest {
    use wire::describe_configs_request::DescribeConfigsResource;
    let resources = [(TOPIC_RESOURCE, "a"), (BROKER_RESOURCE, "1"), (BROKER_RESOURCE, "")].map(|(kind, name)| {
        DescribeConfigsResource::default()
            .with_resource_type(kind)
            .with_resource_name(text(name))
            .with_configuration_keys(Some(vec![text("retention.ms"), text("log.retention.ms")]))
    });
    wire::DescribeConfigsRequest::default().with_resources(resources.into()).with_include_synonyms(true)
}

fn alter_configs() -> wire::AlterConfigsRequest {
    use wire::alter_configs_request::{AlterConfigsResource, AlterableConfig};
    let config = AlterableConfig::default().with_name(text("retention.ms")).with_value(Some(text("5000")));
    let resource = AlterConfigsResource::default()
        .with_resource_type(TOPIC_RESOURCE)
        .with_resource_name(text("a"))
        .with_configs(vec![config]);
    wire::AlterConfigsRequest::default().with_resources(vec![resource])
}

fn incremental_alter_configs() -> wire::IncrementalAlterConfigsRequest {
    use wire::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
    let config = |name, operation, value| {
        AlterableConfig::default().with_name(text(name)).with_config_operation(operation).with_value(value)
    };
    let topic = AlterConfigsResource::default()
        .with_resource_type(TOPIC_RESOURCE)
        .with_resource_name(text("a"))
        .with_configs(vec![
            config("retention.ms", 0, Some(text("1"))),
            config("cleanup.policy", 2, Some(text("compact"))),
        ]);
    let broker = AlterConfigsResource::default()
        .with_resource_type(BROKER_RESOURCE)
        .with_resource_name(text("1"))
        .with_configs(vec![config("log.retention.ms", 0, Some(text("1"))), config("max.connections", 1, None)]);
    wire::IncrementalAlterConfigsRequest::default().with_resources(vec![topic, broker])
}

fn describe_log_dirs() -> own::DescribeLogDirsRequest {
    use wire::describe_log_dirs_request::DescribableLogDirTopic;
    let topic = DescribableLogDirTopic::default().with_topic(topic()).with_partitions(vec![0, 1]);
    wire::DescribeLogDirsRequest::default().with_topics(Some(vec![topic])).into()
}

fn create_partitions() -> wire::CreatePartitionsRequest {
    use wire::create_partitions_request::CreatePartitionsTopic;
    let topic = CreatePartitionsTopic::default().with_name(topic()).with_count(3).with_assignments(None);
    wire::CreatePartitionsRequest::default().with_topics(vec![topic]).with_timeout_ms(1000)
}

fn describe_topic_partitions() -> wire::DescribeTopicPartitionsRequest {
    use wire::describe_topic_partitions_request::{Cursor, TopicRequest};
    let cursor = Cursor::default().with_topic_name(topic()).with_partition_index(1);
    wire::DescribeTopicPartitionsRequest::default()
        .with_topics(vec![TopicRequest::default().with_name(topic())])
        .with_response_partition_limit(10)
        .with_cursor(Some(cursor))
}

fn share_group_heartbeat() -> wire::ShareGroupHeartbeatRequest {
    wire::ShareGroupHeartbeatRequest::default()
        .with_group_id(group())
        .with_member_id(text("m"))
        .with_subscribed_topic_names(Some(vec![topic()]))
}

fn share_fetch() -> own::ShareFetchRequest {
    use wire::share_fetch_request::{FetchPartition, FetchTopic};
    let topic = FetchTopic::default()
        .with_topic_id(super::super::dispatch::topic_id("a"))
        .with_partitions(vec![FetchPartition::default()]);
    let request = wire::ShareFetchRequest::default()
        .with_group_id(Some(group()))
        .with_member_id(Some(text("m")))
        .with_max_bytes(1 << 20)
        .with_max_records(10)
        .with_batch_size(10)
        .with_topics(vec![topic]);
    request.into()
}

fn share_acknowledge() -> own::ShareAcknowledgeRequest {
    use wire::share_acknowledge_request::{AcknowledgePartition, AcknowledgeTopic, AcknowledgementBatch};
    let batch = AcknowledgementBatch::default().with_last_offset(1).with_acknowledge_types(vec![1, 2]);
    let partition = AcknowledgePartition::default().with_acknowledgement_batches(vec![batch]);
    let topic = AcknowledgeTopic::default()
        .with_topic_id(super::super::dispatch::topic_id("a"))
        .with_partitions(vec![partition]);
    let request = wire::ShareAcknowledgeRequest::default()
        .with_group_id(Some(group()))
        .with_member_id(Some(text("m")))
        .with_share_session_epoch(1)
        .with_topics(vec![topic]);
    request.into()
}

fn describe_share_group_offsets() -> own::DescribeShareGroupOffsetsRequest {
    use wire::describe_share_group_offsets_request::DescribeShareGroupOffsetsRequestGroup;
    let group = DescribeShareGroupOffsetsRequestGroup::default().with_group_id(group()).with_topics(None);
    wire::DescribeShareGroupOffsetsRequest::default().with_groups(vec![group]).into()
}

fn alter_share_group_offsets() -> wire::AlterShareGroupOffsetsRequest {
    use wire::alter_share_group_offsets_request::{
        AlterShareGroupOffsetsRequestPartition, AlterShareGroupOffsetsRequestTopic,
    };
    let partition = AlterShareGroupOffsetsRequestPartition::default();
    let topic =
        AlterShareGroupOffsetsRequestTopic::default().with_topic_name(topic()).with_partitions(vec![partition]);
    wire::AlterShareGroupOffsetsRequest::default().with_group_id(group()).with_topics(vec![topic])
}

fn delete_share_group_offsets() -> wire::DeleteShareGroupOffsetsRequest {
    use wire::delete_share_group_offsets_request::DeleteShareGroupOffsetsRequestTopic;
    let topic = DeleteShareGroupOffsetsRequestTopic::default().with_topic_name(topic());
    wire::DeleteShareGroupOffsetsRequest::default().with_group_id(group()).with_topics(vec![topic])
}
