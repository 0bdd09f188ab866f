//! One group with everything around it: what decides is the machine, what is done with decisions is here.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::super::group::Phase;
use super::super::*;
use crate::coordinator::group::records::GroupMetadataValue;
use crate::coordinator::{Now, ReplyTo};
use crate::error::ErrorCode;

pub(super) const GROUP_ID: &str = "g";
/// After this long a timer's decision that could not be written is made again.
const RETRY: Duration = Duration::from_millis(500);
const BEGAN_MS: i64 = 1_000_000;

pub(super) struct World {
    pub(super) settings: ClassicSettings,
    pub(super) monotonic: Duration,
    pub(super) group: Option<ClassicGroup>,
    /// The group's last record.
    pub(super) log: Option<GroupMetadataValue>,
    pub(super) fail_next_append: bool,
    /// Off where so many members are looked at so often that it takes long.
    pub(super) checks_each_step: bool,
    timers: BTreeMap<ClassicTimer, Duration>,
    waiting: BTreeSet<ReplyTo>,
    last_reply_to: u64,
    /// What was answered since it was last asked for.
    answers: Vec<(ReplyTo, Result<ClassicReply, ErrorCode>)>,
    pub(super) records: Vec<GroupMetadataValue>,
    /// Of every generation that was told of: leader and protocol.
    generations: BTreeMap<i32, (Option<MemberId>, Option<std::sync::Arc<str>>)>,
}

impl World {
    pub(super) fn new() -> Self {
        Self {
            settings: ClassicSettings {
                max_size: usize::MAX,
                initial_rebalance_delay: Duration::from_secs(3),
                new_member_join_timeout: ClassicSettings::NEW_MEMBER_JOIN_TIMEOUT,
            },
            monotonic: Duration::from_secs(100),
            group: None,
            log: None,
            fail_next_append: false,
            checks_each_step: true,
            timers: BTreeMap::new(),
            waiting: BTreeSet::new(),
            last_reply_to: 0,
            answers: Vec::new(),
            records: Vec::new(),
            generations: BTreeMap::new(),
        }
    }

    fn now(&self) -> Now {
        Now { monotonic: self.monotonic, wall_ms: BEGAN_MS + self.monotonic.as_millis() as i64 }
    }

    pub(super) fn answers(&mut self) -> Vec<(ReplyTo, Result<ClassicReply, ErrorCode>)> {
        std::mem::take(&mut self.answers)
    }

    pub(super) fn waiting_count(&self) -> usize {
        self.waiting.len()
    }

    pub(super) fn join(&mut self, request: &Join) -> ReplyTo {
        let (now, settings) = (self.now(), self.settings);
        self.ask(|group, reply_to| join(GROUP_ID, group, &settings, now, request, reply_to))
    }

    pub(super) fn sync(&mut self, request: Sync) -> ReplyTo {
        let (now, settings) = (self.now(), self.settings);
        self.ask(|group, reply_to| sync(GROUP_ID, group, &settings, now, request, reply_to))
    }

    pub(super) fn heartbeat(&mut self, request: &Heartbeat) -> ErrorCode {
        let (change, answer) = heartbeat(self.group.as_ref(), self.now(), request);
        self.settle(ClassicDecision { change, ..ClassicDecision::default() });
        if self.checks_each_step {
            self.check();
        }
        answer
    }

    pub(super) fn leave(&mut self, request: &Leave) -> ReplyTo {
        let (now, settings) = (self.now(), self.settings);
        self.ask(|group, reply_to| leave(GROUP_ID, group, &settings, now, request, reply_to))
    }

    fn ask(&mut self, decide: impl FnOnce(Option<&ClassicGroup>, ReplyTo) -> ClassicDecision) -> ReplyTo {
        self.last_reply_to += 1;
        let reply_to = ReplyTo(self.last_reply_to);
        self.waiting.insert(reply_to);
        let decision = decide(self.group.as_ref(), reply_to);
        if !self.settle(decision) {
            self.waiting.remove(&reply_to);
            self.answers.push((reply_to, Err(ErrorCode::CoordinatorNotAvailable)));
        }
        if self.checks_each_step {
            self.check();
        }
        reply_to
    }

    /// Lets time pass; timers go off in their order.
    pub(super) fn advance(&mut self, by: Duration) {
        let until = self.monotonic + by;
        while let Some((timer, deadline)) = self.next_timer().filter(|(_, deadline)| *deadline <= until) {
            self.monotonic = self.monotonic.max(deadline);
            self.timers.remove(&timer);
            let Some(group) = &self.group else { continue };
            let decision = on_timer(GROUP_ID, group, &self.settings, self.now(), timer);
            if !self.settle(decision) {
                self.timers.insert(timer, self.monotonic + RETRY);
            }
            self.check();
        }
        self.monotonic = until;
    }

    pub(super) fn next_timer(&self) -> Option<(ClassicTimer, Duration)> {
        self.timers.iter().map(|(timer, deadline)| (*timer, *deadline)).min_by_key(|(_, deadline)| *deadline)
    }

    /// The coordinator is another one, that knows what is in the log.
    pub(super) fn restart(&mut self) {
        for reply_to in std::mem::take(&mut self.waiting) {
            self.answers.push((reply_to, Err(ErrorCode::NotCoordinator)));
        }
        self.timers.clear();
        self.generations.clear();
        self.group = self.log.clone().map(ClassicGroup::from_record);
        if let Some(group) = &self.group {
            let decision = on_loaded(GROUP_ID, group, &self.settings, self.now());
            assert!(decision.record.is_none(), "nothing is written only because it was read");
            self.settle(decision);
        }
        self.check();
    }

    /// Does what was decided, unless it has to be written and cannot.
    fn settle(&mut self, decision: ClassicDecision) -> bool {
        if let Some(record) = decision.record {
            if std::mem::take(&mut self.fail_next_append) {
                return false;
            }
            self.records.push(record.clone());
            self.log = Some(record.clone());
            self.group = Some(ClassicGroup::from_record(record));
        }
        if let Some(change) = decision.change {
            change.apply(self.group.as_mut().expect("a change of a group that was never written"));
        }
        for (timer, deadline) in decision.timers {
            match deadline {
                Some(deadline) => drop(self.timers.insert(timer, deadline)),
                None => drop(self.timers.remove(&timer)),
            }
        }
        for (reply_to, reply) in decision.replies {
            assert!(self.waiting.remove(&reply_to), "{reply_to:?} is answered a second time: {reply:?}");
            self.check_generation(&reply);
            self.answers.push((reply_to, Ok(reply)));
        }
        true
    }

    /// A generation has one leader and one protocol, and its leader is told of everybody. A static leader that came back
    /// is another one in the same generation.
    fn check_generation(&mut self, reply: &ClassicReply) {
        let ClassicReply::Join(reply) = reply else { return };
        if reply.error.is_error() {
            return;
        }
        let group = self.group.as_ref().unwrap();
        let told = (reply.leader.clone(), reply.protocol_name.clone());
        let known = self.generations.entry(reply.generation_id).or_insert_with(|| told.clone());
        assert_eq!(known.1, told.1, "one protocol for one generation");
        let is_static = |id: &Option<MemberId>| id.as_deref().is_some_and(|id| id.starts_with('i'));
        assert!(known.0 == told.0 || is_static(&known.0), "two leaders in one generation: {known:?} {told:?}");
        if reply.leader.as_ref() == Some(&reply.member_id) {
            assert_eq!(reply.members.len(), group.member_count());
        } else {
            assert!(reply.members.is_empty());
        }
    }

    /// What holds between any two decisions.
    pub(super) fn check(&self) {
        let Some(group) = &self.group else {
            assert!(self.waiting.is_empty(), "waiting for no group");
            return;
        };
        let members: Vec<_> = group.members().collect();
        let joins: BTreeSet<_> = members.iter().filter_map(|member| member.join_waiter).collect();
        let syncs: BTreeSet<_> = members.iter().filter_map(|member| member.sync_waiter).collect();
        assert_eq!(group.awaiting_join(), joins.len());
        assert_eq!(self.waiting, joins.union(&syncs).copied().collect(), "who waits is known to the group");
        assert!(joins.is_empty() || matches!(group.phase, Phase::PreparingRebalance { .. }));
        assert!(syncs.is_empty() || matches!(group.phase, Phase::CompletingRebalance));
        assert_eq!(members.is_empty(), group.leader_id.is_none());
        assert!(group.leader_id.as_ref().is_none_or(|leader| group.member(leader).is_some()));
        let statics: BTreeMap<_, _> = members
            .iter()
            .filter_map(|member| Some((member.instance_id.clone()?, member.member_id.clone())))
            .collect();
        assert!(statics.iter().eq(group.static_members.iter()));
        assert!(group.pending_joins.keys().all(|id| group.member(id).is_none()));
        assert!(group.pending_syncs.keys().all(|id| group.member(id).is_some()));
        match group.phase {
            Phase::Empty => assert!(members.is_empty()),
            Phase::PreparingRebalance { initial: None, .. } => {
                assert!(!group.has_all_members_joined(), "nobody is missing, and nothing goes on");
            }
            Phase::PreparingRebalance { .. } => {}
            Phase::CompletingRebalance | Phase::Stable => assert!(!members.is_empty()),
        }
        self.check_timers(group);
        if matches!(group.phase, Phase::Empty | Phase::Stable) {
            assert_eq!(self.log, Some(group.to_record()), "a coordinator that reads the log knows the same");
        }
    }

    fn check_timers(&self, group: &ClassicGroup) {
        for timer in ClassicTimer::ALL {
            let (armed, deadline) = (self.timers.get(&timer), group.deadline(timer));
            let is_retried = armed.is_some_and(|armed| *armed <= self.monotonic + RETRY);
            assert!(armed.copied() == deadline || is_retried, "{timer:?}: {armed:?} is not {deadline:?}");
        }
        let is_preparing = matches!(group.phase, Phase::PreparingRebalance { .. });
        assert_eq!(group.deadline(ClassicTimer::Join).is_some(), is_preparing);
        assert_eq!(group.deadline(ClassicTimer::Sync).is_some(), !group.pending_syncs.is_empty());
        let sessions = group.members().filter_map(|member| member.expires_at());
        let first = sessions.chain(group.pending_joins.values().copied()).min();
        assert!(first.is_none() || group.session_check <= first && group.session_check.is_some());
    }
}
