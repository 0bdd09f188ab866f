//! What a share group holds of one partition: which records are free, who holds which, what is done with (KIP-932).
//!
//! ```text
//!   done with         start_offset                          end_offset      not delivered yet
//!  ───────────────────┼──────────────────────────────────────┼────────────────────────────▶ offsets
//!                     │ acquired │ available │ acknowledged  │
//!                     └──────────────── in flight ───────────┘
//! ```
//! Kafka's own form of this keeps a batch's state until one of its records differs, and then one state per record. Here
//! the records in flight are runs of neighbours of one state, cut where their states part and joined where they meet
//! again; so nothing is ever converted, and what acknowledges a million records by their first and last costs as much
//! as one.
//!
//! | from      | by                                     | to                                                       |
//! |-----------|----------------------------------------|----------------------------------------------------------|
//! | available | a fetch                                | acquired by a member, under a lock that runs out         |
//! | acquired  | accept                                 | acknowledged                                             |
//! | acquired  | reject, gap                            | archived                                                 |
//! | acquired  | release, the lock or the session ends  | available; archived at the limit of deliveries           |
//! | acquired  | renew (KIP-1222)                       | acquired, under a new lock                               |
//! | available | no such record in the log any more     | archived                                                 |
//!
//! An acknowledgement takes effect once it is written: until then the records are nobody's, and where the write fails
//! they are their holder's again.

mod acknowledge;
mod acquire;
mod runs;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

pub use acknowledge::{AckType, AcknowledgeError, Acknowledgement};
pub use acquire::{AcquireMode, AcquireRequest};
use runs::{Run, RunState, Runs};

use super::state_batches::join_neighbours;
use crate::ids::Offset;

/// Offsets from the first to the last, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    pub first: Offset,
    pub last: Offset,
}

impl Span {
    pub fn new(first: Offset, last: Offset) -> Self {
        Self { first, last }
    }

    /// The number of offsets; none where the last is below the first.
    pub fn count(self) -> i64 {
        (self.last - self.first + 1).max(0)
    }
}

/// What is kept of a record in flight; the numbers are Kafka's, in the state topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeliveryState {
    Available = 0,
    Acknowledged = 2,
    Archived = 4,
}

impl DeliveryState {
    pub fn from_id(id: i8) -> Option<Self> {
        match id {
            0 => Some(Self::Available),
            2 => Some(Self::Acknowledged),
            4 => Some(Self::Archived),
            _ => None,
        }
    }

    /// The record is never delivered again.
    pub fn is_terminal(self) -> bool {
        self != Self::Available
    }
}

/// Neighbours of one state, as they are kept in the state topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StateBatch {
    pub span: Span,
    pub state: DeliveryState,
    pub delivery_count: i16,
}

/// What a change of state asks to have written; the caller answers with [`SharePartition::complete`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateChange {
    pub id: ChangeId,
    /// Where the share group starts once this is written.
    pub start_offset: Offset,
    /// Offsets in flight that are done with once this is written.
    pub delivery_complete_count: i32,
    pub batches: Vec<StateBatch>,
}

/// Names one [`StateChange`] of one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ChangeId(u64);

/// What bounds a share group in one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShareLimits {
    /// `share.partition.max.record.locks`: records in flight.
    pub max_record_locks: i64,
    /// `share.delivery.count.limit`: a record that was delivered so often is given up.
    pub delivery_count_limit: i16,
    /// `share.record.lock.duration.ms`.
    pub lock_duration: Duration,
}

/// The records of one partition that a share group has in flight.
#[derive(Clone, Debug)]
pub struct SharePartition {
    start_offset: Offset,
    /// Behind the last record in flight.
    end_offset: Offset,
    /// From the start offset to the end offset without a hole.
    runs: Runs,
    next_change: ChangeId,
}

impl SharePartition {
    /// A share group that starts at `start_offset`, with what is known of the records behind it.
    ///
    /// What lies between two batches was acquired in an earlier life and never acknowledged: it is available. Batches
    /// that overlap or lie below the start are cut, so that no damage of the state topic can do harm.
    pub fn new(start_offset: Offset, batches: &[StateBatch]) -> Self {
        let mut partition =
            Self { start_offset, end_offset: start_offset, runs: Runs::default(), next_change: ChangeId(0) };
        let mut sorted = batches.to_vec();
        sorted.sort_by_key(|batch| batch.span.first);
        for batch in sorted {
            let span = Span::new(batch.span.first.max(partition.end_offset), batch.span.last);
            if span.count() == 0 || batch.span.last == Offset(i64::MAX) {
                continue;
            }
            partition.extend_to(span.first, Run::new(RunState::Available, 0));
            partition.extend_to(span.last.next(), Run::new(batch.state.into(), batch.delivery_count));
        }
        partition.trim_untouched_tail();
        partition.advance_start();
        partition
    }

    /// The first offset that is not done with.
    pub fn start_offset(&self) -> Offset {
        self.start_offset
    }

    /// Behind the last offset in flight.
    pub fn end_offset(&self) -> Offset {
        self.end_offset
    }

    /// The number of offsets in flight.
    pub fn in_flight(&self) -> i64 {
        self.end_offset - self.start_offset
    }

    /// Where the next fetch reads: at the first record that was given back, or else behind all that is in flight.
    pub fn next_fetch_offset(&self) -> Offset {
        let all = Span::new(self.start_offset, self.end_offset);
        self.runs.next_available(all).map_or(self.end_offset, |(span, _)| span.first)
    }

    /// A fetch could acquire something, if the log has it.
    pub fn can_acquire(&self, limits: &ShareLimits) -> bool {
        self.in_flight() < limits.max_record_locks || self.next_fetch_offset() != self.end_offset
    }

    /// Offsets in flight that are done with.
    pub fn delivery_complete_count(&self) -> i32 {
        self.complete_count_with(None)
    }

    /// When the next lock runs out.
    pub fn next_lock_deadline(&self) -> Option<Duration> {
        let locks = self.runs.iter().filter_map(|(_, run)| match &run.state {
            RunState::Acquired(lock) => Some(lock.until),
            _ => None,
        });
        locks.min()
    }

    /// Records are held, or on their way to another state.
    pub fn is_in_use(&self) -> bool {
        let in_use = |run: &Run| matches!(run.state, RunState::Acquired(_) | RunState::Changing { .. });
        self.runs.iter().any(|(_, run)| in_use(run))
    }

    /// The log begins at `log_start_offset` now: what lies below is done with. It is written with the next change.
    pub fn move_log_start(&mut self, log_start_offset: Offset) {
        if log_start_offset <= self.start_offset {
            return;
        }
        self.runs.remove_below(log_start_offset);
        self.start_offset = log_start_offset;
        self.end_offset = self.end_offset.max(log_start_offset);
        self.advance_start();
    }

    /// A change was written, or could not be.
    pub fn complete(&mut self, id: ChangeId, is_written: bool) {
        self.runs.update_all(|run| {
            let RunState::Changing { to, change, lock } = &run.state else { return };
            if *change != id {
                return;
            }
            run.state = if is_written { (*to).into() } else { RunState::Acquired(lock.clone()) };
        });
        self.advance_start();
    }

    /// Covers the offsets up to `end`, which is not included, with `run`.
    fn extend_to(&mut self, end: Offset, run: Run) {
        if end > self.end_offset {
            self.runs.insert(Span::new(self.end_offset, Offset(end.0 - 1)), run);
            self.end_offset = end;
        }
    }

    /// Gives back what was taken in and never delivered: it is as good as not in flight.
    fn trim_untouched_tail(&mut self) {
        while let Some((first, run)) = self.runs.last() {
            if run.state != RunState::Available || run.delivery_count > 0 {
                break;
            }
            self.runs.remove(first);
            self.end_offset = first;
        }
    }

    /// Leaves behind what is done with.
    fn advance_start(&mut self) {
        while let Some((first, run)) = self.runs.first() {
            if !matches!(run.state, RunState::Acknowledged | RunState::Archived) {
                break;
            }
            self.start_offset = run.last.next();
            self.runs.remove(first);
        }
        // Nothing in flight: both are where the next fetch goes on.
        self.end_offset = self.end_offset.max(self.start_offset);
    }

    /// What to write for the runs that change in `id`.
    fn change(&mut self, batches: Vec<StateBatch>, id: ChangeId) -> StateChange {
        StateChange {
            id,
            start_offset: self.start_with(id),
            delivery_complete_count: self.complete_count_with(Some(id)),
            batches: join_neighbours(batches),
        }
    }

    fn new_change_id(&mut self) -> ChangeId {
        let id = self.next_change;
        self.next_change = ChangeId(id.0 + 1);
        id
    }

    /// The start offset once `change` is written. Other changes under way may fail, and do not count.
    fn start_with(&self, change: ChangeId) -> Offset {
        let open = self.runs.iter().find(|(_, run)| !run.is_done_with(Some(change)));
        open.map_or(self.end_offset, |(first, _)| first)
    }

    fn complete_count_with(&self, change: Option<ChangeId>) -> i32 {
        let start = change.map_or(self.start_offset, |change| self.start_with(change));
        let done = self.runs.iter().filter(|(first, run)| *first >= start && run.is_done_with(change));
        let count: i64 = done.map(|(first, run)| Span::new(first, run.last).count()).sum();
        i32::try_from(count).unwrap_or(i32::MAX)
    }
}

/// A member's hold on records.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Lock {
    member: Arc<str>,
    until: Duration,
}
