//! Seeds: what a broker is sent and what it leaves on its disk, so that a fuzzer need not find the way there. Those of
//! `adopt`, `batch`, `decompress` and `requests` are Kafka's own bytes and were kept as they are.

mod requests;

use bytes::Bytes;
use ottla::ids::{LeaderEpoch, Offset, ProducerEpoch, ProducerId};
use ottla::log::directory::FileKind;
use ottla::protocol::batch::Compression;
use ottla::protocol::frame;
use ottla::protocol::records::{EndTransactionMarker, NewRecord, RecordBatchBuilder, TransactionOutcome};

use super::files::KINDS;
use super::recovery::{self, old_log};

/// One seed: its target, the name of its file, its bytes.
pub type Seed = (&'static str, String, Vec<u8>);

/// All seeds that are made here.
pub fn all() -> Vec<Seed> {
    let mut seeds = Vec::new();
    connections(&mut seeds);
    appends(&mut seeds);
    files(&mut seeds);
    indexes(&mut seeds);
    log_directories(&mut seeds);
    what_kafka_left(&mut seeds);
    records(&mut seeds);
    seeds
}

/// Every API in its oldest and its newest version; then several requests on one connection.
fn connections(seeds: &mut Vec<Seed>) {
    let (mut pipeline, mut all_requests) = (Vec::new(), Vec::new());
    for request in requests::all() {
        let name = format!("{}-{}", request.name, request.version);
        let frame = request.frame();
        let (_, content) = frame.split_at(frame::SIZE_BYTES);
        let for_dispatch = [&(content.len() as u16).to_be_bytes(), content].concat();
        if request.is_newest {
            seeds.push(("header", name.clone(), content.to_vec()));
        }
        if ["Produce", "Fetch", "Metadata", "ListOffsets"].contains(&request.name) && request.is_newest {
            pipeline.extend_from_slice(&frame);
            all_requests.extend_from_slice(&for_dispatch);
        }
        seeds.push(("dispatch", name, for_dispatch));
    }
    seeds.push(("frames", "pipeline".to_owned(), pipeline));
    seeds.push(("dispatch", "pipeline".to_owned(), all_requests));
}

/// For each way in which a topic may treat them, a batch of each kind that a producer may send.
fn appends(seeds: &mut Vec<Seed>) {
    for choice in 0..11 {
        let codecs = [Compression::None, Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];
        let batch = batch(RecordBatchBuilder::new(Offset::ZERO).compression(codecs[choice % 5], None));
        seeds.push(("append", format!("config-{choice}"), [&[choice as u8], &batch[..]].concat()));
    }
    let idempotent = batch(RecordBatchBuilder::new(Offset::ZERO).producer(ProducerId(5), ProducerEpoch(0), 0));
    seeds.push(("append", "idempotent".to_owned(), [&[0], &idempotent[..]].concat()));
    let transactional =
        batch(RecordBatchBuilder::new(Offset::ZERO).producer(ProducerId(5), ProducerEpoch(0), 0).transactional());
    seeds.push(("append", "transactional".to_owned(), [&[0x40], &transactional[..]].concat()));
    let marker = EndTransactionMarker { outcome: TransactionOutcome::Abort, coordinator_epoch: 3 };
    let marker = marker.batch(Offset::ZERO, LeaderEpoch(0), 1, ProducerId(5), ProducerEpoch(0));
    seeds.push(("append", "marker".to_owned(), [&[0x40], &marker[..]].concat()));
}

fn batch(mut builder: RecordBatchBuilder) -> Bytes {
    for at in 0..3 {
        let headers = [(&b"h"[..], None), (&b"h"[..], Some(&b"v"[..]))];
        let timestamp_ms = super::append::NOW_MS + at;
        builder.append(&NewRecord { timestamp_ms, key: Some(b"key"), value: Some(&[b'v'; 40]), headers: &headers });
    }
    builder.build().expect("records make a batch").into()
}

fn files(seeds: &mut Vec<Seed>) {
    let (mut snapshot, mut snapshots) = (Vec::new(), 0);
    for (path, content) in old_log().iter().filter(|(path, _)| path.extension().is_some_and(|e| e == "snapshot")) {
        if content.len() > snapshot.len() {
            snapshot.clone_from(content);
        }
        snapshots += usize::from(path.is_relative());
    }
    assert!(snapshots > 0, "a closed log has a snapshot");
    let configuration = "# a node\nnode.id=1\nlog.dirs=/data,\\\n  /more\nlisteners=PLAINTEXT://:9092,OTHER://[::1]:9093\n\
        listener.security.protocol.map=PLAINTEXT:PLAINTEXT,OTHER:PLAINTEXT\nlog.retention.ms : 1000\nunknown.key=\\u0041\\t\n\
        listener.name.other.max.connections=5\ninter.broker.listener.name=OTHER\nmax.connections.per.ip.overrides=127.0.0.1:5\n";
    for (at, (name, _)) in KINDS.iter().enumerate() {
        let content: &[u8] = match *name {
            "leader-epoch-checkpoint" => b"0\n3\n0 0\n2 10\n5 1200\n",
            "offset-checkpoint" => b"0\n2\norders 0 1200\norders.eu-1 1 0\n",
            "meta.properties" => {
                b"#\ncluster.id=MkU3OEVBNTcwNTJENDM2Qg\nversion=1\ndirectory.id=JFuNnNNVGxDQ4X9hqyO0pA\nnode.id=1\n"
            }
            "partition.metadata" => b"version: 0\ntopic_id: cJxEX1nhTAyKBCrSuMaHEw",
            "producer-snapshot" => &snapshot,
            "clean-shutdown" => br#"{"version":0,"brokerEpoch":12}"#,
            "server.properties" => configuration.as_bytes(),
            other => panic!("{other} has no seed"),
        };
        seeds.push(("files", (*name).to_owned(), [&[at as u8], content].concat()));
    }
    seeds.push(("files", "meta.properties-0".to_owned(), b"\x02version=0\nbroker.id=7\ncluster.id=a\\ b\n".to_vec()));
}

fn indexes(seeds: &mut Vec<Seed>) {
    for (path, content) in old_log() {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let kind = match FileKind::parse(&name) {
            Some((FileKind::OffsetIndex, _)) => 0,
            Some((FileKind::TimeIndex, _)) => 1,
            Some((FileKind::TxnIndex, _)) => 2,
            _ => continue,
        };
        if content.is_empty() {
            continue;
        }
        let mut seed = vec![kind];
        seed.extend_from_slice(&0_i64.to_be_bytes());
        seed.extend_from_slice(&1000_u32.to_be_bytes());
        seed.extend_from_slice(&5_i64.to_be_bytes());
        seed.extend_from_slice(content);
        seeds.push(("indexes", name, seed));
    }
}

/// A log as a broker leaves it, whole and then with each kind of damage; and one that is made of the input alone.
fn log_directories(seeds: &mut Vec<Seed>) {
    let ways = [
        ("killed", recovery::ON_OLD_LOG),
        ("clean", recovery::ON_OLD_LOG | recovery::CLEAN | recovery::CHECKPOINTED),
        ("checkpointed", recovery::ON_OLD_LOG | recovery::CHECKPOINTED),
        ("compacted", recovery::ON_OLD_LOG | recovery::COMPACTED),
        ("unsealed", recovery::ON_OLD_LOG | recovery::UNSEALED),
    ];
    let files = old_log().iter().filter(|(path, _)| path.starts_with("data/t-0")).count() as u8;
    for (name, flags) in ways {
        seeds.push(("recovery", name.to_owned(), vec![flags]));
        seeds.push(("check", name.to_owned(), vec![flags]));
        for which in 0..files {
            let patch = [12, which, 0, 6, 0, 30, 0xff, 0xff, 0xff, 0xff];
            seeds.push(("recovery", format!("{name}-patched-{which:02}"), [&[flags], &patch[..]].concat()));
            // A bit that rotted under a broker that was stopped in good order.
            let rotten = [12, which, 0, 3, 0, 33 + 8 * which, 1];
            seeds.push(("check", format!("{name}-rotten-{which:02}"), [&[flags], &rotten[..]].concat()));
            if name != "unsealed" && name != "compacted" {
                let cut = [13, which, 0, 2, 0, 100];
                seeds.push(("recovery", format!("{name}-cut-{which:02}"), [&[flags], &cut[..]].concat()));
            }
        }
    }
    for (name, kind) in [("log", 0), ("swap", 10)] {
        let batch = batch(RecordBatchBuilder::new(Offset::ZERO).leader_epoch(LeaderEpoch(1)));
        let mut seed = vec![0, kind, 0];
        seed.extend_from_slice(&(batch.len() as u16).to_be_bytes());
        seed.extend_from_slice(&batch);
        seeds.push(("recovery", format!("new-{name}"), seed));
    }
    let recovery_point = b"0\n1\nt 0 20\n";
    let mut seed = vec![recovery::ON_OLD_LOG | recovery::CHECKPOINTED, 7, 0, 0, recovery_point.len() as u8];
    seed.extend_from_slice(recovery_point);
    seeds.push(("recovery", "recovery-point".to_owned(), seed));
    let old = OLD_MESSAGES.concat();
    let seed = [&[recovery::UNSEALED | recovery::CLEAN, 0, 0, 0, old.len() as u8], &old[..]].concat();
    seeds.push(("check", "old-formats".to_owned(), seed));
    let cleaned = b"0\n1\nt 0 90\n";
    let flags = recovery::ON_OLD_LOG | recovery::CLEAN | recovery::CHECKPOINTED | recovery::COMPACTED;
    let seed = [&[flags, 14, 0, 0, cleaned.len() as u8], &cleaned[..]].concat();
    seeds.push(("check", "cleaned-beyond-the-end".to_owned(), seed));
}

/// Messages of formats v0 and v1, of offsets 0 and 1, without a key.
const OLD_MESSAGES: [&[u8]; 2] = [
    b"\0\0\0\0\0\0\0\0\0\0\0\x0f\xd2\x0c\xbf\xf5\0\0\xff\xff\xff\xff\0\0\0\x01v",
    b"\0\0\0\0\0\0\0\x01\0\0\0\x17\xc1\x67\x2a\xc5\x01\0\0\0\x01\x8b\xcf\xe5\x68\0\xff\xff\xff\xff\0\0\0\x01v",
];

/// Beside the records and the metadata log, which are Kafka's own bytes.
fn what_kafka_left(seeds: &mut Vec<Seed>) {
    let next_producer_id = [&[1, 15, 0][..], &[0; 12], &5000_i64.to_be_bytes(), &[0]].concat();
    let mut snapshot = RecordBatchBuilder::new(Offset::ZERO).leader_epoch(LeaderEpoch(1));
    snapshot.append(&NewRecord { timestamp_ms: 0, key: None, value: Some(&next_producer_id), headers: &[] });
    let snapshot = snapshot.build().expect("a record makes a batch");
    let quorum = br#"{"clusterId":"","leaderId":1,"leaderEpoch":3,"votedId":-1,"appliedOffset":0,"currentVoters":[{"voterId":1}],"data_version":0}"#;
    let note = br#"{"about":"","topic_configs":{"orders":{"id":"cJxEX1nhTAyKBCrSuMaHEw","partitions":3,"settings":{"retention.ms":"1000"}}},"open":true}"#;
    for (kind, name, content) in [(3, "snapshot", &snapshot[..]), (4, "quorum-state", quorum), (5, "note", note)] {
        seeds.push(("adopt", name.to_owned(), [&[kind], content].concat()));
    }
}

/// A record of every type: a key of one letter for each string, and a value of zeros, which are empty strings and lists.
fn records(seeds: &mut Vec<Seed>) {
    for (topic, name, types) in [(0, "group", 0..17_u8), (1, "share", 0..2), (2, "transaction", 0..1)] {
        for kind in types {
            for version in 0..2 {
                let key = [&[0, kind][..], &[0, 1, b'g', 0, 1, b'm', 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1]].concat();
                let value = [&[0, version][..], &[0; 60]].concat();
                let seed = [&[topic, 1, 0, key.len() as u8], &key[..], &value].concat();
                seeds.push(("records", format!("{name}-{kind:02}-{version}"), seed));
            }
        }
    }
}
