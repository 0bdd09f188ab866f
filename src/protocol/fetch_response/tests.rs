use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use uuid::Uuid;

use super::*;
use crate::io::{Disk, FileSlice, OpenMode, RealDisk};
use crate::protocol::records::golden::unhex;
use crate::protocol::wire::messages as wire;
use crate::protocol::wire::messages::fetch_response as theirs;
use crate::protocol::wire::protocol::{Decodable, Encodable, Message, StrBytes};

const TOPIC_ID: Uuid = Uuid::from_u128(0x0123_4567_89ab_cdef_0011_2233_4455_6677);

fn partition(partition_index: i32) -> FetchedPartition {
    FetchedPartition {
        high_watermark: Offset(1000),
        last_stable_offset: Offset(990),
        log_start_offset: Offset(10),
        ..FetchedPartition::failed(partition_index, ErrorCode::None)
    }
}

fn response() -> FetchResponse {
    let records = |text: &'static [u8]| Piece::Bytes(Bytes::from_static(text));
    let diverged = FetchedPartition {
        diverging_epoch: Some(EpochEndOffset { epoch: LeaderEpoch(3), end_offset: Offset(77) }),
        ..partition(0)
    };
    let moved = FetchedPartition {
        current_leader: Some(LeaderIdAndEpoch { leader_id: BrokerId(2), leader_epoch: LeaderEpoch(9) }),
        ..FetchedPartition::failed(1, ErrorCode::NotLeaderOrFollower)
    };
    let both = FetchedPartition {
        diverging_epoch: diverged.diverging_epoch,
        current_leader: moved.current_leader,
        ..partition(2)
    };
    let committed = FetchedPartition {
        aborted_transactions: Some(vec![
            AbortedTransaction { producer_id: ProducerId(7), first_offset: Offset(11) },
            AbortedTransaction { producer_id: ProducerId(8), first_offset: Offset(12) },
        ]),
        records: vec![records(b"first batch"), records(b"second batch")],
        ..partition(3)
    };
    let none_aborted = FetchedPartition { aborted_transactions: Some(Vec::new()), ..partition(4) };
    // More than 127 bytes, so that the compact length takes two.
    let long = FetchedPartition { records: vec![Piece::Bytes(Bytes::from(vec![b'r'; 300]))], ..partition(5) };
    let topic = |name: &str, partitions| FetchableTopic {
        topic: TopicName::from(name),
        topic_id: TopicId(TOPIC_ID),
        partitions,
    };
    FetchResponse {
        throttle_time_ms: 3,
        error_code: ErrorCode::None,
        session_id: 0x1234_5678,
        responses: vec![
            topic("logs", vec![diverged, moved, both]),
            topic("orders", vec![committed, none_aborted, long]),
            topic("none", vec![]),
        ],
        node_endpoints: vec![
            NodeEndpoint { node_id: BrokerId(2), host: "b2".into(), port: 9092, rack: None },
            NodeEndpoint { node_id: BrokerId(3), host: "b3".into(), port: 9093, rack: Some("r1".into()) },
        ],
    }
}

/// The same response as the message crate has it.
fn in_the_crates_form(response: &FetchResponse, version: i16) -> theirs::FetchResponse {
    let mut out = theirs::FetchResponse::default();
    out.throttle_time_ms = response.throttle_time_ms;
    if version >= SESSION_VERSION {
        out.error_code = response.error_code.code();
        out.session_id = response.session_id;
    }
    out.responses = response.responses.iter().map(|topic| topic_in_the_crates_form(topic, version)).collect();
    if version >= NODE_ENDPOINTS_VERSION {
        for endpoint in &response.node_endpoints {
            let mut node = theirs::NodeEndpoint::default();
            node.node_id = wire::BrokerId(endpoint.node_id.0);
            node.host = StrBytes::from_string(endpoint.host.clone());
            node.port = endpoint.port;
            node.rack = endpoint.rack.clone().map(StrBytes::from_string);
            out.node_endpoints.push(node);
        }
    }
    out
}

fn topic_in_the_crates_form(topic: &FetchableTopic, version: i16) -> theirs::FetchableTopicResponse {
    let mut out = theirs::FetchableTopicResponse::default();
    if version >= TOPIC_ID_VERSION {
        out.topic_id = topic.topic_id.0;
    } else {
        out.topic = wire::TopicName(StrBytes::from_string(topic.topic.to_string()));
    }
    out.partitions = topic.partitions.iter().map(|part| partition_in_the_crates_form(part, version)).collect();
    out
}

fn partition_in_the_crates_form(partition: &FetchedPartition, version: i16) -> theirs::PartitionData {
    let mut out = theirs::PartitionData::default();
    out.partition_index = partition.partition_index;
    out.error_code = partition.error_code.code();
    out.high_watermark = partition.high_watermark.0;
    out.last_stable_offset = partition.last_stable_offset.0;
    if version >= LOG_START_OFFSET_VERSION {
        out.log_start_offset = partition.log_start_offset.0;
    }
    if version >= FLEXIBLE_VERSION {
        if let Some(diverging) = partition.diverging_epoch {
            out.diverging_epoch.epoch = diverging.epoch.0;
            out.diverging_epoch.end_offset = diverging.end_offset.0;
        }
        if let Some(leader) = partition.current_leader {
            out.current_leader.leader_id = wire::BrokerId(leader.leader_id.0);
            out.current_leader.leader_epoch = leader.leader_epoch.0;
        }
    }
    out.aborted_transactions = partition.aborted_transactions.as_ref().map(|transactions| {
        let convert = |transaction: &AbortedTransaction| {
            let mut out = theirs::AbortedTransaction::default();
            out.producer_id = wire::ProducerId(transaction.producer_id.0);
            out.first_offset = transaction.first_offset.0;
            out
        };
        transactions.iter().map(convert).collect()
    });
    if version >= PREFERRED_REPLICA_VERSION {
        out.preferred_read_replica = wire::BrokerId(partition.preferred_read_replica.0);
    }
    out.records = Some(joined(&partition.records));
    out
}

/// All pieces as one run of bytes, read from files where they lie there.
fn joined(pieces: &[Piece]) -> Bytes {
    let mut all = BytesMut::new();
    for piece in pieces {
        match piece {
            Piece::Bytes(bytes) => all.extend_from_slice(bytes),
            Piece::File(slice) => {
                let mut bytes = vec![0; slice.size_bytes];
                assert_eq!(slice.file.read_at(&mut bytes, slice.position).unwrap(), bytes.len());
                all.extend_from_slice(&bytes);
            }
        }
    }
    all.freeze()
}

fn check(response: &FetchResponse) {
    for version in MIN_VERSION..=MAX_VERSION {
        let expected = in_the_crates_form(response, version);
        let bytes = joined(&response.encode(version));
        assert_eq!(bytes.len(), response.size_bytes(version), "version {version}");
        let decoded = theirs::FetchResponse::decode(&mut bytes.clone(), version).unwrap();
        assert_eq!(decoded, expected, "version {version}");
        let mut encoded = BytesMut::new();
        expected.encode(&mut encoded, version).unwrap();
        assert_eq!(bytes, encoded.freeze(), "version {version}");
    }
}

#[test]
fn every_version_is_what_the_message_crate_reads_and_writes() {
    check(&response());
    let session = FetchResponse { error_code: ErrorCode::FetchSessionIdNotFound, responses: vec![], ..response() };
    check(&session);
    check(&FetchResponse { node_endpoints: vec![], ..response() });
}

/// The bytes that kafka-clients 4.4.0 writes for the response of [`as_in_java`].
#[test]
fn the_bytes_are_kafkas() {
    let goldens = [
        (
            4,
            "000000030000000100046c6f67730000000200000003000000000000000003e800000000000003de00000001000000000000\
             0007000000000000000b000000087265636f72647321000000010006ffffffffffffffffffffffffffffffffffffffff0000\
             0000",
        ),
        (
            11,
            "000000030000123456780000000100046c6f67730000000200000003000000000000000003e800000000000003de00000000\
             0000000a000000010000000000000007000000000000000bffffffff000000087265636f72647321000000010006ffffffff\
             ffffffffffffffffffffffffffffffffffffffffffffffffffffffff00000000",
        ),
        (
            12,
            "0000000300001234567802056c6f67730300000003000000000000000003e800000000000003de000000000000000a020000\
             000000000007000000000000000b00ffffffff097265636f7264732100000000010006ffffffffffffffffffffffffffffff\
             ffffffffffffffffff00ffffffff0102000d00000003000000000000004d0001090000000200000009000000",
        ),
        (
            16,
            "00000003000012345678020123456789abcdef00112233445566770300000003000000000000000003e800000000000003de\
             000000000000000a020000000000000007000000000000000b00ffffffff097265636f7264732100000000010006ffffffff\
             ffffffffffffffffffffffffffffffffffffffff00ffffffff0102000d00000003000000000000004d000109000000020000\
             0009000001001002000000020362320000238403723100",
        ),
    ];
    for (version, golden) in goldens {
        assert_eq!(joined(&as_in_java().encode(version)), unhex(golden), "version {version}");
        if version == NODE_ENDPOINTS_VERSION {
            assert_eq!(joined(&as_in_java().encode(MAX_VERSION)), unhex(golden));
        }
    }
}

fn as_in_java() -> FetchResponse {
    let read = FetchedPartition {
        aborted_transactions: Some(vec![AbortedTransaction { producer_id: ProducerId(7), first_offset: Offset(11) }]),
        records: vec![Piece::Bytes(Bytes::from_static(b"records!"))],
        ..partition(3)
    };
    let moved = FetchedPartition {
        diverging_epoch: Some(EpochEndOffset { epoch: LeaderEpoch(3), end_offset: Offset(77) }),
        current_leader: Some(LeaderIdAndEpoch { leader_id: BrokerId(2), leader_epoch: LeaderEpoch(9) }),
        ..FetchedPartition::failed(1, ErrorCode::NotLeaderOrFollower)
    };
    let topic =
        FetchableTopic { topic: TopicName::from("logs"), topic_id: TopicId(TOPIC_ID), partitions: vec![read, moved] };
    let node = NodeEndpoint { node_id: BrokerId(2), host: "b2".into(), port: 9092, rack: Some("r1".into()) };
    FetchResponse { responses: vec![topic], node_endpoints: vec![node], ..response() }
}

#[test]
fn the_versions_are_the_crates() {
    let theirs = <theirs::FetchResponse as Message>::VERSIONS;
    assert_eq!((theirs.min, theirs.max), (MIN_VERSION, MAX_VERSION));
}

#[test]
fn records_are_handed_on_uncopied_between_slices_of_one_buffer() {
    let directory = tempfile::tempdir().unwrap();
    let disk = RealDisk::new(1).unwrap();
    let file = disk.open(&directory.path().join("0.log"), OpenMode::Create).unwrap();
    file.write_all_at(&[std::io::IoSlice::new(b"..batches..")], 0).unwrap();
    let in_memory = Bytes::from_static(b"in memory");
    let mut response = response();
    let on_disk = FileSlice { file: Arc::clone(&file), position: 2, size_bytes: 7 };
    response.responses[0].partitions[0].records = vec![Piece::File(on_disk)];
    response.responses[1].partitions[1].records = vec![Piece::Bytes(in_memory.clone()), Piece::Bytes(Bytes::new())];

    check(&response);
    let pieces = response.encode(MAX_VERSION);
    assert!(pieces.iter().all(|piece| piece.size_bytes() > 0));
    let on_disk = pieces.iter().filter_map(|piece| match piece {
        Piece::File(slice) => Some((slice.position, slice.size_bytes)),
        Piece::Bytes(_) => None,
    });
    assert_eq!(on_disk.collect::<Vec<_>>(), [(2, 7)]);
    let mut in_bytes = pieces.iter().filter_map(Piece::as_bytes);
    assert!(in_bytes.any(|bytes| bytes.as_ptr() == in_memory.as_ptr()));
}
