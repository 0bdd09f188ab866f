//! The words beside error codes: null, empty and text are three things to a client that prints them.

use anyhow::Result;
use kafka_protocol::messages::alter_client_quotas_request::{EntityData, EntryData, OpData};
use kafka_protocol::messages::alter_configs_request::{AlterConfigsResource, AlterableConfig};
use kafka_protocol::messages::alter_partition_reassignments_request::{ReassignablePartition, ReassignableTopic};
use kafka_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::describe_producers_request::TopicRequest;
use kafka_protocol::messages::describe_quorum_request::{PartitionData, TopicData};
use kafka_protocol::messages::elect_leaders_request::TopicPartitions;
use kafka_protocol::messages::incremental_alter_configs_request::{
    AlterConfigsResource as ChangedResource, AlterableConfig as ChangedConfig,
};
use kafka_protocol::messages::update_features_request::FeatureUpdateKey;
use kafka_protocol::messages::{
    AlterClientQuotasRequest, AlterConfigsRequest, AlterPartitionReassignmentsRequest, ConsumerGroupDescribeRequest,
    ConsumerGroupHeartbeatRequest, CreatePartitionsRequest, CreateTopicsRequest, DeleteTopicsRequest,
    DescribeClientQuotasRequest, DescribeClusterRequest, DescribeConfigsRequest, DescribeProducersRequest,
    DescribeQuorumRequest, ElectLeadersRequest, FindCoordinatorRequest, IncrementalAlterConfigsRequest,
    ListPartitionReassignmentsRequest, UnregisterBrokerRequest, UpdateFeaturesRequest,
};
use kafka_protocol::protocol::StrBytes;
use ottla_compat_tests::Node;
use ottla_compat_tests::batch::Batch;
use ottla_compat_tests::wait::eventually;
use ottla_compat_tests::wire::{Wire, name, text};

const TOPIC: i8 = 2;
const BROKER: i8 = 4;
const BROKER_LOGGER: i8 = 8;

/// As Kafka 4.3.1 answers.
const EXPECTED: &str = r#"
DescribeConfigs 2 "t": 0 ""
DescribeConfigs 2 "t" documentation: 0 null
DescribeConfigs 2 "absent": 3 ""
DescribeConfigs 2 "no such/name": 17 "Topic name is invalid: 'no such/name' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'"
DescribeConfigs 4 "1": 0 ""
DescribeConfigs 4 "1" documentation: 0 null
DescribeConfigs 4 "": 0 ""
DescribeConfigs 4 "2": 42 "Unexpected broker id, expected 1 or empty string, but received 2"
DescribeConfigs 4 "x": 42 "Broker id must be an integer, but it is: x"
DescribeConfigs 8 "1": 0 ""
DescribeConfigs 8 "": 42 "Broker id must not be empty"
DescribeConfigs 8 "2": 42 "Unexpected broker id, expected 1 but received 2"
DescribeConfigs 8 "x": 42 "Broker id must be an integer, but it is: x"
AlterConfigs t: 0 null
IncrementalAlterConfigs t: 0 null
AlterConfigs absent: 3 "The topic 'absent' does not exist."
IncrementalAlterConfigs absent: 3 "The topic 'absent' does not exist."
CreateTopics created: 0 null
CreateTopics t: 36 "Topic 't' already exists."
CreatePartitions created 2: 0 null
CreatePartitions created 1: 37 "The topic created currently has 2 partition(s); 1 would not be an increase."
CreatePartitions absent 2: 3 null
DeleteTopics created: 0 null
DeleteTopics absent: 3 "This server does not host this topic-partition."
DescribeProducers 0: 0 null
DescribeProducers 9: 3 null
ElectLeaders 1 0: 84 "Leader election not needed for topic partition."
ElectLeaders 2 0: 84 "Leader election not needed for topic partition."
ElectLeaders 2 9: 3 "No such partition as t-9"
AlterPartitionReassignments 0 Some([1]) top: 0 null
AlterPartitionReassignments 0 Some([1]): 0 null
AlterPartitionReassignments 0 None top: 0 null
AlterPartitionReassignments 0 None: 85 null
AlterPartitionReassignments 9 None top: 0 null
AlterPartitionReassignments 9 None: 3 "Unable to find partition t:9."
AlterPartitionReassignments 0 Some([7]) top: 0 null
AlterPartitionReassignments 0 Some([7]): 39 "The manual partition assignment includes broker 7, but no such broker is registered."
ListPartitionReassignments: 0 null
UpdateFeatures 0 top: 0 null
UpdateFeatures 0: 0 "NONE"
UpdateFeatures 1 top: 0 null
UpdateFeatures 1: 0 "NONE"
UpdateFeatures 2 top: 0 null
DescribeCluster: 0 null
DescribeQuorum __cluster_metadata top: 0 ""
DescribeQuorum __cluster_metadata: 0 ""
DescribeQuorum t top: 0 ""
DescribeQuorum t: 3 "This server does not host this topic-partition."
UnregisterBroker 77: 102 "Broker ID 77 is not currently registered"
AlterClientQuotas one 1: 0 null
AlterClientQuotas no such key 1: 42 "Invalid configuration key nope"
AlterClientQuotas one twice 1: 42 "Ignoring duplicate entity ClientQuotaEntity(entries={user=u})"
AlterClientQuotas a part twice 1: 0 null
AlterClientQuotas a bad one twice 1: 42 "Ignoring duplicate entity ClientQuotaEntity(entries={nope=u})"
DescribeClientQuotas: 0 ""
ConsumerGroupHeartbeat: 0 null
ConsumerGroupDescribe g: 0 null
ConsumerGroupDescribe absent: 69 "Group absent not found."
"#;

/// `API case: code "message"`, or `null` in the place of the message.
fn row(rows: &mut Vec<String>, case: &str, code: i16, message: Option<&StrBytes>) {
    let message = message.map_or_else(|| "null".to_owned(), |message| format!("{:?}", message.as_str()));
    rows.push(format!("{case}: {code} {message}"));
}

fn configs(wire: &mut Wire, rows: &mut Vec<String>) -> Result<()> {
    for (kind, resource) in [
        (TOPIC, "t"),
        (TOPIC, "absent"),
        (TOPIC, "no such/name"),
        (BROKER, "1"),
        (BROKER, ""),
        (BROKER, "2"),
        (BROKER, "x"),
        (BROKER_LOGGER, "1"),
        (BROKER_LOGGER, ""),
        (BROKER_LOGGER, "2"),
        (BROKER_LOGGER, "x"),
    ] {
        let asked = DescribeConfigsResource::default()
            .with_resource_type(kind)
            .with_resource_name(text(resource))
            .with_configuration_keys(None);
        let request = DescribeConfigsRequest::default().with_resources(vec![asked]);
        let result = &wire.call(4, &request)?.results[0];
        let case = format!("DescribeConfigs {kind} {resource:?}");
        row(rows, &case, result.error_code, result.error_message.as_ref());
        if let Some(config) =
            result.configs.first().filter(|_| ["t", "1"].contains(&resource) && kind != BROKER_LOGGER)
        {
            row(rows, &format!("{case} documentation"), 0, config.documentation.as_ref());
        }
    }
    for topic in ["t", "absent"] {
        let config = AlterableConfig::default().with_name(text("retention.ms")).with_value(Some(text("5000")));
        let resource = AlterConfigsResource::default().with_resource_type(TOPIC).with_resource_name(text(topic));
        let resource = resource.with_configs(vec![config]);
        let answer = wire.call(2, &AlterConfigsRequest::default().with_resources(vec![resource]))?;
        let answer = &answer.responses[0];
        row(rows, &format!("AlterConfigs {topic}"), answer.error_code, answer.error_message.as_ref());
        let config = ChangedConfig::default().with_name(text("retention.ms")).with_value(Some(text("5000")));
        let resource = ChangedResource::default().with_resource_type(TOPIC).with_resource_name(text(topic));
        let resource = resource.with_configs(vec![config]);
        let answer = wire.call(1, &IncrementalAlterConfigsRequest::default().with_resources(vec![resource]))?;
        let answer = &answer.responses[0];
        row(rows, &format!("IncrementalAlterConfigs {topic}"), answer.error_code, answer.error_message.as_ref());
    }
    Ok(())
}

fn topics(wire: &mut Wire, rows: &mut Vec<String>) -> Result<()> {
    for topic in ["created", "t"] {
        let asked =
            CreatableTopic::default().with_name(name(topic)).with_num_partitions(1).with_replication_factor(1);
        let answer = wire.call(7, &CreateTopicsRequest::default().with_topics(vec![asked]).with_timeout_ms(9000))?;
        let answer = &answer.topics[0];
        row(rows, &format!("CreateTopics {topic}"), answer.error_code, answer.error_message.as_ref());
    }
    for (topic, count) in [("created", 2), ("created", 1), ("absent", 2)] {
        let asked = CreatePartitionsTopic::default().with_name(name(topic)).with_count(count).with_assignments(None);
        let request = CreatePartitionsRequest::default().with_topics(vec![asked]).with_timeout_ms(9000);
        let answer = &wire.call(3, &request)?.results[0];
        row(rows, &format!("CreatePartitions {topic} {count}"), answer.error_code, answer.error_message.as_ref());
    }
    for topic in ["created", "absent"] {
        let request = DeleteTopicsRequest::default().with_topic_names(vec![name(topic)]).with_timeout_ms(9000);
        let answer = &wire.call(5, &request)?.responses[0];
        row(rows, &format!("DeleteTopics {topic}"), answer.error_code, answer.error_message.as_ref());
    }
    for partition in [0, 9] {
        let topic = TopicRequest::default().with_name(name("t")).with_partition_indexes(vec![partition]);
        let answer = wire.call(0, &DescribeProducersRequest::default().with_topics(vec![topic]))?;
        let answer = &answer.topics[0].partitions[0];
        row(rows, &format!("DescribeProducers {partition}"), answer.error_code, answer.error_message.as_ref());
    }
    Ok(())
}

fn partitions(wire: &mut Wire, rows: &mut Vec<String>) -> Result<()> {
    for (version, partition) in [(1, 0), (2, 0), (2, 9)] {
        let asked = TopicPartitions::default().with_topic(name("t")).with_partitions(vec![partition]);
        let request = ElectLeadersRequest::default().with_topic_partitions(Some(vec![asked])).with_timeout_ms(9000);
        let answer = wire.call(version, &request)?;
        let answer = &answer.replica_election_results[0].partition_result[0];
        row(rows, &format!("ElectLeaders {version} {partition}"), answer.error_code, answer.error_message.as_ref());
    }
    for (partition, replicas) in [(0, Some(vec![1.into()])), (0, None), (9, None), (0, Some(vec![7.into()]))] {
        let case = format!("AlterPartitionReassignments {partition} {replicas:?}");
        let asked = ReassignablePartition::default().with_partition_index(partition).with_replicas(replicas);
        let asked = ReassignableTopic::default().with_name(name("t")).with_partitions(vec![asked]);
        let request = AlterPartitionReassignmentsRequest::default().with_topics(vec![asked]).with_timeout_ms(9000);
        let answer = wire.call(1, &request)?;
        row(rows, &format!("{case} top"), answer.error_code, answer.error_message.as_ref());
        let answer = &answer.responses[0].partitions[0];
        row(rows, &case, answer.error_code, answer.error_message.as_ref());
    }
    let request = ListPartitionReassignmentsRequest::default().with_topics(None).with_timeout_ms(9000);
    let answer = wire.call(0, &request)?;
    row(rows, "ListPartitionReassignments", answer.error_code, answer.error_message.as_ref());
    Ok(())
}

fn cluster(wire: &mut Wire, rows: &mut Vec<String>) -> Result<()> {
    for version in 0..=2 {
        let update = FeatureUpdateKey::default().with_feature(text("metadata.version")).with_max_version_level(30);
        let update = if version == 0 { update } else { update.with_upgrade_type(1) };
        let request = UpdateFeaturesRequest::default().with_feature_updates(vec![update]).with_timeout_ms(9000);
        let answer = wire.call(version, &request)?;
        row(rows, &format!("UpdateFeatures {version} top"), answer.error_code, answer.error_message.as_ref());
        for answer in answer.results {
            row(rows, &format!("UpdateFeatures {version}"), answer.error_code, answer.error_message.as_ref());
        }
    }
    let answer = wire.call(1, &DescribeClusterRequest::default())?;
    row(rows, "DescribeCluster", answer.error_code, answer.error_message.as_ref());
    for topic in ["__cluster_metadata", "t"] {
        let asked = TopicData::default()
            .with_topic_name(name(topic))
            .with_partitions(vec![PartitionData::default().with_partition_index(0)]);
        let answer = wire.call(2, &DescribeQuorumRequest::default().with_topics(vec![asked]))?;
        row(rows, &format!("DescribeQuorum {topic} top"), answer.error_code, answer.error_message.as_ref());
        for answer in answer.topics.iter().flat_map(|topic| &topic.partitions) {
            row(rows, &format!("DescribeQuorum {topic}"), answer.error_code, answer.error_message.as_ref());
        }
    }
    let answer = wire.call(0, &UnregisterBrokerRequest::default().with_broker_id(77.into()))?;
    row(rows, "UnregisterBroker 77", answer.error_code, answer.error_message.as_ref());
    Ok(())
}

fn quotas(wire: &mut Wire, rows: &mut Vec<String>) -> Result<()> {
    let entry = |kinds: &[&str], key: &str| {
        let part = |kind: &&str| EntityData::default().with_entity_type(text(kind)).with_entity_name(Some(text("u")));
        let op = OpData::default().with_key(text(key)).with_value(1000.0);
        EntryData::default().with_entity(kinds.iter().map(part).collect()).with_ops(vec![op])
    };
    let user = ["user"];
    for (case, entries) in [
        ("one", vec![entry(&user, "consumer_byte_rate")]),
        ("no such key", vec![entry(&user, "nope")]),
        ("one twice", vec![entry(&user, "consumer_byte_rate"), entry(&user, "consumer_byte_rate")]),
        ("a part twice", vec![entry(&["user", "user"], "consumer_byte_rate")]),
        ("a bad one twice", vec![entry(&["nope"], "consumer_byte_rate"), entry(&["nope"], "consumer_byte_rate")]),
    ] {
        let answer = wire.call(1, &AlterClientQuotasRequest::default().with_entries(entries))?;
        for answer in &answer.entries {
            let parts = answer.entity.len();
            row(rows, &format!("AlterClientQuotas {case} {parts}"), answer.error_code, answer.error_message.as_ref());
        }
    }
    let answer = wire.call(1, &DescribeClientQuotasRequest::default())?;
    row(rows, "DescribeClientQuotas", answer.error_code, answer.error_message.as_ref());
    Ok(())
}

fn groups(wire: &mut Wire, rows: &mut Vec<String>) -> Result<()> {
    wire.call(4, &FindCoordinatorRequest::default().with_coordinator_keys(vec![text("g")]))?;
    let request = ConsumerGroupHeartbeatRequest::default()
        .with_group_id(text("g").into())
        .with_member_id(text("m"))
        .with_rebalance_timeout_ms(10_000)
        .with_subscribed_topic_names(Some(vec![name("t")]))
        .with_topic_partitions(Some(Vec::new()));
    let answer = eventually("a coordinator", || wire.call(1, &request).ok().filter(|answer| answer.error_code == 0));
    row(rows, "ConsumerGroupHeartbeat", answer.error_code, answer.error_message.as_ref());
    let request = ConsumerGroupDescribeRequest::default();
    for group in ["g", "absent"] {
        let answer = wire.call(1, &request.clone().with_group_ids(vec![text(group).into()]))?;
        let answer = &answer.groups[0];
        row(rows, &format!("ConsumerGroupDescribe {group}"), answer.error_code, answer.error_message.as_ref());
    }
    Ok(())
}

#[test]
fn messages_are_kafkas() -> Result<()> {
    let node = Node::start();
    let mut wire = node.wire();
    wire.create_topic("t", 1, &[])?;
    wire.append("t", 0, &Batch::of_values(&["a"]).encode())?;
    let mut rows = Vec::new();
    for ask in [configs, topics, partitions, cluster, quotas, groups] {
        ask(&mut wire, &mut rows)?;
    }
    let expected: Vec<&str> = EXPECTED.trim().lines().collect();
    assert_eq!(rows, expected);
    Ok(())
}
