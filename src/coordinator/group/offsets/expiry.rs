//! Which offsets have been kept for long enough (`offsets.retention.minutes`, KIP-211).

use std::time::Duration;

use super::delete::tombstone;
use super::{CommittedOffset, CommittingGroup, Offsets, SimpleGroup};
use crate::coordinator::Now;
use crate::coordinator::group::records::GroupRecord;
use crate::time::TimestampMs;

/// From when on the time counts after which a group's offsets expire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OffsetExpiry {
    /// From each offset's commit on.
    SinceCommit,
    /// From when the group lost its last member.
    Since(TimestampMs),
}

/// What of a group's offsets has expired.
#[derive(Debug, PartialEq, Eq)]
pub struct ExpiredOffsets {
    pub tombstones: Vec<GroupRecord>,
    /// No offset is left, committed or about to be: a group without members can go as well.
    pub all: bool,
}

impl OffsetExpiry {
    fn is_expired(self, offset: &CommittedOffset, retention_ms: i64, now_ms: TimestampMs) -> bool {
        let since = match self {
            Self::SinceCommit => offset.commit_timestamp_ms,
            Self::Since(empty_since) => empty_since,
        };
        match offset.expire_timestamp_ms {
            Some(expires) => now_ms >= expires,
            None => now_ms.saturating_sub(since) >= retention_ms,
        }
    }
}

impl Offsets {
    /// The offsets of a group that nobody reads any more and that have been kept for `retention`.
    pub fn expired(
        &self,
        group: Option<&dyn CommittingGroup>,
        group_id: &str,
        retention: Duration,
        now: Now,
    ) -> ExpiredOffsets {
        let group = group.unwrap_or(&SimpleGroup);
        let retention_ms = i64::try_from(retention.as_millis()).unwrap_or(i64::MAX);
        let mut expired = ExpiredOffsets { tombstones: Vec::new(), all: !self.has_open_transactions(group_id) };
        let Some(offsets) = self.of_group(group_id) else { return expired };
        let Some(expiry) = group.offset_expiry() else { return ExpiredOffsets { all: false, ..expired } };
        for (topic, of_topic) in offsets.topics() {
            let is_read = group.is_subscribed_to(topic);
            for (partition, offset) in of_topic {
                let is_expired = !is_read && expiry.is_expired(offset, retention_ms, now.wall_ms);
                if is_expired && !self.is_unstable(group_id, topic, partition) {
                    expired.tombstones.push(tombstone(group_id, topic, partition));
                } else {
                    expired.all = false;
                }
            }
        }
        expired
    }
}
