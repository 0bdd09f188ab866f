//! A member that comes or says something new, by either protocol: what follows for the group.
//!
//! ```text
//!  subscription ──▶ epoch ──▶ target assignment ──▶ reconciliation
//!  the member's     of the     of all members,      the member's next step
//!  own record       group      if it is time
//! ```

use std::sync::Arc;
use std::time::Duration;

use super::context::{Context, Outcome};
use super::error::GroupError;
use super::group::ConsumerGroup;
use super::member::{Member, MemberState};
use super::reconcile::Step;
use super::records;
use super::regex::{self, ResolveRegexes};
use super::sessions::{MemberTimer, SoftChange, TimerChange, TimerKind};
use super::target::{self, Target};
use super::topics::group_hash;
use crate::coordinator::group::assignor::Assignment;
use crate::coordinator::group::records::GroupRecord;
use crate::protocol::wire::messages::consumer_group_heartbeat_request::TopicPartitions;

/// How long the subscribed topics need not be looked at again when nothing was heard of a change.
const METADATA_CHECK_INTERVAL: Duration = Duration::from_secs(60 * 60);
/// The least time between two resolutions of a group's regular expressions.
const REGEX_INTERVAL_MIN_MS: i64 = 10_000;

/// What became of a member's regular expression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RegexChange {
    Same,
    /// It is another one, of which it is not known yet what it stands for.
    Unresolved,
    Resolved,
}

/// A member before and after it said something, and what follows so far.
pub(super) struct Change<'a> {
    pub(super) group: &'a ConsumerGroup,
    pub(super) context: &'a Context<'a>,
    /// The member as the group counts it; `None`: it is new. A static member that comes back under another id is
    /// counted under that id already.
    pub(super) before: Option<Arc<Member>>,
    /// The member whose place it takes.
    pub(super) replaced: Option<Arc<Member>>,
    pub(super) after: Member,
    pub(super) records: Vec<GroupRecord>,
    pub(super) soft: Vec<SoftChange>,
    pub(super) timers: Vec<TimerChange>,
    pub(super) resolve: Option<ResolveRegexes>,
}

impl<'a> Change<'a> {
    /// `after` begins as the member is.
    pub(super) fn new(group: &'a ConsumerGroup, context: &'a Context<'a>, found: Found) -> Self {
        let mut records = Vec::new();
        if let Some(replaced) = &found.replaced {
            replace(group, replaced, &found.member, &mut records);
        }
        let is_known = found.is_known || found.replaced.is_some();
        Self {
            group,
            context,
            before: is_known.then(|| Arc::clone(&found.member)),
            replaced: found.replaced,
            after: Member::clone(&found.member),
            records,
            soft: Vec::new(),
            timers: Vec::new(),
            resolve: None,
        }
    }

    /// Writes down what the member says; true if it names other topics than before.
    pub(super) fn write_member(&mut self) -> bool {
        if self.before.as_deref() == Some(&self.after) {
            return false;
        }
        self.records.push(records::member(&self.group.group_id, &self.after));
        match &self.before {
            Some(before) => before.subscribed_topic_names != self.after.subscribed_topic_names,
            None => !self.after.subscribed_topic_names.is_empty(),
        }
    }

    /// Checks a new regular expression, takes back what nobody uses any more, and asks for a resolution if one is due.
    pub(super) fn update_regexes(&mut self) -> Result<RegexChange, GroupError> {
        let before = self.before.as_ref().and_then(|member| member.regex());
        let after = self.after.regex();
        let mut change = RegexChange::Same;
        let mut is_new = false;
        if before != after {
            change = RegexChange::Unresolved;
            if let Some(before) = before.filter(|before| self.group.subscriptions.members_with_regex(before) == 1) {
                self.records.push(records::regex_tombstone(&self.group.group_id, before));
            }
            match after {
                Some(after) if self.group.subscriptions.members_with_regex(after) == 0 => {
                    regex::compile(after).map_err(|error| GroupError::InvalidRegularExpression(error.to_string()))?;
                    is_new = true;
                }
                Some(after) if self.group.subscriptions.resolved(after).is_none() => {}
                _ => change = RegexChange::Resolved,
            }
        }
        if (is_new && self.group.may_resolve(self.context)) || self.group.regexes_are_due(self.context) {
            self.ask_for_resolution();
        }
        Ok(change)
    }

    fn ask_for_resolution(&mut self) {
        let mut patterns: Vec<Arc<str>> = self.group.subscriptions.regexes().cloned().collect();
        let before = self.before.as_ref().and_then(|member| member.regex());
        let after = self.after.regex();
        if before != after {
            if let Some(before) = before.filter(|before| self.group.subscriptions.members_with_regex(before) == 1) {
                patterns.retain(|pattern| pattern != before);
            }
            if let Some(after) = after.filter(|after| !patterns.contains(after)) {
                patterns.push(Arc::clone(after));
            }
        }
        if !patterns.is_empty() {
            self.soft.push(SoftChange::Resolving(true));
            self.resolve = Some(ResolveRegexes { group_id: Arc::clone(&self.group.group_id), patterns });
        }
    }

    /// The group's epoch after this change. It grows when a subscription changed (`subscription_changed`) or the
    /// subscribed topics did.
    pub(super) fn update_epoch(&mut self, subscription_changed: bool) -> i32 {
        let group = self.group;
        if !subscription_changed && !group.metadata_check_is_due(self.context.now) {
            return group.group_epoch;
        }
        let before: Vec<&Member> = self.before.as_deref().into_iter().collect();
        let hash = group_hash(group.subscriptions.after(&before, Some(&self.after)).topics(), self.context.topics);
        let mut epoch = group.group_epoch;
        if subscription_changed || hash != group.metadata_hash {
            epoch += 1;
            self.records.push(records::group_epoch(&group.group_id, epoch, hash));
        }
        self.soft.push(metadata_checked(self.context.now, epoch));
        if group.has_partition_metadata {
            self.records.push(records::partition_metadata_tombstone(&group.group_id));
        }
        epoch
    }

    /// The target assignment of the group's epoch: a new one, if there is none yet and it is time; else the last one.
    pub(super) fn update_target(&mut self, group_epoch: i32) -> (i32, Arc<Assignment>) {
        let group = self.group;
        if group_epoch <= group.assignment_epoch || !group.may_assign(self.context) {
            let member_id = self.replaced.as_ref().map_or(&self.after.member_id, |replaced| &replaced.member_id);
            return (group.assignment_epoch, group.target(member_id).cloned().unwrap_or_default());
        }
        let Target { records, of_member } = target::compute(&target::Input {
            group,
            context: self.context,
            group_epoch,
            before: self.before.as_deref(),
            after: Some(&self.after),
            replaced: self.replaced.as_deref(),
        });
        self.records.extend(records);
        (group_epoch, of_member)
    }

    /// The member's next step towards its target.
    pub(super) fn reconcile(
        &mut self,
        (target_epoch, target): (i32, Arc<Assignment>),
        subscription_changed: bool,
        owned: Option<&[TopicPartitions]>,
    ) -> Result<(), GroupError> {
        let step = Step {
            group: self.group,
            topics: self.context.topics,
            target_epoch,
            target: &target,
            subscription_changed,
            owned,
        };
        let Some(next) = step.next(&self.after)? else { return Ok(()) };
        self.records.push(records::current(&self.group.group_id, &next));
        self.after = next;
        if !self.after.uses_classic_protocol() {
            self.update_rebalance_timer();
        }
        Ok(())
    }

    /// A member that has something to give up has its rebalance timeout for it, counted from now.
    fn update_rebalance_timer(&mut self) {
        let member = &self.after;
        let deadline = (member.state == MemberState::UnrevokedPartitions)
            .then(|| self.context.now + millis(member.rebalance_timeout_ms));
        if deadline.is_none() && self.group.sessions.deadlines(&member.member_id).rebalance.is_none() {
            return;
        }
        self.soft.push(SoftChange::Rebalance {
            member_id: Arc::clone(&member.member_id),
            deadline: deadline.map(|deadline| (member.member_epoch, deadline)),
        });
        self.timers.push(TimerChange { timer: MemberTimer::new(&member.member_id, TimerKind::Rebalance), deadline });
    }

    /// Starts the session of a member that is heard of; of one that is known, only its deadline moves.
    pub(super) fn start_session(&mut self, session_timeout: Duration) {
        let deadline = self.context.now + session_timeout;
        let member_id = Arc::clone(&self.after.member_id);
        if self.before.is_none() || self.replaced.is_some() {
            let timer = MemberTimer::new(&member_id, TimerKind::Session);
            self.timers.push(TimerChange { timer, deadline: Some(deadline) });
        }
        self.soft.push(SoftChange::Session { member_id, deadline });
    }

    pub(super) fn finish<R>(self, reply: impl FnOnce(Member) -> R) -> Outcome<R> {
        let Self { records, soft, timers, resolve, after, .. } = self;
        Outcome { records, soft, timers, resolve, reply: reply(after) }
    }
}

/// The member that a request speaks for.
pub(super) struct Found {
    /// As the group has it; new, or a copy of `replaced` under its new id, if it has it not.
    pub(super) member: Arc<Member>,
    pub(super) is_known: bool,
    pub(super) replaced: Option<Arc<Member>>,
}

/// A static member came back under another id: all that the group knows of it changes its name.
fn replace(group: &ConsumerGroup, old: &Member, new: &Member, records: &mut Vec<GroupRecord>) {
    let group_id = &*group.group_id;
    records.extend(records::member_tombstones(group_id, &old.member_id));
    records.push(records::member(group_id, new));
    let target = group.target(&old.member_id).cloned().unwrap_or_default();
    records.push(records::target(group_id, &new.member_id, &target));
    records.push(records::current(group_id, new));
}

pub(super) fn metadata_checked(now: Duration, group_epoch: i32) -> SoftChange {
    SoftChange::MetadataChecked { until: now + METADATA_CHECK_INTERVAL, group_epoch }
}

/// A timeout off the wire; a negative one is none at all.
pub(super) fn millis(timeout_ms: i32) -> Duration {
    Duration::from_millis(u64::try_from(timeout_ms).unwrap_or(0))
}

impl ConsumerGroup {
    /// Whether topics may have changed since the group's epoch was decided.
    pub(super) fn metadata_check_is_due(&self, now: Duration) -> bool {
        self.sessions.metadata_checked.is_none_or(|(until, epoch)| now >= until || self.group_epoch < epoch)
    }

    /// Whether enough time has passed since the last target assignment.
    pub(super) fn may_assign(&self, context: &Context<'_>) -> bool {
        let interval_ms = context.settings.assignment_interval_ms;
        self.assignment_timestamp_ms == 0
            || interval_ms == 0
            || context.now_ms >= self.assignment_timestamp_ms.saturating_add(interval_ms)
    }

    /// When regular expressions were resolved last, and with which version of the metadata.
    fn last_resolution(&self) -> Option<(i64, i64)> {
        self.subscriptions.all_resolved().next().map(|(_, resolved)| (resolved.timestamp_ms, resolved.version))
    }

    /// Whether regular expressions may be resolved now: one resolution at a time, and not too often.
    fn may_resolve(&self, context: &Context<'_>) -> bool {
        let too_early = |(at_ms, _): (i64, i64)| context.now_ms <= at_ms.saturating_add(REGEX_INTERVAL_MIN_MS);
        !self.sessions.resolving && !self.last_resolution().is_some_and(too_early)
    }

    /// Whether what the group's regular expressions stand for may be out of date, and may be found out.
    pub(super) fn regexes_are_due(&self, context: &Context<'_>) -> bool {
        if self.subscriptions.regexes().len() == 0 || !self.may_resolve(context) {
            return false;
        }
        let Some((at_ms, version)) = self.last_resolution() else { return true };
        self.subscriptions.regexes().len() != self.subscriptions.all_resolved().len()
            || version < self.sessions.new_topics_version
            || context.now_ms > at_ms.saturating_add(context.settings.regex_refresh_interval_ms)
    }
}
