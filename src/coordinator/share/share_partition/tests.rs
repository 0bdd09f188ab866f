//! What clients see, case by case; `model` holds the machine to one that knows every record on its own.

mod model;

use super::*;
use crate::protocol::share_fetch_response::AcquiredRecords;

const LIMITS: ShareLimits =
    ShareLimits { max_record_locks: 100, delivery_count_limit: 5, lock_duration: Duration::from_secs(30) };
const START: Duration = Duration::from_secs(1000);

fn span(first: i64, last: i64) -> Span {
    Span::new(Offset(first), Offset(last))
}

fn request(member: &str, max_records: i64, fetch_offset: Offset) -> AcquireRequest {
    AcquireRequest {
        member: member.into(),
        mode: AcquireMode::BatchOptimized,
        batch_size: 500,
        max_records,
        fetch_offset,
        now: START,
    }
}

/// Acquires from the batches behind the next fetch offset; answers first, last and count of each.
fn acquire(partition: &mut SharePartition, member: &str, max_records: i64, batches: &[Span]) -> Vec<(i64, i64, i16)> {
    acquire_as(partition, &request(member, max_records, partition.next_fetch_offset()), batches)
}

fn acquire_as(partition: &mut SharePartition, request: &AcquireRequest, batches: &[Span]) -> Vec<(i64, i64, i16)> {
    let read: Vec<Span> = batches.iter().copied().filter(|batch| batch.last >= request.fetch_offset).collect();
    let acquired = partition.acquire(request, &LIMITS, &read, &[]);
    acquired
        .iter()
        .map(|AcquiredRecords { first_offset, last_offset, delivery_count }| {
            (first_offset.0, last_offset.0, *delivery_count)
        })
        .collect()
}

fn acknowledge(
    partition: &mut SharePartition,
    member: &str,
    span: Span,
    types: &[AckType],
) -> Result<Option<StateChange>, AcknowledgeError> {
    let acknowledgement = Acknowledgement { span, types: types.to_vec() };
    partition.acknowledge(member, &[acknowledgement], START, &LIMITS)
}

/// Acknowledges, and has it written.
fn settle(partition: &mut SharePartition, member: &str, span: Span, types: &[AckType]) {
    let change = acknowledge(partition, member, span, types).expect("taken").expect("something to write");
    partition.complete(change.id, true);
}

#[test]
fn accepted_records_move_the_start() {
    let mut partition = SharePartition::new(Offset(10), &[]);
    assert_eq!(acquire(&mut partition, "a", 500, &[span(10, 19)]), [(10, 19, 1)]);
    assert_eq!(partition.next_fetch_offset(), Offset(20));
    let change = acknowledge(&mut partition, "a", span(10, 14), &[AckType::Accept]).unwrap().unwrap();
    assert_eq!((change.start_offset, change.delivery_complete_count), (Offset(15), 0));
    let batch = StateBatch { span: span(10, 14), state: DeliveryState::Acknowledged, delivery_count: 1 };
    assert_eq!(change.batches, [batch]);
    assert_eq!(partition.start_offset(), Offset(10), "not before it is written");
    partition.complete(change.id, true);
    assert_eq!(partition.start_offset(), Offset(15));
    settle(&mut partition, "a", span(15, 19), &[AckType::Reject]);
    assert_eq!((partition.start_offset(), partition.end_offset()), (Offset(20), Offset(20)));
}

#[test]
fn records_behind_the_start_that_are_done_with_are_counted() {
    let mut partition = SharePartition::new(Offset(0), &[]);
    acquire(&mut partition, "a", 500, &[span(0, 9)]);
    let change = acknowledge(&mut partition, "a", span(4, 9), &[AckType::Accept]).unwrap().unwrap();
    assert_eq!((change.start_offset, change.delivery_complete_count), (Offset(0), 6));
}

#[test]
fn each_record_may_have_a_type_of_its_own() {
    use AckType::{Accept, Gap, Reject, Release};
    let mut partition = SharePartition::new(Offset(0), &[]);
    acquire(&mut partition, "a", 500, &[span(0, 4)]);
    let types = [Accept, Release, Gap, Release, Reject];
    settle(&mut partition, "a", span(0, 4), &types);
    assert_eq!(partition.start_offset(), Offset(1));
    assert_eq!(acquire(&mut partition, "b", 500, &[span(0, 4)]), [(1, 1, 2), (3, 3, 2)]);
}

#[test]
fn a_write_that_fails_leaves_the_records_with_their_holder() {
    let mut partition = SharePartition::new(Offset(0), &[]);
    acquire(&mut partition, "a", 500, &[span(0, 9)]);
    let change = acknowledge(&mut partition, "a", span(0, 9), &[AckType::Release]).unwrap().unwrap();
    assert_eq!(acknowledge(&mut partition, "a", span(0, 9), &[AckType::Accept]), Err(AcknowledgeError::NotAcquired));
    assert_eq!(acquire(&mut partition, "b", 500, &[span(0, 9)]), []);
    partition.complete(change.id, false);
    settle(&mut partition, "a", span(0, 9), &[AckType::Accept]);
    assert_eq!(partition.start_offset(), Offset(10));
}

#[test]
fn only_the_holder_acknowledges() {
    let mut partition = SharePartition::new(Offset(5), &[]);
    let accept = |partition: &mut SharePartition, member, first, last| {
        acknowledge(partition, member, span(first, last), &[AckType::Accept]).map(|_| ())
    };
    assert_eq!(accept(&mut partition, "a", 5, 5), Err(AcknowledgeError::NotAcquired), "nothing is in flight");
    acquire(&mut partition, "a", 500, &[span(5, 9)]);
    assert_eq!(accept(&mut partition, "b", 5, 9), Err(AcknowledgeError::NotHolder));
    assert_eq!(accept(&mut partition, "a", 5, 10), Err(AcknowledgeError::PastEnd));
    assert_eq!(accept(&mut partition, "a", 0, 4), Ok(()), "done with long ago");
    assert_eq!(accept(&mut partition, "a", 3, 9), Ok(()));
    assert_eq!(accept(&mut partition, "a", 5, 9), Err(AcknowledgeError::NotAcquired), "twice");
}

#[test]
fn a_batch_is_acquired_whole_unless_records_are_limited() {
    let batches = [span(0, 9), span(10, 19), span(20, 29)];
    let mut partition = SharePartition::new(Offset(0), &[]);
    assert_eq!(acquire(&mut partition, "a", 12, &batches), [(0, 19, 1)]);
    let mut partition = SharePartition::new(Offset(0), &[]);
    let strict = AcquireRequest { mode: AcquireMode::RecordLimit, ..request("a", 12, Offset(0)) };
    assert_eq!(acquire_as(&mut partition, &strict, &batches), [(0, 11, 1)]);
    assert_eq!(partition.next_fetch_offset(), Offset(12), "in the middle of a batch");
    assert_eq!(acquire(&mut partition, "b", 500, &batches), [(12, 29, 1)]);
}

#[test]
fn acquired_records_come_in_batches_of_about_the_size_asked_for() {
    let batches = [span(0, 3), span(4, 7), span(8, 11), span(12, 15)];
    let mut partition = SharePartition::new(Offset(0), &[]);
    let small = AcquireRequest { batch_size: 6, ..request("a", 500, Offset(0)) };
    assert_eq!(acquire_as(&mut partition, &small, &batches), [(0, 7, 1), (8, 15, 1)]);
}

#[test]
fn no_more_than_the_limit_is_in_flight() {
    let batches: Vec<Span> = (0..20).map(|index| span(index * 10, index * 10 + 9)).collect();
    let mut partition = SharePartition::new(Offset(0), &[]);
    assert_eq!(acquire(&mut partition, "a", 500, &batches), [(0, 99, 1)]);
    assert!(!partition.can_acquire(&LIMITS));
    settle(&mut partition, "a", span(20, 29), &[AckType::Release]);
    assert!(partition.can_acquire(&LIMITS), "among those in flight");
    assert_eq!(acquire(&mut partition, "b", 500, &batches), [(20, 29, 2)], "and nothing behind them");
}

#[test]
fn locks_run_out_and_are_renewed() {
    let mut partition = SharePartition::new(Offset(0), &[]);
    acquire(&mut partition, "a", 500, &[span(0, 9)]);
    let until = START + LIMITS.lock_duration;
    assert_eq!(partition.next_lock_deadline(), Some(until));
    let later = START + Duration::from_secs(10);
    let renew = Acknowledgement { span: span(0, 4), types: vec![AckType::Renew] };
    assert_eq!(partition.acknowledge("a", &[renew], later, &LIMITS), Ok(None), "nothing to write");
    assert_eq!(partition.expire_locks(START, &LIMITS), None);
    let change = partition.expire_locks(until, &LIMITS).expect("the second half");
    let batch = StateBatch { span: span(5, 9), state: DeliveryState::Available, delivery_count: 1 };
    assert_eq!(change.batches, [batch]);
    assert_eq!(acquire(&mut partition, "b", 500, &[span(0, 9)]), [(5, 9, 2)]);
}

#[test]
fn a_record_is_given_up_at_the_limit_and_delivered_alone_before() {
    let mut partition = SharePartition::new(Offset(0), &[]);
    let batch = [span(0, 7)];
    let mut deliveries = Vec::new();
    while deliveries.len() < 100 && partition.start_offset() < Offset(8) {
        let acquired = acquire(&mut partition, "a", 500, &batch);
        for &(first, last, _) in &acquired {
            settle(&mut partition, "a", span(first, last), &[AckType::Release]);
        }
        deliveries.extend(acquired);
    }
    assert_eq!(deliveries[..2], [(0, 7, 1), (0, 7, 2)]);
    assert_eq!(deliveries[2], (0, 7, 3));
    assert!(deliveries[3..].iter().filter(|delivery| delivery.2 == 5).all(|&(first, last, _)| first == last));
    assert!(deliveries.contains(&(0, 3, 4)), "half of the batch first: {deliveries:?}");
    assert_eq!(deliveries.iter().map(|delivery| delivery.2).max(), Some(5));
    assert_eq!(partition.start_offset(), Offset(8));
}

#[test]
fn what_a_session_held_at_its_end_was_delivered() {
    let mut partition = SharePartition::new(Offset(0), &[]);
    acquire(&mut partition, "b", 500, &[span(0, 4)]);
    for delivery in 1..=LIMITS.delivery_count_limit {
        assert_eq!(acquire(&mut partition, "a", 500, &[span(5, 5)]), [(5, 5, delivery)]);
        let change = partition.release_member("a", &LIMITS).expect("held something");
        assert_eq!(change.batches[0].delivery_count, delivery);
        partition.complete(change.id, true);
        assert_eq!(partition.release_member("a", &LIMITS), None);
    }
    assert_eq!(acquire(&mut partition, "a", 500, &[span(5, 5)]), [], "it has ended consumers often enough");
}

#[test]
fn what_was_compacted_away_is_passed_over() {
    let mut partition = SharePartition::new(Offset(0), &[]);
    acquire(&mut partition, "a", 500, &[span(0, 9)]);
    settle(&mut partition, "a", span(0, 9), &[AckType::Release]);
    assert_eq!(acquire(&mut partition, "a", 500, &[span(15, 19)]), [(15, 19, 1)]);
    assert_eq!(partition.start_offset(), Offset(15));
}

#[test]
fn unwanted_records_are_never_acquired() {
    let mut partition = SharePartition::new(Offset(0), &[]);
    let acquired =
        partition.acquire(&request("a", 500, Offset(0)), &LIMITS, &[span(0, 9)], &[span(0, 2), span(6, 6)]);
    assert_eq!(
        acquired.iter().map(|one| (one.first_offset.0, one.last_offset.0)).collect::<Vec<_>>(),
        [(3, 5), (7, 9)]
    );
    assert_eq!(partition.start_offset(), Offset(3));
}

#[test]
fn a_log_that_begins_later_leaves_what_is_gone() {
    let mut partition = SharePartition::new(Offset(0), &[]);
    acquire(&mut partition, "a", 500, &[span(0, 9)]);
    partition.move_log_start(Offset(5));
    assert_eq!(partition.start_offset(), Offset(5));
    settle(&mut partition, "a", span(0, 9), &[AckType::Accept]);
    assert_eq!(partition.start_offset(), Offset(10));
    partition.move_log_start(Offset(50));
    assert_eq!((partition.start_offset(), partition.next_fetch_offset()), (Offset(50), Offset(50)));
}

#[test]
fn what_was_in_flight_and_not_acknowledged_is_available_after_a_restart() {
    let batches = [
        StateBatch { span: span(12, 14), state: DeliveryState::Acknowledged, delivery_count: 1 },
        StateBatch { span: span(15, 16), state: DeliveryState::Available, delivery_count: 2 },
        StateBatch { span: span(20, 29), state: DeliveryState::Archived, delivery_count: 5 },
    ];
    let mut partition = SharePartition::new(Offset(10), &batches);
    assert_eq!((partition.start_offset(), partition.end_offset()), (Offset(10), Offset(30)));
    assert_eq!(partition.delivery_complete_count(), 13);
    let acquired = acquire(&mut partition, "a", 500, &[span(10, 39)]);
    assert_eq!(acquired, [(10, 11, 1), (15, 16, 3), (17, 19, 1), (30, 39, 1)]);
}

#[test]
fn damaged_state_is_cut() {
    let batches = [
        StateBatch { span: span(-5, 3), state: DeliveryState::Archived, delivery_count: 1 },
        StateBatch { span: span(2, 8), state: DeliveryState::Available, delivery_count: 3 },
        StateBatch { span: span(7, 4), state: DeliveryState::Archived, delivery_count: 1 },
        StateBatch { span: span(9, i64::MAX), state: DeliveryState::Archived, delivery_count: 1 },
    ];
    let partition = SharePartition::new(Offset(0), &batches);
    assert_eq!((partition.start_offset(), partition.end_offset()), (Offset(4), Offset(9)));
}
