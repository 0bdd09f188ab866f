//! Kafka's dump-log reads what lies in the log directory, and Kafka's broker takes the directory over.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;
use ottla_compat_tests::Node;
use ottla_compat_tests::batch::Batch;
use ottla_compat_tests::librdkafka::Sender;
use ottla_compat_tests::tool::{kafka_tool, run};

fn dump(options: &[&str], files: &[PathBuf]) -> String {
    let files: Vec<_> = files.iter().map(|file| file.display().to_string()).collect();
    let joined = files.join(",");
    let named = ["--files", &joined];
    run(kafka_tool("org.apache.kafka.tools.DumpLogSegments", named.iter().chain(options)), b"").ok()
}

/// The files of a directory with this extension, oldest first.
fn files(dir: &Path, extension: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).expect("the partition's directory").flatten().map(|entry| entry.path());
    let mut found: Vec<_> = entries.filter(|path| path.extension().is_some_and(|has| has == extension)).collect();
    found.sort();
    found
}

/// A topic of several segments, written by an idempotent producer, on a broker that was stopped.
fn stopped_with_segments() -> Result<Node> {
    let mut node = Node::start();
    let configs = [("segment.bytes", "1048576"), ("index.interval.bytes", "1024")];
    node.wire().create_topic("dumped", 1, &configs)?;
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        let settings = [("enable.idempotence", "true"), ("compression.codec", codec), ("batch.size", "20000")];
        let sender = Sender::new(&node.bootstrap(), &settings);
        for n in 0..1500 {
            let value: Vec<u8> = (0..400u32).map(|at| (at.wrapping_mul(n * 7919 + 13) >> 3) as u8).collect();
            sender.send("dumped", Some(0), &format!("{codec}-{n}"), &value);
        }
        sender.finish_ok();
    }
    // A log start that no segment's name tells.
    assert_eq!(node.wire().delete_records("dumped", 0, 1)?, (0, 1));
    node.terminate();
    Ok(node)
}

#[test]
fn dump_log_finds_segments_indexes_and_snapshots_in_order() -> Result<()> {
    let node = stopped_with_segments()?;
    let dir = node.partition_dir("dumped", 0);
    let logs = files(&dir, "log");
    assert!(logs.len() >= 2, "several segments: {logs:?}");
    let shown = dump(&["--deep-iteration", "--print-data-log"], &logs);
    let records = shown.lines().filter(|line| line.starts_with("| offset: ")).count();
    assert_eq!(records, 7500);
    assert!(shown.contains("isvalid: true") && !shown.contains("isvalid: false"), "checksums");
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        assert!(shown.contains(&format!("compresscodec: {codec}")), "{codec}");
        assert!(shown.contains(&format!("key: {codec}-1499")), "{codec}");
    }
    assert!(!shown.contains("trailing"), "nothing behind the last batch");

    let indexes = [files(&dir, "index"), files(&dir, "timeindex")].concat();
    assert!(indexes.len() >= 4, "{indexes:?}");
    let sane = dump(&["--index-sanity-check"], &indexes);
    assert_eq!(sane.matches("passed sanity check.").count(), indexes.len(), "{sane}");
    let verified = dump(&["--verify-index-only"], &indexes);
    for complaint in ["Mismatches", "not found", "out of order", "unclean"] {
        assert!(!verified.to_lowercase().contains(&complaint.to_lowercase()), "{verified}");
    }
    let entries = dump(&[], &indexes);
    assert!(entries.matches("position:").count() > 20, "an entry every index interval: {entries}");

    let snapshots = files(&dir, "snapshot");
    let newest = snapshots.last().expect("a snapshot of the producers from the stop").clone();
    let producers = dump(&[], &[newest]);
    assert!(producers.matches("producerId: ").count() >= 5, "one of each codec: {producers}");
    Ok(())
}

#[test]
fn the_directory_has_kafkas_own_files() -> Result<()> {
    let node = stopped_with_segments()?;
    let dir = node.partition_dir("dumped", 0);
    let epochs = fs::read_to_string(dir.join("leader-epoch-checkpoint"))?;
    let lines: Vec<&str> = epochs.lines().collect();
    assert_eq!(lines[0], "0", "version");
    assert_eq!(lines[1].parse::<usize>()?, lines.len() - 2, "count");
    assert!(lines[2].ends_with(" 1"), "the first epoch begins where the log does: {epochs}");
    let partition = fs::read_to_string(dir.join("partition.metadata"))?;
    assert!(partition.starts_with("version: 0\ntopic_id: "), "{partition}");
    let meta = fs::read_to_string(node.log_dir().join("meta.properties"))?;
    for key in ["version=1", "cluster.id=", "node.id=1", "directory.id="] {
        assert!(meta.lines().any(|line| line.starts_with(key)), "{key}: {meta}");
    }
    for checkpoint in
        ["recovery-point-offset-checkpoint", "replication-offset-checkpoint", "log-start-offset-checkpoint"]
    {
        let text = fs::read_to_string(node.log_dir().join(checkpoint))?;
        assert!(text.starts_with("0\n1\ndumped 0 "), "{checkpoint}: {text}");
    }
    let directories: Vec<_> = fs::read_dir(node.log_dir())?
        .flatten()
        .filter(|entry| entry.path().is_dir())
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| name != "__cluster_metadata-0")
        .collect();
    assert_eq!(directories, ["dumped-0"], "Kafka fails on any directory that is no partition");
    Ok(())
}

#[test]
fn dump_log_reads_a_segment_that_a_kill_left() -> Result<()> {
    let mut node = Node::start();
    let mut wire = node.wire();
    wire.create_topic("killed", 1, &[])?;
    for n in 0..100 {
        wire.append("killed", 0, &Batch::of_values(&[&format!("value {n}")]).encode())?;
    }
    node.kill();
    let shown = dump(&["--deep-iteration", "--print-data-log"], &files(&node.partition_dir("killed", 0), "log"));
    assert_eq!(shown.matches("payload: value ").count(), 100, "{shown}");
    Ok(())
}
