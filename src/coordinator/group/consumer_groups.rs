//! Groups of the consumer protocol within a shard: finds the group for a request, and turns what the group decides into
//! a decision of the shard.

use std::sync::Arc;

use super::classic::{self, ClassicDecision, ClassicGroup, ClassicReply, JoinReply};
use super::consumer::{
    self, ConsumerGroup, Context, Downgrade, Fired, GroupError, Heartbeat, HeartbeatReply, JOINING_EPOCH, Joined,
    Leave, MemberTimer, Outcome, RegexesResolved, ResolveRegexes,
};
use super::group_shard::{Group, GroupId, GroupShard, GroupSoftChange, GroupTimer, classic_decision};
use super::image_topics::ImageTopics;
use super::records::{GroupKey, GroupRecord};
use crate::coordinator::{Decision, Now, ReplyTo, Timer};
use crate::error::ErrorCode;
use crate::metadata::MetadataImage;
use crate::protocol::wire::messages::consumer_group_describe_response::DescribedGroup;

/// What is known of the topics that changed between two images.
#[derive(Clone, Debug, Default)]
pub struct TopicChanges {
    /// Created, changed or deleted.
    names: Vec<Arc<str>>,
    created: bool,
    version: i64,
}

impl TopicChanges {
    pub fn between(old: &MetadataImage, new: &MetadataImage) -> Self {
        let mut names: Vec<Arc<str>> = new.changed_topics(old).map(|topic| Arc::clone(&topic.name)).collect();
        let created = names.iter().any(|name| old.topic(name).is_none());
        names.extend(new.deleted_topics(old).map(|topic| Arc::clone(&topic.name)));
        // The racks of the brokers are part of what a group goes by.
        if old.brokers != new.brokers {
            names = new.topics().map(|topic| Arc::clone(&topic.name)).collect();
        }
        Self { names, created, version: new.revision.0 }
    }

    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }
}

impl GroupShard {
    /// A heartbeat that passed its checks; and what has to be resolved beside the group.
    pub fn consumer_heartbeat(
        &self,
        now: Now,
        group_id: &GroupId,
        heartbeat: &Heartbeat<'_>,
    ) -> (Decision<Self>, Result<HeartbeatReply, GroupError>, Option<ResolveRegexes>) {
        let decided = self.with_context(now, group_id, |context| self.decide_heartbeat(group_id, heartbeat, context));
        match decided {
            Ok(Heard { decision, reply, resolve }) => (decision, Ok(reply), resolve),
            Err(error) => (Decision::default(), Err(error), None),
        }
    }

    fn decide_heartbeat(
        &self,
        group_id: &GroupId,
        heartbeat: &Heartbeat<'_>,
        context: &Context<'_>,
    ) -> Result<Heard, GroupError> {
        let epoch = heartbeat.request.member_epoch;
        match self.group(group_id) {
            Some(Group::Consumer(group)) if epoch < JOINING_EPOCH => {
                let leave = consumer::leave(group, heartbeat.request, context)?;
                let (decision, reply) = self.decide_leave(group, leave, context);
                Ok(Heard { decision, reply, resolve: None })
            }
            Some(Group::Consumer(group)) => {
                let outcome = consumer::heartbeat(group, heartbeat, context)?;
                group.heard_of(heartbeat.member_id(), context.now, context.settings);
                Ok(heard(group_id, outcome))
            }
            Some(Group::Classic(classic)) if epoch == JOINING_EPOCH => {
                Self::upgrade(group_id, classic, heartbeat, context)
            }
            None if epoch == JOINING_EPOCH => {
                let group = ConsumerGroup::new(Arc::clone(group_id));
                Ok(heard(group_id, consumer::heartbeat(&group, heartbeat, context)?))
            }
            group => Err(not_a_consumer_group(group_id, group)),
        }
    }

    /// The first member of the consumer protocol joins a classic group, whose members stay in it. An empty one is simply
    /// replaced.
    fn upgrade(
        group_id: &GroupId,
        classic: &ClassicGroup,
        heartbeat: &Heartbeat<'_>,
        context: &Context<'_>,
    ) -> Result<Heard, GroupError> {
        let (group, records) = if classic.is_empty() {
            let tombstone = GroupRecord::GroupMetadata(GroupKey::new(&**group_id), None);
            (ConsumerGroup::new(Arc::clone(group_id)), vec![tombstone])
        } else {
            consumer::upgrade(group_id, classic, context)?
        };
        let mut outcome = consumer::heartbeat(&group, heartbeat, context)?;
        outcome.records.splice(0..0, records);
        // The members that stay have their full time.
        let (soft, timers) = group.on_loaded(context.now, context.topics.version(), context.settings);
        outcome.soft.splice(0..0, soft);
        outcome.timers.splice(0..0, timers);
        let mut heard = heard(group_id, outcome);
        heard.decision.replies = classic.answers_of_the_waiting();
        tracing::info!(%group_id, members = classic.member_count(), "classic group becomes a consumer group");
        Ok(heard)
    }

    /// Members go; if only classic ones stay, the group becomes a classic one.
    fn decide_leave<R>(&self, group: &ConsumerGroup, leave: Leave<R>, context: &Context<'_>) -> (Decision<Self>, R) {
        match leave {
            Leave::Removed(outcome) => consumer_decision(group.group_id(), outcome),
            Leave::Downgrade { leaving, reply } => {
                let downgrade = consumer::downgrade_without(group, &leaving, context);
                (self.downgrade(group.group_id(), downgrade, context), reply)
            }
        }
    }

    fn downgrade(&self, group_id: &GroupId, downgrade: Downgrade, context: &Context<'_>) -> Decision<Self> {
        let now = Now { monotonic: context.now, wall_ms: context.now_ms };
        let settings = self.environment.classic_settings();
        let Downgrade { records, generation_id, members, rebalance } = downgrade;
        tracing::info!(%group_id, members = members.len(), "consumer group becomes a classic group");
        let classic = classic::from_consumer_group(group_id, &settings, now, generation_id, members, rebalance);
        let mut decision = classic_decision(group_id, classic);
        decision.records.splice(0..0, records);
        decision
    }

    /// The group of this id if it has members and is of the consumer protocol: requests of the classic protocol to any
    /// other are for the classic machine.
    fn inhabited_consumer_group(&self, group_id: &str) -> Option<&ConsumerGroup> {
        match self.group(group_id)? {
            Group::Consumer(group) if !group.is_empty() => Some(group),
            _ => None,
        }
    }

    /// JoinGroup.
    pub fn join(&self, now: Now, group_id: &GroupId, join: &classic::Join, reply_to: ReplyTo) -> Decision<Self> {
        if let Some(Group::Share(_)) = self.group(group_id) {
            let refused = JoinReply::refused(ErrorCode::InconsistentGroupProtocol, Arc::clone(&join.member_id));
            return Decision { replies: vec![(reply_to, ClassicReply::Join(refused))], ..Decision::default() };
        }
        let Some(group) = self.inhabited_consumer_group(group_id) else {
            return self.decide_classic(group_id, |group, settings| {
                classic::join(group_id, group, settings, now, join, reply_to)
            });
        };
        self.with_context(now, group_id, |context| {
            let (mut decision, reply) = match consumer::classic_join(group, join, context) {
                Ok(Joined::Here(outcome)) => consumer_decision(group_id, outcome),
                Ok(Joined::Downgrade(last)) => {
                    let downgrade = consumer::downgrade_with(group, &last, context);
                    (self.downgrade(group_id, downgrade, context), last.into_reply())
                }
                Err(error) => (Decision::default(), JoinReply::refused(error.code(), Arc::clone(&join.member_id))),
            };
            decision.replies.push((reply_to, ClassicReply::Join(reply)));
            decision
        })
    }

    /// SyncGroup.
    pub fn sync(&self, now: Now, group_id: &GroupId, sync: classic::Sync, reply_to: ReplyTo) -> Decision<Self> {
        let Some(group) = self.inhabited_consumer_group(group_id) else {
            return self.decide_classic(group_id, |group, settings| {
                classic::sync(group_id, group, settings, now, sync, reply_to)
            });
        };
        self.with_context(now, group_id, |context| {
            let outcome = consumer::classic_sync(group, &sync, context);
            let (mut decision, reply) = consumer_decision(group_id, outcome);
            decision.replies.push((reply_to, ClassicReply::Sync(reply)));
            decision
        })
    }

    /// Heartbeat.
    pub fn heartbeat(
        &self,
        now: Now,
        group_id: &GroupId,
        heartbeat: &classic::Heartbeat,
    ) -> (Decision<Self>, ErrorCode) {
        let Some(group) = self.inhabited_consumer_group(group_id) else {
            let (change, answer) = classic::heartbeat(self.classic_group(group_id), now, heartbeat);
            return (classic_decision(group_id, ClassicDecision { change, ..ClassicDecision::default() }), answer);
        };
        self.with_context(now, group_id, |context| {
            consumer_decision(group_id, consumer::classic_heartbeat(group, heartbeat, context))
        })
    }

    /// LeaveGroup.
    pub fn leave(&self, now: Now, group_id: &GroupId, leave: &classic::Leave, reply_to: ReplyTo) -> Decision<Self> {
        let Some(group) = self.inhabited_consumer_group(group_id) else {
            return self.decide_classic(group_id, |group, settings| {
                classic::leave(group_id, group, settings, now, leave, reply_to)
            });
        };
        self.with_context(now, group_id, |context| {
            let leave = consumer::classic_leave(group, leave, context);
            let (mut decision, reply) = self.decide_leave(group, leave, context);
            decision.replies.push((reply_to, ClassicReply::Leave(reply)));
            decision
        })
    }

    /// A group for `ConsumerGroupDescribe`.
    pub fn describe_consumer_group(&self, group_id: &str) -> Result<DescribedGroup, GroupError> {
        let group = match self.group(group_id) {
            Some(Group::Consumer(group)) => group,
            group => return Err(not_a_consumer_group(group_id, group)),
        };
        let image = self.environment.image();
        Ok(consumer::describe(group, &ImageTopics(&image), &self.environment.consumer_settings(group_id)))
    }

    /// What regular expressions of a group stand for.
    pub fn regexes_resolved(&self, now: Now, resolved: &RegexesResolved) -> Decision<Self> {
        let group_id = &resolved.group_id;
        let Some(Group::Consumer(group)) = self.group(group_id) else { return Decision::default() };
        let outcome = self.with_context(now, group_id, |context| consumer::on_resolved(group, resolved, context));
        consumer_decision(group_id, outcome).0
    }

    /// The resolution came to nothing: the next heartbeat asks for another one.
    pub fn regexes_not_resolved(group_id: &GroupId) -> Decision<Self> {
        let change = consumer::SoftChange::Resolving(false);
        Decision { soft: vec![GroupSoftChange::Consumer(Arc::clone(group_id), change)], ..Decision::default() }
    }

    /// Topics changed: the groups that subscribe to them look at them with their next heartbeat.
    pub fn topics_changed(&self, changes: &TopicChanges) -> Decision<Self> {
        let mut decision = Decision::default();
        for (group_id, group) in self.groups() {
            let Group::Consumer(group) = group else { continue };
            let names = changes.names.iter().map(|name| &**name);
            let soft = group.on_topics_changed(names, changes.created, changes.version).into_iter();
            decision.soft.extend(soft.map(|change| GroupSoftChange::Consumer(Arc::clone(group_id), change)));
        }
        decision
    }

    pub(super) fn consumer_loaded(&self, now: Now, group_id: &GroupId, group: &ConsumerGroup) -> Decision<Self> {
        let version = self.environment.image().revision.0;
        let (soft, timers) = group.on_loaded(now.monotonic, version, &self.environment.consumer_settings(group_id));
        let mut outcome = Outcome::reply(());
        outcome.soft = soft;
        outcome.timers = timers;
        consumer_decision(group_id, outcome).0
    }

    pub(super) fn consumer_timer(&self, now: Now, group_id: &GroupId, timer: &MemberTimer) -> Decision<Self> {
        let Some(Group::Consumer(group)) = self.group(group_id) else { return Decision::default() };
        self.with_context(now, group_id, |context| match consumer::on_timer(group, timer, context) {
            Fired::Nothing => Decision::default(),
            Fired::Rearm(change) => {
                let mut outcome = Outcome::reply(());
                outcome.timers.push(change);
                consumer_decision(group_id, outcome).0
            }
            Fired::Fence { reason, leave } => {
                tracing::info!(%group_id, member_id = %timer.member_id, reason, "a member is taken out of the group");
                self.decide_leave(group, leave, context).0
            }
        })
    }

    /// What a decision about the group depends on, at this moment.
    fn with_context<R>(&self, now: Now, group_id: &str, decide: impl FnOnce(&Context<'_>) -> R) -> R {
        let image = self.environment.image();
        let settings = self.environment.consumer_settings(group_id);
        decide(&Context {
            now: now.monotonic,
            now_ms: now.wall_ms,
            topics: &ImageTopics(&image),
            settings: &settings,
        })
    }

    /// Makes a record of a consumer group true.
    pub(super) fn apply_consumer_record(&mut self, group_id: &GroupId, record: GroupRecord) {
        if !matches!(self.groups.get(group_id), Some(Group::Consumer(_))) {
            if is_tombstone(&record) {
                return;
            }
            self.groups.insert(Arc::clone(group_id), Group::Consumer(ConsumerGroup::new(Arc::clone(group_id))));
        }
        if let Some(Group::Consumer(group)) = self.groups.get_mut(group_id)
            && group.apply(record) == consumer::Applied::Deleted
        {
            self.groups.remove(group_id);
        }
    }
}

fn not_a_consumer_group(group_id: &str, group: Option<&Group>) -> GroupError {
    GroupError::GroupIdNotFound(match group {
        None => format!("Group {group_id} not found."),
        Some(_) => format!("Group {group_id} is not a consumer group."),
    })
}

/// What a heartbeat comes to.
struct Heard {
    decision: Decision<GroupShard>,
    reply: HeartbeatReply,
    resolve: Option<ResolveRegexes>,
}

fn heard(group_id: &GroupId, mut outcome: Outcome<HeartbeatReply>) -> Heard {
    let resolve = outcome.resolve.take();
    let (decision, reply) = consumer_decision(group_id, outcome);
    Heard { decision, reply, resolve }
}

pub(super) fn consumer_decision<R>(group_id: &GroupId, outcome: Outcome<R>) -> (Decision<GroupShard>, R) {
    let soft = outcome.soft.into_iter().map(|change| GroupSoftChange::Consumer(Arc::clone(group_id), change));
    let timers = outcome.timers.into_iter().map(|change| Timer {
        key: GroupTimer::Consumer(Arc::clone(group_id), change.timer),
        deadline: change.deadline,
    });
    let decision =
        Decision { records: outcome.records, soft: soft.collect(), timers: timers.collect(), replies: Vec::new() };
    (decision, outcome.reply)
}

fn is_tombstone(record: &GroupRecord) -> bool {
    matches!(
        record,
        GroupRecord::ConsumerGroupMetadata(_, None)
            | GroupRecord::ConsumerGroupPartitionMetadata(_, None)
            | GroupRecord::ConsumerGroupMemberMetadata(_, None)
            | GroupRecord::ConsumerGroupTargetAssignmentMetadata(_, None)
            | GroupRecord::ConsumerGroupTargetAssignmentMember(_, None)
            | GroupRecord::ConsumerGroupCurrentMemberAssignment(_, None)
            | GroupRecord::ConsumerGroupRegularExpression(_, None)
    )
}
