//! What Produce accepts, refuses and answers.

use anyhow::{Context, Result};
use kafka_protocol::messages::ProduceRequest;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use ottla_compat_tests::Node;
use ottla_compat_tests::batch::{Batch, Record, now_ms, parse, seal};
use ottla_compat_tests::wire::{Wire, produce_request};

const CORRUPT_MESSAGE: i16 = 2;
const UNKNOWN_TOPIC_OR_PARTITION: i16 = 3;
const MESSAGE_TOO_LARGE: i16 = 10;
const INVALID_REQUIRED_ACKS: i16 = 21;
const INVALID_TIMESTAMP: i16 = 32;
const OUT_OF_ORDER_SEQUENCE_NUMBER: i16 = 45;
const INVALID_PRODUCER_EPOCH: i16 = 47;
const INVALID_RECORD: i16 = 87;
const UNKNOWN_TOPIC_ID: i16 = 100;

fn node_with(topic: &str, configs: &[(&str, &str)]) -> Result<(Node, Wire)> {
    let node = Node::start();
    let mut wire = node.wire();
    wire.create_topic(topic, 1, configs)?;
    Ok((node, wire))
}

#[test]
fn offsets_follow_each_other() -> Result<()> {
    let (_node, mut wire) = node_with("t", &[])?;
    assert_eq!(wire.append("t", 0, &Batch::of_values(&["a", "b", "c"]).encode())?, 0);
    assert_eq!(wire.append("t", 0, &Batch::of_values(&["d"]).encode())?, 3);
    let answer = wire.produce("t", 0, 1, &Batch::of_values(&["e"]).encode())?;
    assert_eq!((answer.error_code, answer.base_offset), (0, 4));
    assert_eq!(answer.log_append_time_ms, -1, "the producer's time counts");
    assert_eq!(answer.log_start_offset, 0);
    Ok(())
}

/// Case 40.
#[test]
fn two_writers_never_share_an_offset() -> Result<()> {
    const BATCHES: usize = 200;
    let (node, mut wire) = node_with("shared", &[])?;
    let node = &node;
    let mut offsets: Vec<i64> = std::thread::scope(|scope| {
        let writers = ["left", "right"].map(|who| {
            scope.spawn(move || -> Result<Vec<i64>> {
                let mut wire = node.wire();
                let batch = Batch::of_values(&[who, who]).encode();
                (0..BATCHES).map(|_| wire.append("shared", 0, &batch)).collect()
            })
        });
        writers.into_iter().flat_map(|writer| writer.join().expect("a writer").expect("appends")).collect()
    });
    offsets.sort_unstable();
    assert_eq!(offsets, (0..2 * BATCHES as i64).map(|n| 2 * n).collect::<Vec<_>>());
    assert_eq!(wire.list_offset("shared", 0, -1)?.offset, 4 * BATCHES as i64);
    Ok(())
}

#[test]
fn a_wrong_checksum_is_a_corrupt_message() -> Result<()> {
    let (_node, mut wire) = node_with("t", &[])?;
    let mut batch = Batch::of_values(&["value"]).encode().to_vec();
    *batch.last_mut().context("bytes")? ^= 0x40;
    assert_eq!(wire.produce("t", 0, -1, &batch.into())?.error_code, CORRUPT_MESSAGE);
    assert_eq!(wire.list_offset("t", 0, -1)?.offset, 0, "nothing was written");
    Ok(())
}

#[test]
fn malformed_batches_are_refused_and_leave_nothing() -> Result<()> {
    let (_node, mut wire) = node_with("t", &[])?;
    let good = Batch::of_values(&["a", "b"]).encode();
    let bent = |at: usize, with: &[u8]| {
        let mut batch = good.to_vec();
        batch[at..at + with.len()].copy_from_slice(with);
        seal(&mut batch);
        batch
    };
    let cases = [
        ("magic 1", bent(16, &[1]), vec![INVALID_RECORD]),
        ("magic 3", bent(16, &[3]), vec![INVALID_RECORD, CORRUPT_MESSAGE]),
        ("count 3 of 2", bent(57, &3i32.to_be_bytes()), vec![INVALID_RECORD]),
        ("last offset delta 5 of 2 records", bent(23, &5i32.to_be_bytes()), vec![INVALID_RECORD]),
        ("length beyond the end", bent(8, &5000i32.to_be_bytes()), vec![INVALID_RECORD, CORRUPT_MESSAGE]),
        ("length shorter than a header", bent(8, &3i32.to_be_bytes()), vec![INVALID_RECORD, CORRUPT_MESSAGE]),
        ("half a header", good[..30].to_vec(), vec![INVALID_RECORD, CORRUPT_MESSAGE]),
        ("nothing", Vec::new(), vec![INVALID_RECORD, CORRUPT_MESSAGE]),
        ("two batches", [&good[..], &good[..]].concat(), vec![INVALID_RECORD]),
        ("a control batch", bent(21, &0x20i16.to_be_bytes()), vec![INVALID_RECORD]),
        // Kafka itself knows no better than UNKNOWN_SERVER_ERROR here.
        ("compression 7", bent(21, &7i16.to_be_bytes()), vec![INVALID_RECORD, CORRUPT_MESSAGE, -1]),
    ];
    for (what, batch, errors) in cases {
        let answer = node_survives(&mut wire, &batch).with_context(|| what.to_owned())?;
        assert!(errors.contains(&answer), "{what}: error {answer}");
        assert_eq!(wire.list_offset("t", 0, -1)?.offset, 0, "{what}: nothing was written");
    }
    Ok(())
}

fn node_survives(wire: &mut Wire, batch: &[u8]) -> Result<i16> {
    Ok(wire.produce("t", 0, -1, &batch.to_vec().into())?.error_code)
}

/// Case 21.
#[test]
fn a_compacted_topic_names_each_record_without_a_key() -> Result<()> {
    let (_node, mut wire) = node_with("compacted", &[("cleanup.policy", "compact")])?;
    let records = vec![Record::keyed("k", "v"), Record::of("no key"), Record::keyed("k", "v"), Record::of("none")];
    let answer = wire.produce("compacted", 0, -1, &Batch::of(records).encode())?;
    assert_eq!(answer.error_code, INVALID_RECORD);
    let indexes: Vec<i32> = answer.record_errors.iter().map(|error| error.batch_index).collect();
    assert_eq!(indexes, [1, 3]);
    assert!(answer.error_message.is_some());
    assert_eq!(wire.list_offset("compacted", 0, -1)?.offset, 0, "the whole batch was refused");
    assert_eq!(wire.append("compacted", 0, &Batch::of(vec![Record::keyed("k", "v")]).encode())?, 0);
    Ok(())
}

/// Case 35.
#[test]
fn max_message_bytes_of_the_topic_is_enforced() -> Result<()> {
    let (_node, mut wire) = node_with("small", &[("max.message.bytes", "1000")])?;
    let of_bytes = |bytes: usize| Batch::of_values(&["x".repeat(bytes).as_str()]).encode();
    assert_eq!(wire.produce("small", 0, -1, &of_bytes(1500))?.error_code, MESSAGE_TOO_LARGE);
    assert_eq!(wire.append("small", 0, &of_bytes(800))?, 0);
    Ok(())
}

#[test]
fn unknown_topics_partitions_and_acks_have_their_errors() -> Result<()> {
    let (_node, mut wire) = node_with("t", &[])?;
    let batch = Batch::of_values(&["x"]).encode();
    assert_eq!(wire.produce("absent", 0, -1, &batch)?.error_code, UNKNOWN_TOPIC_OR_PARTITION);
    assert_eq!(wire.produce("t", 9, -1, &batch)?.error_code, UNKNOWN_TOPIC_OR_PARTITION);
    assert_eq!(wire.produce("t", 0, 7, &batch)?.error_code, INVALID_REQUIRED_ACKS);
    assert_eq!(wire.list_offset("t", 0, -1)?.offset, 0);
    Ok(())
}

#[test]
fn one_bad_partition_spoils_no_other() -> Result<()> {
    let node = Node::start();
    let mut wire = node.wire();
    wire.create_topic("mixed", 2, &[])?;
    let mut request = produce_request("mixed", 0, -1, Batch::of_values(&["good"]).encode());
    let absent = PartitionProduceData::default().with_index(5).with_records(Some(Batch::of_values(&["x"]).encode()));
    request.topic_data[0].partition_data.push(absent);
    let response = wire.call(9, &request)?;
    let mut errors: Vec<(i32, i16)> =
        response.responses[0].partition_responses.iter().map(|answer| (answer.index, answer.error_code)).collect();
    errors.sort_unstable();
    assert_eq!(errors, [(0, 0), (5, UNKNOWN_TOPIC_OR_PARTITION)]);
    assert_eq!(wire.list_offset("mixed", 0, -1)?.offset, 1);
    Ok(())
}

#[test]
fn version_13_names_topics_by_id() -> Result<()> {
    let (_node, mut wire) = node_with("t", &[])?;
    let id = wire.topic_id("t")?;
    let produce = |id| {
        let data = PartitionProduceData::default().with_records(Some(Batch::of_values(&["by id"]).encode()));
        let topic = TopicProduceData::default().with_topic_id(id).with_partition_data(vec![data]);
        ProduceRequest::default().with_acks(-1).with_timeout_ms(10_000).with_topic_data(vec![topic])
    };
    let response = wire.call(13, &produce(id))?;
    let answer = &response.responses[0].partition_responses[0];
    assert_eq!((answer.error_code, answer.base_offset), (0, 0));
    assert_eq!(response.responses[0].topic_id, id);
    let response = wire.call(13, &produce(uuid::Uuid::from_u128(0x0123_4567_89ab_cdef)))?;
    assert_eq!(response.responses[0].partition_responses[0].error_code, UNKNOWN_TOPIC_ID);
    Ok(())
}

#[test]
fn every_version_of_produce_appends() -> Result<()> {
    let (_node, mut wire) = node_with("t", &[])?;
    for version in 3..=12 {
        let response = wire.call(version, &produce_request("t", 0, -1, Batch::of_values(&["x"]).encode()))?;
        let answer = &response.responses[0].partition_responses[0];
        assert_eq!((answer.error_code, answer.base_offset), (0, i64::from(version) - 3), "version {version}");
    }
    Ok(())
}

#[test]
fn log_append_time_replaces_the_producers() -> Result<()> {
    let (_node, mut wire) = node_with("stamped", &[("message.timestamp.type", "LogAppendTime")])?;
    let before = now_ms();
    let answer = wire.produce("stamped", 0, -1, &Batch::of_values(&["x", "y"]).at(1000).encode())?;
    assert_eq!(answer.error_code, 0);
    assert!((before..=now_ms()).contains(&answer.log_append_time_ms), "{}", answer.log_append_time_ms);
    let batch = &parse(&wire.fetch("stamped", 0, 0)?.records.context("records")?)[0];
    assert_eq!(batch.attributes & 8, 8, "the batch says so");
    assert_eq!(batch.max_timestamp_ms, answer.log_append_time_ms);
    Ok(())
}

#[test]
fn timestamps_out_of_bounds_are_refused() -> Result<()> {
    let (_node, mut wire) = node_with("t", &[("message.timestamp.before.max.ms", "60000")])?;
    let late = Batch::of_values(&["x"]).at(now_ms() + 7_200_000).encode();
    assert_eq!(wire.produce("t", 0, -1, &late)?.error_code, INVALID_TIMESTAMP, "two hours ahead");
    let early = Batch::of_values(&["x"]).at(now_ms() - 120_000).encode();
    assert_eq!(wire.produce("t", 0, -1, &early)?.error_code, INVALID_TIMESTAMP, "two minutes back of one");
    assert_eq!(wire.append("t", 0, &Batch::of_values(&["x"]).at(now_ms() - 30_000).encode())?, 0);
    Ok(())
}

/// Case 13 without the kill; `restart.rs` has it with one.
#[test]
fn a_repeated_sequence_is_answered_with_its_first_offset() -> Result<()> {
    let (_node, mut wire) = node_with("once", &[])?;
    let (id, epoch) = wire.new_producer()?;
    let batch = |sequence| Batch::of_values(&["a", "b"]).from_producer(id, epoch, sequence).encode();
    for n in 0..5 {
        assert_eq!(wire.append("once", 0, &batch(2 * n))?, 2 * i64::from(n));
    }
    for n in 0..5 {
        assert_eq!(wire.append("once", 0, &batch(2 * n))?, 2 * i64::from(n), "sequence {} again", 2 * n);
    }
    assert_eq!(wire.list_offset("once", 0, -1)?.offset, 10, "no record twice");
    Ok(())
}

#[test]
fn sequences_with_a_gap_or_of_an_older_epoch_are_refused() -> Result<()> {
    let (_node, mut wire) = node_with("once", &[])?;
    let (id, epoch) = wire.new_producer()?;
    let batch = |epoch, sequence| Batch::of_values(&["x"]).from_producer(id, epoch, sequence).encode();
    assert_eq!(wire.append("once", 0, &batch(epoch, 0))?, 0);
    assert_eq!(wire.produce("once", 0, -1, &batch(epoch, 2))?.error_code, OUT_OF_ORDER_SEQUENCE_NUMBER);
    assert_eq!(wire.produce("once", 0, -1, &batch(epoch + 1, 4))?.error_code, OUT_OF_ORDER_SEQUENCE_NUMBER);
    assert_eq!(wire.append("once", 0, &batch(epoch + 1, 0))?, 1, "a new epoch begins at 0");
    assert_eq!(wire.produce("once", 0, -1, &batch(epoch, 1))?.error_code, INVALID_PRODUCER_EPOCH);
    assert_eq!(wire.list_offset("once", 0, -1)?.offset, 2);
    Ok(())
}

/// Case 12: what a broker forgot it does not hold against the producer.
#[test]
fn a_producer_unknown_to_the_partition_may_begin_anywhere() -> Result<()> {
    let (_node, mut wire) = node_with("once", &[])?;
    let (id, epoch) = wire.new_producer()?;
    let batch = |sequence| Batch::of_values(&["x"]).from_producer(id, epoch, sequence).encode();
    assert_eq!(wire.append("once", 0, &batch(42))?, 0);
    assert_eq!(wire.append("once", 0, &batch(43))?, 1);
    Ok(())
}

#[test]
fn sequences_wrap_around_after_the_largest() -> Result<()> {
    let (_node, mut wire) = node_with("once", &[])?;
    let (id, epoch) = wire.new_producer()?;
    let batch = |sequence| Batch::of_values(&["x", "y"]).from_producer(id, epoch, sequence).encode();
    assert_eq!(wire.append("once", 0, &batch(i32::MAX - 2))?, 0);
    assert_eq!(wire.append("once", 0, &batch(i32::MAX))?, 2, "one record at the largest, one at zero");
    assert_eq!(wire.append("once", 0, &batch(1))?, 4);
    Ok(())
}
