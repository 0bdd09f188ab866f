//! Offsets in runs of one state, which split and join.

use std::collections::BTreeMap;
use std::ops::Bound::{Excluded, Included, Unbounded};

use super::{ChangeId, DeliveryState, Lock, Span};
use crate::ids::Offset;

/// Neighbours of one state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Run {
    pub last: Offset,
    pub state: RunState,
    pub delivery_count: i16,
    /// How many records were delivered at once when they were first delivered; the measure of what is delivered at
    /// once when deliveries fail.
    pub first_delivery_records: i64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum RunState {
    Available,
    Acquired(Lock),
    /// On the way from acquired to `to`, once it is written.
    Changing {
        to: DeliveryState,
        change: ChangeId,
        lock: Lock,
    },
    Acknowledged,
    Archived,
}

impl From<DeliveryState> for RunState {
    fn from(state: DeliveryState) -> Self {
        match state {
            DeliveryState::Available => Self::Available,
            DeliveryState::Acknowledged => Self::Acknowledged,
            DeliveryState::Archived => Self::Archived,
        }
    }
}

impl Run {
    /// A run that gets its end when it is inserted.
    pub(super) fn new(state: RunState, delivery_count: i16) -> Self {
        Self { last: Offset::NONE, state, delivery_count, first_delivery_records: 0 }
    }

    /// Never delivered again, at the latest once `change` is written.
    pub(super) fn is_done_with(&self, change: Option<ChangeId>) -> bool {
        match &self.state {
            RunState::Acknowledged | RunState::Archived => true,
            RunState::Changing { to, change: id, .. } => Some(*id) == change && to.is_terminal(),
            RunState::Available | RunState::Acquired(_) => false,
        }
    }

    /// The two may be one run. Acquired ones stay apart: members acknowledge them as they got them.
    fn joins(&self, next: &Self) -> bool {
        match (&self.state, &next.state) {
            (RunState::Acknowledged, RunState::Acknowledged) | (RunState::Archived, RunState::Archived) => true,
            (RunState::Available, RunState::Available) => {
                self.delivery_count == next.delivery_count
                    && self.first_delivery_records == next.first_delivery_records
            }
            _ => false,
        }
    }
}

/// Runs by their first offset; they never overlap.
#[derive(Clone, Debug, Default)]
pub(super) struct Runs(BTreeMap<Offset, Run>);

impl Runs {
    pub(super) fn iter(&self) -> impl Iterator<Item = (Offset, &Run)> {
        self.0.iter().map(|(&first, run)| (first, run))
    }

    pub(super) fn first(&self) -> Option<(Offset, &Run)> {
        self.0.first_key_value().map(|(&first, run)| (first, run))
    }

    pub(super) fn last(&self) -> Option<(Offset, &Run)> {
        self.0.last_key_value().map(|(&first, run)| (first, run))
    }

    /// The runs that have offsets in `span`, cut to it.
    pub(super) fn within(&self, span: Span) -> impl Iterator<Item = (Span, &Run)> {
        let from = self.floor(span.first).unwrap_or(span.first);
        let upper = if span.count() == 0 { Excluded(from) } else { Included(span.last) };
        self.0.range((Included(from), upper)).filter_map(move |(&first, run)| {
            let cut = Span::new(first.max(span.first), run.last.min(span.last));
            (cut.count() > 0).then_some((cut, run))
        })
    }

    /// The first available offsets in `span`.
    pub(super) fn next_available(&self, span: Span) -> Option<(Span, &Run)> {
        self.within(span).find(|(_, run)| run.state == RunState::Available)
    }

    /// Adds a run where there is none.
    pub(super) fn insert(&mut self, span: Span, mut run: Run) {
        if span.count() > 0 {
            run.last = span.last;
            self.0.insert(span.first, run);
            self.join_around(span);
        }
    }

    pub(super) fn remove(&mut self, first: Offset) {
        self.0.remove(&first);
    }

    pub(super) fn remove_below(&mut self, offset: Offset) {
        self.split_before(offset);
        self.0 = self.0.split_off(&offset);
    }

    /// Changes the runs within `span`, which are cut at its ends.
    pub(super) fn update(&mut self, span: Span, mut change: impl FnMut(Span, &mut Run)) {
        if span.count() == 0 {
            return;
        }
        self.split_before(span.first);
        self.split_before(span.last.next());
        for (&first, run) in self.0.range_mut(span.first..=span.last) {
            change(Span::new(first, run.last), run);
        }
        self.join_around(span);
    }

    pub(super) fn update_all(&mut self, mut change: impl FnMut(&mut Run)) {
        let Some((first, _)) = self.first() else { return };
        let Some(last) = self.last().map(|(_, run)| run.last) else { return };
        self.update(Span::new(first, last), |_, run| change(run));
    }

    /// Where the run begins that `offset` lies in.
    fn floor(&self, offset: Offset) -> Option<Offset> {
        let (&first, run) = self.0.range(..=offset).next_back()?;
        (run.last >= offset).then_some(first)
    }

    fn split_before(&mut self, offset: Offset) {
        let Some(first) = self.floor(offset).filter(|&first| first < offset) else { return };
        let Some(head) = self.0.get_mut(&first) else { return };
        let tail = head.clone();
        head.last = Offset(offset.0 - 1);
        self.0.insert(offset, tail);
    }

    /// Joins what may be joined from the run before `span` to the one behind it.
    fn join_around(&mut self, span: Span) {
        let before = self.0.range(..span.first).next_back().map(|(&first, _)| first);
        let mut at = before.unwrap_or(span.first);
        loop {
            let next = self.0.range((Excluded(at), Unbounded)).next().map(|(&first, _)| first);
            let Some(next) = next.filter(|&next| next <= span.last.next()) else { break };
            let joins = match (self.0.get(&at), self.0.get(&next)) {
                (Some(run), Some(behind)) => run.last.next() == next && run.joins(behind),
                _ => false,
            };
            if !joins {
                at = next;
                continue;
            }
            if let Some(behind) = self.0.remove(&next)
                && let Some(run) = self.0.get_mut(&at)
            {
                run.last = behind.last;
            }
        }
    }
}
