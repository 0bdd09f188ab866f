//! A request's body: the first byte is the API key, the second the version. What decodes encodes again, to bytes that
//! mean the same.

use bytes::{Bytes, BytesMut};
use ottla::protocol::messages;
use ottla::protocol::wire::messages as wire;
use ottla::protocol::wire::protocol::{Decodable, Encodable};

pub fn run(data: &[u8]) {
    if let [api_key, version, body @ ..] = data {
        request(*api_key, i16::from(*version), Bytes::copy_from_slice(body));
    }
}

fn again<M: Decodable + Encodable>(version: i16, mut body: Bytes) {
    let Ok(message) = M::decode(&mut body, version) else { return };
    let Some(first) = encode(&message, version) else { return };
    let message = M::decode(&mut first.clone(), version).expect("what was encoded decodes");
    // Bytes are compared, not messages: a float may be NaN.
    assert_eq!(encode(&message, version), Some(first));
}

/// None where the message can't be written: what its version lacks is set, or it has an unknown tag beyond 2^31. Such
/// a tag the crate reads as a negative number, counts, and does not write. The broker writes no message that it read.
fn encode<M: Encodable>(message: &M, version: i16) -> Option<Bytes> {
    let size = message.compute_size(version).ok()?;
    let mut bytes = BytesMut::with_capacity(size);
    message.encode(&mut bytes, version).ok()?;
    (bytes.len() == size).then(|| bytes.freeze())
}

fn request(api_key: u8, version: i16, body: Bytes) {
    match api_key {
        0 => again::<wire::ProduceRequest>(version, body),
        1 => again::<wire::FetchRequest>(version, body),
        2 => again::<messages::ListOffsetsRequest>(version, body),
        3 => again::<wire::MetadataRequest>(version, body),
        8 => again::<messages::OffsetCommitRequest>(version, body),
        9 => again::<messages::OffsetFetchRequest>(version, body),
        10 => again::<wire::FindCoordinatorRequest>(version, body),
        11 => again::<wire::JoinGroupRequest>(version, body),
        12 => again::<wire::HeartbeatRequest>(version, body),
        13 => again::<wire::LeaveGroupRequest>(version, body),
        14 => again::<wire::SyncGroupRequest>(version, body),
        15 => again::<wire::DescribeGroupsRequest>(version, body),
        16 => again::<wire::ListGroupsRequest>(version, body),
        17 => again::<wire::SaslHandshakeRequest>(version, body),
        18 => again::<messages::ApiVersionsRequest>(version, body),
        19 => again::<wire::CreateTopicsRequest>(version, body),
        20 => again::<wire::DeleteTopicsRequest>(version, body),
        21 => again::<wire::DeleteRecordsRequest>(version, body),
        22 => again::<wire::InitProducerIdRequest>(version, body),
        23 => again::<wire::OffsetForLeaderEpochRequest>(version, body),
        24 => again::<wire::AddPartitionsToTxnRequest>(version, body),
        25 => again::<wire::AddOffsetsToTxnRequest>(version, body),
        26 => again::<wire::EndTxnRequest>(version, body),
        27 => again::<wire::WriteTxnMarkersRequest>(version, body),
        28 => again::<wire::TxnOffsetCommitRequest>(version, body),
        29 => again::<wire::DescribeAclsRequest>(version, body),
        30 => again::<wire::CreateAclsRequest>(version, body),
        31 => again::<wire::DeleteAclsRequest>(version, body),
        32 => again::<wire::DescribeConfigsRequest>(version, body),
        33 => again::<wire::AlterConfigsRequest>(version, body),
        34 => again::<wire::AlterReplicaLogDirsRequest>(version, body),
        35 => again::<messages::DescribeLogDirsRequest>(version, body),
        36 => again::<wire::SaslAuthenticateRequest>(version, body),
        37 => again::<wire::CreatePartitionsRequest>(version, body),
        38 => again::<wire::CreateDelegationTokenRequest>(version, body),
        39 => again::<wire::RenewDelegationTokenRequest>(version, body),
        40 => again::<wire::ExpireDelegationTokenRequest>(version, body),
        41 => again::<wire::DescribeDelegationTokenRequest>(version, body),
        42 => again::<messages::DeleteGroupsRequest>(version, body),
        43 => again::<wire::ElectLeadersRequest>(version, body),
        44 => again::<wire::IncrementalAlterConfigsRequest>(version, body),
        45 => again::<wire::AlterPartitionReassignmentsRequest>(version, body),
        46 => again::<wire::ListPartitionReassignmentsRequest>(version, body),
        47 => again::<wire::OffsetDeleteRequest>(version, body),
        48 => again::<wire::DescribeClientQuotasRequest>(version, body),
        49 => again::<wire::AlterClientQuotasRequest>(version, body),
        50 => again::<wire::DescribeUserScramCredentialsRequest>(version, body),
        51 => again::<wire::AlterUserScramCredentialsRequest>(version, body),
        52 => again::<wire::VoteRequest>(version, body),
        53 => again::<wire::BeginQuorumEpochRequest>(version, body),
        54 => again::<wire::EndQuorumEpochRequest>(version, body),
        55 => again::<wire::DescribeQuorumRequest>(version, body),
        56 => again::<wire::AlterPartitionRequest>(version, body),
        57 => again::<wire::UpdateFeaturesRequest>(version, body),
        58 => again::<wire::EnvelopeRequest>(version, body),
        59 => again::<wire::FetchSnapshotRequest>(version, body),
        60 => again::<wire::DescribeClusterRequest>(version, body),
        61 => again::<wire::DescribeProducersRequest>(version, body),
        62 => again::<wire::BrokerRegistrationRequest>(version, body),
        63 => again::<wire::BrokerHeartbeatRequest>(version, body),
        64 => again::<wire::UnregisterBrokerRequest>(version, body),
        65 => again::<wire::DescribeTransactionsRequest>(version, body),
        66 => again::<wire::ListTransactionsRequest>(version, body),
        67 => again::<wire::AllocateProducerIdsRequest>(version, body),
        68 => again::<wire::ConsumerGroupHeartbeatRequest>(version, body),
        69 => again::<wire::ConsumerGroupDescribeRequest>(version, body),
        70 => again::<wire::ControllerRegistrationRequest>(version, body),
        71 => again::<wire::GetTelemetrySubscriptionsRequest>(version, body),
        72 => again::<wire::PushTelemetryRequest>(version, body),
        73 => again::<wire::AssignReplicasToDirsRequest>(version, body),
        74 => again::<wire::ListConfigResourcesRequest>(version, body),
        75 => again::<wire::DescribeTopicPartitionsRequest>(version, body),
        76 => again::<wire::ShareGroupHeartbeatRequest>(version, body),
        77 => again::<wire::ShareGroupDescribeRequest>(version, body),
        78 => again::<messages::ShareFetchRequest>(version, body),
        79 => again::<messages::ShareAcknowledgeRequest>(version, body),
        80 => again::<wire::AddRaftVoterRequest>(version, body),
        81 => again::<wire::RemoveRaftVoterRequest>(version, body),
        82 => again::<wire::UpdateRaftVoterRequest>(version, body),
        83 => again::<wire::InitializeShareGroupStateRequest>(version, body),
        84 => again::<wire::ReadShareGroupStateRequest>(version, body),
        85 => again::<wire::WriteShareGroupStateRequest>(version, body),
        86 => again::<wire::DeleteShareGroupStateRequest>(version, body),
        87 => again::<wire::ReadShareGroupStateSummaryRequest>(version, body),
        90 => again::<messages::DescribeShareGroupOffsetsRequest>(version, body),
        91 => again::<wire::AlterShareGroupOffsetsRequest>(version, body),
        92 => again::<wire::DeleteShareGroupOffsetsRequest>(version, body),
        _ => {}
    }
}
