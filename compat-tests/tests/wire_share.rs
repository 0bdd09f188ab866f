//! What ShareFetch and ShareAcknowledge answer.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use kafka_protocol::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use kafka_protocol::messages::share_acknowledge_request::{
    AcknowledgePartition, AcknowledgeTopic, AcknowledgementBatch as Acknowledgement,
};
use kafka_protocol::messages::share_fetch_request::{
    AcknowledgementBatch, FetchPartition, FetchTopic, ForgottenTopic,
};
use kafka_protocol::messages::share_fetch_response::PartitionData;
use kafka_protocol::messages::{
    GroupId, IncrementalAlterConfigsRequest, ShareAcknowledgeRequest, ShareFetchRequest, ShareFetchResponse,
    ShareGroupHeartbeatRequest, TopicName,
};
use ottla_compat_tests::batch::{Batch, parse};
use ottla_compat_tests::classic_member::coordinator;
use ottla_compat_tests::wait::eventually;
use ottla_compat_tests::wire::{Wire, text};
use ottla_compat_tests::{Node, only_ottla};
use uuid::Uuid;

const UNKNOWN_SERVER_ERROR: i16 = -1;
const NONE: i16 = 0;
const UNKNOWN_TOPIC_OR_PARTITION: i16 = 3;
const INVALID_REQUEST: i16 = 42;
const UNKNOWN_TOPIC_ID: i16 = 100;
const INVALID_RECORD_STATE: i16 = 121;
const SHARE_SESSION_NOT_FOUND: i16 = 122;
const INVALID_SHARE_SESSION_EPOCH: i16 = 123;
const SHARE_SESSION_LIMIT_REACHED: i16 = 133;

const GROUP: i8 = 32;

const TOPIC: &str = "queue";

const ACCEPT: i8 = 1;
const RELEASE: i8 = 2;
const REJECT: i8 = 3;

/// What Kafka needs to keep the state on one node; Ottla does so by itself.
const ONE_REPLICA: &[(&str, &str)] =
    &[("share.coordinator.state.topic.replication.factor", "1"), ("share.coordinator.state.topic.min.isr", "1")];

/// A node whose locks are short enough to wait for, with a topic of one partition that share groups read from its start.
fn node() -> Result<(Node, Uuid)> {
    node_with(&[])
}

fn node_with(properties: &[(&str, &str)]) -> Result<(Node, Uuid)> {
    let node = Node::with(&[properties, ONE_REPLICA].concat());
    let mut wire = node.wire();
    wire.create_topic(TOPIC, 1, &[])?;
    let id = wire.topic_id(TOPIC)?;
    Ok((node, id))
}

/// A group that begins at the start of its topics.
fn from_earliest(wire: &mut Wire, group: &str) -> Result<()> {
    let config =
        AlterableConfig::default().with_name(text("share.auto.offset.reset")).with_value(Some(text("earliest")));
    let resource = AlterConfigsResource::default()
        .with_resource_type(GROUP)
        .with_resource_name(text(group))
        .with_configs(vec![config]);
    let request = IncrementalAlterConfigsRequest::default().with_resources(vec![resource]);
    let response = wire.call(1, &request)?;
    assert_eq!(response.responses[0].error_code, NONE, "{response:?}");
    Ok(())
}

/// A member of a share group on a connection of its own. It has joined once, so that the group has begun to read the
/// topic, and lets its membership run out: the broker that leads asks for none.
struct Member {
    wire: Wire,
    group: String,
    id: String,
    topic: Uuid,
    epoch: i32,
}

impl Member {
    fn new(node: &Node, group: &str, topic: Uuid) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let id = format!("member-{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let mut wire = coordinator(node, group);
        let joins = ShareGroupHeartbeatRequest::default()
            .with_group_id(GroupId(text(group)))
            .with_member_id(text(&id))
            .with_subscribed_topic_names(Some(vec![TopicName(text(TOPIC))]));
        eventually("the member has its partition", || {
            let response = wire.call(1, &joins).expect("a response");
            (!response.assignment?.topic_partitions.is_empty()).then_some(())
        });
        Self { wire, group: group.into(), id, topic, epoch: 0 }
    }

    fn request(&self) -> ShareFetchRequest {
        let partition = FetchPartition::default().with_partition_index(0);
        let topic = FetchTopic::default().with_topic_id(self.topic).with_partitions(vec![partition]);
        ShareFetchRequest::default()
            .with_group_id(Some(GroupId(text(&self.group))))
            .with_member_id(Some(text(&self.id)))
            .with_share_session_epoch(self.epoch)
            .with_max_wait_ms(500)
            .with_min_bytes(1)
            .with_max_bytes(1 << 20)
            .with_max_records(500)
            .with_batch_size(500)
            .with_topics(vec![topic])
    }

    fn call(&mut self, request: &ShareFetchRequest) -> Result<ShareFetchResponse> {
        let response = self.wire.call(1, request)?;
        if response.error_code == NONE {
            self.epoch = request.share_session_epoch + 1;
        }
        Ok(response)
    }

    /// What one fetch brings of the partition; nothing where it is not spoken of.
    fn poll(&mut self) -> Result<PartitionData> {
        let request = self.request();
        let response = self.call(&request)?;
        assert_eq!(response.error_code, NONE, "{response:?}");
        let partition = response.responses.into_iter().flat_map(|topic| topic.partitions).next().unwrap_or_default();
        assert_eq!(partition.error_code, NONE, "{partition:?}");
        Ok(partition)
    }

    /// Fetches until something is acquired; what, as first and last offset and delivery count.
    fn acquire(&mut self) -> Vec<(i64, i64, i16)> {
        eventually("records are acquired", || {
            let found = acquired(&self.poll().expect("a response"));
            (!found.is_empty()).then_some(found)
        })
    }

    fn acknowledge_request(&self, batches: &[(i64, i64, &[i8])]) -> ShareAcknowledgeRequest {
        let batches = batches.iter().map(|(first, last, types)| {
            Acknowledgement::default()
                .with_first_offset(*first)
                .with_last_offset(*last)
                .with_acknowledge_types(types.to_vec())
        });
        let partition = AcknowledgePartition::default().with_acknowledgement_batches(batches.collect());
        let topic = AcknowledgeTopic::default().with_topic_id(self.topic).with_partitions(vec![partition]);
        ShareAcknowledgeRequest::default()
            .with_group_id(Some(GroupId(text(&self.group))))
            .with_member_id(Some(text(&self.id)))
            .with_share_session_epoch(self.epoch)
            .with_topics(vec![topic])
    }

    /// The partition's error code.
    fn acknowledge(&mut self, batches: &[(i64, i64, &[i8])]) -> Result<i16> {
        let request = self.acknowledge_request(batches);
        let response = self.wire.call(1, &request)?;
        assert_eq!(response.error_code, NONE, "{response:?}");
        self.epoch += 1;
        Ok(response.responses[0].partitions[0].error_code)
    }
}

fn acquired(partition: &PartitionData) -> Vec<(i64, i64, i16)> {
    let acquired = partition.acquired_records.iter();
    acquired.map(|one| (one.first_offset, one.last_offset, one.delivery_count)).collect()
}

#[test]
fn records_are_acquired_accepted_and_gone() -> Result<()> {
    let (node, topic) = node()?;
    let mut wire = node.wire();
    from_earliest(&mut wire, "workers")?;
    wire.append(TOPIC, 0, &Batch::of_values(&["a", "b", "c"]).encode())?;
    let mut member = Member::new(&node, "workers", topic);
    let found = eventually("records come", || {
        let found = member.poll().expect("a response");
        found.records.as_ref().is_some_and(|records| !records.is_empty()).then_some(found)
    });
    assert_eq!(acquired(&found), [(0, 2, 1)]);
    assert_eq!(parse(&found.records.context("records")?)[0].texts(), ["a", "b", "c"]);
    let mut other = Member::new(&node, "workers", topic);
    assert_eq!(acquired(&other.poll()?), [], "they are the first one's");
    assert_eq!(member.acknowledge(&[(0, 2, &[ACCEPT])])?, NONE);
    assert_eq!(acquired(&other.poll()?), []);
    wire.append(TOPIC, 0, &Batch::of_values(&["d"]).encode())?;
    assert_eq!(other.acquire(), [(3, 3, 1)]);
    Ok(())
}

#[test]
fn a_group_begins_at_the_end_unless_it_is_told_otherwise() -> Result<()> {
    let (node, topic) = node()?;
    let mut wire = node.wire();
    wire.append(TOPIC, 0, &Batch::of_values(&["before"]).encode())?;
    let mut member = Member::new(&node, "late", topic);
    assert_eq!(acquired(&member.poll()?), []);
    wire.append(TOPIC, 0, &Batch::of_values(&["after"]).encode())?;
    assert_eq!(member.acquire(), [(1, 1, 1)]);
    Ok(())
}

#[test]
fn a_long_poll_wakes_when_a_record_arrives_or_is_given_back() -> Result<()> {
    // Kafka 4.3.1 lets one of the two wait for its whole time.
    if only_ottla() {
        return Ok(());
    }
    let (node, topic) = node()?;
    from_earliest(&mut node.wire(), "workers")?;
    let (mut holder, mut waiter) = (Member::new(&node, "workers", topic), Member::new(&node, "workers", topic));
    holder.poll()?;
    let patient = |member: &Member| member.request().with_max_wait_ms(30_000);
    let begin = Instant::now();
    let request = patient(&holder);
    holder.wire.send(1, &request)?;
    node.wire().append(TOPIC, 0, &Batch::of_values(&["wake up"]).encode())?;
    let woken = holder.wire.receive::<ShareFetchRequest>(1)?;
    holder.epoch += 1;
    assert_eq!(acquired(&woken.responses[0].partitions[0]), [(0, 0, 1)]);
    waiter.poll()?;
    let request = patient(&waiter);
    waiter.wire.send(1, &request)?;
    assert_eq!(holder.acknowledge(&[(0, 0, &[RELEASE])])?, NONE);
    let woken = waiter.wire.receive::<ShareFetchRequest>(1)?;
    assert_eq!(acquired(&woken.responses[0].partitions[0]), [(0, 0, 2)]);
    assert!(begin.elapsed() < Duration::from_secs(20), "it waited for its time to be over: {:?}", begin.elapsed());
    Ok(())
}

#[test]
fn each_record_has_its_own_fate() -> Result<()> {
    let (node, topic) = node()?;
    let mut wire = node.wire();
    from_earliest(&mut wire, "workers")?;
    wire.append(TOPIC, 0, &Batch::of_values(&["a", "b", "c", "d"]).encode())?;
    let mut member = Member::new(&node, "workers", topic);
    assert_eq!(member.acquire(), [(0, 3, 1)]);
    assert_eq!(member.acknowledge(&[(0, 3, &[ACCEPT, RELEASE, REJECT, RELEASE])])?, NONE);
    let mut again: Vec<_> = member.acquire();
    while again.len() < 2 {
        again.extend(member.acquire());
    }
    assert_eq!(again, [(1, 1, 2), (3, 3, 2)]);
    Ok(())
}

#[test]
fn acknowledgements_ride_along_with_a_fetch() -> Result<()> {
    let (node, topic) = node()?;
    let mut wire = node.wire();
    from_earliest(&mut wire, "workers")?;
    wire.append(TOPIC, 0, &Batch::of_values(&["a", "b"]).encode())?;
    let mut member = Member::new(&node, "workers", topic);
    assert_eq!(member.acquire(), [(0, 1, 1)]);
    wire.append(TOPIC, 0, &Batch::of_values(&["c"]).encode())?;
    let acknowledge = |first, last, ack| {
        AcknowledgementBatch::default()
            .with_first_offset(first)
            .with_last_offset(last)
            .with_acknowledge_types(vec![ack])
    };
    let mut request = member.request();
    request.topics[0].partitions[0].acknowledgement_batches = vec![acknowledge(0, 1, ACCEPT)];
    let response = member.call(&request)?;
    let partition = &response.responses[0].partitions[0];
    assert_eq!(partition.acknowledge_error_code, NONE);
    let mut found = acquired(partition);
    while found.is_empty() {
        found = member.acquire();
    }
    assert_eq!(found, [(2, 2, 1)]);
    let mut request = member.request();
    request.topics[0].partitions[0].acknowledgement_batches =
        vec![acknowledge(0, 1, ACCEPT), acknowledge(7, 9, ACCEPT)];
    let response = member.call(&request)?;
    let partition = &response.responses[0].partitions[0];
    assert_eq!((partition.error_code, partition.acknowledge_error_code), (NONE, INVALID_REQUEST));
    Ok(())
}

#[test]
fn acknowledgements_that_make_no_sense_change_nothing() -> Result<()> {
    let (node, topic) = node()?;
    let mut wire = node.wire();
    from_earliest(&mut wire, "workers")?;
    wire.append(TOPIC, 0, &Batch::of_values(&["a", "b", "c"]).encode())?;
    let mut member = Member::new(&node, "workers", topic);
    let mut other = Member::new(&node, "workers", topic);
    assert_eq!(member.acquire(), [(0, 2, 1)]);
    other.poll()?;
    assert_eq!(other.acknowledge(&[(0, 2, &[ACCEPT])])?, INVALID_RECORD_STATE, "another member's");
    assert_eq!(member.acknowledge(&[(0, 3, &[ACCEPT])])?, INVALID_REQUEST, "beyond what was acquired");
    assert_eq!(member.acknowledge(&[(5, 6, &[ACCEPT])])?, INVALID_REQUEST);
    assert_eq!(member.acknowledge(&[(2, 1, &[ACCEPT])])?, INVALID_REQUEST);
    assert_eq!(member.acknowledge(&[(0, 2, &[])])?, INVALID_REQUEST);
    assert_eq!(member.acknowledge(&[(0, 2, &[ACCEPT, ACCEPT])])?, INVALID_REQUEST);
    assert_eq!(member.acknowledge(&[(0, 2, &[5])])?, INVALID_REQUEST);
    assert_eq!(member.acknowledge(&[(0, 2, &[4])])?, INVALID_REQUEST, "version 1 does not renew");
    assert_eq!(member.acknowledge(&[(1, 2, &[ACCEPT]), (0, 0, &[ACCEPT])])?, INVALID_REQUEST, "not in order");
    assert_eq!(member.acknowledge(&[(0, 1, &[ACCEPT]), (1, 2, &[ACCEPT])])?, INVALID_RECORD_STATE, "overlapping");
    assert_eq!(member.acknowledge(&[(0, 2, &[ACCEPT])])?, NONE);
    assert_eq!(member.acknowledge(&[(0, 2, &[ACCEPT])])?, NONE, "done with: nothing to say against it");
    Ok(())
}

#[test]
fn partitions_that_are_not_there_are_named() -> Result<()> {
    // Kafka 4.3.1 stumbles over the topic id that nobody has, and answers UNKNOWN_SERVER_ERROR for the whole request.
    if only_ottla() {
        return Ok(());
    }
    let (node, topic) = node()?;
    let mut member = Member::new(&node, "workers", topic);
    let mut request = member.request();
    request.topics[0].partitions[0].partition_index = 7;
    request.topics.push(
        FetchTopic::default().with_topic_id(Uuid::from_u128(5)).with_partitions(vec![FetchPartition::default()]),
    );
    let response = member.call(&request)?;
    let mut codes: Vec<_> = response
        .responses
        .iter()
        .flat_map(|found| found.partitions.iter().map(|partition| (found.topic_id == topic, partition.error_code)))
        .collect();
    codes.sort_unstable();
    assert_eq!(codes, [(false, UNKNOWN_TOPIC_ID), (true, UNKNOWN_TOPIC_OR_PARTITION)], "{response:?}");
    Ok(())
}

#[test]
fn sessions_are_checked() -> Result<()> {
    let (node, topic) = node()?;
    let mut member = Member::new(&node, "workers", topic);
    let error = |member: &mut Member, request: &ShareFetchRequest| {
        Ok::<_, anyhow::Error>(member.wire.call(1, request)?.error_code)
    };
    let request = member.request().with_share_session_epoch(1);
    assert_eq!(error(&mut member, &request)?, SHARE_SESSION_NOT_FOUND);
    let request = member.request().with_share_session_epoch(-1);
    assert_eq!(error(&mut member, &request)?, SHARE_SESSION_NOT_FOUND);
    let acknowledge = member.acknowledge_request(&[(0, 0, &[ACCEPT])]).with_share_session_epoch(1);
    assert_eq!(member.wire.call(1, &acknowledge)?.error_code, SHARE_SESSION_NOT_FOUND);
    let mut request = member.request();
    request.topics[0].partitions[0].acknowledgement_batches =
        vec![AcknowledgementBatch::default().with_acknowledge_types(vec![ACCEPT])];
    assert_eq!(error(&mut member, &request)?, INVALID_REQUEST, "nothing can have been acquired");
    let request = member.request().with_member_id(None);
    assert_eq!(error(&mut member, &request)?, INVALID_REQUEST);

    member.poll()?;
    let request = member.request().with_share_session_epoch(5);
    assert_eq!(error(&mut member, &request)?, INVALID_SHARE_SESSION_EPOCH);
    let acknowledge = member.acknowledge_request(&[(0, 0, &[ACCEPT])]).with_share_session_epoch(0);
    assert_eq!(member.wire.call(1, &acknowledge)?.error_code, INVALID_SHARE_SESSION_EPOCH);
    member.poll()?;
    let request = member.request().with_share_session_epoch(-1).with_topics(vec![]);
    assert_eq!(error(&mut member, &request)?, NONE);
    let request = member.request();
    assert_eq!(error(&mut member, &request)?, SHARE_SESSION_NOT_FOUND);
    Ok(())
}

#[test]
fn a_broker_holds_no_more_sessions_than_it_is_told_to() -> Result<()> {
    let (node, topic) = node_with(&[("group.share.max.share.sessions", "10"), ("group.share.max.size", "10")])?;
    let mut members: Vec<Member> = (0..10).map(|_| Member::new(&node, "workers", topic)).collect();
    for member in &mut members {
        member.poll()?;
    }
    let mut late = Member::new(&node, "others", topic);
    let request = late.request();
    assert_eq!(late.wire.call(1, &request)?.error_code, SHARE_SESSION_LIMIT_REACHED);
    drop(members);
    eventually("the connections' sessions are gone", || {
        (late.wire.call(1, &request).expect("a response").error_code == NONE).then_some(())
    });
    Ok(())
}

#[test]
fn partitions_are_forgotten() -> Result<()> {
    let (node, topic) = node()?;
    let mut member = Member::new(&node, "workers", topic);
    member.poll()?;
    let forgotten = ForgottenTopic::default().with_topic_id(topic).with_partitions(vec![0]);
    let request = member.request().with_topics(vec![]).with_forgotten_topics_data(vec![forgotten]);
    member.call(&request)?;
    node.wire().append(TOPIC, 0, &Batch::of_values(&["a"]).encode())?;
    let request = member.request().with_topics(vec![]);
    let response = member.call(&request)?;
    assert_eq!((response.error_code, response.responses.len()), (NONE, 0));
    assert_eq!(member.acquire(), [(0, 0, 1)], "named again");
    Ok(())
}

#[test]
fn what_a_member_holds_is_given_back_at_the_end_of_its_session() -> Result<()> {
    let (node, topic) = node()?;
    let mut wire = node.wire();
    from_earliest(&mut wire, "workers")?;
    wire.append(TOPIC, 0, &Batch::of_values(&["a", "b"]).encode())?;
    let mut closing = Member::new(&node, "workers", topic);
    assert_eq!(closing.acquire(), [(0, 1, 1)]);
    let close = closing.request().with_share_session_epoch(-1).with_topics(vec![]);
    assert_eq!(closing.wire.call(1, &close)?.error_code, NONE);
    let mut dying = Member::new(&node, "workers", topic);
    assert_eq!(dying.acquire(), [(0, 1, 2)]);
    drop(dying);
    let mut last = Member::new(&node, "workers", topic);
    assert_eq!(last.acquire(), [(0, 1, 3)]);
    let close = last.acknowledge_request(&[(0, 0, &[ACCEPT])]).with_share_session_epoch(-1);
    let response = last.wire.call(1, &close)?;
    assert_eq!(response.responses[0].partitions[0].error_code, NONE);
    assert_eq!(Member::new(&node, "workers", topic).acquire(), [(1, 1, 4)]);
    Ok(())
}

#[test]
fn a_record_that_ends_its_consumers_is_given_up() -> Result<()> {
    let (node, topic) = node_with(&[("group.share.delivery.count.limit", "2")])?;
    let mut wire = node.wire();
    from_earliest(&mut wire, "workers")?;
    wire.append(TOPIC, 0, &Batch::of_values(&["poison"]).encode())?;
    for delivery in 1..=2 {
        assert_eq!(Member::new(&node, "workers", topic).acquire(), [(0, 0, delivery)]);
    }
    wire.append(TOPIC, 0, &Batch::of_values(&["good"]).encode())?;
    assert_eq!(Member::new(&node, "workers", topic).acquire(), [(1, 1, 1)]);
    Ok(())
}

/// Leaving is one thing, the share session another.
#[test]
fn who_has_left_may_still_acknowledge() -> Result<()> {
    let (node, topic) = node()?;
    let mut wire = node.wire();
    from_earliest(&mut wire, "workers")?;
    wire.append(TOPIC, 0, &Batch::of_values(&["a"]).encode())?;
    let mut member = Member::new(&node, "workers", topic);
    assert_eq!(member.acquire(), [(0, 0, 1)]);
    let leaves = ShareGroupHeartbeatRequest::default()
        .with_group_id(GroupId(text("workers")))
        .with_member_id(text(&member.id))
        .with_member_epoch(-1);
    assert_eq!(member.wire.call(1, &leaves)?.error_code, NONE);
    assert_eq!(member.acknowledge(&[(0, 0, &[ACCEPT])])?, NONE);
    Ok(())
}

#[test]
fn a_group_that_is_not_there_gets_no_records_and_leaves_no_trace() -> Result<()> {
    let (node, topic) = node()?;
    let member = Member::new(&node, "workers", topic);
    let mut wire = node.wire();
    wire.append(TOPIC, 0, &Batch::of_values(&["a"]).encode())?;
    let request = member.request().with_group_id(Some(GroupId(text("nobody"))));
    let response = wire.call(1, &request)?;
    assert_eq!(response.responses[0].partitions[0].error_code, UNKNOWN_SERVER_ERROR, "{response:?}");
    Ok(())
}

#[test]
fn locks_run_out_and_records_are_given_up() -> Result<()> {
    let short = [
        ("group.share.record.lock.duration.ms", "1000"),
        ("group.share.min.record.lock.duration.ms", "1000"),
        ("group.share.delivery.count.limit", "2"),
    ];
    let (node, topic) = node_with(&short)?;
    let mut wire = node.wire();
    from_earliest(&mut wire, "workers")?;
    wire.append(TOPIC, 0, &Batch::of_values(&["poison"]).encode())?;
    let mut member = Member::new(&node, "workers", topic);
    assert_eq!(member.acquire(), [(0, 0, 1)]);
    assert_eq!(member.acquire(), [(0, 0, 2)], "the lock has run out");
    eventually("it is given up", || {
        (member.acknowledge(&[(0, 0, &[ACCEPT])]).expect("a response") != INVALID_RECORD_STATE).then_some(())
    });
    wire.append(TOPIC, 0, &Batch::of_values(&["good"]).encode())?;
    assert_eq!(member.acquire(), [(1, 1, 1)]);
    Ok(())
}

#[test]
fn state_survives_a_kill() -> Result<()> {
    let (mut node, topic) = node()?;
    let mut wire = node.wire();
    from_earliest(&mut wire, "workers")?;
    wire.append(TOPIC, 0, &Batch::of_values(&["a", "b", "c", "d"]).encode())?;
    let mut member = Member::new(&node, "workers", topic);
    assert_eq!(member.acquire(), [(0, 3, 1)]);
    assert_eq!(member.acknowledge(&[(0, 0, &[ACCEPT]), (2, 2, &[RELEASE])])?, NONE);
    drop((wire, member));
    node.kill_and_restart();
    let mut member = Member::new(&node, "workers", topic);
    let mut again: Vec<i64> = Vec::new();
    while again.len() < 3 {
        again.extend(member.acquire().into_iter().flat_map(|(first, last, _)| first..=last));
    }
    again.sort_unstable();
    assert_eq!(again, [1, 2, 3]);
    Ok(())
}
