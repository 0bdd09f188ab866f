//! A member of a consumer group: what it said, what it has, and where it stands on the way to its target.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;

use super::owned::OwnedPartitions;
use crate::ids::TopicName;

/// A member id, and likewise an instance id; cheap to clone.
pub type MemberId = Arc<str>;

/// The epoch of a member that is not reconciled with anything yet: it joins, or joins again.
pub const JOINING_EPOCH: i32 = 0;
/// A member that leaves sends it.
pub const LEAVING_EPOCH: i32 = -1;
/// A static member that leaves and will be back sends it; its place is kept for the session timeout.
pub const STATIC_LEAVING_EPOCH: i32 = -2;

/// How far a member is on the way to its target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MemberState {
    /// It has all that the target of its epoch gives it.
    #[default]
    Stable,
    /// It has been told to give partitions up and has not confirmed it.
    UnrevokedPartitions,
    /// Partitions of its target are still with their old owners.
    UnreleasedPartitions,
    /// Written by a version that knows more states.
    Unknown,
}

impl MemberState {
    pub const fn from_code(code: i8) -> Self {
        match code {
            0 => Self::Stable,
            1 => Self::UnrevokedPartitions,
            2 => Self::UnreleasedPartitions,
            _ => Self::Unknown,
        }
    }

    pub const fn code(self) -> i8 {
        match self {
            Self::Stable => 0,
            Self::UnrevokedPartitions => 1,
            Self::UnreleasedPartitions => 2,
            Self::Unknown => 127,
        }
    }
}

/// One member. Changed by making another one; parts that stay are shared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    pub member_id: MemberId,
    pub member_epoch: i32,
    /// The epoch before: a member whose last reply was lost still sends it.
    pub previous_member_epoch: i32,
    pub state: MemberState,
    pub instance_id: Option<Arc<str>>,
    pub rack_id: Option<Arc<str>>,
    pub client_id: Arc<str>,
    pub client_host: Arc<str>,
    /// How long it may take to give partitions up.
    pub rebalance_timeout_ms: i32,
    pub subscribed_topic_names: Arc<BTreeSet<TopicName>>,
    /// Empty: it subscribes to names only.
    pub subscribed_topic_regex: Arc<str>,
    pub server_assignor: Option<Arc<str>>,
    /// What is its own, and may be fetched and committed.
    pub assigned: Arc<OwnedPartitions>,
    /// What it has to give up; still its own until it confirms.
    pub pending_revocation: Arc<OwnedPartitions>,
    /// A member that speaks the classic protocol in a group of the consumer protocol.
    pub classic: Option<Arc<ClassicMember>>,
}

/// What a member said when it joined by the classic protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClassicMember {
    pub session_timeout_ms: i32,
    /// In the member's order of preference; never empty.
    pub protocols: Vec<(Arc<str>, Bytes)>,
}

impl Member {
    /// A member of which nothing is known but its id.
    pub fn new(member_id: MemberId) -> Self {
        let nothing: Arc<OwnedPartitions> = Arc::default();
        Self {
            member_id,
            member_epoch: JOINING_EPOCH,
            previous_member_epoch: -1,
            state: MemberState::Stable,
            instance_id: None,
            rack_id: None,
            client_id: Arc::default(),
            client_host: Arc::default(),
            rebalance_timeout_ms: -1,
            subscribed_topic_names: Arc::default(),
            subscribed_topic_regex: Arc::default(),
            server_assignor: None,
            assigned: Arc::clone(&nothing),
            pending_revocation: nothing,
            classic: None,
        }
    }

    pub fn is_reconciled_to(&self, assignment_epoch: i32) -> bool {
        self.state == MemberState::Stable && self.member_epoch == assignment_epoch
    }

    pub fn uses_classic_protocol(&self) -> bool {
        self.classic.is_some()
    }

    /// The regular expression, where there is one.
    pub fn regex(&self) -> Option<&Arc<str>> {
        Some(&self.subscribed_topic_regex).filter(|regex| !regex.is_empty())
    }

    /// Goes to another epoch and remembers the one before.
    pub(super) fn move_to_epoch(&mut self, epoch: i32) {
        self.previous_member_epoch = self.member_epoch;
        self.member_epoch = epoch;
    }
}
