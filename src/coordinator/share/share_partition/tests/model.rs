//! The machine against a model that knows each record on its own.
//!
//! Checked at every step: nothing that was acknowledged for good is delivered again, in this life or after a restart;
//! nothing is delivered more often than the limit; a record has one holder; the runs have no holes. And at the end,
//! after a restart from what was written: all that was not acknowledged is delivered.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::super::*;
use super::{START, span};

const RECORDS: i64 = 60;
const LIMITS: ShareLimits =
    ShareLimits { max_record_locks: 25, delivery_count_limit: 4, lock_duration: Duration::from_secs(30) };

#[derive(Clone, Debug)]
enum Step {
    Acquire {
        member: u8,
        max_records: i64,
        strict: bool,
        batch_size: i64,
        read_batches: usize,
    },
    Acknowledge {
        member: u8,
        first: i64,
        count: i64,
        types: Vec<AckType>,
    },
    /// What a member holds, as its client would acknowledge it.
    AcknowledgeHeld {
        member: u8,
        types: Vec<AckType>,
    },
    Write {
        which: prop::sample::Index,
        succeeds: bool,
    },
    Pass {
        seconds: u64,
    },
    EndSession {
        member: u8,
    },
    MoveLogStart {
        to: i64,
    },
    Restart,
}

fn ack_type() -> impl Strategy<Value = AckType> {
    use AckType::{Accept, Gap, Reject, Release, Renew};
    prop::sample::select(vec![Accept, Accept, Release, Release, Release, Reject, Gap, Renew])
}

fn step() -> impl Strategy<Value = Step> {
    let member = 0..3u8;
    prop_oneof![
        6 => (member.clone(), 1..30i64, any::<bool>(), 1..10i64, 1..5usize).prop_map(
            |(member, max_records, strict, batch_size, read_batches)| Step::Acquire { member, max_records, strict, batch_size, read_batches }
        ),
        2 => (member.clone(), 0..RECORDS, 1..8i64, prop::collection::vec(ack_type(), 8))
            .prop_map(|(member, first, count, types)| Step::Acknowledge { member, first, count, types }),
        6 => (member.clone(), prop::collection::vec(ack_type(), 8))
            .prop_map(|(member, types)| Step::AcknowledgeHeld { member, types }),
        6 => (any::<prop::sample::Index>(), prop::bool::weighted(0.8))
            .prop_map(|(which, succeeds)| Step::Write { which, succeeds }),
        2 => (1..40u64).prop_map(|seconds| Step::Pass { seconds }),
        1 => member.prop_map(|member| Step::EndSession { member }),
        1 => (0..RECORDS / 2).prop_map(|to| Step::MoveLogStart { to }),
        1 => Just(Step::Restart),
    ]
}

/// The batches of a log, with holes between some.
fn log() -> impl Strategy<Value = Vec<Span>> {
    prop::collection::vec((1..7i64, prop::bool::weighted(0.2)), 30).prop_map(|parts| {
        let (mut at, mut batches) = (0, Vec::new());
        for (count, is_hole) in parts {
            if !is_hole && at < RECORDS {
                batches.push(span(at, (at + count - 1).min(RECORDS - 1)));
            }
            at += count;
        }
        batches
    })
}

#[derive(Clone, Default)]
struct Record {
    holder: Option<(String, Duration)>,
    /// Deliveries that count.
    count: i16,
    /// Acknowledged or given up for good, in memory or for ever.
    done: bool,
}

/// The state topic: what was written, record by record.
#[derive(Clone, Default)]
struct Written {
    start: Offset,
    states: BTreeMap<i64, (DeliveryState, i16)>,
}

impl Written {
    fn write(&mut self, change: &StateChange) {
        self.start = self.start.max(change.start_offset);
        for batch in &change.batches {
            for offset in batch.span.first.0..=batch.span.last.0 {
                self.states.insert(offset, (batch.state, batch.delivery_count));
            }
        }
    }

    fn is_done(&self, offset: i64) -> bool {
        offset < self.start.0 || self.states.get(&offset).is_some_and(|(state, _)| state.is_terminal())
    }

    fn load(&self) -> SharePartition {
        let batches: Vec<StateBatch> = self
            .states
            .iter()
            .filter(|(offset, _)| **offset >= self.start.0)
            .map(|(&offset, &(state, delivery_count))| StateBatch {
                span: span(offset, offset),
                state,
                delivery_count,
            })
            .collect();
        SharePartition::new(self.start, &batches)
    }
}

struct World {
    log: Vec<Span>,
    log_start: i64,
    partition: SharePartition,
    records: BTreeMap<i64, Record>,
    written: Written,
    /// Changes that wait to be written, with the state that their records are to have.
    waiting: Vec<StateChange>,
    now: Duration,
}

impl World {
    fn new(log: Vec<Span>) -> Self {
        let written = Written::default();
        Self {
            log,
            log_start: 0,
            partition: written.load(),
            records: (0..RECORDS).map(|offset| (offset, Record::default())).collect(),
            written,
            waiting: Vec::new(),
            now: START,
        }
    }

    fn record(&mut self, offset: Offset) -> &mut Record {
        self.records.entry(offset.0).or_default()
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Acquire { member, max_records, strict, batch_size, read_batches } => {
                let mode = if strict { AcquireMode::RecordLimit } else { AcquireMode::BatchOptimized };
                self.acquire(member, max_records, mode, batch_size, read_batches);
            }
            Step::Acknowledge { member, first, count, types } => {
                let last = (first + count - 1).min(RECORDS - 1);
                let types =
                    if count % 2 == 0 { types[..1].to_vec() } else { types[..(last - first + 1) as usize].to_vec() };
                self.acknowledge(member, span(first, last), &types);
            }
            Step::AcknowledgeHeld { member, types } => self.acknowledge_held(member, &types),
            Step::Write { which, succeeds } => self.write_one(which, succeeds),
            Step::Pass { seconds } => {
                self.now += Duration::from_secs(seconds);
                self.expire();
            }
            Step::EndSession { member } => {
                let held = self.held_by(member);
                let change = self.partition.release_member(&name(member), &LIMITS);
                assert_eq!(change.is_some(), !held.is_empty(), "what is held is given back: {held:?}");
                self.wait_for(change);
            }
            Step::MoveLogStart { to } => {
                self.log_start = self.log_start.max(to);
                self.partition.move_log_start(Offset(self.log_start));
            }
            Step::Restart => self.restart(),
        }
        self.check();
    }

    fn acquire(&mut self, member: u8, max_records: i64, mode: AcquireMode, batch_size: i64, read_batches: usize) {
        if !self.partition.can_acquire(&LIMITS) {
            return;
        }
        let fetch_offset = self.partition.next_fetch_offset();
        let read: Vec<Span> =
            self.log.iter().copied().filter(|batch| batch.last >= fetch_offset).take(read_batches).collect();
        let request = AcquireRequest {
            member: name(member).into(),
            mode,
            batch_size,
            max_records,
            fetch_offset,
            now: self.now,
        };
        let acquired = self.partition.acquire(&request, &LIMITS, &read, &[]);
        let count: i64 = acquired.iter().map(|one| one.last_offset - one.first_offset + 1).sum();
        if mode == AcquireMode::RecordLimit {
            assert!(count <= max_records, "{count} of {max_records}");
        }
        let until = self.now + LIMITS.lock_duration;
        for one in acquired {
            for offset in (one.first_offset.0..=one.last_offset.0).map(Offset) {
                assert!(!self.written.is_done(offset.0), "{offset} was acknowledged for good");
                let record = self.record(offset);
                assert!(!record.done, "{offset} is done with");
                assert_eq!(record.holder, None, "{offset} has a holder");
                record.holder = Some((name(member), until));
                record.count += 1;
                assert_eq!(record.count, one.delivery_count, "{offset}");
                assert!(one.delivery_count <= LIMITS.delivery_count_limit, "{offset}");
            }
        }
    }

    fn acknowledge(&mut self, member: u8, span: Span, types: &[AckType]) {
        let start = self.partition.start_offset();
        let held = self.held_by(member);
        let may = (span.first.0.max(start.0)..=span.last.0).all(|offset| held.contains(&offset));
        let acknowledgement = Acknowledgement { span, types: types.to_vec() };
        let taken = self.partition.acknowledge(&name(member), &[acknowledgement], self.now, &LIMITS);
        assert_eq!(taken.is_ok(), may, "{span:?} by {member}: {taken:?}");
        let Ok(change) = taken else { return };
        for (index, offset) in (span.first.0..=span.last.0).enumerate() {
            let ack = if types.len() == 1 { types[0] } else { types[index] };
            if ack == AckType::Renew && offset >= start.0 {
                self.record(Offset(offset)).holder = Some((name(member), self.now + LIMITS.lock_duration));
            }
        }
        self.wait_for(change);
    }

    fn acknowledge_held(&mut self, member: u8, types: &[AckType]) {
        let held = self.held_by(member);
        let Some(&first) = held.first() else { return };
        let neighbours = held.iter().zip(first..).take_while(|(held, expected)| **held == *expected).count().min(8);
        self.acknowledge(member, span(first, first + neighbours as i64 - 1), &types[..neighbours]);
    }

    /// The offsets that a member may acknowledge.
    fn held_by(&self, member: u8) -> Vec<i64> {
        let waiting: Vec<Span> =
            self.waiting.iter().flat_map(|change| &change.batches).map(|batch| batch.span).collect();
        let is_waiting = |offset: i64| waiting.iter().any(|span| span.first.0 <= offset && offset <= span.last.0);
        let start = self.partition.start_offset().0;
        let held = self.records.iter().filter(|(_, record)| is_held_by(record, &name(member)));
        held.map(|(&offset, _)| offset).filter(|&offset| offset >= start && !is_waiting(offset)).collect()
    }

    fn wait_for(&mut self, change: Option<StateChange>) {
        if let Some(change) = change {
            assert!(!change.batches.is_empty());
            self.waiting.push(change);
        }
    }

    fn write_one(&mut self, which: prop::sample::Index, succeeds: bool) {
        if self.waiting.is_empty() {
            return;
        }
        let change = self.waiting.remove(which.index(self.waiting.len()));
        self.partition.complete(change.id, succeeds);
        if succeeds {
            self.written.write(&change);
            self.settle(&change);
        }
        // What was to be given back, and is not: its lock may be over.
        self.expire();
    }

    fn settle(&mut self, change: &StateChange) {
        for batch in &change.batches {
            for offset in batch.span.first.0..=batch.span.last.0 {
                let record = self.record(Offset(offset));
                record.holder = None;
                record.count = batch.delivery_count;
                record.done = batch.state.is_terminal();
            }
        }
    }

    fn expire(&mut self) {
        if let Some(change) = self.partition.expire_locks(self.now, &LIMITS) {
            for batch in &change.batches {
                for offset in batch.span.first.0..=batch.span.last.0 {
                    let (_, until) = self.record(Offset(offset)).holder.clone().expect("had a holder");
                    assert!(until <= self.now, "{offset} is locked until {until:?}");
                    let given_up = self.record(Offset(offset)).count >= LIMITS.delivery_count_limit;
                    assert_eq!(batch.state.is_terminal(), given_up, "{offset}");
                }
            }
            self.settle(&change);
            self.written.write(&change);
        }
        let deadline = self.partition.next_lock_deadline();
        assert!(deadline.is_none_or(|deadline| deadline > self.now), "a lock is over: {deadline:?}");
    }

    fn restart(&mut self) {
        self.waiting.clear();
        self.partition = self.written.load();
        self.partition.move_log_start(Offset(self.log_start));
        let states = self.written.states.clone();
        for (offset, record) in &mut self.records {
            let kept = states.get(offset).copied().unwrap_or((DeliveryState::Available, 0));
            *record = Record { holder: None, count: kept.1, done: kept.0.is_terminal() };
        }
    }

    fn check(&self) {
        let partition = &self.partition;
        assert!(partition.start_offset() <= partition.end_offset());
        let mut at = partition.start_offset();
        for (first, run) in partition.runs.iter() {
            assert_eq!(first, at, "no hole, no overlap");
            assert!(run.last >= first);
            at = run.last.next();
        }
        assert_eq!(at, partition.end_offset());
        let begins_done = partition.runs.first().is_some_and(|(_, run)| run.is_done_with(None));
        assert!(!begins_done, "the start is not done with");
    }

    /// Restarts and drains the log: what comes must be all that was not acknowledged for good.
    fn drain(mut self) {
        self.restart();
        let (log_start, log_end) = (self.log_start, self.log.last().map_or(0, |batch| batch.last.0 + 1));
        let expected: Vec<i64> = (self.log.iter())
            .flat_map(|batch| batch.first.0..=batch.last.0)
            .filter(|&offset| offset >= log_start && !self.written.is_done(offset))
            .filter(|offset| self.records[offset].count < LIMITS.delivery_count_limit)
            .collect();
        let mut delivered = Vec::new();
        while self.partition.next_fetch_offset().0 < log_end && self.partition.can_acquire(&LIMITS) {
            let (fetch_offset, before) = (self.partition.next_fetch_offset(), delivered.len());
            let read: Vec<Span> = self.log.iter().copied().filter(|batch| batch.last >= fetch_offset).collect();
            let request = AcquireRequest {
                member: "last".into(),
                mode: AcquireMode::BatchOptimized,
                batch_size: 500,
                max_records: 500,
                fetch_offset,
                now: self.now,
            };
            if read.is_empty() {
                break;
            }
            for one in self.partition.acquire(&request, &LIMITS, &read, &[]) {
                delivered.extend(one.first_offset.0..=one.last_offset.0);
                let accept = Acknowledgement {
                    span: Span::new(one.first_offset, one.last_offset),
                    types: vec![AckType::Accept],
                };
                let change = self.partition.acknowledge("last", &[accept], self.now, &LIMITS).expect("held");
                self.partition.complete(change.expect("to write").id, true);
            }
            assert!(delivered.len() > before || self.partition.next_fetch_offset() > fetch_offset, "no progress");
        }
        delivered.sort_unstable();
        // Beside the records, holes that were once within reach may be handed out: the client calls them gaps.
        let in_log = |offset: &i64| self.log.iter().any(|batch| batch.first.0 <= *offset && *offset <= batch.last.0);
        delivered.retain(in_log);
        assert_eq!(delivered, expected);
    }
}

fn name(member: u8) -> String {
    format!("member-{member}")
}

fn is_held_by(record: &Record, member: &str) -> bool {
    record.holder.as_ref().is_some_and(|(holder, _)| holder == member)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]
    #[test]
    fn every_record_is_delivered_until_it_is_done_with(log in log(), steps in prop::collection::vec(step(), 1..120)) {
        let mut world = World::new(log);
        for step in steps {
            world.step(step);
        }
        world.drain();
    }
}
