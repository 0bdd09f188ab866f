//! What no client may do to the broker: fill its memory, hold it up, or be let in beyond the limits; and how much it takes
//! by itself.

use anyhow::Result;
use kafka_protocol::messages::describe_producers_request::TopicRequest;
use kafka_protocol::messages::{DescribeProducersRequest, FetchRequest, MetadataRequest, ProduceRequest};
use ottla_compat_tests::batch::{Batch, now_ms, parse};
use ottla_compat_tests::wait::eventually;
use ottla_compat_tests::wire::{Wire, encode, fetch_request, name, produce_request};
use ottla_compat_tests::{Node, only_ottla};

#[test]
fn a_client_that_does_not_read_is_not_buffered_for() -> Result<()> {
    let node = Node::start();
    let mut wire = node.wire();
    wire.create_topic("wide", 1, &[])?;
    for _ in 0..10 {
        wire.append("wide", 0, &Batch::of_values(&["x".repeat(900_000).as_str()]).encode())?;
    }
    let before = node.rss_bytes();
    // Half a gigabyte asked for on ten connections, none of it read.
    let mut silent: Vec<_> = (0..10).map(|_| node.wire()).collect();
    for wire in &mut silent {
        for _ in 0..50 {
            wire.send(12, &fetch_request("wide", 0, 0).with_max_bytes(1 << 20))?;
        }
    }
    for offset in 0..10 {
        assert_eq!(wire.fetch("wide", 0, offset)?.error_code, 0, "others are served meanwhile");
    }
    let grown = node.rss_bytes().saturating_sub(before);
    assert!(grown < 150 << 20, "{grown} bytes for answers that nobody reads");
    for wire in &mut silent {
        for _ in 0..50 {
            wire.receive::<FetchRequest>(12)?;
        }
    }
    Ok(())
}

#[test]
fn a_flood_of_requests_is_answered_in_order_within_bounds() -> Result<()> {
    const REQUESTS: usize = 20_000;
    let node = Node::start();
    let before = node.rss_bytes();
    let mut writer = node.wire();
    std::thread::scope(|scope| -> Result<()> {
        let mut reader = writer.split()?;
        scope.spawn(move || {
            for n in 0..REQUESTS {
                let request = MetadataRequest::default().with_topics(Some(Vec::new()));
                writer.send_frame(&encode(n as i32, 1, &request).expect("a frame")).expect("sent");
            }
        });
        for _ in 0..REQUESTS {
            reader.receive::<MetadataRequest>(1)?;
        }
        Ok(())
    })?;
    let grown = node.rss_bytes().saturating_sub(before);
    assert!(grown < 150 << 20, "{grown} bytes");
    Ok(())
}

#[test]
fn a_frame_beyond_the_configured_size_closes_the_connection() -> Result<()> {
    let node = Node::with(&[("socket.request.max.bytes", "100000")]);
    let mut wire = node.wire();
    wire.create_topic("small-frames", 1, &[])?;
    wire.append("small-frames", 0, &Batch::of_values(&["x".repeat(90_000).as_str()]).encode())?;
    let mut large = node.wire();
    large.send_bytes(&100_001i32.to_be_bytes())?;
    assert!(large.read_frame()?.is_none());
    assert_eq!(wire.list_offset("small-frames", 0, -1)?.offset, 1);
    Ok(())
}

#[test]
fn connections_that_vanish_leave_nothing_behind() -> Result<()> {
    let mut node = Node::start();
    node.wire().create_topic("left", 1, &[])?;
    let before = node.rss_bytes();
    for _ in 0..500 {
        let mut wire = node.wire();
        // A long poll is under way, half a frame is there, and the client is gone.
        wire.send(12, &fetch_request("left", 0, 0).with_max_wait_ms(600_000))?;
        wire.send_bytes(&[0, 0, 1])?;
    }
    assert!(node.is_running());
    eventually("their memory is back", || (node.rss_bytes() < before + (50 << 20)).then_some(()));
    assert_eq!(node.wire().append("left", 0, &Batch::of_values(&["still here"]).encode())?, 0);
    Ok(())
}

#[test]
fn a_partition_keeps_one_file_open() -> Result<()> {
    const PARTITIONS: usize = 400;
    let node = Node::with_open_files((2000, 2000), &[]);
    let mut wire = node.wire();
    let before = node.open_files();
    wire.create_topic("many", PARTITIONS as i32, &[])?;
    let batch = Batch::of_values(&["x"]).encode();
    for partition in 0..PARTITIONS as i32 {
        wire.append("many", partition, &batch)?;
    }
    // The first checkpoint writes all indexes, and opens one at a time.
    let checkpoint = node.log_dir().join("recovery-point-offset-checkpoint");
    eventually("a checkpoint", || std::fs::read_to_string(&checkpoint).ok()?.contains("many 399 1").then_some(()));
    let open_files = node.open_files();
    assert!((PARTITIONS..PARTITIONS + 20).contains(&(open_files - before)), "{open_files} after {before}");
    Ok(())
}

/// Few descriptors, of which logs keep a part.
const FEW_FILES: (u64, u64) = (512, 512);

/// Reads one record of each of these offsets.
fn read_each(wire: &mut Wire, topic: &str, partition: i32, offsets: std::ops::Range<i64>) -> Result<()> {
    for offset in offsets {
        let request = fetch_request(topic, partition, offset).with_max_bytes(1);
        let response = wire.call(12, &request)?;
        let found = &response.responses[0].partitions[0];
        assert_eq!(found.error_code, 0);
        let batches = parse(&found.records.clone().unwrap_or_default());
        assert_eq!((batches[0].base_offset, batches[0].texts()), (offset, vec![format!("{partition}/{offset}")]));
    }
    Ok(())
}

fn is_led(wire: &mut Wire, topic: &str, partitions: i32) {
    let mut led = |partition| wire.list_offset(topic, partition, -1).is_ok_and(|found| found.error_code == 0);
    (0..partitions).for_each(|partition| eventually("the partition is led", || led(partition).then_some(())));
}

#[test]
fn more_partitions_than_descriptors_are_written_and_read() -> Result<()> {
    if only_ottla() {
        return Ok(());
    }
    const PARTITIONS: i32 = 1200;
    let mut node = Node::with_open_files(FEW_FILES, &[]);
    let mut wire = node.wire();
    wire.create_topic("wide", PARTITIONS, &[])?;
    for round in 0..2 {
        for partition in 0..PARTITIONS {
            let value = format!("{partition}/{round}");
            assert_eq!(wire.append("wide", partition, &Batch::of_values(&[&value]).encode())?, round);
        }
    }
    assert!(node.open_files() < 400, "{}", node.open_files());
    for stop in [|_: &mut Node| (), Node::kill_and_restart, Node::restart] {
        stop(&mut node);
        let mut wire = node.wire();
        is_led(&mut wire, "wide", PARTITIONS);
        for partition in 0..PARTITIONS {
            read_each(&mut wire, "wide", partition, 0..2)?;
        }
        assert!(node.open_files() < 400, "{}", node.open_files());
    }
    assert!(!node.output().contains("Too many open files"));
    Ok(())
}

#[test]
fn more_closed_segments_than_descriptors_are_read() -> Result<()> {
    if only_ottla() {
        return Ok(());
    }
    const PARTITIONS: i32 = 20;
    const SEGMENTS: i64 = 60;
    let mut node = Node::with_open_files(FEW_FILES, &[("log.retention.check.interval.ms", "300")]);
    let mut wire = node.wire();
    // Records two seconds apart by their own clock: each goes to a segment of its own.
    wire.create_topic("long", PARTITIONS, &[("segment.ms", "1000"), ("file.delete.delay.ms", "0")])?;
    let began_ms = now_ms();
    for offset in 0..SEGMENTS {
        for partition in 0..PARTITIONS {
            let batch = Batch::of_values(&[&format!("{partition}/{offset}")]).at(began_ms + offset * 2000);
            assert_eq!(wire.append("long", partition, &batch.encode())?, offset);
        }
    }
    let is_log = |entry: &std::fs::DirEntry| entry.path().extension().is_some_and(|extension| extension == "log");
    let logs = std::fs::read_dir(node.partition_dir("long", 0))?.flatten().filter(is_log).count();
    assert_eq!(logs as i64, SEGMENTS);
    for stop in [|_: &mut Node| (), Node::kill_and_restart] {
        stop(&mut node);
        is_led(&mut node.wire(), "long", PARTITIONS);
        // Everybody reads at the same time, each from somewhere else.
        std::thread::scope(|scope| {
            let readers: Vec<_> = (0..PARTITIONS)
                .map(|partition| {
                    let mut wire = node.wire();
                    let middle = i64::from(partition) % SEGMENTS;
                    scope.spawn(move || -> Result<()> {
                        read_each(&mut wire, "long", partition, middle..SEGMENTS)?;
                        read_each(&mut wire, "long", partition, 0..middle)
                    })
                })
                .collect();
            readers.into_iter().try_for_each(|reader| reader.join().expect("a reader"))
        })?;
        assert!(node.open_files() < 400, "{}", node.open_files());
    }
    // Files that are not open are deleted as well as those that are.
    let mut wire = node.wire();
    assert_eq!(wire.delete_records("long", 7, SEGMENTS - 1)?, (0, SEGMENTS - 1));
    eventually("all but the last segment is deleted", || {
        let left = std::fs::read_dir(node.partition_dir("long", 7)).ok()?.flatten();
        (left
            .filter(|entry| entry.path().extension().is_some_and(|ending| ending == "deleted" || ending == "log"))
            .count()
            == 1)
            .then_some(())
    });
    read_each(&mut wire, "long", 7, SEGMENTS - 1..SEGMENTS)?;
    assert!(!node.output().contains("Too many open files"));
    Ok(())
}

/// One batch for each of so many producer ids, all to one partition.
fn write_as_many_producers(node: &Node, producers: i64) -> Result<()> {
    node.wire().create_topic("crowded", 1, &[])?;
    let mut reader = node.wire();
    let mut writer = reader.split()?;
    std::thread::scope(|scope| -> Result<()> {
        scope.spawn(move || {
            for id in 0..producers {
                let batch = Batch::of_values(&["x"]).from_producer(FIRST_ID + id, 0, 0).encode();
                writer.send(9, &produce_request("crowded", 0, 1, batch)).expect("sent");
            }
        });
        for _ in 0..producers {
            let response = reader.receive::<ProduceRequest>(9)?;
            assert_eq!(response.responses[0].partition_responses[0].error_code, 0);
        }
        Ok(())
    })
}

const FIRST_ID: i64 = 1_000_000_000;

fn crowd(producers: i64) -> Result<()> {
    if only_ottla() {
        return Ok(());
    }
    let node = Node::start();
    let before = node.rss_bytes();
    write_as_many_producers(&node, producers)?;
    let grown = node.rss_bytes().saturating_sub(before);
    eprintln!("{producers} producer ids: {grown} bytes more");
    assert!(grown < 100 << 20, "{grown} bytes");
    let mut wire = node.wire();
    let topic = TopicRequest::default().with_name(name("crowded")).with_partition_indexes(vec![0]);
    let response = wire.call(0, &DescribeProducersRequest::default().with_topics(vec![topic]))?;
    let known = response.topics[0].partitions[0].active_producers.len();
    assert!((90_000..=100_000).contains(&known), "{known}");
    // Those that wrote last are known, and those that are not go on all the same.
    let batch = |id: i64, sequence| Batch::of_values(&["x"]).from_producer(FIRST_ID + id, 0, sequence).encode();
    assert_eq!(wire.append("crowded", 0, &batch(producers - 1, 0))?, producers - 1, "a duplicate keeps its offset");
    assert_eq!(wire.append("crowded", 0, &batch(0, 1))?, producers);
    Ok(())
}

#[test]
fn producer_ids_are_remembered_within_bounds() -> Result<()> {
    crowd(110_000)
}

#[test]
#[ignore = "slow: make compat"]
fn a_million_producer_ids_are_remembered_within_bounds() -> Result<()> {
    crowd(1_000_000)
}
