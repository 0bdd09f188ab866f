//! What Metadata and the admin requests answer.

use anyhow::{Context, Result, ensure};
use kafka_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use kafka_protocol::messages::create_topics_request::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig,
};
use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::describe_topic_partitions_request::{Cursor, TopicRequest};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::{
    CreatePartitionsRequest, CreateTopicsRequest, DeleteTopicsRequest, DescribeClusterRequest,
    DescribeLogDirsRequest, DescribeTopicPartitionsRequest, MetadataRequest,
};
use ottla_compat_tests::Node;
use ottla_compat_tests::batch::Batch;
use ottla_compat_tests::wait::eventually;
use ottla_compat_tests::wire::{Wire, name, text};

const OFFSET_OUT_OF_RANGE: i16 = 1;
const UNKNOWN_TOPIC_OR_PARTITION: i16 = 3;
const INVALID_TOPIC_EXCEPTION: i16 = 17;
const TOPIC_ALREADY_EXISTS: i16 = 36;
const INVALID_PARTITIONS: i16 = 37;
const INVALID_REPLICATION_FACTOR: i16 = 38;
const INVALID_REPLICA_ASSIGNMENT: i16 = 39;
const INVALID_CONFIG: i16 = 40;
const INVALID_REQUEST: i16 = 42;
const UNKNOWN_TOPIC_ID: i16 = 100;

fn start() -> (Node, Wire) {
    let node = Node::start();
    let wire = node.wire();
    (node, wire)
}

/// Case 32.
#[test]
fn a_null_topic_list_means_all_and_an_empty_one_none() -> Result<()> {
    let (_node, mut wire) = start();
    wire.create_topic("a", 1, &[])?;
    wire.create_topic("b", 1, &[])?;
    let mut names = |version, topics: Option<Vec<MetadataRequestTopic>>| -> Result<Vec<String>> {
        let response = wire.call(version, &MetadataRequest::default().with_topics(topics))?;
        let mut names: Vec<_> =
            response.topics.iter().map(|topic| topic.name.as_ref().expect("a name").0.to_string()).collect();
        names.sort();
        Ok(names)
    };
    assert_eq!(names(0, Some(Vec::new()))?, ["a", "b"], "version 0 knows no null");
    for version in 1..=13 {
        assert_eq!(names(version, Some(Vec::new()))?, [""; 0], "version {version}");
        assert_eq!(names(version, None)?, ["a", "b"], "version {version}");
    }
    Ok(())
}

/// Case 29.
#[test]
fn every_leader_is_listed_under_its_advertised_name() -> Result<()> {
    let (node, mut wire) = start();
    wire.create_topic("t", 4, &[])?;
    let response = wire.call(12, &MetadataRequest::default().with_topics(None))?;
    let broker = &response.brokers[0];
    assert_eq!((broker.host.as_str(), broker.port), ("127.0.0.1", i32::from(node.port())));
    assert_eq!(response.brokers.len(), 1);
    assert_eq!(response.controller_id, broker.node_id);
    assert!(response.cluster_id.is_some_and(|id| id.len() == 22), "a cluster id as Kafka makes them");
    for partition in &response.topics[0].partitions {
        assert_eq!(partition.leader_id, broker.node_id);
        assert_eq!((&partition.replica_nodes, &partition.isr_nodes), (&vec![broker.node_id], &vec![broker.node_id]));
        assert!(partition.offline_replicas.is_empty());
    }
    Ok(())
}

#[test]
fn metadata_finds_topics_by_name_and_by_id() -> Result<()> {
    let (_node, mut wire) = start();
    wire.create_topic("t", 1, &[])?;
    let id = wire.topic_id("t")?;
    let by_id = |id| {
        MetadataRequest::default()
            .with_topics(Some(vec![MetadataRequestTopic::default().with_topic_id(id).with_name(None)]))
    };
    let response = wire.call(12, &by_id(id))?;
    assert_eq!(response.topics[0].name, Some(name("t")));
    let response = wire.call(12, &by_id(uuid::Uuid::from_u128(1 << 70)))?;
    assert_eq!(response.topics[0].error_code, UNKNOWN_TOPIC_ID);
    assert_eq!(wire.topic("absent")?.topics[0].error_code, UNKNOWN_TOPIC_OR_PARTITION);
    assert_eq!(wire.topic("not a name")?.topics[0].error_code, INVALID_TOPIC_EXCEPTION);
    Ok(())
}

#[test]
fn asking_for_a_topic_creates_it_where_that_is_allowed() -> Result<()> {
    let (_node, mut wire) = start();
    let topic = MetadataRequestTopic::default().with_name(Some(name("new")));
    let ask = MetadataRequest::default().with_topics(Some(vec![topic])).with_allow_auto_topic_creation(true);
    eventually("the topic appears", || {
        let response = wire.call(9, &ask).ok()?;
        (response.topics[0].error_code == 0).then_some(())
    });
    let node = Node::with(&[("auto.create.topics.enable", "false")]);
    assert_eq!(node.wire().call(9, &ask)?.topics[0].error_code, UNKNOWN_TOPIC_OR_PARTITION);
    Ok(())
}

/// Case 31.
#[test]
fn leader_epochs_never_go_back() -> Result<()> {
    let (mut node, mut wire) = start();
    wire.create_topic("t", 1, &[])?;
    let mut last = -1;
    for stop in [Node::restart, Node::kill_and_restart, Node::restart] {
        stop(&mut node);
        let mut wire = node.wire();
        let epoch = eventually("a leader", || {
            let response = wire.topic("t").ok()?;
            let topic = response.topics.first().filter(|topic| topic.error_code == 0)?;
            topic.partitions.first().filter(|partition| partition.leader_id.0 >= 0).map(|found| found.leader_epoch)
        });
        assert!(epoch >= last, "{last} -> {epoch}");
        last = epoch;
    }
    Ok(())
}

fn new_topic(topic: &str, partitions: i32, replication_factor: i16) -> CreatableTopic {
    CreatableTopic::default()
        .with_name(name(topic))
        .with_num_partitions(partitions)
        .with_replication_factor(replication_factor)
}

fn create(wire: &mut Wire, topics: Vec<CreatableTopic>) -> Result<Vec<i16>> {
    let response = wire.call(7, &CreateTopicsRequest::default().with_topics(topics).with_timeout_ms(30_000))?;
    Ok(response.topics.iter().map(|topic| topic.error_code).collect())
}

#[test]
fn topics_that_cannot_be_are_refused_one_by_one() -> Result<()> {
    let (_node, mut wire) = start();
    wire.create_topic("taken.name", 1, &[])?;
    let config =
        |key: &str, value: &str| CreatableTopicConfig::default().with_name(text(key)).with_value(Some(text(value)));
    let assigned = |brokers: &[i32]| {
        let brokers = brokers.iter().map(|&id| id.into()).collect();
        new_topic("assigned", -1, -1).with_assignments(vec![
            CreatableReplicaAssignment::default().with_partition_index(0).with_broker_ids(brokers),
        ])
    };
    let long = "x".repeat(250);
    let cases = [
        (new_topic("", 1, 1), INVALID_TOPIC_EXCEPTION),
        (new_topic("..", 1, 1), INVALID_TOPIC_EXCEPTION),
        (new_topic("a/b", 1, 1), INVALID_TOPIC_EXCEPTION),
        (new_topic("ö", 1, 1), INVALID_TOPIC_EXCEPTION),
        (new_topic(&long, 1, 1), INVALID_TOPIC_EXCEPTION),
        (new_topic("taken_name", 1, 1), INVALID_TOPIC_EXCEPTION),
        (new_topic("taken.name", 1, 1), TOPIC_ALREADY_EXISTS),
        (new_topic("t", 0, 1), INVALID_PARTITIONS),
        (new_topic("t", -2, 1), INVALID_PARTITIONS),
        (new_topic("t", 1, 3), INVALID_REPLICATION_FACTOR),
        (new_topic("t", 1, 0), INVALID_REPLICATION_FACTOR),
        (new_topic("t", 1, 1).with_configs(vec![config("no.such.key", "1")]), INVALID_CONFIG),
        (new_topic("t", 1, 1).with_configs(vec![config("retention.ms", "soon")]), INVALID_CONFIG),
        (new_topic("t", 1, 1).with_configs(vec![config("message.format.version", "2.8")]), INVALID_CONFIG),
        (assigned(&[7]), INVALID_REPLICA_ASSIGNMENT),
        (assigned(&[1, 1]), INVALID_REPLICA_ASSIGNMENT),
        (assigned(&[1]), 0),
        (new_topic("good", 1, 1), 0),
    ];
    for (topic, error) in cases {
        let shown = format!("{topic:?}");
        assert_eq!(create(&mut wire, vec![topic])?, [error], "{shown}");
    }
    assert_eq!(create(&mut wire, vec![new_topic("twice", 1, 1), new_topic("twice", 1, 1)])?[0], INVALID_REQUEST);
    Ok(())
}

#[test]
fn creating_shows_what_was_made_and_validate_only_makes_nothing() -> Result<()> {
    let node = Node::with(&[("num.partitions", "3")]);
    let mut wire = node.wire();
    let request = |validate_only| {
        CreateTopicsRequest::default()
            .with_topics(vec![new_topic("t", -1, -1)])
            .with_timeout_ms(30_000)
            .with_validate_only(validate_only)
    };
    let tried = &wire.call(7, &request(true))?.topics[0];
    assert_eq!((tried.error_code, tried.num_partitions, tried.replication_factor), (0, 3, 1));
    assert_eq!(wire.topic("t")?.topics[0].error_code, UNKNOWN_TOPIC_OR_PARTITION);
    let made = &wire.call(7, &request(false))?.topics[0];
    assert_eq!((made.error_code, made.num_partitions, made.replication_factor), (0, 3, 1));
    let configs = made.configs.as_ref().context("configs")?;
    assert!(configs.iter().any(|config| config.name.as_str() == "retention.ms"), "{configs:?}");
    assert!(!made.topic_id.is_nil());
    Ok(())
}

#[test]
fn a_deleted_topic_is_gone_and_its_successor_is_another() -> Result<()> {
    let (_node, mut wire) = start();
    wire.create_topic("t", 1, &[])?;
    wire.append("t", 0, &Batch::of_values(&["old"]).encode())?;
    let id = wire.topic_id("t")?;
    let mut delete = |topic: DeleteTopicState| -> Result<i16> {
        let request = DeleteTopicsRequest::default().with_topics(vec![topic]).with_timeout_ms(30_000);
        Ok(wire.call(6, &request)?.responses[0].error_code)
    };
    assert_eq!(delete(DeleteTopicState::default().with_name(Some(name("absent"))))?, UNKNOWN_TOPIC_OR_PARTITION);
    assert_eq!(
        delete(DeleteTopicState::default().with_name(None).with_topic_id(uuid::Uuid::from_u128(1 << 70)))?,
        UNKNOWN_TOPIC_ID
    );
    assert_eq!(delete(DeleteTopicState::default().with_name(Some(name("t"))))?, 0);
    eventually("the topic is gone", || {
        (wire.fetch("t", 0, 0).ok()?.error_code == UNKNOWN_TOPIC_OR_PARTITION).then_some(())
    });
    wire.create_topic("t", 1, &[])?;
    assert_ne!(wire.topic_id("t")?, id);
    assert_eq!(wire.list_offset("t", 0, -1)?.offset, 0);
    let id = wire.topic_id("t")?;
    let request = DeleteTopicsRequest::default()
        .with_topics(vec![DeleteTopicState::default().with_name(None).with_topic_id(id)])
        .with_timeout_ms(30_000);
    assert_eq!(wire.call(6, &request)?.responses[0].error_code, 0, "by id");
    Ok(())
}

/// Case 35.
#[test]
fn create_partitions_answers_each_topic() -> Result<()> {
    let (_node, mut wire) = start();
    wire.create_topic("t", 2, &[])?;
    let mut grow = |topic: &str, count, validate_only| -> Result<i16> {
        let topic = CreatePartitionsTopic::default().with_name(name(topic)).with_count(count).with_assignments(None);
        let request = CreatePartitionsRequest::default()
            .with_topics(vec![topic])
            .with_timeout_ms(30_000)
            .with_validate_only(validate_only);
        let response = wire.call(3, &request)?;
        ensure!(response.results.len() == 1, "one result a topic");
        Ok(response.results[0].error_code)
    };
    assert_eq!(grow("absent", 3, false)?, UNKNOWN_TOPIC_OR_PARTITION);
    assert_eq!(grow("t", 1, false)?, INVALID_PARTITIONS);
    assert_eq!(grow("t", 2, false)?, INVALID_PARTITIONS);
    assert_eq!(grow("t", 9, true)?, 0);
    assert_eq!(grow("t", 4, false)?, 0);
    eventually("four partitions are served", || (wire.list_offset("t", 3, -1).ok()?.error_code == 0).then_some(()));
    assert_eq!(wire.topic("t")?.topics[0].partitions.len(), 4, "validate only did nothing");
    Ok(())
}

#[test]
fn topic_partitions_are_described_page_by_page() -> Result<()> {
    let (_node, mut wire) = start();
    wire.create_topic("a", 3, &[])?;
    wire.create_topic("b", 2, &[])?;
    let topics = vec![TopicRequest::default().with_name(name("a")), TopicRequest::default().with_name(name("b"))];
    let mut request = DescribeTopicPartitionsRequest::default().with_topics(topics).with_response_partition_limit(2);
    let mut seen = Vec::new();
    loop {
        let response = wire.call(0, &request)?;
        for topic in &response.topics {
            ensure!(topic.error_code == 0, "error {}", topic.error_code);
            let of = topic.name.as_ref().context("a name")?.0.to_string();
            seen.extend(topic.partitions.iter().map(|partition| (of.clone(), partition.partition_index)));
        }
        let Some(next) = response.next_cursor else { break };
        let cursor = Cursor::default().with_topic_name(next.topic_name).with_partition_index(next.partition_index);
        request = request.with_cursor(Some(cursor));
        ensure!(seen.len() <= 5, "the pages never end: {seen:?}");
    }
    let expected = [("a", 0), ("a", 1), ("a", 2), ("b", 0), ("b", 1)].map(|(topic, index)| (topic.to_owned(), index));
    assert_eq!(seen, expected);
    Ok(())
}

#[test]
fn the_cluster_is_described() -> Result<()> {
    let (node, mut wire) = start();
    let cluster = wire.call(1, &DescribeClusterRequest::default().with_endpoint_type(1))?;
    assert_eq!((cluster.error_code, cluster.controller_id.0), (0, 1));
    assert_eq!(cluster.brokers.len(), 1);
    assert_eq!(cluster.brokers[0].port, i32::from(node.port()));
    let metadata = wire.call(12, &MetadataRequest::default().with_topics(Some(Vec::new())))?;
    assert_eq!(Some(cluster.cluster_id), metadata.cluster_id);
    Ok(())
}

/// Case 34.
#[test]
fn log_dirs_are_described_with_sizes() -> Result<()> {
    let (node, mut wire) = start();
    wire.create_topic("t", 2, &[])?;
    wire.append("t", 1, &Batch::of_values(&["x".repeat(5000).as_str()]).encode())?;
    let response = wire.call(4, &DescribeLogDirsRequest::default().with_topics(None))?;
    assert_eq!((response.error_code, response.results.len()), (0, 1));
    let dir = &response.results[0];
    assert_eq!((dir.error_code, dir.log_dir.as_str()), (0, node.log_dir().to_str().context("a path")?));
    assert!(dir.total_bytes > 0 && dir.usable_bytes > 0 && dir.usable_bytes <= dir.total_bytes);
    let topic = dir.topics.iter().find(|topic| topic.name == name("t")).context("the topic")?;
    let mut sizes: Vec<_> =
        topic.partitions.iter().map(|found| (found.partition_index, found.partition_size)).collect();
    sizes.sort_unstable();
    assert_eq!(sizes[0], (0, 0));
    assert!((5000..6000).contains(&sizes[1].1), "{sizes:?}");
    Ok(())
}

/// Also case 38: nothing lies before the log start or behind the end.
#[test]
fn deleted_records_are_gone_for_good() -> Result<()> {
    let (mut node, mut wire) = start();
    wire.create_topic("t", 1, &[])?;
    for _ in 0..4 {
        wire.append("t", 0, &Batch::of_values(&["a", "b"]).encode())?;
    }
    assert_eq!(wire.delete_records("t", 0, 3)?, (0, 3));
    assert_eq!(wire.list_offset("t", 0, -2)?.offset, 3);
    let below = wire.fetch("t", 0, 2)?;
    assert_eq!(below.error_code, OFFSET_OUT_OF_RANGE);
    assert_eq!(wire.fetch("t", 0, 3)?.log_start_offset, 3);
    assert_eq!(wire.delete_records("t", 0, 9)?.0, OFFSET_OUT_OF_RANGE, "beyond the high watermark");
    node.restart();
    let mut wire = node.wire();
    assert_eq!(wire.list_offset("t", 0, -2)?.offset, 3, "after a restart");
    assert_eq!(wire.delete_records("t", 0, -1)?, (0, 8), "-1 means all");
    assert_eq!(wire.list_offset("t", 0, -2)?.offset, 8);
    assert_eq!(wire.append("t", 0, &Batch::of_values(&["c"]).encode())?, 8, "offsets go on");
    Ok(())
}
