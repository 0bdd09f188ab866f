//! Transactions that a Kafka left open: its `__transaction_state` says which, and they are ended as it would have.
//!
//! What was decided is carried out: a prepared commit is committed, a prepared abort aborted. What was going on is
//! aborted, with the producer's next epoch, so that it can't go on. Markers go to the partitions first and the outcome to
//! `__transaction_state` last: whatever a crash leaves open is ended by the next start, and a marker that is written twice
//! changes nothing. That they are to be ended is a key in the metadata, which goes once they are: transactions that come
//! later are no business of the adoption's.
//!
//! ```text
//!  key     version 0 │ transactional id
//!  value   version 0, 1 │ producer id │ epoch │ timeout │ status │ partitions by topic │ last update │ start │ tags (1)
//!  status  0 empty  1 ongoing  2 prepare commit  3 prepare abort  4, 5 complete  6 dead  7 prepare epoch fence
//! ```

use std::collections::BTreeMap;

use bytes::Bytes;
use tracing::{info, warn};

use crate::coordinator::record_codec::{Field, Reader, RecordError, RecordValue, Writer, records, schema};
use crate::ids::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, TopicPartition};
use crate::log::errors::{AppendError, ReadError};
use crate::metadata::keys::{Key, Keys};
use crate::metadata::store::{MetadataStore, Operation, RangeRequest, StoreError, Txn};
use crate::protocol::batch::BatchHeader;
use crate::protocol::records::{
    BatchRecords, EndTransactionMarker, NewRecord, RecordBatchBuilder, RecordsError, TransactionOutcome,
};
use crate::replication::{Partition, PartitionError, ReplicaManager};
use crate::time::TimestampMs;

/// The topic that Kafka keeps the states of transactions in.
pub const TRANSACTION_STATE_TOPIC: &str = "__transaction_state";

const READ_BYTES: usize = 1 << 20;
const MAX_RECORDS_BYTES: usize = 64 << 20;

const ONGOING: i8 = 1;
const PREPARE_COMMIT: i8 = 2;
const PREPARE_ABORT: i8 = 3;
const COMPLETE_COMMIT: i8 = 4;
const COMPLETE_ABORT: i8 = 5;
const PREPARE_EPOCH_FENCE: i8 = 7;

records! {
    /// One record of `__transaction_state`: a key and a value, or a tombstone.
    pub enum TransactionRecord {
        /// How it stands with a transactional id.
        0 => State(TransactionKey, TransactionState),
    }
}

schema! {
    /// Whose transactions a record is about.
    pub struct TransactionKey {
        transactional_id: String,
    }
}

schema! {
    /// Partitions that a transaction has written to.
    pub struct TransactionPartitions {
        topic: String,
        partitions: Vec<i32>,
    }
}

schema! {
    /// The state of one transactional id.
    pub struct TransactionState {
        producer_id: i64,
        producer_epoch: i16,
        timeout_ms: i32,
        status: i8,
        partitions: Option<Vec<TransactionPartitions>>,
        last_update_ms: i64,
        start_ms: i64,
    }
    tags {
        0 => previous_producer_id: i64 = -1,
        /// With transactions of version 2: who the producer is once this one has ended.
        1 => next_producer_id: i64 = -1,
        2 => client_version: i16 = 0,
        3 => next_producer_epoch: i16 = -1,
    }
}

impl RecordValue for TransactionState {
    const NEWEST: i16 = 1;
    const FLEXIBLE_FROM: i16 = 1;

    fn version(&self) -> i16 {
        1
    }

    fn put_version(&self, out: &mut Writer, _: i16) {
        self.put(out);
    }

    fn take_version(from: &mut Reader<'_>, _: i16) -> Result<Self, RecordError> {
        Self::take(from)
    }
}

/// How an open transaction ends.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Ending {
    outcome: TransactionOutcome,
    producer_id: ProducerId,
    /// Of the markers.
    producer_epoch: ProducerEpoch,
    partitions: Vec<TopicPartition>,
    /// What is written down once all markers are.
    completed: TransactionState,
}

impl TransactionState {
    /// `None`: nothing is open.
    fn ending(&self) -> Option<Ending> {
        let outcome = match self.status {
            PREPARE_COMMIT => TransactionOutcome::Commit,
            ONGOING | PREPARE_ABORT | PREPARE_EPOCH_FENCE => TransactionOutcome::Abort,
            _ => return None,
        };
        let is_decided = matches!(self.status, PREPARE_COMMIT | PREPARE_ABORT);
        let epoch = if is_decided { self.producer_epoch } else { self.producer_epoch.saturating_add(1) };
        let partitions = self.partitions.iter().flatten();
        let partitions = partitions.flat_map(|topic| {
            topic.partitions.iter().map(|partition| TopicPartition::new(topic.topic.as_str(), *partition))
        });
        let mut completed = Self { producer_epoch: epoch, partitions: Some(Vec::new()), ..self.clone() };
        completed.status = if outcome == TransactionOutcome::Commit { COMPLETE_COMMIT } else { COMPLETE_ABORT };
        if self.next_producer_id >= 0 {
            completed.previous_producer_id = self.producer_id;
            completed.producer_id = self.next_producer_id;
            completed.producer_epoch = self.next_producer_epoch.max(0);
            (completed.next_producer_id, completed.next_producer_epoch) = (-1, -1);
        }
        Some(Ending {
            outcome,
            producer_id: ProducerId(self.producer_id),
            producer_epoch: ProducerEpoch(epoch),
            partitions: partitions.collect(),
            completed,
        })
    }
}

/// Why the transactions of a partition of the topic can't be ended.
#[derive(Debug, thiserror::Error)]
enum TransactionError {
    #[error("the log can't be read: {0}")]
    Read(#[from] ReadError),
    #[error("the log can't be read: {0}")]
    File(#[from] std::io::Error),
    #[error("a batch that can't be read: {0}")]
    Records(#[from] RecordsError),
    #[error("a record that can't be read: {0}")]
    Record(#[from] RecordError),
    #[error(transparent)]
    Partition(#[from] PartitionError),
}

/// Whether those that Kafka left open are to be ended yet.
pub async fn are_open(store: &dyn MetadataStore, keys: &Keys) -> Result<bool, StoreError> {
    Ok(!store.range(RangeRequest::key(keys.encode(&Key::OpenTransactions))).await?.kvs.is_empty())
}

/// None is open any more.
pub async fn have_ended(store: &dyn MetadataStore, keys: &Keys) -> Result<(), StoreError> {
    store.txn(Txn::of(vec![Operation::delete(keys.encode(&Key::OpenTransactions))])).await.map(drop)
}

/// Ends what is open in the partitions of the topic that this broker leads; says whether nothing is any more. Blocks on
/// files.
pub fn end_open(replicas: &ReplicaManager, now_ms: TimestampMs) -> bool {
    let Some(topic) = replicas.topic(TRANSACTION_STATE_TOPIC) else { return true };
    let mut have_ended = true;
    for states in topic.replicas().filter(|partition| partition.is_leader()) {
        if let Err(error) = end_open_in(replicas, states, now_ms) {
            warn!(partition = %states.id, %error, "transactions that are open stay so until the next start");
            have_ended = false;
        }
    }
    have_ended
}

fn end_open_in(replicas: &ReplicaManager, states: &Partition, now_ms: TimestampMs) -> Result<(), TransactionError> {
    for (transactional_id, state) in read_states(states)? {
        let Some(ending) = state.ending() else { continue };
        let (_, coordinator_epoch) = states.leader();
        let marker = EndTransactionMarker { outcome: ending.outcome, coordinator_epoch: coordinator_epoch.0 };
        for id in &ending.partitions {
            write_marker(replicas, id, &ending, marker, now_ms)?;
        }
        let record = state_record(&transactional_id, &ending.completed, now_ms);
        states.append_as_coordinator(&record, now_ms)?;
        let (outcome, partitions) = (ending.outcome, ending.partitions.len());
        info!(%transactional_id, ?outcome, partitions, "a transaction that Kafka left open has ended");
    }
    Ok(())
}

fn write_marker(
    replicas: &ReplicaManager,
    id: &TopicPartition,
    ending: &Ending,
    marker: EndTransactionMarker,
    now_ms: TimestampMs,
) -> Result<(), TransactionError> {
    let topic = replicas.topic(&id.topic);
    let Some(partition) = topic.as_ref().and_then(|topic| topic.partition(id.partition).ok()) else {
        warn!(partition = %id, "a transaction ends without a marker in a partition that is not here");
        return Ok(());
    };
    let Ending { producer_id, producer_epoch, .. } = *ending;
    let batch = marker.batch(Offset::ZERO, LeaderEpoch::NONE, now_ms, producer_id, producer_epoch);
    match partition.append_as_coordinator(&Bytes::from(batch), now_ms) {
        // The producer has gone on since: its transaction is not this one any more.
        Err(PartitionError::Append(AppendError::Producer(error))) => {
            warn!(partition = %id, %error, "a marker has come too late");
            Ok(())
        }
        appended => Ok(appended.map(drop)?),
    }
}

/// The last state of each transactional id.
fn read_states(partition: &Partition) -> Result<BTreeMap<String, TransactionState>, TransactionError> {
    let log = partition.log();
    let (mut next, end) = (log.log_start_offset(), log.log_end_offset());
    let mut states = BTreeMap::new();
    let mut buffer = Vec::new();
    while next < end {
        let read = log.read(next, READ_BYTES, true, end)?;
        let Some(slice) = read.slice else { break };
        buffer.resize(slice.size_bytes, 0);
        let filled = slice.file.read_at(&mut buffer, slice.position)?;
        take_in(&mut states, &buffer[..filled])?;
        next = read.next_offset;
    }
    Ok(states)
}

fn take_in(states: &mut BTreeMap<String, TransactionState>, mut bytes: &[u8]) -> Result<(), TransactionError> {
    while !bytes.is_empty() {
        let header = BatchHeader::read(bytes).map_err(RecordsError::from)?;
        let batch = BatchRecords::open(bytes, MAX_RECORDS_BYTES)?;
        bytes = bytes.get(header.size_bytes()..).unwrap_or_default();
        for record in batch.walk() {
            let record = record.map_err(RecordsError::from)?;
            match TransactionRecord::decode(record.key.unwrap_or_default(), record.value) {
                Ok(TransactionRecord::State(key, Some(state))) => drop(states.insert(key.transactional_id, state)),
                Ok(TransactionRecord::State(key, None)) => drop(states.remove(&key.transactional_id)),
                // A later version's, passed over as Kafka does.
                Err(RecordError::UnknownType(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
    Ok(())
}

/// A batch that says what became of a transaction.
fn state_record(transactional_id: &str, state: &TransactionState, now_ms: TimestampMs) -> Bytes {
    let key = TransactionKey { transactional_id: transactional_id.to_owned() };
    let (key, value) = TransactionRecord::State(key, Some(state.clone())).encode();
    let mut batch = RecordBatchBuilder::new(Offset::ZERO);
    batch.append(&NewRecord { timestamp_ms: now_ms, key: Some(&key), value: value.as_deref(), headers: &[] });
    Bytes::from(batch.build().expect("one small uncompressed record makes a batch"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coordinator::record_codec::{decode_value, encode_value};

    fn state(status: i8) -> TransactionState {
        let partitions = vec![TransactionPartitions { topic: "orders".to_owned(), partitions: vec![0, 2] }];
        TransactionState {
            producer_id: 7,
            producer_epoch: 3,
            timeout_ms: 60_000,
            status,
            partitions: Some(partitions),
            last_update_ms: 1,
            start_ms: 1,
            previous_producer_id: -1,
            next_producer_id: -1,
            client_version: 0,
            next_producer_epoch: -1,
        }
    }

    #[test]
    fn what_was_decided_is_carried_out_and_the_rest_aborted() {
        for (status, outcome, epoch) in [
            (ONGOING, TransactionOutcome::Abort, 4),
            (PREPARE_COMMIT, TransactionOutcome::Commit, 3),
            (PREPARE_ABORT, TransactionOutcome::Abort, 3),
            (PREPARE_EPOCH_FENCE, TransactionOutcome::Abort, 4),
        ] {
            let ending = state(status).ending().unwrap();
            assert_eq!((ending.outcome, ending.producer_epoch), (outcome, ProducerEpoch(epoch)), "{status}");
            assert_eq!(ending.partitions, [TopicPartition::new("orders", 0), TopicPartition::new("orders", 2)]);
            assert_eq!(ending.completed.ending(), None, "it has ended");
        }
        for closed in [0, COMPLETE_COMMIT, COMPLETE_ABORT, 6] {
            assert_eq!(state(closed).ending(), None, "{closed}");
        }
    }

    #[test]
    fn the_producer_of_a_second_version_transaction_moves_on() {
        let moving = TransactionState { next_producer_id: 9, next_producer_epoch: 1, ..state(PREPARE_COMMIT) };
        let ending = moving.ending().unwrap();
        assert_eq!((ending.producer_id, ending.producer_epoch), (ProducerId(7), ProducerEpoch(3)), "the markers'");
        let completed = ending.completed;
        assert_eq!((completed.producer_id, completed.producer_epoch, completed.previous_producer_id), (9, 1, 7));
    }

    #[test]
    fn the_last_state_counts_and_a_tombstone_ends_it() {
        let mut states = BTreeMap::new();
        let log = [
            state_record("a", &state(ONGOING), 0),
            state_record("b", &state(ONGOING), 0),
            state_record("a", &state(COMPLETE_COMMIT), 0),
        ]
        .concat();
        take_in(&mut states, &log).unwrap();
        assert_eq!(states["a"], state(COMPLETE_COMMIT));
        assert_eq!(states["b"], state(ONGOING));
        let mut tombstone = RecordBatchBuilder::new(Offset::ZERO);
        let key = [0, 0, 0, 1, b'b'];
        tombstone.append(&NewRecord { timestamp_ms: 0, key: Some(&key), value: None, headers: &[] });
        take_in(&mut states, &tombstone.build().unwrap()).unwrap();
        assert!(!states.contains_key("b"));
    }

    #[test]
    fn values_are_kafkas_in_both_versions() {
        // ProducerId 7, epoch 3, timeout 60000, status 1, orders [0, 2], then the two timestamps.
        let head = [&7_i64.to_be_bytes()[..], &[0, 3], &60_000_i32.to_be_bytes(), &[1]].concat();
        let times = [1_i64.to_be_bytes(), 1_i64.to_be_bytes()].concat();
        let plain = [&[0, 0, 0, 1, 0, 6][..], b"orders", &[0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 2]].concat();
        let value = [&[0, 0][..], &head, &plain, &times].concat();
        assert_eq!(decode_value::<TransactionState>(0, &value), Ok(state(ONGOING)));
        let compact = [&[2, 7][..], b"orders", &[3, 0, 0, 0, 0, 0, 0, 0, 2, 0]].concat();
        let tags = [&[1, 1, 8][..], &9_i64.to_be_bytes()].concat();
        let value = [&[0, 1][..], &head, &compact, &times, &tags].concat();
        let expected = TransactionState { next_producer_id: 9, ..state(ONGOING) };
        assert_eq!(decode_value::<TransactionState>(0, &value), Ok(expected.clone()));
        assert_eq!(encode_value(&expected, 1), value);
    }
}
