//! Responses, read as a client reads them.

use bytes::{Buf, Bytes};
use ottla::protocol::header::RequestPrefix;
use ottla::protocol::messages;
use ottla::protocol::piece::Piece;
use ottla::protocol::wire::messages as wire;
use ottla::protocol::wire::protocol::{Decodable, HeaderVersion};

/// A whole frame, with the request's correlation id, whose body holds a response of its version and nothing else.
pub(super) fn check(prefix: RequestPrefix, pieces: &[Piece]) {
    let mut frame = Bytes::from(pieces.iter().flat_map(bytes_of).collect::<Vec<_>>());
    assert_eq!(frame.get_i32() as usize, frame.len(), "{prefix:?}");
    assert_eq!(frame.get_i32(), prefix.correlation_id, "{prefix:?}");
    let version = prefix.api_version;
    match prefix.api_key {
        0 => read::<wire::ProduceResponse>(frame, prefix, version),
        1 => read::<wire::FetchResponse>(frame, prefix, version),
        2 => read::<messages::ListOffsetsResponse>(frame, prefix, version),
        3 => read::<wire::MetadataResponse>(frame, prefix, version),
        8 => read::<wire::OffsetCommitResponse>(frame, prefix, version),
        9 => read::<wire::OffsetFetchResponse>(frame, prefix, version),
        10 => read::<wire::FindCoordinatorResponse>(frame, prefix, version),
        11 => read::<wire::JoinGroupResponse>(frame, prefix, version),
        12 => read::<wire::HeartbeatResponse>(frame, prefix, version),
        13 => read::<wire::LeaveGroupResponse>(frame, prefix, version),
        14 => read::<wire::SyncGroupResponse>(frame, prefix, version),
        15 => read::<wire::DescribeGroupsResponse>(frame, prefix, version),
        16 => read::<wire::ListGroupsResponse>(frame, prefix, version),
        // A client that is ahead is told in the oldest version.
        18 if !(0..=5).contains(&version) => read::<messages::ApiVersionsResponse>(frame, prefix, 0),
        18 => read::<messages::ApiVersionsResponse>(frame, prefix, version),
        19 => read::<wire::CreateTopicsResponse>(frame, prefix, version),
        20 => read::<wire::DeleteTopicsResponse>(frame, prefix, version),
        21 => read::<wire::DeleteRecordsResponse>(frame, prefix, version),
        22 => read::<wire::InitProducerIdResponse>(frame, prefix, version),
        23 => read::<wire::OffsetForLeaderEpochResponse>(frame, prefix, version),
        32 => read::<wire::DescribeConfigsResponse>(frame, prefix, version),
        33 => read::<wire::AlterConfigsResponse>(frame, prefix, version),
        34 => read::<wire::AlterReplicaLogDirsResponse>(frame, prefix, version),
        35 => read::<messages::DescribeLogDirsResponse>(frame, prefix, version),
        37 => read::<wire::CreatePartitionsResponse>(frame, prefix, version),
        42 => read::<messages::DeleteGroupsResponse>(frame, prefix, version),
        43 => read::<wire::ElectLeadersResponse>(frame, prefix, version),
        44 => read::<wire::IncrementalAlterConfigsResponse>(frame, prefix, version),
        45 => read::<wire::AlterPartitionReassignmentsResponse>(frame, prefix, version),
        46 => read::<wire::ListPartitionReassignmentsResponse>(frame, prefix, version),
        47 => read::<wire::OffsetDeleteResponse>(frame, prefix, version),
        48 => read::<wire::DescribeClientQuotasResponse>(frame, prefix, version),
        49 => read::<wire::AlterClientQuotasResponse>(frame, prefix, version),
        50 => read::<wire::DescribeUserScramCredentialsResponse>(frame, prefix, version),
        55 => read::<wire::DescribeQuorumResponse>(frame, prefix, version),
        57 => read::<wire::UpdateFeaturesResponse>(frame, prefix, version),
        60 => read::<wire::DescribeClusterResponse>(frame, prefix, version),
        61 => read::<wire::DescribeProducersResponse>(frame, prefix, version),
        64 => read::<wire::UnregisterBrokerResponse>(frame, prefix, version),
        68 => read::<wire::ConsumerGroupHeartbeatResponse>(frame, prefix, version),
        69 => read::<wire::ConsumerGroupDescribeResponse>(frame, prefix, version),
        71 => read::<wire::GetTelemetrySubscriptionsResponse>(frame, prefix, version),
        72 => read::<wire::PushTelemetryResponse>(frame, prefix, version),
        74 => read::<wire::ListConfigResourcesResponse>(frame, prefix, version),
        75 => read::<wire::DescribeTopicPartitionsResponse>(frame, prefix, version),
        76 => read::<wire::ShareGroupHeartbeatResponse>(frame, prefix, version),
        77 => read::<wire::ShareGroupDescribeResponse>(frame, prefix, version),
        78 => read::<messages::ShareFetchResponse>(frame, prefix, version),
        79 => read::<messages::ShareAcknowledgeResponse>(frame, prefix, version),
        90 => read::<messages::DescribeShareGroupOffsetsResponse>(frame, prefix, version),
        91 => read::<wire::AlterShareGroupOffsetsResponse>(frame, prefix, version),
        92 => read::<wire::DeleteShareGroupOffsetsResponse>(frame, prefix, version),
        other => panic!("no response of API key {other} is known here"),
    }
}

fn read<R: Decodable + HeaderVersion>(mut frame: Bytes, prefix: RequestPrefix, version: i16) {
    if R::header_version(version) >= 1 {
        assert_eq!(frame.get_u8(), 0, "{prefix:?} is answered without header tags");
    }
    if let Err(error) = R::decode(&mut frame, version) {
        panic!("the answer to {prefix:?} does not decode: {error}");
    }
    assert!(frame.is_empty(), "{} bytes behind the answer to {prefix:?}", frame.len());
}

fn bytes_of(piece: &Piece) -> Vec<u8> {
    match piece {
        Piece::Bytes(bytes) => bytes.to_vec(),
        Piece::File(slice) => {
            let mut bytes = vec![0; slice.size_bytes];
            let read = slice.file.read_at(&mut bytes, slice.position).expect("the disk is sound");
            assert_eq!(read, slice.size_bytes, "a slice lies within its file");
            bytes
        }
    }
}
