use super::*;
use crate::ids::LeaderEpoch;
use crate::protocol::batch::MAGIC_V2;
use proptest::prelude::*;

const DAY_MS: i64 = 86_400_000;
const NOW_MS: TimestampMs = 1_700_000_000_000;
const PRODUCER: ProducerId = ProducerId(7);
const TRANSACTIONAL: i16 = 1 << 4;
const CONTROL: i16 = 1 << 5;

/// `count` records of [`PRODUCER`] from sequence `first_sequence` on, at `base_offset`.
fn batch(epoch: i16, first_sequence: i32, count: i32, base_offset: i64) -> BatchHeader {
    BatchHeader {
        base_offset: Offset(base_offset),
        length: 49 + count * 10,
        leader_epoch: LeaderEpoch(0),
        magic: MAGIC_V2,
        crc: 0,
        attributes: 0,
        last_offset_delta: count - 1,
        base_timestamp: NOW_MS,
        max_timestamp: NOW_MS,
        producer_id: PRODUCER,
        producer_epoch: ProducerEpoch(epoch),
        base_sequence: first_sequence,
        record_count: count,
    }
}

fn of(producer_id: i64, mut header: BatchHeader) -> BatchHeader {
    header.producer_id = ProducerId(producer_id);
    header
}

fn transactional(mut header: BatchHeader) -> BatchHeader {
    header.attributes |= TRANSACTIONAL;
    header
}

fn end_of_txn(producer_id: i64, epoch: i16, offset: i64) -> BatchHeader {
    let mut header = of(producer_id, batch(epoch, -1, 1, offset));
    header.attributes |= TRANSACTIONAL | CONTROL;
    header
}

fn marker(outcome: TransactionOutcome, coordinator_epoch: i32) -> EndTxnMarker {
    EndTxnMarker { outcome, coordinator_epoch, timestamp: NOW_MS }
}

/// A manager that has taken in these batches.
fn after(batches: &[BatchHeader]) -> ProducerStateManager {
    let mut state = ProducerStateManager::new(ProducerStateConfig::default());
    for header in batches {
        state.update(header, NOW_MS);
    }
    state
}

fn check_client(state: &ProducerStateManager, header: BatchHeader) -> Result<AppendCheck, ErrorCode> {
    state.check(&header, AppendOrigin::Client, NOW_MS).map_err(|error| error.code())
}

#[test]
fn sequences_go_on_without_a_gap() {
    let state = after(&[batch(0, 0, 10, 100)]);
    assert_eq!(check_client(&state, batch(0, 10, 1, 0)), Ok(AppendCheck::New));
    assert_eq!(check_client(&state, batch(0, 11, 1, 0)), Err(ErrorCode::OutOfOrderSequenceNumber));
    assert_eq!(check_client(&state, batch(0, 5, 1, 0)), Err(ErrorCode::OutOfOrderSequenceNumber));
    assert_eq!(check_client(&state, batch(0, -1, 1, 0)), Err(ErrorCode::InvalidRecord));
}

#[test]
fn sequences_wrap_to_zero() {
    let state = after(&[batch(0, i32::MAX - 1, 2, 100)]);
    assert_eq!(state.entry(PRODUCER).unwrap().last_sequence(), i32::MAX);
    assert_eq!(check_client(&state, batch(0, 0, 5, 0)), Ok(AppendCheck::New));
    let across = after(&[batch(0, i32::MAX - 1, 4, 100)]);
    assert_eq!(across.entry(PRODUCER).unwrap().last_sequence(), 1);
    assert!(matches!(check_client(&across, batch(0, i32::MAX - 1, 4, 0)), Ok(AppendCheck::Duplicate { .. })));
    assert_eq!(check_client(&across, batch(0, 2, 1, 0)), Ok(AppendCheck::New));
}

#[test]
fn the_last_five_batches_are_recognised() {
    let batches: Vec<_> = (0..6).map(|at| batch(0, at * 10, 10, 100 + i64::from(at) * 10)).collect();
    let state = after(&batches);
    assert_eq!(check_client(&state, batch(0, 0, 10, 0)), Err(ErrorCode::OutOfOrderSequenceNumber));
    for sent in &batches[1..] {
        let expected = AppendCheck::Duplicate {
            base_offset: sent.base_offset,
            last_offset: sent.last_offset(),
            timestamp: NOW_MS,
        };
        assert_eq!(check_client(&state, *sent), Ok(expected));
    }
    // The same beginning with another length is another batch.
    assert_eq!(check_client(&state, batch(0, 50, 9, 0)), Err(ErrorCode::OutOfOrderSequenceNumber));
}

#[test]
fn epochs_fence_and_begin_at_zero() {
    let state = after(&[batch(3, 0, 10, 100)]);
    assert_eq!(check_client(&state, batch(2, 10, 1, 0)), Err(ErrorCode::InvalidProducerEpoch));
    assert_eq!(check_client(&state, batch(4, 10, 1, 0)), Err(ErrorCode::OutOfOrderSequenceNumber));
    assert_eq!(check_client(&state, batch(4, 0, 1, 0)), Ok(AppendCheck::New));
    // Under the new epoch, the old epoch's batches are no duplicates.
    let bumped = after(&[batch(3, 0, 10, 100), batch(4, 0, 1, 110)]);
    assert_eq!(check_client(&bumped, batch(3, 0, 10, 0)), Err(ErrorCode::InvalidProducerEpoch));
}

#[test]
fn an_unknown_producer_may_begin_anywhere() {
    assert_eq!(check_client(&after(&[]), batch(5, 1234, 1, 0)), Ok(AppendCheck::New));
}

/// Case 12: see the compatibility cases.
#[test]
fn an_expired_producer_goes_on_with_any_sequence() {
    let mut state = after(&[batch(0, 0, 10, 100)]);
    let later = |state: &ProducerStateManager, ms, first| {
        state.check(&batch(0, first, 1, 0), AppendOrigin::Client, NOW_MS + ms).map_err(|error| error.code())
    };
    assert_eq!(later(&state, DAY_MS - 1, 99), Err(ErrorCode::OutOfOrderSequenceNumber));
    assert_eq!(later(&state, DAY_MS, 99), Ok(AppendCheck::New));
    state.remove_expired(NOW_MS + DAY_MS);
    assert_eq!(state.producer_id_count(), 0);
}

#[test]
fn an_expired_producer_that_was_not_swept_begins_anew() {
    let mut state = after(&[batch(0, 0, 10, 100)]);
    state.update(&batch(0, 50, 1, 110), NOW_MS + DAY_MS);
    assert_eq!(state.entry(PRODUCER).unwrap().batches().len(), 1);
}

#[test]
fn old_record_timestamps_do_not_expire_a_live_producer() {
    let mut replayed = batch(0, 0, 10, 100);
    replayed.max_timestamp = 0;
    let state = after(&[replayed]);
    assert!(matches!(check_client(&state, replayed), Ok(AppendCheck::Duplicate { timestamp: 0, .. })));
}

#[test]
fn coordinators_and_leaders_are_trusted_with_sequences() {
    let state = after(&[batch(3, 0, 10, 100)]);
    let check = |origin, header| state.check(&header, origin, NOW_MS).map_err(|error| error.code());
    assert_eq!(check(AppendOrigin::Coordinator, batch(3, -1, 1, 0)), Ok(AppendCheck::New));
    assert_eq!(check(AppendOrigin::Coordinator, batch(2, -1, 1, 0)), Err(ErrorCode::InvalidProducerEpoch));
    assert_eq!(check(AppendOrigin::Replication, batch(2, 77, 1, 0)), Ok(AppendCheck::New));
}

#[test]
fn batches_without_a_producer_leave_no_state() {
    let state = after(&[of(-1, batch(-1, -1, 5, 100))]);
    assert_eq!((state.producer_id_count(), state.map_end_offset()), (0, Offset(105)));
    assert_eq!(check_client(&state, of(-1, batch(-1, -1, 5, 0))), Ok(AppendCheck::New));
}

#[test]
fn transactions_hold_the_last_stable_offset() {
    let mut state = after(&[]);
    state.update(&of(1, transactional(batch(0, 0, 10, 0))), NOW_MS);
    state.update(&of(2, transactional(batch(0, 0, 10, 10))), NOW_MS);
    assert_eq!(state.last_stable_offset(Offset(20)), Offset(0));
    assert_eq!(
        check_client(&state, of(1, batch(0, 10, 1, 0))),
        Err(ErrorCode::InvalidTxnState),
        "no plain batch while a transaction is open"
    );

    let aborted = state.update_marker(&end_of_txn(1, 0, 20), &marker(TransactionOutcome::Abort, 1), NOW_MS).unwrap();
    let expected = CompletedTxn {
        producer_id: ProducerId(1),
        first_offset: Offset(0),
        last_offset: Offset(20),
        is_aborted: true,
        last_stable_offset: Offset(10),
    };
    assert_eq!(aborted, expected);
    // Decided, but the marker is not replicated yet.
    assert_eq!(state.last_stable_offset(Offset(20)), Offset(0));
    state.on_high_watermark_updated(Offset(21));
    assert_eq!(state.last_stable_offset(Offset(21)), Offset(10));

    let committed =
        state.update_marker(&end_of_txn(2, 0, 21), &marker(TransactionOutcome::Commit, 1), NOW_MS).unwrap();
    assert_eq!((committed.is_aborted, committed.last_stable_offset), (false, Offset(22)));
    state.on_high_watermark_updated(Offset(22));
    assert_eq!(state.last_stable_offset(Offset(22)), Offset(22));
    assert_eq!(state.update_marker(&end_of_txn(2, 0, 22), &marker(TransactionOutcome::Commit, 1), NOW_MS), None);
}

#[test]
fn markers_of_fenced_coordinators_are_refused() {
    let mut state = after(&[transactional(batch(0, 0, 1, 0))]);
    state.update_marker(&end_of_txn(7, 1, 1), &marker(TransactionOutcome::Commit, 5), NOW_MS);
    let check = |epoch, coordinator_epoch| {
        let marker = marker(TransactionOutcome::Commit, coordinator_epoch);
        state.check_marker(&end_of_txn(7, epoch, 2), &marker).map_err(|error| error.code())
    };
    assert_eq!(check(1, 4), Err(ErrorCode::TransactionCoordinatorFenced));
    assert_eq!(check(0, 5), Err(ErrorCode::InvalidProducerEpoch));
    assert_eq!(check(1, 5), Ok(()));
    // The marker began epoch 1, in which nothing was written yet.
    assert_eq!(check_client(&state, transactional(batch(1, 0, 1, 0))), Ok(AppendCheck::New));
    assert_eq!(check_client(&state, transactional(batch(1, 3, 1, 0))), Err(ErrorCode::OutOfOrderSequenceNumber));
}

#[test]
fn an_open_transaction_never_expires() {
    let mut state = after(&[transactional(batch(0, 0, 1, 0))]);
    state.remove_expired(NOW_MS + 100 * DAY_MS);
    assert_eq!(state.producer_id_count(), 1);
}

#[test]
fn memory_is_bounded_by_forgetting_the_idlest() {
    let mut state = ProducerStateManager::new(ProducerStateConfig { expiration_ms: DAY_MS, max_producers: 32 });
    for producer_id in 0..1000 {
        let header = of(producer_id, batch(0, 0, 1, producer_id));
        let header = if producer_id == 0 { transactional(header) } else { header };
        state.update(&header, NOW_MS + producer_id);
    }
    assert!(state.producer_id_count() <= 32);
    assert!(state.entry(ProducerId(999)).is_some() && state.entry(ProducerId(500)).is_none());
    assert!(state.entry(ProducerId(0)).is_some(), "its transaction is open");
}

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

/// Written by `ProducerStateManager.writeSnapshot` of Apache Kafka 4.3.1.
const KAFKAS_SNAPSHOT: &str = "000125b8e05100000003\
    000000000000000700030000002900000000000004d2000000090000018bcfe5687bffffffffffffffffffffffff\
    00000000000003e800007fffffff0000000000000514000000000000018bcfe56be70000000500000000000004b0\
    00000000000007d1000cffffffffffffffffffffffff000000000000018bcfe56be800000008ffffffffffffffff";

#[test]
fn the_snapshot_is_kafkas() {
    let mut state = after(&[]);
    state.load(ProducerStateManager::decode_snapshot(&bytes(KAFKAS_SNAPSHOT)).unwrap(), Offset(1301), NOW_MS);
    assert_eq!(state.encode_snapshot(), bytes(KAFKAS_SNAPSHOT));
    assert_eq!(state.map_end_offset(), Offset(1301));
    assert_eq!(state.first_undecided_offset(), Some(Offset(1200)));

    let plain = state.entry(ProducerId(7)).unwrap();
    assert_eq!((plain.epoch.0, plain.coordinator_epoch, plain.last_timestamp), (3, -1, 1_700_000_000_123));
    let expected =
        BatchMetadata { last_sequence: 41, last_offset: Offset(1234), offset_delta: 9, timestamp: 1_700_000_000_123 };
    assert_eq!(plain.batches(), [expected]);
    assert!(state.entry(ProducerId(2001)).unwrap().batches().is_empty());

    assert_eq!(after(&[]).encode_snapshot(), bytes("000148674bc700000000"));
}

#[test]
fn a_snapshot_keeps_all_batches_that_may_come_again() {
    let batches: Vec<_> = (0..5).map(|at| batch(0, at * 10, 10, 100 + i64::from(at) * 10)).collect();
    let state = after(&batches);
    let mut reloaded = after(&[]);
    let entries = ProducerStateManager::decode_snapshot(&state.encode_snapshot()).unwrap();
    reloaded.load(entries, state.map_end_offset(), NOW_MS);
    for sent in &batches {
        assert!(matches!(check_client(&reloaded, *sent), Ok(AppendCheck::Duplicate { .. })));
    }
    assert_eq!(reloaded.encode_snapshot(), state.encode_snapshot());
}

#[test]
fn a_producer_from_disk_survives_long_enough_to_retry() {
    let state = after(&[batch(0, 0, 10, 100)]);
    let mut reloaded = after(&[]);
    let entries = ProducerStateManager::decode_snapshot(&state.encode_snapshot()).unwrap();
    let restart_ms = NOW_MS + 30 * DAY_MS;
    reloaded.load(entries, Offset(110), restart_ms);
    let check = |after_ms| reloaded.check(&batch(0, 0, 10, 0), AppendOrigin::Client, restart_ms + after_ms);
    assert!(matches!(check(60_000), Ok(AppendCheck::Duplicate { .. })));
    assert_eq!(check(GRACE_AFTER_LOAD_MS), Ok(AppendCheck::New));
}

#[test]
fn damaged_snapshots_are_refused() {
    let good = bytes(KAFKAS_SNAPSHOT);
    let decode = ProducerStateManager::decode_snapshot;
    assert_eq!(decode(&good[..9]), Err(SnapshotError::Size(9)));
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 1;
        assert!(decode(&bad).is_err(), "byte {at}");
        assert!(decode(&good[..at]).is_err(), "cut at {at}");
    }
}

#[test]
fn snapshot_names() {
    assert_eq!(snapshot_file_name(Offset(1301)), "00000000000000001301.snapshot");
    assert_eq!(snapshot_offset("00000000000000001301.snapshot"), Some(Offset(1301)));
    for foreign in ["1301.snapshot", "00000000000000001301.log", "x.snapshot", "99999999999999999999.snapshot"] {
        assert_eq!(snapshot_offset(foreign), None, "{foreign}");
    }
}

/// From `MemoryRecords.withEndTransactionMarker` of Apache Kafka 4.3.1: offset 55, leader epoch 4, producer 7 in its
/// epoch 3, coordinator epoch 9.
const KAFKAS_COMMIT: &str = "000000000000003700000042000000040244af7c550030000000000000018bcfe569f40000018bcfe569f4\
    00000000000000070003ffffffff000000012000000008000000010c00000000000900";
const KAFKAS_ABORT: &str = "0000000000000037000000420000000402b091aa1d0030000000000000018bcfe569f40000018bcfe569f4\
    00000000000000070003ffffffff000000012000000008000000000c00000000000900";

fn check_marker_bytes(hex: &str, outcome: TransactionOutcome) {
    let batch = bytes(hex);
    let header = BatchHeader::read(&batch).unwrap();
    let expected = EndTxnMarker { outcome, coordinator_epoch: 9, timestamp: 1_700_000_000_500 };
    assert_eq!(EndTxnMarker::read(&header, &batch), Ok(Some(expected)));
    for end in 0..batch.len() {
        assert_eq!(EndTxnMarker::read(&header, &batch[..end]), Err(MarkerError::Truncated), "cut at {end}");
    }
}

#[test]
fn markers_are_kafkas() {
    check_marker_bytes(KAFKAS_COMMIT, TransactionOutcome::Commit);
    check_marker_bytes(KAFKAS_ABORT, TransactionOutcome::Abort);
}

proptest! {
    #[test]
    fn any_bytes_are_a_snapshot_or_refused(mut content in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = ProducerStateManager::decode_snapshot(&content);
        // With version and CRC in place, the entries themselves are read.
        content.splice(..content.len().min(6), [0, 1, 0, 0, 0, 0]);
        let crc = crc32c::crc32c(&content[6..]);
        content[2..6].copy_from_slice(&crc.to_be_bytes());
        let whole = content.len().saturating_sub(10) / 46;
        if content.len() >= 10 {
            content.truncate(10 + whole * 46);
            content[6..10].copy_from_slice(&(whole as i32).to_be_bytes());
            let crc = crc32c::crc32c(&content[6..]);
            content[2..6].copy_from_slice(&crc.to_be_bytes());
            let entries = ProducerStateManager::decode_snapshot(&content).unwrap();
            let mut state = after(&[]);
            state.load(entries, Offset(5), NOW_MS);
            let _ = check_client(&state, batch(0, 0, 1, 0));
            let _ = state.encode_snapshot();
        }
    }

    #[test]
    fn any_bytes_are_a_marker_or_refused(records in prop::collection::vec(any::<u8>(), 0..40)) {
        let mut batch = bytes(KAFKAS_COMMIT);
        batch.truncate(crate::protocol::batch::HEADER_BYTES);
        batch[8..12].copy_from_slice(&(49 + records.len() as i32).to_be_bytes());
        let header = BatchHeader::read(&batch).unwrap();
        batch.extend_from_slice(&records);
        let _ = EndTxnMarker::read(&header, &batch);
    }

    /// What goes through a snapshot in the middle of a history decides every later batch as if it had not.
    #[test]
    fn a_snapshot_is_the_state(history in prop::collection::vec((0..3_i64, 0..2_i16, 1..4_i32), 1..30), cut in 0..30_usize) {
        let mut whole = after(&[]);
        let mut reloaded = after(&[]);
        for (at, (producer_id, epoch, count)) in history.iter().enumerate() {
            let first = whole.entry(ProducerId(*producer_id)).filter(|entry| entry.epoch.0 == *epoch);
            let first = first.map_or(0, |entry| entry.last_sequence() + 1);
            let header = of(*producer_id, batch(*epoch, first, *count, at as i64 * 10));
            prop_assert_eq!(check_client(&whole, header), check_client(&reloaded, header));
            if check_client(&whole, header) == Ok(AppendCheck::New) {
                whole.update(&header, NOW_MS);
                reloaded.update(&header, NOW_MS);
            }
            if at == cut {
                let entries = ProducerStateManager::decode_snapshot(&reloaded.encode_snapshot()).unwrap();
                reloaded.load(entries, whole.map_end_offset(), NOW_MS);
            }
        }
    }
}
