//! One partition of an internal topic: its machine, behind a lock.

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::oneshot;
use tracing::warn;

use super::decision::{Decision, Machine, Now, ReplyTo, Timer};
use super::error::CoordinatorError;
use super::journal::{Journal, LoadError};
use super::pending::{Answer, Pending};
use super::timers::Timers;
use crate::ids::{LeaderEpoch, Offset};

/// When a decision of a timer could not be written, it is made again after this long.
const TIMER_RETRY: Duration = Duration::from_millis(500);

/// The state that this broker keeps for one partition, for as long as it leads it in one epoch.
#[derive(Debug)]
pub(super) struct Shard<M: Machine> {
    pub(super) journal: Journal,
    pub(super) leader_epoch: LeaderEpoch,
    commit_timeout: Duration,
    state: Mutex<State<M>>,
}

#[derive(Debug)]
enum State<M: Machine> {
    Loading,
    Active(Active<M>),
    /// The broker leads the partition no longer, or cannot read it.
    Lost,
}

#[derive(Debug)]
struct Active<M: Machine> {
    machine: M,
    timers: Timers<M::TimerKey>,
    waiting: HashMap<ReplyTo, oneshot::Sender<Answer<M::Reply>>>,
    last_reply_to: u64,
    /// The offset behind the last record that was applied.
    applied: Offset,
}

impl<M: Machine> Shard<M> {
    pub(super) fn loading(journal: Journal, leader_epoch: LeaderEpoch, commit_timeout: Duration) -> Self {
        Self { journal, leader_epoch, commit_timeout, state: Mutex::new(State::Loading) }
    }

    /// Reads the state from the log and begins to serve. Blocks on files. Answers the first deadline.
    pub(super) fn load(&self, mut machine: M, now: impl Fn() -> Now) -> Result<Option<Duration>, LoadError> {
        let replayed = self.journal.replay(&mut machine);
        let mut state = self.state.lock();
        if !matches!(*state, State::Loading) {
            return Ok(None);
        }
        let applied = match replayed {
            Ok(applied) => applied,
            Err(error) => {
                *state = State::Lost;
                return Err(error);
            }
        };
        let now = now();
        let decision = machine.on_loaded(now);
        let mut active =
            Active { machine, timers: Timers::default(), waiting: HashMap::new(), last_reply_to: 0, applied };
        if let Err(error) = self.carry_out(&mut active, decision, now) {
            warn!(partition = %self.journal.partition.id, %error, "what follows from the loaded state is not written");
        }
        let first = active.timers.next_deadline();
        *state = State::Active(active);
        Ok(first)
    }

    /// Serves no more. Whoever waits is told to look for the coordinator again.
    pub(super) fn give_up(&self) {
        *self.state.lock() = State::Lost;
    }

    /// Looks at the state, which may not be committed.
    pub(super) fn look<R>(&self, look: impl FnOnce(&M) -> R) -> Result<R, CoordinatorError> {
        self.with_active(|active| Ok(look(&active.machine)))
    }

    /// Makes a decision whose reply is known at once.
    pub(super) fn decide<R>(
        &self,
        now: Now,
        decide: impl FnOnce(&M, Now) -> (Decision<M>, R),
    ) -> Result<(Pending<R>, Option<Duration>), CoordinatorError> {
        self.with_active(|active| {
            let (decision, reply) = decide(&active.machine, now);
            self.carry_out(active, decision, now)?;
            let answer = Answer { reply, committed: self.committed(active.applied) };
            Ok((Pending::decided(answer, self.commit_timeout), active.timers.next_deadline()))
        })
    }

    /// Makes a decision on a request that a later decision may answer.
    pub(super) fn ask(
        &self,
        now: Now,
        decide: impl FnOnce(&M, Now, ReplyTo) -> Decision<M>,
    ) -> Result<(Pending<M::Reply>, Option<Duration>), CoordinatorError> {
        self.with_active(|active| {
            active.last_reply_to += 1;
            let reply_to = ReplyTo(active.last_reply_to);
            let decision = decide(&active.machine, now, reply_to);
            let (sender, receiver) = oneshot::channel();
            active.waiting.insert(reply_to, sender);
            if let Err(error) = self.carry_out(active, decision, now) {
                active.waiting.remove(&reply_to);
                return Err(error);
            }
            Ok((Pending::waiting(receiver, self.commit_timeout), active.timers.next_deadline()))
        })
    }

    /// Lets the timers fire whose deadline has passed; the next deadline.
    pub(super) fn fire_timers(&self, now: Now) -> Result<Option<Duration>, CoordinatorError> {
        self.with_active(|active| {
            while let Some(key) = active.timers.pop_due(now.monotonic) {
                let decision = active.machine.on_timer(now, key.clone());
                match self.carry_out(active, decision, now) {
                    Ok(()) => {}
                    Err(torn @ CoordinatorError::WrittenInPart(_)) => return Err(torn),
                    Err(error) => {
                        warn!(partition = %self.journal.partition.id, ?key, %error, "a timer's decision is not written");
                        active.timers.set(Timer::at(key, now.monotonic + TIMER_RETRY));
                    }
                }
            }
            Ok(active.timers.next_deadline())
        })
    }

    fn with_active<R>(
        &self,
        work: impl FnOnce(&mut Active<M>) -> Result<R, CoordinatorError>,
    ) -> Result<R, CoordinatorError> {
        match &mut *self.state.lock() {
            State::Active(active) => work(active),
            State::Loading => Err(CoordinatorError::Loading),
            State::Lost => Err(CoordinatorError::NotCoordinator),
        }
    }

    fn carry_out(&self, active: &mut Active<M>, decision: Decision<M>, now: Now) -> Result<(), CoordinatorError> {
        if !decision.records.is_empty() {
            let encoded: Vec<_> = decision.records.iter().map(M::encode).collect();
            let mut offset = self.journal.append(&encoded, now)?;
            for record in decision.records {
                active.machine.apply(record, offset);
                offset = offset.next();
            }
            active.applied = offset;
        }
        for change in decision.soft {
            active.machine.apply_soft(change);
        }
        for timer in decision.timers {
            active.timers.set(timer);
        }
        for (reply_to, reply) in decision.replies {
            if let Some(sender) = active.waiting.remove(&reply_to) {
                // The client may have gone.
                let _ = sender.send(Answer { reply, committed: self.committed(active.applied) });
            }
        }
        Ok(())
    }

    fn committed(&self, applied: Offset) -> crate::replication::HighWatermarkWait {
        self.journal.partition.wait_for_high_watermark(applied)
    }
}
