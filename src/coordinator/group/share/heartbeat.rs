//! A member comes, stays or goes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::context::{ShareContext, ShareGroupError, ShareOutcome, ShareSoftChange};
use super::group::{ShareGroup, ShareMember};
use super::partitions::TopicPartitions;
use super::records;
use crate::coordinator::group::assignor::Assignment;
use crate::coordinator::group::assignor::simple::{self, ShareMemberSpec};
use crate::coordinator::group::consumer::{existing, group_hash};
use crate::coordinator::group::records::GroupRecord;
use crate::ids::{PartitionIndex, TopicId, TopicName};

/// The epoch of a member that joins.
const JOIN_EPOCH: i32 = 0;
/// The epoch of a member that leaves.
const LEAVE_EPOCH: i32 = -1;

/// What a member says.
#[derive(Clone, Debug)]
pub struct ShareHeartbeat<'a> {
    pub member_id: &'a str,
    pub member_epoch: i32,
    /// None: as before.
    pub rack_id: Option<&'a str>,
    pub client_id: &'a str,
    /// As Kafka writes it: `/127.0.0.1`.
    pub client_host: &'a str,
    /// None: as before.
    pub subscribed_topic_names: Option<Vec<&'a str>>,
}

/// What a member is told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShareHeartbeatReply {
    pub member_id: String,
    pub member_epoch: i32,
    pub heartbeat_interval_ms: i32,
    /// None: as before.
    pub assignment: Option<Arc<Assignment>>,
    /// Partitions whose state the share coordinator is to keep from now on, and the state's epoch; the group hears of
    /// it by [`ShareGroup::initialized_now`].
    pub initialize: TopicPartitions,
    pub state_epoch: i32,
}

impl ShareHeartbeat<'_> {
    /// The member comes, or comes anew.
    pub fn joins(&self) -> bool {
        self.member_epoch == JOIN_EPOCH
    }

    /// What is wrong with the request, whatever the group.
    pub fn check(&self, group_id: &str) -> Result<(), ShareGroupError> {
        let invalid = |text| Err(ShareGroupError::InvalidRequest(text));
        if self.member_id.trim().is_empty() {
            return invalid("MemberId can't be empty.");
        }
        if group_id.trim().is_empty() {
            return invalid("GroupId can't be empty.");
        }
        if self.rack_id.is_some_and(|rack| rack.trim().is_empty()) {
            return invalid("RackId can't be empty.");
        }
        match self.member_epoch {
            JOIN_EPOCH if self.subscribed_topic_names.as_ref().is_none_or(Vec::is_empty) => {
                invalid("SubscribedTopicNames must be set in first request.")
            }
            epoch if epoch < LEAVE_EPOCH => invalid("MemberEpoch is invalid."),
            _ => Ok(()),
        }
    }
}

impl ShareGroup {
    /// A heartbeat that has passed [`ShareHeartbeat::check`].
    pub fn heartbeat(
        &self,
        context: &ShareContext<'_>,
        heartbeat: &ShareHeartbeat<'_>,
    ) -> Result<ShareOutcome<ShareHeartbeatReply>, ShareGroupError> {
        if heartbeat.member_epoch == LEAVE_EPOCH {
            return self.leave(heartbeat.member_id);
        }
        let before = self.find(context, heartbeat)?;
        let after = updated(before.as_deref(), heartbeat);
        let mut next = Next::new(self);

        let is_new = before.is_none();
        let is_same = before.as_deref().is_some_and(|before| is_same_metadata(before, &after));
        let version = context.topics.version();
        let is_settled = self.settled_in == Some(version) && after.member_epoch == self.assignment_epoch;
        let mut initialize = TopicPartitions::new();
        if !is_same || !is_settled {
            if !is_same {
                next.write(records::member(&self.group_id, &after));
            }
            let subscribed_anew =
                before.as_deref().is_none_or(|b| b.subscribed_topic_names != after.subscribed_topic_names);
            next.update_epoch(context, subscribed_anew);
            next.update_target(context);
            next.reconcile(context, &after.member_id, subscribed_anew);
            next.forget_deleted_topics(context);
            initialize = next.begin_to_initialize(context);
            if next.records.is_empty() && next.group().has_nothing_to_come() {
                next.soft.push(ShareSoftChange::Settled { version });
            }
        }

        let state = next.group();
        let assigned =
            state.member(&after.member_id).map(|member| (member.member_epoch, Arc::clone(&member.assigned)));
        let (member_epoch, assigned) = assigned.unwrap_or_default();
        // Who says all of itself has missed an answer, or begins anew.
        let is_full = heartbeat.joins() || heartbeat.subscribed_topic_names.is_some();
        let changed = before.as_deref().is_none_or(|before| before.assigned != assigned);
        let reply = ShareHeartbeatReply {
            member_id: (*after.member_id).to_owned(),
            member_epoch,
            heartbeat_interval_ms: context.settings.heartbeat_interval_ms,
            assignment: (is_full || changed).then_some(assigned),
            initialize,
            state_epoch: state.group_epoch,
        };
        let deadline = context.now.monotonic + context.settings.session_timeout;
        let timers = if is_new { vec![(Arc::clone(&after.member_id), Some(deadline))] } else { Vec::new() };
        next.soft.push(ShareSoftChange::Session { member_id: after.member_id, deadline });
        Ok(ShareOutcome { records: next.records, soft: next.soft, timers, reply })
    }

    /// The share coordinator has the state of these partitions: they may be assigned from the next heartbeat on.
    pub fn initialized_now(&self, partitions: &TopicPartitions) -> ShareOutcome<()> {
        let mut state = self.partitions.clone();
        state.set_initialized(partitions);
        if state == self.partitions {
            return ShareOutcome::reply(());
        }
        let records = vec![records::state_partitions(&self.group_id, &state)];
        ShareOutcome { records, ..ShareOutcome::reply(()) }
    }

    /// A member's session timer has fired. It may have been heard of since: then the timer begins again.
    pub fn on_session_timer(&self, now: Duration, member_id: &str) -> ShareOutcome<()> {
        let Some(member) = self.member(member_id) else { return ShareOutcome::reply(()) };
        match self.session_deadline(member_id) {
            Some(deadline) if deadline > now => {
                let timers = vec![(Arc::clone(&member.member_id), Some(deadline))];
                ShareOutcome { timers, ..ShareOutcome::reply(()) }
            }
            _ => ShareOutcome { records: self.without(member_id), ..ShareOutcome::reply(()) },
        }
    }

    /// The timers of a group that was loaded: every member has its session timeout from now.
    pub fn on_loaded(&self, context: &ShareContext<'_>) -> ShareOutcome<()> {
        let deadline = context.now.monotonic + context.settings.session_timeout;
        let ids = self.members.keys();
        let soft = ids.clone().map(|id| ShareSoftChange::Session { member_id: Arc::clone(id), deadline });
        let timers = ids.map(|id| (Arc::clone(id), Some(deadline)));
        ShareOutcome { records: Vec::new(), soft: soft.collect(), timers: timers.collect(), reply: () }
    }

    fn leave(&self, member_id: &str) -> Result<ShareOutcome<ShareHeartbeatReply>, ShareGroupError> {
        if self.member(member_id).is_none() {
            return Err(self.unknown_member(member_id));
        }
        let reply = ShareHeartbeatReply {
            member_id: member_id.to_owned(),
            member_epoch: LEAVE_EPOCH,
            ..ShareHeartbeatReply::default()
        };
        let timers = vec![(member_id.into(), None)];
        Ok(ShareOutcome { records: self.without(member_id), soft: Vec::new(), timers, reply })
    }

    /// What takes a member out of the group; the others get its partitions with their next heartbeats.
    fn without(&self, member_id: &str) -> Vec<GroupRecord> {
        let mut records = records::member_tombstones(&self.group_id, member_id).to_vec();
        let epoch = self.group_epoch.saturating_add(1);
        records.push(records::group_epoch(&self.group_id, epoch, self.metadata_hash));
        records
    }

    /// The member that a heartbeat speaks for; none where it joins.
    fn find(
        &self,
        context: &ShareContext<'_>,
        heartbeat: &ShareHeartbeat<'_>,
    ) -> Result<Option<Arc<ShareMember>>, ShareGroupError> {
        let received = heartbeat.member_epoch;
        match self.member(heartbeat.member_id) {
            None if self.members.len() >= context.settings.max_size => {
                Err(ShareGroupError::MaxSizeReached(context.settings.max_size))
            }
            None if received == JOIN_EPOCH => Ok(None),
            None => Err(self.unknown_member(heartbeat.member_id)),
            Some(member) => {
                let known = member.member_epoch;
                // The reply with the newer epoch may have been lost.
                let is_valid =
                    received == JOIN_EPOCH || received == known || received == member.previous_member_epoch;
                if !is_valid {
                    return Err(ShareGroupError::FencedMemberEpoch { received, known });
                }
                Ok(Some(Arc::clone(member)))
            }
        }
    }

    fn unknown_member(&self, member_id: &str) -> ShareGroupError {
        ShareGroupError::UnknownMember { member_id: member_id.to_owned(), group_id: (*self.group_id).to_owned() }
    }
}

/// The member as the heartbeat makes it.
fn updated(before: Option<&ShareMember>, heartbeat: &ShareHeartbeat<'_>) -> ShareMember {
    let mut member = before
        .cloned()
        .unwrap_or_else(|| ShareMember { member_id: heartbeat.member_id.into(), ..ShareMember::default() });
    if let Some(rack) = heartbeat.rack_id {
        member.rack_id = Some(rack.into());
    }
    if *member.client_id != *heartbeat.client_id {
        member.client_id = heartbeat.client_id.into();
    }
    if *member.client_host != *heartbeat.client_host {
        member.client_host = heartbeat.client_host.into();
    }
    if let Some(names) = &heartbeat.subscribed_topic_names {
        let names: BTreeSet<&str> = names.iter().copied().collect();
        if !names.iter().copied().eq(member.subscribed_topic_names.iter().map(|name| &**name)) {
            member.subscribed_topic_names = names.into_iter().map(TopicName::from).collect();
        }
    }
    member
}

fn is_same_metadata(before: &ShareMember, after: &ShareMember) -> bool {
    (&before.rack_id, &before.client_id, &before.client_host, &before.subscribed_topic_names)
        == (&after.rack_id, &after.client_id, &after.client_host, &after.subscribed_topic_names)
}

/// A group with what has been decided about it so far: copied when the first record is.
struct Next<'a> {
    before: &'a ShareGroup,
    changed: Option<ShareGroup>,
    records: Vec<GroupRecord>,
    soft: Vec<ShareSoftChange>,
}

impl<'a> Next<'a> {
    fn new(before: &'a ShareGroup) -> Self {
        Self { before, changed: None, records: Vec::new(), soft: Vec::new() }
    }

    fn group(&self) -> &ShareGroup {
        self.changed.as_ref().unwrap_or(self.before)
    }

    fn write(&mut self, record: GroupRecord) {
        self.changed.get_or_insert_with(|| self.before.clone()).apply(&record);
        self.records.push(record);
    }

    /// Another epoch of the group, where a subscription changed, the topics did, or there are more partitions to
    /// assign.
    fn update_epoch(&mut self, context: &ShareContext<'_>, subscribed_anew: bool) {
        let group = self.group();
        let hash = group_hash(group.subscribed_topic_names().into_iter(), context.topics);
        // An assignment that is to come anyway takes them in too.
        let is_assigned = group.assignment_epoch >= group.group_epoch;
        let due = subscribed_anew
            || hash != group.metadata_hash
            || (is_assigned && group.has_partitions_of_nobody(context));
        if due {
            let record = records::group_epoch(&group.group_id, group.group_epoch.saturating_add(1), hash);
            self.write(record);
        }
    }

    /// A target assignment for the group's epoch, if there is none yet and enough time has passed since the last.
    fn update_target(&mut self, context: &ShareContext<'_>) {
        let group = self.group();
        if group.group_epoch <= group.assignment_epoch || !group.may_assign(context) {
            return;
        }
        let mut records = Vec::new();
        let targets = group.new_targets(context);
        for (member_id, target) in group.members.keys().zip(targets) {
            if group.target.get(member_id) != Some(&target) {
                records.push(records::target(&group.group_id, member_id, &target));
            }
        }
        records.push(records::target_epoch(&group.group_id, group.group_epoch, context.now.wall_ms));
        for record in records {
            self.write(record);
        }
    }

    /// The member takes its target over; of a target that is older than its subscription what it still wants.
    fn reconcile(&mut self, context: &ShareContext<'_>, member_id: &str, subscribed_anew: bool) {
        let group = self.group();
        let Some(member) = group.member(member_id) else { return };
        let has_reached_target = member.member_epoch == group.assignment_epoch;
        if has_reached_target && !subscribed_anew {
            return;
        }
        let mut assigned = group.target.get(member_id).cloned().unwrap_or_default();
        if group.assignment_epoch < group.group_epoch {
            let wanted = existing(member.subscribed_topic_names.iter(), context.topics);
            assigned = Arc::new(assigned.iter().filter(|(topic, _)| wanted.contains(topic)).collect());
        }
        if has_reached_target && assigned == member.assigned {
            return;
        }
        let previous_member_epoch =
            if has_reached_target { member.previous_member_epoch } else { member.member_epoch };
        let reconciled = ShareMember {
            member_epoch: group.assignment_epoch,
            previous_member_epoch,
            assigned,
            ..ShareMember::clone(member)
        };
        let record = records::current(&group.group_id, &reconciled);
        self.write(record);
    }

    /// Topics that are gone have no state any more; the share coordinator finds that out by itself.
    fn forget_deleted_topics(&mut self, context: &ShareContext<'_>) {
        let group = self.group();
        let known = group.partitions.initialized.keys().chain(group.partitions.initializing.keys());
        let gone: Vec<TopicId> = known.copied().filter(|topic| context.topics.name(*topic).is_none()).collect();
        if gone.is_empty() {
            return;
        }
        let mut partitions = group.partitions.clone();
        for topic in gone {
            partitions.forget(topic);
        }
        let record = records::state_partitions(&group.group_id, &partitions);
        self.write(record);
    }

    /// Writes down that the partitions of subscribed topics that have no state are about to get one.
    fn begin_to_initialize(&mut self, context: &ShareContext<'_>) -> TopicPartitions {
        let group = self.group();
        let missing = group.without_state(context);
        if missing.is_empty() {
            return missing;
        }
        let mut partitions = group.partitions.clone();
        super::partitions::add(&mut partitions.initializing, &missing);
        if partitions != group.partitions {
            let record = records::state_partitions(&group.group_id, &partitions);
            self.write(record);
        }
        let since = context.now.monotonic;
        self.soft.push(ShareSoftChange::Initializing { partitions: missing.clone(), since });
        missing
    }
}

impl ShareGroup {
    /// Whether there may be another target assignment. Where nobody has anything it takes nothing away.
    fn may_assign(&self, context: &ShareContext<'_>) -> bool {
        let interval_ms = context.settings.assignment_interval_ms;
        interval_ms == 0
            || context.now.wall_ms >= self.assignment_timestamp_ms.saturating_add(interval_ms)
            || self.target.values().all(|target| target.is_empty())
    }

    /// Neither an assignment nor the state of a partition is waited for.
    fn has_nothing_to_come(&self) -> bool {
        self.assignment_epoch >= self.group_epoch && self.partitions.initializing.is_empty()
    }

    /// Partitions of subscribed topics without state that nobody is about to initialize.
    fn without_state(&self, context: &ShareContext<'_>) -> TopicPartitions {
        let tried_after = context.now.monotonic.saturating_sub(context.settings.initialize_retry_interval);
        let mut missing = TopicPartitions::new();
        for name in self.subscribed_topic_names() {
            let Some(topic) = context.topics.id(name) else { continue };
            let count = context.topics.partition_count(topic).unwrap_or(0);
            let partitions: BTreeSet<PartitionIndex> = (0..count)
                .filter(|&partition| !self.is_initialized(topic, partition))
                .filter(|&partition| !self.initializing_since.is_under_way(topic, partition, tried_after))
                .collect();
            if !partitions.is_empty() {
                missing.insert(topic, (Arc::clone(name), partitions));
            }
        }
        missing
    }

    /// There are partitions that may be assigned, and members that want them, and the target does not have them.
    fn has_partitions_of_nobody(&self, context: &ShareContext<'_>) -> bool {
        if self.members.is_empty() {
            return false;
        }
        let assigned: BTreeSet<(TopicId, PartitionIndex)> =
            self.target.values().flat_map(|target| target.iter()).collect();
        let assignable = self.assignable(context);
        let mut assignable =
            assignable.iter().flat_map(|(&topic, partitions)| partitions.iter().map(move |&p| (topic, p)));
        assignable.any(|partition| !assigned.contains(&partition))
    }

    /// The initialized partitions of existing topics that members want.
    fn assignable(&self, context: &ShareContext<'_>) -> BTreeMap<TopicId, Vec<PartitionIndex>> {
        let mut assignable = BTreeMap::new();
        for name in self.subscribed_topic_names() {
            let Some(topic) = context.topics.id(name) else { continue };
            let Some((_, partitions)) = self.partitions.initialized.get(&topic) else { continue };
            let count = context.topics.partition_count(topic).unwrap_or(0);
            assignable.insert(topic, partitions.iter().copied().filter(|&partition| partition < count).collect());
        }
        assignable
    }

    fn new_targets(&self, context: &ShareContext<'_>) -> Vec<Arc<Assignment>> {
        let members: Vec<ShareMemberSpec> = self
            .members
            .values()
            .map(|member| ShareMemberSpec {
                topics: existing(member.subscribed_topic_names.iter(), context.topics),
                assigned: self.target.get(&member.member_id).cloned().unwrap_or_default(),
            })
            .collect();
        simple::assign(&members, &self.assignable(context))
    }
}
