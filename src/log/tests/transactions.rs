//! Transactions in one log: what is stable, what retention takes of an open one, and what a restart knows.

use std::path::Path;
use std::sync::Arc;

use crate::config::LogConfig;
use crate::ids::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, TopicPartition};
use crate::io::Disk;
use crate::io::sim::SimDisk;
use crate::log::append::AppendContext;
use crate::log::directory::PartitionDirectory;
use crate::log::health::DirectoryHealth;
use crate::log::partition_log::PartitionLog;
use crate::log::producer_state::{AppendOrigin, ProducerStateConfig};
use crate::log::recovery::{self, LoadRequest};
use crate::log::testing::{NOW_MS, append, context};
use crate::log::txn_index::AbortedTxn;
use crate::protocol::records::{EndTransactionMarker, NewRecord, RecordBatchBuilder, TransactionOutcome};

const FOLDER: &str = "data/topic-0";

struct Case {
    disk: Arc<SimDisk>,
    config: Arc<LogConfig>,
    log: Arc<PartitionLog>,
}

impl Case {
    fn new(config: LogConfig) -> Self {
        let disk = SimDisk::new(3);
        disk.create_directory(Path::new(FOLDER)).unwrap();
        let config = Arc::new(config);
        let log = load(&disk, &config, Offset::ZERO);
        Self { disk, config, log }
    }

    /// One record of a transaction.
    fn write(&self, producer: i64, sequence: i32) -> Offset {
        let mut builder = RecordBatchBuilder::new(Offset::ZERO);
        builder = builder.producer(ProducerId(producer), ProducerEpoch(0), sequence).transactional();
        builder.append(&NewRecord { timestamp_ms: NOW_MS, key: None, value: Some(b"v"), headers: &[] });
        append(&self.log, &builder.build().unwrap().into()).unwrap().base_offset
    }

    fn end(&self, producer: i64, outcome: TransactionOutcome) -> Offset {
        let marker = EndTransactionMarker { outcome, coordinator_epoch: 0 };
        let batch = marker.batch(Offset::ZERO, LeaderEpoch(3), NOW_MS, ProducerId(producer), ProducerEpoch(0));
        let context = AppendContext { origin: AppendOrigin::Coordinator, ..context() };
        self.log.append_as_leader(&batch.into(), &context).unwrap().base_offset
    }

    /// All of it is replicated; what a reader of committed records sees.
    fn replicate(&self) -> Offset {
        self.log.set_high_watermark(self.log.log_end_offset());
        self.log.last_stable_offset()
    }

    fn restart(&mut self) {
        let high_watermark = self.log.high_watermark();
        self.disk.kill();
        self.log = load(&self.disk, &self.config, high_watermark);
    }

    fn aborted(&self, from: i64, up_to: i64) -> Vec<(i64, i64, i64)> {
        let found = self.log.aborted_transactions(Offset(from), Offset(up_to)).unwrap();
        let tell = |aborted: &AbortedTxn| (aborted.producer_id.0, aborted.first_offset.0, aborted.last_offset.0);
        found.iter().map(tell).collect()
    }
}

fn load(disk: &Arc<SimDisk>, config: &Arc<LogConfig>, high_watermark: Offset) -> Arc<PartitionLog> {
    let disk: Arc<dyn Disk> = Arc::clone(disk) as _;
    let request = LoadRequest {
        topic_partition: TopicPartition::new("topic", 0),
        directory: PartitionDirectory::new(disk, FOLDER.into()),
        health: DirectoryHealth::new("data".into(), Box::new(|_, _| {})),
        config: Arc::clone(config),
        producer_state: ProducerStateConfig::default(),
        was_clean: false,
        recovery_point: Offset::ZERO,
        log_start_offset: Offset::ZERO,
        high_watermark,
        syncs: recovery::Syncs::Each,
        now_ms: NOW_MS,
    };
    recovery::load(&request).unwrap().log
}

#[test]
fn the_oldest_open_transaction_ends_what_is_stable() {
    let case = Case::new(LogConfig::default());
    assert_eq!([case.write(1, 0), case.write(2, 0), case.write(1, 1)], [0, 1, 2].map(Offset));
    assert_eq!(case.replicate(), Offset(0));
    case.end(1, TransactionOutcome::Commit);
    assert_eq!(case.log.last_stable_offset(), Offset(0), "the marker is not replicated");
    assert_eq!(case.replicate(), Offset(1), "the other one is open");
    case.end(2, TransactionOutcome::Abort);
    assert_eq!(case.replicate(), Offset(5));
    assert_eq!(case.aborted(0, 5), [(2, 1, 4)]);
    assert_eq!(case.aborted(2, 3), [(2, 1, 4)], "it reaches over them");
    assert_eq!(case.aborted(5, 9), []);
}

#[test]
fn a_restart_knows_what_is_stable() {
    let mut case = Case::new(LogConfig::default());
    case.write(1, 0);
    case.end(1, TransactionOutcome::Abort);
    case.write(2, 0);
    case.end(2, TransactionOutcome::Commit);
    assert_eq!(case.replicate(), Offset(4));
    case.restart();
    // Nobody has told of a high watermark yet but the checkpoint.
    assert_eq!(case.log.last_stable_offset(), Offset(4));
    assert_eq!(case.aborted(0, 4), [(1, 0, 1)]);
    case.write(3, 0);
    assert_eq!(case.replicate(), Offset(4));
    case.restart();
    assert_eq!(case.log.last_stable_offset(), Offset(4), "it is still open");
    case.end(3, TransactionOutcome::Commit);
    assert_eq!(case.replicate(), Offset(6));
}

/// As in Kafka: only the high watermark holds retention up.
#[test]
fn retention_passes_an_open_transaction() {
    let config = LogConfig { retention_ms: 1000, ..LogConfig::default() };
    let case = Case::new(config);
    case.write(1, 0);
    case.log.roll(NOW_MS).unwrap();
    case.write(2, 0);
    case.end(2, TransactionOutcome::Abort);
    case.log.roll(NOW_MS).unwrap();
    case.write(1, 1);
    assert_eq!(case.log.delete_old_segments(NOW_MS + 5000).unwrap(), 0, "not replicated");
    assert_eq!(case.replicate(), Offset(0));
    assert_eq!(case.log.delete_old_segments(NOW_MS + 5000).unwrap(), 3);
    assert_eq!(case.log.log_start_offset(), Offset(4));
    assert_eq!(case.log.last_stable_offset(), Offset(4), "never before the first record");
    assert_eq!(case.aborted(4, 9), [], "those that are gone are not told of");
    case.write(1, 2);
    case.end(1, TransactionOutcome::Abort);
    assert_eq!(case.replicate(), Offset(6));
    assert_eq!(case.aborted(4, 6), [(1, 0, 5)], "it began with a record that is gone");
}
