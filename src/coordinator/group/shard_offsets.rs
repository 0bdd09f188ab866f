//! What a shard does with offsets: each request asks the group for whom it is, and the records go into the log.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::classic::ClassicGroupState;
use super::group_shard::{Group, GroupId, GroupShard, GroupSoftChange, GroupTimer};
use super::offsets::{CommittingGroup, DeletedTopic, GroupOffsets};
use super::records::GroupRecord;
use crate::coordinator::{Decision, Now, Timer};
use crate::error::ErrorCode;
use crate::protocol::messages::{OffsetCommitRequest, OffsetFetchRequestGroup};
use crate::protocol::wire::messages::offset_fetch_response::OffsetFetchResponseGroup;
use crate::protocol::wire::messages::{OffsetCommitResponse, OffsetDeleteRequest, OffsetDeleteResponse};

/// About as many offsets are looked at in one go: the shard serves nobody meanwhile. Of one group that has more, all are.
const OFFSETS_AT_ONCE: usize = 10_000;
/// How long the others have their turn before the next go.
const PAUSE_OF_EXPIRY: Duration = Duration::from_millis(20);

/// How far a look at the offsets of all groups has come. Between two of them it is of no groups.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct ExpiryPass {
    /// Those that were there when it began.
    groups: Arc<[GroupId]>,
    next: usize,
}

impl fmt::Debug for ExpiryPass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ExpiryPass({} of {})", self.next, self.groups.len())
    }
}

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
        let first = offset_expiry_in(self.expiry_interval(), now, ExpiryPass::default());
        Decision { timers: vec![first], ..Decision::default() }
    }

    /// Forgets what has been kept for long enough, and groups that nothing is left of. Looks at each group once, in as many
    /// steps as it takes.
    pub(super) fn expire_offsets(&self, now: Now, pass: ExpiryPass) -> Decision<Self> {
        let ExpiryPass { groups, mut next } = if pass.groups.is_empty() { self.begin_expiry() } else { pass };
        let mut decision = Decision::default();
        let mut looked_at = 0;
        while looked_at < OFFSETS_AT_ONCE
            && let Some(group_id) = groups.get(next)
        {
            looked_at += 1 + self.offsets().of_group(group_id).map_or(0, GroupOffsets::count);
            decision.records.extend(self.expired_of(group_id, now));
            next += 1;
        }
        decision.timers.push(if next < groups.len() {
            offset_expiry_in(PAUSE_OF_EXPIRY, now, ExpiryPass { groups, next })
        } else {
            offset_expiry_in(self.expiry_interval(), now, ExpiryPass::default())
        });
        decision
    }

    fn begin_expiry(&self) -> ExpiryPass {
        let known = self.groups().map(|(group_id, _)| Arc::clone(group_id));
        ExpiryPass { groups: known.chain(self.simple_groups().map(GroupId::from)).collect(), next: 0 }
    }

    fn expired_of(&self, group_id: &GroupId, now: Now) -> Vec<GroupRecord> {
        let retention_ms = self.environment.config.groups.offsets_retention_ms;
        let retention = Duration::from_millis(u64::try_from(retention_ms).unwrap_or(0));
        let group = self.group(group_id).map(Group::committing);
        let expired = self.offsets().expired(group, group_id, retention, now);
        let mut records = expired.tombstones;
        if let Some(group) = group.filter(|_| expired.all) {
            records.extend(group.tombstones_if_unused(group_id));
        }
        records
    }

    fn expiry_interval(&self) -> Duration {
        Duration::from_millis(self.environment.config.groups.offsets_retention_check_interval_ms)
    }
}

fn offset_expiry_in(wait: Duration, now: Now, pass: ExpiryPass) -> Timer<GroupTimer> {
    Timer::at(GroupTimer::OffsetExpiry(pass), now.monotonic.saturating_add(wait))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use tokio_util::sync::CancellationToken;
    use tokio_util::task::TaskTracker;

    use super::*;
    use crate::coordinator::Machine;
    use crate::coordinator::group::GroupEnvironment;
    use crate::coordinator::group::records::{OffsetCommitKey, OffsetCommitValue};
    use crate::ids::{Offset, TopicId};
    use crate::metadata::keys::Keys;

    use crate::metadata::{GroupConfigs, ImagePublisher, MemoryStore};
    use crate::time::ManualClock;

    const COMMITTED_MS: i64 = 1_800_000_000_000;
    const LONG_AFTER_MS: i64 = COMMITTED_MS + (1 << 40);

    async fn shard() -> GroupShard {
        let store = Arc::new(MemoryStore::new(ManualClock::at(0)));
        let keys = Keys::new("test");
        let metadata =
            ImagePublisher::start(store, keys, &TaskTracker::new(), CancellationToken::new()).await.unwrap();
        let config = Arc::default();
        let groups = GroupConfigs::follow(Arc::clone(&config), &metadata);
        GroupShard::new(GroupEnvironment { config, metadata, groups })
    }

    fn commit(shard: &mut GroupShard, group_id: &str, partitions: usize) {
        for partition in 0..partitions as i32 {
            let key = OffsetCommitKey { group_id: group_id.to_owned(), topic: "logs".to_owned(), partition };
            let value = OffsetCommitValue {
                offset: 1,
                leader_epoch: -1,
                metadata: String::new(),
                commit_timestamp_ms: COMMITTED_MS,
                expire_timestamp_ms: None,
                topic_id: TopicId::default(),
            };
            shard.apply(GroupRecord::OffsetCommit(key, Some(value)), Offset::ZERO);
        }
    }

    /// The steps of one pass, of which nothing is written: how many offsets of each group expire in each.
    fn steps(shard: &GroupShard, wall_ms: i64) -> Vec<BTreeMap<String, usize>> {
        let mut now = Now { monotonic: Duration::ZERO, wall_ms };
        let mut timer = shard.first_offset_expiry(now).timers.remove(0);
        let mut steps = Vec::new();
        loop {
            now.monotonic = timer.deadline.unwrap();
            let mut decision = shard.on_timer(now, timer.key);
            let mut expired = BTreeMap::new();
            for record in &decision.records {
                *expired.entry(record.group_id().to_owned()).or_default() += 1;
            }
            steps.push(expired);
            timer = decision.timers.remove(0);
            let wait = timer.deadline.unwrap().saturating_sub(now.monotonic);
            if wait == shard.expiry_interval() {
                return steps;
            }
            assert_eq!(wait, PAUSE_OF_EXPIRY);
        }
    }

    #[tokio::test]
    async fn expiry_looks_at_each_group_once_and_lets_others_have_their_turn() {
        let mut shard = shard().await;
        assert_eq!(steps(&shard, LONG_AFTER_MS).len(), 1);
        let groups = ["a", "b", "c", "d", "e"];
        for group_id in groups {
            commit(&mut shard, group_id, OFFSETS_AT_ONCE / 2);
        }
        let looks = steps(&shard, COMMITTED_MS);
        assert_eq!(looks, vec![BTreeMap::new(); 3], "looking takes its time, whatever comes of it");
        let looks = steps(&shard, LONG_AFTER_MS);
        assert_eq!(looks.iter().map(BTreeMap::len).collect::<Vec<_>>(), [2, 2, 1]);
        let expired: BTreeMap<_, _> = looks.into_iter().flatten().collect();
        assert_eq!(expired, groups.map(|group_id| (group_id.to_owned(), OFFSETS_AT_ONCE / 2)).into());
    }
}
