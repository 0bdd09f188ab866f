//! One batch into the log, and out of it again.

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use ottla::config::LogConfig;
use ottla::ids::{LeaderEpoch, Offset, TopicPartition};
use ottla::io::{Disk, RealDisk};
use ottla::log::append::AppendContext;
use ottla::log::directory::PartitionDirectory;
use ottla::log::health::DirectoryHealth;
use ottla::log::leader_epochs::LeaderEpochs;
use ottla::log::partition_log::{LogParts, PartitionLog};
use ottla::log::producer_state::{AppendOrigin, ProducerStateConfig, ProducerStateManager};
use ottla::protocol::records::{NewRecord, RecordBatchBuilder};

const NOW_MS: i64 = 1_700_000_000_000;

fn new_log(root: &Path) -> Arc<PartitionLog> {
    let disk = RealDisk::new(1).unwrap();
    let path = root.join("topic-0");
    disk.create_directory(&path).unwrap();
    PartitionLog::open(LogParts {
        topic_partition: TopicPartition::new("topic", 0),
        directory: PartitionDirectory::new(disk, path.clone()),
        health: DirectoryHealth::new(path, Box::new(|_, _| {})),
        // Small segments, which retention removes again, so that a long run does not fill the disk.
        config: Arc::new(LogConfig {
            segment_bytes: 64 << 20,
            retention_bytes: 64 << 20,
            file_delete_delay_ms: 0,
            ..LogConfig::default()
        }),
        segments: Vec::new(),
        producer_state: ProducerStateManager::new(ProducerStateConfig::default()),
        leader_epochs: LeaderEpochs::new(),
        log_start_offset: Offset::ZERO,
        log_end_offset: Offset::ZERO,
        high_watermark: Offset::ZERO,
        recovery_point: Offset::ZERO,
        has_snapshot: true,
        unsynced_snapshots: Vec::new(),
        epochs_changed: false,
        now_ms: NOW_MS,
    })
    .unwrap()
}

fn batch(value_bytes: usize) -> Bytes {
    let value = vec![7; value_bytes];
    let mut builder = RecordBatchBuilder::new(Offset::ZERO);
    builder.append(&NewRecord { timestamp_ms: NOW_MS, key: None, value: Some(&value), headers: &[] });
    builder.build().unwrap().into()
}

fn append_and_read(criterion: &mut Criterion) {
    let context = AppendContext { leader_epoch: LeaderEpoch(1), origin: AppendOrigin::Client, now_ms: NOW_MS };
    for value_bytes in [100, 16 << 10] {
        let root = tempfile::tempdir().unwrap();
        let log = new_log(root.path());
        let records = batch(value_bytes);
        let mut group = criterion.benchmark_group(format!("batch of {} bytes", records.len()));
        group.throughput(Throughput::Bytes(records.len() as u64));
        let mut appends = 0;
        group.bench_function("append", |bencher| {
            bencher.iter(|| {
                appends += 1;
                if appends % 10_000 == 0 {
                    log.set_high_watermark(log.log_end_offset());
                    log.delete_old_segments(NOW_MS).unwrap();
                    log.remove_due_files(NOW_MS).unwrap();
                }
                log.append_as_leader(black_box(&records), &context).unwrap()
            });
        });
        let end = log.log_end_offset();
        let last = end + -1;
        group.bench_function("read the newest", |bencher| {
            bencher.iter(|| log.read(black_box(last), 1 << 20, true, end).unwrap());
        });
        let old = log.log_start_offset() + 100;
        group.bench_function("read an old one", |bencher| {
            bencher.iter(|| log.read(black_box(old), 1, true, end).unwrap());
        });
    }
}

criterion_group!(benches, append_and_read);
criterion_main!(benches);
