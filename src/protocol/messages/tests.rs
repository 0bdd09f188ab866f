//! The bytes are those of the generated message classes of kafka-clients 4.4.0.

use std::fmt::Debug;

use bytes::{Bytes, BytesMut};
use proptest::prelude::*;

use super::*;
use crate::protocol::records::golden::unhex;
use crate::protocol::wire::messages as crates;
use crate::protocol::wire::protocol::{Decodable, Encodable, HeaderVersion, Message, StrBytes, VersionRange};

/// Encodes `message` to exactly `golden`, and back.
fn check<M: Encodable + Decodable + Debug + PartialEq>(message: &M, version: i16, golden: &str) {
    let golden = unhex(golden);
    let mut encoded = BytesMut::new();
    message.encode(&mut encoded, version).unwrap();
    assert_eq!(encoded[..], golden[..], "version {version}");
    assert_eq!(message.compute_size(version).unwrap(), golden.len(), "version {version}");
    let mut rest = Bytes::from(golden.clone());
    assert_eq!(M::decode(&mut rest, version).unwrap(), *message, "version {version}");
    assert!(rest.is_empty());
    for cut in 0..golden.len() {
        assert!(M::decode(&mut Bytes::copy_from_slice(&golden[..cut]), version).is_err(), "cut at {cut}");
    }
}

fn text(text: &'static str) -> StrBytes {
    StrBytes::from_static_str(text)
}

fn topic(name: &'static str) -> crates::TopicName {
    crates::TopicName(text(name))
}

#[test]
fn the_versions_are_kafkas() {
    let range = |min, max| VersionRange { min, max };
    assert_eq!(ListOffsetsRequest::VERSIONS, range(1, 11));
    assert_eq!(ListOffsetsResponse::VERSIONS, range(1, 11));
    assert_eq!(ApiVersionsRequest::VERSIONS, range(0, 5));
    assert_eq!(ApiVersionsResponse::VERSIONS, range(0, 5));
    assert_eq!(DescribeLogDirsRequest::VERSIONS, range(1, 5));
    assert_eq!(DescribeLogDirsResponse::VERSIONS, range(1, 5));
    assert_eq!(OffsetCommitRequest::VERSIONS, range(2, 10));
    assert_eq!(OffsetFetchRequest::VERSIONS, range(1, 10));
    assert_eq!(DeleteGroupsRequest::VERSIONS, range(0, 3));
    assert_eq!(DeleteGroupsResponse::VERSIONS, range(0, 3));
}

#[test]
fn headers_are_flexible_from_where_kafkas_are() {
    let request = [ListOffsetsRequest::header_version(5), ListOffsetsRequest::header_version(11)];
    assert_eq!(request, [1, 2]);
    assert_eq!(ListOffsetsResponse::header_version(11), 1);
    assert_eq!(ApiVersionsRequest::header_version(5), 2);
    assert_eq!(ApiVersionsResponse::header_version(5), 0);
    assert_eq!(DescribeLogDirsRequest::header_version(5), 2);
    assert_eq!([DescribeLogDirsResponse::header_version(1), DescribeLogDirsResponse::header_version(5)], [0, 1]);
}

#[test]
fn list_offsets() {
    let mut partition = crates::list_offsets_request::ListOffsetsPartition::default();
    partition.partition_index = 3;
    partition.current_leader_epoch = 7;
    partition.timestamp = -6;
    let mut logs = crates::list_offsets_request::ListOffsetsTopic::default();
    logs.name = topic("logs");
    logs.partitions = vec![partition];
    let mut request = ListOffsetsRequest::default();
    request.replica_id = crates::BrokerId(-1);
    request.isolation_level = 1;
    request.timeout_ms = 1500;
    request.topics = vec![logs];
    let golden = "ffffffff0102056c6f6773020000000300000007fffffffffffffffa0000000005dc00";
    check(&request, 10, golden);
    check(&request, 11, golden);

    let mut partition = crates::list_offsets_response::ListOffsetsPartitionResponse::default();
    partition.partition_index = 3;
    partition.timestamp = 1_700_000_000_000;
    partition.offset = 42;
    partition.leader_epoch = 7;
    let mut logs = crates::list_offsets_response::ListOffsetsTopicResponse::default();
    logs.name = topic("logs");
    logs.partitions = vec![partition];
    let mut response = ListOffsetsResponse::default();
    response.throttle_time_ms = 5;
    response.topics = vec![logs];
    let golden = "0000000502056c6f6773020000000300000000018bcfe56800000000000000002a00000007000000";
    check(&response, 11, golden);
}

#[test]
fn api_versions() {
    let mut request = ApiVersionsRequest::default();
    request.base.client_software_name = text("apache-kafka-java");
    request.base.client_software_version = text("4.4.0");
    check(&request, 4, "126170616368652d6b61666b612d6a61766106342e342e3000");
    check(&request, 5, "126170616368652d6b61666b612d6a61766106342e342e3000ffffffff00");
    request.cluster_id = Some(text("3Db5QLSqSZieL3rJBUUegA"));
    request.node_id = 2;
    let golden = "126170616368652d6b61666b612d6a61766106342e342e30\
                  1733446235514c5371535a69654c33724a42555565674100000002 00";
    check(&request, 5, golden);
    check(&ApiVersionsRequest::default(), 0, "");

    let mut key = crates::api_versions_response::ApiVersion::default();
    key.api_key = 18;
    key.max_version = 5;
    let mut supported = crates::api_versions_response::SupportedFeatureKey::default();
    supported.name = text("metadata.version");
    supported.min_version = 7;
    supported.max_version = 30;
    let mut finalized = crates::api_versions_response::FinalizedFeatureKey::default();
    finalized.name = text("metadata.version");
    finalized.min_version_level = 30;
    finalized.max_version_level = 30;
    let mut response = ApiVersionsResponse::default();
    response.api_keys = vec![key];
    response.supported_features = vec![supported];
    response.finalized_features_epoch = 17;
    response.finalized_features = vec![finalized];
    let golden = "000002001200000005000000000003001702116d657461646174612e76657273696f6e0007001e00\
                  01080000000000000011021702116d657461646174612e76657273696f6e001e001e00";
    check(&response, 5, golden);
}

#[test]
fn describe_log_dirs_request() {
    check(&DescribeLogDirsRequest(all_topics()), 5, "0000");
    let mut logs = crates::describe_log_dirs_request::DescribableLogDirTopic::default();
    logs.topic = topic("logs");
    logs.partitions = vec![0, 2];
    let mut request = DescribeLogDirsRequest::default();
    request.topics = Some(vec![logs]);
    check(&request, 5, "02056c6f67730300000000000000020000");
}

fn all_topics() -> crates::DescribeLogDirsRequest {
    let mut request = crates::DescribeLogDirsRequest::default();
    request.topics = None;
    request
}

#[test]
fn describe_log_dirs_response() {
    let response = log_dirs();
    check(
        &response,
        5,
        "00000009001f030000062f6461746102056c6f67730200000002000000000000100000000000000000010100\
         0000000000000f424000000000000dbba001000038052f62616401ffffffffffffffffffffffffffffffff000000",
    );
    // In version 4 nobody is cordoned.
    let mut before = response.clone();
    before.results[0].is_cordoned = false;
    check(
        &before,
        4,
        "00000009001f030000062f6461746102056c6f67730200000002000000000000100000000000000000010100\
         0000000000000f424000000000000dbba0000038052f62616401ffffffffffffffffffffffffffffffff0000",
    );
    let mut first = BytesMut::new();
    response.encode(&mut first, 1).unwrap();
    let golden = "0000000900000002000000052f646174610000000100046c6f67730000000100000002000000000000100000\
                  0000000000000101003800042f62616400000000";
    assert_eq!(first[..], unhex(golden)[..]);
}

fn log_dirs() -> DescribeLogDirsResponse {
    use crates::describe_log_dirs_response as theirs;
    let mut partition = theirs::DescribeLogDirsPartition::default();
    partition.partition_index = 2;
    partition.partition_size = 4096;
    partition.offset_lag = 1;
    partition.is_future_key = true;
    let mut logs = theirs::DescribeLogDirsTopic::default();
    logs.name = topic("logs");
    logs.partitions = vec![partition];
    let mut data = theirs::DescribeLogDirsResult::default();
    data.log_dir = text("/data");
    data.total_bytes = 1_000_000;
    data.usable_bytes = 900_000;
    data.topics = vec![logs];
    let mut bad = theirs::DescribeLogDirsResult::default();
    bad.error_code = 56;
    bad.log_dir = text("/bad");
    let results = vec![DescribeLogDirsResult { base: data, is_cordoned: true }, bad.into()];
    DescribeLogDirsResponse { throttle_time_ms: 9, error_code: 31, results }
}

#[test]
fn unknown_tagged_fields_are_kept() {
    let mut request = ApiVersionsRequest::default();
    request.base.unknown_tagged_fields.insert(300, Bytes::from(vec![7; 200]));
    let mut encoded = BytesMut::new();
    request.encode(&mut encoded, 5).unwrap();
    assert_eq!(encoded.len(), request.compute_size(5).unwrap());
    assert_eq!(ApiVersionsRequest::decode(&mut encoded.freeze(), 5).unwrap(), request);
}

#[test]
fn versions_beyond_kafkas_are_refused() {
    assert!(ListOffsetsRequest::decode(&mut Bytes::from_static(&[0; 100]), 12).is_err());
    assert!(ApiVersionsRequest::decode(&mut Bytes::from_static(&[0; 100]), 6).is_err());
    assert!(DescribeLogDirsResponse::decode(&mut Bytes::from_static(&[0; 100]), 6).is_err());
    assert!(DescribeLogDirsResponse::default().encode(&mut BytesMut::new(), 0).is_err());
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let bytes = Bytes::from(bytes);
        let _ = ApiVersionsRequest::decode(&mut bytes.clone(), 5);
        let _ = DescribeLogDirsResponse::decode(&mut bytes.clone(), 5);
        let _ = ListOffsetsRequest::decode(&mut bytes.clone(), 11);
    }
}
