//! SyncGroup: the leader says who gets what, the others ask for it.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use tracing::info;

use super::group::{ClassicGroup, Phase};
use super::member::{InstanceId, MemberId};
use super::reply::{ClassicReply, SyncReply};
use super::turn::{ClassicDecision, ClassicSettings, Turn};
use crate::coordinator::{Now, ReplyTo};
use crate::error::ErrorCode;

/// A request to sync. What it holds is its own: it outlives the frame it came in.
#[derive(Clone, Debug)]
pub struct Sync {
    pub generation_id: i32,
    pub member_id: MemberId,
    pub instance_id: Option<InstanceId>,
    /// What the client believes the group agreed on; `None` where it does not say (KIP-559).
    pub protocol_type: Option<Arc<str>>,
    pub protocol_name: Option<Arc<str>>,
    /// Of the leader: what each member gets.
    pub assignments: Vec<(MemberId, Bytes)>,
}

/// `group`: the group of this id, if there is one.
pub fn sync(
    group_id: &str,
    group: Option<&ClassicGroup>,
    settings: &ClassicSettings,
    now: Now,
    sync: Sync,
    reply_to: ReplyTo,
) -> ClassicDecision {
    let refusal = |error| ClassicDecision::answer(reply_to, ClassicReply::Sync(SyncReply::refused(error)));
    let Some(group) = group else { return refusal(ErrorCode::UnknownMemberId) };
    if let Err(error) = validate(group, &sync) {
        return refusal(error);
    }
    let mut turn = Turn::new(group_id, settings, now, group.clone());
    turn.has_synced(&sync.member_id);
    match group.phase {
        Phase::Empty | Phase::PreparingRebalance { .. } => return refusal(ErrorCode::RebalanceInProgress),
        Phase::CompletingRebalance => {
            turn.park_sync(&sync.member_id, reply_to);
            if group.is_leader(&sync.member_id) {
                turn.take_assignments(sync.assignments);
            }
        }
        Phase::Stable => {
            let reply = turn.sync_reply(&sync.member_id);
            turn.reply(reply_to, ClassicReply::Sync(reply));
        }
    }
    turn.decide()
}

fn validate(group: &ClassicGroup, sync: &Sync) -> Result<(), ErrorCode> {
    group.validate_member(&sync.member_id, sync.instance_id.as_deref())?;
    if sync.generation_id != group.generation_id {
        return Err(ErrorCode::IllegalGeneration);
    }
    let differs = |theirs: &Option<Arc<str>>, ours: &Option<Arc<str>>| matches!((theirs, ours), (Some(theirs), Some(ours)) if theirs != ours);
    if differs(&sync.protocol_type, &group.protocol_type) || differs(&sync.protocol_name, &group.protocol_name) {
        return Err(ErrorCode::InconsistentGroupProtocol);
    }
    Ok(())
}

impl Turn<'_> {
    /// The generation is complete: everybody's part is written down, and everybody that waits for it gets it.
    fn take_assignments(&mut self, assignments: Vec<(MemberId, Bytes)>) {
        let assignments: HashMap<MemberId, Bytes> = assignments.into_iter().collect();
        self.group.members.for_each_mut(|member_id, member| {
            Arc::make_mut(member).assignment = assignments.get(member_id).cloned().unwrap_or_default();
        });
        self.enter(Phase::Stable);
        let (generation, members) = (self.group.generation_id, self.group.members.len());
        info!(group_id = self.group_id, generation, members, "the leader has assigned");
        self.persist();
        self.answer_syncs(ErrorCode::None);
    }
}
