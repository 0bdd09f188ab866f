//! Timers of members, and what a group does when one fires.
//!
//! Deadlines that move with every heartbeat are not moved in the runtime: the timer fires early, looks at the deadline
//! and is set anew.

use std::sync::Arc;
use std::time::Duration;

use super::change::millis;
use super::context::{Context, Settings};
use super::group::ConsumerGroup;
use super::leave::{Leave, remove};
use super::member::{Member, MemberState};
use super::sessions::{MemberTimer, SoftChange, TimerChange, TimerKind};

/// What follows when a timer fires.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fired {
    /// It was for something that is over.
    Nothing,
    /// The deadline has moved.
    Rearm(TimerChange),
    /// The member is taken out.
    Fence { reason: &'static str, leave: Leave<()> },
}

/// Decides what a timer that fired means.
pub fn on_timer(group: &ConsumerGroup, timer: &MemberTimer, context: &Context<'_>) -> Fired {
    let Some(member) = group.member(&timer.member_id) else { return Fired::Nothing };
    let deadlines = group.sessions.deadlines(&timer.member_id);
    let (deadline, reason) = match timer.kind {
        TimerKind::Session => (Some(deadlines.session), "its session expired"),
        TimerKind::Rebalance => {
            let due = deadlines.rebalance.filter(|&(epoch, _)| epoch == member.member_epoch);
            (due.map(|(_, deadline)| deadline), "it did not give up its partitions in time")
        }
        // It may have gone over to the consumer protocol, which knows neither.
        TimerKind::Join | TimerKind::Sync if !member.uses_classic_protocol() => return Fired::Nothing,
        TimerKind::Join => (deadlines.join, "it did not join again in time"),
        TimerKind::Sync => (deadlines.sync, "it did not ask for its assignment in time"),
    };
    match deadline {
        None => Fired::Nothing,
        Some(deadline) if deadline > context.now => {
            Fired::Rearm(TimerChange { timer: timer.clone(), deadline: Some(deadline) })
        }
        Some(_) => Fired::Fence { reason, leave: remove(group, &[member], context, ()) },
    }
}

impl ConsumerGroup {
    /// How long a member may be silent.
    pub(super) fn session_timeout_of(member: &Member, settings: &Settings) -> Duration {
        member.classic.as_ref().map_or(settings.session_timeout, |classic| millis(classic.session_timeout_ms))
    }

    /// A member was heard of: its session lasts from now. Nothing else changes, and nothing is written.
    pub fn heard_of(&self, member_id: &str, now: Duration, settings: &Settings) {
        if let Some(member) = self.members.get(member_id) {
            let deadline = now + Self::session_timeout_of(member, settings);
            self.sessions.extend(member_id, deadline);
        }
    }

    /// Soft state changes as decided, after the records that came with it.
    pub fn apply_soft(&mut self, change: SoftChange) {
        let member = match &change {
            SoftChange::Session { member_id, .. }
            | SoftChange::Rebalance { member_id, .. }
            | SoftChange::Join { member_id, .. }
            | SoftChange::Sync { member_id, .. } => Some(member_id),
            _ => None,
        };
        // A member that is gone has no deadlines.
        if member.is_none_or(|member_id| self.members.contains_key(member_id)) {
            self.sessions.apply(change);
        }
    }

    /// Gives every member of a group that was loaded its full time.
    pub fn on_loaded(
        &self,
        now: Duration,
        metadata_version: i64,
        settings: &Settings,
    ) -> (Vec<SoftChange>, Vec<TimerChange>) {
        let mut soft = vec![SoftChange::TopicsCreated { metadata_version }];
        let mut timers = Vec::with_capacity(self.members.len());
        for member in self.members.values() {
            let member_id = &member.member_id;
            let deadline = now + Self::session_timeout_of(member, settings);
            soft.push(SoftChange::Session { member_id: Arc::clone(member_id), deadline });
            timers.push(TimerChange {
                timer: MemberTimer::new(member_id, TimerKind::Session),
                deadline: Some(deadline),
            });
            if member.state == MemberState::UnrevokedPartitions && !member.uses_classic_protocol() {
                let deadline = now + millis(member.rebalance_timeout_ms);
                let rebalance = Some((member.member_epoch, deadline));
                soft.push(SoftChange::Rebalance { member_id: Arc::clone(member_id), deadline: rebalance });
                timers.push(TimerChange {
                    timer: MemberTimer::new(member_id, TimerKind::Rebalance),
                    deadline: Some(deadline),
                });
            }
        }
        (soft, timers)
    }

    /// Topics came (`created`), changed or went: the next heartbeat looks at them.
    pub fn on_topics_changed<'a>(
        &self,
        mut changed: impl Iterator<Item = &'a str>,
        created: bool,
        metadata_version: i64,
    ) -> Vec<SoftChange> {
        let mut soft = Vec::new();
        if created && self.subscriptions.regexes().len() > 0 {
            soft.push(SoftChange::TopicsCreated { metadata_version });
        }
        if changed.any(|name| self.is_subscribed_to(name)) {
            soft.push(SoftChange::TopicsChanged);
        }
        soft
    }
}
