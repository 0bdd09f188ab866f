//! One partition of `__share_group_state`: the state of the share partitions whose keys hash to it.
//!
//! A share partition's whole state is a snapshot; between two snapshots there are updates, which say what changed:
//!
//! ```text
//!  log   ... │ snapshot a │ update a │ snapshot b │ update a │ update a │ snapshot a │ ...
//!                                                                        └─ all of a before this may go
//! ```
//! Nothing before the oldest of the last snapshots is needed. Of share partitions that nobody uses a new snapshot is
//! written now and then, so that they do not hold back the whole log.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use super::records::{self, ShareKey, ShareRecord, ShareSnapshotValue, ShareUpdateValue};
use super::share_partition::{DeliveryState, Span, StateBatch};
use super::state_batches::overlay;
use crate::coordinator::{Decision, EncodedRecord, Machine, Now, RecordOrigin, ReplayError, Timer};
use crate::error::ErrorCode;
use crate::ids::{LeaderEpoch, Offset, TopicId};
use crate::time::TimestampMs;

/// Where the number of offsets that are done with is not known.
pub const NO_COUNT: i32 = -1;
/// New snapshots of unused share partitions are written where this many times more records lie in the log than are
/// needed.
const COLD_SNAPSHOT_FACTOR: i64 = 2;

/// What is kept of one share partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShareState {
    pub state_epoch: i32,
    pub leader_epoch: LeaderEpoch,
    /// [`Offset::NONE`] where the share group has not begun: its reset policy says where.
    pub start_offset: Offset,
    pub delivery_complete_count: i32,
    pub batches: Vec<StateBatch>,
    snapshot_epoch: i32,
    created_ms: TimestampMs,
    written_ms: TimestampMs,
    /// Updates since the snapshot.
    updates: u32,
    snapshot_at: Offset,
}

/// A change of a share partition's state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WriteState {
    pub state_epoch: i32,
    pub leader_epoch: LeaderEpoch,
    pub start_offset: Offset,
    pub delivery_complete_count: i32,
    pub batches: Vec<StateBatch>,
}

/// How often snapshots are written.
#[derive(Clone, Copy, Debug)]
pub struct SnapshotConfig {
    /// `share.coordinator.snapshot.update.records.per.snapshot`.
    pub updates_per_snapshot: u32,
    /// `share.coordinator.cold.partition.snapshot.interval.ms`.
    pub cold_interval: Duration,
}

/// The state of some share partitions.
#[derive(Debug)]
pub struct ShareStateShard {
    config: SnapshotConfig,
    states: HashMap<ShareKey, ShareState>,
    /// The last snapshot of each share partition.
    snapshots: BTreeSet<Offset>,
    /// Behind the last record.
    end_offset: Offset,
}

/// Looks for share partitions that nobody uses.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ColdSnapshots;

impl ShareStateShard {
    pub fn new(config: SnapshotConfig) -> Self {
        Self { config, states: HashMap::new(), snapshots: BTreeSet::new(), end_offset: Offset::ZERO }
    }

    pub fn get(&self, key: &ShareKey) -> Option<&ShareState> {
        self.states.get(key)
    }

    /// Records below this offset are not needed any more.
    pub fn redundant_below(&self) -> Offset {
        self.snapshots.first().copied().unwrap_or(self.end_offset)
    }

    /// A share partition begins at `start_offset`, or anew.
    pub fn initialize(
        &self,
        key: ShareKey,
        state_epoch: i32,
        start_offset: Offset,
        now: Now,
    ) -> (Decision<Self>, Result<(), ErrorCode>) {
        let before = self.states.get(&key);
        if before.is_some_and(|state| state.state_epoch > state_epoch) {
            return (Decision::default(), Err(ErrorCode::FencedStateEpoch));
        }
        let snapshot = ShareSnapshotValue {
            snapshot_epoch: before.map_or(0, |state| state.snapshot_epoch.saturating_add(1)),
            state_epoch,
            // Whoever leads next may be in any epoch.
            leader_epoch: LeaderEpoch::NONE.0,
            start_offset: start_offset.0,
            create_timestamp_ms: now.wall_ms,
            write_timestamp_ms: now.wall_ms,
            state_batches: Vec::new(),
            delivery_complete_count: NO_COUNT,
        };
        (one_record(ShareRecord::ShareSnapshot(key, Some(snapshot))), Ok(()))
    }

    /// The leader of a share partition takes its state over; a leader of an earlier epoch writes no more. Without a group
    /// that has begun to read it there is none: fetching makes no state.
    pub fn read_as_leader(
        &self,
        key: ShareKey,
        leader_epoch: LeaderEpoch,
    ) -> (Decision<Self>, Result<ShareState, ErrorCode>) {
        let Some(state) = self.states.get(&key) else { return (Decision::default(), Err(ErrorCode::InvalidRequest)) };
        if state.leader_epoch > leader_epoch {
            return (Decision::default(), Err(ErrorCode::FencedLeaderEpoch));
        }
        if state.leader_epoch == leader_epoch {
            return (Decision::default(), Ok(state.clone()));
        }
        let update = ShareUpdateValue {
            snapshot_epoch: state.snapshot_epoch,
            leader_epoch: leader_epoch.0,
            start_offset: Offset::NONE.0,
            state_batches: Vec::new(),
            delivery_complete_count: state.delivery_complete_count,
        };
        let taken_over = ShareState { leader_epoch, ..state.clone() };
        (one_record(ShareRecord::ShareUpdate(key, Some(update))), Ok(taken_over))
    }

    /// The leader of a share partition writes what has changed; in vain once the state is deleted.
    pub fn write(&self, key: ShareKey, write: &WriteState, now: Now) -> (Decision<Self>, Result<(), ErrorCode>) {
        let refused = |code| (Decision::default(), Err(code));
        let Some(state) = self.states.get(&key) else { return refused(ErrorCode::InvalidRequest) };
        if state.leader_epoch > write.leader_epoch {
            return refused(ErrorCode::FencedLeaderEpoch);
        }
        if state.state_epoch > write.state_epoch {
            return refused(ErrorCode::FencedStateEpoch);
        }
        let record = if state.updates < self.config.updates_per_snapshot {
            let update = ShareUpdateValue {
                snapshot_epoch: state.snapshot_epoch,
                leader_epoch: write.leader_epoch.0,
                start_offset: write.start_offset.0,
                state_batches: raw(&write.batches),
                delivery_complete_count: write.delivery_complete_count,
            };
            ShareRecord::ShareUpdate(key, Some(update))
        } else {
            let start_offset = later(state.start_offset, write.start_offset);
            let snapshot = ShareSnapshotValue {
                snapshot_epoch: state.snapshot_epoch.saturating_add(1),
                state_epoch: write.state_epoch,
                leader_epoch: write.leader_epoch.0,
                start_offset: start_offset.0,
                create_timestamp_ms: state.created_ms,
                write_timestamp_ms: now.wall_ms,
                state_batches: raw(&overlay(&state.batches, &write.batches, start_offset)),
                delivery_complete_count: write.delivery_complete_count,
            };
            ShareRecord::ShareSnapshot(key, Some(snapshot))
        };
        (one_record(record), Ok(()))
    }

    /// Forgets share partitions.
    pub fn delete(&self, keys: impl IntoIterator<Item = ShareKey>) -> Decision<Self> {
        let known = keys.into_iter().filter(|key| self.states.contains_key(key));
        Decision { records: known.map(|key| ShareRecord::ShareSnapshot(key, None)).collect(), ..Decision::default() }
    }

    /// Forgets the share partitions of topics that are gone.
    pub fn delete_gone(&self, exists: impl Fn(TopicId) -> bool) -> Decision<Self> {
        self.delete(self.states.keys().filter(|key| !exists(key.topic_id)).cloned().collect::<Vec<_>>())
    }

    /// Starts the timer that looks for share partitions that nobody uses.
    fn look_again(&self, now: Now) -> Decision<Self> {
        let timers = vec![Timer::at(ColdSnapshots, now.monotonic + self.config.cold_interval)];
        Decision { timers, ..Decision::default() }
    }

    fn snapshot_of(state: &ShareState) -> ShareSnapshotValue {
        ShareSnapshotValue {
            snapshot_epoch: state.snapshot_epoch.saturating_add(1),
            state_epoch: state.state_epoch,
            leader_epoch: state.leader_epoch.0,
            start_offset: state.start_offset.0,
            create_timestamp_ms: state.created_ms,
            write_timestamp_ms: state.written_ms,
            state_batches: raw(&state.batches),
            delivery_complete_count: state.delivery_complete_count,
        }
    }

    fn apply_snapshot(&mut self, key: ShareKey, snapshot: Option<ShareSnapshotValue>, at: Offset) {
        if let Some(before) = self.states.remove(&key) {
            self.snapshots.remove(&before.snapshot_at);
        }
        let Some(snapshot) = snapshot else { return };
        let start_offset = Offset(snapshot.start_offset);
        let state = ShareState {
            state_epoch: snapshot.state_epoch,
            leader_epoch: LeaderEpoch(snapshot.leader_epoch),
            start_offset,
            delivery_complete_count: snapshot.delivery_complete_count,
            batches: overlay(&[], &parsed(&snapshot.state_batches), start_offset),
            snapshot_epoch: snapshot.snapshot_epoch,
            created_ms: snapshot.create_timestamp_ms,
            written_ms: snapshot.write_timestamp_ms,
            updates: 0,
            snapshot_at: at,
        };
        self.snapshots.insert(at);
        self.states.insert(key, state);
    }

    /// An update whose snapshot is gone says nothing: the share partition was deleted.
    fn apply_update(&mut self, key: &ShareKey, update: &ShareUpdateValue) {
        let Some(state) = self.states.get_mut(key) else { return };
        state.start_offset = later(state.start_offset, Offset(update.start_offset));
        state.leader_epoch = state.leader_epoch.max(LeaderEpoch(update.leader_epoch));
        state.batches = overlay(&state.batches, &parsed(&update.state_batches), state.start_offset);
        state.delivery_complete_count = update.delivery_complete_count;
        state.updates = state.updates.saturating_add(1);
    }
}

impl Machine for ShareStateShard {
    type Record = ShareRecord;
    type SoftChange = ();
    type Reply = ();
    type TimerKey = ColdSnapshots;

    fn encode(record: &ShareRecord) -> EncodedRecord {
        let (key, value) = record.encode();
        EncodedRecord { key, value }
    }

    fn replay(&mut self, key: &[u8], value: Option<&[u8]>, origin: RecordOrigin) -> Result<(), ReplayError> {
        let record = ShareRecord::decode(key, value).map_err(|error| match error {
            records::RecordError::UnknownType(kind) => ReplayError::UnknownKind(kind),
            error => ReplayError::Malformed(error.to_string()),
        })?;
        self.apply(record, origin.offset);
        Ok(())
    }

    fn apply(&mut self, record: ShareRecord, offset: Offset) {
        self.end_offset = offset.next();
        match record {
            ShareRecord::ShareSnapshot(key, snapshot) => self.apply_snapshot(key, snapshot, offset),
            ShareRecord::ShareUpdate(key, Some(update)) => self.apply_update(&key, &update),
            ShareRecord::ShareUpdate(_, None) => {}
        }
    }

    fn apply_soft(&mut self, (): ()) {}

    fn on_loaded(&mut self, now: Now) -> Decision<Self> {
        self.look_again(now)
    }

    fn on_timer(&self, now: Now, ColdSnapshots: ColdSnapshots) -> Decision<Self> {
        let mut decision = self.look_again(now);
        let kept = self.end_offset - self.redundant_below();
        let needed: i64 = self.states.values().map(|state| 1 + i64::from(state.updates)).sum();
        if kept <= needed.saturating_mul(COLD_SNAPSHOT_FACTOR) {
            return decision;
        }
        let cold_since = now.wall_ms.saturating_sub(self.config.cold_interval.as_millis() as i64);
        let middle = self.redundant_below() + kept / 2;
        let cold =
            self.states.iter().filter(|(_, state)| state.written_ms <= cold_since && state.snapshot_at < middle);
        decision.records = cold
            .map(|(key, state)| ShareRecord::ShareSnapshot(key.clone(), Some(Self::snapshot_of(state))))
            .collect();
        decision
    }
}

fn one_record(record: ShareRecord) -> Decision<ShareStateShard> {
    Decision { records: vec![record], ..Decision::default() }
}

/// A start offset never goes back, whatever order writes come in; none says nothing.
fn later(start: Offset, update: Offset) -> Offset {
    start.max(update)
}

fn raw(batches: &[StateBatch]) -> Vec<records::StateBatch> {
    let raw = batches.iter().map(|batch| records::StateBatch {
        first_offset: batch.span.first.0,
        last_offset: batch.span.last.0,
        delivery_state: batch.state as i8,
        delivery_count: batch.delivery_count,
    });
    raw.collect()
}

/// What is no state leaves its records available: they are delivered once more rather than lost.
fn parsed(batches: &[records::StateBatch]) -> Vec<StateBatch> {
    let parsed = batches.iter().map(|batch| StateBatch {
        span: Span::new(Offset(batch.first_offset), Offset(batch.last_offset)),
        state: DeliveryState::from_id(batch.delivery_state).unwrap_or(DeliveryState::Available),
        delivery_count: batch.delivery_count,
    });
    parsed.collect()
}

#[cfg(test)]
mod tests;
