//! Files for Kafka's own tool to judge. Run by hand:
//!
//! ```text
//! OTTLA_DUMP_DIRECTORY=/tmp/dump cargo test --lib leaves_files_for_kafka -- --ignored
//! kafka-dump-log.sh --files /tmp/dump/topic-0/00000000000000000000.index --index-sanity-check   (and without)
//! ```

use std::path::PathBuf;

use crate::config::LogConfig;
use crate::ids::{LeaderEpoch, Offset, ProducerEpoch, ProducerId};
use crate::log::append::AppendContext;
use crate::log::producer_state::AppendOrigin;
use crate::log::testing::{NOW_MS, append, batch_of, context, new_log};
use crate::protocol::batch::Compression;
use crate::protocol::records::{EndTransactionMarker, NewRecord, RecordBatchBuilder, TransactionOutcome};

#[test]
#[ignore = "leaves files behind, for Kafka's dump-log"]
fn leaves_files_for_kafka() {
    let root = PathBuf::from(std::env::var("OTTLA_DUMP_DIRECTORY").unwrap());
    let log = new_log(&root, LogConfig { segment_bytes: 100_000, ..LogConfig::default() });
    let codecs = [Compression::None, Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];
    for at in 0..1000_i64 {
        // Timestamps that go back now and then.
        let timestamp_ms = NOW_MS + at * 10 - (at % 7) * 300;
        let value = vec![at as u8; 200];
        let mut builder = RecordBatchBuilder::new(Offset::ZERO).compression(codecs[at as usize % 5], None);
        for _ in 0..=at % 4 {
            builder.append(&NewRecord { timestamp_ms, key: Some(b"key"), value: Some(&value), headers: &[] });
        }
        append(&log, &builder.build().unwrap().into()).unwrap();
    }
    let mut data = RecordBatchBuilder::new(Offset::ZERO).producer(ProducerId(9), ProducerEpoch(1), 0).transactional();
    data.append(&NewRecord { timestamp_ms: NOW_MS, key: None, value: Some(b"v"), headers: &[] });
    append(&log, &data.build().unwrap().into()).unwrap();
    append(&log, &batch_of(&[NOW_MS], 10)).unwrap();
    let marker = EndTransactionMarker { outcome: TransactionOutcome::Abort, coordinator_epoch: 4 };
    let marker = marker.batch(Offset::ZERO, LeaderEpoch(3), NOW_MS, ProducerId(9), ProducerEpoch(1));
    let coordinator = AppendContext { origin: AppendOrigin::Coordinator, ..context() };
    log.append_as_leader(&marker.into(), &coordinator).unwrap();
    log.set_high_watermark(log.log_end_offset());
    assert_eq!(log.last_stable_offset(), log.log_end_offset());
    let aborted = log.aborted_transactions(Offset::ZERO, log.log_end_offset()).unwrap();
    assert_eq!(aborted.len(), 1);
    log.close(NOW_MS).unwrap();
}
