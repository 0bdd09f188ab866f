//! Acquired records are accepted, given back, given up or kept longer.

use std::time::Duration;

use super::{ChangeId, DeliveryState, Lock, RunState, ShareLimits, SharePartition, Span, StateBatch, StateChange};
use crate::error::ErrorCode;
use crate::ids::Offset;

/// What a member says of a record; the numbers are the wire's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AckType {
    /// There is no such record.
    Gap = 0,
    Accept = 1,
    Release = 2,
    Reject = 3,
    Renew = 4,
}

impl AckType {
    pub fn from_id(id: i8) -> Option<Self> {
        match id {
            0 => Some(Self::Gap),
            1 => Some(Self::Accept),
            2 => Some(Self::Release),
            3 => Some(Self::Reject),
            4 => Some(Self::Renew),
            _ => None,
        }
    }
}

/// What a member says of neighbours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acknowledgement {
    pub span: Span,
    /// One for all of them, or one for each.
    pub types: Vec<AckType>,
}

impl Acknowledgement {
    /// Neighbours of which the same is said.
    fn parts(&self) -> Vec<(Span, AckType)> {
        let [first, rest @ ..] = self.types.as_slice() else { return Vec::new() };
        if rest.is_empty() {
            return vec![(self.span, *first)];
        }
        let mut parts: Vec<(Span, AckType)> = Vec::new();
        for (offset, &ack) in (self.span.first.0..=self.span.last.0).map(Offset).zip(&self.types) {
            match parts.last_mut() {
                Some((span, last_ack)) if *last_ack == ack => span.last = offset,
                _ => parts.push((Span::new(offset, offset), ack)),
            }
        }
        parts
    }
}

/// Why nothing of an acknowledgement was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AcknowledgeError {
    #[error("The record state is invalid. The acknowledgement of delivery could not be completed.")]
    NotAcquired,
    #[error("Member is not the owner of batch record")]
    NotHolder,
    #[error("Batch record not found. The request batch offsets are past the acquired records.")]
    PastEnd,
}

impl AcknowledgeError {
    pub fn code(self) -> ErrorCode {
        match self {
            Self::NotAcquired | Self::NotHolder => ErrorCode::InvalidRecordState,
            Self::PastEnd => ErrorCode::InvalidRequest,
        }
    }
}

impl SharePartition {
    /// Takes what `member` says of records that it holds, all or nothing; answers what is to be written, if anything.
    /// What lies below the start offset is done with, whatever is said of it.
    pub fn acknowledge(
        &mut self,
        member: &str,
        acknowledgements: &[Acknowledgement],
        now: Duration,
        limits: &ShareLimits,
    ) -> Result<Option<StateChange>, AcknowledgeError> {
        for acknowledgement in acknowledgements {
            self.check(member, acknowledgement.span)?;
        }
        let id = self.new_change_id();
        let mut batches = Vec::new();
        for (span, ack) in acknowledgements.iter().flat_map(Acknowledgement::parts) {
            let span = Span::new(span.first.max(self.start_offset), span.last);
            match ack {
                AckType::Renew => self.renew(span, now + limits.lock_duration),
                AckType::Accept => self.begin(span, id, &mut batches, |_| DeliveryState::Acknowledged),
                AckType::Gap | AckType::Reject => self.begin(span, id, &mut batches, |_| DeliveryState::Archived),
                AckType::Release => self.begin(span, id, &mut batches, |count| released(count, limits)),
            }
        }
        Ok((!batches.is_empty()).then(|| self.change(batches, id)))
    }

    /// The member's session is over: what it holds is given back. The delivery counts: otherwise a record that ends its
    /// consumers would be delivered for ever.
    pub fn release_member(&mut self, member: &str, limits: &ShareLimits) -> Option<StateChange> {
        let held = self.held(|lock| &*lock.member == member);
        self.begin_release(&held, limits)
    }

    /// Takes back what is locked no longer. This does not wait to be written: the lock is over either way.
    pub fn expire_locks(&mut self, now: Duration, limits: &ShareLimits) -> Option<StateChange> {
        let expired = self.held(|lock| lock.until <= now);
        let change = self.begin_release(&expired, limits)?;
        self.complete(change.id, true);
        Some(change)
    }

    /// What is held under locks that `is_meant`.
    fn held(&self, is_meant: impl Fn(&Lock) -> bool) -> Vec<Span> {
        let runs = self.runs.iter().filter_map(|(first, run)| match &run.state {
            RunState::Acquired(lock) if is_meant(lock) => Some(Span::new(first, run.last)),
            _ => None,
        });
        runs.collect()
    }

    /// Every offset of `span` that is not done with is held by `member`.
    fn check(&self, member: &str, span: Span) -> Result<(), AcknowledgeError> {
        if span.last < self.start_offset {
            return Ok(());
        }
        if self.in_flight() == 0 {
            return Err(AcknowledgeError::NotAcquired);
        }
        if span.last >= self.end_offset {
            return Err(AcknowledgeError::PastEnd);
        }
        for (_, run) in self.runs.within(span) {
            match &run.state {
                RunState::Acquired(lock) if *lock.member == *member => {}
                RunState::Acquired(_) => return Err(AcknowledgeError::NotHolder),
                _ => return Err(AcknowledgeError::NotAcquired),
            }
        }
        Ok(())
    }

    fn renew(&mut self, span: Span, until: Duration) {
        self.runs.update(span, |_, run| {
            if let RunState::Acquired(lock) = &mut run.state {
                lock.until = until;
            }
        });
    }

    fn begin_release(&mut self, spans: &[Span], limits: &ShareLimits) -> Option<StateChange> {
        let id = self.new_change_id();
        let mut batches = Vec::new();
        for &span in spans {
            self.begin(span, id, &mut batches, |count| released(count, limits));
        }
        (!batches.is_empty()).then(|| self.change(batches, id))
    }

    /// Acquired records of `span` are on their way to the state that `becomes` tells from their delivery count.
    fn begin(
        &mut self,
        span: Span,
        change: ChangeId,
        batches: &mut Vec<StateBatch>,
        becomes: impl Fn(i16) -> DeliveryState,
    ) {
        self.runs.update(span, |span, run| {
            let RunState::Acquired(lock) = &run.state else { return };
            let to = becomes(run.delivery_count);
            run.state = RunState::Changing { to, change, lock: lock.clone() };
            batches.push(StateBatch { span, state: to, delivery_count: run.delivery_count });
        });
    }
}

/// What becomes of a record that is given back after so many deliveries.
fn released(delivery_count: i16, limits: &ShareLimits) -> DeliveryState {
    if delivery_count >= limits.delivery_count_limit { DeliveryState::Archived } else { DeliveryState::Available }
}
