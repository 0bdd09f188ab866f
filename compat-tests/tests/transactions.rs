//! The log side of transactions: interleaved commits and aborts over several segments, written by a Kafka's clients and
//! taken over, then read by unmodified clients.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use kafka_protocol::messages::fetch_response::PartitionData;
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::{DescribeProducersRequest, ListOffsetsRequest};
use ottla_compat_tests::batch::{Batch, CONTROL, Fetched, Record, TRANSACTIONAL, parse};
use ottla_compat_tests::librdkafka::{Sender, assign, client, consumer, next};
use ottla_compat_tests::tool::{kafka_tool_at, run};
use ottla_compat_tests::wait::{DEADLINE, eventually};
use ottla_compat_tests::wire::{Wire, fetch_partition, fetch_request, name};
use ottla_compat_tests::{Node, Peer, only_ottla};
use rdkafka::Offset;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

const TOPIC: &str = "moves";
const READ_UNCOMMITTED: i8 = 0;
const READ_COMMITTED: i8 = 1;
const LATEST: i64 = -1;
/// Fifty of them are a segment of the least size that Kafka takes.
const VALUE_BYTES: usize = 20_000;

/// A producer of transactions, and the numbers that it wrote in the one it has open.
struct Mover {
    producer: BaseProducer,
    open: Option<Vec<usize>>,
}

/// The numbers that transactions wrote, by what became of them; outside of any: committed.
#[derive(Default)]
struct Written {
    next: usize,
    committed: BTreeSet<usize>,
}

impl Mover {
    fn new(node: &Node, id: &str) -> Self {
        let producer: BaseProducer =
            client(&node.bootstrap()).set("transactional.id", id).create().expect("a producer");
        producer.init_transactions(DEADLINE).expect("a producer id");
        Self { producer, open: None }
    }

    fn write(&mut self, written: &mut Written) -> Result<()> {
        if self.open.is_none() {
            self.producer.begin_transaction()?;
        }
        let (key, value) = (written.next.to_string(), vec![b'v'; VALUE_BYTES]);
        self.producer.send(BaseRecord::to(TOPIC).key(&key).payload(&value)).map_err(|(error, _)| error)?;
        self.producer.flush(DEADLINE)?;
        self.open.get_or_insert_default().push(written.next);
        written.next += 1;
        Ok(())
    }

    fn commit(&mut self, written: &mut Written) -> Result<()> {
        if let Some(numbers) = self.open.take() {
            self.producer.commit_transaction(DEADLINE)?;
            written.committed.extend(numbers);
        }
        Ok(())
    }

    fn abort(&mut self) -> Result<()> {
        if self.open.take().is_some() {
            self.producer.abort_transaction(DEADLINE)?;
        }
        Ok(())
    }
}

/// Three producers take turns, one of them with transactions that are longer than a segment; between them records of no
/// transaction.
fn write_history(node: &Node) -> Result<Written> {
    node.wire().create_topic(TOPIC, 1, &[("segment.bytes", "1048576")])?;
    let mut movers: Vec<_> = ["a", "b", "long"].iter().map(|id| Mover::new(node, id)).collect();
    let mut written = Written::default();
    for round in 0..70 {
        for mover in &mut movers {
            mover.write(&mut written)?;
        }
        if round % 3 == 0 {
            let sender = Sender::new(&node.bootstrap(), &[]);
            sender.send(TOPIC, Some(0), &written.next.to_string(), &[b'n'; VALUE_BYTES]);
            sender.finish_ok();
            written.committed.insert(written.next);
            written.next += 1;
        }
        let [a, b, long] = &mut movers[..] else { unreachable!("three of them") };
        match round % 4 {
            1 => a.abort()?,
            3 => a.commit(&mut written)?,
            _ => {}
        }
        match round % 5 {
            2 => b.commit(&mut written)?,
            4 => b.abort()?,
            _ => {}
        }
        match round {
            25 => long.abort()?,
            50 => long.commit(&mut written)?,
            _ => {}
        }
    }
    for mover in &mut movers {
        mover.commit(&mut written)?;
    }
    Ok(written)
}

/// A transaction that nobody ends, and what is committed behind it. Its producer is to live until the broker stops.
fn leave_open(node: &Node, written: &mut Written) -> Result<(Mover, usize)> {
    let mut hanging = Mover::new(node, "hanging");
    let begins_at = written.next;
    hanging.write(written)?;
    let mut other = Mover::new(node, "other");
    other.write(written)?;
    other.commit(written)?;
    // Kafka tells a producer of its commit before the marker is written.
    eventually("all others have ended", || (open_transactions(&mut node.wire()).ok()? == 1).then_some(()));
    Ok((hanging, begins_at))
}

/// The keys that a client of this isolation level reads before `end`.
fn read_keys(node: &Node, isolation: &str, end: i64) -> Vec<usize> {
    let reader = consumer(&node.bootstrap(), &[("isolation.level", isolation)]);
    assign(&reader, TOPIC, 0, Offset::Beginning);
    let mut keys = Vec::new();
    let last = last_visible(node, isolation, end);
    loop {
        let read = next(&reader);
        keys.push(read.key_text().parse().expect("a number"));
        if read.offset == last {
            return keys;
        }
    }
}

/// The offset of the last record before `end` that a reader is given.
fn last_visible(node: &Node, isolation: &str, end: i64) -> i64 {
    let level = if isolation == "read_committed" { READ_COMMITTED } else { READ_UNCOMMITTED };
    let history = History::read(&mut node.wire()).expect("the history");
    let batches = history.batches.iter().filter(|batch| batch.attributes & CONTROL == 0 && batch.last_offset < end);
    let visible = batches.filter(|batch| level == READ_UNCOMMITTED || !history.is_aborted(batch));
    visible.map(|batch| batch.last_offset).max().expect("a record")
}

/// Kafka's own consumer, on the command line.
fn java_keys(node: &Node, isolation: &str, count: usize) -> Vec<usize> {
    let count = count.to_string();
    let arguments = [
        ["--topic", TOPIC],
        ["--partition", "0"],
        ["--offset", "earliest"],
        ["--isolation-level", isolation],
        ["--max-messages", &count],
        ["--formatter-property", "print.key=true"],
        ["--formatter-property", "print.value=false"],
    ];
    let class = "org.apache.kafka.tools.consumer.ConsoleConsumer";
    let shown = run(kafka_tool_at(&node.bootstrap(), class, arguments.concat()), b"").ok();
    shown.lines().map(|line| line.parse().expect("a number")).collect()
}

/// A transaction as its batches tell it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Aborted {
    marker: i64,
    producer_id: i64,
    first_offset: i64,
}

/// All batches of the log, and what follows from them.
struct History {
    batches: Vec<Fetched>,
    aborted: Vec<Aborted>,
}

impl History {
    fn read(wire: &mut Wire) -> Result<Self> {
        let end = list_latest(wire, READ_UNCOMMITTED)?;
        let (mut batches, mut at) = (Vec::new(), 0);
        while at < end {
            let found = fetch(wire, at, READ_UNCOMMITTED, 4 << 20)?;
            assert_eq!(found.aborted_transactions, None, "for read_committed only");
            let some = parse(&found.records.context("records")?);
            at = some.last().context("a batch")?.last_offset + 1;
            batches.extend(some);
        }
        let (mut open, mut aborted) = (BTreeMap::new(), Vec::new());
        for batch in &batches {
            if batch.attributes & CONTROL != 0 {
                let first_offset = open.remove(&batch.producer_id);
                if let (Some(first_offset), Some(0)) = (first_offset, batch.control_type) {
                    let (marker, producer_id) = (batch.base_offset, batch.producer_id);
                    aborted.push(Aborted { marker, producer_id, first_offset });
                }
            } else if batch.attributes & TRANSACTIONAL != 0 {
                open.entry(batch.producer_id).or_insert(batch.base_offset);
            }
        }
        Ok(Self { batches, aborted })
    }

    fn is_aborted(&self, batch: &Fetched) -> bool {
        let holds = |aborted: &&Aborted| {
            aborted.producer_id == batch.producer_id
                && (aborted.first_offset..aborted.marker).contains(&batch.base_offset)
        };
        batch.attributes & TRANSACTIONAL != 0 && self.aborted.iter().find(holds).is_some()
    }
}

fn fetch(wire: &mut Wire, offset: i64, isolation: i8, max_bytes: i32) -> Result<PartitionData> {
    let mut request = fetch_request(TOPIC, 0, offset).with_isolation_level(isolation).with_max_bytes(max_bytes);
    request.topics[0].partitions = vec![fetch_partition(0, offset).with_partition_max_bytes(max_bytes)];
    let response = wire.call(12, &request)?;
    let found = response.responses[0].partitions[0].clone();
    assert_eq!(found.error_code, 0);
    Ok(found)
}

fn list_latest(wire: &mut Wire, isolation: i8) -> Result<i64> {
    let partition = ListOffsetsPartition::default().with_partition_index(0).with_timestamp(LATEST);
    let topic = ListOffsetsTopic::default().with_name(name(TOPIC)).with_partitions(vec![partition]);
    let request = ListOffsetsRequest::default().with_replica_id((-1).into()).with_isolation_level(isolation);
    let found = wire.call(6, &request.with_topics(vec![topic]))?.topics[0].partitions[0].clone();
    assert_eq!(found.error_code, 0);
    Ok(found.offset)
}

/// Fetches of many sizes from many places: the list of aborted transactions is that of what is returned, no transaction
/// is missing and none is there twice. Kafka takes the end of the fetch from an index and may name some more.
fn check_aborted_lists(node: &Node, is_exact: bool) -> Result<()> {
    let mut wire = node.wire();
    let history = History::read(&mut wire)?;
    assert!(history.aborted.len() > 20, "{}", history.aborted.len());
    let stable = list_latest(&mut wire, READ_COMMITTED)?;
    for (at, batch) in history.batches.iter().enumerate().step_by(7) {
        for max_bytes in [1, 70_000, 400_000, 3 << 20] {
            let from = batch.base_offset;
            if from >= stable {
                continue;
            }
            let found = fetch(&mut wire, from, READ_COMMITTED, max_bytes)?;
            let end = parse(&found.records.context("records")?).last().context("a batch")?.last_offset + 1;
            assert!(end <= stable, "nothing beyond the last stable offset");
            assert_eq!(found.last_stable_offset, stable);
            let overlaps = |aborted: &&Aborted| aborted.marker >= from && aborted.first_offset < end;
            let expected: Vec<_> = history.aborted.iter().filter(overlaps).collect();
            let expected: Vec<_> =
                expected.iter().map(|aborted| (aborted.producer_id, aborted.first_offset)).collect();
            let listed = found.aborted_transactions.context("a list")?;
            let listed: Vec<_> = listed.iter().map(|aborted| (aborted.producer_id.0, aborted.first_offset)).collect();
            if is_exact {
                assert_eq!(listed, expected, "batch {at}, {max_bytes} bytes");
            } else {
                assert!(expected.iter().all(|one| listed.contains(one)), "batch {at}, {max_bytes} bytes");
            }
        }
    }
    Ok(())
}

#[derive(Debug, PartialEq)]
struct Seen {
    high_watermark: i64,
    last_stable_offset: i64,
    committed: Vec<usize>,
    all: Vec<usize>,
}

fn see(node: &Node) -> Result<Seen> {
    let mut wire = node.wire();
    eventually("the partition is led", || (wire.list_offset(TOPIC, 0, LATEST).ok()?.error_code == 0).then_some(()));
    let high_watermark = list_latest(&mut wire, READ_UNCOMMITTED)?;
    let last_stable_offset = list_latest(&mut wire, READ_COMMITTED)?;
    Ok(Seen {
        high_watermark,
        last_stable_offset,
        committed: read_keys(node, "read_committed", last_stable_offset),
        all: read_keys(node, "read_uncommitted", high_watermark),
    })
}

/// Producers with an open transaction (DescribeProducers).
fn open_transactions(wire: &mut Wire) -> Result<usize> {
    use kafka_protocol::messages::describe_producers_request::TopicRequest;
    let topic = TopicRequest::default().with_name(name(TOPIC)).with_partition_indexes(vec![0]);
    let response = wire.call(0, &DescribeProducersRequest::default().with_topics(vec![topic]))?;
    let producers = &response.topics[0].partitions[0].active_producers;
    Ok(producers.iter().filter(|producer| producer.current_txn_start_offset >= 0).count())
}

#[test]
#[ignore = "slow: make compat"]
fn commits_and_aborts_are_told_apart() -> Result<()> {
    if only_ottla() {
        return Ok(());
    }
    let mut node = Node::of(Peer::Kafka, |_| (), &[]);
    let mut written = write_history(&node)?;
    let committed: Vec<_> = written.committed.iter().copied().collect();
    let (hanging, open_from) = leave_open(&node, &mut written)?;
    let before = see(&node)?;
    assert_eq!(before.committed, committed);
    assert_eq!(before.all, (0..written.next).collect::<Vec<_>>());
    assert!(before.last_stable_offset < before.high_watermark);
    check_aborted_lists(&node, false)?;
    node.terminate();
    drop(hanging);

    node.hand_over_to(Peer::Ottla);
    node.run();
    assert_eq!(see(&node)?, before, "up to the transaction that is open");
    let mut wire = node.wire();
    assert_eq!(open_transactions(&mut wire)?, 1);
    assert_eq!(fetch(&mut wire, before.last_stable_offset, READ_COMMITTED, 1 << 20)?.records.unwrap_or_default(), "");
    check_aborted_lists(&node, true)?;
    for (isolation, expected) in [("read_committed", &before.committed), ("read_uncommitted", &before.all)] {
        assert_eq!(&java_keys(&node, isolation, expected.len()), expected, "{isolation}");
    }

    // With the first write the open transaction is aborted: what lies behind it is stable.
    let later = Record::keyed(written.next.to_string(), "later");
    wire.append(TOPIC, 0, &Batch::of(vec![later]).encode())?;
    let end = eventually("the transaction is ended", || {
        let offsets = [READ_UNCOMMITTED, READ_COMMITTED].map(|level| list_latest(&mut wire, level).ok());
        (offsets[0].is_some() && offsets[0] == offsets[1]).then_some(offsets[0])
    });
    written.committed.insert(written.next);
    assert!(!written.committed.contains(&open_from));
    for stop in [|_: &mut Node| (), Node::kill_and_restart, Node::restart] {
        stop(&mut node);
        let now = see(&node)?;
        assert_eq!(Some(now.last_stable_offset), end);
        assert_eq!(now.committed, written.committed.iter().copied().collect::<Vec<_>>());
        check_aborted_lists(&node, true)?;
        assert_eq!(open_transactions(&mut node.wire())?, 0);
    }
    Ok(())
}
