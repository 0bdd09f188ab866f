//! kill -9 again and again, at any moment, under load: producers, a compacted topic, rolls, groups that commit.
//!
//! ```text
//!   senders (one a topic) ──▶ ┌────────┐ ◀── readers (one a group protocol), which commit
//!                             │ broker │ ✗ ↻  after a random time, on the same directory
//!                             └────────┘
//!   at the end: each record once and in order, commits that never went back, and a sound directory
//! ```

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::Result;
use ottla_compat_tests::batch::now_ms;
use ottla_compat_tests::librdkafka::{Read, Sender, client, read_all};
use ottla_compat_tests::tool::run;
use ottla_compat_tests::wait::eventually;
use ottla_compat_tests::{Node, only_ottla, ottla};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::message::Message;
use rdkafka::{Offset, TopicPartitionList};

/// One topic under load.
struct Load {
    topic: &'static str,
    partitions: i32,
    configs: &'static [(&'static str, &'static str)],
    codec: &'static str,
    value_bytes: usize,
    /// Keys repeat after so many records; none: every key is a new one.
    keys: Option<usize>,
}

/// Segments of the least size that Kafka takes.
const SMALL_SEGMENTS: (&str, &str) = ("segment.bytes", "1048576");
const LOADS: [Load; 4] = [
    Load { topic: "plain", partitions: 4, configs: &[], codec: "none", value_bytes: 100, keys: None },
    Load { topic: "rolled", partitions: 2, configs: &[SMALL_SEGMENTS], codec: "none", value_bytes: 4000, keys: None },
    Load { topic: "packed", partitions: 2, configs: &[SMALL_SEGMENTS], codec: "lz4", value_bytes: 1000, keys: None },
    Load {
        topic: "table",
        partitions: 1,
        configs: &[SMALL_SEGMENTS, ("cleanup.policy", "compact"), ("min.cleanable.dirty.ratio", "0.01")],
        codec: "none",
        value_bytes: 2000,
        keys: Some(97),
    },
];
/// The topic that the groups read.
const READ_TOPIC: &str = "plain";
const GROUPS: [(&str, &str); 2] = [("classic-readers", "classic"), ("next-readers", "consumer")];

/// A producer that goes on until it is told to stop, and then how many records it sent.
struct Loader {
    load: &'static Load,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<usize>,
}

impl Loader {
    fn start(bootstrap: &str, load: &'static Load) -> Self {
        let settings = [("enable.idempotence", "true"), ("compression.codec", load.codec)];
        let sender = Sender::new(bootstrap, &[&settings[..], &[("message.timeout.ms", "120000")]].concat());
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            let mut sent = 0;
            while !stopped.load(Ordering::Relaxed) {
                for number in sent..sent + 20 {
                    let key = load.keys.map_or(number, |keys| number % keys).to_string();
                    sender.send(load.topic, Some(number as i32 % load.partitions), &key, &load.value(number));
                }
                sent += 20;
                // As fast as two processors that are shared with a broker make sense of.
                thread::sleep(Duration::from_millis(20));
            }
            sender.finish_ok();
            sent
        });
        Self { load, stop, thread }
    }

    /// Every record is acknowledged; the reader finds each once and in order.
    fn finish(self, bootstrap: &str) {
        self.stop.store(true, Ordering::Relaxed);
        let sent = self.thread.join().expect("every record is acknowledged");
        let load = self.load;
        for partition in 0..load.partitions {
            let read = read_all(bootstrap, load.topic, partition);
            let found: Vec<_> = read.iter().map(number_of).collect();
            let sent: Vec<_> = (0..sent).filter(|number| *number as i32 % load.partitions == partition).collect();
            match load.keys {
                None => assert!(found == sent, "{}-{partition}: {}", load.topic, first_difference(&sent, &found)),
                Some(keys) => check_table(&read, &sent, keys),
            }
        }
    }
}

impl Load {
    /// The number, and bytes that hardly compress.
    fn value(&self, number: usize) -> Vec<u8> {
        let mut value = format!("{number} ").into_bytes();
        let mut random = number as u64 | 1;
        value.resize_with(self.value_bytes, || step(&mut random) as u8);
        value
    }
}

fn number_of(read: &Read) -> usize {
    let value = read.value.as_deref().expect("a value");
    let digits = value.split(|byte| *byte == b' ').next().expect("a number");
    String::from_utf8_lossy(digits).parse().expect("a number")
}

/// What is left of a compacted topic is in order, without a record that is there twice, and ends with the last of every
/// key.
#[track_caller]
fn check_table(read: &[Read], sent: &[usize], keys: usize) {
    let numbers: Vec<_> = read.iter().map(number_of).collect();
    assert!(numbers.is_sorted_by(|one, next| one < next), "once and in order");
    assert!(numbers.iter().all(|number| sent.binary_search(number).is_ok()));
    let last: BTreeMap<_, _> = read.iter().map(|read| (read.key_text(), number_of(read))).collect();
    let expected: BTreeMap<_, _> = sent.iter().map(|number| ((number % keys).to_string(), *number)).collect();
    assert_eq!(last, expected, "the last record of every key");
}

fn first_difference(sent: &[usize], found: &[usize]) -> String {
    let at = sent.iter().zip(found).position(|(sent, found)| sent != found).unwrap_or(sent.len().min(found.len()));
    let around = |numbers: &[usize]| numbers[at.saturating_sub(2)..numbers.len().min(at + 3)].to_vec();
    format!("{} sent, {} found; at {at}: {:?} and {:?}", sent.len(), found.len(), around(sent), around(found))
}

/// The only member of a group. It commits behind what it has read.
struct Reader {
    group: &'static str,
    /// The greatest offset of each partition whose commit was acknowledged.
    committed: Arc<Mutex<BTreeMap<i32, i64>>>,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Reader {
    fn start(bootstrap: &str, group: &'static str, protocol: &str) -> Self {
        let mut config = client(bootstrap);
        config.set("group.id", group).set("group.protocol", protocol).set("enable.auto.commit", "false");
        config.set("auto.offset.reset", "earliest");
        let consumer: BaseConsumer = config.create().expect("a consumer");
        consumer.subscribe(&[READ_TOPIC]).expect("a subscription");
        let committed: Arc<Mutex<BTreeMap<i32, i64>>> = Arc::default();
        let stop = Arc::new(AtomicBool::new(false));
        let (acknowledged, stopped) = (Arc::clone(&committed), Arc::clone(&stop));
        let thread = thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                let mut read = BTreeMap::new();
                for _ in 0..200 {
                    // An error is an outage: librdkafka comes back by itself.
                    match consumer.poll(Duration::from_millis(50)) {
                        Some(Ok(message)) => _ = read.insert(message.partition(), message.offset() + 1),
                        Some(Err(_)) => {}
                        None => break,
                    }
                }
                let mut offsets = TopicPartitionList::new();
                for (partition, offset) in &read {
                    offsets.add_partition_offset(READ_TOPIC, *partition, Offset::Offset(*offset)).expect("an offset");
                }
                if !read.is_empty() && consumer.commit(&offsets, CommitMode::Sync).is_ok() {
                    let mut acknowledged = acknowledged.lock().expect("no panic with the lock");
                    for (partition, offset) in read {
                        let known = acknowledged.entry(partition).or_insert(offset);
                        *known = offset.max(*known);
                    }
                }
            }
        });
        Self { group, committed, stop, thread }
    }

    fn acknowledged(&self) -> BTreeMap<i32, i64> {
        self.committed.lock().expect("no panic with the lock").clone()
    }

    /// What was acknowledged before the broker was killed is there.
    fn check(&self, bootstrap: &str, acknowledged: &BTreeMap<i32, i64>) {
        let found = committed(bootstrap, self.group);
        for (partition, offset) in acknowledged {
            assert!(found[partition] >= *offset, "{}: {found:?} after {acknowledged:?}", self.group);
        }
    }

    fn finish(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("the reader comes to its end");
    }
}

/// The offsets of a group by partition; -1 where it has none.
fn committed(bootstrap: &str, group: &str) -> BTreeMap<i32, i64> {
    let consumer: BaseConsumer = client(bootstrap).set("group.id", group).create().expect("a consumer");
    let mut wanted = TopicPartitionList::new();
    for partition in 0..LOADS[0].partitions {
        wanted.add_partition(READ_TOPIC, partition);
    }
    let found = eventually("the group is loaded", || {
        let found = consumer.committed_offsets(wanted.clone(), Duration::from_secs(5)).ok()?;
        found.elements().iter().all(|partition| partition.error().is_ok()).then_some(found)
    });
    found.elements().iter().map(|found| (found.partition(), found.offset().to_raw().unwrap_or(-1))).collect()
}

/// xorshift64.
fn step(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

fn kill_again_and_again(rounds: usize) -> Result<()> {
    if only_ottla() {
        return Ok(());
    }
    let mut node = Node::with(&[
        ("log.cleaner.backoff.ms", "200"),
        ("log.retention.check.interval.ms", "500"),
        ("log.segment.delete.delay.ms", "100"),
        ("offsets.topic.num.partitions", "4"),
    ]);
    for load in &LOADS {
        node.wire().create_topic(load.topic, load.partitions, load.configs)?;
    }
    let bootstrap = node.bootstrap();
    let loaders: Vec<_> = LOADS.iter().map(|load| Loader::start(&bootstrap, load)).collect();
    let readers: Vec<_> = GROUPS.iter().map(|(group, protocol)| Reader::start(&bootstrap, group, protocol)).collect();
    for reader in &readers {
        eventually("the group commits", || (!reader.acknowledged().is_empty()).then_some(()));
    }
    let mut random = now_ms() as u64 | 1;
    for _ in 0..rounds {
        // The kill is to find anything under way: a write, a sync, a roll, a checkpoint, a cleaning, a recovery's end.
        thread::sleep(Duration::from_millis(step(&mut random) % 1500));
        let acknowledged: Vec<_> = readers.iter().map(Reader::acknowledged).collect();
        node.kill_and_restart();
        for (reader, acknowledged) in readers.iter().zip(&acknowledged) {
            reader.check(&bootstrap, acknowledged);
        }
    }
    for loader in loaders {
        loader.finish(&bootstrap);
    }
    let mut wire = node.wire();
    for partition in 0..LOADS[0].partitions {
        let end = wire.list_offset(READ_TOPIC, partition, -1)?.offset;
        for reader in &readers {
            eventually("the group has read all", || {
                (reader.acknowledged().get(&partition) == Some(&end)).then_some(())
            });
        }
    }
    readers.into_iter().for_each(Reader::finish);
    assert!(node.terminate().success());
    let mut check = ottla();
    check.arg("check").arg(node.log_dir()).arg("--json");
    let report: serde_json::Value = serde_json::from_str(&run(check, b"").ok())?;
    assert_eq!(report["findings"], serde_json::Value::Array(Vec::new()), "{report}");
    Ok(())
}

#[test]
fn three_kills_lose_nothing() -> Result<()> {
    kill_again_and_again(3)
}

#[test]
#[ignore = "slow: make compat"]
fn fifty_kills_lose_nothing() -> Result<()> {
    kill_again_and_again(50)
}
