//! Producers that were idle for longer than `producer.id.expiration.ms`: forgotten, and never fenced (KIP-360).

use anyhow::Result;
use kafka_protocol::messages::DescribeProducersRequest;
use kafka_protocol::messages::describe_producers_request::TopicRequest;
use ottla_compat_tests::Node;
use ottla_compat_tests::batch::Batch;
use ottla_compat_tests::librdkafka::Sender;
use ottla_compat_tests::wait::eventually;
use ottla_compat_tests::wire::{Wire, name};

const OUT_OF_ORDER_SEQUENCE_NUMBER: i16 = 45;
const QUICK_EXPIRY: [(&str, &str); 2] =
    [("producer.id.expiration.ms", "1500"), ("producer.id.expiration.check.interval.ms", "100")];

/// The producers that a partition remembers.
fn known_producers(wire: &mut Wire, topic: &str) -> Result<Vec<i64>> {
    let topic = TopicRequest::default().with_name(name(topic)).with_partition_indexes(vec![0]);
    let response = wire.call(0, &DescribeProducersRequest::default().with_topics(vec![topic]))?;
    let producers = &response.topics[0].partitions[0].active_producers;
    Ok(producers.iter().map(|producer| producer.producer_id.0).collect())
}

fn is_forgotten(wire: &mut Wire, topic: &str) {
    eventually("the producer is forgotten", || known_producers(wire, topic).ok()?.is_empty().then_some(()));
}

#[test]
fn an_idle_producer_goes_on_where_it_was() -> Result<()> {
    let node = Node::with(&QUICK_EXPIRY);
    let mut wire = node.wire();
    wire.create_topic("idle", 1, &[])?;
    let (id, epoch) = wire.new_producer()?;
    let batch = |sequence| Batch::of_values(&["a", "b"]).from_producer(id, epoch, sequence).encode();
    assert_eq!(wire.append("idle", 0, &batch(0))?, 0);
    assert_eq!(known_producers(&mut wire, "idle")?, [id]);
    assert_eq!(wire.produce("idle", 0, -1, &batch(7))?.error_code, OUT_OF_ORDER_SEQUENCE_NUMBER, "a gap");
    is_forgotten(&mut wire, "idle");
    // What nothing is known of may begin anywhere; from there on it may not jump.
    assert_eq!(wire.append("idle", 0, &batch(2))?, 2);
    assert_eq!(wire.produce("idle", 0, -1, &batch(7))?.error_code, OUT_OF_ORDER_SEQUENCE_NUMBER, "a gap");
    assert_eq!(wire.append("idle", 0, &batch(4))?, 4);
    is_forgotten(&mut wire, "idle");
    assert_eq!(wire.append("idle", 0, &batch(100))?, 6);
    Ok(())
}

#[test]
fn an_idle_librdkafka_goes_on() -> Result<()> {
    let node = Node::with(&QUICK_EXPIRY);
    let mut wire = node.wire();
    wire.create_topic("idle", 1, &[])?;
    let sender = Sender::new(&node.bootstrap(), &[("enable.idempotence", "true")]);
    let reports = sender.reports().clone();
    for round in 1..=3 {
        for _ in 0..10 {
            sender.send("idle", Some(0), "key", b"value");
        }
        eventually("all are acknowledged", || (reports.acknowledged() == round * 10).then_some(()));
        is_forgotten(&mut wire, "idle");
    }
    sender.finish_ok();
    assert_eq!(wire.list_offset("idle", 0, -1)?.offset, 30);
    Ok(())
}
