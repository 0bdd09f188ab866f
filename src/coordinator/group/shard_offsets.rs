//! What a shard does with offsets: each request asks the group for whom it is, and the records go into the log.

use std::sync::Arc;
use std::time::Duration;

use super::classic::ClassicGroupState;
use super::group_shard::{Group, GroupId, GroupShard, GroupSoftChange, GroupTimer};
use super::offsets::{CommittingGroup, DeletedTopic};
use crate::coordinator::{Decision, Now, Timer};
use crate::error::ErrorCode;
use crate::protocol::messages::{OffsetCommitRequest, OffsetFetchRequestGroup};
use crate::protocol::wire::messages::offset_fetch_response::OffsetFetchResponseGroup;
use crate::protocol::wire::messages::{OffsetCommitResponse, OffsetDeleteRequest, OffsetDeleteResponse};

/// About as many offsets expire in one go: the shard serves nobody meanwhile.
const TOMBSTONES_AT_ONCE: usize = 10_000;
/// How long the others have their turn before the next go.
const PAUSE_OF_EXPIRY: Duration = Duration::from_millis(20);

impl Group {
    /// The group, as far as its offsets are concerned.
    fn committing(&self) -> &dyn CommittingGroup {
        match self {
            Self::Classic(group) => group,
            Self::Consumer(group) => group,
            Self::Share(group) => group,
        }
    }
}

impl GroupShard {
    /// Commits offsets of partitions that exist. A commit keeps a classic member's session alive, as a heartbeat does.
    pub fn commit_offsets(
        &self,
        group_id: &GroupId,
        request: &OffsetCommitRequest,
        knows_member_epochs: bool,
        now: Now,
    ) -> (Decision<Self>, Result<OffsetCommitResponse, ErrorCode>) {
        let metadata_max = self.environment.config.groups.offset_metadata_max_bytes;
        let group = self.group(group_id);
        let committed =
            self.offsets().commit(group.map(Group::committing), request, knows_member_epochs, metadata_max, now);
        let (records, response) = match committed {
            Ok(committed) => committed,
            Err(error) => return (Decision::default(), Err(error)),
        };
        let session = match group {
            Some(Group::Classic(group))
                if [ClassicGroupState::Stable, ClassicGroupState::PreparingRebalance].contains(&group.state()) =>
            {
                group.begin_session(now, &request.base.member_id)
            }
            _ => None,
        };
        let soft = session.map(|session| GroupSoftChange::Classic(Arc::clone(group_id), session));
        (Decision { records, soft: soft.into_iter().collect(), ..Decision::default() }, Ok(response))
    }

    /// The committed offsets that a request asks for.
    pub fn fetch_offsets(
        &self,
        request: &OffsetFetchRequestGroup,
        require_stable: bool,
    ) -> Result<OffsetFetchResponseGroup, ErrorCode> {
        let group = self.group(&request.base.group_id).map(Group::committing);
        self.offsets().fetch(group, request, require_stable)
    }

    /// Deletes offsets of partitions that nobody reads.
    pub fn delete_offsets(
        &self,
        request: &OffsetDeleteRequest,
    ) -> (Decision<Self>, Result<OffsetDeleteResponse, ErrorCode>) {
        let group = self.group(&request.group_id).map(Group::committing);
        match self.offsets().delete(group, request) {
            Ok((records, response)) => (Decision { records, ..Decision::default() }, Ok(response)),
            Err(error) => (Decision::default(), Err(error)),
        }
    }

    /// Forgets the offsets of topics that are gone.
    pub fn forget_topics(&self, topics: &[DeletedTopic]) -> Decision<Self> {
        Decision { records: self.offsets().tombstones_of_topics(topics), ..Decision::default() }
    }

    pub(super) fn first_offset_expiry(&self, now: Now) -> Decision<Self> {
        Decision { timers: vec![offset_expiry_in(self.expiry_interval(), now)], ..Decision::default() }
    }

    /// Forgets what has been kept for long enough, and groups that nothing is left of.
    pub(super) fn expire_offsets(&self, now: Now) -> Decision<Self> {
        let retention_ms = self.environment.config.groups.offsets_retention_ms;
        let retention = Duration::from_millis(u64::try_from(retention_ms).unwrap_or(0));
        let mut decision = Decision::default();
        let mut next = self.expiry_interval();
        for group_id in self.groups().map(|(group_id, _)| &**group_id).chain(self.simple_groups()) {
            if decision.records.len() >= TOMBSTONES_AT_ONCE {
                next = PAUSE_OF_EXPIRY;
                break;
            }
            let group = self.group(group_id).map(Group::committing);
            let expired = self.offsets().expired(group, group_id, retention, now);
            decision.records.extend(expired.tombstones);
            if let Some(group) = group.filter(|_| expired.all) {
                decision.records.extend(group.tombstones_if_unused(group_id));
            }
        }
        decision.timers.push(offset_expiry_in(next, now));
        decision
    }

    fn expiry_interval(&self) -> Duration {
        Duration::from_millis(self.environment.config.groups.offsets_retention_check_interval_ms)
    }
}

fn offset_expiry_in(wait: Duration, now: Now) -> Timer<GroupTimer> {
    Timer::at(GroupTimer::OffsetExpiry, now.monotonic.saturating_add(wait))
}
