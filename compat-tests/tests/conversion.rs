//! Topics that do not keep batches as they came: another compression, the broker's time.

use anyhow::{Context, Result};
use ottla_compat_tests::Node;
use ottla_compat_tests::batch::{Batch, now_ms, parse};
use ottla_compat_tests::librdkafka::{Sender, read_all};

const CODECS: [(&str, i16); 5] = [("none", 0), ("gzip", 1), ("snappy", 2), ("lz4", 3), ("zstd", 4)];

fn send(node: &Node, topic: &str, codec: &str) {
    let settings = [("compression.codec", codec), ("linger.ms", "50"), ("enable.idempotence", "true")];
    let sender = Sender::new(&node.bootstrap(), &settings);
    for n in 0..100 {
        sender.send(topic, Some(0), &n.to_string(), "again and again ".repeat(20).as_bytes());
    }
    sender.finish_ok();
}

/// The compression of every batch in partition 0.
fn stored(node: &Node, topic: &str) -> Result<Vec<i16>> {
    let records = node.wire().fetch(topic, 0, 0)?.records.context("records")?;
    Ok(parse(&records).iter().map(|batch| batch.attributes & 7).collect())
}

#[test]
fn the_producers_compression_is_kept_by_default() -> Result<()> {
    let node = Node::start();
    for (codec, number) in CODECS {
        node.wire().create_topic(codec, 1, &[])?;
        send(&node, codec, codec);
        assert!(stored(&node, codec)?.iter().all(|&found| found == number), "{codec}");
    }
    Ok(())
}

#[test]
fn a_topic_with_a_compression_of_its_own_converts() -> Result<()> {
    let node = Node::start();
    for (wanted, number) in CODECS {
        let configured = if wanted == "none" { "uncompressed" } else { wanted };
        for (sent, _) in CODECS {
            let topic = format!("{sent}-to-{wanted}");
            node.wire().create_topic(&topic, 1, &[("compression.type", configured)])?;
            send(&node, &topic, sent);
            assert!(stored(&node, &topic)?.iter().all(|&found| found == number), "{topic}");
            let read = read_all(&node.bootstrap(), &topic, 0);
            assert_eq!(read.len(), 100, "{topic}");
            for (n, record) in read.iter().enumerate() {
                assert_eq!((record.offset, record.key_text()), (n as i64, n.to_string()), "{topic}");
            }
        }
    }
    Ok(())
}

#[test]
fn log_append_time_reaches_records_of_every_codec() -> Result<()> {
    let node = Node::start();
    for (codec, _) in CODECS {
        let topic = format!("stamped-{codec}");
        node.wire().create_topic(&topic, 1, &[("message.timestamp.type", "LogAppendTime")])?;
        let before = now_ms();
        send(&node, &topic, codec);
        let after = now_ms();
        for record in read_all(&node.bootstrap(), &topic, 0) {
            let stamp = record.timestamp_ms.context("a timestamp")?;
            assert!((before..=after).contains(&stamp), "{codec}: {before} <= {stamp} <= {after}");
        }
    }
    Ok(())
}

#[test]
fn a_batch_that_says_it_is_compressed_but_is_not_is_refused() -> Result<()> {
    let node = Node::start();
    let mut wire = node.wire();
    // Only a topic that looks into its batches can tell.
    wire.create_topic("looked-into", 1, &[("compression.type", "uncompressed")])?;
    for (codec, number) in &CODECS[1..] {
        let mut batch = Batch::of_values(&["plain text that no codec made"]);
        batch.attributes = *number;
        let answer = wire.produce("looked-into", 0, -1, &batch.encode())?;
        assert_ne!(answer.error_code, 0, "{codec}");
    }
    assert_eq!(wire.list_offset("looked-into", 0, -1)?.offset, 0);
    Ok(())
}
