//! What no client may do to the broker: fill its memory, hold it up, or be let in beyond the limits; and how much it takes
//! by itself.

use anyhow::Result;
use kafka_protocol::messages::{FetchRequest, MetadataRequest};
use ottla_compat_tests::Node;
use ottla_compat_tests::batch::Batch;
use ottla_compat_tests::wait::eventually;
use ottla_compat_tests::wire::{encode, fetch_request};

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
