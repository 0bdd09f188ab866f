//! A group with a clock, topics and a log: decides, appends, applies, as the runtime does.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use uuid::Uuid;

use crate::coordinator::group::consumer::*;
use crate::coordinator::group::records::GroupRecord;
use crate::ids::{PartitionIndex, TopicId, TopicName};
use crate::protocol::wire::messages::ConsumerGroupHeartbeatRequest;
use crate::protocol::wire::messages::consumer_group_heartbeat_request::TopicPartitions;
use crate::protocol::wire::protocol::StrBytes;

/// Topics that a test creates, grows and deletes.
#[derive(Debug, Default)]
pub(super) struct TestTopics {
    topics: BTreeMap<TopicName, (TopicId, PartitionIndex)>,
    names: BTreeMap<TopicId, TopicName>,
    hashes: BTreeMap<TopicName, i64>,
    version: i64,
    created: u128,
}

impl TestTopics {
    pub(super) fn set(&mut self, name: &str, partitions: PartitionIndex) {
        self.version += 1;
        let id = self.id(name).unwrap_or_else(|| {
            self.created += 1;
            TopicId(Uuid::from_u128(self.created))
        });
        self.topics.insert(name.into(), (id, partitions));
        self.names.insert(id, name.into());
        self.hashes.insert(name.into(), topic_hash(id, name, partitions, |_| Vec::new()));
    }

    pub(super) fn delete(&mut self, name: &str) {
        self.version += 1;
        if let Some((id, _)) = self.topics.remove(name) {
            self.names.remove(&id);
        }
        self.hashes.remove(name);
    }

    /// `t1-0`, or the id of a topic that is gone.
    pub(super) fn shown(&self, id: TopicId) -> String {
        self.name(id).map_or_else(|| format!("deleted#{}", id.0.as_u128()), |name| name.to_string())
    }
}

impl Topics for TestTopics {
    fn id(&self, name: &str) -> Option<TopicId> {
        Some(self.topics.get(name)?.0)
    }
    fn name(&self, id: TopicId) -> Option<TopicName> {
        self.names.get(&id).cloned()
    }
    fn partition_count(&self, id: TopicId) -> Option<PartitionIndex> {
        Some(self.topics.get(self.names.get(&id)?)?.1)
    }
    fn hash(&self, name: &str) -> Option<i64> {
        self.hashes.get(name).copied()
    }
    fn names(&self) -> Box<dyn Iterator<Item = &TopicName> + '_> {
        Box::new(self.topics.keys())
    }
    fn version(&self) -> i64 {
        self.version
    }
}

/// One group and the world around it.
pub(super) struct World {
    pub(super) group: Option<ConsumerGroup>,
    pub(super) topics: TestTopics,
    pub(super) settings: Settings,
    pub(super) now: Duration,
    /// Every record that was written.
    pub(super) log: Vec<GroupRecord>,
    /// Those of the last decision.
    pub(super) last: Vec<GroupRecord>,
    pub(super) timers: BTreeMap<MemberTimer, Duration>,
    pub(super) to_resolve: Option<ResolveRegexes>,
    /// The next append fails.
    pub(super) append_fails: bool,
    /// The group is looked at after every step; too slow for a large one.
    pub(super) checks: bool,
    /// Members that were taken out by a timer.
    pub(super) fenced: Vec<MemberId>,
}

/// The wall clock when the monotonic one is 0.
const EPOCH_MS: i64 = 1_700_000_000_000;

impl World {
    pub(super) fn new() -> Self {
        Self {
            group: None,
            topics: TestTopics::default(),
            settings: Settings { assignment_interval_ms: 0, ..Settings::default() },
            now: Duration::from_secs(1),
            log: Vec::new(),
            last: Vec::new(),
            timers: BTreeMap::new(),
            to_resolve: None,
            append_fails: false,
            checks: true,
            fenced: Vec::new(),
        }
    }

    pub(super) fn group(&self) -> &ConsumerGroup {
        self.group.as_ref().expect("there is a group")
    }

    fn now_ms(&self) -> i64 {
        EPOCH_MS + self.now.as_millis() as i64
    }

    pub(super) fn set_topic(&mut self, name: &str, partitions: PartitionIndex) {
        let is_new = self.topics.id(name).is_none();
        self.topics.set(name, partitions);
        self.topics_changed(name, is_new);
    }

    pub(super) fn delete_topic(&mut self, name: &str) {
        self.topics.delete(name);
        self.topics_changed(name, false);
    }

    fn topics_changed(&mut self, name: &str, is_new: bool) {
        if let Some(group) = &mut self.group {
            for change in group.on_topics_changed(std::iter::once(name), is_new, self.topics.version) {
                group.apply_soft(change);
            }
        }
    }

    pub(super) fn heartbeat(
        &mut self,
        request: &ConsumerGroupHeartbeatRequest,
    ) -> Result<HeartbeatReply, GroupError> {
        check_heartbeat(request, true, &self.settings.assignors)?;
        let settings = self.settings.clone();
        if request.member_epoch < 0 {
            let group = self.group.as_ref().ok_or_else(|| GroupError::GroupIdNotFound("no group".to_owned()))?;
            return match leave(group, request, &self.context(&settings))? {
                Leave::Removed(outcome) => self.run(outcome),
                Leave::Downgrade { .. } => unreachable!("there is no classic member"),
            };
        }
        if self.group.is_none() && request.member_epoch != 0 {
            return Err(GroupError::GroupIdNotFound("no group".to_owned()));
        }
        let new_group = ConsumerGroup::new("g".into());
        let group = self.group.as_ref().unwrap_or(&new_group);
        let input =
            Heartbeat { request, client: Client { id: "client", host: "/127.0.0.1" }, new_member_id: "generated" };
        let outcome = heartbeat(group, &input, &self.context(&settings))?;
        let reply = self.run(outcome)?;
        if let Some(group) = &self.group {
            group.heard_of(&reply.member_id, self.now, &settings);
        }
        Ok(reply)
    }

    pub(super) fn context<'a>(&'a self, settings: &'a Settings) -> Context<'a> {
        Context { now: self.now, now_ms: self.now_ms(), topics: &self.topics, settings }
    }

    /// Appends and applies what was decided; a failed append changes nothing.
    pub(super) fn run<R>(&mut self, outcome: Outcome<R>) -> Result<R, GroupError> {
        let Outcome { records, soft, timers, resolve, reply } = outcome;
        self.last = Vec::new();
        if !records.is_empty() && std::mem::take(&mut self.append_fails) {
            return Err(GroupError::InvalidRequest("append failed".to_owned()));
        }
        for record in &records {
            self.apply(record);
        }
        self.log.extend(records.iter().cloned());
        self.last = records;
        if let Some(group) = &mut self.group {
            for change in soft {
                group.apply_soft(change);
            }
        }
        for TimerChange { timer, deadline } in timers {
            match deadline {
                Some(deadline) => self.timers.insert(timer, deadline),
                None => self.timers.remove(&timer),
            };
        }
        if resolve.is_some() {
            self.to_resolve = resolve;
        }
        if self.checks {
            self.check();
        }
        Ok(reply)
    }

    /// By way of the bytes, so that what is written is what is read.
    fn apply(&mut self, record: &GroupRecord) {
        let (key, value) = record.encode();
        let read = GroupRecord::decode(&key, value.as_deref()).unwrap();
        assert_eq!(read, *record);
        let group = self.group.get_or_insert_with(|| ConsumerGroup::new("g".into()));
        if group.apply(read) == Applied::Deleted {
            self.group = None;
        }
    }

    /// Resolves the regular expressions that wait for it.
    pub(super) fn resolve(&mut self) -> bool {
        let Some(work) = self.to_resolve.take() else { return false };
        let resolved = work.run(&self.topics, self.now_ms());
        let settings = self.settings.clone();
        if let Some(group) = &self.group {
            let outcome = on_resolved(group, &resolved, &self.context(&settings));
            self.run(outcome).unwrap();
        }
        true
    }

    /// Lets time pass, and timers fire in their order.
    pub(super) fn wait(&mut self, time: Duration) {
        let until = self.now + time;
        while let Some((timer, deadline)) =
            self.timers.iter().min_by_key(|(_, deadline)| **deadline).map(|(timer, at)| (timer.clone(), *at))
        {
            if deadline > until {
                break;
            }
            self.timers.remove(&timer);
            self.now = self.now.max(deadline);
            let settings = self.settings.clone();
            let Some(group) = &self.group else { continue };
            match on_timer(group, &timer, &self.context(&settings)) {
                Fired::Nothing => {}
                Fired::Rearm(TimerChange { timer, deadline }) => {
                    self.timers.insert(timer, deadline.expect("set anew"));
                }
                Fired::Fence { leave: Leave::Removed(outcome), .. } => {
                    self.append_fails = false;
                    self.run(outcome).unwrap();
                    self.fenced.push(timer.member_id);
                }
                Fired::Fence { leave: Leave::Downgrade { .. }, .. } => unreachable!("there is no classic member"),
            }
        }
        self.now = until;
    }

    /// The coordinator goes away and another one loads the log.
    pub(super) fn reload(&mut self) {
        self.timers.clear();
        self.to_resolve = None;
        self.group = replayed(&self.log);
        let settings = self.settings.clone();
        if let Some(group) = &mut self.group {
            let (soft, timers) = group.on_loaded(self.now, self.topics.version, &settings);
            for change in soft {
                group.apply_soft(change);
            }
            for TimerChange { timer, deadline } in timers {
                self.timers.insert(timer, deadline.expect("set"));
            }
        }
    }

    /// What holds at every moment.
    fn check(&self) {
        let Some(group) = &self.group else { return };
        let mut owners: BTreeMap<(TopicId, PartitionIndex), &MemberId> = BTreeMap::new();
        for member in group.members() {
            for (topic, partition, epoch) in member.assigned.iter().chain(member.pending_revocation.iter()) {
                let other = owners.insert((topic, partition), &member.member_id);
                assert_eq!(other, None, "{topic}-{partition} is with {} too", member.member_id);
                assert!(epoch <= member.member_epoch.max(0), "{} has it since a later epoch", member.member_id);
                assert_eq!(group.owner(topic, partition), Some(&member.member_id));
            }
            assert!(member.member_epoch <= group.group_epoch());
        }
        assert!(group.assignment_epoch() <= group.group_epoch());
    }

    /// The log gives the same group again.
    pub(super) fn check_replay(&self) {
        assert_eq!(self.group.as_ref().map(hard_state), replayed(&self.log).as_ref().map(hard_state));
    }
}

fn replayed(log: &[GroupRecord]) -> Option<ConsumerGroup> {
    let mut group: Option<ConsumerGroup> = None;
    for record in log {
        if group.get_or_insert_with(|| ConsumerGroup::new("g".into())).apply(record.clone()) == Applied::Deleted {
            group = None;
        }
    }
    group
}

/// All that records say.
pub(super) fn hard_state(group: &ConsumerGroup) -> String {
    let mut group = group.clone();
    group.sessions = super::super::sessions::Sessions::default();
    // A map whose order is not fixed can't be compared by its text; it is checked against the members instead.
    format!(
        "{:#?}",
        (
            group.group_epoch,
            group.metadata_hash,
            group.assignment_epoch,
            group.assignment_timestamp_ms,
            &group.members,
            &group.static_members,
            &group.target,
            &group.subscriptions,
            group.has_partition_metadata,
        )
    )
}

/// A request that says nothing but who and in which epoch.
pub(super) fn request(member_id: &str, epoch: i32) -> ConsumerGroupHeartbeatRequest {
    let mut request = ConsumerGroupHeartbeatRequest::default();
    request.group_id = StrBytes::from_static_str("g").into();
    request.member_id = StrBytes::from_string(member_id.to_owned());
    request.member_epoch = epoch;
    request.rebalance_timeout_ms = -1;
    request.topic_partitions = None;
    request.subscribed_topic_names = None;
    request
}

/// A request of a member that joins.
pub(super) fn joining(member_id: &str, topics: &[&str]) -> ConsumerGroupHeartbeatRequest {
    let mut request = request(member_id, 0);
    request.rebalance_timeout_ms = 10_000;
    request.topic_partitions = Some(Vec::new());
    request.subscribed_topic_names = Some(names(topics));
    request
}

pub(super) fn names(topics: &[&str]) -> Vec<crate::protocol::wire::messages::TopicName> {
    topics.iter().map(|&name| StrBytes::from_string(name.to_owned()).into()).collect()
}

#[expect(clippy::unnecessary_wraps, reason = "where it goes, a text may be missing")]
pub(super) fn text(text: &str) -> Option<StrBytes> {
    Some(StrBytes::from_string(text.to_owned()))
}

pub(super) fn owned(partitions: &BTreeSet<(TopicId, PartitionIndex)>) -> Vec<TopicPartitions> {
    let mut by_topic: BTreeMap<TopicId, Vec<PartitionIndex>> = BTreeMap::new();
    for &(topic, partition) in partitions {
        by_topic.entry(topic).or_default().push(partition);
    }
    by_topic
        .into_iter()
        .map(|(topic, partitions)| {
            let mut owned = TopicPartitions::default();
            owned.topic_id = topic.0;
            owned.partitions = partitions;
            owned
        })
        .collect()
}
