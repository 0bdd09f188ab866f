//! LeaveGroup: members go, or an administrator takes them out by their instance ids.

use std::sync::Arc;

use tracing::info;

use super::group::{ClassicGroup, Phase};
use super::member::{InstanceId, MemberId};
use super::reply::{ClassicReply, LeaveReply, LeftMember};
use super::turn::{ClassicDecision, ClassicSettings, Turn};
use crate::coordinator::{Now, ReplyTo};
use crate::error::ErrorCode;

/// Members that are to leave, all at once (KIP-345).
#[derive(Clone, Debug)]
pub struct Leave {
    pub members: Vec<LeavingMember>,
}

/// One of them.
#[derive(Clone, Debug)]
pub struct LeavingMember {
    /// Empty: whoever has the instance id.
    pub member_id: MemberId,
    pub instance_id: Option<InstanceId>,
    /// Why, for the log (KIP-800).
    pub reason: Option<String>,
}

/// `group`: the group of this id, if there is one; without it nobody is known.
pub fn leave(
    group_id: &str,
    group: Option<&ClassicGroup>,
    settings: &ClassicSettings,
    now: Now,
    leave: &Leave,
    reply_to: ReplyTo,
) -> ClassicDecision {
    let Some(group) = group else {
        let members = leave.members.iter().map(|member| left(member, ErrorCode::UnknownMemberId)).collect();
        return ClassicDecision::answer(reply_to, reply(members));
    };
    let mut turn = Turn::new(group_id, settings, now, group.clone());
    let members: Vec<LeftMember> = leave.members.iter().map(|leaving| turn.let_go(leaving)).collect();
    let has_anybody_left = members.iter().any(|member| !member.error.is_error());
    turn.reply(reply_to, reply(members));
    if has_anybody_left {
        turn.after_leaving();
    }
    turn.decide()
}

fn reply(members: Vec<LeftMember>) -> ClassicReply {
    ClassicReply::Leave(LeaveReply { error: ErrorCode::None, members })
}

fn left(leaving: &LeavingMember, error: ErrorCode) -> LeftMember {
    LeftMember { member_id: Arc::clone(&leaving.member_id), instance_id: leaving.instance_id.clone(), error }
}

impl Turn<'_> {
    fn let_go(&mut self, leaving: &LeavingMember) -> LeftMember {
        match self.find_leaving(leaving) {
            Ok(member_id) => {
                let reason = leaving.reason.as_deref().unwrap_or("not provided");
                info!(group_id = self.group_id, %member_id, reason, "a member has left");
                self.remove_member(&member_id);
                left(leaving, ErrorCode::None)
            }
            Err(error) => left(leaving, error),
        }
    }

    fn find_leaving(&self, leaving: &LeavingMember) -> Result<MemberId, ErrorCode> {
        let group = &self.group;
        if leaving.member_id.is_empty() {
            let by_instance = leaving.instance_id.as_deref().and_then(|id| group.static_member_id(id));
            return by_instance.cloned().ok_or(ErrorCode::UnknownMemberId);
        }
        if !group.pending_joins.contains_key(&leaving.member_id) {
            group.validate_member(&leaving.member_id, leaving.instance_id.as_deref())?;
        }
        Ok(Arc::clone(&leaving.member_id))
    }

    /// Whoever is left has to share anew.
    fn after_leaving(&mut self) {
        if !matches!(self.group.phase, Phase::Empty) {
            self.rebalance_or_complete_join("members have left");
        }
    }
}
