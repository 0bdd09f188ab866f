//! Compaction as clients and Kafka's own tools see it: the latest record of every key, whatever comes in between.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;
use kafka_protocol::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use kafka_protocol::messages::offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopics};
use kafka_protocol::messages::{FindCoordinatorRequest, GroupId, OffsetCommitRequest, OffsetFetchRequest};
use ottla_compat_tests::Node;
use ottla_compat_tests::batch::{Batch, Record, now_ms};
use ottla_compat_tests::http;
use ottla_compat_tests::librdkafka::{Read, Sender, read_all};
use ottla_compat_tests::only_ottla;
use ottla_compat_tests::tool::{kafka_tool, run};
use ottla_compat_tests::wait::{eventually, within};
use ottla_compat_tests::wire::{Wire, name, text};

const CODECS: [&str; 5] = ["none", "gzip", "snappy", "lz4", "zstd"];
/// A cleaner that looks for work often; Kafka's waits for a quarter of a minute.
const EAGER: [(&str, &str); 4] = [
    ("log.cleaner.backoff.ms", "100"),
    ("log.cleaner.enable", "true"),
    ("log.retention.check.interval.ms", "300"),
    ("log.initial.task.delay.ms", "300"),
];
/// Small segments that are worth cleaning as soon as anything in them is dirty.
const COMPACTED: [(&str, &str); 5] = [
    ("cleanup.policy", "compact"),
    ("segment.bytes", "1048576"),
    ("index.interval.bytes", "1024"),
    ("min.cleanable.dirty.ratio", "0.001"),
    ("file.delete.delay.ms", "0"),
];

/// Text that compression takes a little off, different for every number.
fn value(number: u32) -> Vec<u8> {
    (0..400_u32).map(|at| b'a' + ((at.wrapping_mul(number.wrapping_mul(7919) + 13) >> 7) % 20) as u8).collect()
}

/// Fills what is written so far into closed segments: only those are cleaned.
fn close_segments(wire: &mut Wire, topic: &str) -> Result<()> {
    for number in 0..12 {
        let record = Record::keyed(format!("filler {number}"), vec![7; 100_000]);
        wire.append(topic, 0, &Batch::of(vec![record]).encode())?;
    }
    Ok(())
}

/// Where the cleaning of a partition ended, as it is written down.
fn cleaned_up_to(node: &Node, topic: &str) -> Option<i64> {
    let checkpoint = fs::read_to_string(node.log_dir().join("cleaner-offset-checkpoint")).ok()?;
    let prefix = format!("{topic} 0 ");
    checkpoint.lines().find_map(|line| line.strip_prefix(&prefix)?.parse().ok())
}

#[track_caller]
fn wait_until_cleaned(node: &Node, topic: &str, offset: i64) {
    within(std::time::Duration::from_secs(120), "the log is cleaned", || {
        (cleaned_up_to(node, topic)? >= offset).then_some(())
    });
}

/// The last value of each key, without the filler.
fn table(records: &[Read]) -> BTreeMap<String, Vec<u8>> {
    let mut table = BTreeMap::new();
    for record in records {
        let key = record.key_text();
        match &record.value {
            _ if key.starts_with("filler") => {}
            Some(value) => drop(table.insert(key, value.clone())),
            None => drop(table.remove(&key)),
        }
    }
    table
}

fn files(dir: &Path, extension: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).expect("the partition's directory").flatten().map(|entry| entry.path());
    let mut found: Vec<_> = entries.filter(|path| path.extension().is_some_and(|has| has == extension)).collect();
    found.sort();
    found
}

fn dump(options: &[&str], files: &[PathBuf]) -> String {
    let files: Vec<_> = files.iter().map(|file| file.display().to_string()).collect();
    let joined = files.join(",");
    let named = ["--files", &joined];
    run(kafka_tool("org.apache.kafka.tools.DumpLogSegments", named.iter().chain(options)), b"").ok()
}

/// What is expected of each key, and where the last of it lies.
fn write_with_all_codecs(node: &Node, topic: &str) -> (BTreeMap<String, Vec<u8>>, i64) {
    let mut expected = BTreeMap::new();
    let mut last = 0;
    for (place, codec) in CODECS.iter().enumerate() {
        let settings = [("enable.idempotence", "true"), ("compression.codec", codec), ("batch.size", "20000")];
        let sender = Sender::new(&node.bootstrap(), &settings);
        for number in 0..1500_u32 {
            let key = format!("{codec}-{}", number % 50);
            let value = value(number + 10_000 * place as u32);
            sender.send(topic, Some(0), &key, &value);
            expected.insert(key, value);
        }
        let offsets = sender.finish_ok().into_iter().filter_map(|delivery| delivery.result.ok());
        last = offsets.max().expect("an offset");
    }
    (expected, last)
}

#[test]
fn the_latest_of_every_key_stays_in_every_codec() -> Result<()> {
    let mut node = Node::with(&EAGER);
    node.wire().create_topic("compacted", 1, &COMPACTED)?;
    let (expected, last) = write_with_all_codecs(&node, "compacted");
    close_segments(&mut node.wire(), "compacted")?;
    wait_until_cleaned(&node, "compacted", last + 1);

    let check = |node: &Node| {
        let records = read_all(&node.bootstrap(), "compacted", 0);
        assert_eq!(table(&records), expected);
        let ours = records.iter().filter(|record| !record.key_text().starts_with("filler")).count();
        assert_eq!(ours, 250, "each key once");
        assert!(records.windows(2).all(|pair| pair[0].offset < pair[1].offset));
    };
    check(&node);
    node.restart();
    check(&node);
    node.kill_and_restart();
    check(&node);
    node.terminate();

    let dir = node.partition_dir("compacted", 0);
    let shown = dump(&["--deep-iteration", "--print-data-log"], &files(&dir, "log"));
    assert!(shown.contains("isvalid: true") && !shown.contains("isvalid: false"), "checksums");
    for codec in CODECS {
        assert!(shown.contains(&format!("compresscodec: {codec}")), "{codec}");
        assert_eq!(shown.matches(&format!("key: {codec}-49 ")).count(), 1, "{codec}");
    }
    let indexes = [files(&dir, "index"), files(&dir, "timeindex")].concat();
    let sane = dump(&["--index-sanity-check"], &indexes);
    assert_eq!(sane.matches("passed sanity check.").count(), indexes.len(), "{sane}");
    let verified = dump(&["--verify-index-only"], &indexes);
    for complaint in ["Mismatches", "not found", "out of order", "unclean"] {
        assert!(!verified.to_lowercase().contains(&complaint.to_lowercase()), "{verified}");
    }
    Ok(())
}

#[test]
fn tombstones_go_once_their_time_has_come() -> Result<()> {
    let node = Node::with(&EAGER);
    let mut wire = node.wire();
    wire.create_topic("deleted", 1, &[&COMPACTED[..], &[("delete.retention.ms", "500")]].concat())?;
    for key in ["kept", "gone"] {
        wire.append("deleted", 0, &Batch::of(vec![Record::keyed(key, "value")]).encode())?;
    }
    let tombstone = Record { key: Some(b"gone".to_vec()), ..Record::default() };
    wire.append("deleted", 0, &Batch::of(vec![tombstone]).encode())?;
    eventually("the tombstone is gone", || {
        // Every round needs something new, and closed.
        close_segments(&mut wire, "deleted").ok()?;
        let records = read_all(&node.bootstrap(), "deleted", 0);
        let ours: Vec<_> = records.iter().filter(|record| !record.key_text().starts_with("filler")).collect();
        assert!(ours.iter().any(|record| record.key_text() == "kept"));
        assert!(!ours.iter().any(|record| record.key_text() == "gone" && record.value.is_some()) || ours.len() == 3);
        (ours.len() == 1).then_some(())
    });
    Ok(())
}

#[test]
fn compact_and_delete_does_both() -> Result<()> {
    let node = Node::with(&EAGER);
    let mut wire = node.wire();
    let both = [&COMPACTED[1..], &[("cleanup.policy", "compact,delete"), ("retention.ms", "60000")]].concat();
    wire.create_topic("both", 1, &both)?;
    let long_ago = now_ms() - 3_600_000;
    for number in 0..25 {
        let record = Record::keyed(format!("old {number}"), vec![7; 100_000]);
        wire.append("both", 0, &Batch::of(vec![record]).at(long_ago).encode())?;
    }
    for number in 0..40 {
        let record = Record::keyed(format!("new {}", number % 3), vec![7; 100_000]);
        wire.append("both", 0, &Batch::of(vec![record]).encode())?;
    }
    let start = eventually("what is too old is deleted", || {
        let start = wire.list_offset("both", 0, -2).ok()?.offset;
        (start >= 20).then_some(start)
    });
    wait_until_cleaned(&node, "both", 55);
    let records = eventually("the rest is compacted", || {
        let records = read_all(&node.bootstrap(), "both", 0);
        let dirty = records.iter().filter(|record| record.offset < 55).count();
        // A segment in which old and new meet is as young as the newest in it.
        (dirty <= 8).then_some(records)
    });
    assert!(records[0].offset >= start);
    let last: BTreeMap<_, _> = records.iter().map(|record| (record.key_text(), record.offset)).collect();
    assert_eq!((last["new 0"], last["new 1"], last["new 2"]), (64, 62, 63));
    Ok(())
}

/// Whatever step of a cleaning a kill hits: what was acknowledged is there, and nothing else.
#[test]
fn kills_in_the_midst_of_cleaning_harm_nobody() -> Result<()> {
    // Kafka's throttle looks at the clock three times a second: so little data is through by then.
    if only_ottla() {
        return Ok(());
    }
    let slow = [&EAGER[..], &[("log.cleaner.io.max.bytes.per.second", "6000000")]].concat();
    let mut node = Node::with(&slow);
    node.wire().create_topic("killed", 1, &COMPACTED)?;
    let dir = node.partition_dir("killed", 0);
    let mut expected = BTreeMap::new();
    for round in 0..6_u32 {
        let sender = Sender::new(&node.bootstrap(), &[("compression.codec", CODECS[round as usize % 5])]);
        for number in 0..6000_u32 {
            let (key, value) = (format!("key {}", number % 97), value(number + round));
            sender.send("killed", Some(0), &key, &value);
            expected.insert(key, value);
        }
        sender.finish_ok();
        eventually("a cleaning is under way", || {
            let is_seen = (0..200).any(|_| {
                std::thread::sleep(Duration::from_millis(5));
                [files(&dir, "cleaned"), files(&dir, "swap")].iter().any(|names| !names.is_empty())
            });
            if !is_seen {
                // It was over before anybody looked: another one.
                let sender = Sender::new(&node.bootstrap(), &[]);
                expected.iter().for_each(|(key, value)| sender.send("killed", Some(0), key, value));
                sender.finish_ok();
            }
            is_seen.then_some(())
        });
        node.kill_and_restart();
        assert_eq!(table(&read_all(&node.bootstrap(), "killed", 0)), expected, "round {round}");
        let left = [files(&dir, "cleaned"), files(&dir, "swap")].concat();
        // Another cleaning may be under way by now, but of one segment at a time.
        assert!(left.len() <= 4, "{left:?}");
    }
    Ok(())
}

fn commit(wire: &mut Wire, offset: i64) -> Result<()> {
    let partition = |index| {
        OffsetCommitRequestPartition::default()
            .with_partition_index(index)
            .with_committed_offset(offset + i64::from(index))
            .with_committed_metadata(Some(text("metadata")))
    };
    let topic = OffsetCommitRequestTopic::default()
        .with_name(name("read"))
        .with_partitions((0..100).map(partition).collect());
    let request = OffsetCommitRequest::default()
        .with_group_id(GroupId(text("g")))
        .with_generation_id_or_member_epoch(-1)
        .with_retention_time_ms(-1)
        .with_topics(vec![topic]);
    let topics = wire.call(8, &request)?.topics;
    assert!(topics.iter().flat_map(|topic| &topic.partitions).all(|answer| answer.error_code == 0), "{topics:?}");
    Ok(())
}

/// Partition and offset.
fn committed(wire: &mut Wire) -> Option<Vec<(i32, i64)>> {
    let topic =
        OffsetFetchRequestTopics::default().with_name(name("read")).with_partition_indexes((0..100).collect());
    let group = OffsetFetchRequestGroup::default().with_group_id(GroupId(text("g"))).with_topics(Some(vec![topic]));
    let mut response = wire.call(8, &OffsetFetchRequest::default().with_groups(vec![group])).ok()?;
    let group = response.groups.pop().filter(|group| group.error_code == 0)?;
    let partitions = group.topics.into_iter().flat_map(|topic| topic.partitions);
    Some(partitions.map(|answer| (answer.partition_index, answer.committed_offset)).collect())
}

#[test]
fn committed_offsets_survive_the_compaction_of_their_topic() -> Result<()> {
    let small = [
        ("offsets.topic.num.partitions", "1"),
        ("offsets.topic.replication.factor", "1"),
        ("offsets.topic.segment.bytes", "1048576"),
        ("log.cleaner.min.cleanable.ratio", "0.01"),
        ("log.segment.delete.delay.ms", "0"),
    ];
    let mut node = Node::with(&[&EAGER[..], &small].concat());
    let mut wire = node.wire();
    wire.create_topic("read", 100, &[])?;
    let find = FindCoordinatorRequest::default().with_coordinator_keys(vec![text("g")]);
    eventually("a coordinator", || {
        let found = wire.call(4, &find).ok()?.coordinators.pop()?;
        (found.error_code == 0).then_some(())
    });
    eventually("it serves", || committed(&mut wire));
    for round in 0..500 {
        commit(&mut wire, round * 1000)?;
    }
    let expected: Vec<_> = (0..100).map(|index| (index, 499_000 + i64::from(index))).collect();
    assert_eq!(committed(&mut wire), Some(expected.clone()));
    let dir = node.partition_dir("__consumer_offsets", 0);
    let active = files(&dir, "log").pop().expect("a segment");
    let active: i64 = active.file_stem().and_then(|stem| stem.to_str()).expect("digits").parse()?;
    assert!(active > 10_000, "several segments: {active}");
    wait_until_cleaned(&node, "__consumer_offsets", active);
    let bytes: u64 = files(&dir, "log").iter().map(|file| fs::metadata(file).map_or(0, |data| data.len())).sum();
    assert!(bytes < 1_500_000, "one segment and little more: {bytes}");
    node.restart();
    let mut wire = node.wire();
    let found = eventually("the coordinator has loaded", || committed(&mut wire));
    assert_eq!(found, expected);
    node.kill_and_restart();
    let mut wire = node.wire();
    assert_eq!(eventually("and again", || committed(&mut wire)), expected);
    Ok(())
}

#[test]
fn keyless_records_are_refused_one_by_one() -> Result<()> {
    let node = Node::with(&EAGER);
    let mut wire = node.wire();
    wire.create_topic("keyed", 1, &COMPACTED)?;
    let records = vec![Record::keyed("a", "x"), Record::of("y"), Record::keyed("b", "z"), Record::of("w")];
    let answer = wire.produce("keyed", 0, -1, &Batch::of(records).encode())?;
    assert_eq!(answer.error_code, 87, "INVALID_RECORD: {answer:?}");
    let wrong: Vec<_> = answer.record_errors.iter().map(|error| error.batch_index).collect();
    assert_eq!(wrong, [1, 3]);
    assert_eq!(wire.list_offset("keyed", 0, -1)?.offset, 0, "nothing of it is there");
    Ok(())
}

#[test]
fn metrics_tell_of_the_cleaner() -> Result<()> {
    if only_ottla() {
        return Ok(());
    }
    let node = Node::with(&EAGER);
    node.wire().create_topic("compacted", 1, &COMPACTED)?;
    let (_, last) = write_with_all_codecs(&node, "compacted");
    close_segments(&mut node.wire(), "compacted")?;
    wait_until_cleaned(&node, "compacted", last + 1);
    let value = |metric: &str| {
        let (_, page) = http::get(&node.admin_address(), "/metrics").ok()?;
        let line = page.lines().find(|line| line.starts_with(metric))?;
        line.rsplit_once(' ')?.1.parse::<i64>().ok()
    };
    eventually("the last round is told of", || {
        value("kafka_log_logcleaner_cleaner_recopy_percent").filter(|&is| is > 0)
    });
    assert_eq!(value("kafka_log_logcleaner_deadthreadcount"), Some(0));
    assert_eq!(value("kafka_log_logcleanermanager_uncleanable_partitions_count{logDirectory="), Some(0));
    let since =
        eventually("the time since the last look", || value("kafka_log_logcleanermanager_time_since_last_run_ms"));
    assert!(since < 60_000, "{since}");
    Ok(())
}
