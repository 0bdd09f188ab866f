//! What a log gives back: batches, and what a `read_committed` consumer makes of them.

use std::collections::BTreeMap;

use crate::ids::Offset;
use crate::log::partition_log::PartitionLog;
use crate::log::producer_state::EndTxnMarker;
use crate::protocol::batch::{self, BatchHeader};
use crate::protocol::records::BatchRecords;
use crate::time::TimestampMs;

/// A record as a consumer sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) offset: Offset,
    pub(super) timestamp_ms: TimestampMs,
    pub(super) key: Option<Vec<u8>>,
    pub(super) value: Option<Vec<u8>>,
}

/// A batch as it lies in a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Batch {
    pub(super) header: BatchHeader,
    pub(super) bytes: Vec<u8>,
    pub(super) marker: Option<EndTxnMarker>,
    /// None of a control batch.
    pub(super) records: Vec<Record>,
}

impl Batch {
    /// `bytes` begin with it.
    pub(super) fn read(bytes: &[u8]) -> Self {
        let (header, bytes) = batch::read_batch(bytes).expect("what a log gives back is sound");
        let (mut marker, mut records) = (None, Vec::new());
        if header.is_control() {
            marker = EndTxnMarker::read(&header, bytes).expect("a marker");
        } else {
            let opened = BatchRecords::open(bytes, 1 << 20).expect("records");
            let owned = |field: Option<&[u8]>| field.map(<[u8]>::to_vec);
            for record in opened.walk() {
                let record = record.expect("a record");
                records.push(Record {
                    offset: record.offset(&header),
                    timestamp_ms: record.timestamp_ms(&header),
                    key: owned(record.key),
                    value: owned(record.value),
                });
            }
        }
        Self { header, bytes: bytes.to_vec(), marker, records }
    }
}

/// All batches from the log's beginning on.
pub(super) fn batches(log: &PartitionLog) -> Vec<Batch> {
    let end = log.log_end_offset();
    let mut batches = Vec::new();
    let mut from = log.log_start_offset();
    while from < end {
        let read = log.read(from, 4000, true, end).expect("a log can be read");
        let Some(slice) = read.slice else { break };
        let mut bytes = vec![0; slice.size_bytes];
        assert_eq!(slice.file.read_at(&mut bytes, slice.position).expect("a file can be read"), bytes.len());
        assert!(read.next_offset > from, "a read moves on");
        from = read.next_offset;
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let batch = Batch::read(rest);
            rest = &rest[batch.bytes.len()..];
            batches.push(batch);
        }
    }
    batches
}

/// What a `read_committed` consumer gets of these batches of a log: it leaves out what the log calls aborted.
pub(super) fn committed(log: &PartitionLog, batches: &[Batch]) -> BTreeMap<Offset, Record> {
    let (start, stable) = (log.log_start_offset(), log.last_stable_offset());
    let mut aborted = log.aborted_transactions(start, stable).expect("transaction indexes");
    aborted.sort_by_key(|txn| txn.first_offset);
    let mut aborted = aborted.into_iter().peekable();
    let mut leaving_out = Vec::new();
    let mut seen = BTreeMap::new();
    for batch in batches.iter().take_while(|batch| batch.header.base_offset < stable) {
        let header = &batch.header;
        while let Some(txn) = aborted.next_if(|txn| txn.first_offset <= header.last_offset()) {
            leaving_out.push(txn.producer_id);
        }
        if header.is_control() {
            leaving_out.retain(|id| *id != header.producer_id);
        } else if !(header.is_transactional() && leaving_out.contains(&header.producer_id)) {
            let there = batch.records.iter().filter(|record| (start..stable).contains(&record.offset));
            seen.extend(there.map(|record| (record.offset, record.clone())));
        }
    }
    seen
}

/// The last value of every key.
pub(super) fn table<'a>(records: impl Iterator<Item = &'a Record>) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut table = BTreeMap::new();
    for Record { key, value, .. } in records {
        let key = key.clone().unwrap_or_default();
        match value.clone() {
            Some(value) => table.insert(key, value),
            None => table.remove(&key),
        };
    }
    table
}
