//! Frames, versions and order on one connection, spoken without a client library.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use bytes::{Buf, BufMut, BytesMut};
use kafka_protocol::messages::{ApiKey, ApiVersionsRequest, FetchRequest, ListOffsetsRequest, MetadataRequest};
use ottla_compat_tests::Node;
use ottla_compat_tests::batch::Batch;
use ottla_compat_tests::wait::eventually;
use ottla_compat_tests::wire::{Wire, encode, fetch_request, produce_request, text};

/// Case 1: the client learns the range from a v0 answer and tries again on the same connection.
#[test]
fn an_api_versions_request_from_the_future_is_answered_in_version_0() -> Result<()> {
    let node = Node::start();
    let mut wire = node.wire();
    let mut frame = BytesMut::new();
    frame.put_i16(ApiKey::ApiVersions as i16);
    frame.put_i16(99);
    frame.put_i32(7);
    // The header is that of the newest version known: a client id and no tagged fields.
    frame.put_i16(-1);
    frame.put_u8(0);
    frame.put_slice(b"whatever version 99 may look like");
    wire.send_frame(&frame)?;
    let mut answer = wire.read_frame()?.context("an answer")?;
    assert_eq!(answer.get_i32(), 7, "correlation id, header v0");
    assert_eq!(answer.get_i16(), 35, "UNSUPPORTED_VERSION");
    let ranges: Vec<_> =
        (0..answer.get_i32()).map(|_| (answer.get_i16(), answer.get_i16(), answer.get_i16())).collect();
    assert!(answer.is_empty(), "nothing behind the ranges: no throttle time in v0");
    assert!(ranges.iter().any(|&(key, min, max)| key == 18 && min == 0 && max >= 4), "{ranges:?}");

    let request = ApiVersionsRequest::default()
        .with_client_software_name(text("compat"))
        .with_client_software_version(text("1"));
    wire.send_frame(&encode(0, 3, &request)?)?;
    assert_eq!(wire.receive::<ApiVersionsRequest>(3)?.error_code, 0);
    Ok(())
}

#[test]
fn every_version_of_api_versions_lists_the_same_apis() -> Result<()> {
    let node = Node::start();
    let mut wire = node.wire();
    let request = ApiVersionsRequest::default()
        .with_client_software_name(text("compat"))
        .with_client_software_version(text("1"));
    let mut listed = Vec::new();
    for version in 0..=4 {
        let response = wire.call(version, &request)?;
        assert_eq!(response.error_code, 0, "version {version}");
        let mut keys: Vec<i16> = response.api_keys.iter().map(|api| api.api_key).collect();
        keys.sort_unstable();
        listed.push(keys);
    }
    assert!(listed.windows(2).all(|pair| pair[0] == pair[1]), "{listed:?}");
    Ok(())
}

/// Case 43 (librdkafka sends uncompressed otherwise) and case 2 (Sarama pins versions).
#[test]
fn the_advertised_ranges_reach_what_clients_pin() -> Result<()> {
    let node = Node::start();
    let response = node.wire().call(0, &ApiVersionsRequest::default())?;
    let range = |key: ApiKey| {
        let api = response.api_keys.iter().find(|api| api.api_key == key as i16).expect("the API is listed");
        (api.min_version, api.max_version)
    };
    assert_eq!(range(ApiKey::Produce).0, 0, "Produce pretends to know version 0");
    assert!(range(ApiKey::Produce).1 >= 12);
    assert!(range(ApiKey::Fetch).0 <= 4 && range(ApiKey::Fetch).1 >= 17);
    assert!(range(ApiKey::ListOffsets).0 <= 1 && range(ApiKey::ListOffsets).1 >= 10);
    assert!(range(ApiKey::Metadata).0 == 0 && range(ApiKey::Metadata).1 >= 13);
    assert!(range(ApiKey::CreateTopics).0 <= 2 && range(ApiKey::CreateTopics).1 >= 7);
    assert!(range(ApiKey::InitProducerId).1 >= 4);
    Ok(())
}

#[test]
fn a_client_software_name_with_spaces_is_an_invalid_request() -> Result<()> {
    let node = Node::start();
    let request = ApiVersionsRequest::default()
        .with_client_software_name(text("two words"))
        .with_client_software_version(text("1"));
    assert_eq!(node.wire().call(3, &request)?.error_code, 42, "INVALID_REQUEST");
    Ok(())
}

#[test]
fn an_unknown_api_or_version_closes_the_connection_and_no_other() -> Result<()> {
    let node = Node::start();
    let mut bystander = node.wire();
    for (key, version) in [(999i16, 0i16), (-1, 0), (ApiKey::Metadata as i16, 99), (ApiKey::Metadata as i16, -1)] {
        let mut wire = node.wire();
        let mut frame = BytesMut::new();
        frame.put_i16(key);
        frame.put_i16(version);
        frame.put_i32(1);
        frame.put_i16(-1);
        wire.send_frame(&frame)?;
        assert!(wire.read_frame()?.is_none(), "API {key} version {version}");
        bystander.broker_ids()?;
    }
    Ok(())
}

/// Case 43: advertised, yet nothing that can be converted.
#[test]
fn produce_versions_below_3_close_the_connection() -> Result<()> {
    let node = Node::start();
    for version in 0..3 {
        let mut wire = node.wire();
        let mut frame = BytesMut::new();
        frame.put_i16(ApiKey::Produce as i16);
        frame.put_i16(version);
        frame.put_i32(1);
        frame.put_i16(-1);
        frame.put_i16(1);
        frame.put_i32(1000);
        frame.put_i32(0);
        wire.send_frame(&frame)?;
        assert!(wire.read_frame()?.is_none(), "version {version}");
    }
    Ok(())
}

#[test]
fn absurd_frame_lengths_close_only_their_connection() -> Result<()> {
    let node = Node::start();
    let mut bystander = node.wire();
    for bytes in
        [&i32::MAX.to_be_bytes()[..], &i32::MIN.to_be_bytes(), &(-1i32).to_be_bytes(), b"GET / HTTP/1.1\r\n\r\n"]
    {
        let mut wire = node.wire();
        wire.send_bytes(bytes)?;
        assert!(wire.read_frame()?.is_none(), "{bytes:?}");
        bystander.broker_ids()?;
    }
    Ok(())
}

#[test]
fn bodies_that_end_early_close_only_their_connection() -> Result<()> {
    let node = Node::start();
    let mut bystander = node.wire();
    let whole = encode(0, 12, &MetadataRequest::default().with_topics(None))?;
    for length in 0..whole.len() {
        let mut wire = node.wire();
        wire.send_frame(&whole[..length])?;
        assert!(wire.read_frame()?.is_none(), "a frame cut at {length} of {}", whole.len());
    }
    bystander.broker_ids()?;
    Ok(())
}

#[test]
fn a_claimed_array_length_of_two_billion_costs_nothing() -> Result<()> {
    let mut node = Node::start();
    let before = node.rss_bytes();
    for _ in 0..20 {
        let mut wire = node.wire();
        let mut frame = BytesMut::new();
        frame.put_i16(ApiKey::Metadata as i16);
        frame.put_i16(1);
        frame.put_i32(1);
        frame.put_i16(-1);
        frame.put_i32(i32::MAX);
        wire.send_frame(&frame)?;
        assert!(wire.read_frame()?.is_none());
    }
    assert!(node.is_running());
    assert!(node.rss_bytes() < before + (64 << 20), "{before} -> {}", node.rss_bytes());
    Ok(())
}

#[test]
fn a_request_may_arrive_byte_by_byte() -> Result<()> {
    let node = Node::start();
    let mut wire = node.wire();
    let frame = encode(0, 1, &MetadataRequest::default().with_topics(Some(Vec::new())))?;
    let mut bytes = BytesMut::new();
    bytes.put_i32(frame.len() as i32);
    bytes.put_slice(&frame);
    for byte in &bytes {
        wire.send_bytes(&[*byte])?;
    }
    assert_eq!(wire.receive::<MetadataRequest>(1)?.brokers.len(), 1);
    Ok(())
}

#[test]
fn pipelined_requests_are_answered_in_their_order() -> Result<()> {
    let node = Node::start();
    let mut wire = node.wire();
    wire.create_topic("order", 1, &[])?;
    let begin = Instant::now();
    // The first waits for data that never comes; what follows could be answered at once, but must not overtake it.
    wire.send(12, &fetch_request("order", 0, 0))?;
    for _ in 0..20 {
        wire.send(1, &MetadataRequest::default().with_topics(Some(Vec::new())))?;
    }
    wire.send(0, &ApiVersionsRequest::default())?;
    wire.receive::<FetchRequest>(12)?;
    assert!(begin.elapsed() >= Duration::from_millis(450), "the long poll waited: {:?}", begin.elapsed());
    for _ in 0..20 {
        wire.receive::<MetadataRequest>(1)?;
    }
    wire.receive::<ApiVersionsRequest>(0)?;
    Ok(())
}

#[test]
fn pipelined_appends_keep_their_order() -> Result<()> {
    let node = Node::start();
    let mut wire = node.wire();
    wire.create_topic("order", 1, &[])?;
    for n in 0..50 {
        wire.send(9, &produce_request("order", 0, -1, Batch::of_values(&[&n.to_string()]).encode()))?;
    }
    for n in 0..50 {
        let response = wire.receive::<kafka_protocol::messages::ProduceRequest>(9)?;
        let answer = &response.responses[0].partition_responses[0];
        assert_eq!((answer.error_code, answer.base_offset), (0, n));
    }
    Ok(())
}

#[test]
fn acks_0_is_not_answered() -> Result<()> {
    let node = Node::start();
    let mut wire = node.wire();
    wire.create_topic("silent", 1, &[])?;
    wire.send(9, &produce_request("silent", 0, 0, Batch::of_values(&["unanswered"]).encode()))?;
    wire.expect_no_answer();
    eventually("the record is there", || {
        let fetched = wire.fetch("silent", 0, 0).ok()?.records?;
        (!fetched.is_empty()).then_some(())
    });
    Ok(())
}

/// Kafka closes the connection, since an answer with the error cannot be sent.
#[test]
fn acks_0_that_fails_closes_the_connection() -> Result<()> {
    let node = Node::start();
    let mut wire = node.wire();
    wire.create_topic("silent", 1, &[])?;
    let mut corrupt = Batch::of_values(&["x"]).encode().to_vec();
    *corrupt.last_mut().context("bytes")? ^= 1;
    wire.send(9, &produce_request("silent", 0, 0, corrupt.into()))?;
    assert!(wire.read_frame()?.is_none());
    Ok(())
}

#[test]
fn many_connections_at_once_are_served() -> Result<()> {
    let node = Node::start();
    let mut wires: Vec<Wire> = (0..200).map(|_| node.wire()).collect();
    for wire in &mut wires {
        wire.send(1, &ListOffsetsRequest::default().with_replica_id((-1).into()))?;
    }
    for wire in &mut wires {
        assert!(wire.receive::<ListOffsetsRequest>(1)?.topics.is_empty());
    }
    Ok(())
}
