//! Answers to the requests of classic members.

use std::sync::Arc;

use bytes::Bytes;

use super::member::{InstanceId, MemberId};
use crate::error::ErrorCode;

/// The answer to one that may have to wait, or is answered together with some that did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClassicReply {
    Join(JoinReply),
    Sync(SyncReply),
    Leave(LeaveReply),
}

/// What JoinGroup answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinReply {
    pub error: ErrorCode,
    /// -1 with an error.
    pub generation_id: i32,
    pub protocol_type: Option<Arc<str>>,
    pub protocol_name: Option<Arc<str>>,
    pub leader: Option<MemberId>,
    /// The leader is told who is there, and that it must not assign (KIP-814).
    pub skip_assignment: bool,
    pub member_id: MemberId,
    /// For the leader; others get none.
    pub members: Vec<JoinedMember>,
}

/// A member as the leader sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinedMember {
    pub member_id: MemberId,
    pub instance_id: Option<InstanceId>,
    pub metadata: Bytes,
}

impl JoinReply {
    pub fn refused(error: ErrorCode, member_id: impl Into<MemberId>) -> Self {
        Self {
            error,
            generation_id: -1,
            protocol_type: None,
            protocol_name: None,
            leader: None,
            skip_assignment: false,
            member_id: member_id.into(),
            members: Vec::new(),
        }
    }
}

/// What SyncGroup answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyncReply {
    pub error: ErrorCode,
    pub protocol_type: Option<Arc<str>>,
    pub protocol_name: Option<Arc<str>>,
    pub assignment: Bytes,
}

impl SyncReply {
    pub fn refused(error: ErrorCode) -> Self {
        Self { error, protocol_type: None, protocol_name: None, assignment: Bytes::new() }
    }
}

/// What LeaveGroup answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaveReply {
    /// Of the request as a whole.
    pub error: ErrorCode,
    /// As they were asked for; none with an error of the whole.
    pub members: Vec<LeftMember>,
}

/// What became of one member that was to leave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftMember {
    pub member_id: MemberId,
    pub instance_id: Option<InstanceId>,
    pub error: ErrorCode,
}

impl LeaveReply {
    pub fn refused(error: ErrorCode) -> Self {
        Self { error, members: Vec::new() }
    }
}
