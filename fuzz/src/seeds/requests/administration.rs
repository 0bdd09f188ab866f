//! What tools ask of the cluster.

use bytes::Bytes;

use super::{Body, encoded, text, topic, wire};

pub(super) fn body(api_key: i16, version: i16) -> Option<Body> {
    Some(match api_key {
        34 => encoded(&alter_replica_log_dirs(), version),
        43 => encoded(&elect_leaders(), version),
        45 => encoded(&alter_partition_reassignments(), version),
        46 => encoded(&wire::ListPartitionReassignmentsRequest::default().with_topics(None), version),
        48 => encoded(&describe_client_quotas(), version),
        49 => encoded(&alter_client_quotas(), version),
        50 => encoded(&describe_user_scram_credentials(), version),
        55 => encoded(&describe_quorum(), version),
        57 => encoded(&update_features(version), version),
        61 => encoded(&describe_producers(), version),
        64 => encoded(&wire::UnregisterBrokerRequest::default().with_broker_id(9.into()), version),
        71 => encoded(&wire::GetTelemetrySubscriptionsRequest::default(), version),
        72 => encoded(&push_telemetry(), version),
        74 => encoded(&wire::ListConfigResourcesRequest::default(), version),
        _ => return None,
    })
}

fn alter_replica_log_dirs() -> wire::AlterReplicaLogDirsRequest {
    use wire::alter_replica_log_dirs_request::{AlterReplicaLogDir, AlterReplicaLogDirTopic};
    let topic = AlterReplicaLogDirTopic::default().with_name(topic()).with_partitions(vec![0]);
    let directory = AlterReplicaLogDir::default().with_path(text("data")).with_topics(vec![topic]);
    wire::AlterReplicaLogDirsRequest::default().with_dirs(vec![directory])
}

fn elect_leaders() -> wire::ElectLeadersRequest {
    use wire::elect_leaders_request::TopicPartitions;
    let topic = TopicPartitions::default().with_topic(topic()).with_partitions(vec![0, 7]);
    wire::ElectLeadersRequest::default().with_topic_partitions(Some(vec![topic])).with_timeout_ms(1000)
}

fn alter_partition_reassignments() -> wire::AlterPartitionReassignmentsRequest {
    use wire::alter_partition_reassignments_request::{ReassignablePartition, ReassignableTopic};
    let partition = ReassignablePartition::default().with_replicas(Some(vec![1.into()]));
    let topic = ReassignableTopic::default().with_name(topic()).with_partitions(vec![partition]);
    wire::AlterPartitionReassignmentsRequest::default().with_topics(vec![topic]).with_timeout_ms(1000)
}

fn describe_client_quotas() -> wire::DescribeClientQuotasRequest {
    use wire::describe_client_quotas_request::ComponentData;
    let component = ComponentData::default().with_entity_type(text("client-id")).with_match_type(2);
    wire::DescribeClientQuotasRequest::default().with_components(vec![component])
}

fn alter_client_quotas() -> wire::AlterClientQuotasRequest {
    use wire::alter_client_quotas_request::{EntityData, EntryData, OpData};
    let entity = EntityData::default().with_entity_type(text("client-id")).with_entity_name(Some(text("slow")));
    let operation = OpData::default().with_key(text("producer_byte_rate")).with_value(1024.0);
    let entry = EntryData::default().with_entity(vec![entity]).with_ops(vec![operation]);
    wire::AlterClientQuotasRequest::default().with_entries(vec![entry])
}

fn describe_user_scram_credentials() -> wire::DescribeUserScramCredentialsRequest {
    use wire::describe_user_scram_credentials_request::UserName;
    let users = ["a", "b", "a"].map(|name| UserName::default().with_name(text(name)));
    wire::DescribeUserScramCredentialsRequest::default().with_users(Some(users.to_vec()))
}

fn describe_quorum() -> wire::DescribeQuorumRequest {
    use wire::describe_quorum_request::{PartitionData, TopicData};
    let topic = TopicData::default()
        .with_topic_name(text("__cluster_metadata").into())
        .with_partitions(vec![PartitionData::default()]);
    wire::DescribeQuorumRequest::default().with_topics(vec![topic])
}

fn update_features(version: i16) -> wire::UpdateFeaturesRequest {
    use wire::update_features_request::FeatureUpdateKey;
    let mut update = FeatureUpdateKey::default().with_feature(text("group.version")).with_max_version_level(1);
    if version >= 1 {
        update.upgrade_type = 1;
    }
    wire::UpdateFeaturesRequest::default().with_feature_updates(vec![update]).with_timeout_ms(1000)
}

fn describe_producers() -> wire::DescribeProducersRequest {
    use wire::describe_producers_request::TopicRequest;
    let topic = TopicRequest::default().with_name(topic()).with_partition_indexes(vec![0]);
    wire::DescribeProducersRequest::default().with_topics(vec![topic])
}

fn push_telemetry() -> wire::PushTelemetryRequest {
    wire::PushTelemetryRequest::default().with_subscription_id(1).with_metrics(Bytes::from_static(&[10, 0]))
}
