use proptest::prelude::*;
use uuid::Uuid;

use super::*;

const CONFIG: SnapshotConfig = SnapshotConfig { updates_per_snapshot: 2, cold_interval: Duration::from_secs(300) };

fn key(partition: i32) -> ShareKey {
    ShareKey { group_id: "group".to_owned(), topic_id: TopicId(Uuid::from_u128(7)), partition }
}

fn now(seconds: u64) -> Now {
    Now { monotonic: Duration::from_secs(seconds), wall_ms: seconds as i64 * 1000 }
}

fn batch(first: i64, last: i64, state: DeliveryState) -> StateBatch {
    StateBatch { span: Span::new(Offset(first), Offset(last)), state, delivery_count: 1 }
}

fn write(state_epoch: i32, leader_epoch: i32, start: i64, batches: &[StateBatch]) -> WriteState {
    WriteState {
        state_epoch,
        leader_epoch: LeaderEpoch(leader_epoch),
        start_offset: Offset(start),
        delivery_complete_count: 0,
        batches: batches.to_vec(),
    }
}

/// A shard and its log.
struct World {
    shard: ShareStateShard,
    log: Vec<EncodedRecord>,
}

impl World {
    fn new() -> Self {
        Self { shard: ShareStateShard::new(CONFIG), log: Vec::new() }
    }

    /// Appends and applies; the kinds of the records.
    fn carry_out(&mut self, decision: Decision<ShareStateShard>) -> Vec<&'static str> {
        let mut kinds = Vec::new();
        for record in decision.records {
            kinds.push(match &record {
                ShareRecord::ShareSnapshot(_, Some(_)) => "snapshot",
                ShareRecord::ShareSnapshot(_, None) => "tombstone",
                ShareRecord::ShareUpdate(..) => "update",
            });
            let offset = Offset(self.log.len() as i64);
            self.log.push(ShareStateShard::encode(&record));
            self.shard.apply(record, offset);
        }
        kinds
    }

    fn initialize(&mut self, partition: i32, state_epoch: i32, start: i64) -> Result<(), ErrorCode> {
        let (decision, result) = self.shard.initialize(key(partition), state_epoch, Offset(start), now(1));
        self.carry_out(decision);
        result
    }

    fn write(&mut self, partition: i32, state: &WriteState) -> Result<Vec<&'static str>, ErrorCode> {
        let (decision, result) = self.shard.write(key(partition), state, now(1));
        let kinds = self.carry_out(decision);
        result.map(|()| kinds)
    }

    /// The state that the log tells from `from` on.
    fn replayed(&self, from: Offset) -> ShareStateShard {
        let mut shard = ShareStateShard::new(CONFIG);
        for (offset, record) in self.log.iter().enumerate().skip(from.0 as usize) {
            let origin = RecordOrigin { offset: Offset(offset as i64), timestamp_ms: 0, transaction_of: None };
            shard.replay(&record.key, record.value.as_deref(), origin).expect("our own record");
        }
        shard
    }
}

#[test]
fn updates_follow_a_snapshot_until_the_next() {
    use DeliveryState::{Acknowledged, Available};
    let mut world = World::new();
    world.initialize(0, 1, -1).unwrap();
    assert_eq!(world.write(0, &write(1, 3, 10, &[batch(12, 14, Acknowledged)])), Ok(vec!["update"]));
    assert_eq!(world.write(0, &write(1, 3, 11, &[batch(11, 11, Available)])), Ok(vec!["update"]));
    assert_eq!(world.write(0, &write(1, 3, 12, &[batch(15, 15, Acknowledged)])), Ok(vec!["snapshot"]));
    let state = world.shard.get(&key(0)).unwrap();
    assert_eq!((state.start_offset, state.leader_epoch), (Offset(12), LeaderEpoch(3)));
    assert_eq!(state.batches, [batch(12, 15, Acknowledged)]);
    assert_eq!(world.shard.redundant_below(), Offset(3));
}

#[test]
fn those_of_earlier_epochs_are_fenced() {
    let mut world = World::new();
    world.initialize(0, 2, -1).unwrap();
    assert_eq!(world.initialize(0, 1, 0), Err(ErrorCode::FencedStateEpoch));
    let (decision, taken_over) = world.shard.read_as_leader(key(0), LeaderEpoch(5));
    assert_eq!(taken_over.unwrap().leader_epoch, LeaderEpoch(5));
    assert_eq!(world.carry_out(decision), ["update"]);
    assert_eq!(world.write(0, &write(2, 4, 0, &[])), Err(ErrorCode::FencedLeaderEpoch));
    assert_eq!(world.write(0, &write(1, 5, 0, &[])), Err(ErrorCode::FencedStateEpoch));
    assert_eq!(world.write(0, &write(2, 5, 0, &[])), Ok(vec!["update"]));
    let (decision, refused) = world.shard.read_as_leader(key(0), LeaderEpoch(4));
    assert_eq!((decision.records.len(), refused), (0, Err(ErrorCode::FencedLeaderEpoch)));
    let (decision, unknown) = world.shard.read_as_leader(key(1), LeaderEpoch(4));
    assert_eq!((decision.records.len(), unknown), (0, Err(ErrorCode::InvalidRequest)));
    assert_eq!(world.write(7, &write(0, 1, 0, &[])), Err(ErrorCode::InvalidRequest), "writing makes no state");
    world.initialize(0, 3, 100).unwrap();
    assert_eq!(world.write(0, &write(3, 1, 101, &[])), Ok(vec!["update"]), "any leader after a reset");
}

#[test]
fn a_start_offset_goes_back_only_when_it_is_set_anew() {
    let mut world = World::new();
    world.initialize(0, 1, -1).unwrap();
    world.write(0, &write(1, 1, 50, &[])).unwrap();
    world.write(0, &write(1, 1, 40, &[])).unwrap();
    assert_eq!(world.shard.get(&key(0)).unwrap().start_offset, Offset(50));
    world.initialize(0, 2, 10).unwrap();
    assert_eq!(world.shard.get(&key(0)).unwrap().start_offset, Offset(10));
}

#[test]
fn what_is_deleted_holds_nothing_back() {
    let mut world = World::new();
    world.initialize(0, 1, 0).unwrap();
    world.initialize(1, 1, 0).unwrap();
    assert_eq!(world.shard.redundant_below(), Offset(0));
    let decision = world.shard.delete([key(0), key(5)]);
    assert_eq!(world.carry_out(decision), ["tombstone"]);
    assert_eq!(world.shard.redundant_below(), Offset(1));
    let decision = world.shard.delete([key(1)]);
    world.carry_out(decision);
    assert_eq!(world.shard.redundant_below(), Offset(4));
    assert!(world.replayed(Offset(0)).states.is_empty());
    world.initialize(2, 1, 0).unwrap();
    let decision = world.shard.delete_gone(|topic| topic == key(2).topic_id);
    assert_eq!(world.carry_out(decision), [""; 0]);
    let decision = world.shard.delete_gone(|_| false);
    assert_eq!(world.carry_out(decision), ["tombstone"]);
}

#[test]
fn unused_share_partitions_do_not_hold_back_the_log() {
    let mut world = World::new();
    world.initialize(0, 1, 0).unwrap();
    let decision = world.shard.on_timer(now(1000), ColdSnapshots);
    assert_eq!((decision.records.len(), decision.timers.len()), (0, 1), "nothing to gain, and the timer goes on");
    world.initialize(1, 1, 0).unwrap();
    for start in 0..10 {
        world.write(1, &write(1, 1, start, &[])).unwrap();
    }
    let decision = world.shard.on_timer(now(200), ColdSnapshots);
    assert_eq!(world.carry_out(decision), [""; 0], "not yet unused");
    let decision = world.shard.on_timer(now(1000), ColdSnapshots);
    let kinds = world.carry_out(decision);
    assert!(kinds.iter().all(|kind| *kind == "snapshot") && !kinds.is_empty(), "{kinds:?}");
    assert!(world.shard.redundant_below() > Offset(5));
}

#[test]
fn nonsense_is_no_record() {
    let mut shard = ShareStateShard::new(CONFIG);
    let origin = RecordOrigin { offset: Offset(0), timestamp_ms: 0, transaction_of: None };
    assert_eq!(shard.replay(&[0, 9], None, origin), Err(ReplayError::UnknownKind(9)));
    assert!(matches!(shard.replay(&[0], None, origin), Err(ReplayError::Malformed(_))));
}

fn any_write() -> impl Strategy<Value = (i32, WriteState, bool)> {
    let batches = prop::collection::vec((0..50i64, 0..5i64, prop::sample::select(vec![0i8, 2, 4])), 0..4);
    (0..3i32, 0..50i64, batches, prop::bool::weighted(0.1)).prop_map(|(partition, start, batches, resets)| {
        let batches: Vec<_> = batches
            .into_iter()
            .map(|(first, more, id)| batch(first, first + more, DeliveryState::from_id(id).unwrap()))
            .collect();
        (partition, write(1, 1, start, &batches), resets)
    })
}

proptest! {
    /// Whatever was written, and whatever of the log was pruned: reading the rest gives the same state.
    #[test]
    fn the_pruned_log_tells_the_same(writes in prop::collection::vec(any_write(), 1..60)) {
        let mut world = World::new();
        (0..3).for_each(|partition| world.initialize(partition, 1, 0).unwrap());
        for (partition, state, resets) in writes {
            if resets {
                world.initialize(partition, 1, state.start_offset.0).unwrap();
            }
            world.write(partition, &state).unwrap();
        }
        let replayed = world.replayed(world.shard.redundant_below());
        prop_assert_eq!(&replayed.states, &world.shard.states);
        prop_assert_eq!(replayed.end_offset, world.shard.end_offset);
    }
}
