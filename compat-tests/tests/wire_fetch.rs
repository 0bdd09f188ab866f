//! What Fetch, ListOffsets and OffsetForLeaderEpoch answer.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use kafka_protocol::messages::fetch_request::{FetchTopic, ForgottenTopic, ReplicaState};
use kafka_protocol::messages::offset_for_leader_epoch_request::{OffsetForLeaderPartition, OffsetForLeaderTopic};
use kafka_protocol::messages::{FetchRequest, FetchResponse, OffsetForLeaderEpochRequest};
use ottla_compat_tests::Node;
use ottla_compat_tests::batch::{Batch, Record, now_ms, parse};
use ottla_compat_tests::wire::{Wire, fetch_partition, fetch_request, name};

const OFFSET_OUT_OF_RANGE: i16 = 1;
const UNKNOWN_TOPIC_OR_PARTITION: i16 = 3;
const FETCH_SESSION_ID_NOT_FOUND: i16 = 70;
const INVALID_FETCH_SESSION_EPOCH: i16 = 71;
const FENCED_LEADER_EPOCH: i16 = 74;
const UNKNOWN_LEADER_EPOCH: i16 = 75;
const UNKNOWN_TOPIC_ID: i16 = 100;

fn node_with(topic: &str, partitions: i32) -> Result<(Node, Wire)> {
    let node = Node::start();
    let mut wire = node.wire();
    wire.create_topic(topic, partitions, &[])?;
    Ok((node, wire))
}

/// Partition numbers and byte counts of an answer, in order.
fn sizes(response: &FetchResponse) -> Vec<(i32, usize)> {
    let partitions = response.responses.iter().flat_map(|topic| &topic.partitions);
    partitions
        .map(|found| (found.partition_index, found.records.as_ref().map_or(0, |records| records.len())))
        .collect()
}

/// Case 5.
#[test]
fn a_long_poll_without_data_is_answered_at_max_wait() -> Result<()> {
    let (_node, mut wire) = node_with("quiet", 1)?;
    let begin = Instant::now();
    let found = wire.fetch("quiet", 0, 0)?;
    assert_eq!((found.error_code, found.high_watermark), (0, 0));
    let waited = begin.elapsed();
    assert!((Duration::from_millis(450)..Duration::from_secs(5)).contains(&waited), "{waited:?}");
    let begin = Instant::now();
    wire.call(12, &fetch_request("quiet", 0, 0).with_min_bytes(0).with_max_wait_ms(20_000))?;
    assert!(begin.elapsed() < Duration::from_secs(5), "no byte wanted, no wait");
    Ok(())
}

#[test]
fn a_long_poll_wakes_when_a_record_arrives() -> Result<()> {
    let (node, mut wire) = node_with("quiet", 1)?;
    let begin = Instant::now();
    wire.send(12, &fetch_request("quiet", 0, 0).with_max_wait_ms(30_000))?;
    node.wire().append("quiet", 0, &Batch::of_values(&["wake up"]).encode())?;
    let response = wire.receive::<FetchRequest>(12)?;
    assert!(begin.elapsed() < Duration::from_secs(10), "{:?}", begin.elapsed());
    let records = response.responses[0].partitions[0].records.clone().context("records")?;
    assert_eq!(parse(&records)[0].texts(), ["wake up"]);
    Ok(())
}

#[test]
fn a_long_poll_waits_for_min_bytes() -> Result<()> {
    let (node, mut wire) = node_with("quiet", 1)?;
    let mut writer = node.wire();
    wire.send(12, &fetch_request("quiet", 0, 0).with_max_wait_ms(30_000).with_min_bytes(2000))?;
    writer.append("quiet", 0, &Batch::of_values(&["few bytes"]).encode())?;
    writer.append("quiet", 0, &Batch::of_values(&["x".repeat(2000).as_str()]).encode())?;
    let response = wire.receive::<FetchRequest>(12)?;
    let records = response.responses[0].partitions[0].records.clone().context("records")?;
    assert_eq!(parse(&records).len(), 2, "both, since the first alone was too little");
    Ok(())
}

/// Case 4.
#[test]
fn an_offset_inside_a_batch_returns_the_whole_batch() -> Result<()> {
    let (_node, mut wire) = node_with("t", 1)?;
    wire.append("t", 0, &Batch::of_values(&["0", "1", "2", "3"]).encode())?;
    wire.append("t", 0, &Batch::of_values(&["4"]).encode())?;
    let batches = parse(&wire.fetch("t", 0, 2)?.records.context("records")?);
    assert_eq!(batches[0].base_offset, 0);
    assert_eq!(batches[0].texts(), ["0", "1", "2", "3"]);
    assert_eq!(batches[1].base_offset, 4);
    Ok(())
}

#[test]
fn a_first_batch_larger_than_every_limit_is_returned_whole() -> Result<()> {
    let (_node, mut wire) = node_with("large", 2)?;
    for partition in [0, 1] {
        wire.append("large", partition, &Batch::of_values(&["x".repeat(100_000).as_str()]).encode())?;
    }
    let mut request = fetch_request("large", 0, 0).with_max_bytes(1000);
    request.topics[0].partitions[0].partition_max_bytes = 1000;
    request.topics[0].partitions.push(fetch_partition(1, 0).with_partition_max_bytes(1000));
    let response = wire.call(12, &request)?;
    let found = sizes(&response);
    assert!(found[0].1 > 100_000, "{found:?}");
    assert!(found[1].1 <= 1000, "the second partition keeps to the limits: {found:?}");
    Ok(())
}

#[test]
fn limits_hold_after_the_first_batch() -> Result<()> {
    let (_node, mut wire) = node_with("t", 1)?;
    for _ in 0..20 {
        wire.append("t", 0, &Batch::of_values(&["x".repeat(1000).as_str()]).encode())?;
    }
    let mut request = fetch_request("t", 0, 0);
    request.topics[0].partitions[0].partition_max_bytes = 5000;
    let response = wire.call(12, &request)?;
    let records = response.responses[0].partitions[0].records.clone().context("records")?;
    assert!(records.len() <= 5000, "{}", records.len());
    assert!((3..=4).contains(&parse(&records).len()));
    Ok(())
}

#[test]
fn offsets_beyond_the_log_are_out_of_range() -> Result<()> {
    let (_node, mut wire) = node_with("t", 1)?;
    wire.append("t", 0, &Batch::of_values(&["0"]).encode())?;
    assert_eq!(wire.fetch("t", 0, 2)?.error_code, OFFSET_OUT_OF_RANGE);
    assert_eq!(wire.fetch("t", 0, -5)?.error_code, OFFSET_OUT_OF_RANGE);
    assert_eq!(wire.fetch("t", 0, 1)?.error_code, 0, "the end itself is in range");
    assert_eq!(wire.fetch("t", 7, 0)?.error_code, UNKNOWN_TOPIC_OR_PARTITION);
    assert_eq!(wire.fetch("absent", 0, 0)?.error_code, UNKNOWN_TOPIC_OR_PARTITION);
    Ok(())
}

/// Case 7.
#[test]
fn aborted_transactions_are_null_unless_read_committed() -> Result<()> {
    let (_node, mut wire) = node_with("t", 1)?;
    wire.append("t", 0, &Batch::of_values(&["0"]).encode())?;
    for version in [4, 11, 12] {
        let response = wire.call(version, &fetch_request("t", 0, 0))?;
        assert_eq!(response.responses[0].partitions[0].aborted_transactions, None, "version {version}");
        let response = wire.call(version, &fetch_request("t", 0, 0).with_isolation_level(1))?;
        let found = &response.responses[0].partitions[0];
        assert_eq!(found.aborted_transactions, Some(Vec::new()), "version {version}");
        assert_eq!(found.last_stable_offset, 1);
    }
    Ok(())
}

#[test]
fn every_version_of_fetch_returns_the_record() -> Result<()> {
    let (_node, mut wire) = node_with("t", 1)?;
    wire.append("t", 0, &Batch::of_values(&["same"]).encode())?;
    let id = wire.topic_id("t")?;
    for version in 4..=18 {
        let mut request = fetch_request("t", 0, 0);
        if version >= 13 {
            request.topics[0].topic = name("");
            request.topics[0].topic_id = id;
        }
        let response = wire.call(version, &request).with_context(|| format!("version {version}"))?;
        let found = &response.responses[0].partitions[0];
        assert_eq!((found.error_code, found.high_watermark), (0, 1), "version {version}");
        let records = found.records.clone().context("records")?;
        assert_eq!(parse(&records)[0].texts(), ["same"], "version {version}");
    }
    Ok(())
}

/// Case 6: since version 15 the replica id travels in a tagged field; a consumer leaves it out.
#[test]
fn a_replica_that_is_none_is_told_from_a_consumer() -> Result<()> {
    let (_node, mut wire) = node_with("t", 1)?;
    wire.append("t", 0, &Batch::of_values(&["x"]).encode())?;
    let id = wire.topic_id("t")?;
    let topic = FetchTopic::default().with_topic_id(id).with_partitions(vec![fetch_partition(0, 0)]);
    let consumer = FetchRequest::default().with_max_wait_ms(100).with_min_bytes(1).with_topics(vec![topic]);
    let response = wire.call(16, &consumer)?;
    assert_eq!(sizes(&response).len(), 1);
    assert_eq!(response.responses[0].partitions[0].error_code, 0);
    let replica = ReplicaState::default().with_replica_id(77.into()).with_replica_epoch(1);
    let response = wire.call(16, &consumer.clone().with_replica_state(replica))?;
    let refused = response.error_code != 0 || response.responses[0].partitions[0].error_code != 0;
    assert!(refused, "broker 77 holds no replica: {response:?}");
    Ok(())
}

#[test]
fn an_unknown_topic_id_has_its_own_error() -> Result<()> {
    let (_node, mut wire) = node_with("t", 1)?;
    let topic = FetchTopic::default()
        .with_topic_id(uuid::Uuid::from_u128(0x0123_4567_89ab))
        .with_partitions(vec![fetch_partition(0, 0)]);
    let response = wire.call(13, &FetchRequest::default().with_max_wait_ms(10).with_topics(vec![topic]))?;
    assert_eq!(response.responses[0].partitions[0].error_code, UNKNOWN_TOPIC_ID);
    Ok(())
}

#[test]
fn leader_epochs_are_compared() -> Result<()> {
    let (_node, mut wire) = node_with("t", 1)?;
    let epoch = wire.topic("t")?.topics[0].partitions[0].leader_epoch;
    let mut request = fetch_request("t", 0, 0).with_max_wait_ms(10);
    for (asked, error) in [(-1, 0), (epoch, 0), (epoch + 1, UNKNOWN_LEADER_EPOCH)] {
        request.topics[0].partitions[0].current_leader_epoch = asked;
        let response = wire.call(12, &request)?;
        assert_eq!(response.responses[0].partitions[0].error_code, error, "epoch {asked} of {epoch}");
    }
    Ok(())
}

fn session_fetch(id: i32, epoch: i32, partitions: &[(i32, i64)]) -> FetchRequest {
    let partitions: Vec<_> =
        partitions.iter().map(|&(partition, offset)| fetch_partition(partition, offset)).collect();
    let mut request = FetchRequest::default().with_max_wait_ms(200).with_min_bytes(1).with_session_id(id);
    request.session_epoch = epoch;
    if !partitions.is_empty() {
        request.topics = vec![FetchTopic::default().with_topic(name("s")).with_partitions(partitions)];
    }
    request
}

/// KIP-227.
#[test]
fn a_fetch_session_answers_only_what_changed() -> Result<()> {
    let (_node, mut wire) = node_with("s", 3)?;
    let response = wire.call(12, &session_fetch(0, 0, &[(0, 0), (1, 0), (2, 0)]))?;
    assert_eq!(sizes(&response).len(), 3, "a full fetch answers every partition");
    let id = response.session_id;
    assert_ne!(id, 0, "a session was made");

    let response = wire.call(12, &session_fetch(id, 1, &[]))?;
    assert_eq!(sizes(&response), [], "nothing changed");
    assert_eq!(response.session_id, id);

    wire.append("s", 1, &Batch::of_values(&["news"]).encode())?;
    let response = wire.call(12, &session_fetch(id, 2, &[]))?;
    let found = sizes(&response);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].0 == 1 && found[0].1 > 0, "{found:?}");

    let response = wire.call(12, &session_fetch(id, 3, &[(1, 1)]))?;
    assert_eq!(sizes(&response).iter().map(|found| found.1).sum::<usize>(), 0, "read up to the end");

    wire.append("s", 2, &Batch::of_values(&["more"]).encode())?;
    let mut request = session_fetch(id, 4, &[]);
    request.forgotten_topics_data = vec![ForgottenTopic::default().with_topic(name("s")).with_partitions(vec![2])];
    let response = wire.call(12, &request)?;
    assert_eq!(sizes(&response).iter().map(|found| found.1).sum::<usize>(), 0, "partition 2 was forgotten");
    Ok(())
}

/// A partition that did not fit into a response comes with the next one, though nothing about it has changed.
#[test]
fn a_full_response_starves_no_partition_of_its_session() -> Result<()> {
    let (_node, mut wire) = node_with("s", 2)?;
    for partition in 0..2 {
        for _ in 0..3 {
            wire.append("s", partition, &Batch::of_values(&["record"]).encode())?;
        }
    }
    let response = wire.call(12, &session_fetch(0, 0, &[(0, 0), (1, 0)]).with_max_bytes(1))?;
    let served: Vec<_> = sizes(&response).into_iter().filter(|found| found.1 > 0).collect();
    assert_eq!(served.len(), 1, "one batch is all that fits: {served:?}");
    let (id, first) = (response.session_id, served[0].0);
    let response = wire.call(12, &session_fetch(id, 1, &[(first, 1)]).with_max_bytes(1))?;
    let served: Vec<_> = sizes(&response).into_iter().filter(|found| found.1 > 0).collect();
    assert!(served.len() == 1 && served[0].0 != first, "the other one's turn: {served:?}");
    Ok(())
}

#[test]
fn fetch_sessions_have_their_errors() -> Result<()> {
    let (_node, mut wire) = node_with("s", 1)?;
    let id = wire.call(12, &session_fetch(0, 0, &[(0, 0)]))?.session_id;
    assert_eq!(wire.call(12, &session_fetch(id, 7, &[]))?.error_code, INVALID_FETCH_SESSION_EPOCH);
    let unknown = if id == 12345 { 12346 } else { 12345 };
    assert_eq!(wire.call(12, &session_fetch(unknown, 1, &[]))?.error_code, FETCH_SESSION_ID_NOT_FOUND);
    // Epoch -1 closes the session and fetches in full.
    let response = wire.call(12, &session_fetch(id, -1, &[(0, 0)]))?;
    assert_eq!((response.error_code, response.session_id), (0, 0));
    assert_eq!(wire.call(12, &session_fetch(id, 1, &[]))?.error_code, FETCH_SESSION_ID_NOT_FOUND);
    Ok(())
}

/// Cases 9 and 10.
#[test]
fn timestamps_find_the_first_record_at_or_after_them() -> Result<()> {
    let (_node, mut wire) = node_with("t", 1)?;
    let begin = now_ms() - 10_000;
    let at = |delta_ms| Record { timestamp_delta_ms: delta_ms, ..Record::of("x") };
    // Offsets:   0         1        2         3            4          5
    // Times:   +100       +50      +200      +10         +400       +300
    wire.append("t", 0, &Batch::of(vec![at(100), at(50), at(200)]).at(begin).encode())?;
    wire.append("t", 0, &Batch::of(vec![at(10)]).at(begin).encode())?;
    wire.append("t", 0, &Batch::of(vec![at(400), at(300)]).at(begin).encode())?;
    for (asked, offset, found) in
        [(0, 0, 100), (60, 0, 100), (101, 2, 200), (200, 2, 200), (250, 4, 400), (400, 4, 400)]
    {
        let answer = wire.list_offset("t", 0, begin + asked)?;
        assert_eq!((answer.error_code, answer.offset), (0, offset), "at +{asked}");
        assert_eq!(answer.timestamp, begin + found, "at +{asked}");
    }
    let miss = wire.list_offset("t", 0, begin + 401)?;
    assert_eq!((miss.error_code, miss.offset, miss.timestamp), (0, -1, -1));
    let latest_in_time = wire.list_offset("t", 0, -3)?;
    assert_eq!((latest_in_time.offset, latest_in_time.timestamp), (4, begin + 400));
    Ok(())
}

#[test]
fn the_special_timestamps_name_the_ends() -> Result<()> {
    let (_node, mut wire) = node_with("t", 1)?;
    for special in [-1, -2] {
        let answer = wire.list_offset("t", 0, special)?;
        assert_eq!((answer.error_code, answer.offset, answer.timestamp), (0, 0, -1));
    }
    let none = wire.list_offset("t", 0, -3)?;
    assert_eq!((none.error_code, none.offset, none.timestamp), (0, -1, -1), "an empty log has no latest record");
    wire.append("t", 0, &Batch::of_values(&["a", "b"]).encode())?;
    assert_eq!(wire.list_offset("t", 0, -1)?.offset, 2, "the end, never one more");
    assert_eq!(wire.list_offset("t", 0, -2)?.offset, 0);
    assert_eq!(wire.list_offset("t", 5, -1)?.error_code, UNKNOWN_TOPIC_OR_PARTITION);
    Ok(())
}

/// Error, epoch and offset that OffsetForLeaderEpoch tells of `t`.
fn ask(wire: &mut Wire, current: i32, asked: i32) -> (i16, i32, i64) {
    let partition = OffsetForLeaderPartition::default().with_current_leader_epoch(current).with_leader_epoch(asked);
    let topic = OffsetForLeaderTopic::default().with_topic(name("t")).with_partitions(vec![partition]);
    let request = OffsetForLeaderEpochRequest::default().with_replica_id((-1).into()).with_topics(vec![topic]);
    let response = wire.call(4, &request).expect("an answer");
    let found = &response.topics[0].partitions[0];
    (found.error_code, found.leader_epoch, found.end_offset)
}

/// Otherwise a consumer that stands there takes its position for one that was cut off, and begins anew.
#[test]
fn the_end_of_a_leader_epoch_is_known_after_its_records_were_deleted() -> Result<()> {
    let (mut node, mut wire) = node_with("t", 1)?;
    wire.append("t", 0, &Batch::of_values(&["a", "b", "c"]).encode())?;
    let first = wire.topic("t")?.topics[0].partitions[0].leader_epoch;
    assert_eq!(wire.delete_records("t", 0, -1)?, (0, 3));
    assert_eq!(ask(&mut wire, -1, first), (0, first, 3));
    for round in 0..2 {
        if round == 0 {
            node.restart()
        } else {
            node.kill_and_restart()
        }
        let mut wire = node.wire();
        assert_eq!(ask(&mut wire, -1, first), (0, first, 3), "round {round}");
    }
    Ok(())
}

/// Case 25.
#[test]
fn the_end_of_a_leader_epoch_is_known() -> Result<()> {
    let (mut node, mut wire) = node_with("t", 1)?;
    wire.append("t", 0, &Batch::of_values(&["a", "b"]).encode())?;
    let first = wire.topic("t")?.topics[0].partitions[0].leader_epoch;
    assert_eq!(ask(&mut wire, -1, first), (0, first, 2), "the current epoch ends at the log's end");
    assert_eq!(ask(&mut wire, -1, first + 5), (0, -1, -1), "an epoch that is yet to come");
    assert_eq!(ask(&mut wire, first + 1, first).0, UNKNOWN_LEADER_EPOCH);

    node.kill_and_restart();
    let mut wire = node.wire();
    wire.append("t", 0, &Batch::of_values(&["c"]).encode())?;
    let second = wire.topic("t")?.topics[0].partitions[0].leader_epoch;
    assert!(second > first, "an epoch of its own after a crash: {first} -> {second}");
    assert_eq!(ask(&mut wire, -1, first), (0, first, 2), "the older epoch ended before the crash");
    assert_eq!(ask(&mut wire, -1, second), (0, second, 3));
    assert_eq!(ask(&mut wire, first, first).0, FENCED_LEADER_EPOCH, "the current epoch is not the one asked about");
    Ok(())
}
