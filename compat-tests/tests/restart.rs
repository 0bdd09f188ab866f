//! Restart and kill -9 while clients are at work: what was acknowledged is there, once and in order.

use std::collections::HashSet;
use std::fs;
use std::io::Write;
use std::time::{Duration, Instant};

use anyhow::Result;
use ottla_compat_tests::Node;
use ottla_compat_tests::batch::{Batch, parse};
use ottla_compat_tests::librdkafka::{Delivery, Sender, assign, consumer, next, read_all};
use ottla_compat_tests::wait::eventually;
use ottla_compat_tests::wire::{fetch_request, produce_request};
use rdkafka::Offset;

/// Sends numbered records and stops the broker in their midst, three times.
fn stream_through(stop: fn(&mut Node), settings: &[(&str, &str)]) -> (Node, Vec<Delivery>) {
    const ROUNDS: usize = 3;
    const PER_ROUND: usize = 3000;
    let mut node = Node::start();
    node.wire().create_topic("stream", 1, &[]).expect("a topic");
    let sender = Sender::new(&node.bootstrap(), settings);
    let reports = sender.reports().clone();
    for round in 0..ROUNDS {
        let before = reports.acknowledged();
        for n in 0..PER_ROUND {
            sender.send("stream", Some(0), &(round * PER_ROUND + n).to_string(), b"some value of some length");
        }
        eventually("a part of the round is acknowledged", || (reports.acknowledged() > before + 100).then_some(()));
        stop(&mut node);
    }
    let deliveries = sender.finish();
    (node, deliveries)
}

fn numbers_read(node: &Node) -> Vec<usize> {
    read_all(&node.bootstrap(), "stream", 0)
        .iter()
        .map(|record| record.key_text().parse().expect("a number"))
        .collect()
}

#[track_caller]
fn each_once_and_in_order(node: &Node, deliveries: &[Delivery]) {
    for delivery in deliveries {
        assert!(delivery.result.is_ok(), "given up: {delivery:?}");
    }
    let read = numbers_read(node);
    assert_eq!(read, (0..deliveries.len()).collect::<Vec<_>>(), "each once and in order");
}

#[test]
fn an_idempotent_producer_survives_kills() {
    let (node, deliveries) = stream_through(Node::kill_and_restart, &[("enable.idempotence", "true")]);
    each_once_and_in_order(&node, &deliveries);
}

#[test]
fn an_idempotent_producer_survives_restarts() {
    let (node, deliveries) = stream_through(Node::restart, &[("enable.idempotence", "true")]);
    each_once_and_in_order(&node, &deliveries);
}

#[test]
fn no_acknowledged_record_is_lost_by_a_kill() {
    let (node, deliveries) = stream_through(Node::kill_and_restart, &[("compression.codec", "lz4")]);
    let read = read_all(&node.bootstrap(), "stream", 0);
    for delivery in deliveries {
        let Ok(offset) = delivery.result else { continue };
        assert_eq!(read[offset as usize].key_text(), delivery.key, "at the offset it was acknowledged at");
    }
}

#[test]
fn a_consumer_reads_on_through_kills() {
    let mut node = Node::start();
    node.wire().create_topic("stream", 1, &[]).expect("a topic");
    let consumer = consumer(&node.bootstrap(), &[]);
    assign(&consumer, "stream", 0, Offset::Beginning);
    for round in 0..3 {
        let sender = Sender::new(&node.bootstrap(), &[("enable.idempotence", "true")]);
        for n in 0..500 {
            sender.send("stream", Some(0), &(round * 500 + n).to_string(), b"v");
        }
        sender.finish_ok();
        for n in 0..250 {
            assert_eq!(next(&consumer).key_text(), (round * 500 + n).to_string());
        }
        node.kill_and_restart();
        for n in 250..500 {
            assert_eq!(next(&consumer).key_text(), (round * 500 + n).to_string());
        }
    }
}

#[test]
fn sequences_are_remembered_through_a_restart_and_a_kill() -> Result<()> {
    let mut node = Node::start();
    let mut wire = node.wire();
    wire.create_topic("once", 1, &[])?;
    let (id, epoch) = wire.new_producer()?;
    let batch = |sequence| Batch::of_values(&["a", "b"]).from_producer(id, epoch, sequence).encode();
    for n in 0..3 {
        assert_eq!(wire.append("once", 0, &batch(2 * n))?, i64::from(2 * n));
    }
    for (stop, expected) in [(Node::restart as fn(&mut Node), 6), (Node::kill_and_restart, 8)] {
        stop(&mut node);
        let mut wire = node.wire();
        let sequence = expected as i32;
        eventually("the leader is back", || (wire.list_offset("once", 0, -1).ok()?.error_code == 0).then_some(()));
        assert_eq!(wire.append("once", 0, &batch(sequence - 2))?, expected - 2, "a duplicate keeps its offset");
        assert_eq!(wire.produce("once", 0, -1, &batch(sequence + 4))?.error_code, 45, "a gap is out of order");
        assert_eq!(wire.append("once", 0, &batch(sequence))?, expected);
    }
    let (other, _) = node.wire().new_producer()?;
    assert_ne!(other, id, "no id is given twice");
    Ok(())
}

#[test]
fn producer_ids_are_never_given_twice() -> Result<()> {
    let mut node = Node::start();
    let mut seen = HashSet::new();
    for stop in [Node::kill_and_restart as fn(&mut Node), Node::restart, Node::kill_and_restart] {
        let mut wire = node.wire();
        for _ in 0..5 {
            assert!(seen.insert(wire.new_producer()?.0));
        }
        stop(&mut node);
    }
    Ok(())
}

#[test]
fn topics_ids_and_configs_outlive_the_process() -> Result<()> {
    let mut node = Node::start();
    let mut wire = node.wire();
    wire.create_topic("kept", 5, &[("retention.ms", "77777")])?;
    wire.create_topic("dropped", 1, &[])?;
    let id = wire.topic_id("kept")?;
    wire.delete_topic("dropped")?;
    for stop in [Node::kill_and_restart as fn(&mut Node), Node::restart] {
        stop(&mut node);
        let mut wire = node.wire();
        let topic = eventually("the topic has its leaders", || {
            let topic = wire.topic("kept").ok()?.topics.remove(0);
            topic.partitions.iter().all(|partition| partition.leader_id.0 == 1).then_some(topic)
        });
        assert_eq!((topic.topic_id, topic.partitions.len()), (id, 5));
        assert_eq!(wire.topic("dropped")?.topics[0].error_code, 3, "what was deleted stays deleted");
    }
    Ok(())
}

/// A kill in the middle of a write leaves half a batch; a power cut leaves worse.
#[test]
fn a_torn_tail_is_cut_and_indexes_are_built_anew() -> Result<()> {
    let mut node = Node::start();
    let mut wire = node.wire();
    wire.create_topic("torn", 1, &[("index.interval.bytes", "100")])?;
    for n in 0..50 {
        wire.append("torn", 0, &Batch::of_values(&[&format!("record {n}")]).encode())?;
    }
    let half = Batch::of_values(&["never acknowledged"]).encode();
    let garbage = [0xa5; 300];
    for tail in [&half[..half.len() / 2], &garbage, &[0; 4096]] {
        node.kill();
        let dir = node.partition_dir("torn", 0);
        for index in ["00000000000000000000.index", "00000000000000000000.timeindex"] {
            fs::write(dir.join(index), b"")?;
        }
        fs::OpenOptions::new().append(true).open(dir.join("00000000000000000000.log"))?.write_all(tail)?;
        node.run();
        let mut wire = node.wire();
        let end = eventually("the leader is back", || {
            Some(wire.list_offset("torn", 0, -1).ok()?).filter(|found| found.error_code == 0)
        });
        assert_eq!(end.offset, 50);
        let batches = parse(&wire.fetch("torn", 0, 0)?.records.unwrap_or_default());
        assert_eq!(batches.len(), 50);
        assert_eq!(batches[49].texts(), ["record 49"]);
    }
    assert_eq!(node.wire().append("torn", 0, &half)?, 50, "and writing goes on");
    Ok(())
}

#[test]
fn a_stop_answers_what_is_in_flight_and_marks_the_directory_clean() -> Result<()> {
    let mut node = Node::start();
    let mut wire = node.wire();
    wire.create_topic("stopped", 1, &[])?;
    let marker = node.log_dir().join(".kafka_cleanshutdown");
    assert!(!marker.exists(), "no marker while the broker runs");
    let mut poll = node.wire();
    poll.send(12, &fetch_request("stopped", 0, 0).with_max_wait_ms(60_000))?;
    for n in 0..20 {
        wire.send(9, &produce_request("stopped", 0, -1, Batch::of_values(&[&n.to_string()]).encode()))?;
    }
    wire.receive::<kafka_protocol::messages::ProduceRequest>(9)?;
    let begin = Instant::now();
    let status = node.terminate();
    assert!(
        begin.elapsed() < Duration::from_secs(30),
        "a long poll does not hold the stop up: {:?}",
        begin.elapsed()
    );
    // A JVM that a signal ends says so; Ottla says 0.
    assert!(status.success() || status.code() == Some(143), "{status}");
    assert!(marker.exists(), "the clean marker");
    for checkpoint in ["recovery-point-offset-checkpoint", "replication-offset-checkpoint", "meta.properties"] {
        assert!(node.log_dir().join(checkpoint).exists(), "{checkpoint}");
    }
    let recovery_points = fs::read_to_string(node.log_dir().join("recovery-point-offset-checkpoint"))?;
    node.run();
    let mut wire = node.wire();
    let end = eventually("the leader is back", || {
        Some(wire.list_offset("stopped", 0, -1).ok()?).filter(|found| found.error_code == 0)
    });
    assert!(end.offset >= 1, "what was answered is there");
    assert!(
        recovery_points.contains(&format!("stopped 0 {}", end.offset)),
        "everything was flushed: {recovery_points}"
    );
    Ok(())
}
