//! Several log directories: replicas move from one to another while they serve, and one that fails takes only its own
//! along.

use std::path::{Path, PathBuf};

use anyhow::Result;
use kafka_protocol::messages::alter_replica_log_dirs_request::{AlterReplicaLogDir, AlterReplicaLogDirTopic};
use kafka_protocol::messages::describe_log_dirs_request::DescribableLogDirTopic;
use kafka_protocol::messages::describe_log_dirs_response::DescribeLogDirsPartition;
use kafka_protocol::messages::{AlterReplicaLogDirsRequest, DescribeLogDirsRequest};
use ottla_compat_tests::batch::{Batch, parse};
use ottla_compat_tests::tool::{Ran, kafka_tool, run};
use ottla_compat_tests::wait::eventually;
use ottla_compat_tests::wire::{Wire, name, text};
use ottla_compat_tests::{Node, only_ottla};

const UNKNOWN_TOPIC_OR_PARTITION: i16 = 3;
const INVALID_TOPIC_EXCEPTION: i16 = 17;
const KAFKA_STORAGE_ERROR: i16 = 56;
const LOG_DIR_NOT_FOUND: i16 = 57;

const TWO: &[(&str, &str)] = &[("log.dirs", "{home}/data,{home}/more"), ("log.segment.delete.delay.ms", "0")];

/// A broker with two log directories.
fn start() -> Node {
    Node::with(TWO)
}

fn first(node: &Node) -> PathBuf {
    node.log_dir().to_owned()
}

fn second(node: &Node) -> PathBuf {
    node.scratch().join("more")
}

fn has_log(directory: &Path, topic: &str, partition: i32) -> bool {
    directory.join(format!("{topic}-{partition}")).is_dir()
}

/// Where a partition lies, and where it does not.
fn home_and_other(node: &Node, topic: &str, partition: i32) -> (PathBuf, PathBuf) {
    let (first, second) = (first(node), second(node));
    if has_log(&first, topic, partition) { (first, second) } else { (second, first) }
}

/// Asks for a replica to lie in `directory`; the error code.
fn alter(wire: &mut Wire, version: i16, topic: &str, partition: i32, directory: &Path) -> Result<i16> {
    let topic = AlterReplicaLogDirTopic::default().with_name(name(topic)).with_partitions(vec![partition]);
    let directory =
        AlterReplicaLogDir::default().with_path(text(&directory.display().to_string())).with_topics(vec![topic]);
    let response = wire.call(version, &AlterReplicaLogDirsRequest::default().with_dirs(vec![directory]))?;
    assert_eq!((response.results.len(), response.results[0].partitions[0].partition_index), (1, partition));
    Ok(response.results[0].partitions[0].error_code)
}

/// The replicas of a topic by directory, current and future.
fn described(wire: &mut Wire, topic: &str) -> Result<Vec<(PathBuf, DescribeLogDirsPartition)>> {
    let response = wire.call(4, &DescribeLogDirsRequest::default().with_topics(None))?;
    let mut found = Vec::new();
    for directory in response.results {
        for of_topic in directory.topics.into_iter().filter(|found| found.name.as_str() == topic) {
            found.extend(
                of_topic.partitions.into_iter().map(|partition| (directory.log_dir.as_str().into(), partition)),
            );
        }
    }
    Ok(found)
}

#[test]
fn partitions_of_a_topic_that_is_named_twice_come_together() -> Result<()> {
    let node = Node::start();
    let mut wire = node.wire();
    wire.create_topic("t", 3, &[])?;
    let asked = |partition| DescribableLogDirTopic::default().with_topic(name("t")).with_partitions(vec![partition]);
    let request = DescribeLogDirsRequest::default().with_topics(Some(vec![asked(0), asked(2)]));
    let response = wire.call(4, &request)?;
    let topics = response.results.iter().flat_map(|directory| &directory.topics);
    let mut found: Vec<_> = topics.flat_map(|topic| &topic.partitions).map(|found| found.partition_index).collect();
    found.sort_unstable();
    assert_eq!(found, [0, 2]);
    Ok(())
}

fn wait_until_in(wire: &mut Wire, topic: &str, directory: &Path) {
    eventually("the replica lies there", || {
        let found = described(wire, topic).ok()?;
        (found.len() == 1 && found[0].0 == directory && !found[0].1.is_future_key).then_some(())
    });
}

fn values(wire: &mut Wire, topic: &str, partition: i32) -> Result<Vec<String>> {
    let (mut values, end) = (Vec::new(), wire.list_offset(topic, partition, -1)?.offset);
    let mut next = 0;
    while next < end {
        let fetched = wire.fetch(topic, partition, next)?;
        let batches = parse(&fetched.records.unwrap_or_default());
        for batch in &batches {
            values.extend(batch.texts());
        }
        next = values.len() as i64;
    }
    Ok(values)
}

#[test]
fn new_partitions_spread_over_the_directories() -> Result<()> {
    if only_ottla() {
        return Ok(());
    }
    let node = start();
    node.wire().create_topic("spread", 6, &[])?;
    let in_first = (0..6).filter(|&partition| has_log(&first(&node), "spread", partition)).count();
    let in_second = (0..6).filter(|&partition| has_log(&second(&node), "spread", partition)).count();
    assert_eq!((in_first, in_second), (3, 3));
    Ok(())
}

#[test]
fn a_replica_moves_while_it_is_written_and_read() -> Result<()> {
    if only_ottla() {
        return Ok(());
    }
    let mut node = start();
    let mut wire = node.wire();
    wire.create_topic("moved", 1, &[("segment.bytes", "1048576")])?;
    let (id, epoch) = wire.new_producer()?;
    let large = "x".repeat(10_000);
    let mut sequence = 0;
    let mut append = |wire: &mut Wire| -> Result<()> {
        let batch = Batch::of_values(&[&format!("{sequence} {large}")]).from_producer(id, epoch, sequence);
        assert_eq!(wire.append("moved", 0, &batch.encode())?, i64::from(sequence));
        sequence += 1;
        Ok(())
    };
    for _ in 0..300 {
        append(&mut wire)?;
    }
    let (home, other) = home_and_other(&node, "moved", 0);
    for (from, to) in [(&home, &other), (&other, &home)] {
        assert_eq!(alter(&mut wire, 2, "moved", 0, to)?, 0);
        let (bootstrap, to_watch) = (node.bootstrap(), to.clone());
        let watcher = std::thread::spawn(move || {
            wait_until_in(&mut Wire::connect(&bootstrap).expect("a connection"), "moved", &to_watch);
        });
        while !watcher.is_finished() {
            append(&mut wire)?;
        }
        watcher.join().expect("the replica moves");
        append(&mut wire)?;
        assert!(has_log(to, "moved", 0) && !has_log(from, "moved", 0));
    }
    let check = |wire: &mut Wire| -> Result<()> {
        let found = values(wire, "moved", 0)?;
        assert_eq!(found.len(), sequence as usize);
        for (number, value) in found.iter().enumerate() {
            assert!(value.starts_with(&format!("{number} ")), "at {number}: {}", &value[..20]);
        }
        Ok(())
    };
    check(&mut wire)?;
    // The producer is known in the new place: a batch that comes again is no new one.
    let again = Batch::of_values(&[&format!("{} {large}", sequence - 1)]).from_producer(id, epoch, sequence - 1);
    assert_eq!(wire.append("moved", 0, &again.encode())?, i64::from(sequence - 1));
    for stop in [Node::restart, Node::kill_and_restart] {
        stop(&mut node);
        check(&mut node.wire())?;
    }
    Ok(())
}

/// A throttle holds the move up, so that what is under way can be seen, survives a kill, and can be called off.
#[test]
fn a_move_under_way_is_shown_survives_a_kill_and_is_called_off() -> Result<()> {
    if only_ottla() {
        return Ok(());
    }
    let slow = ("replica.alter.log.dirs.io.max.bytes.per.second", "20000");
    let mut node = Node::with(&[TWO[0], TWO[1], slow]);
    let mut wire = node.wire();
    wire.create_topic("slow", 1, &[])?;
    for _ in 0..100 {
        wire.append("slow", 0, &Batch::of_values(&[&"x".repeat(10_000)]).encode())?;
    }
    let (home, other) = home_and_other(&node, "slow", 0);
    assert_eq!(alter(&mut wire, 2, "slow", 0, &other)?, 0);
    let under_way = |wire: &mut Wire| {
        eventually("a copy that lags", || {
            let found = described(wire, "slow").ok()?;
            let future = found.iter().find(|(_, partition)| partition.is_future_key)?;
            let current = found.iter().find(|(_, partition)| !partition.is_future_key)?;
            let lags = future.1.offset_lag > 0 && future.1.partition_size < current.1.partition_size;
            (found.len() == 2 && future.0 == other && current.0 == home && lags).then_some(())
        });
    };
    under_way(&mut wire);
    node.kill_and_restart();
    let mut wire = node.wire();
    under_way(&mut wire);
    node.restart();
    let mut wire = node.wire();
    under_way(&mut wire);
    assert_eq!(alter(&mut wire, 1, "slow", 0, &home)?, 0, "back to where it is");
    wait_until_in(&mut wire, "slow", &home);
    eventually("no copy is left", || {
        let names = std::fs::read_dir(&other).ok()?.flatten().map(|entry| entry.file_name());
        (!names.into_iter().any(|name| name.to_string_lossy().starts_with("slow-"))).then_some(())
    });
    // A topic that goes takes its copy along.
    assert_eq!(alter(&mut wire, 2, "slow", 0, &other)?, 0);
    wire.delete_topic("slow")?;
    eventually("no folder is left", || {
        let all = [&home, &other].into_iter().filter_map(|directory| std::fs::read_dir(directory).ok());
        let mut names = all.flatten().flatten().map(|entry| entry.file_name());
        (!names.any(|name| name.to_string_lossy().starts_with("slow-"))).then_some(())
    });
    Ok(())
}

#[test]
fn what_cannot_be_moved_is_refused() -> Result<()> {
    let node = Node::start();
    let mut wire = node.wire();
    wire.create_topic("t", 1, &[])?;
    let there = first(&node);
    for version in 1..=2 {
        let mut check = |topic: &str, partition, directory: &Path, expected| -> Result<()> {
            assert_eq!(alter(&mut wire, version, topic, partition, directory)?, expected, "{topic}-{partition}");
            Ok(())
        };
        check("t", 0, &there, 0)?;
        check("t", 0, Path::new("/no/such/directory"), LOG_DIR_NOT_FOUND)?;
        check("t", 0, &there.join(""), LOG_DIR_NOT_FOUND)?;
        check("t", 0, Path::new("data"), LOG_DIR_NOT_FOUND)?;
        check("t", 7, &there, UNKNOWN_TOPIC_OR_PARTITION)?;
        check("absent", 0, &there, UNKNOWN_TOPIC_OR_PARTITION)?;
        check("absent", 0, Path::new("/no/such/directory"), LOG_DIR_NOT_FOUND)?;
        check(&"t".repeat(240), 0, &there, INVALID_TOPIC_EXCEPTION)?;
    }
    Ok(())
}

/// As Kafka remembers it: the answer says that there is no such partition, and the wish stands.
#[test]
fn a_wish_for_a_topic_that_comes_later_is_granted() -> Result<()> {
    if only_ottla() {
        return Ok(());
    }
    let mut node = start();
    let mut wire = node.wire();
    for partition in 0..3 {
        assert_eq!(alter(&mut wire, 2, "wished", partition, &second(&node))?, UNKNOWN_TOPIC_OR_PARTITION);
    }
    wire.create_topic("wished", 3, &[])?;
    node.restart();
    node.wire().append("wished", 2, &Batch::of_values(&["a"]).encode())?;
    assert!((0..3).all(|partition| has_log(&second(&node), "wished", partition)));
    Ok(())
}

/// A file where a directory should be: the directory cannot be opened. The first one holds the metadata.
#[test]
fn a_directory_that_fails_takes_only_its_own_along() -> Result<()> {
    if only_ottla() {
        return Ok(());
    }
    let mut node = start();
    let mut wire = node.wire();
    wire.create_topic("t", 4, &[])?;
    for partition in 0..4 {
        wire.append("t", partition, &Batch::of_values(&["a"]).encode())?;
    }
    let (lost, left): (Vec<i32>, Vec<i32>) = (0..4).partition(|&partition| has_log(&second(&node), "t", partition));
    node.terminate();
    let aside = node.scratch().join("aside");
    std::fs::rename(second(&node), &aside)?;
    std::fs::write(second(&node), "not a directory")?;
    node.run();
    let mut wire = node.wire();
    let batch = Batch::of_values(&["b"]).encode();
    for partition in lost.iter().copied() {
        assert_eq!(wire.produce("t", partition, -1, &batch)?.error_code, KAFKA_STORAGE_ERROR);
        assert_eq!(alter(&mut wire, 2, "t", partition, &first(&node))?, KAFKA_STORAGE_ERROR);
    }
    for partition in left.iter().copied() {
        assert_eq!(wire.append("t", partition, &batch)?, 1);
        assert_eq!(alter(&mut wire, 2, "t", partition, &second(&node))?, KAFKA_STORAGE_ERROR);
    }
    let response = wire.call(4, &DescribeLogDirsRequest::default().with_topics(None))?;
    let codes: Vec<i16> = response.results.iter().map(|result| result.error_code).collect();
    assert_eq!(codes, [0, KAFKA_STORAGE_ERROR]);
    wire.create_topic("later", 3, &[])?;
    assert!((0..3).all(|partition| has_log(&first(&node), "later", partition)));

    node.terminate();
    std::fs::remove_file(second(&node))?;
    std::fs::rename(&aside, second(&node))?;
    node.run();
    let mut wire = node.wire();
    for partition in lost {
        eventually("it is back", || (wire.append("t", partition, &batch).ok()? == 1).then_some(()));
    }
    Ok(())
}

fn reassign(node: &Node, arguments: &[&str]) -> Ran {
    let bootstrap = node.bootstrap();
    let server = ["--bootstrap-server", &bootstrap];
    let class = "org.apache.kafka.tools.reassign.ReassignPartitionsCommand";
    run(kafka_tool(class, server.iter().chain(arguments)), b"")
}

#[test]
fn kafkas_tool_moves_replicas_between_directories() -> Result<()> {
    if only_ottla() {
        return Ok(());
    }
    let node = start();
    let mut wire = node.wire();
    wire.create_topic("cli", 1, &[])?;
    wire.append("cli", 0, &Batch::of_values(&["a", "b"]).encode())?;
    let (_, other) = home_and_other(&node, "cli", 0);
    let plan = format!(
        r#"{{"version":1,"partitions":[{{"topic":"cli","partition":0,"replicas":[1],"log_dirs":["{}"]}}]}}"#,
        other.display()
    );
    let file = node.scratch().join("plan.json");
    std::fs::write(&file, plan)?;
    let file = file.display().to_string();
    let given = ["--reassignment-json-file", &file];
    let throttled = [&given[..], &["--execute", "--replica-alter-log-dirs-throttle", "10000000"]].concat();
    let shown = reassign(&node, &throttled).ok();
    let started = format!("Successfully started moving log directory to {} for replica cli-0", other.display());
    assert!(shown.contains(&started), "{shown}");
    wait_until_in(&mut wire, "cli", &other);
    let shown = reassign(&node, &[&given[..], &["--verify"]].concat()).ok();
    assert!(shown.contains("Reassignment of replica cli-0-1 completed successfully."), "{shown}");
    assert_eq!(values(&mut wire, "cli", 0)?, ["a", "b"]);
    let dirs = run(
        kafka_tool(
            "org.apache.kafka.tools.LogDirsCommand",
            ["--bootstrap-server", &node.bootstrap(), "--describe", "--topic-list", "cli"],
        ),
        b"",
    )
    .ok();
    assert!(dirs.contains(&format!(r#""logDir":"{}""#, other.display())), "{dirs}");
    assert!(dirs.contains(r#""partition":"cli-0""#) && dirs.contains(r#""isFuture":false"#), "{dirs}");
    Ok(())
}
