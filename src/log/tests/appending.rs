//! What may be appended, what it becomes, and what is refused.

use bytes::{Bytes, BytesMut};
use tempfile::TempDir;

use crate::config::{CleanupPolicy, CompressionType, LogConfig, TimestampType};
use crate::error::ErrorCode;
use crate::ids::{LeaderEpoch, Offset, ProducerEpoch, ProducerId};
use crate::log::testing::{NOW_MS, append, batch, batch_of, new_log, read_bytes};
use crate::protocol::batch::{self, BatchHeader, Compression, read_batch};
use crate::protocol::records::{NewRecord, RecordBatchBuilder};

fn keyless() -> RecordBatchBuilder {
    let mut builder = RecordBatchBuilder::new(Offset::ZERO);
    builder.append(&NewRecord { timestamp_ms: NOW_MS, key: Some(b"k"), value: None, headers: &[] });
    builder.append(&NewRecord { timestamp_ms: NOW_MS, key: None, value: Some(b"v"), headers: &[] });
    builder
}

fn patched(records: &Bytes, patch: impl Fn(&mut [u8]), new_crc: bool) -> Bytes {
    let mut bytes = BytesMut::from(&records[..]);
    patch(&mut bytes);
    if new_crc {
        batch::write_crc(&mut bytes);
    }
    bytes.freeze()
}

fn check_refused(config: LogConfig, records: &Bytes, code: ErrorCode) {
    let root = TempDir::new().unwrap();
    let log = new_log(root.path(), config);
    let error = append(&log, records).unwrap_err();
    assert_eq!(error.code(), code, "{error}");
    assert_eq!((log.log_end_offset(), log.size_bytes()), (Offset::ZERO, 0));
}

#[test]
fn offsets_and_epoch_are_the_logs_and_all_else_the_producers() {
    let root = TempDir::new().unwrap();
    let log = new_log(root.path(), LogConfig::default());
    let sent = batch(3, 10);
    append(&log, &sent).unwrap();
    let second = append(&log, &sent).unwrap();
    assert_eq!((second.base_offset, second.last_offset), (Offset(3), Offset(5)));
    let stored = read_bytes(&log, 3, 1 << 20, true);
    let (header, whole) = read_batch(&stored).unwrap();
    assert_eq!((header.base_offset, header.leader_epoch), (Offset(3), LeaderEpoch(3)));
    assert_eq!(whole[16..], sent[16..]);
    assert_eq!(log.epoch_end_offset(LeaderEpoch(3)), (LeaderEpoch(3), Offset(6)));
}

#[test]
fn a_batch_sent_twice_is_in_the_log_once() {
    let root = TempDir::new().unwrap();
    let log = new_log(root.path(), LogConfig::default());
    let builder = RecordBatchBuilder::new(Offset::ZERO).producer(ProducerId(9), ProducerEpoch(0), 0);
    let mut first = builder.clone();
    first.append(&NewRecord { timestamp_ms: NOW_MS, key: None, value: Some(b"v"), headers: &[] });
    let first: Bytes = first.build().unwrap().into();
    append(&log, &batch(2, 1)).unwrap();
    let appended = append(&log, &first).unwrap();
    append(&log, &batch(2, 1)).unwrap();
    let again = append(&log, &first).unwrap();
    assert!(again.is_duplicate && !appended.is_duplicate);
    assert_eq!(again.base_offset, Offset(2));
    assert_eq!(log.log_end_offset(), Offset(5));
    let gap = patched(&first, |bytes| bytes[53..57].copy_from_slice(&7_i32.to_be_bytes()), true);
    assert_eq!(append(&log, &gap).unwrap_err().code(), ErrorCode::OutOfOrderSequenceNumber);
}

#[test]
fn what_is_no_sound_batch_is_refused() {
    let good = batch(2, 100);
    let refused = |records: &Bytes, code| check_refused(LogConfig::default(), records, code);
    refused(&Bytes::new(), ErrorCode::InvalidRecord);
    refused(&good.slice(..good.len() - 1), ErrorCode::InvalidRecord);
    refused(&Bytes::from([&good[..], &good[..]].concat()), ErrorCode::InvalidRecord);
    refused(&Bytes::from([&good[..], b"x"].concat()), ErrorCode::InvalidRecord);
    refused(&patched(&good, |bytes| bytes[16] = 1, false), ErrorCode::InvalidRecord);
    refused(&patched(&good, |bytes| bytes[100] ^= 1, false), ErrorCode::CorruptMessage);
    refused(&patched(&good, |bytes| bytes[8..12].fill(0), false), ErrorCode::CorruptMessage);
    refused(&patched(&good, |bytes| bytes[7] = 1, false), ErrorCode::InvalidRecord);
    refused(&patched(&good, |bytes| bytes[60] = 3, true), ErrorCode::InvalidRecord);
    refused(&patched(&good, |bytes| bytes[22] = 0x20, true), ErrorCode::InvalidRecord);
    refused(&patched(&good, |bytes| bytes[22] = 5, true), ErrorCode::InvalidRecord);
    refused(&patched(&good, |bytes| bytes[22] = 8, true), ErrorCode::InvalidTimestamp);
    let negative = |bytes: &mut [u8]| {
        bytes[43..51].copy_from_slice(&1_i64.to_be_bytes());
        bytes[53..57].copy_from_slice(&(-1_i32).to_be_bytes());
    };
    refused(&patched(&good, negative, true), ErrorCode::InvalidRecord);
    let uncountable = |bytes: &mut [u8]| {
        bytes[23..27].copy_from_slice(&i32::MAX.to_be_bytes());
        bytes[57..61].copy_from_slice(&i32::MIN.to_be_bytes());
    };
    refused(&patched(&good, uncountable, true), ErrorCode::InvalidRecord);
}

#[test]
fn sizes_are_bounded() {
    let config = || LogConfig { max_message_bytes: 500, ..LogConfig::default() };
    check_refused(config(), &batch(1, 500), ErrorCode::MessageTooLarge);
    let config = LogConfig { segment_bytes: 500, ..LogConfig::default() };
    check_refused(config, &batch(1, 500), ErrorCode::RecordListTooLarge);
}

#[test]
fn timestamps_are_bounded() {
    let config = LogConfig { message_timestamp_after_max_ms: 1000, ..LogConfig::default() };
    check_refused(config, &batch_of(&[NOW_MS, NOW_MS + 1001], 1), ErrorCode::InvalidTimestamp);
    let config = LogConfig { message_timestamp_before_max_ms: 1000, ..LogConfig::default() };
    let root = TempDir::new().unwrap();
    let log = new_log(root.path(), config);
    append(&log, &batch_of(&[NOW_MS - 1000], 1)).unwrap();
    let error = append(&log, &batch_of(&[NOW_MS, NOW_MS - 1001], 1)).unwrap_err();
    assert_eq!(error.code(), ErrorCode::InvalidTimestamp);
    assert_eq!(error.record_errors().iter().map(|error| error.batch_index).collect::<Vec<_>>(), [1]);
}

#[test]
fn a_compacted_topic_takes_no_record_without_a_key() {
    let root = TempDir::new().unwrap();
    let cleanup_policy = CleanupPolicy { delete: false, compact: true };
    let log = new_log(root.path(), LogConfig { cleanup_policy, ..LogConfig::default() });
    append(&log, &batch(3, 1)).unwrap();
    for compression in [Compression::None, Compression::Zstd] {
        let records = keyless().compression(compression, None).build().unwrap().into();
        let error = append(&log, &records).unwrap_err();
        assert_eq!(error.code(), ErrorCode::InvalidRecord);
        assert_eq!(error.record_errors().iter().map(|error| error.batch_index).collect::<Vec<_>>(), [1]);
    }
}

#[test]
fn log_append_time_stamps_the_header() {
    let root = TempDir::new().unwrap();
    let config = LogConfig { message_timestamp_type: TimestampType::LogAppendTime, ..LogConfig::default() };
    let log = new_log(root.path(), config);
    let appended = append(&log, &batch_of(&[5, NOW_MS * 2], 50)).unwrap();
    assert_eq!(appended.log_append_time_ms, NOW_MS);
    let stored = read_bytes(&log, 0, 1 << 20, true);
    let (header, _) = read_batch(&stored).unwrap();
    assert!(header.is_log_append_time());
    assert_eq!(header.max_timestamp, NOW_MS);
}

#[test]
fn another_compression_is_made() {
    let root = TempDir::new().unwrap();
    let log = new_log(root.path(), LogConfig { compression_type: CompressionType::Lz4, ..LogConfig::default() });
    append(&log, &batch(10, 1000)).unwrap();
    let stored = read_bytes(&log, 0, 1 << 20, true);
    let (header, _) = read_batch(&stored).unwrap();
    assert_eq!(header.compression(), Ok(Compression::Lz4));
    assert_eq!((header.record_count, header.leader_epoch), (10, LeaderEpoch(3)));
    assert!(stored.len() < 2000);
}

#[test]
fn an_open_transaction_holds_the_last_stable_offset() {
    let root = TempDir::new().unwrap();
    let log = new_log(root.path(), LogConfig::default());
    append(&log, &batch(2, 1)).unwrap();
    let mut data = RecordBatchBuilder::new(Offset::ZERO).producer(ProducerId(9), ProducerEpoch(0), 0).transactional();
    data.append(&NewRecord { timestamp_ms: NOW_MS, key: None, value: Some(b"v"), headers: &[] });
    append(&log, &data.build().unwrap().into()).unwrap();
    append(&log, &batch(2, 1)).unwrap();
    log.set_high_watermark(Offset(5));
    assert_eq!((log.high_watermark(), log.last_stable_offset()), (Offset(5), Offset(2)));
}

#[test]
fn a_follower_takes_the_leaders_offsets() {
    let root = TempDir::new().unwrap();
    let log = new_log(root.path(), LogConfig::default());
    let leaders = |offset: i64| {
        let mut bytes = batch(2, 5).to_vec();
        let header = BatchHeader::read(&bytes).unwrap();
        bytes[..16].copy_from_slice(&batch::patched_prefix(&header, Offset(offset), LeaderEpoch(7)));
        bytes
    };
    let fetched = [leaders(4), leaders(8), leaders(10)[..70].to_vec()].concat();
    assert_eq!(log.append_as_follower(&fetched.into(), NOW_MS).unwrap(), Offset(10));
    assert_eq!(log.latest_epoch(), Some(LeaderEpoch(7)));
    assert_eq!(read_bytes(&log, 6, 1 << 20, true), leaders(8));
    assert!(log.append_as_follower(&leaders(9).into(), NOW_MS).is_err());
}
