//! What is answered about share groups as such: ShareGroupHeartbeat, ShareGroupDescribe, and the offsets that
//! administrators see, set and delete.

use anyhow::Result;
use kafka_protocol::messages::alter_share_group_offsets_request::{
    AlterShareGroupOffsetsRequestPartition, AlterShareGroupOffsetsRequestTopic,
};
use kafka_protocol::messages::consumer_group_heartbeat_request::ConsumerGroupHeartbeatRequest;
use kafka_protocol::messages::delete_share_group_offsets_request::DeleteShareGroupOffsetsRequestTopic;
use kafka_protocol::messages::describe_share_group_offsets_request::{
    DescribeShareGroupOffsetsRequestGroup, DescribeShareGroupOffsetsRequestTopic,
};
use kafka_protocol::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use kafka_protocol::messages::share_fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::share_group_describe_response::DescribedGroup;
use kafka_protocol::messages::{
    AlterShareGroupOffsetsRequest, AlterShareGroupOffsetsResponse, DeleteShareGroupOffsetsRequest,
    DeleteShareGroupOffsetsResponse, DescribeShareGroupOffsetsRequest, GroupId, ListGroupsRequest,
    OffsetCommitRequest, ShareFetchRequest, ShareGroupDescribeRequest, ShareGroupHeartbeatRequest,
    ShareGroupHeartbeatResponse, TopicName,
};
use ottla_compat_tests::batch::Batch;
use ottla_compat_tests::classic_member::coordinator;
use ottla_compat_tests::wait::eventually;
use ottla_compat_tests::wire::{Wire, text};
use ottla_compat_tests::{Node, only_ottla};

const NONE: i16 = 0;
const UNKNOWN_TOPIC_OR_PARTITION: i16 = 3;
const INVALID_GROUP_ID: i16 = 24;
const UNKNOWN_MEMBER_ID: i16 = 25;
const INVALID_REQUEST: i16 = 42;
const NON_EMPTY_GROUP: i16 = 68;
const GROUP_ID_NOT_FOUND: i16 = 69;
const GROUP_MAX_SIZE_REACHED: i16 = 81;
const FENCED_MEMBER_EPOCH: i16 = 110;

const JOIN: i32 = 0;
const LEAVE: i32 = -1;

fn node() -> Result<(Node, Wire)> {
    node_with(&[])
}

/// A node with a topic `jobs` of two partitions.
fn node_with(properties: &[(&str, &str)]) -> Result<(Node, Wire)> {
    // Kafka needs these to keep the state on one node; Ottla does so by itself.
    let one_replica =
        [("share.coordinator.state.topic.replication.factor", "1"), ("share.coordinator.state.topic.min.isr", "1")];
    let node = Node::with(&[properties, &one_replica].concat());
    let mut wire = coordinator(&node, "workers");
    wire.create_topic("jobs", 2, &[])?;
    Ok((node, wire))
}

fn heartbeat(group: &str, member: &str, epoch: i32) -> ShareGroupHeartbeatRequest {
    let names = (epoch == JOIN).then(|| vec![TopicName(text("jobs"))]);
    ShareGroupHeartbeatRequest::default()
        .with_group_id(GroupId(text(group)))
        .with_member_id(text(member))
        .with_member_epoch(epoch)
        .with_subscribed_topic_names(names)
}

/// A member that has joined, once the coordinator is there.
fn join(wire: &mut Wire, group: &str, member: &str) -> ShareGroupHeartbeatResponse {
    eventually("a member joins", || {
        let response = wire.call(1, &heartbeat(group, member, JOIN)).expect("a response");
        (response.error_code == NONE).then_some(response)
    })
}

/// Joins and leaves, so that the group is there and empty, and has offsets of both partitions.
fn empty_group(wire: &mut Wire, group: &str) -> Result<()> {
    join(wire, group, "m");
    eventually("both partitions are assigned", || {
        let response = wire.call(1, &heartbeat(group, "m", JOIN)).expect("a response");
        let assigned = response.assignment?;
        (assigned.topic_partitions.iter().map(|topic| topic.partitions.len()).sum::<usize>() == 2).then_some(())
    });
    let left = wire.call(1, &heartbeat(group, "m", LEAVE))?;
    assert_eq!((left.error_code, left.member_epoch), (NONE, LEAVE), "{left:?}");
    Ok(())
}

fn describe(wire: &mut Wire, group: &str) -> Result<DescribedGroup> {
    let request = ShareGroupDescribeRequest::default().with_group_ids(vec![GroupId(text(group))]);
    Ok(wire.call(1, &request)?.groups.remove(0))
}

fn alter(
    wire: &mut Wire,
    group: &str,
    topic: &str,
    offsets: &[(i32, i64)],
) -> Result<AlterShareGroupOffsetsResponse> {
    let partitions = offsets.iter().map(|&(partition, offset)| {
        AlterShareGroupOffsetsRequestPartition::default().with_partition_index(partition).with_start_offset(offset)
    });
    let topic = AlterShareGroupOffsetsRequestTopic::default()
        .with_topic_name(TopicName(text(topic)))
        .with_partitions(partitions.collect());
    let request =
        AlterShareGroupOffsetsRequest::default().with_group_id(GroupId(text(group))).with_topics(vec![topic]);
    wire.call(0, &request)
}

fn delete(wire: &mut Wire, group: &str, topics: &[&str]) -> Result<DeleteShareGroupOffsetsResponse> {
    let topics = topics
        .iter()
        .map(|name| DeleteShareGroupOffsetsRequestTopic::default().with_topic_name(TopicName(text(name))));
    let request =
        DeleteShareGroupOffsetsRequest::default().with_group_id(GroupId(text(group))).with_topics(topics.collect());
    wire.call(0, &request)
}

/// Topic, partition, start offset and error of what a group has; `None` asks for all there is.
fn offsets(wire: &mut Wire, group: &str, topics: Option<&[(&str, &[i32])]>) -> Result<Vec<(String, i32, i64, i16)>> {
    let topics = topics.map(|topics| {
        let topics = topics.iter().map(|(name, partitions)| {
            DescribeShareGroupOffsetsRequestTopic::default()
                .with_topic_name(TopicName(text(name)))
                .with_partitions(partitions.to_vec())
        });
        topics.collect()
    });
    let group =
        DescribeShareGroupOffsetsRequestGroup::default().with_group_id(GroupId(text(group))).with_topics(topics);
    let response = wire.call(0, &DescribeShareGroupOffsetsRequest::default().with_groups(vec![group]))?;
    assert_eq!(response.groups[0].error_code, NONE, "{response:?}");
    let mut found = Vec::new();
    for topic in &response.groups[0].topics {
        for partition in &topic.partitions {
            let name = topic.topic_name.to_string();
            found.push((name, partition.partition_index, partition.start_offset, partition.error_code));
        }
    }
    found.sort();
    Ok(found)
}

#[test]
fn heartbeats_that_make_no_sense_are_named() -> Result<()> {
    let (_node, mut wire) = node()?;
    join(&mut wire, "workers", "known");
    let bad = [
        (heartbeat("workers", "", JOIN), INVALID_REQUEST),
        (heartbeat("", "m", JOIN), INVALID_REQUEST),
        (heartbeat("workers", "m", JOIN).with_rack_id(Some(text(""))), INVALID_REQUEST),
        (heartbeat("workers", "m", JOIN).with_subscribed_topic_names(None), INVALID_REQUEST),
        (heartbeat("workers", "m", JOIN).with_subscribed_topic_names(Some(vec![])), INVALID_REQUEST),
        (heartbeat("workers", "m", -2), INVALID_REQUEST),
        (heartbeat("workers", "m", 7), UNKNOWN_MEMBER_ID),
        (heartbeat("workers", "m", LEAVE), UNKNOWN_MEMBER_ID),
        (heartbeat("nobody", "m", 7), GROUP_ID_NOT_FOUND),
        (heartbeat("nobody", "m", LEAVE), GROUP_ID_NOT_FOUND),
        (heartbeat("workers", "known", 70), FENCED_MEMBER_EPOCH),
    ];
    for (request, code) in bad {
        let response = wire.call(1, &request)?;
        assert_eq!(response.error_code, code, "{request:?} {response:?}");
    }
    Ok(())
}

#[test]
fn a_full_group_takes_nobody_else() -> Result<()> {
    let (_node, mut wire) = node_with(&[("group.share.max.size", "10")])?;
    for member in 0..10 {
        join(&mut wire, "workers", &format!("m{member}"));
    }
    let refused = wire.call(1, &heartbeat("workers", "one too many", JOIN))?;
    assert_eq!(refused.error_code, GROUP_MAX_SIZE_REACHED, "{refused:?}");
    Ok(())
}

#[test]
fn a_group_of_another_type_is_no_share_group() -> Result<()> {
    let (_node, mut wire) = node()?;
    let joins = ConsumerGroupHeartbeatRequest::default()
        .with_group_id(GroupId(text("readers")))
        .with_member_id(text("m"))
        .with_member_epoch(0)
        .with_rebalance_timeout_ms(60_000)
        .with_subscribed_topic_names(Some(vec![TopicName(text("jobs"))]))
        .with_topic_partitions(Some(vec![]));
    eventually("a consumer joins", || (wire.call(1, &joins).expect("a response").error_code == NONE).then_some(()));

    assert_eq!(wire.call(1, &heartbeat("readers", "s", JOIN))?.error_code, GROUP_ID_NOT_FOUND);
    assert_eq!(describe(&mut wire, "readers")?.error_code, GROUP_ID_NOT_FOUND);
    assert_eq!(alter(&mut wire, "readers", "jobs", &[(0, 0)])?.error_code, GROUP_ID_NOT_FOUND);
    assert_eq!(delete(&mut wire, "readers", &["jobs"])?.error_code, GROUP_ID_NOT_FOUND);
    assert_eq!(offsets(&mut wire, "readers", None)?, []);

    // And the other way about.
    join(&mut wire, "workers", "m");
    let refused = wire.call(1, &joins.with_group_id(GroupId(text("workers"))))?;
    assert_eq!(refused.error_code, GROUP_ID_NOT_FOUND, "{refused:?}");
    Ok(())
}

#[test]
fn groups_are_described_with_their_members() -> Result<()> {
    let (_node, mut wire) = node()?;
    join(&mut wire, "workers", "m");
    let described = eventually("the member has both partitions", || {
        let described = describe(&mut wire, "workers").expect("a response");
        wire.call(1, &heartbeat("workers", "m", JOIN)).expect("a response");
        let assigned = &described.members.first()?.assignment.topic_partitions;
        (assigned.iter().map(|topic| topic.partitions.len()).sum::<usize>() == 2).then_some(described)
    });
    assert_eq!(described.error_code, NONE);
    assert_eq!((described.group_state.as_str(), described.assignor_name.as_str()), ("Stable", "simple"));
    assert_eq!(described.members[0].member_id.as_str(), "m");
    assert_eq!(described.members[0].subscribed_topic_names, [TopicName(text("jobs"))]);
    assert_eq!(described.group_epoch, described.assignment_epoch);

    wire.call(1, &heartbeat("workers", "m", LEAVE))?;
    let empty = describe(&mut wire, "workers")?;
    assert_eq!((empty.group_state.as_str(), empty.members.len()), ("Empty", 0), "{empty:?}");

    let unknown = describe(&mut wire, "nobody")?;
    assert_eq!(unknown.error_code, GROUP_ID_NOT_FOUND, "{unknown:?}");
    assert_eq!(describe(&mut wire, "")?.error_code, INVALID_GROUP_ID);
    Ok(())
}

#[test]
fn offsets_of_an_empty_group_are_set_seen_and_deleted() -> Result<()> {
    let (_node, mut wire) = node()?;
    wire.produce("jobs", 0, -1, &Batch::of_values(&["a", "b", "c"]).encode())?;
    empty_group(&mut wire, "workers")?;

    let altered = alter(&mut wire, "workers", "jobs", &[(0, 2), (1, 0), (9, 0)])?;
    assert_eq!(altered.error_code, NONE, "{altered:?}");
    let codes: Vec<i16> = altered.responses[0].partitions.iter().map(|partition| partition.error_code).collect();
    assert_eq!(codes, [NONE, NONE, UNKNOWN_TOPIC_OR_PARTITION]);
    let unknown = alter(&mut wire, "workers", "nothing", &[(0, 0)])?;
    assert_eq!(unknown.responses[0].partitions[0].error_code, UNKNOWN_TOPIC_OR_PARTITION, "{unknown:?}");

    let both = [("jobs".to_owned(), 0, 2, NONE), ("jobs".to_owned(), 1, 0, NONE)];
    assert_eq!(offsets(&mut wire, "workers", None)?, both);
    assert_eq!(offsets(&mut wire, "workers", Some(&[("jobs", &[0, 1])]))?, both);

    let deleted = delete(&mut wire, "workers", &["jobs", "nothing"])?;
    assert_eq!(deleted.error_code, NONE, "{deleted:?}");
    let mut codes: Vec<(String, i16)> =
        deleted.responses.iter().map(|topic| (topic.topic_name.to_string(), topic.error_code)).collect();
    codes.sort();
    assert_eq!(codes, [("jobs".to_owned(), NONE), ("nothing".to_owned(), UNKNOWN_TOPIC_OR_PARTITION)]);
    assert_eq!(offsets(&mut wire, "workers", None)?, []);
    let again = delete(&mut wire, "workers", &["jobs"])?;
    assert_eq!(again.responses[0].error_code, UNKNOWN_TOPIC_OR_PARTITION, "{again:?}");
    Ok(())
}

/// An offset behind the log's end is not one to wait for: what is appended until then would be lost.
#[test]
fn who_goes_on_behind_the_end_misses_nothing() -> Result<()> {
    // Kafka lets the group wait until the log is that long.
    if only_ottla() {
        return Ok(());
    }
    let (mut node, mut wire) = node()?;
    empty_group(&mut wire, "workers")?;
    alter(&mut wire, "workers", "jobs", &[(0, 1000)])?;
    let start = |wire: &mut Wire| Ok::<_, anyhow::Error>(offsets(wire, "workers", Some(&[("jobs", &[0])]))?[0].2);
    assert_eq!(start(&mut wire)?, 1000);
    let topic = wire.topic_id("jobs")?;
    let partition = FetchPartition::default().with_partition_index(0);
    let fetch = ShareFetchRequest::default()
        .with_group_id(Some(GroupId(text("workers"))))
        .with_member_id(Some(text("m")))
        .with_max_bytes(1 << 20)
        .with_max_records(500)
        .with_topics(vec![FetchTopic::default().with_topic_id(topic).with_partitions(vec![partition])]);
    wire.call(1, &fetch)?;
    node.kill_and_restart();
    let mut wire = coordinator(&node, "workers");
    wire.append("jobs", 0, &Batch::of_values(&["a"]).encode())?;
    let acquired = eventually("the record that came behind the end", || {
        let response = wire.call(1, &fetch).expect("a response");
        let acquired = &response.responses.first()?.partitions[0].acquired_records;
        acquired.first().map(|acquired| acquired.first_offset)
    });
    assert_eq!(acquired, 0);
    Ok(())
}

/// Consumers that assign to themselves and commit have a group too.
#[test]
fn offsets_without_members_are_no_share_group() -> Result<()> {
    let (_node, mut wire) = node()?;
    let partition = OffsetCommitRequestPartition::default().with_partition_index(0).with_committed_offset(0);
    let topic =
        OffsetCommitRequestTopic::default().with_name(TopicName(text("jobs"))).with_partitions(vec![partition]);
    let commit = OffsetCommitRequest::default()
        .with_group_id(GroupId(text("simple")))
        .with_generation_id_or_member_epoch(-1)
        .with_topics(vec![topic]);
    eventually("a commit", || {
        let response = wire.call(8, &commit).expect("a response");
        (response.topics[0].partitions[0].error_code == NONE).then_some(())
    });
    assert_eq!(wire.call(1, &heartbeat("simple", "m", JOIN))?.error_code, GROUP_ID_NOT_FOUND);
    assert_eq!(alter(&mut wire, "simple", "jobs", &[(0, 0)])?.error_code, GROUP_ID_NOT_FOUND);
    Ok(())
}

/// A member that missed an answer says all of itself, and hears all.
#[test]
fn who_says_everything_is_told_everything() -> Result<()> {
    let (_node, mut wire) = node()?;
    empty_group(&mut wire, "workers")?;
    let joined = join(&mut wire, "workers", "m");
    assert!(joined.assignment.is_some());
    let mut again = heartbeat("workers", "m", joined.member_epoch);
    assert_eq!(wire.call(1, &again)?.assignment, None, "nothing new");
    again.subscribed_topic_names = Some(vec![TopicName(text("jobs"))]);
    assert_eq!(wire.call(1, &again)?.assignment, joined.assignment);
    Ok(())
}

#[test]
fn offsets_that_are_not_there_are_no_error() -> Result<()> {
    let (_node, mut wire) = node()?;
    empty_group(&mut wire, "workers")?;
    let nothing = |topic: &str| (topic.to_owned(), 0, -1, NONE);
    assert_eq!(offsets(&mut wire, "nobody", None)?, []);
    assert_eq!(offsets(&mut wire, "nobody", Some(&[("jobs", &[0])]))?, [nothing("jobs")]);
    assert_eq!(offsets(&mut wire, "workers", Some(&[("nothing", &[0])]))?, [nothing("nothing")]);
    Ok(())
}

#[test]
fn offsets_of_a_group_with_members_stay() -> Result<()> {
    let (_node, mut wire) = node()?;
    join(&mut wire, "workers", "m");
    assert_eq!(alter(&mut wire, "workers", "jobs", &[(0, 0)])?.error_code, NON_EMPTY_GROUP);
    assert_eq!(delete(&mut wire, "workers", &["jobs"])?.error_code, NON_EMPTY_GROUP);
    Ok(())
}

#[test]
fn offsets_may_be_set_before_a_group_has_a_member() -> Result<()> {
    let (_node, mut wire) = node()?;
    let altered = eventually("the coordinator is there", || {
        let altered = alter(&mut wire, "new", "jobs", &[(1, 0)]).expect("a response");
        (altered.error_code == NONE).then_some(altered)
    });
    assert_eq!(altered.responses[0].partitions[0].error_code, NONE, "{altered:?}");
    assert_eq!(offsets(&mut wire, "new", None)?, [("jobs".to_owned(), 1, 0, NONE)]);
    let described = describe(&mut wire, "new")?;
    assert_eq!((described.error_code, described.group_state.as_str()), (NONE, "Empty"), "{described:?}");
    let listed = wire.call(5, &ListGroupsRequest::default())?;
    assert!(
        listed.groups.iter().any(|group| group.group_id.as_str() == "new" && group.group_type.as_str() == "share")
    );
    join(&mut wire, "new", "m");

    // What cannot be set makes no group.
    alter(&mut wire, "void", "nothing", &[(0, 0)])?;
    assert_eq!(describe(&mut wire, "void")?.error_code, GROUP_ID_NOT_FOUND);
    assert_eq!(delete(&mut wire, "void", &["jobs"])?.error_code, GROUP_ID_NOT_FOUND);
    assert_eq!(alter(&mut wire, "", "jobs", &[(0, 0)])?.error_code, INVALID_GROUP_ID);
    assert_eq!(delete(&mut wire, "", &["jobs"])?.error_code, INVALID_GROUP_ID);
    Ok(())
}
