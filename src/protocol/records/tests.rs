use proptest::prelude::*;

use super::golden::{self, unhex};
use super::*;
use crate::ids::{LeaderEpoch, ProducerEpoch, ProducerId};
use crate::protocol::batch::{Compression, read_batch};
use crate::protocol::varint::put_varint;

const MAX_BYTES: usize = 1 << 20;

fn builder() -> RecordBatchBuilder {
    RecordBatchBuilder::new(Offset(42)).leader_epoch(LeaderEpoch(5)).producer(ProducerId(7001), ProducerEpoch(3), 11)
}

fn walk(records: &[u8], count: i32) -> Result<usize, RecordError> {
    RecordsWalk::new(records, count).try_fold(0, |walked, record| record.map(|_| walked + 1))
}

#[test]
fn batches_are_built_as_kafka_builds_them() {
    let mut plain = builder();
    golden::fill(&mut plain);
    assert_eq!(plain.build().unwrap(), unhex(golden::NONE));

    let mut stamped = builder().transactional().log_append_time(1_800_000_000_000);
    golden::fill(&mut stamped);
    assert_eq!(stamped.build().unwrap(), unhex(golden::LOG_APPEND_TIME));
}

#[test]
fn markers_are_kafkas() {
    for (outcome, expected) in
        [(TransactionOutcome::Commit, golden::COMMIT), (TransactionOutcome::Abort, golden::ABORT)]
    {
        let marker = EndTransactionMarker { outcome, coordinator_epoch: 12 };
        let batch = marker.batch(Offset(99), LeaderEpoch(6), 1_700_000_000_000, ProducerId(7001), ProducerEpoch(3));
        assert_eq!(batch, unhex(expected));
        let records = BatchRecords::open(&batch, MAX_BYTES).unwrap();
        assert!(records.header.is_control() && records.header.is_transactional());
        let record = records.walk().next().unwrap().unwrap();
        assert_eq!(EndTransactionMarker::read(record.key, record.value), Ok(Some(marker)));
    }
}

#[test]
fn foreign_and_damaged_control_records_are_told_apart() {
    let leader_change = [0, 0, 0, 2];
    assert_eq!(EndTransactionMarker::read(Some(&leader_change), None), Ok(None));
    assert_eq!(EndTransactionMarker::read(None, None), Err(ControlError::Key(0)));
    assert_eq!(EndTransactionMarker::read(Some(&[0, 0, 0, 1]), Some(&[0; 5])), Err(ControlError::Value(5)));
    assert_eq!(EndTransactionMarker::read(Some(&[255, 255, 0, 1]), None), Err(ControlError::Version(-1)));
    // A newer version with a field more.
    let newer = EndTransactionMarker::read(Some(&[0, 1, 0, 0]), Some(&[0, 1, 0, 0, 0, 9, 77])).unwrap();
    assert_eq!(newer, Some(EndTransactionMarker { outcome: TransactionOutcome::Abort, coordinator_epoch: 9 }));
}

#[test]
fn kafkas_batches_are_read_whatever_their_codec() {
    let plain = unhex(golden::NONE);
    for (batch, compression) in [
        (golden::NONE, Compression::None),
        (golden::GZIP, Compression::Gzip),
        (golden::SNAPPY, Compression::Snappy),
        (golden::LZ4, Compression::Lz4),
        (golden::ZSTD, Compression::Zstd),
    ] {
        let batch = unhex(batch);
        let (header, _) = read_batch(&batch).unwrap();
        assert_eq!(header.compression(), Ok(compression));
        let records = BatchRecords::open(&batch, MAX_BYTES).unwrap();
        assert_eq!(records.bytes(), &plain[HEADER_BYTES..], "{compression:?}");
        let walked: Vec<_> = records.walk().collect::<Result<_, _>>().unwrap();
        assert_eq!(walked.len(), 5);
        assert_eq!(walked.iter().map(|record| record.size_bytes).sum::<usize>(), records.bytes().len());
    }
}

#[test]
fn records_show_their_parts() {
    let batch = unhex(golden::NONE);
    let records = BatchRecords::open(&batch, MAX_BYTES).unwrap();
    let walked: Vec<_> = records.walk().map(Result::unwrap).collect();
    let header = &records.header;

    assert_eq!((walked[0].key, walked[0].value), (Some(&b"key"[..]), Some(&b"value"[..])));
    let headers: Vec<_> = walked[0].headers.iter().map(|header| (header.key, header.value)).collect();
    assert_eq!(headers, [(&b"h1"[..], Some(&b"x"[..])), (b"h1", None), (b"", Some(b""))]);
    assert_eq!((walked[0].headers.len(), walked[1].headers.is_empty()), (3, true));

    assert_eq!((walked[2].key, walked[2].value), (Some(&b"tombstone"[..]), None));
    assert_eq!((walked[2].offset(header), walked[2].timestamp_ms(header)), (Offset(44), 1_699_999_999_999));

    let stamped = unhex(golden::LOG_APPEND_TIME);
    let stamped = BatchRecords::open(&stamped, MAX_BYTES).unwrap();
    let record = stamped.walk().last().unwrap().unwrap();
    assert_eq!(record.timestamp_ms(&stamped.header), 1_800_000_000_000);
}

#[test]
fn keys_and_values_are_not_copied() {
    let batch = unhex(golden::NONE);
    let records = BatchRecords::open(&batch, MAX_BYTES).unwrap();
    let value = records.walk().last().unwrap().unwrap().value.unwrap();
    assert!(batch.as_ptr_range().contains(&value.as_ptr()));
}

#[test]
fn the_count_is_exact() {
    let batch = unhex(golden::NONE);
    let records = &batch[HEADER_BYTES..];
    assert_eq!(walk(records, 5), Ok(5));
    assert_eq!(walk(records, 6), Err(RecordError::Missing(1)));
    let last = RecordsWalk::new(records, 5).last().unwrap().unwrap().size_bytes;
    assert_eq!(walk(records, 4), Err(RecordError::Trailing(last)));
    assert_eq!(walk(records, -1), Err(RecordError::Count(-1)));
    assert_eq!(walk(&[], 0), Ok(0));
    assert_eq!(walk(&[], i32::MAX), Err(RecordError::Missing(i32::MAX)));
}

/// One record of `body` behind its length.
fn record(body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    put_varint(&mut bytes, body.len() as i32);
    bytes.extend_from_slice(body);
    bytes
}

#[test]
fn malformed_records_are_named() {
    // attributes, timestamp delta, offset delta, key, value, headers
    assert_eq!(walk(&record(&[0, 0, 0, 1, 1, 0]), 1), Ok(1));
    assert_eq!(walk(&record(&[0, 0, 0, 1, 1, 0, 0]), 1), Err(RecordError::RecordTrailing(1)));
    assert_eq!(walk(&record(&[0, 0, 0, 2, 1, 0]), 1), Err(VarintError::Truncated.into()));
    assert_eq!(walk(&record(&[0, 0, 0, 20, 1, 0]), 1), Err(RecordError::Field(10, 2)));
    assert_eq!(walk(&record(&[0, 0, 0, 1, 1, 1]), 1), Err(RecordError::HeaderCount(-1, 0)));
    assert_eq!(walk(&record(&[0, 0, 0, 1, 1, 4, 0, 1, 0]), 1), Err(RecordError::HeaderCount(2, 3)));
    assert_eq!(walk(&record(&[0, 0, 0, 1, 1, 2, 1, 1]), 1), Err(RecordError::HeaderKey));
    assert_eq!(walk(&record(&[]), 1), Err(RecordError::Length(0, 1)));
    assert_eq!(walk(&[1, 0], 1), Err(RecordError::Length(-1, 1)));
    assert_eq!(walk(&[8, 0, 0], 1), Err(RecordError::Length(4, 2)));
    assert_eq!(walk(&[0x80; 6], 1), Err(VarintError::TooLong(5).into()));
}

#[test]
fn after_an_error_nothing_comes() {
    let mut walk = RecordsWalk::new(&[1, 0, 0], 2);
    assert!(walk.next().unwrap().is_err());
    assert_eq!(walk.next(), None);
}

#[test]
fn a_batch_that_is_not_all_there_is_refused() {
    let batch = unhex(golden::NONE);
    let cut = BatchRecords::open(&batch[..batch.len() - 1], MAX_BYTES);
    assert!(matches!(cut, Err(RecordsError::Batch(BatchError::Truncated { .. }))));
    let capped = BatchRecords::open(&batch, 100);
    assert!(matches!(capped, Err(RecordsError::Compression(CompressionError::TooLarge { .. }))));
}

#[test]
fn offsets_may_leave_gaps_and_empty_is_refused() {
    let mut builder = RecordBatchBuilder::new(Offset(10));
    assert!(matches!(builder.build(), Err(BuildError::Empty)));
    builder.append_at(Offset(12), &NewRecord::default()).append_at(Offset(20), &NewRecord::default());
    builder.append(&NewRecord::default());
    let batch = builder.build().unwrap();
    let records = BatchRecords::open(&batch, MAX_BYTES).unwrap();
    let offsets: Vec<_> = records.walk().map(|record| record.unwrap().offset(&records.header).0).collect();
    assert_eq!(offsets, [12, 20, 21]);
    assert_eq!((records.header.last_offset(), records.header.record_count), (Offset(21), 3));
}

type Field = Option<Vec<u8>>;

fn field() -> impl Strategy<Value = Field> {
    prop::option::of(prop::collection::vec(any::<u8>(), 0..40))
}

prop_compose! {
    fn any_record()(
        timestamp_ms in any::<i64>(),
        key in field(),
        value in field(),
        headers in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..10), field()), 0..4),
    ) -> (i64, Field, Field, Vec<(Vec<u8>, Field)>) {
        (timestamp_ms, key, value, headers)
    }
}

fn compression() -> impl Strategy<Value = Compression> {
    (0i16..5).prop_map(|attributes| Compression::try_from(attributes).unwrap())
}

proptest! {
    #[test]
    fn what_was_built_is_read(
        records in prop::collection::vec(any_record(), 1..20),
        compression in compression(),
        base_offset in 0..i64::MAX / 2,
    ) {
        let mut builder = RecordBatchBuilder::new(Offset(base_offset)).compression(compression, None);
        for (timestamp_ms, key, value, headers) in &records {
            let headers: Vec<_> = headers.iter().map(|(key, value)| (&key[..], value.as_deref())).collect();
            let record = NewRecord {
                timestamp_ms: *timestamp_ms, key: key.as_deref(), value: value.as_deref(), headers: &headers,
            };
            builder.append(&record);
        }
        let batch = builder.build().unwrap();
        read_batch(&batch).unwrap();
        let read = BatchRecords::open(&batch, MAX_BYTES).unwrap();
        let mut walked = 0;
        for (record, (timestamp_ms, key, value, headers)) in read.walk().zip(&records) {
            let record = record.unwrap();
            prop_assert_eq!(read.header.base_timestamp.wrapping_add(record.timestamp_delta), *timestamp_ms);
            prop_assert_eq!(record.offset(&read.header), Offset(base_offset + walked));
            prop_assert_eq!(record.key, key.as_deref());
            prop_assert_eq!(record.value, value.as_deref());
            let read_headers: Vec<_> = record.headers.iter().map(|h| (h.key.to_vec(), h.value.map(<[u8]>::to_vec))).collect();
            prop_assert_eq!(&read_headers, headers);
            walked += 1;
        }
        prop_assert_eq!(walked, records.len() as i64);
        prop_assert_eq!(read.walk().count(), records.len());
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), count in any::<i32>()) {
        for record in RecordsWalk::new(&bytes, count).flatten() {
            prop_assert_eq!(record.headers.iter().count(), record.headers.len());
        }
        let _ = BatchRecords::open(&bytes, MAX_BYTES);
    }

    #[test]
    fn damaged_batches_never_panic(at in 0usize..200, to in any::<u8>(), cut in 0usize..300) {
        for golden in [golden::NONE, golden::GZIP, golden::SNAPPY, golden::LZ4, golden::ZSTD] {
            let mut batch = unhex(golden);
            let at = at % batch.len();
            batch[at] = to;
            batch.truncate(batch.len() - cut.min(batch.len() / 2) * usize::from(to % 2 == 0));
            if let Ok(records) = BatchRecords::open(&batch, MAX_BYTES) {
                let _ = records.walk().count();
            }
        }
    }
}
