//! What every decision about a share group is given, and what it gives.

use std::sync::Arc;
use std::time::Duration;

use super::partitions::TopicPartitions;
use crate::coordinator::Now;
use crate::coordinator::group::consumer::Topics;
use crate::coordinator::group::records::GroupRecord;
use crate::error::ErrorCode;

/// How share groups are run: the broker's configuration, with what is set for the one group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShareSettings {
    pub session_timeout: Duration,
    pub heartbeat_interval_ms: i32,
    pub max_size: usize,
    /// The shortest time between two target assignments; none where it is zero.
    pub assignment_interval_ms: i64,
    /// After this long, a partition whose initialisation was not heard of is initialized again.
    pub initialize_retry_interval: Duration,
}

impl Default for ShareSettings {
    /// Kafka's defaults.
    fn default() -> Self {
        Self {
            session_timeout: Duration::from_secs(45),
            heartbeat_interval_ms: 5_000,
            max_size: 200,
            assignment_interval_ms: 1_000,
            initialize_retry_interval: Duration::from_secs(30),
        }
    }
}

/// What a decision depends on, beside the group and the request.
#[derive(Clone, Copy)]
pub struct ShareContext<'a> {
    pub now: Now,
    pub topics: &'a dyn Topics,
    pub settings: &'a ShareSettings,
}

/// What a decision comes to: the records first, and only if they are written the rest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShareOutcome<R> {
    pub records: Vec<GroupRecord>,
    pub soft: Vec<ShareSoftChange>,
    /// Members whose session timer begins, or (`None`) ends.
    pub timers: Vec<(Arc<str>, Option<Duration>)>,
    pub reply: R,
}

impl<R> ShareOutcome<R> {
    /// Nothing but an answer.
    pub fn reply(reply: R) -> Self {
        Self { records: Vec::new(), soft: Vec::new(), timers: Vec::new(), reply }
    }
}

/// A change of soft state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ShareSoftChange {
    /// A member was heard of.
    Session { member_id: Arc<str>, deadline: Duration },
    /// Nothing is to be done, until a record or another version of the metadata comes.
    Settled { version: i64 },
    /// Initialisation of these partitions has begun.
    Initializing { partitions: TopicPartitions, since: Duration },
}

/// Why a share group refuses a request; the text is for the client.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShareGroupError {
    #[error("{0}")]
    InvalidRequest(&'static str),
    #[error("The configured groupId is invalid.")]
    EmptyGroupId,
    #[error("The share group has reached its maximum capacity of {0} members.")]
    MaxSizeReached(usize),
    #[error("Group {0} is not a share group.")]
    NotShareGroup(String),
    #[error("Group {0} not found.")]
    GroupNotFound(String),
    #[error("Member {member_id} is not a member of group {group_id}.")]
    UnknownMember { member_id: String, group_id: String },
    #[error(
        "The share group member has a {} member epoch ({received}) than the one known by the group coordinator \
         ({known}). The member must abandon all its partitions and rejoin.",
        if received > known { "greater" } else { "smaller" }
    )]
    FencedMemberEpoch { received: i32, known: i32 },
    #[error("Share group {0} is not empty.")]
    NotEmpty(String),
}

impl ShareGroupError {
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::InvalidRequest(_) => ErrorCode::InvalidRequest,
            Self::EmptyGroupId => ErrorCode::InvalidGroupId,
            Self::MaxSizeReached(_) => ErrorCode::GroupMaxSizeReached,
            Self::NotShareGroup(_) | Self::GroupNotFound(_) => ErrorCode::GroupIdNotFound,
            Self::UnknownMember { .. } => ErrorCode::UnknownMemberId,
            Self::FencedMemberEpoch { .. } => ErrorCode::FencedMemberEpoch,
            Self::NotEmpty(_) => ErrorCode::NonEmptyGroup,
        }
    }
}
