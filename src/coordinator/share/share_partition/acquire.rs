//! Records of a fetch become a member's.

use std::sync::Arc;
use std::time::Duration;

use super::{Lock, Run, RunState, ShareLimits, SharePartition, Span};
use crate::ids::Offset;
use crate::protocol::share_fetch_response::AcquiredRecords;

/// Deliveries are made smaller at the earliest after so many.
const MIN_THROTTLED_DELIVERY_COUNT: i16 = 2;

/// How the limit of records is meant (KIP-1206).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AcquireMode {
    /// Whole batches; the last may exceed the limit.
    BatchOptimized,
    /// No more than the limit.
    RecordLimit,
}

/// What a member asks for.
#[derive(Clone, Debug)]
pub struct AcquireRequest {
    pub member: Arc<str>,
    pub mode: AcquireMode,
    /// About how many records stand in one batch of acquired records.
    pub batch_size: i64,
    pub max_records: i64,
    /// Where the log was read: [`SharePartition::next_fetch_offset`].
    pub fetch_offset: Offset,
    /// Monotonic.
    pub now: Duration,
}

impl SharePartition {
    /// Gives the member what it may have of the batches that were read; `unwanted` are offsets that it must not see
    /// (of aborted transactions, for `read_committed`).
    pub fn acquire(
        &mut self,
        request: &AcquireRequest,
        limits: &ShareLimits,
        batches: &[Span],
        unwanted: &[Span],
    ) -> Vec<AcquiredRecords> {
        let (Some(first_batch), Some(last_batch)) = (batches.first(), batches.last()) else { return Vec::new() };
        let begin = request.fetch_offset.max(self.start_offset);
        self.pass_over(begin, first_batch.first);
        let begin = begin.max(first_batch.first).max(self.start_offset);
        let Some((mut left, last)) = self.room(request, limits, last_batch.last) else { return Vec::new() };
        self.extend_to(last.next(), Run::new(RunState::Available, 0));
        for span in unwanted {
            self.archive_available(Span::new(span.first.max(begin), span.last.min(last)));
        }

        let mut acquired: Vec<AcquiredRecords> = Vec::new();
        let mut at = begin;
        while left > 0 {
            let Some((span, run)) = self.runs.next_available(Span::new(at, last)) else { break };
            let throttled = throttled_records(run, limits);
            if throttled.is_some() && !acquired.is_empty() {
                // Alone in the next fetch: what crashes members must not take others with it.
                break;
            }
            let pieces = match (throttled, request.mode) {
                (Some(records), AcquireMode::BatchOptimized) => vec![up_to(span, records)],
                (Some(records), AcquireMode::RecordLimit) => vec![up_to(span, records.min(left))],
                (None, AcquireMode::RecordLimit) => vec![up_to(span, left)],
                (None, AcquireMode::BatchOptimized) => by_batches(span, left, request.batch_size, batches),
            };
            for piece in pieces {
                left -= piece.count();
                at = piece.last.next();
                acquired.push(self.lock(piece, request, limits));
            }
            if throttled.is_some() {
                break;
            }
        }
        self.trim_untouched_tail();
        self.advance_start();
        acquired
    }

    /// The log has nothing between `from` and `to`: what was available there was compacted away.
    fn pass_over(&mut self, from: Offset, to: Offset) {
        if from < to {
            self.archive_available(Span::new(from, Offset(to.0 - 1)));
            self.extend_to(to, Run::new(RunState::Archived, 0));
            self.advance_start();
        }
    }

    fn archive_available(&mut self, span: Span) {
        self.runs.update(span, |_, run| {
            if run.state == RunState::Available {
                run.state = RunState::Archived;
            }
        });
    }

    /// How many records may be acquired, and up to which offset.
    fn room(&self, request: &AcquireRequest, limits: &ShareLimits, last: Offset) -> Option<(i64, Offset)> {
        let free = limits.max_record_locks - self.in_flight();
        if free > 0 {
            return Some((request.max_records.min(free), last));
        }
        // No more may come into flight; what was given back is there to be acquired.
        let among_in_flight = self.end_offset - request.fetch_offset;
        (among_in_flight > 0).then(|| {
            let last = last.min(Offset(self.end_offset.0 - 1));
            (request.max_records.min(among_in_flight), last)
        })
    }

    fn lock(&mut self, piece: Span, request: &AcquireRequest, limits: &ShareLimits) -> AcquiredRecords {
        let lock = Lock { member: Arc::clone(&request.member), until: request.now + limits.lock_duration };
        let mut delivery_count = 0;
        self.runs.update(piece, |span, run| {
            if run.delivery_count == 0 {
                run.first_delivery_records = span.count();
            }
            run.delivery_count = run.delivery_count.saturating_add(1);
            run.state = RunState::Acquired(lock.clone());
            delivery_count = run.delivery_count;
        });
        AcquiredRecords { first_offset: piece.first, last_offset: piece.last, delivery_count }
    }
}

/// How many records are delivered at once where earlier deliveries failed: fewer with each failure, and a single one in
/// the last delivery, so that one bad record is found and the others are not given up with it.
fn throttled_records(run: &Run, limits: &ShareLimits) -> Option<i64> {
    let limit = limits.delivery_count_limit;
    let throttled_from = MIN_THROTTLED_DELIVERY_COUNT.max((limit + 1) / 2);
    if run.delivery_count < throttled_from {
        return None;
    }
    if limit > 2 && run.delivery_count >= limit - 1 {
        return Some(1);
    }
    let halvings = u32::from((run.delivery_count - throttled_from).unsigned_abs()) + 1;
    Some(run.first_delivery_records.checked_shr(halvings).unwrap_or(0).max(1))
}

fn up_to(span: Span, records: i64) -> Span {
    Span::new(span.first, span.last.min(span.first + (records - 1)))
}

/// Cuts `span` into batches of acquired records: at the boundaries of the log's batches, about every `batch_size`
/// records, up to the end of the batch that holds the last of `records`.
fn by_batches(span: Span, records: i64, batch_size: i64, batches: &[Span]) -> Vec<Span> {
    let limit = span.first + (records - 1);
    let limit = batches.iter().rfind(|batch| batch.first <= limit).map_or(limit, |batch| batch.last.max(limit));
    let last = span.last.min(limit);
    let mut pieces = Vec::new();
    let mut first = span.first;
    for batch in batches.iter().filter(|batch| batch.first > span.first && batch.first <= last) {
        if batch.first - first >= batch_size {
            pieces.push(Span::new(first, Offset(batch.first.0 - 1)));
            first = batch.first;
        }
    }
    pieces.push(Span::new(first, last));
    pieces
}
