//! What groups ask about their offsets, and members of the consumer protocol.

use super::super::super::dispatch::topic_id;
use super::{Body, encoded, group, name_below, own, text, topic, wire};

pub(super) fn body(api_key: i16, version: i16) -> Option<Body> {
    Some(match api_key {
        8 => encoded(&offset_commit(version), version),
        9 => encoded(&offset_fetch(version), version),
        47 => encoded(&offset_delete(), version),
        68 => encoded(&consumer_group_heartbeat(), version),
        69 => encoded(&wire::ConsumerGroupDescribeRequest::default().with_group_ids(vec![group()]), version),
        _ => return None,
    })
}

fn offset_commit(version: i16) -> own::OffsetCommitRequest {
    use wire::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
    let partition = OffsetCommitRequestPartition::default().with_committed_offset(1);
    let partition = partition.with_committed_metadata(Some(text("so far")));
    let topic =
        OffsetCommitRequestTopic::default().with_name(name_below(version, 10)).with_partitions(vec![partition]);
    let request = wire::OffsetCommitRequest::default().with_group_id(group()).with_topics(vec![topic]);
    let mut request = own::OffsetCommitRequest::from(request.with_generation_id_or_member_epoch(-1));
    if version >= 10 {
        request.topics[0].topic_id = topic_id("a");
    }
    request
}

fn offset_fetch(version: i16) -> own::OffsetFetchRequest {
    use wire::offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics};
    if version < 8 {
        let topic = OffsetFetchRequestTopic::default().with_name(topic()).with_partition_indexes(vec![0, 1]);
        return wire::OffsetFetchRequest::default().with_group_id(group()).with_topics(Some(vec![topic])).into();
    }
    let topic = OffsetFetchRequestTopics::default().with_name(name_below(version, 10));
    let topic = topic.with_partition_indexes(vec![0, 1]);
    let asked = OffsetFetchRequestGroup::default().with_group_id(group()).with_topics(Some(vec![topic]));
    let mut request = own::OffsetFetchRequest::from(wire::OffsetFetchRequest::default().with_groups(vec![asked]));
    if version >= 10 {
        for topic in request.groups[0].topics.iter_mut().flatten() {
            topic.topic_id = topic_id("a");
        }
    }
    request
}

fn offset_delete() -> wire::OffsetDeleteRequest {
    use wire::offset_delete_request::{OffsetDeleteRequestPartition, OffsetDeleteRequestTopic};
    let topic = OffsetDeleteRequestTopic::default()
        .with_name(topic())
        .with_partitions(vec![OffsetDeleteRequestPartition::default()]);
    wire::OffsetDeleteRequest::default().with_group_id(group()).with_topics(vec![topic])
}

fn consumer_group_heartbeat() -> wire::ConsumerGroupHeartbeatRequest {
    wire::ConsumerGroupHeartbeatRequest::default()
        .with_group_id(text("consumers").into())
        .with_member_id(text("m"))
        .with_rebalance_timeout_ms(10_000)
        .with_subscribed_topic_names(Some(vec![topic()]))
        .with_topic_partitions(Some(Vec::new()))
}
