//! A batch that has lost some of its records, as compaction leaves it: offsets, producer, sequence numbers, kind of
//! timestamps and compression stay those of the whole batch.

use super::Record;
use super::builder::{BuildError, assemble};
use crate::protocol::batch::{self, BatchHeader};
use crate::protocol::varint::{put_varint, put_varlong, varint_bytes, varlong_bytes};
use crate::time::TimestampMs;

/// The batch of `source` with these of its records only. `delete_horizon_ms` is set where the batch is to get one, and
/// then takes the place of the base timestamp; one that it has already stays.
pub fn with_records<'a>(
    source: &BatchHeader,
    kept: impl Iterator<Item = Record<'a>>,
    delete_horizon_ms: Option<TimestampMs>,
) -> Result<Vec<u8>, BuildError> {
    let mut header = BatchHeader { record_count: 0, ..*source };
    if let Some(horizon_ms) = delete_horizon_ms {
        header.base_timestamp = horizon_ms;
        header.attributes |= batch::DELETE_HORIZON_BIT;
    }
    let (mut records, mut max_timestamp) = (Vec::new(), None);
    for record in kept {
        let timestamp_ms = record.timestamp_ms(source);
        let timestamp_delta = match delete_horizon_ms {
            Some(horizon_ms) => timestamp_ms.wrapping_sub(horizon_ms),
            None => record.timestamp_delta,
        };
        put_record(&mut records, timestamp_delta, &record);
        header.record_count += 1;
        max_timestamp = max_timestamp.max(Some(timestamp_ms));
    }
    if !source.is_log_append_time() {
        header.max_timestamp = max_timestamp.unwrap_or(source.max_timestamp);
    }
    assemble(header, &records, None)
}

/// The batch of `source` without any record: it tells of its producer's last sequence number, and of its offsets.
pub fn without_records(source: &BatchHeader) -> Result<Vec<u8>, BuildError> {
    let attributes = source.attributes & !batch::COMPRESSION_BITS & !batch::DELETE_HORIZON_BIT;
    assemble(BatchHeader { attributes, base_timestamp: -1, record_count: 0, ..*source }, &[], None)
}

fn put_record(out: &mut Vec<u8>, timestamp_delta: i64, record: &Record<'_>) {
    let length = 1 + varlong_bytes(timestamp_delta) + varint_bytes(record.offset_delta) + record.fields.len();
    put_varint(out, length as i32);
    out.push(0); // attributes, unused
    put_varlong(out, timestamp_delta);
    put_varint(out, record.offset_delta);
    out.extend_from_slice(record.fields);
}

#[cfg(test)]
mod tests {
    use super::super::golden::{self, unhex};
    use super::super::{BatchRecords, EndTransactionMarker, TransactionOutcome};
    use super::*;
    use crate::ids::{LeaderEpoch, Offset, ProducerEpoch, ProducerId};
    use crate::protocol::batch::read_batch;

    const CODECS: [&str; 6] =
        [golden::NONE, golden::GZIP, golden::SNAPPY, golden::LZ4, golden::ZSTD, golden::LOG_APPEND_TIME];

    /// Offset, timestamp, key and value of every record.
    type Shown = Vec<(i64, i64, Option<Vec<u8>>, Option<Vec<u8>>)>;

    fn shown(batch: &[u8]) -> Shown {
        let records = BatchRecords::open(batch, 1 << 20).unwrap();
        let header = records.header;
        let owned = |field: Option<&[u8]>| field.map(<[u8]>::to_vec);
        let show = |record: Record<'_>| {
            (record.offset(&header).0, record.timestamp_ms(&header), owned(record.key), owned(record.value))
        };
        records.walk().map(|record| show(record.unwrap())).collect()
    }

    fn check_every_second_record(source: &[u8], delete_horizon_ms: Option<TimestampMs>) -> BatchHeader {
        let opened = BatchRecords::open(source, 1 << 20).unwrap();
        let kept = opened.walk().map(Result::unwrap).step_by(2);
        let rebuilt = with_records(&opened.header, kept, delete_horizon_ms).unwrap();
        let (header, whole) = read_batch(&rebuilt).unwrap();
        assert_eq!(whole.len(), rebuilt.len());
        assert_eq!(shown(&rebuilt), shown(source).into_iter().step_by(2).collect::<Shown>());
        let source = opened.header;
        assert_eq!(header.last_offset(), source.last_offset());
        assert_eq!((header.base_offset, header.leader_epoch), (source.base_offset, source.leader_epoch));
        assert_eq!((header.producer_id, header.producer_epoch), (source.producer_id, source.producer_epoch));
        assert_eq!(header.base_sequence, source.base_sequence);
        assert_eq!(header.compression(), source.compression());
        header
    }

    #[test]
    fn what_is_kept_reads_as_before_in_every_codec() {
        for source in CODECS {
            let source = unhex(source);
            let header = check_every_second_record(&source, None);
            assert_eq!(header.delete_horizon_ms(), None);
            let header = check_every_second_record(&source, Some(1_800_000_000_000));
            assert_eq!(header.delete_horizon_ms(), Some(1_800_000_000_000));
        }
    }

    #[test]
    fn a_horizon_stays_when_more_records_go() {
        let source = unhex(golden::ZSTD);
        let opened = BatchRecords::open(&source, 1 << 20).unwrap();
        let marked = with_records(&opened.header, opened.walk().map(Result::unwrap), Some(77)).unwrap();
        assert_eq!(shown(&marked), shown(&source));
        assert_eq!(check_every_second_record(&marked, None).delete_horizon_ms(), Some(77));
    }

    #[test]
    fn all_records_kept_are_the_very_batch() {
        let source = unhex(golden::NONE);
        let opened = BatchRecords::open(&source, 1 << 20).unwrap();
        assert_eq!(with_records(&opened.header, opened.walk().map(Result::unwrap), None).unwrap(), source);
    }

    #[test]
    fn an_empty_batch_keeps_offsets_and_sequence() {
        let source = unhex(golden::ZSTD);
        let (before, _) = read_batch(&source).unwrap();
        let empty = without_records(&before).unwrap();
        let (after, _) = read_batch(&empty).unwrap();
        assert_eq!(empty.len(), batch::HEADER_BYTES);
        assert_eq!((after.record_count, after.attributes & 7, after.base_timestamp), (0, 0, -1));
        assert_eq!((after.last_offset(), after.last_sequence()), (before.last_offset(), before.last_sequence()));
        assert_eq!(after.max_timestamp, before.max_timestamp);
        assert_eq!(shown(&empty), Shown::new());

        let marker = EndTransactionMarker { outcome: TransactionOutcome::Commit, coordinator_epoch: 1 };
        let marker = marker.batch(Offset(7), LeaderEpoch(2), 99, ProducerId(4), ProducerEpoch(1));
        let (before, _) = read_batch(&marker).unwrap();
        let empty = without_records(&before).unwrap();
        let (after, _) = read_batch(&empty).unwrap();
        assert!(after.is_control() && after.is_transactional());
        assert_eq!((after.producer_id, after.producer_epoch), (ProducerId(4), ProducerEpoch(1)));
    }
}
