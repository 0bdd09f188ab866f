//! One decision in the making: a copy of the group that is changed, and what follows from it.

use std::sync::Arc;
use std::time::Duration;

use super::group::ClassicGroup;
use super::member::{MemberId, timeout};
use super::reply::{ClassicReply, JoinReply, SyncReply};
use super::timers::ClassicTimer;
use crate::coordinator::group::records::GroupMetadataValue;
use crate::coordinator::{Now, ReplyTo};
use crate::error::ErrorCode;

/// What the broker's configuration says about classic groups.
#[derive(Clone, Copy, Debug)]
pub struct ClassicSettings {
    /// `group.max.size`.
    pub max_size: usize,
    /// `group.initial.rebalance.delay.ms`.
    pub initial_rebalance_delay: Duration,
    /// How long a first join may wait for the others, during which its client can send no heartbeat. After that it is
    /// told to try again, so that those who are gone do not pile up.
    pub new_member_join_timeout: Duration,
}

impl ClassicSettings {
    /// Kafka's own, which no key sets.
    pub const NEW_MEMBER_JOIN_TIMEOUT: Duration = Duration::from_secs(300);
}

/// What a classic group decided.
#[derive(Debug, Default)]
pub struct ClassicDecision {
    /// What the log is told, before the change.
    pub record: Option<GroupMetadataValue>,
    pub change: Option<ClassicChange>,
    /// `None` cancels.
    pub timers: Vec<(ClassicTimer, Option<Duration>)>,
    pub replies: Vec<(ReplyTo, ClassicReply)>,
}

impl ClassicDecision {
    pub(super) fn answer(reply_to: ReplyTo, reply: ClassicReply) -> Self {
        Self { replies: vec![(reply_to, reply)], ..Self::default() }
    }
}

/// How a group changes.
#[derive(Debug)]
pub enum ClassicChange {
    /// It is this one now.
    Group(Box<ClassicGroup>),
    /// A member was heard of. Heartbeats are most of what a coordinator does: this one changes in place.
    Session { member_id: MemberId, deadline: Duration },
}

impl ClassicChange {
    pub fn apply(self, group: &mut ClassicGroup) {
        match self {
            Self::Group(changed) => *group = *changed,
            Self::Session { member_id, deadline } => {
                if let Some(member) = group.members.get_mut(&member_id) {
                    Arc::make_mut(member).session_deadline = deadline;
                }
            }
        }
    }
}

/// A decision in the making.
pub(super) struct Turn<'a> {
    pub(super) group_id: &'a str,
    pub(super) settings: &'a ClassicSettings,
    pub(super) now: Now,
    pub(super) group: ClassicGroup,
    armed: [Option<Duration>; ClassicTimer::ALL.len()],
    record: Option<GroupMetadataValue>,
    replies: Vec<(ReplyTo, ClassicReply)>,
}

impl<'a> Turn<'a> {
    pub(super) fn new(group_id: &'a str, settings: &'a ClassicSettings, now: Now, group: ClassicGroup) -> Self {
        let armed = ClassicTimer::ALL.map(|timer| group.deadline(timer));
        Self { group_id, settings, now, group, armed, record: None, replies: Vec::new() }
    }

    /// As [`new`](Self::new), where this timer has just gone off and is armed no more.
    pub(super) fn after_timer(mut self, fired: ClassicTimer) -> Self {
        for (timer, armed) in ClassicTimer::ALL.into_iter().zip(&mut self.armed) {
            if timer == fired {
                *armed = None;
            }
        }
        self
    }

    /// As [`new`](Self::new), for a group of which no timer is armed.
    pub(super) fn after_loading(mut self) -> Self {
        self.armed = Default::default();
        self
    }

    pub(super) fn decide(self) -> ClassicDecision {
        let changed = ClassicTimer::ALL.into_iter().zip(self.armed).filter_map(|(timer, armed)| {
            let deadline = self.group.deadline(timer);
            (deadline != armed).then_some((timer, deadline))
        });
        ClassicDecision {
            timers: changed.collect(),
            record: self.record,
            change: Some(ClassicChange::Group(Box::new(self.group))),
            replies: self.replies,
        }
    }

    pub(super) fn has_record(&self) -> bool {
        self.record.is_some()
    }

    /// Writes the group, as it is now, with this decision.
    pub(super) fn persist(&mut self) {
        self.persist_value(self.group.to_record());
    }

    pub(super) fn persist_value(&mut self, record: GroupMetadataValue) {
        self.record = Some(record);
    }

    pub(super) fn reply(&mut self, reply_to: ReplyTo, reply: ClassicReply) {
        self.replies.push((reply_to, reply));
    }

    pub(super) fn deadline_in(&self, timeout: Duration) -> Duration {
        self.now.monotonic.saturating_add(timeout)
    }

    /// The join waits for the others. A request of the same member that already waits is told to start again: its client
    /// has given it up, or sent two at once.
    pub(super) fn park_join(&mut self, member_id: &str, reply_to: ReplyTo) {
        let earlier = self.group.change_member(member_id, |member| member.join_waiter.replace(reply_to));
        if let Some(earlier) = earlier.flatten() {
            let reply = JoinReply::refused(ErrorCode::RebalanceInProgress, member_id);
            self.reply(earlier, ClassicReply::Join(reply));
        }
    }

    /// As [`park_join`](Self::park_join), for the leader's assignment.
    pub(super) fn park_sync(&mut self, member_id: &str, reply_to: ReplyTo) {
        let earlier = self.group.change_member(member_id, |member| member.sync_waiter.replace(reply_to));
        if let Some(earlier) = earlier.flatten() {
            self.reply(earlier, ClassicReply::Sync(SyncReply::refused(ErrorCode::RebalanceInProgress)));
        }
    }

    /// Answers every join that waits; all members are heard of from now on, known and expected to sync.
    pub(super) fn answer_joins(&mut self) {
        for member_id in self.member_ids() {
            let deadline = |timeout_ms| self.now.monotonic.saturating_add(timeout(timeout_ms));
            let waiter = self.group.change_member(&member_id, |member| {
                member.is_new = false;
                member.session_deadline = deadline(member.session_timeout_ms);
                member.join_waiter.take()
            });
            if let Some(waiter) = waiter.flatten() {
                let reply = self.join_reply(&member_id);
                self.reply(waiter, ClassicReply::Join(reply));
            }
            self.group.pending_syncs.insert(member_id, ());
        }
    }

    /// Answers every sync that waits, with the member's assignment or with an error.
    pub(super) fn answer_syncs(&mut self, error: ErrorCode) {
        for member_id in self.member_ids() {
            let Some(member) = self.group.members.get(&member_id) else { continue };
            let Some(waiter) = member.sync_waiter else { continue };
            let deadline = self.deadline_in(timeout(member.session_timeout_ms));
            let reply = if error.is_error() { SyncReply::refused(error) } else { self.sync_reply(&member_id) };
            self.group.change_member(&member_id, |member| {
                member.sync_waiter = None;
                member.session_deadline = deadline;
            });
            self.reply(waiter, ClassicReply::Sync(reply));
        }
    }

    fn member_ids(&self) -> Vec<MemberId> {
        self.group.members.keys().cloned().collect()
    }

    /// Takes a member out, and tells what waits in its name that it is unknown: if the client is still there, it starts
    /// over.
    pub(super) fn remove_member(&mut self, member_id: &str) {
        let Some(member) = self.group.take_member(member_id) else { return };
        if let Some(waiter) = member.join_waiter {
            self.reply(waiter, ClassicReply::Join(JoinReply::refused(ErrorCode::UnknownMemberId, "")));
        }
        if let Some(waiter) = member.sync_waiter {
            self.reply(waiter, ClassicReply::Sync(SyncReply::refused(ErrorCode::UnknownMemberId)));
        }
    }
}
