//! `ottla check` on what real processes leave behind: sound directories of Ottla and of Kafka, flipped bits, repairs.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use anyhow::Result;
use ottla_compat_tests::batch::{Batch, parse};
use ottla_compat_tests::http;
use ottla_compat_tests::librdkafka::{Sender, read_all};
use ottla_compat_tests::tool::{Ran, kafka_tool, run};
use ottla_compat_tests::wait::eventually;
use ottla_compat_tests::{Node, Peer, only_ottla, ottla};
use serde_json::Value;

/// Records of the topic that the tests look at.
const RECORDS: usize = 3000;
const CORRUPT_MESSAGE: i16 = 2;

fn check(directory: &Path, options: &[&str]) -> Ran {
    let mut command = ottla();
    command.arg("check").arg(directory).args(options);
    run(command, b"")
}

/// The JSON document of a check that ends with this code.
#[track_caller]
fn report(directory: &Path, options: &[&str], code: i32) -> Value {
    let ran = check(directory, &[options, &["--json"]].concat());
    assert_eq!(ran.status.code(), Some(code), "{ran}");
    serde_json::from_str(&ran.stdout).expect("one JSON document")
}

/// A node that was stopped: a topic of several segments, written by an idempotent producer, and committed offsets.
fn stopped(peer: Peer) -> Result<Node> {
    let mut node = Node::of(peer, |_| (), &[("offsets.topic.num.partitions", "3")]);
    let mut wire = node.wire();
    // Kafka's own floor for a segment is 1 MiB.
    wire.create_topic("checked", 2, &[("segment.bytes", "1048576"), ("index.interval.bytes", "1024")])?;
    wire.create_topic("idle", 1, &[])?;
    let settings = [("enable.idempotence", "true"), ("batch.size", "20000")];
    let sender = Sender::new(&node.bootstrap(), &settings);
    for n in 0..RECORDS {
        let value: Vec<u8> = (0..1000_usize).map(|at| (at.wrapping_mul(n * 7919 + 13) >> 3) as u8).collect();
        sender.send("checked", Some((n % 2) as i32), &n.to_string(), &value);
    }
    sender.finish_ok();
    node.terminate();
    Ok(node)
}

/// The first file of partition 0 with this extension that is not empty.
fn file(node: &Node, extension: &str) -> PathBuf {
    let entries = fs::read_dir(node.partition_dir("checked", 0)).expect("the partition's folder").flatten();
    let mut found: Vec<_> = entries.map(|entry| entry.path()).collect();
    found.retain(|path| path.extension().is_some_and(|has| has == extension));
    found.retain(|path| path.metadata().is_ok_and(|metadata| metadata.len() > 0));
    found.sort();
    found.first().unwrap_or_else(|| panic!("a {extension} file")).clone()
}

fn flip(path: &Path, byte: usize) {
    let mut content = fs::read(path).expect("the file");
    content[byte] ^= 1 << 4;
    fs::write(path, content).expect("the file is written");
}

fn dump(path: &Path) -> String {
    let path = path.display().to_string();
    run(kafka_tool("org.apache.kafka.tools.DumpLogSegments", ["--deep-iteration", "--files", &path]), b"").ok()
}

#[test]
fn what_ottla_leaves_is_sound() -> Result<()> {
    if only_ottla() {
        return Ok(());
    }
    let node = stopped(Peer::Ottla)?;
    let found = report(node.log_dir(), &[], 0);
    assert_eq!((&found["result"], &found["findings"]), (&Value::from("clean"), &Value::Array(Vec::new())));
    assert!(found["segments"].as_u64() > Some(3), "{found}");
    assert!(found["bytes_per_second"].as_u64() > Some(0), "{found}");
    let text = check(node.log_dir(), &[]).ok();
    assert!(text.contains("MB/s") && text.ends_with("no damage\n"), "{text}");
    Ok(())
}

#[test]
fn what_kafka_leaves_is_sound() -> Result<()> {
    if only_ottla() {
        return Ok(());
    }
    let node = stopped(Peer::Kafka)?;
    let found = report(node.log_dir(), &[], 0);
    assert_eq!(found["findings"], Value::Array(Vec::new()), "{found}");
    assert_eq!(found["directories"][0]["clean_shutdown"], true);
    flip(&file(&node, "log"), 5000);
    assert_eq!(report(node.log_dir(), &[], 1)["findings"][0]["kind"], "batch");
    assert_eq!(report(node.log_dir(), &["--repair"], 0)["result"], "clean");
    Ok(())
}

#[test]
fn a_directory_in_use_is_not_checked() -> Result<()> {
    if only_ottla() {
        return Ok(());
    }
    for peer in [Peer::Ottla, Peer::Kafka] {
        let node = Node::of(peer, |_| (), &[]);
        let ran = check(node.log_dir(), &[]);
        assert_eq!(ran.status.code(), Some(2), "{ran}");
        assert!(ran.stderr.contains("in use by another process"), "{peer:?}: {ran}");
    }
    Ok(())
}

/// Rot under a running broker: the bytes change where the broker reads them, in the page cache.
#[test]
fn the_scrubber_finds_damage_that_is_then_never_served() -> Result<()> {
    if only_ottla() {
        return Ok(());
    }
    let node = Node::with(&[("log.scrub.bytes.per.second", "100000000")]);
    let mut wire = node.wire();
    wire.create_topic("rotten", 1, &[])?;
    for n in 0..30 {
        wire.append("rotten", 0, &Batch::of_values(&[&format!("record {n}")]).encode())?;
    }
    let log = node.partition_dir("rotten", 0).join("00000000000000000000.log");
    let batch_bytes = fs::metadata(&log)?.len() as usize / 30;
    let file = OpenOptions::new().read(true).write(true).open(&log)?;
    let damaged = 17 * batch_bytes + batch_bytes - 2;
    let mut byte = [0];
    file.read_exact_at(&mut byte, damaged as u64)?;
    file.write_all_at(&[byte[0] ^ 4], damaged as u64)?;
    let metric = "ottla_log_damaged_batches{topic=\"rotten\",partition=\"0\"} 1";
    eventually("the scrubber has been there", || {
        let (_, metrics) = http::get(&node.admin_address(), "/metrics").ok()?;
        metrics.contains(metric).then_some(())
    });
    let texts = |from: i64| -> Result<Vec<String>> {
        let fetched = node.wire().fetch("rotten", 0, from)?;
        assert_eq!(fetched.error_code, 0);
        Ok(parse(&fetched.records.unwrap_or_default()).iter().flat_map(|batch| batch.texts()).collect())
    };
    let named = |range: std::ops::Range<i32>| range.map(|n| format!("record {n}")).collect::<Vec<_>>();
    assert_eq!(texts(0)?, named(0..17), "what lies before it is served up to it");
    assert_eq!(wire.fetch("rotten", 0, 17)?.error_code, CORRUPT_MESSAGE);
    assert_eq!(texts(18)?, named(18..30), "and what lies behind it");
    let said = node.output();
    let line = said.lines().find(|line| line.contains("a batch is damaged")).expect("a line of the log");
    assert!(line.contains("rotten-0") && line.contains("offset=17") && line.contains("00000.log"), "{line}");
    Ok(())
}

#[test]
fn a_flipped_bit_is_found_where_it_is_and_put_right() -> Result<()> {
    if only_ottla() {
        return Ok(());
    }
    let mut node = stopped(Peer::Ottla)?;
    let folder = node.partition_dir("checked", 0);
    // Nothing of these is lost: they follow from the log.
    let files = [
        (file(&node, "index"), "offset-index"),
        (file(&node, "timeindex"), "time-index"),
        (file(&node, "snapshot"), "producer-snapshot"),
        (folder.join("leader-epoch-checkpoint"), "leader-epoch-checkpoint"),
        (folder.join("partition.metadata"), "partition-metadata"),
        (node.log_dir().join("recovery-point-offset-checkpoint"), "checkpoint"),
        (node.log_dir().join(".kafka_cleanshutdown"), "clean-shutdown"),
    ];
    for (path, kind) in files {
        flip(&path, 4);
        let found = report(node.log_dir(), &[], 1);
        let finding = &found["findings"][0];
        assert_eq!((finding["kind"].as_str(), finding["path"].as_str()), (Some(kind), path.to_str()), "{found}");
        let range = (finding["position"].as_u64().unwrap(), finding["bytes"].as_u64().unwrap());
        assert!((range.0..range.0 + range.1).contains(&4), "{finding}");
        let repaired = report(node.log_dir(), &["--repair"], 0);
        assert!(!repaired["repairs"].as_array().unwrap().is_empty(), "{repaired}");
    }
    node.run();
    assert_eq!(read_all(&node.bootstrap(), "checked", 0).len(), RECORDS / 2);
    node.terminate();

    // The metadata store is not put right, but never taken for sound.
    let redb = node.log_dir().join("ottla.redb");
    let sound = fs::read(&redb)?;
    fs::write(&redb, &sound[..sound.len() / 2])?;
    assert_eq!(report(node.log_dir(), &[], 1)["findings"][0]["kind"], "metadata-store");
    fs::write(&redb, sound)?;

    let log = file(&node, "log");
    let middle = fs::metadata(&log)?.len() as usize / 2;
    flip(&log, middle);
    let finding = report(node.log_dir(), &[], 1)["findings"][0].clone();
    let (position, bytes) = (finding["position"].as_u64().unwrap(), finding["bytes"].as_u64().unwrap());
    assert!((position..position + bytes).contains(&(middle as u64)), "{finding}");
    let offset = finding["offset"].as_u64().expect("an offset");
    let said = check(node.log_dir(), &["--repair"]).ok();
    assert!(said.contains("to do   checked-0: the log ends before offset") && said.contains("done    "), "{said}");
    let shown = dump(&file(&node, "log"));
    assert!(!shown.contains("isvalid: false"), "{shown}");
    node.run();
    assert_eq!(read_all(&node.bootstrap(), "checked", 0).len() as u64, offset);
    assert_eq!(read_all(&node.bootstrap(), "checked", 1).len(), RECORDS / 2, "the other partition is untouched");
    Ok(())
}
