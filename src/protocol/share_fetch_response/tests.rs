//! What we write is what the message crate reads; the crate is held to Kafka's bytes by the golden tests.

use bytes::{Bytes, BytesMut};
use uuid::Uuid;

use super::*;
use crate::ids::{BrokerId, LeaderEpoch};
use crate::protocol::wire::messages::ShareFetchResponse as CratesResponse;
use crate::protocol::wire::protocol::Decodable;

fn encoded(response: &ShareFetchResponse) -> Bytes {
    let mut bytes = BytesMut::new();
    for piece in response.encode() {
        bytes.extend_from_slice(piece.as_bytes().expect("pieces in memory"));
    }
    bytes.freeze()
}

#[test]
fn every_field_arrives() {
    let partition = ShareFetchedPartition {
        partition_index: 3,
        error: ErrorCode::NotLeaderOrFollower.into(),
        acknowledge_error: ShareError::new(ErrorCode::InvalidRecordState, "not yours"),
        current_leader: Some(LeaderIdAndEpoch { leader_id: BrokerId(2), leader_epoch: LeaderEpoch(7) }),
        records: vec![Piece::Bytes(Bytes::from_static(b"batch")), Piece::Bytes(Bytes::from_static(b"es"))],
        acquired: vec![AcquiredRecords { first_offset: Offset(5), last_offset: Offset(9), delivery_count: 2 }],
    };
    let id = TopicId(Uuid::from_u128(0x1234));
    let response = ShareFetchResponse {
        throttle_time_ms: 1,
        error: ShareError::new(ErrorCode::ShareSessionNotFound, "gone"),
        acquisition_lock_timeout_ms: 30_000,
        responses: vec![ShareFetchedTopic { topic_id: id, partitions: vec![partition] }],
        node_endpoints: vec![NodeEndpoint { node_id: BrokerId(2), host: "h".into(), port: 9, rack: None }],
    };
    let mut bytes = encoded(&response);
    let read = CratesResponse::decode(&mut bytes, 1).expect("decodes");
    assert!(bytes.is_empty());
    assert_eq!((read.throttle_time_ms, read.error_code, read.error_message.as_deref()), (1, 122, Some("gone")));
    assert_eq!(read.acquisition_lock_timeout_ms, 30_000);
    assert_eq!(read.responses[0].topic_id, id.0);
    let partition = &read.responses[0].partitions[0];
    assert_eq!((partition.partition_index, partition.error_code, partition.error_message.as_deref()), (3, 6, None));
    assert_eq!(partition.acknowledge_error_code, 121);
    assert_eq!(partition.acknowledge_error_message.as_deref(), Some("not yours"));
    assert_eq!((partition.current_leader.leader_id, partition.current_leader.leader_epoch), (2, 7));
    assert_eq!(partition.records.as_deref(), Some(&b"batches"[..]));
    let acquired = &partition.acquired_records[0];
    assert_eq!((acquired.first_offset, acquired.last_offset, acquired.delivery_count), (5, 9, 2));
    assert_eq!((read.node_endpoints[0].host.as_str(), read.node_endpoints[0].port), ("h", 9));
}

#[test]
fn an_empty_response_is_seventeen_bytes_at_most() {
    let mut bytes = encoded(&ShareFetchResponse::default());
    assert!(bytes.len() <= 17);
    assert_eq!(CratesResponse::decode(&mut bytes, 1).expect("decodes"), CratesResponse::default());
}
