//! What compaction costs: a compacted topic of which nine records in ten are replaced is filled while cleaning is held
//! back, then let go, and the processor time counted until the cleaner's checkpoint has reached the active segment.

use std::path::Path;
use std::time::Duration;
use std::{fs, thread};

use anyhow::{Context, Result, ensure};
use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::IncrementalAlterConfigsRequest;
use kafka_protocol::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use ottla_compat_tests::Peer;
use ottla_compat_tests::batch::{Batch, Record, seal};
use ottla_compat_tests::wait::within;
use ottla_compat_tests::wire::{produce_request, text};
use rand::rngs::SmallRng;
use rand::{Rng, RngCore, SeedableRng};

use crate::contender::Contender;
use crate::cpu::Cpu;
use crate::fill::{ACKS, send_all};
use crate::report::Report;
use crate::scale::Scale;

const MB: u64 = 1_000_000;
const RECORD_BYTES: usize = 1024;
/// The part of a value that does not compress.
const RANDOM_BYTES: usize = RECORD_BYTES / 2;
/// What a batch of 16 KiB, clients' default, holds.
const BATCH_RECORDS: usize = 16;
const RECORDS_PER_KEY: u64 = 10;
const LZ4: i16 = 3;
const ATTRIBUTES_AT: usize = 21;
const SIZE_AT: usize = 8;
const HEADER_BYTES: usize = 61;

const TOPIC_RESOURCE: i8 = 2;
const SET: i8 = 0;
const LAG: &str = "min.compaction.lag.ms";
const LIMIT: Duration = Duration::from_secs(300);
/// What was written is on the device by then, and no checkpoint's sync is counted.
const SETTLE: Duration = Duration::from_secs(6);

/// The same cleaner for both, and no rest between its rounds.
const PROPERTIES: [(&str, &str); 3] = [
    ("log.cleaner.threads", "1"),
    ("log.cleaner.backoff.ms", "200"),
    ("log.cleaner.dedupe.buffer.size", "134217728"),
];

#[derive(Clone, Copy, Debug, Default)]
struct Cleaned {
    bytes: u64,
    process: f64,
    cleaner: f64,
}

pub fn run(scale: &Scale, report: &mut Report) -> Result<()> {
    let pair = [Peer::Ottla, Peer::Kafka].map(|peer| Contender::with(peer, &PROPERTIES));
    for (codec, name) in [(0, "uncompressed"), (LZ4, "lz4")] {
        let mut sums = [Cleaned::default(); 2];
        for round in 0..scale.warm_up + scale.rounds {
            for (broker, sum) in pair.iter().zip(&mut sums) {
                let done = clean_once(broker, &format!("{name}{round}"), codec, scale.megabytes * MB, round as u64)?;
                let recorded = round >= scale.warm_up;
                eprintln!(
                    "compaction {name} {} {}: {done:?}",
                    broker.name(),
                    if recorded { "round" } else { "warm-up" }
                );
                if recorded {
                    sum.bytes += done.bytes;
                    sum.process += done.process;
                    sum.cleaner += done.cleaner;
                }
            }
        }
        let mut row = |figure: &str, of: fn(&Cleaned) -> f64| {
            let per_second = sums.each_ref().map(|sum| (sum.bytes / MB) as f64 / of(sum));
            report.row("compaction", name, figure, per_second);
        };
        row("MB per CPU second of the cleaner's thread (more is better)", |sum| sum.cleaner);
        row("MB per CPU second of the process (more is better)", |sum| sum.process);
    }
    Ok(())
}

fn clean_once(broker: &Contender, topic: &str, codec: i16, bytes: u64, seed: u64) -> Result<Cleaned> {
    let held_back = [
        ("cleanup.policy", "compact"),
        (LAG, "86400000"),
        ("segment.bytes", "134217728"),
        ("min.cleanable.dirty.ratio", "0.01"),
    ];
    broker.create_topic(topic, 1, false, &held_back)?;
    let mut random = SmallRng::seed_from_u64(seed);
    let count = bytes / (RECORD_BYTES * BATCH_RECORDS) as u64;
    let keys = bytes / RECORD_BYTES as u64 / RECORDS_PER_KEY;
    let requests = (0..count).map(|_| produce_request(topic, 0, ACKS, batch(codec, keys, &mut random)));
    send_all(&mut broker.node.wire(), requests)?;
    // The dirty pages too: their write-back must not fall into the round.
    rustix::fs::sync();
    thread::sleep(SETTLE);

    let folder = broker.node.partition_dir(topic, 0);
    let (active, bytes) = closed_segments(&folder)?;
    let pid = broker.node.pid();
    let cleaner_name = match broker.peer {
        Peer::Ottla => "log-cleaner",
        Peer::Kafka | Peer::OldKafka { .. } => "kafka-log-clean",
    };
    let spent =
        || Ok::<_, anyhow::Error>((Cpu::of_process(pid)?.total(), Cpu::of_threads(pid, cleaner_name)?.total()));
    let before = spent()?;
    release(broker, topic)?;
    let checkpoint = broker.node.log_dir().join("cleaner-offset-checkpoint");
    within(LIMIT, "the topic is cleaned", || (cleaned_up_to(&checkpoint, topic)? >= active).then_some(()));
    let after = spent()?;
    ensure!(closed_segments(&folder)?.1 < bytes / 5, "{topic} is not cleaned");
    broker.delete_topic(topic)?;
    Ok(Cleaned { bytes, process: after.0 - before.0, cleaner: after.1 - before.1 })
}

/// A batch of records with random keys below `keys`.
fn batch(codec: i16, keys: u64, random: &mut SmallRng) -> Bytes {
    let records = (0..BATCH_RECORDS).map(|_| {
        let mut value = vec![b'x'; RECORD_BYTES];
        random.fill_bytes(&mut value[..RANDOM_BYTES]);
        Record::keyed(format!("key-{:012}", random.random_range(0..keys)), value)
    });
    let plain = Batch::of(records.collect()).encode();
    if codec == 0 { plain } else { compressed(&plain) }
}

/// The same batch with its records in an LZ4 frame.
fn compressed(plain: &[u8]) -> Bytes {
    let mut frame = lz4::EncoderBuilder::new();
    // As Kafka's producer writes it.
    frame.block_mode(lz4::BlockMode::Independent).checksum(lz4::ContentChecksum::NoChecksum);
    let encoder = frame.build(Vec::new());
    let (frame, done) = encoder
        .and_then(|mut encoder| {
            std::io::Write::write_all(&mut encoder, &plain[HEADER_BYTES..])?;
            Ok(encoder.finish())
        })
        .expect("memory takes everything");
    done.expect("memory takes everything");
    let mut batch = BytesMut::from(&plain[..HEADER_BYTES]);
    batch.extend_from_slice(&frame);
    let size = (batch.len() - SIZE_AT - 4) as i32;
    batch[SIZE_AT..SIZE_AT + 4].copy_from_slice(&size.to_be_bytes());
    batch[ATTRIBUTES_AT..ATTRIBUTES_AT + 2].copy_from_slice(&LZ4.to_be_bytes());
    seal(&mut batch);
    batch.freeze()
}

/// Where the active segment begins, and the bytes of the log before it.
fn closed_segments(folder: &Path) -> Result<(i64, u64)> {
    let mut segments = Vec::new();
    for entry in fs::read_dir(folder)?.flatten() {
        let name = entry.file_name();
        let base = name.to_str().and_then(|name| name.strip_suffix(".log")).and_then(|base| base.parse::<i64>().ok());
        if let Some(base) = base {
            segments.push((base, entry.metadata()?.len()));
        }
    }
    segments.sort_unstable();
    let (active, _) = segments.pop().context("a segment")?;
    Ok((active, segments.iter().map(|(_, bytes)| bytes).sum()))
}

/// Lets the cleaner have the topic.
fn release(broker: &Contender, topic: &str) -> Result<()> {
    let config =
        AlterableConfig::default().with_name(text(LAG)).with_value(Some(text("0"))).with_config_operation(SET);
    let resource = AlterConfigsResource::default()
        .with_resource_type(TOPIC_RESOURCE)
        .with_resource_name(text(topic))
        .with_configs(vec![config]);
    let request = IncrementalAlterConfigsRequest::default().with_resources(vec![resource]);
    let answer = broker.node.wire().call(1, &request)?;
    let code = answer.responses.first().context("an answer")?.error_code;
    ensure!(code == 0, "configs of {topic}: error {code}");
    Ok(())
}

/// What the cleaner's checkpoint says of the topic's only partition.
fn cleaned_up_to(checkpoint: &Path, topic: &str) -> Option<i64> {
    let content = fs::read_to_string(checkpoint).ok()?;
    let line = content.lines().find_map(|line| line.strip_prefix(&format!("{topic} 0 ")))?;
    line.trim().parse().ok()
}
