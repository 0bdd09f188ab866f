//! Elections, reassignments, features, the quorum and producers over the bare protocol: which error code for what.

use anyhow::{Context, Result};
use kafka_protocol::messages::alter_partition_reassignments_request::{ReassignablePartition, ReassignableTopic};
use kafka_protocol::messages::api_versions_response::ApiVersionsResponse;
use kafka_protocol::messages::describe_producers_request::TopicRequest;
use kafka_protocol::messages::describe_producers_response::PartitionResponse;
use kafka_protocol::messages::describe_quorum_request::{PartitionData, TopicData};
use kafka_protocol::messages::elect_leaders_request::TopicPartitions;
use kafka_protocol::messages::list_partition_reassignments_request::ListPartitionReassignmentsTopics;
use kafka_protocol::messages::update_features_request::FeatureUpdateKey;
use kafka_protocol::messages::{
    AlterPartitionReassignmentsRequest, ApiVersionsRequest, DescribeProducersRequest, DescribeQuorumRequest,
    DescribeQuorumResponse, ElectLeadersRequest, ElectLeadersResponse, ListPartitionReassignmentsRequest,
    UnregisterBrokerRequest, UpdateFeaturesRequest, UpdateFeaturesResponse,
};
use ottla_compat_tests::batch::Batch;
use ottla_compat_tests::wait::eventually;
use ottla_compat_tests::wire::{Wire, name, text};
use ottla_compat_tests::{Node, Peer, only_ottla};

const UNKNOWN_TOPIC_OR_PARTITION: i16 = 3;
const INVALID_TOPIC_EXCEPTION: i16 = 17;
const INVALID_REPLICA_ASSIGNMENT: i16 = 39;
const INVALID_REQUEST: i16 = 42;
const ELECTION_NOT_NEEDED: i16 = 84;
const NO_REASSIGNMENT_IN_PROGRESS: i16 = 85;
const INVALID_UPDATE_VERSION: i16 = 95;
const BROKER_ID_NOT_REGISTERED: i16 = 102;

const PREFERRED: i8 = 0;
const UNCLEAN: i8 = 1;

fn start() -> Result<(Node, Wire)> {
    let node = Node::start();
    let mut wire = node.wire();
    wire.create_topic("t", 2, &[])?;
    Ok((node, wire))
}

/// Topic, partition and error code of each result.
fn elected(response: &ElectLeadersResponse) -> Vec<(String, i32, i16)> {
    let topics = response.replica_election_results.iter();
    topics
        .flat_map(|topic| {
            let results = topic.partition_result.iter();
            results.map(|result| (topic.topic.to_string(), result.partition_id, result.error_code))
        })
        .collect()
}

fn election(kind: i8, partitions: Option<&[(&str, i32)]>) -> ElectLeadersRequest {
    let of = |&(topic, partition): &(&str, i32)| {
        TopicPartitions::default().with_topic(name(topic)).with_partitions(vec![partition])
    };
    ElectLeadersRequest::default()
        .with_election_type(kind)
        .with_topic_partitions(partitions.map(|partitions| partitions.iter().map(of).collect()))
        .with_timeout_ms(10_000)
}

#[test]
fn leaders_that_lead_need_no_election() -> Result<()> {
    let (_node, mut wire) = start()?;
    let asked = [("t", 1), ("t", 9), ("absent", 0)];
    let expected = [
        ("t".to_owned(), 1, ELECTION_NOT_NEEDED),
        ("t".to_owned(), 9, UNKNOWN_TOPIC_OR_PARTITION),
        ("absent".to_owned(), 0, UNKNOWN_TOPIC_OR_PARTITION),
    ];
    for kind in [PREFERRED, UNCLEAN] {
        for version in if kind == PREFERRED { 0 } else { 1 }..=2 {
            let mut found = elected(&wire.call(version, &election(kind, Some(&asked)))?);
            found.sort_by_key(|(topic, partition, _)| (topic == "absent", *partition));
            assert_eq!(found, expected, "type {kind}, version {version}");
            let all = wire.call(version, &election(kind, None))?;
            assert_eq!((all.error_code, elected(&all)), (0, vec![]), "those that need none are not told of");
        }
    }
    for version in 1..=2 {
        let refused = wire.call(version, &election(7, Some(&asked)))?;
        assert_eq!(refused.error_code, INVALID_REQUEST, "no such type");
    }
    Ok(())
}

/// The error of one reassignment.
fn reassign(wire: &mut Wire, version: i16, topic: &str, partition: i32, replicas: Option<&[i32]>) -> Result<i16> {
    let to = ReassignablePartition::default()
        .with_partition_index(partition)
        .with_replicas(replicas.map(|ids| ids.iter().map(|&id| id.into()).collect()));
    let topic = ReassignableTopic::default().with_name(name(topic)).with_partitions(vec![to]);
    let request = AlterPartitionReassignmentsRequest::default()
        .with_timeout_ms(10_000)
        .with_allow_replication_factor_change(version == 0)
        .with_topics(vec![topic]);
    let response = wire.call(version, &request)?;
    assert_eq!(response.error_code, 0, "{:?}", response.error_message);
    Ok(response.responses[0].partitions[0].error_code)
}

#[test]
fn one_broker_has_nowhere_to_reassign_to() -> Result<()> {
    let (_node, mut wire) = start()?;
    for version in 0..=1 {
        let mut check = |topic, partition, replicas, expected| -> Result<()> {
            let found = reassign(&mut wire, version, topic, partition, replicas)?;
            assert_eq!(found, expected, "{topic}-{partition} to {replicas:?}, version {version}");
            Ok(())
        };
        check("t", 0, Some(&[1]), 0)?;
        check("t", 0, None, NO_REASSIGNMENT_IN_PROGRESS)?;
        check("t", 0, Some(&[2]), INVALID_REPLICA_ASSIGNMENT)?;
        check("t", 0, Some(&[-1]), INVALID_REPLICA_ASSIGNMENT)?;
        check("t", 0, Some(&[1, 2]), INVALID_REPLICA_ASSIGNMENT)?;
        check("t", 0, Some(&[1, 1]), INVALID_REPLICA_ASSIGNMENT)?;
        check("t", 0, Some(&[]), INVALID_REPLICA_ASSIGNMENT)?;
        check("t", 9, Some(&[1]), UNKNOWN_TOPIC_OR_PARTITION)?;
        check("t", 9, None, UNKNOWN_TOPIC_OR_PARTITION)?;
        check("absent", 0, Some(&[1]), UNKNOWN_TOPIC_OR_PARTITION)?;
    }
    let of =
        |topic| ListPartitionReassignmentsTopics::default().with_name(name(topic)).with_partition_indexes(vec![0, 9]);
    for topics in [None, Some(vec![]), Some(vec![of("t"), of("absent")])] {
        let request = ListPartitionReassignmentsRequest::default().with_timeout_ms(10_000).with_topics(topics);
        let response = wire.call(0, &request)?;
        assert_eq!((response.error_code, response.topics.len()), (0, 0));
    }
    Ok(())
}

fn producers(wire: &mut Wire, topic: &str, partition: i32) -> Result<PartitionResponse> {
    let topic = TopicRequest::default().with_name(name(topic)).with_partition_indexes(vec![partition]);
    let response = wire.call(0, &DescribeProducersRequest::default().with_topics(vec![topic]))?;
    Ok(response.topics[0].partitions[0].clone())
}

#[test]
fn a_partition_tells_of_its_producers() -> Result<()> {
    let (_node, mut wire) = start()?;
    let (id, epoch) = wire.new_producer()?;
    let batch = Batch::of_values(&["a", "b", "c"]).from_producer(id, epoch, 0);
    wire.append("t", 1, &batch.encode())?;
    let found = producers(&mut wire, "t", 1)?;
    assert_eq!((found.error_code, found.active_producers.len()), (0, 1));
    let producer = &found.active_producers[0];
    assert_eq!((producer.producer_id.0, producer.producer_epoch), (id, i32::from(epoch)));
    assert_eq!((producer.last_sequence, producer.current_txn_start_offset), (2, -1));
    assert_eq!((producer.last_timestamp, producer.coordinator_epoch), (batch.base_timestamp_ms, -1));
    assert!(producers(&mut wire, "t", 0)?.active_producers.is_empty());
    for (topic, partition, code) in [
        ("t", 2, UNKNOWN_TOPIC_OR_PARTITION),
        ("t", -1, UNKNOWN_TOPIC_OR_PARTITION),
        ("absent", 0, UNKNOWN_TOPIC_OR_PARTITION),
        ("no/name", 0, INVALID_TOPIC_EXCEPTION),
    ] {
        assert_eq!(producers(&mut wire, topic, partition)?.error_code, code, "{topic}-{partition}");
    }
    Ok(())
}

fn quorum(wire: &mut Wire, version: i16, topics: &[(&str, i32)]) -> Result<DescribeQuorumResponse> {
    let of = |&(topic, partition): &(&str, i32)| {
        let partition = PartitionData::default().with_partition_index(partition);
        TopicData::default().with_topic_name(name(topic)).with_partitions(vec![partition])
    };
    wire.call(version, &DescribeQuorumRequest::default().with_topics(topics.iter().map(of).collect()))
}

#[test]
fn the_quorum_is_the_broker_that_is_controller() -> Result<()> {
    let (_node, mut wire) = start()?;
    let mut last = 0;
    for version in 0..=2 {
        let response = quorum(&mut wire, version, &[("__cluster_metadata", 0)])?;
        assert_eq!((response.error_code, response.topics.len()), (0, 1), "{response:?}");
        let partition = &response.topics[0].partitions[0];
        assert_eq!((partition.error_code, partition.leader_id.0), (0, 1));
        assert!(partition.high_watermark > last && partition.leader_epoch > 0, "{partition:?}");
        let voter = &partition.current_voters[0];
        assert_eq!((partition.current_voters.len(), voter.replica_id.0), (1, 1));
        assert!(voter.log_end_offset >= partition.high_watermark);
        assert!(partition.observers.is_empty());
        assert_eq!(voter.last_caught_up_timestamp > 0, version >= 1, "{voter:?}");
        // Kafka tells it from kraft.version 1 on.
        let tells_directory = version >= 2 && (Peer::chosen() == Peer::Ottla || !voter.replica_directory_id.is_nil());
        assert_eq!(!voter.replica_directory_id.is_nil(), tells_directory, "{voter:?}");
        assert_eq!(response.nodes.len(), usize::from(version >= 2));
        if let Some(node) = response.nodes.first() {
            assert_eq!((node.node_id.0, node.listeners.len()), (1, 1));
        }
        last = partition.high_watermark;
        wire.create_topic(&format!("more-{version}"), 1, &[])?;
    }
    for topics in [&[("t", 0)][..], &[("__cluster_metadata", 1)], &[("__cluster_metadata", 0), ("t", 0)]] {
        let response = quorum(&mut wire, 2, topics)?;
        assert_eq!(response.error_code, 0);
        for topic in &response.topics {
            assert_eq!(topic.partitions[0].error_code, UNKNOWN_TOPIC_OR_PARTITION, "{response:?}");
        }
    }
    let none = quorum(&mut wire, 2, &[])?;
    assert_eq!((none.error_code, none.topics.len()), (0, 0));
    Ok(())
}

#[test]
fn a_broker_that_is_not_there_cannot_be_unregistered() -> Result<()> {
    let (_node, mut wire) = start()?;
    for id in [7, -1] {
        let response = wire.call(0, &UnregisterBrokerRequest::default().with_broker_id(id.into()))?;
        assert_eq!(response.error_code, BROKER_ID_NOT_REGISTERED);
        assert_eq!(response.error_message, Some(text(&format!("Broker ID {id} is not currently registered"))));
    }
    Ok(())
}

/// Kafka's broker would be of no more use until its restart.
#[test]
fn a_broker_that_is_unregistered_while_it_runs_registers_again() -> Result<()> {
    if only_ottla() {
        return Ok(());
    }
    let (_node, mut wire) = start()?;
    let epoch = |wire: &mut Wire| {
        let found = wire.topic("t").ok()?;
        let partition = found.topics[0].partitions.first()?;
        (partition.error_code == 0).then_some(partition.leader_epoch)
    };
    let before = epoch(&mut wire).context("a leader")?;
    assert_eq!(wire.call(0, &UnregisterBrokerRequest::default().with_broker_id(1.into()))?.error_code, 0);
    eventually("a new registration and new leader epochs", || {
        (wire.broker_ids().ok()? == [1] && epoch(&mut wire)? > before).then_some(())
    });
    wire.append("t", 0, &Batch::of_values(&["a"]).encode())?;
    wire.create_topic("later", 1, &[])?;
    let quorum = quorum(&mut wire, 2, &[("__cluster_metadata", 0)])?;
    assert_eq!(quorum.topics[0].partitions[0].leader_id.0, 1, "it is controller again");
    Ok(())
}

const UPGRADE: i8 = 1;
const SAFE_DOWNGRADE: i8 = 2;
const UNSAFE_DOWNGRADE: i8 = 3;

fn features(wire: &mut Wire) -> Result<ApiVersionsResponse> {
    let request = ApiVersionsRequest::default()
        .with_client_software_name(text("compat"))
        .with_client_software_version(text("1"));
    wire.call(4, &request)
}

/// The finalized level of a feature, 0 for none, and the epoch of all.
fn finalized(wire: &mut Wire, feature: &str) -> Result<(i16, i64)> {
    let found = features(wire)?;
    let level = found.finalized_features.iter().find(|found| found.name.as_str() == feature);
    Ok((level.map_or(0, |found| found.max_version_level), found.finalized_features_epoch))
}

fn update(
    wire: &mut Wire,
    version: i16,
    updates: &[(&str, i16, i8)],
    validate_only: bool,
) -> Result<UpdateFeaturesResponse> {
    let of = |&(feature, level, kind): &(&str, i16, i8)| {
        let update = FeatureUpdateKey::default().with_feature(text(feature)).with_max_version_level(level);
        if version == 0 { update.with_allow_downgrade(kind != UPGRADE) } else { update.with_upgrade_type(kind) }
    };
    let request = UpdateFeaturesRequest::default()
        .with_timeout_ms(10_000)
        .with_validate_only(validate_only)
        .with_feature_updates(updates.iter().map(of).collect());
    wire.call(version, &request)
}

#[test]
fn metadata_version_stays_where_it_is() -> Result<()> {
    let (_node, mut wire) = start()?;
    assert_eq!(finalized(&mut wire, "metadata.version")?.0, 30);
    for version in 0..=2 {
        for (level, kind, code, message) in [
            (30, UPGRADE, 0, ""),
            (29, UPGRADE, INVALID_UPDATE_VERSION, "Can't downgrade the version of this feature without setting"),
            (31, UPGRADE, INVALID_UPDATE_VERSION, "Local controller 1 only supports versions 7-30"),
            (6, SAFE_DOWNGRADE, INVALID_UPDATE_VERSION, "Local controller 1 only supports versions 7-30"),
            (-1, SAFE_DOWNGRADE, INVALID_UPDATE_VERSION, "A feature version cannot be less than 0."),
        ] {
            let response = update(&mut wire, version, &[("metadata.version", level, kind)], false)?;
            let at = format!("{level}, type {kind}, version {version}: {response:?}");
            assert_eq!(response.error_code, code, "{at}");
            assert!(response.error_message.unwrap_or_default().contains(message), "{at}");
            // Before version 2 each feature has a result, unless the whole request failed.
            assert_eq!(response.results.len(), usize::from(version < 2 && code == 0), "{at}");
        }
    }
    for (kind, message) in [
        (SAFE_DOWNGRADE, "Unsupported metadata.version downgrade from 30 to 29. Refusing"),
        (UNSAFE_DOWNGRADE, "Unsafe metadata downgrade is not supported"),
        (9, "The controller does not support the given upgrade type."),
    ] {
        let response = update(&mut wire, 2, &[("metadata.version", 29, kind)], true)?;
        assert_eq!(response.error_code, INVALID_UPDATE_VERSION);
        assert!(response.error_message.unwrap_or_default().contains(message), "type {kind}");
    }
    assert_eq!(finalized(&mut wire, "metadata.version")?.0, 30);
    Ok(())
}

#[test]
fn unknown_features_are_refused_and_with_them_all_others() -> Result<()> {
    let (_node, mut wire) = start()?;
    for (updates, message) in [
        (&[("no.version", 1, UPGRADE)][..], "Local controller 1 does not support this feature."),
        (&[("no.version", 0, SAFE_DOWNGRADE)], "Feature no.version not found."),
        (&[("metadata.version", 30, UPGRADE), ("no.version", 1, UPGRADE)], "does not support this feature."),
    ] {
        for version in 1..=2 {
            let response = update(&mut wire, version, updates, false)?;
            assert_eq!(response.error_code, INVALID_UPDATE_VERSION, "{response:?}");
            let told = response.error_message.unwrap_or_default();
            let prefix = "The update failed for all features since the following feature had an error: ";
            assert!(told.starts_with(prefix) && told.contains(message), "{told}");
        }
    }
    assert_eq!(update(&mut wire, 2, &[], false)?.error_code, 0, "nothing to do");
    Ok(())
}

/// Every feature that may be off goes off and on again, and stays so over a restart.
#[test]
fn features_are_finalized_and_taken_back() -> Result<()> {
    let (mut node, mut wire) = start()?;
    let supported = features(&mut wire)?.supported_features;
    // Those of Kafka's own whose levels hang on others.
    let hang_together = ["kraft.version", "metadata.version"];
    let optional = supported.iter().filter(|feature| !hang_together.contains(&feature.name.as_str()));
    for feature in optional {
        let (name, max) = (feature.name.to_string(), feature.max_version);
        let level = finalized(&mut wire, &name)?.0;
        let (to, kind) = if level == 0 { (max, UPGRADE) } else { (0, SAFE_DOWNGRADE) };
        assert_eq!(update(&mut wire, 2, &[(&name, to, kind)], true)?.error_code, 0);
        assert_eq!(finalized(&mut wire, &name)?.0, level, "validated only");
        assert_eq!(update(&mut wire, 2, &[(&name, to, kind)], false)?.error_code, 0);
        let epoch = eventually("the new level", || {
            let (now, epoch) = finalized(&mut wire, &name).ok()?;
            (now == to).then_some(epoch)
        });
        node.restart();
        wire = node.wire();
        let (now, later) = finalized(&mut wire, &name)?;
        assert!(now == to && later >= epoch, "{name}: {now} at {later}, after {to} at {epoch}");
    }
    Ok(())
}
