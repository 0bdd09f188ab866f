//! A Kafka is stopped, Ottla is started on its `log.dirs` with its `server.properties`: everything is there. And back.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;
use ottla_compat_tests::batch::Batch;
use ottla_compat_tests::librdkafka::{Read, Sender, assign, client, consumer, next, read_all};
use ottla_compat_tests::tool::{kafka_tool, kafka_tool_at, run};
use ottla_compat_tests::wait::{DEADLINE, eventually};
use ottla_compat_tests::{Node, Peer, only_ottla, ottla};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{Offset, TopicPartitionList};

const CODECS: [&str; 5] = ["none", "gzip", "snappy", "lz4", "zstd"];
const RECORDS: usize = 200;

/// What a broker has, as a client sees it.
#[derive(Debug, PartialEq)]
struct Seen {
    ids: Vec<Option<uuid::Uuid>>,
    records: BTreeMap<(String, i32), Vec<Read>>,
    configs: String,
    committed: Vec<i64>,
}

const TOPICS: [(&str, i32); 3] = [("orders", 3), ("table", 1), ("emptied", 1)];

/// Topics with configurations, records in all codecs, offsets of a group, and a producer that goes on later.
fn fill(node: &Node) -> Result<(i64, i16)> {
    let mut wire = node.wire();
    wire.create_topic("orders", 3, &[("retention.ms", "777777777"), ("segment.bytes", "1048576")])?;
    wire.create_topic("table", 1, &[("cleanup.policy", "compact")])?;
    wire.create_topic("emptied", 1, &[])?;
    wire.create_topic("dropped", 1, &[])?;
    for codec in CODECS {
        let settings = [("enable.idempotence", "true"), ("compression.codec", codec)];
        let sender = Sender::new(&node.bootstrap(), &settings);
        for n in 0..RECORDS {
            sender.send("orders", Some((n % 3) as i32), &format!("{codec}-{n}"), format!("value {n}").as_bytes());
            sender.send("table", Some(0), &format!("key {}", n % 10), format!("{codec} {n}").as_bytes());
        }
        sender.finish_ok();
    }
    wire.append("emptied", 0, &Batch::of_values(&["a", "b"]).encode())?;
    assert_eq!(wire.delete_records("emptied", 0, 1)?, (0, 1));
    let (id, epoch) = wire.new_producer()?;
    wire.append("orders", 0, &Batch::of_values(&["one", "two"]).from_producer(id, epoch, 0).encode())?;
    let mut offsets = TopicPartitionList::new();
    for partition in 0..3 {
        offsets.add_partition_offset("orders", partition, Offset::Offset(10 + i64::from(partition)))?;
    }
    commit(node, &offsets);
    wire.delete_topic("dropped")?;
    Ok((id, epoch))
}

fn group(node: &Node) -> BaseConsumer {
    client(&node.bootstrap()).set("group.id", "readers").create().expect("a consumer")
}

/// A coordinator that is coming to be asks to wait.
fn commit(node: &Node, offsets: &TopicPartitionList) {
    let group = group(node);
    eventually("the offsets are committed", || group.commit(offsets, CommitMode::Sync).ok());
}

fn see(node: &Node) -> Result<Seen> {
    let mut wire = node.wire();
    let mut ids = Vec::new();
    let mut records = BTreeMap::new();
    for (topic, partitions) in TOPICS {
        eventually("the partitions are led", || {
            let led = |partition| wire.list_offset(topic, partition, -1).is_ok_and(|found| found.error_code == 0);
            (0..partitions).all(led).then_some(())
        });
        let found = eventually("the topic is told of", || {
            let found = wire.topic(topic).ok()?.topics.remove(0);
            (found.error_code == 0 && found.partitions.len() == partitions as usize).then_some(found)
        });
        ids.push(Some(found.topic_id).filter(|id| !id.is_nil()));
        for partition in 0..partitions {
            records.insert((topic.to_owned(), partition), read_all(&node.bootstrap(), topic, partition));
        }
    }
    assert_eq!(wire.topic("dropped")?.topics[0].error_code, 3, "what was deleted stays deleted");
    let mut committed = TopicPartitionList::new();
    for partition in 0..3 {
        committed.add_partition("orders", partition);
    }
    let committed = eventually("the group is loaded", || {
        group(node).committed_offsets(committed.clone(), std::time::Duration::from_secs(5)).ok()
    });
    let offset = |at: &rdkafka::topic_partition_list::TopicPartitionListElem<'_>| at.offset().to_raw().unwrap_or(-1);
    let configs = topic_configs(node);
    Ok(Seen { ids, records, configs, committed: committed.elements().iter().map(offset).collect() })
}

/// What the topics set themselves.
fn topic_configs(node: &Node) -> String {
    let describe = ["--describe", "--entity-type", "topics"];
    let shown = run(kafka_tool_at(&node.bootstrap(), "kafka.admin.ConfigCommand", describe), b"").ok();
    // Kafka lists the topics in no order.
    let mut settings = Vec::new();
    let mut topic = "";
    for line in shown.lines() {
        match line.strip_prefix("  ") {
            Some(setting) => {
                settings.push(format!("{topic} {}", setting.split(" sensitive=").next().unwrap_or_default()))
            }
            None => topic = line,
        }
    }
    settings.sort_unstable();
    settings.join("\n")
}

/// A transaction that is committed, and one that nobody ends.
fn begin_transactions(node: &Node) -> Result<()> {
    node.wire().create_topic("moves", 1, &[])?;
    let producer: BaseProducer = client(&node.bootstrap()).set("transactional.id", "mover").create()?;
    producer.init_transactions(DEADLINE)?;
    for value in ["committed", "open"] {
        producer.begin_transaction()?;
        producer.send(BaseRecord::<str, str>::to("moves").payload(value)).map_err(|(error, _)| error)?;
        producer.flush(DEADLINE)?;
        if value == "committed" {
            producer.commit_transaction(DEADLINE)?;
        }
    }
    Ok(())
}

/// The open transaction is aborted with the first write: what lies behind it can be read.
fn the_open_transaction_ends(node: &Node) -> Result<()> {
    let reader = consumer(&node.bootstrap(), &[("isolation.level", "read_committed")]);
    assign(&reader, "moves", 0, Offset::Beginning);
    assert_eq!(next(&reader).value.as_deref(), Some(&b"committed"[..]));
    node.wire().append("moves", 0, &Batch::of_values(&["later"]).encode())?;
    assert_eq!(next(&reader).value.as_deref(), Some(&b"later"[..]));
    Ok(())
}

/// Every file that a Kafka wrote, with its content.
fn files(directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(directory).expect("a directory").flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if !entry.file_name().to_string_lossy().starts_with("ottla.") && entry.file_name() != ".lock" {
            found.insert(path.clone(), fs::read(&path).expect("a file"));
        }
    }
    found
}

fn names(files: &BTreeMap<PathBuf, Vec<u8>>) -> Vec<&PathBuf> {
    files.keys().collect()
}

/// `ottla adopt` on the node's properties.
fn adopt(node: &Node, arguments: &[&str]) -> ottla_compat_tests::tool::Ran {
    let mut command = ottla();
    command.arg("adopt").args(arguments).arg("--config").arg(node.properties_file());
    run(command, b"")
}

/// Starts Ottla on what the node's Kafka left, looks, stops: nothing of Kafka's has changed, and Kafka starts again.
#[track_caller]
fn there_and_back(node: &mut Node, kafka: Peer, before: &Seen) -> Result<()> {
    let left = files(node.log_dir());
    node.hand_over_to(Peer::Ottla);
    for round in 0..2 {
        node.run();
        let seen = see(node)?;
        check_same(before, &seen);
        node.terminate();
        let now = files(node.log_dir());
        assert_eq!(names(&left), names(&now), "round {round}");
        for (path, content) in &left {
            assert!(now[path] == *content, "{} has changed in round {round}", path.display());
        }
    }
    node.hand_over_to(kafka);
    node.run();
    check_same(before, &see(node)?);
    node.terminate();
    Ok(())
}

/// Before 2.8 topics have no ids.
#[track_caller]
fn check_same(before: &Seen, after: &Seen) {
    for (before, after) in before.ids.iter().zip(&after.ids) {
        assert!(before.is_none() || before == after, "a topic's id has changed");
    }
    assert_eq!(before.configs, after.configs);
    assert_eq!(before.committed, after.committed);
    assert_eq!(before.records, after.records);
}

/// Ottla writes: what Kafka left goes on, in every way.
fn write_on(node: &mut Node, (id, epoch): (i64, i16)) -> Result<()> {
    node.hand_over_to(Peer::Ottla);
    node.run();
    let note = node.log_dir().join("ottla.untouched");
    assert!(note.exists(), "nothing is written yet");
    let marker = node.log_dir().join(".kafka_cleanshutdown");
    assert!(marker.exists());
    let mut wire = node.wire();
    let end = wire.list_offset("orders", 0, -1)?.offset;
    let again = Batch::of_values(&["one", "two"]).from_producer(id, epoch, 0).encode();
    assert_eq!(wire.append("orders", 0, &again)?, end - 2, "a duplicate keeps the offset that Kafka gave it");
    assert!(note.exists() && marker.exists(), "a duplicate is no write");
    let next = Batch::of_values(&["three"]).from_producer(id, epoch, 2).encode();
    assert_eq!(wire.append("orders", 0, &next)?, end);
    assert!(!note.exists() && !marker.exists(), "the first write takes the markers away");
    let (other, _) = wire.new_producer()?;
    assert!(other > id, "no producer id is given twice: {other}");
    wire.create_topic("new", 1, &[])?;
    node.kill_and_restart();
    let read = read_all(&node.bootstrap(), "orders", 0);
    assert_eq!(read.last().and_then(|last| last.value.as_deref()), Some(&b"three"[..]));
    let mut wire = node.wire();
    assert_eq!(wire.topic("new")?.topics[0].error_code, 0, "the metadata is Ottla's own now");
    let mut offsets = TopicPartitionList::new();
    offsets.add_partition_offset("orders", 0, Offset::Offset(end))?;
    commit(node, &offsets);
    node.terminate();
    let log = node.partition_dir("orders", 0).join("00000000000000000000.log");
    let arguments =
        ["--deep-iteration", "--print-data-log", "--files", &log.display().to_string()].map(str::to_owned);
    let shown = run(kafka_tool("org.apache.kafka.tools.DumpLogSegments", arguments), b"").ok();
    assert!(shown.contains("payload: three") && shown.contains("payload: value 0"), "{shown}");
    assert!(!shown.contains("isvalid: false"), "{shown}");
    let epochs = fs::read_to_string(node.partition_dir("orders", 0).join("leader-epoch-checkpoint"))?;
    assert!(epochs.lines().count() >= 4, "Ottla's epoch follows Kafka's: {epochs}");
    Ok(())
}

#[test]
fn kafka_4_3_is_taken_over_and_given_back() -> Result<()> {
    if only_ottla() {
        return Ok(());
    }
    let mut node = Node::of(Peer::Kafka, |_| (), &[]);
    let producer = fill(&node)?;
    begin_transactions(&node)?;
    let before = see(&node)?;
    node.terminate();
    as_kafka_ships_it(&node)?;
    let shown = adopt(&node, &["--dry-run", "--json"]).ok();
    assert!(shown.contains("\"name\": \"orders\"") && shown.contains("\"refused\": null"), "{shown}");
    assert!(!node.log_dir().join("ottla.untouched").exists(), "a dry run leaves nothing");
    there_and_back(&mut node, Peer::Kafka, &before)?;
    write_on(&mut node, producer)?;
    node.run();
    the_open_transaction_ends(&node)?;
    ended_once(&mut node);
    Ok(())
}

/// The file that comes with Kafka, all but the place of the data unchanged.
fn as_kafka_ships_it(node: &Node) -> Result<()> {
    let shipped = include_str!("../../src/config/testdata/kafka-4.3-server.properties");
    let file = node.scratch().join("shipped.properties");
    fs::write(&file, shipped.replace("/tmp/kraft-combined-logs", &node.log_dir().display().to_string()))?;
    let mut command = ottla();
    command.args(["adopt", "--dry-run", "--config"]).arg(&file);
    let shown = run(command, b"").ok();
    assert!(shown.contains("topics             6") && !shown.contains("REFUSED"), "{shown}");
    Ok(())
}

/// What Kafka left open is looked for until it has ended, and never again.
fn ended_once(node: &mut Node) {
    let told = |node: &Node| node.output().matches("a transaction that Kafka left open has ended").count();
    assert_eq!(told(node), 1);
    node.restart();
    node.kill_and_restart();
    assert_eq!(told(node), 1);
}

fn with_kraft(version: &'static str) -> Result<()> {
    if only_ottla() {
        return Ok(());
    }
    let kafka = Peer::OldKafka { version, zookeeper: false };
    let mut node = Node::of(kafka, |_| (), &[]);
    let producer = fill(&node)?;
    let before = see(&node)?;
    node.terminate();
    there_and_back(&mut node, kafka, &before)?;
    write_on(&mut node, producer)
}

#[test]
#[ignore = "slow: make compat"]
fn kafka_3_3_is_taken_over_and_given_back() -> Result<()> {
    with_kraft("3.3.2")
}

#[test]
#[ignore = "slow: make compat"]
fn kafka_3_8_is_taken_over_and_given_back() -> Result<()> {
    with_kraft("3.8.1")
}

#[test]
#[ignore = "slow: make compat"]
fn kafka_3_9_is_taken_over_and_given_back() -> Result<()> {
    with_kraft("3.9.1")
}

fn with_zookeeper(version: &'static str) -> Result<()> {
    if only_ottla() {
        return Ok(());
    }
    let kafka = Peer::OldKafka { version, zookeeper: true };
    let mut node = Node::of(kafka, |_| (), &[]);
    let producer = fill(&node)?;
    let before = see(&node)?;
    let topics = kafka_tool_at(&node.bootstrap(), "org.apache.kafka.tools.TopicCommand", ["--describe"]);
    let configs = node.scratch().join("topics.txt");
    fs::write(&configs, run(topics, b"").ok())?;
    node.terminate();
    let shown = adopt(&node, &["--adopt-configs", &configs.display().to_string()]).ok();
    assert!(shown.contains("ZooKeeper is not asked"), "{shown}");
    there_and_back(&mut node, kafka, &before)?;
    write_on(&mut node, producer)
}

#[test]
#[ignore = "slow: make compat"]
fn kafka_3_9_with_zookeeper_is_taken_over_and_given_back() -> Result<()> {
    with_zookeeper("3.9.1")
}

#[test]
#[ignore = "slow: make compat"]
fn kafka_2_8_with_zookeeper_is_taken_over_and_given_back() -> Result<()> {
    with_zookeeper("2.8.2")
}

#[test]
#[ignore = "slow: make compat"]
fn kafka_2_1_with_zookeeper_is_taken_over_and_given_back() -> Result<()> {
    with_zookeeper("2.1.1")
}

#[test]
fn a_directory_with_scram_users_is_not_opened_to_everybody() -> Result<()> {
    if only_ottla() {
        return Ok(());
    }
    let mut node = Node::of(Peer::Kafka, |_| (), &[]);
    let alter = ["--alter", "--entity-type", "users", "--entity-name", "alice"];
    let password = ["--add-config", "SCRAM-SHA-256=[password=secret]"];
    let arguments = alter.into_iter().chain(password);
    run(kafka_tool_at(&node.bootstrap(), "kafka.admin.ConfigCommand", arguments), b"").ok();
    node.terminate();
    let refused = adopt(&node, &["--dry-run"]).fails();
    assert!(refused.contains("1 SCRAM credentials restrict who may do what"), "{refused}");
    let mut command = ottla();
    command.arg("--config").arg(node.properties_file());
    let refused = run(command, b"").fails();
    assert!(refused.contains("--adopt-open"), "{refused}");
    adopt(&node, &["--adopt-open"]).ok();
    node.hand_over_to(Peer::Ottla);
    node.run();
    Ok(())
}
