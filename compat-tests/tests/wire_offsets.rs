//! Committed offsets on the wire: OffsetCommit, OffsetFetch and OffsetDelete in every version, their errors one by one,
//! and that nothing committed is lost.

use anyhow::Result;
use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use kafka_protocol::messages::offset_commit_response::OffsetCommitResponseTopic;
use kafka_protocol::messages::offset_delete_request::{OffsetDeleteRequestPartition, OffsetDeleteRequestTopic};
use kafka_protocol::messages::offset_fetch_request::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
};
use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use kafka_protocol::messages::{
    DeleteGroupsRequest, DescribeGroupsRequest, FindCoordinatorRequest, GroupId, JoinGroupRequest, ListGroupsRequest,
    OffsetCommitRequest, OffsetDeleteRequest, OffsetDeleteResponse, OffsetFetchRequest, SyncGroupRequest,
};
use kafka_protocol::protocol::Request;
use ottla_compat_tests::Node;
use ottla_compat_tests::batch::Batch;
use ottla_compat_tests::http;
use ottla_compat_tests::only_ottla;
use ottla_compat_tests::tool::{kafka_tool, run};
use ottla_compat_tests::wait::eventually;
use ottla_compat_tests::wire::{Wire, name, text};
use uuid::Uuid;

const UNKNOWN_TOPIC_OR_PARTITION: i16 = 3;
const OFFSET_METADATA_TOO_LARGE: i16 = 12;
const NOT_COORDINATOR: i16 = 16;
const ILLEGAL_GENERATION: i16 = 22;
const INVALID_GROUP_ID: i16 = 24;
const UNKNOWN_MEMBER_ID: i16 = 25;
const REBALANCE_IN_PROGRESS: i16 = 27;
const GROUP_ID_NOT_FOUND: i16 = 69;
const NON_EMPTY_GROUP: i16 = 68;
const FENCED_INSTANCE_ID: i16 = 82;
const GROUP_SUBSCRIBED_TO_TOPIC: i16 = 86;
const UNKNOWN_TOPIC_ID: i16 = 100;

const NOBODY: i32 = -1;

/// A node with a topic of three partitions, and a connection that found the group's coordinator.
fn node_with_topic(properties: &[(&str, &str)]) -> (Node, Wire) {
    let node = Node::with(properties);
    let mut wire = node.wire();
    wire.create_topic("logs", 3, &[]).unwrap();
    find_coordinator(&mut wire);
    (node, wire)
}

/// Makes the broker the coordinator of the group `g`, which takes the broker a moment more to find out itself.
fn find_coordinator(wire: &mut Wire) {
    let request = FindCoordinatorRequest::default().with_coordinator_keys(vec![text("g")]);
    eventually("a coordinator", || {
        let found = wire.call(4, &request).ok()?.coordinators.pop()?;
        (found.error_code == 0).then_some(())
    });
    eventually("the coordinator serves", || (fetch(wire, 9, "g", None).ok()?.0 == 0).then_some(()));
}

fn group(id: &str) -> GroupId {
    GroupId(text(id))
}

fn partition(index: i32, offset: i64) -> OffsetCommitRequestPartition {
    OffsetCommitRequestPartition::default()
        .with_partition_index(index)
        .with_committed_offset(offset)
        .with_committed_metadata(Some(text("")))
}

/// A commit to `logs`, as from outside of the group.
fn commit_request(partitions: Vec<OffsetCommitRequestPartition>) -> OffsetCommitRequest {
    let topic = OffsetCommitRequestTopic::default().with_name(name("logs")).with_partitions(partitions);
    OffsetCommitRequest::default()
        .with_group_id(group("g"))
        .with_generation_id_or_member_epoch(NOBODY)
        .with_retention_time_ms(-1)
        .with_topics(vec![topic])
}

fn codes_of(topics: &[OffsetCommitResponseTopic]) -> Vec<(i32, i16)> {
    let mut codes: Vec<_> = topics
        .iter()
        .flat_map(|topic| topic.partitions.iter().map(|answer| (answer.partition_index, answer.error_code)))
        .collect();
    codes.sort_unstable();
    codes
}

/// Partition and error of each answer.
fn commit(wire: &mut Wire, version: i16, request: &OffsetCommitRequest) -> Result<Vec<(i32, i16)>> {
    Ok(codes_of(&wire.call(version, request)?.topics))
}

/// The code that a commit of one offset is answered with.
fn commit_code(wire: &mut Wire, version: i16, change: impl FnOnce(&mut OffsetCommitRequest)) -> Result<i16> {
    let mut request = commit_request(vec![partition(0, 1)]);
    change(&mut request);
    let codes = commit(wire, version, &request)?;
    assert_eq!(codes.len(), 1, "{codes:?}");
    Ok(codes[0].1)
}

fn commit_offset(wire: &mut Wire, index: i32, offset: i64) -> Result<()> {
    assert_eq!(commit(wire, 9, &commit_request(vec![partition(index, offset)]))?, [(index, 0)]);
    Ok(())
}

/// What a group is answered: its error, and partition, offset, leader epoch, metadata and error of each partition.
type Fetched = (i16, Vec<(i32, i64, i32, String, i16)>);

fn fetch(wire: &mut Wire, version: i16, group_id: &str, partitions: Option<&[i32]>) -> Result<Fetched> {
    let mut fetched = if version >= 8 {
        let topics = partitions.map(|partitions| {
            vec![
                OffsetFetchRequestTopics::default()
                    .with_name(name("logs"))
                    .with_partition_indexes(partitions.to_vec()),
            ]
        });
        let asked = OffsetFetchRequestGroup::default().with_group_id(group(group_id)).with_topics(topics);
        let mut response = wire.call(version, &OffsetFetchRequest::default().with_groups(vec![asked]))?;
        let answer = response.groups.pop().expect("an answer for the group");
        let partitions = answer.topics.into_iter().flat_map(|topic| topic.partitions).map(|answer| {
            let metadata = answer.metadata.unwrap_or_default().to_string();
            let (offset, epoch) = (answer.committed_offset, answer.committed_leader_epoch);
            (answer.partition_index, offset, epoch, metadata, answer.error_code)
        });
        (answer.error_code, partitions.collect::<Vec<_>>())
    } else {
        let topics = partitions.map(|partitions| {
            vec![
                OffsetFetchRequestTopic::default()
                    .with_name(name("logs"))
                    .with_partition_indexes(partitions.to_vec()),
            ]
        });
        let request = OffsetFetchRequest::default().with_group_id(group(group_id)).with_topics(topics);
        let response = wire.call(version, &request)?;
        let partitions = response.topics.into_iter().flat_map(|topic| topic.partitions).map(|answer| {
            let metadata = answer.metadata.unwrap_or_default().to_string();
            let (offset, epoch) = (answer.committed_offset, answer.committed_leader_epoch);
            (answer.partition_index, offset, epoch, metadata, answer.error_code)
        });
        (response.error_code, partitions.collect::<Vec<_>>())
    };
    fetched.1.sort();
    Ok(fetched)
}

/// Partition and offset of everything that the group has committed.
fn all_offsets(wire: &mut Wire) -> Result<Vec<(i32, i64)>> {
    let (error, partitions) = fetch(wire, 9, "g", None)?;
    assert_eq!(error, 0);
    Ok(partitions.into_iter().map(|(index, offset, ..)| (index, offset)).collect())
}

fn delete(wire: &mut Wire, group_id: &str, topic: &str, partitions: &[i32]) -> Result<OffsetDeleteResponse> {
    let partitions =
        partitions.iter().map(|&index| OffsetDeleteRequestPartition::default().with_partition_index(index));
    let topic = OffsetDeleteRequestTopic::default().with_name(name(topic)).with_partitions(partitions.collect());
    wire.call(0, &OffsetDeleteRequest::default().with_group_id(group(group_id)).with_topics(vec![topic]))
}

fn deleted_codes(response: &OffsetDeleteResponse) -> Vec<(i32, i16)> {
    let answers = response.topics.iter().flat_map(|topic| &topic.partitions);
    let mut codes: Vec<_> = answers.map(|answer| (answer.partition_index, answer.error_code)).collect();
    codes.sort_unstable();
    codes
}

/// Case 22 of the reference: metadata and leader epoch come back.
#[test]
fn every_version_commits_and_fetches() -> Result<()> {
    let (_node, mut wire) = node_with_topic(&[]);
    for version in 2..=9 {
        let offset = 100 + i64::from(version);
        let mut asked = partition(1, offset).with_committed_metadata(Some(text("so far")));
        if version >= 6 {
            asked = asked.with_committed_leader_epoch(7);
        }
        assert_eq!(commit(&mut wire, version, &commit_request(vec![asked]))?, [(1, 0)], "version {version}");
        let epoch = if version >= 6 { 7 } else { -1 };
        for version in 1..=9 {
            let epoch = if version >= 5 { epoch } else { -1 };
            let expected = vec![(0, -1, -1, String::new(), 0), (1, offset, epoch, "so far".to_owned(), 0)];
            assert_eq!(fetch(&mut wire, version, "g", Some(&[0, 1]))?, (0, expected.clone()), "version {version}");
            if version >= 2 {
                assert_eq!(fetch(&mut wire, version, "g", None)?, (0, expected[1..].to_vec()), "version {version}");
            }
        }
    }
    Ok(())
}

fn compact(frame: &mut BytesMut, text: &str) {
    frame.put_u8(text.len() as u8 + 1);
    frame.put_slice(text.as_bytes());
}

/// Sends a request that the message crate does not know on a connection of its own.
fn call_by_id<R: Request>(node: &Node, body: impl FnOnce(&mut BytesMut)) -> Result<R::Response> {
    const VERSION: i16 = 10;
    let mut frame = BytesMut::new();
    frame.put_i16(R::KEY);
    frame.put_i16(VERSION);
    frame.put_i32(0);
    frame.put_i16(-1);
    frame.put_u8(0);
    body(&mut frame);
    let mut wire = node.wire();
    wire.send_frame(&frame)?;
    wire.receive::<R>(VERSION)
}

fn commit_by_id(node: &Node, topic_id: Uuid, index: i32, offset: i64) -> Result<Vec<(Uuid, i32, i16)>> {
    let response = call_by_id::<OffsetCommitRequest>(node, |body| {
        compact(body, "g");
        body.put_i32(NOBODY);
        compact(body, "");
        body.put_u8(0);
        body.put_u8(2);
        body.put_slice(topic_id.as_bytes());
        body.put_u8(2);
        body.put_i32(index);
        body.put_i64(offset);
        body.put_i32(4);
        compact(body, "by id");
        body.put_slice(&[0, 0, 0]);
    })?;
    let answers = response.topics.iter().flat_map(|topic| {
        topic.partitions.iter().map(|answer| (topic.topic_id, answer.partition_index, answer.error_code))
    });
    Ok(answers.collect())
}

fn fetch_by_id(node: &Node, topic_id: Option<Uuid>) -> Result<Vec<(Uuid, i32, i64, i16)>> {
    let mut response = call_by_id::<OffsetFetchRequest>(node, |body| {
        body.put_u8(2);
        compact(body, "g");
        body.put_u8(0);
        body.put_i32(NOBODY);
        match topic_id {
            Some(topic_id) => {
                body.put_u8(2);
                body.put_slice(topic_id.as_bytes());
                body.put_u8(2);
                body.put_i32(2);
                body.put_u8(0);
            }
            None => body.put_u8(0),
        }
        body.put_slice(&[0, 0, 0]);
    })?;
    let group = response.groups.pop().expect("an answer for the group");
    assert_eq!(group.error_code, 0);
    let answers = group.topics.iter().flat_map(|topic| {
        let of = topic.topic_id;
        topic.partitions.iter().map(move |a| (of, a.partition_index, a.committed_offset, a.error_code))
    });
    Ok(answers.collect())
}

#[test]
fn topics_may_be_named_by_their_ids() -> Result<()> {
    let (node, mut wire) = node_with_topic(&[]);
    let (id, unknown) = (wire.topic_id("logs")?, Uuid::from_u128(77));
    assert_eq!(commit_by_id(&node, id, 2, 42)?, [(id, 2, 0)]);
    assert_eq!(commit_by_id(&node, unknown, 2, 42)?, [(unknown, 2, UNKNOWN_TOPIC_ID)]);
    assert_eq!(commit_by_id(&node, id, 9, 42)?, [(id, 9, UNKNOWN_TOPIC_OR_PARTITION)]);
    assert_eq!(fetch_by_id(&node, Some(id))?, [(id, 2, 42, 0)]);
    assert_eq!(fetch_by_id(&node, Some(unknown))?, [(unknown, 2, -1, UNKNOWN_TOPIC_ID)]);
    assert_eq!(fetch_by_id(&node, Some(Uuid::nil()))?, [(Uuid::nil(), 2, -1, UNKNOWN_TOPIC_ID)]);
    assert_eq!(fetch_by_id(&node, None)?, [(id, 2, 42, 0)]);
    assert_eq!(fetch(&mut wire, 9, "g", None)?.1, [(2, 42, 4, "by id".to_owned(), 0)]);
    Ok(())
}

#[test]
fn partitions_that_do_not_exist_and_metadata_that_is_too_large_are_refused_one_by_one() -> Result<()> {
    let (_node, mut wire) = node_with_topic(&[("offset.metadata.max.bytes", "5")]);
    let large = partition(1, 5).with_committed_metadata(Some(text("123456")));
    let request = commit_request(vec![partition(0, 5), large, partition(3, 5), partition(-1, 5)]);
    let unknown = UNKNOWN_TOPIC_OR_PARTITION;
    assert_eq!(
        commit(&mut wire, 8, &request)?,
        [(-1, unknown), (0, 0), (1, OFFSET_METADATA_TOO_LARGE), (3, unknown)]
    );
    assert_eq!(all_offsets(&mut wire)?, [(0, 5)]);
    let unknown_topic = commit_code(&mut wire, 8, |request| request.topics[0].name = name("nothing"))?;
    assert_eq!(unknown_topic, UNKNOWN_TOPIC_OR_PARTITION);
    let without_metadata = commit_request(vec![partition(2, 8).with_committed_metadata(None)]);
    assert_eq!(commit(&mut wire, 8, &without_metadata)?, [(2, 0)]);
    Ok(())
}

/// Case 24 of the reference.
#[test]
fn a_commit_of_nothing_is_answered() -> Result<()> {
    let (_node, mut wire) = node_with_topic(&[]);
    for version in 2..=9 {
        assert!(wire.call(version, &commit_request(Vec::new()).with_topics(Vec::new()))?.topics.is_empty());
        let no_partitions = wire.call(version, &commit_request(Vec::new()))?;
        assert_eq!(codes_of(&no_partitions.topics), []);
    }
    Ok(())
}

#[test]
fn a_group_that_is_not_there_takes_commits_from_nobody_in_particular_only() -> Result<()> {
    let (_node, mut wire) = node_with_topic(&[]);
    let member = |request: &mut OffsetCommitRequest| {
        request.generation_id_or_member_epoch = 5;
        request.member_id = text("m");
    };
    assert_eq!(commit_code(&mut wire, 8, member)?, ILLEGAL_GENERATION);
    assert_eq!(commit_code(&mut wire, 9, member)?, GROUP_ID_NOT_FOUND);
    assert_eq!(commit_code(&mut wire, 9, |request| request.member_id = text("m"))?, 0);
    // Now it is there, by its offsets.
    assert_eq!(commit_code(&mut wire, 9, member)?, UNKNOWN_MEMBER_ID);
    assert_eq!(commit_code(&mut wire, 9, |request| request.group_id = group(""))?, 0, "the group without a name");
    Ok(())
}

/// Joins a group of consumers of `logs` and syncs, if the assignment is given. The generation and the member id.
fn join(wire: &mut Wire, instance_id: Option<&str>, protocol_type: &str, syncs: bool) -> Result<(i32, String)> {
    let subscription = Bytes::from_static(b"\0\0\0\0\0\x01\0\x04logs\0\0\0\0");
    let mut request = JoinGroupRequest::default()
        .with_group_id(group("g"))
        .with_session_timeout_ms(30_000)
        .with_rebalance_timeout_ms(30_000)
        .with_group_instance_id(instance_id.map(text))
        .with_protocol_type(text(protocol_type))
        .with_protocols(vec![
            JoinGroupRequestProtocol::default().with_name(text("range")).with_metadata(subscription),
        ]);
    let mut joined = wire.call(7, &request)?;
    if joined.error_code == 79 {
        request.member_id = joined.member_id.clone();
        joined = wire.call(7, &request)?;
    }
    assert_eq!(joined.error_code, 0);
    if syncs {
        let assignment = SyncGroupRequestAssignment::default()
            .with_member_id(joined.member_id.clone())
            .with_assignment(Bytes::from_static(b"mine"));
        let synced = wire.call(
            5,
            &SyncGroupRequest::default()
                .with_group_id(group("g"))
                .with_generation_id(joined.generation_id)
                .with_member_id(joined.member_id.clone())
                .with_group_instance_id(instance_id.map(text))
                .with_protocol_type(Some(text(protocol_type)))
                .with_protocol_name(Some(text("range")))
                .with_assignments(vec![assignment]),
        )?;
        assert_eq!(synced.error_code, 0);
    }
    Ok((joined.generation_id, joined.member_id.to_string()))
}

#[test]
fn a_group_with_members_takes_their_commits_only() -> Result<()> {
    let (_node, mut wire) = node_with_topic(&[("group.initial.rebalance.delay.ms", "0")]);
    let (generation, member) = join(&mut wire, Some("one"), "consumer", false)?;
    let commit_as = |wire: &mut Wire, generation: i32, member: &str, instance: Option<&str>| {
        commit_code(wire, 8, |request| {
            request.generation_id_or_member_epoch = generation;
            request.member_id = text(member);
            request.group_instance_id = instance.map(text);
        })
    };
    assert_eq!(commit_as(&mut wire, generation, &member, None)?, REBALANCE_IN_PROGRESS);
    let (generation, member) = join(&mut wire, Some("one"), "consumer", true)?;
    assert_eq!(commit_as(&mut wire, generation, &member, None)?, 0);
    assert_eq!(commit_as(&mut wire, generation, &member, Some("one"))?, 0);
    assert_eq!(commit_as(&mut wire, generation + 1, &member, None)?, ILLEGAL_GENERATION);
    assert_eq!(commit_as(&mut wire, generation, "somebody", None)?, UNKNOWN_MEMBER_ID);
    assert_eq!(commit_as(&mut wire, generation, "somebody", Some("one"))?, FENCED_INSTANCE_ID);
    assert_eq!(commit_as(&mut wire, generation, &member, Some("two"))?, UNKNOWN_MEMBER_ID);
    assert_eq!(commit_as(&mut wire, NOBODY, "", None)?, UNKNOWN_MEMBER_ID);
    assert_eq!(commit_as(&mut wire, NOBODY, &member, None)?, ILLEGAL_GENERATION);
    assert_eq!(all_offsets(&mut wire)?, [(0, 1)]);
    Ok(())
}

/// Case 23 of the reference: a client of version 1 that saw no error would begin at the topic's start.
#[test]
fn errors_of_the_group_stand_where_each_version_looks_for_them() -> Result<()> {
    let node = Node::start();
    let mut wire = node.wire();
    wire.create_topic("logs", 3, &[])?;
    // Nobody coordinates any group yet.
    let (error, partitions) = fetch(&mut wire, 1, "g", Some(&[0, 1]))?;
    let codes: Vec<_> = partitions.iter().map(|(index, offset, _, _, code)| (*index, *offset, *code)).collect();
    assert_eq!((error, codes), (0, vec![(0, -1, NOT_COORDINATOR), (1, -1, NOT_COORDINATOR)]));
    for version in 2..=9 {
        assert_eq!(fetch(&mut wire, version, "g", Some(&[0, 1]))?, (NOT_COORDINATOR, vec![]), "version {version}");
    }
    assert_eq!(commit_code(&mut wire, 8, |_| {})?, NOT_COORDINATOR);
    assert_eq!(delete(&mut wire, "g", "logs", &[0])?.error_code, NOT_COORDINATOR);
    Ok(())
}

#[test]
fn several_groups_are_fetched_at_once_and_unknown_ones_have_nothing() -> Result<()> {
    let (_node, mut wire) = node_with_topic(&[]);
    commit_offset(&mut wire, 0, 5)?;
    let asked = |id: &str| OffsetFetchRequestGroup::default().with_group_id(group(id)).with_topics(None);
    let request =
        OffsetFetchRequest::default().with_groups(vec![asked("g"), asked("nobody")]).with_require_stable(true);
    let groups = wire.call(9, &request)?.groups;
    let shown: Vec<_> = groups.iter().map(|g| (&**g.group_id, g.error_code, g.topics.len())).collect();
    assert_eq!(shown, [("g", 0, 1), ("nobody", 0, 0)]);
    assert!(wire.call(9, &OffsetFetchRequest::default())?.groups.is_empty());
    Ok(())
}

#[test]
fn what_is_asked_for_twice_is_answered_once() -> Result<()> {
    if only_ottla() {
        return Ok(());
    }
    let (_node, mut wire) = node_with_topic(&[]);
    commit_offset(&mut wire, 0, 5)?;
    assert_eq!(fetch(&mut wire, 9, "g", Some(&[0; 1000]))?.1.len(), 1);
    let asked = OffsetFetchRequestGroup::default().with_group_id(group("g")).with_topics(None);
    let response = wire.call(9, &OffsetFetchRequest::default().with_groups(vec![asked; 1000]))?;
    assert_eq!(response.groups.len(), 1);
    Ok(())
}

#[test]
fn offsets_are_deleted_unless_somebody_reads_the_topic() -> Result<()> {
    let (_node, mut wire) = node_with_topic(&[("group.initial.rebalance.delay.ms", "0")]);
    wire.create_topic("other", 1, &[])?;
    assert_eq!(delete(&mut wire, "", "logs", &[0])?.error_code, INVALID_GROUP_ID);
    assert_eq!(delete(&mut wire, "g", "logs", &[0])?.error_code, GROUP_ID_NOT_FOUND);
    for index in 0..3 {
        commit_offset(&mut wire, index, 5)?;
    }
    let answer = delete(&mut wire, "g", "logs", &[0, 9])?;
    assert_eq!(answer.error_code, 0);
    assert_eq!(deleted_codes(&answer), [(0, 0), (9, UNKNOWN_TOPIC_OR_PARTITION)]);
    let unknown = delete(&mut wire, "g", "nothing", &[0])?;
    assert_eq!(deleted_codes(&unknown), [(0, UNKNOWN_TOPIC_OR_PARTITION)]);
    assert_eq!(all_offsets(&mut wire)?, [(1, 5), (2, 5)]);
    join(&mut wire, None, "consumer", true)?;
    let read = delete(&mut wire, "g", "logs", &[1])?;
    assert_eq!((read.error_code, deleted_codes(&read)), (0, vec![(1, GROUP_SUBSCRIBED_TO_TOPIC)]));
    let not_read = delete(&mut wire, "g", "other", &[0])?;
    assert_eq!((not_read.error_code, deleted_codes(&not_read)), (0, vec![(0, 0)]));
    assert_eq!(all_offsets(&mut wire)?, [(1, 5), (2, 5)]);
    Ok(())
}

#[test]
fn offsets_of_a_group_that_is_no_group_of_consumers_are_not_deleted_while_it_has_members() -> Result<()> {
    let (_node, mut wire) = node_with_topic(&[("group.initial.rebalance.delay.ms", "0")]);
    commit_offset(&mut wire, 0, 5)?;
    join(&mut wire, None, "connect", true)?;
    assert_eq!(delete(&mut wire, "g", "logs", &[0])?.error_code, NON_EMPTY_GROUP);
    Ok(())
}

#[test]
fn offsets_expire_when_the_client_said_so() -> Result<()> {
    let (_node, mut wire) = node_with_topic(&[("offsets.retention.check.interval.ms", "100")]);
    let request = commit_request(vec![partition(0, 1)]).with_retention_time_ms(1);
    assert_eq!(commit(&mut wire, 4, &request)?, [(0, 0)]);
    commit_offset(&mut wire, 1, 1)?;
    eventually("partition 0 has expired, partition 1 has not", || {
        (all_offsets(&mut wire).ok()? == [(1, 1)]).then_some(())
    });
    Ok(())
}

#[test]
fn offsets_go_with_their_topic() -> Result<()> {
    let (_node, mut wire) = node_with_topic(&[]);
    commit_offset(&mut wire, 0, 5)?;
    wire.delete_topic("logs")?;
    eventually("the group has no offsets", || all_offsets(&mut wire).ok()?.is_empty().then_some(()));
    wire.create_topic("logs", 3, &[])?;
    assert_eq!(fetch(&mut wire, 9, "g", Some(&[0]))?.1, [(0, -1, -1, String::new(), 0)]);
    Ok(())
}

#[test]
fn commits_survive_a_restart_and_a_kill() -> Result<()> {
    if only_ottla() {
        return Ok(());
    }
    let (mut node, mut wire) = node_with_topic(&[]);
    for index in 0..3 {
        commit_offset(&mut wire, index, 5)?;
    }
    delete(&mut wire, "g", "logs", &[1])?;
    for (offset, kill) in [(6, false), (7, true), (8, true), (9, false)] {
        commit_offset(&mut wire, 0, offset)?;
        if kill {
            node.kill_and_restart();
        } else {
            node.restart();
        }
        wire = node.wire();
        let fetched = eventually("the coordinator is loaded", || {
            let (error, partitions) = fetch(&mut wire, 9, "g", None).ok()?;
            (error == 0).then_some(partitions)
        });
        let offsets: Vec<_> = fetched.into_iter().map(|(index, offset, ..)| (index, offset)).collect();
        assert_eq!(offsets, [(0, offset), (2, 5)]);
    }
    Ok(())
}

/// A group that never had members is there for tools all the same.
#[test]
fn a_group_of_offsets_alone_is_listed_described_and_deleted() -> Result<()> {
    let (_node, mut wire) = node_with_topic(&[]);
    commit_offset(&mut wire, 0, 5)?;
    // The other partitions of the new topic may still be loading, which is an error for the list.
    let listed = eventually("all coordinators are loaded", || {
        let listed = wire.call(4, &ListGroupsRequest::default()).ok()?;
        (listed.error_code == 0).then_some(listed)
    });
    let groups: Vec<_> = listed.groups.iter().map(|g| (&**g.group_id, &*g.protocol_type, &*g.group_state)).collect();
    assert_eq!(groups, [("g", "", "Empty")]);
    let described = wire.call(5, &DescribeGroupsRequest::default().with_groups(vec![group("g")]))?;
    let shown = &described.groups[0];
    assert_eq!((shown.error_code, shown.group_state.as_str(), shown.protocol_type.as_str()), (0, "Empty", ""));
    assert!(shown.members.is_empty());
    let delete = DeleteGroupsRequest::default().with_groups_names(vec![group("g")]);
    assert_eq!(wire.call(2, &delete)?.results[0].error_code, 0);
    assert!(all_offsets(&mut wire)?.is_empty());
    assert_eq!(wire.call(2, &delete)?.results[0].error_code, GROUP_ID_NOT_FOUND);
    Ok(())
}

/// Case 38 of the reference: lag is never less than nothing, and what is gone is no lag.
#[test]
fn lag_is_on_the_metrics_page() -> Result<()> {
    if only_ottla() {
        return Ok(());
    }
    let (node, mut wire) = node_with_topic(&[]);
    for index in 0..3 {
        wire.append("logs", index, &Batch::of_values(&["a", "b", "c", "d"]).encode())?;
    }
    wire.delete_records("logs", 1, 2)?;
    for (index, offset) in [(0, 1), (1, 0), (2, 5)] {
        commit_offset(&mut wire, index, offset)?;
    }
    let (_, page) = http::get(&node.admin_address(), "/metrics")?;
    let value = |series: &str| {
        let line = page.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("{series} is not in\n{page}")).to_owned()
    };
    let of = |name: &str, index: i32| {
        value(&format!("{name}{{consumergroup=\"g\",topic=\"logs\",partition=\"{index}\"}}"))
    };
    let lag: Vec<_> = (0..3).map(|index| of("kafka_consumergroup_lag", index)).collect();
    let offsets: Vec<_> = (0..3).map(|index| of("kafka_consumergroup_current_offset", index)).collect();
    assert_eq!(
        (lag, offsets),
        (vec!["3".into(), "2".into(), "0".into()], vec!["1".into(), "0".into(), "5".to_owned()])
    );
    assert_eq!(value("kafka_consumergroup_lag_sum{consumergroup=\"g\",topic=\"logs\"}"), "5");
    assert_eq!(value("kafka_coordinator_group_groupmetadatamanager_numoffsets"), "3");
    Ok(())
}

/// What Kafka's formatter prints of the partition that the group `g` belongs to.
fn printed(node: &Node, formatter: &str, until: &str) -> String {
    // The hash of "g" is 103: partition 3 of 50.
    let bootstrap = node.bootstrap();
    let formatter = format!("org.apache.kafka.tools.consumer.{formatter}");
    let arguments = [
        "--bootstrap-server",
        &bootstrap,
        "--topic",
        "__consumer_offsets",
        "--partition",
        "3",
        "--offset",
        "earliest",
        "--formatter",
        &formatter,
        "--max-messages",
        "3",
        "--timeout-ms",
        "20000",
    ];
    eventually("the formatter prints", || {
        let text = run(kafka_tool("org.apache.kafka.tools.consumer.ConsoleConsumer", arguments), b"").ok();
        text.contains(until).then_some(text)
    })
}

#[test]
fn kafkas_formatter_prints_what_is_committed() -> Result<()> {
    let (node, mut wire) = node_with_topic(&[]);
    let asked = partition(1, 42).with_committed_metadata(Some(text("here"))).with_committed_leader_epoch(3);
    commit(&mut wire, 9, &commit_request(vec![asked]))?;
    commit(&mut wire, 4, &commit_request(vec![partition(2, 43)]).with_retention_time_ms(3_600_000))?;
    delete(&mut wire, "g", "logs", &[2])?;
    // The formatter writes the records one behind the other.
    let text = printed(&node, "OffsetsMessageFormatter", "\"value\":null");
    let records: Vec<_> = text.split("{\"key\":").skip(1).collect();
    assert_eq!(records.len(), 3, "{text}");
    assert!(records[0].contains("{\"group\":\"g\",\"topic\":\"logs\",\"partition\":1}"), "{text}");
    assert!(records[0].contains("\"offset\":42,\"leaderEpoch\":3,\"metadata\":\"here\""), "{text}");
    let id = kafkas_id(wire.topic_id("logs")?);
    assert!(records[0].contains("\"version\":4") && records[0].contains(&format!("\"topicId\":\"{id}\"")), "{text}");
    assert!(records[1].contains("\"version\":1") && records[1].contains("\"expireTimestamp\":"), "{text}");
    assert!(records[2].contains("\"partition\":2") && records[2].contains("\"value\":null"), "{text}");
    Ok(())
}

/// Kafka's text form of an id: unpadded URL-safe base64.
fn kafkas_id(id: Uuid) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let bits = id.as_u128();
    let digit = |at: u32| DIGITS[(if at == 0 { bits << 4 } else { bits >> (6 * at - 4) } & 63) as usize];
    (0..22).rev().map(|at| char::from(digit(at))).collect()
}

/// How long a broker takes to load a million committed offsets.
#[test]
#[ignore = "measures, says what it measured, and asserts nothing about it"]
fn a_million_commits_are_loaded() -> Result<()> {
    if only_ottla() {
        return Ok(());
    }
    let mut node = Node::with(&[("offsets.topic.num.partitions", "1"), ("offsets.commit.timeout.ms", "60000")]);
    let mut wire = node.wire();
    wire.create_topic("wide", 1000, &[])?;
    find_coordinator(&mut wire);
    let partitions: Vec<_> = (0..1000).map(|index| partition(index, 1 << 40)).collect();
    for id in 0..1000 {
        let mut request = commit_request(partitions.clone());
        request.group_id = group(&format!("a-group-of-consumers-{id}"));
        request.topics[0].name = name("wide");
        let codes = codes_of(&wire.call(9, &request)?.topics);
        assert!(codes.len() == 1000 && codes.iter().all(|(_, code)| *code == 0));
    }
    node.restart();
    let mut wire = node.wire();
    let loaded = eventually("the last group's offsets", || {
        let (error, partitions) = fetch(&mut wire, 9, "a-group-of-consumers-999", None).ok()?;
        (error == 0).then_some(partitions)
    });
    assert_eq!(loaded.len(), 1000);
    let output = node.output();
    let said = output.lines().find(|line| line.contains("coordinator loaded")).unwrap_or("nothing was said");
    println!("a million commits: {said}; RSS {} MiB", node.rss_bytes() >> 20);
    Ok(())
}
