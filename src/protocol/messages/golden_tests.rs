//! Holds every message that we serve to Kafka's bytes, in every version that we may advertise: the crate's own and ours.
//! A new release of the crate passes this, or is not taken.

use bytes::{Bytes, BytesMut};
use proptest::prelude::*;

use crate::protocol::records::golden::unhex;
use crate::protocol::wire::messages as wire;
use crate::protocol::wire::protocol::{Decodable, Encodable, Message};

const GOLDEN: &str = include_str!("testdata/kafka-4.4.0.txt");
const SHARE_GOLDEN: &str = include_str!("testdata/kafka-4.4.0-share.txt");

#[test]
fn messages_are_read_and_written_as_kafka_does() {
    assert_eq!(goldens().count(), 254 + 20, "each version of each message once");
    for (name, version, bytes) in goldens() {
        if let Err(error) = check_named(name, version, &bytes) {
            panic!("{name} version {version}: {error}");
        }
    }
}

proptest! {
    /// Lengths and counts that lie, most of all: none may take the process down.
    #[test]
    fn damaged_messages_never_panic(at in any::<prop::sample::Index>(), to in any::<[u8; 4]>(), count in 1usize..=4) {
        for (name, version, mut bytes) in goldens().filter(|(_, _, bytes)| bytes.len() > 4) {
            let at = at.index(bytes.len() - count);
            bytes[at..at + count].copy_from_slice(&to[..count]);
            let _ = check_named(name, version, &bytes);
        }
    }
}

/// Name, version and bytes of each message.
fn goldens() -> impl Iterator<Item = (&'static str, i16, Vec<u8>)> {
    GOLDEN.lines().chain(SHARE_GOLDEN.lines()).filter(|line| !line.starts_with('#')).map(|line| {
        let mut fields = line.split(' ');
        let (name, version) = (fields.next().unwrap(), fields.next().unwrap().parse().unwrap());
        (name, version, unhex(fields.next().unwrap_or_default()))
    })
}

/// Decodes `bytes` and encodes what they say, which must be the same bytes again.
fn check<M: Message + Decodable + Encodable>(version: i16, bytes: &[u8]) -> Result<(), String> {
    if !(M::VERSIONS.min..=M::VERSIONS.max).contains(&version) {
        return Err(format!("only {} are known", M::VERSIONS));
    }
    let mut rest = Bytes::copy_from_slice(bytes);
    let message = M::decode(&mut rest, version).map_err(|error| error.to_string())?;
    if !rest.is_empty() {
        return Err(format!("{} bytes were not read", rest.len()));
    }
    let mut encoded = BytesMut::new();
    message.encode(&mut encoded, version).map_err(|error| error.to_string())?;
    let size = message.compute_size(version).map_err(|error| error.to_string())?;
    if size != encoded.len() || encoded[..] != *bytes {
        return Err(format!("comes back as {encoded:02x?}, computed size {size}"));
    }
    Ok(())
}

fn check_named(name: &str, version: i16, bytes: &[u8]) -> Result<(), String> {
    match name {
        "AlterConfigsRequest" => check::<wire::AlterConfigsRequest>(version, bytes),
        "AlterConfigsResponse" => check::<wire::AlterConfigsResponse>(version, bytes),
        "ApiVersionsRequest" => check::<super::ApiVersionsRequest>(version, bytes),
        "ApiVersionsResponse" => check::<super::ApiVersionsResponse>(version, bytes),
        "CreatePartitionsRequest" => check::<wire::CreatePartitionsRequest>(version, bytes),
        "CreatePartitionsResponse" => check::<wire::CreatePartitionsResponse>(version, bytes),
        "CreateTopicsRequest" => check::<wire::CreateTopicsRequest>(version, bytes),
        "CreateTopicsResponse" => check::<wire::CreateTopicsResponse>(version, bytes),
        "DeleteGroupsRequest" => check::<super::DeleteGroupsRequest>(version, bytes),
        "DeleteGroupsResponse" => check::<super::DeleteGroupsResponse>(version, bytes),
        "DeleteRecordsRequest" => check::<wire::DeleteRecordsRequest>(version, bytes),
        "DeleteRecordsResponse" => check::<wire::DeleteRecordsResponse>(version, bytes),
        "DeleteTopicsRequest" => check::<wire::DeleteTopicsRequest>(version, bytes),
        "DeleteTopicsResponse" => check::<wire::DeleteTopicsResponse>(version, bytes),
        "DescribeClusterRequest" => check::<wire::DescribeClusterRequest>(version, bytes),
        "DescribeClusterResponse" => check::<wire::DescribeClusterResponse>(version, bytes),
        "DescribeConfigsRequest" => check::<wire::DescribeConfigsRequest>(version, bytes),
        "DescribeConfigsResponse" => check::<wire::DescribeConfigsResponse>(version, bytes),
        "DescribeLogDirsRequest" => check::<super::DescribeLogDirsRequest>(version, bytes),
        "DescribeLogDirsResponse" => check::<super::DescribeLogDirsResponse>(version, bytes),
        "DescribeTopicPartitionsRequest" => check::<wire::DescribeTopicPartitionsRequest>(version, bytes),
        "DescribeTopicPartitionsResponse" => check::<wire::DescribeTopicPartitionsResponse>(version, bytes),
        "FetchRequest" => check::<wire::FetchRequest>(version, bytes),
        "FetchResponse" => check::<wire::FetchResponse>(version, bytes),
        "IncrementalAlterConfigsRequest" => check::<wire::IncrementalAlterConfigsRequest>(version, bytes),
        "IncrementalAlterConfigsResponse" => check::<wire::IncrementalAlterConfigsResponse>(version, bytes),
        "InitProducerIdRequest" => check::<wire::InitProducerIdRequest>(version, bytes),
        "InitProducerIdResponse" => check::<wire::InitProducerIdResponse>(version, bytes),
        "ListOffsetsRequest" => check::<super::ListOffsetsRequest>(version, bytes),
        "ListOffsetsResponse" => check::<super::ListOffsetsResponse>(version, bytes),
        "MetadataRequest" => check::<wire::MetadataRequest>(version, bytes),
        "MetadataResponse" => check::<wire::MetadataResponse>(version, bytes),
        "OffsetCommitRequest" => check::<super::OffsetCommitRequest>(version, bytes),
        "OffsetCommitResponse" => check::<wire::OffsetCommitResponse>(version, bytes),
        "OffsetDeleteRequest" => check::<wire::OffsetDeleteRequest>(version, bytes),
        "OffsetDeleteResponse" => check::<wire::OffsetDeleteResponse>(version, bytes),
        "OffsetFetchRequest" => check::<super::OffsetFetchRequest>(version, bytes),
        "OffsetFetchResponse" => check::<wire::OffsetFetchResponse>(version, bytes),
        "OffsetForLeaderEpochRequest" => check::<wire::OffsetForLeaderEpochRequest>(version, bytes),
        "OffsetForLeaderEpochResponse" => check::<wire::OffsetForLeaderEpochResponse>(version, bytes),
        "ProduceRequest" => check::<wire::ProduceRequest>(version, bytes),
        "ProduceResponse" => check::<wire::ProduceResponse>(version, bytes),
        "AlterShareGroupOffsetsRequest" => check::<wire::AlterShareGroupOffsetsRequest>(version, bytes),
        "AlterShareGroupOffsetsResponse" => check::<wire::AlterShareGroupOffsetsResponse>(version, bytes),
        "DeleteShareGroupOffsetsRequest" => check::<wire::DeleteShareGroupOffsetsRequest>(version, bytes),
        "DeleteShareGroupOffsetsResponse" => check::<wire::DeleteShareGroupOffsetsResponse>(version, bytes),
        "DescribeShareGroupOffsetsRequest" => check::<super::DescribeShareGroupOffsetsRequest>(version, bytes),
        "DescribeShareGroupOffsetsResponse" => check::<super::DescribeShareGroupOffsetsResponse>(version, bytes),
        "ShareAcknowledgeRequest" => check::<super::ShareAcknowledgeRequest>(version, bytes),
        "ShareAcknowledgeResponse" => check::<super::ShareAcknowledgeResponse>(version, bytes),
        "ShareFetchRequest" => check::<super::ShareFetchRequest>(version, bytes),
        "ShareFetchResponse" => check::<super::ShareFetchResponse>(version, bytes),
        "ShareGroupDescribeRequest" => check::<wire::ShareGroupDescribeRequest>(version, bytes),
        "ShareGroupDescribeResponse" => check::<wire::ShareGroupDescribeResponse>(version, bytes),
        "ShareGroupHeartbeatRequest" => check::<wire::ShareGroupHeartbeatRequest>(version, bytes),
        "ShareGroupHeartbeatResponse" => check::<wire::ShareGroupHeartbeatResponse>(version, bytes),
        _ => Err("no such message here".to_owned()),
    }
}
