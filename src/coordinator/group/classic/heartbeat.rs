//! Heartbeat: a member is alive, and learns that a rebalance has begun.

use super::group::{ClassicGroup, Phase};
use super::member::{InstanceId, MemberId, timeout};
use super::turn::ClassicChange;
use crate::coordinator::Now;
use crate::error::ErrorCode;

/// A heartbeat.
#[derive(Clone, Debug)]
pub struct Heartbeat {
    pub generation_id: i32,
    pub member_id: MemberId,
    pub instance_id: Option<InstanceId>,
}

/// `group`: the group of this id, if there is one. What the member is told, at once, and that its session begins anew; no
/// timer moves.
pub fn heartbeat(
    group: Option<&ClassicGroup>,
    now: Now,
    heartbeat: &Heartbeat,
) -> (Option<ClassicChange>, ErrorCode) {
    let checked = group.ok_or(ErrorCode::UnknownMemberId).and_then(|group| {
        group.validate_member(&heartbeat.member_id, heartbeat.instance_id.as_deref())?;
        if heartbeat.generation_id == group.generation_id { Ok(group) } else { Err(ErrorCode::IllegalGeneration) }
    });
    let group = match checked {
        Ok(group) => group,
        Err(error) => return (None, error),
    };
    let answer = match group.phase {
        Phase::Empty => ErrorCode::UnknownMemberId,
        Phase::PreparingRebalance { .. } => ErrorCode::RebalanceInProgress,
        Phase::CompletingRebalance | Phase::Stable => ErrorCode::None,
    };
    (group.begin_session(now, &heartbeat.member_id), answer)
}

impl ClassicGroup {
    /// The member was heard of: by a heartbeat, or by a commit. Its deadline never moves closer, unless its session
    /// timeout is shorter than what a new member has: that one is looked at when its join is answered.
    pub fn begin_session(&self, now: Now, member_id: &str) -> Option<ClassicChange> {
        let member = self.members.get(member_id)?;
        let deadline = now.monotonic.saturating_add(timeout(member.session_timeout_ms));
        if member.is_new {
            return None;
        }
        Some(ClassicChange::Session { member_id: member.member_id.clone(), deadline })
    }
}
