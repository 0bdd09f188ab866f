//! Share groups within a shard: finds the group for a request, and turns what the group decides into a decision of the
//! shard.

use std::sync::Arc;

use super::group_shard::{Group, GroupId, GroupShard, GroupSoftChange, GroupTimer};
use super::image_topics::ImageTopics;
use super::records::GroupRecord;
use super::share::{
    DescribedShareGroup, ShareContext, ShareGroup, ShareGroupError, ShareHeartbeat, ShareHeartbeatReply, ShareOutcome,
};
use crate::coordinator::{Decision, Now, Timer};

impl GroupShard {
    /// A heartbeat that passed its checks. A member that joins makes the group.
    pub fn share_heartbeat(
        &self,
        now: Now,
        group_id: &GroupId,
        heartbeat: &ShareHeartbeat<'_>,
    ) -> (Decision<Self>, Result<ShareHeartbeatReply, ShareGroupError>) {
        let decide = |group: &ShareGroup, context: &ShareContext<'_>| group.heartbeat(context, heartbeat);
        if heartbeat.joins() {
            self.decide_share_or_new(now, group_id, decide)
        } else {
            self.decide_share(now, group_id, decide)
        }
    }

    /// Decides about a share group that is there.
    pub fn decide_share<R>(
        &self,
        now: Now,
        group_id: &GroupId,
        decide: impl FnOnce(&ShareGroup, &ShareContext<'_>) -> Result<ShareOutcome<R>, ShareGroupError>,
    ) -> (Decision<Self>, Result<R, ShareGroupError>) {
        let decided = self
            .share_group(group_id)
            .and_then(|group| self.with_share_context(now, group_id, |context| decide(group, context)));
        share_decision(group_id, decided)
    }

    /// Decides about a share group, which begins with what is decided where it is not there yet.
    pub fn decide_share_or_new<R>(
        &self,
        now: Now,
        group_id: &GroupId,
        decide: impl FnOnce(&ShareGroup, &ShareContext<'_>) -> Result<ShareOutcome<R>, ShareGroupError>,
    ) -> (Decision<Self>, Result<R, ShareGroupError>) {
        if self.group(group_id).is_some() {
            return self.decide_share(now, group_id, decide);
        }
        // Offsets without a group are a classic group, whose consumers assign to themselves.
        if self.offsets().has_group(group_id) {
            return share_decision(group_id, Err(ShareGroupError::NotShareGroup((**group_id).to_owned())));
        }
        let new = ShareGroup::new(Arc::clone(group_id));
        share_decision(group_id, self.with_share_context(now, group_id, |context| decide(&new, context)))
    }

    pub fn share_group(&self, group_id: &str) -> Result<&ShareGroup, ShareGroupError> {
        match self.group(group_id) {
            Some(Group::Share(group)) => Ok(group),
            Some(_) => Err(ShareGroupError::NotShareGroup(group_id.to_owned())),
            None => Err(ShareGroupError::GroupNotFound(group_id.to_owned())),
        }
    }

    pub fn describe_share_group(&self, group_id: &str) -> Result<DescribedShareGroup, ShareGroupError> {
        self.share_group(group_id).map(ShareGroup::describe)
    }

    pub(super) fn apply_share_record(&mut self, group_id: &GroupId, record: &GroupRecord) {
        let group = self.groups.entry(Arc::clone(group_id));
        let group = group.or_insert_with(|| Group::Share(ShareGroup::new(Arc::clone(group_id))));
        // What is left of a share group whose id another group has by now says nothing.
        if let Group::Share(group) = group {
            group.apply(record);
            if group.is_gone() {
                self.groups.remove(group_id);
            }
        }
    }

    pub(super) fn share_loaded(&self, now: Now, group_id: &GroupId, group: &ShareGroup) -> Decision<Self> {
        let loaded = self.with_share_context(now, group_id, |context| group.on_loaded(context));
        share_decision(group_id, Ok(loaded)).0
    }

    /// The session of a member is over, if it was not heard of since.
    pub(super) fn share_session_timer(&self, now: Now, group_id: &GroupId, member_id: &str) -> Decision<Self> {
        self.decide_share(now, group_id, |group, _| Ok(group.on_session_timer(now.monotonic, member_id))).0
    }

    fn with_share_context<R>(&self, now: Now, group_id: &str, work: impl FnOnce(&ShareContext<'_>) -> R) -> R {
        let (image, settings) = (self.environment.image(), self.environment.share_settings(group_id));
        work(&ShareContext { now, topics: &ImageTopics(&image), settings: &settings })
    }
}

fn share_decision<R>(
    group_id: &GroupId,
    decided: Result<ShareOutcome<R>, ShareGroupError>,
) -> (Decision<GroupShard>, Result<R, ShareGroupError>) {
    let ShareOutcome { records, soft, timers, reply } = match decided {
        Ok(outcome) => outcome,
        Err(error) => return (Decision::default(), Err(error)),
    };
    let timer =
        |(member_id, deadline)| Timer { key: GroupTimer::ShareSession(Arc::clone(group_id), member_id), deadline };
    let decision = Decision {
        records,
        soft: soft.into_iter().map(|change| GroupSoftChange::Share(Arc::clone(group_id), change)).collect(),
        timers: timers.into_iter().map(timer).collect(),
        replies: Vec::new(),
    };
    (decision, Ok(reply))
}
